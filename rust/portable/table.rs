// SPDX-License-Identifier: GPL-2.0

//! The lines of /proc/multikernel, see Documentation/ABI/testing/procfs-multikernel.

use super::{cpu_list::CpuSet, name::Name, size::Size};
use core::fmt;

/// The first line.
pub const HEADER: &str = "ID NAME STATE CPUS MEMORY KERNEL SECONDS STARTS REASON SILENCE\n";

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Copy, Clone, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$item_doc])* $item,)* }

        impl $name {
            /// The word that users see.
            pub fn as_str(&self) -> &'static str {
                match self { $(Self::$item => $word,)* }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

pub(crate) use words;

words! {
    /// State of an instance. Where it is dead, its CPUs are parked and it can be started again.
    State {
        /// No image.
        Empty = "empty",
        /// An image, not started yet.
        Loaded = "loaded",
        /// On the way to its kernel.
        Starting = "starting",
        /// CPUs run its kernel.
        Running = "running",
        /// Dead: it switched its machine off.
        Halted = "halted",
        /// Dead: it asked for a reset.
        Rebooting = "rebooting",
        /// Dead: it panicked.
        Panicked = "panicked",
        /// Dead: its own watchdogs found that it hangs, and it panicked.
        Hung = "hung",
        /// Dead: the host ended it.
        Killed = "killed",
        /// A CPU did not prove that it stopped.
        Quarantined = "quarantined",
    }
}

words! {
    /// Why an instance is in its state.
    Reason {
        /// Nothing to tell.
        None = "-",
        /// The spawn switched its machine off.
        Poweroff = "poweroff",
        /// The spawn reset its machine, and its log has no panic.
        Reboot = "reboot",
        /// The spawn reset its machine, and left no log that could be read.
        Reset = "reset",
        /// The last that its log has is a panic.
        Panic = "panic",
        /// The same, by a watchdog of its own.
        Lockup = "lockup",
        /// `kill` was written to `state`.
        Killed = "killed",
        /// `stop` or `restart` was written to `state`.
        Stopped = "stopped",
        /// It did not get as far as its kernel.
        StartFailed = "start-failed",
        /// The host went down.
        HostDown = "host-down",
    }
}

impl Reason {
    /// The state of an instance that ended for this reason.
    pub fn ends_in(self) -> State {
        match self {
            Self::None => State::Loaded,
            Self::Poweroff => State::Halted,
            Self::Reboot | Self::Reset => State::Rebooting,
            Self::Panic => State::Panicked,
            Self::Lockup => State::Hung,
            Self::Killed | Self::Stopped | Self::StartFailed | Self::HostDown => State::Killed,
        }
    }
}

/// Longest release, as in `struct new_utsname`.
const RELEASE_LEN: usize = 64;

/// What a kernel calls itself: printable ASCII without white space, perhaps empty.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Release {
    bytes: [u8; RELEASE_LEN],
    len: usize,
}

impl Default for Release {
    fn default() -> Self {
        Self {
            bytes: [0; RELEASE_LEN],
            len: 0,
        }
    }
}

impl Release {
    /// Takes the first word of `text`, cut to 64 bytes; nothing when it has another character.
    pub fn new(text: &[u8]) -> Self {
        let word = text
            .split(|b| b.is_ascii_whitespace() || *b == 0)
            .next()
            .unwrap_or(&[]);
        let word = word.get(..RELEASE_LEN).unwrap_or(word);
        let mut release = Self::default();
        if word.iter().all(u8::is_ascii_graphic) {
            for (to, from) in release.bytes.iter_mut().zip(word) {
                *to = *from;
            }
            release.len = word.len();
        }
        release
    }

    /// The word.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or(&[])).unwrap_or("")
    }
}

/// One line, without its end. Columns are only ever added, at the end.
#[derive(Copy, Clone, Debug)]
pub struct Row {
    /// Number, never used again.
    pub id: u32,
    /// Name.
    pub name: Name,
    /// State.
    pub state: State,
    /// CPUs of the host that it has.
    pub cpus: CpuSet,
    /// Bytes of memory that it has.
    pub memory: u64,
    /// What its kernel calls itself.
    pub release: Release,
    /// Milliseconds in this state.
    pub age_ms: u64,
    /// How often it was started.
    pub starts: u64,
    /// Why it is in this state.
    pub reason: Reason,
    /// For how many milliseconds the most silent of its CPUs has given no beat; nothing without an
    /// agent.
    pub silence_ms: Option<u32>,
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.id, self.name, self.state)?;
        if self.cpus.is_empty() {
            f.write_str("-")?;
        } else {
            self.cpus.fmt(f)?;
        }
        let release = match self.release.as_str() {
            "" => "-",
            release => release,
        };
        let (seconds, ms) = (self.age_ms / 1000, self.age_ms % 1000);
        write!(f, " {} {release} {seconds}.{ms:03} ", Size(self.memory))?;
        write!(f, "{} {} ", self.starts, self.reason)?;
        match self.silence_ms {
            None => f.write_str("-"),
            Some(ms) => write!(f, "{}.{:03}", ms / 1000, ms % 1000),
        }
    }
}
