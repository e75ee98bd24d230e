// SPDX-License-Identifier: GPL-2.0

//! `console`: the terminal of a shell in an instance.

use crate::{
    cli::Escape,
    device::{Access, Device, Moved},
    error::{Error, Kind, Result},
    instance::Instance,
    output::{self, tell},
    terminal::Raw,
};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    fd::{AsFd, BorrowedFd},
    io::{read, Errno},
    termios::tcsetwinsize,
};
use std::{
    fs::File,
    os::unix::fs::FileExt,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::{Duration, Instant as Time},
};

/// Keys that wait for room. More are lost, so that the one that leaves is always heard.
const AHEAD: usize = 64 << 10;
/// How often the state is looked at when nothing wakes us.
const LOOK: Duration = Duration::from_millis(500);

/// How it ended; the text is for the user.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    Left,
    Died(String),
}

/// Says on stderr how it ended.
pub fn attach(
    instance: &Instance,
    escape: Escape,
    wait: Option<Duration>,
    interrupted: &AtomicBool,
    resized: &AtomicBool,
) -> Result {
    let (input, output) = (std::io::stdin(), std::io::stdout());
    let viewer = Viewer {
        device: Device::open(instance, "console", Access::Both)?,
        input: input.as_fd(),
        output: output.as_fd(),
        escape,
        wait,
    };
    if rustix::termios::isatty(viewer.input) {
        tell(format!("The console of {instance}; {escape} leaves it.\n"));
    }
    match viewer.run(interrupted, resized)? {
        End::Left => tell(format!("\nleft; {instance} goes on\n")),
        End::Died(how) => tell(format!("\n{how}\n")),
    }
    Ok(())
}

struct Viewer<'v> {
    device: Device<'v>,
    input: BorrowedFd<'v>,
    output: BorrowedFd<'v>,
    escape: Escape,
    wait: Option<Duration>,
}

