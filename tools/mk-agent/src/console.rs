// SPDX-License-Identifier: GPL-2.0

//! The console: a command on a pseudoterminal, at port 1.

use crate::{
    channel::Channel,
    idle::Backoff,
    log::log,
    raw,
    stream::{Stream, Turn, WINDOW},
};
use multikernel_portable::channel::link::Error;
use rustix::{
    event::PollFlags,
    fd::{AsFd, OwnedFd},
    fs::{fcntl_getfl, fcntl_setfl, OFlags},
    pty::{grantpt, ioctl_tiocgptpeer, openpt, unlockpt, OpenptFlags},
    termios::{tcsetwinsize, Winsize},
};
use std::{
    ffi::OsString,
    io,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Its port.
pub const PORT: u16 = 1;
/// How long the last words of a command that has ended are waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// As of a VT100; the host says what it really is.
const SIZE: Winsize = Winsize {
    ws_row: 24,
    ws_col: 80,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

pub struct Console {
    command: Vec<OsString>,
    stream: Stream,
    size: Winsize,
    terminal: Option<Terminal>,
    again: Backoff,
    /// How long the last command has run.
    lasted: Duration,
    /// To be opened in this session.
    open: bool,
    /// Why it did not start, the last time.
    said: String,
}

struct Terminal {
    master: OwnedFd,
    child: Child,
    began: Instant,
    ended: Option<Instant>,
    /// Nobody has the other end open, now: a getty opens it again.
    hung_up: bool,
}

/// The first of these that is there.
fn usual() -> Vec<OsString> {
    let candidates: [&[&str]; 4] = [
        &["/sbin/agetty", "--noclear", "-", "vt220"],
        &["/usr/sbin/agetty", "--noclear", "-", "vt220"],
        &["/bin/login"],
        &["/bin/sh"],
    ];
    let found = candidates
        .iter()
        .find(|command| Path::new(command[0]).exists());
    let command = found.unwrap_or(&candidates[3]);
    command.iter().map(OsString::from).collect()
}

impl Console {
    pub fn new(command: Vec<OsString>) -> Self {
        let command = if command.is_empty() { usual() } else { command };
        Self {
            command,
            stream: Stream::new(PORT),
            size: SIZE,
            terminal: None,
            again: Backoff::new(Duration::from_millis(10), Duration::from_secs(10)),
            lasted: Duration::ZERO,
            open: false,
            said: String::new(),
        }
    }

    /// A session begins, or the host opens its end. The terminal does not care.
    pub fn wanted(&mut self) {
        self.open = true;
    }

    /// The session is over: what the host typed is not for the next one.
    pub fn session_ended(&mut self) {
        self.stream.reset();
        self.open = false;
    }

    pub fn received(&mut self, bytes: &[u8]) {
        self.stream.received(bytes);
    }

    /// The host has closed its end. Ours is closed, too, so that it can open it again.
    pub fn closed(&mut self, channel: &mut Channel) {
        channel.refused(PORT);
        self.open = false;
    }

    pub fn resize(&mut self, size: u32) {
        self.size = Winsize {
            // CAST: two halves.
            ws_row: (size >> 16) as u16,
            ws_col: size as u16,
            ..SIZE
        };
        if let Some(terminal) = &self.terminal {
            _ = tcsetwinsize(&terminal.master, self.size);
        }
    }

    /// Moves bytes, and starts the command when there is none. Whether something was moved.
    pub fn serve(&mut self, channel: &mut Channel) -> bool {
        let Channel { link, ports, .. } = channel;
        if self.open {
            self.open = ports.open(link, PORT, WINDOW) == Err(Error::Full);
        }
        let Some(terminal) = &mut self.terminal else {
            if self.again.is_over(self.lasted) {
                self.start();
            }
            return false;
        };
        let written = self.stream.write(channel, &terminal.master);
        if written.is_err() {
            self.stream.discard(channel);
        }
        let turn = self.stream.read(channel, &terminal.master);
        terminal.hung_up = matches!(turn, Err(_) | Ok(Turn::End));
        if terminal.has_ended(turn.unwrap_or(Turn::End)) {
            self.lasted = terminal.began.elapsed();
            self.terminal = None;
        }
        written == Ok(true) || turn == Ok(Turn::Moved)
    }

    /// What to wait for, if there is something.
    pub fn interest(&self, channel: &mut Channel) -> Option<(&OwnedFd, PollFlags)> {
        let terminal = self.terminal.as_ref().filter(|it| !it.hung_up)?;
        let flags = self.stream.interest(channel);
        (!flags.is_empty()).then_some((&terminal.master, flags))
    }

    fn start(&mut self) {
        self.lasted = Duration::ZERO;
        match Terminal::start(&self.command, self.size) {
            Ok(terminal) => self.terminal = Some(terminal),
            Err(why) if why == self.said => {}
            Err(why) => {
                log(format_args!("console: {why}"));
                self.said = why;
            }
        }
    }
}

impl Terminal {
    /// # Errors
    ///
    /// What is wrong.
    fn start(command: &[OsString], size: Winsize) -> Result<Self, String> {
        let name = command[0].to_string_lossy();
        let (master, other) = Self::open(size)
            .map_err(|e| format!("no pseudoterminal: {e}; is devpts mounted on /dev/pts?"))?;
        let child = Self::run(command, &other).map_err(|e| format!("{name}: {e}"))?;
        Ok(Self {
            master,
            child,
            began: Instant::now(),
            ended: None,
            hung_up: false,
        })
    }

    /// Both ends.
    fn open(size: Winsize) -> io::Result<(OwnedFd, OwnedFd)> {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        tcsetwinsize(&master, size)?;
        fcntl_setfl(&master, fcntl_getfl(&master)? | OFlags::NONBLOCK)?;
        let other = ioctl_tiocgptpeer(&master, flags)?;
        Ok((master, other))
    }

    fn run(command: &[OsString], other: &OwnedFd) -> io::Result<Child> {
        let stdio = || other.as_fd().try_clone_to_owned().map(Stdio::from);
        let mut child = Command::new(&command[0]);
        child.args(&command[1..]);
        child.stdin(stdio()?).stdout(stdio()?).stderr(stdio()?);
        if std::env::var_os("TERM").is_none_or(|term| term == "linux") {
            child.env("TERM", "vt220");
        }
        raw::lead_session(&mut child);
        raw::may_be_killed(&mut child);
        child.spawn()
    }

    /// Whether the command has ended, and all that it wrote was read, or nobody wants it.
    fn has_ended(&mut self, turn: Turn) -> bool {
        if self.ended.is_none() && matches!(self.child.try_wait(), Ok(None)) {
            return false;
        }
        let ended = *self.ended.get_or_insert_with(Instant::now);
        matches!(turn, Turn::Empty | Turn::End) || ended.elapsed() > LAST_WORDS
    }
}
