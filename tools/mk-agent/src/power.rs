// SPDX-License-Identifier: GPL-2.0

//! Shutdown and reboot, as the host asks for.

use crate::{channel::Channel, log::log, raw};
use multikernel_portable::channel::control::Control;
use rustix::{
    fs::sync,
    system::{reboot, RebootCommand},
};
use std::{
    collections::VecDeque,
    ffi::OsString,
    io,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

/// EALREADY: it is on the way.
const ALREADY: u32 = 114;
/// Answers that wait for room; a host that asks more often gets fewer.
const ANSWERS: usize = 16;
/// How long sync(2) may take when the time is up.
const SYNC: Duration = Duration::from_millis(500);

#[derive(Copy, Clone, Debug)]
pub enum Wish {
    Shutdown,
    Reboot,
}

impl Wish {
    fn usual(self) -> &'static str {
        match self {
            Self::Shutdown => "/sbin/poweroff",
            Self::Reboot => "/sbin/reboot",
        }
    }

    fn call(self) -> RebootCommand {
        match self {
            Self::Shutdown => RebootCommand::PowerOff,
            Self::Reboot => RebootCommand::Restart,
        }
    }
}

pub struct Power {
    shutdown: Option<OsString>,
    reboot: Option<OsString>,
    /// Whether reboot(2) may be called.
    may_force: bool,
    answers: VecDeque<u32>,
    running: Option<Running>,
}

struct Running {
    wish: Wish,
    /// None when there is no command for it, or it has ended.
    child: Option<Child>,
    deadline: Option<Instant>,
}

impl Power {
    pub fn new(shutdown: Option<OsString>, reboot: Option<OsString>, may_force: bool) -> Self {
        Self {
            shutdown,
            reboot,
            may_force,
            answers: VecDeque::new(),
            running: None,
        }
    }

    /// The host asks for it, within so many milliseconds; 0 is as long as it takes.
    pub fn asked(&mut self, wish: Wish, ms: u32) {
        if self.running.is_some() {
            return self.answer(ALREADY);
        }
        log(format_args!("the host asks for: {wish:?}, within {ms} ms"));
        let now = Instant::now();
        let deadline = (ms > 0).then(|| now + Duration::from_millis(ms.into()));
        let (child, deadline) = match self.run(wish) {
            Ok(Some(child)) => (Some(child), deadline),
            // Nobody to ask, so it is done right after the answer.
            Ok(None) => (None, Some(now)),
            Err(e) => {
                log(format_args!("{wish:?}: {e}"));
                // CAST: an errno is positive.
                return self.answer(e.raw_os_error().unwrap_or(libc::EIO) as u32);
            }
        };
        self.answer(0);
        self.running = Some(Running {
            wish,
            child,
            deadline,
        });
    }

    fn answer(&mut self, errno: u32) {
        if self.answers.len() < ANSWERS {
            self.answers.push_back(errno);
        }
    }

    fn run(&self, wish: Wish) -> io::Result<Option<Child>> {
        let own = match wish {
            Wish::Shutdown => &self.shutdown,
            Wish::Reboot => &self.reboot,
        };
        let mut command = match own {
            Some(own) => {
                let mut shell = Command::new("/bin/sh");
                shell.arg("-c").arg(own);
                shell
            }
            None if Path::new(wish.usual()).exists() => Command::new(wish.usual()),
            None => return Ok(None),
        };
        raw::may_be_killed(&mut command);
        command.stdin(Stdio::null()).spawn().map(Some)
    }

    /// Answers, and sees to it that what was asked for happens.
    pub fn serve(&mut self, channel: &mut Channel) {
        while let Some(&errno) = self.answers.front() {
            if channel.is_open() && !channel.control(Control::Answer(errno)) {
                break;
            }
            self.answers.pop_front();
        }
        let Some(running) = &mut self.running else {
            return;
        };
        if let Some(child) = &mut running.child {
            if let Ok(Some(status)) = child.try_wait() {
                running.child = None;
                if !status.success() {
                    log(format_args!("the command for it has failed: {status}"));
                    if running.deadline.is_none() {
                        // The host can ask again.
                        self.running = None;
                        return;
                    }
                }
            }
        }
        let is_due = running.deadline.is_some_and(|at| Instant::now() >= at);
        if is_due && self.answers.is_empty() {
            let wish = running.wish;
            self.running = None;
            if self.may_force {
                force(wish);
            }
        }
    }
}

/// Without asking anybody.
fn force(wish: Wish) {
    log(format_args!("{wish:?}: by reboot(2)"));
    let (done, wait) = mpsc::channel();
    thread::spawn(move || {
        sync();
        _ = done.send(());
    });
    _ = wait.recv_timeout(SYNC);
    if let Err(e) = reboot(wish.call()) {
        log(format_args!("reboot(2): {e}"));
    }
}
