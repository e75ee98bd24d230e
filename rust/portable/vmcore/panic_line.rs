// SPDX-License-Identifier: GPL-2.0

//! The line in which a kernel says why it gives up.

use core::fmt;

/// What `panic()` puts first.
const PREFIX: &[u8] = b"Kernel panic - not syncing: ";

/// What panics of a kernel's own watchdogs say next (6.1 to 7.3): kernel/watchdog.c, and its
/// hard-lockup detector, kernel/rcu/tree_stall.h, kernel/hung_task.c, kernel/workqueue.c.
const WATCHDOGS: [&[u8]; 5] = [
    b"softlockup: ",
    b"Hard LOCKUP",
    b"RCU Stall",
    b"hung_task: ",
    b"workqueue: ",
];

/// Most bytes kept of a line.
const LINE_MAX: usize = 256;

/// One line of printable ASCII, perhaps empty.
#[derive(Copy, Clone)]
pub struct PanicLine {
    bytes: [u8; LINE_MAX],
    len: usize,
}

impl Default for PanicLine {
    fn default() -> Self {
        Self {
            bytes: [0; LINE_MAX],
            len: 0,
        }
    }
}

impl PanicLine {
    /// Takes the first line of what a kernel printed, if it is that of a panic; what is not
    /// printable becomes a '?'.
    pub fn new(text: &[u8]) -> Option<Self> {
        let line = text.split(|b| *b == b'\n').next()?;
        if !line.starts_with(PREFIX) {
            return None;
        }
        let mut copy = Self::default();
        for (to, from) in copy.bytes.iter_mut().zip(line) {
            *to = match *from {
                b @ b' '..=b'~' => b,
                _ => b'?',
            };
            copy.len = copy.len.saturating_add(1);
        }
        Some(copy)
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or(&[])).unwrap_or("")
    }

    /// Whether one of the kernel's own watchdogs has found it hanging.
    pub fn is_lockup(&self) -> bool {
        let cause = self.as_str().as_bytes().get(PREFIX.len()..).unwrap_or(&[]);
        WATCHDOGS.iter().any(|words| cause.starts_with(words))
    }
}

impl fmt::Display for PanicLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