impl Viewer<'_> {
    /// Until the key that leaves, or the instance's end. The terminal is then as before.
    fn run(&self, interrupted: &AtomicBool, resized: &AtomicBool) -> Result<End> {
        let device = &self.device;
        let state = device.instance.host.path(&device.instance.class("state"));
        let state = File::open(state).map_err(|_| device.instance.gone())?;
        let raw = Raw::new(self.input)?;
        let began = Time::now();
        let mut buffer = vec![0; 16 << 10];
        let mut keys = Vec::new();
        let (mut connected, mut has_input, mut told) = (false, true, false);
        let (mut hung_up, mut lost) = (false, false);
        resized.store(true, Relaxed);
        loop {
            if interrupted.load(Relaxed) {
                return Err(Error::new(Kind::Interrupted, "interrupted"));
            }
            // Until it is read it wakes us at once.
            _ = state.read_at(&mut [0; 64], 0);
            // Before the read: what was written before an end is read before it is told.
            let end = device.end();
            let moved = device.read(&mut buffer)?;
            match (moved, end) {
                (Moved::Bytes(count), _) => {
                    connected = true;
                    if !output::pass(self.output, &buffer[..count], interrupted)? {
                        return Err(Error::system("stdout", &Errno::PIPE.into()));
                    }
                }
                (_, Some(how)) => return Ok(End::Died(how)),
                _ => {}
            }
            if !keys.is_empty() {
                match device.write(&keys)? {
                    Moved::Bytes(count) => drop(keys.drain(..count)),
                    Moved::Over | Moved::Cut => keys.clear(),
                    Moved::Nothing | Moved::NotConnected => {}
                }
            }
            if resized.load(Relaxed) {
                let size = raw.as_ref().and_then(Raw::size);
                let sent = size.is_none_or(|size| tcsetwinsize(&device.file, size).is_ok());
                resized.store(!sent, Relaxed);
            }
            let mut files = vec![
                PollFd::new(&state, PollFlags::PRI),
                PollFd::new(&device.file, PollFlags::IN | PollFlags::OUT),
            ];
            if connected {
                let wanted = if keys.is_empty() {
                    PollFlags::IN
                } else {
                    PollFlags::IN | PollFlags::OUT
                };
                files[1] = PollFd::new(&device.file, wanted);
            }
            let may_take = has_input && (raw.is_some() || keys.is_empty());
            if may_take {
                files.push(PollFd::from_borrowed_fd(self.input, PollFlags::IN));
            }
            // One that is over would wake us for ever; but there may be another session.
            let is_over = moved == Moved::Over || (hung_up && moved == Moved::Nothing);
            if is_over {
                files.remove(1);
            }
            // There may be more: but keys are heard in between.
            let timeout = if matches!(moved, Moved::Bytes(_)) {
                Duration::ZERO
            } else {
                LOOK
            };
            let timeout = Timespec::try_from(timeout).unwrap_or_default();
            match poll(&mut files, Some(&timeout)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(Error::system("poll", &e.into())),
            }
            let told_by_device = if is_over {
                PollFlags::empty()
            } else {
                files[1].revents()
            };
            hung_up = told_by_device.contains(PollFlags::HUP);
            connected |= told_by_device.contains(PollFlags::OUT);
            let was_lost = std::mem::replace(&mut lost, is_over || hung_up);
            if was_lost && !lost {
                // It may be another agent, which does not know the size.
                resized.store(true, Relaxed);
            }
            let ready = may_take && files.last().is_some_and(|file| !file.revents().is_empty());
            if ready {
                match self.take(&mut buffer, raw.is_some(), &mut keys)? {
                    Some(more) => has_input = more,
                    None => return Ok(End::Left),
                }
            }
            if !connected {
                if self.wait.is_some_and(|wait| began.elapsed() >= wait) {
                    let what = format!(
                        "nobody in {} gives a console, and the time is up",
                        device.instance
                    );
                    return Err(Error::new(Kind::Timeout, what).add("mk-agent in it does"));
                }
                if raw.is_some() && !told {
                    tell("It waits for mk-agent to come up there.\r\n");
                    told = true;
                }
            }
        }
    }

    /// Takes keys: whether there can be more, or nothing when one is to leave.
    fn take(
        &self,
        buffer: &mut [u8],
        is_terminal: bool,
        keys: &mut Vec<u8>,
    ) -> Result<Option<bool>> {
        let bytes = match read(self.input, &mut *buffer) {
            Ok(count) => &buffer[..count],
            Err(Errno::AGAIN | Errno::INTR) => return Ok(Some(true)),
            // The terminal is gone.
            Err(Errno::IO) if is_terminal => return Ok(None),
            Err(e) => return Err(Error::system("stdin", &e.into())),
        };
        if bytes.is_empty() {
            return Ok(if is_terminal { None } else { Some(false) });
        }
        let leaves = bytes
            .iter()
            .position(|&key| is_terminal && Some(key) == self.escape.0);
        let bytes = &bytes[..leaves.unwrap_or(bytes.len())];
        let room = if is_terminal {
            AHEAD - keys.len().min(AHEAD)
        } else {
            bytes.len()
        };
        keys.extend(&bytes[..bytes.len().min(room)]);
        if leaves.is_none() {
            return Ok(Some(true));
        }
        // What was typed before, as far as there is room.
        if !keys.is_empty() {
            self.device.write(keys)?;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::{put_over, Tree};
    use rustix::{
        fd::OwnedFd,
        fs::{fcntl_getfl, fcntl_setfl, OFlags},
        io::write,
        pty::{grantpt, ioctl_tiocgptpeer, openpt, ptsname, unlockpt, OpenptFlags},
        termios::{tcgetattr, tcgetwinsize, tcsetattr, LocalModes, OptionalActions, Winsize},
    };
    use std::{
        os::unix::{ffi::OsStrExt, fs::symlink},
        thread::{self, sleep},
    };

    const RUNNING: &[(&str, &str)] = &[
        ("/sys/class/multikernel/web/state", "running\n"),
        ("/sys/class/multikernel/web/reason", "-\n"),
        ("/dev/multikernel/web/log", ""),
    ];

    /// A terminal with both of its ends.
    struct Pty {
        master: OwnedFd,
        slave: OwnedFd,
    }

    impl Pty {
        fn new() -> Self {
            let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY;
            let master = openpt(flags).unwrap();
            grantpt(&master).unwrap();
            unlockpt(&master).unwrap();
            let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
            fcntl_setfl(&master, fcntl_getfl(&master).unwrap() | OFlags::NONBLOCK).unwrap();
            Self { master, slave }
        }

        /// The slave is the console of web in this tree: it passes bytes and sizes, as that does.
        fn be_console(&self, tree: &Tree) {
            let mut raw = tcgetattr(&self.slave).unwrap();
            raw.make_raw();
            tcsetattr(&self.slave, OptionalActions::Now, &raw).unwrap();
            let name = ptsname(&self.master, Vec::new()).unwrap();
            let name = std::ffi::OsStr::from_bytes(name.as_bytes());
            symlink(name, tree.host.path("/dev/multikernel/web/console")).unwrap();
        }

        fn type_in(&self, text: &[u8]) {
            write(&self.master, text).unwrap();
        }

        /// Waits until the master has been sent this; returns all that it was.
        fn hears(&self, text: &str) -> String {
            let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
            let began = Time::now();
            while !String::from_utf8_lossy(&heard).contains(text) {
                assert!(
                    began.elapsed().as_secs() < 20,
                    "'{}'",
                    String::from_utf8_lossy(&heard)
                );
                match read(&self.master, &mut buffer) {
                    Ok(count) => heard.extend(&buffer[..count]),
                    Err(_) => sleep(Duration::from_millis(1)),
                }
            }
            String::from_utf8_lossy(&heard).into_owned()
        }

        fn echoes(&self) -> bool {
            tcgetattr(&self.slave)
                .unwrap()
                .local_modes
                .contains(LocalModes::ECHO)
        }
    }

    /// What somebody at `user` does while the console of web, which is `there`, is shown.
    fn view(
        tree: &Tree,
        user: &Pty,
        wait: Option<Duration>,
        does: impl FnOnce() + Send,
    ) -> Result<End> {
        let instance = tree.instance("web");
        let viewer = Viewer {
            device: Device::open(&instance, "console", Access::Both)?,
            input: user.slave.as_fd(),
            output: user.slave.as_fd(),
            escape: Escape(Some(0x1d)),
            wait,
        };
        let resized = AtomicBool::new(false);
        let end = thread::scope(|scope| {
            scope.spawn(does);
            viewer.run(&AtomicBool::new(false), &resized)
        });
        assert!(user.echoes(), "the terminal is not as before");
        end
    }

    #[test]
    fn keys_go_there_and_words_come_back() {
        let (tree, user, there) = (Tree::new(RUNNING), Pty::new(), Pty::new());
        there.be_console(&tree);
        there.type_in(b"from boot on\r\n");
        let end = view(&tree, &user, None, || {
            user.hears("from boot on");
            assert!(!user.echoes());
            user.type_in(b"uname\x03\x1a");
            assert_eq!(there.hears("uname\x03\x1a"), "uname\x03\x1a");
            there.type_in(b"Linux");
            user.hears("Linux");
            user.type_in(b"last\x1dnever");
            assert_eq!(there.hears("last"), "last");
        });
        assert_eq!(end.unwrap(), End::Left);
        let mut more = [0; 8];
        assert_eq!(read(&there.master, &mut more), Err(Errno::AGAIN));
    }

    #[test]
    fn the_size_goes_there() {
        let (tree, user, there) = (Tree::new(RUNNING), Pty::new(), Pty::new());
        there.be_console(&tree);
        let size = Winsize {
            ws_row: 33,
            ws_col: 101,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&user.master, size).unwrap();
        let end = view(&tree, &user, None, || {
            let began = Time::now();
            while tcgetwinsize(&there.master).unwrap().ws_col != 101 {
                assert!(began.elapsed().as_secs() < 20);
            }
            user.type_in(b"\x1d");
        });
        assert_eq!(end.unwrap(), End::Left);
    }

    #[test]
    fn a_death_is_told_after_the_last_words() {
        let (tree, user, there) = (Tree::new(RUNNING), Pty::new(), Pty::new());
        there.be_console(&tree);
        let end = view(&tree, &user, None, || {
            there.type_in(b"last words");
            let put = |file, text| {
                let path = tree
                    .host
                    .path(&format!("/sys/class/multikernel/web/{file}"));
                put_over(&path, text);
            };
            put("reason", "panic Kernel panic - not syncing: no more\n");
            put("state", "panicked\n");
            user.hears("last words");
        });
        let how = "web is panicked, reason panic Kernel panic - not syncing: no more";
        assert_eq!(end.unwrap(), End::Died(how.into()));
    }

    #[test]
    fn a_quarantine_is_an_end() {
        let tree = Tree::new(&[
            ("/sys/class/multikernel/web/state", "quarantined\n"),
            ("/sys/class/multikernel/web/reason", "stopped\n"),
            ("/dev/multikernel/web/log", ""),
        ]);
        let (user, there) = (Pty::new(), Pty::new());
        there.be_console(&tree);
        there.type_in(b"last words");
        // So that it does not go on for ever when it is none.
        let end = view(&tree, &user, None, || {
            user.hears("last words");
            sleep(Duration::from_secs(1));
            user.type_in(b"\x1d");
        });
        let how = "web is quarantined, reason stopped";
        assert_eq!(end.unwrap(), End::Died(how.into()));
    }

    #[test]
    fn keys_are_heard_while_words_come() {
        let (tree, user) = (Tree::new(RUNNING), Pty::new());
        // It always has more to say.
        symlink("/dev/zero", tree.host.path("/dev/multikernel/web/console")).unwrap();
        let end = view(&tree, &user, None, || {
            while user.echoes() {}
            user.type_in(b"\x1d");
            let began = Time::now();
            while !user.echoes() {
                assert!(began.elapsed().as_secs() < 20, "it goes on");
                _ = read(&user.master, &mut [0; 8192]);
            }
        });
        assert_eq!(end.unwrap(), End::Left);
    }

    #[test]
    fn a_module_without_channel() {
        let (tree, user) = (Tree::new(RUNNING), Pty::new());
        let error = view(&tree, &user, None, || ()).unwrap_err();
        assert_eq!(error.kind, Kind::NotReady);
    }
}
