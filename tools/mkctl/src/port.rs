// SPDX-License-Identifier: GPL-2.0

//! `send` and `recv`: streams to and from a port of an instance.

use crate::{
    device::{Access, Device, Moved},
    error::{Error, Kind, Result},
    instance::Instance,
    output,
};
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsFd,
    path::Path,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant as Time},
};

/// How often the state is looked at when nothing wakes us.
const LOOK: Duration = Duration::from_millis(200);

/// How long an instance takes to stop, and to be seen stopped.
const STOPPING: Duration = Duration::from_secs(2);

/// A port, and how long its other end is waited for.
struct Port<'p> {
    device: Device<'p>,
    interrupted: &'p AtomicBool,
    wait: Option<Duration>,
    began: Time,
    connected: bool,
}

impl<'p> Port<'p> {
    fn open(
        instance: &'p Instance<'p>,
        number: u16,
        access: Access,
        wait: Option<Duration>,
        interrupted: &'p AtomicBool,
    ) -> Result<Self> {
        Ok(Self {
            device: Device::open(instance, &format!("port{number}"), access)?,
            interrupted,
            wait,
            began: Time::now(),
            connected: false,
        })
    }

    /// Sends all of it, or that there is nothing.
    fn write(&mut self, bytes: &[u8]) -> Result {
        let mut rest = bytes;
        loop {
            match self.device.write(rest)? {
                Moved::Bytes(count) => {
                    rest = &rest[count..];
                    self.connected = true;
                    if rest.is_empty() {
                        return Ok(());
                    }
                }
                Moved::Nothing => self.wait(PollFlags::OUT)?,
                // Over is the stream before: who is next has not come.
                Moved::NotConnected | Moved::Over
                    if !self.connected && self.device.end().is_none() =>
                {
                    self.wait(PollFlags::OUT)?;
                }
                Moved::NotConnected | Moved::Over | Moved::Cut => {
                    let why = format!("{}: the other side has closed it", self.device.path);
                    return Err(self.stopped(why));
                }
            }
        }
    }

    /// How the instance has ended, if it has. What tells so comes after the end of the stream, when its
    /// CPUs have stopped.
    fn end(&self) -> Option<String> {
        let began = Time::now();
        loop {
            let how = self.device.end();
            let mut files = [PollFd::new(&self.device.file, PollFlags::empty())];
            let is_ready =
                poll(&mut files, Some(&Timespec::default())).is_ok_and(|ready| ready > 0);
            let is_over = is_ready && files[0].revents().contains(PollFlags::HUP);
            if how.is_some() || !is_over || began.elapsed() >= STOPPING {
                return how;
            }
            thread::sleep(LOOK / 4);
        }
    }

    /// That it cannot go on.
    fn stopped(&self, why: String) -> Error {
        match self.end() {
            Some(how) => Error::new(Kind::WrongState, how),
            None => Error::new(Kind::Failed, why),
        }
    }

    /// Waits for bytes, or for room.
    fn wait(&self, flags: PollFlags) -> Result {
        let is_late = self.wait.is_some_and(|wait| self.began.elapsed() >= wait);
        if !self.connected && is_late {
            let what = match flags.contains(PollFlags::OUT) {
                true => "nobody is at the other end",
                false => "nobody at the other end has sent anything",
            };
            let what = format!("{}: {what}, and the time is up", self.device.path);
            return Err(Error::new(Kind::Timeout, what));
        }
        self.is_ready(&self.device.file, flags).map(drop)
    }

    /// Waits for a file, not for ever, and not when the instance or the user has ended it.
    fn is_ready(&self, file: &File, flags: PollFlags) -> Result<bool> {
        if self.interrupted.load(Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        if let Some(how) = self.device.end() {
            return Err(Error::new(Kind::WrongState, how));
        }
        let timeout = Timespec::try_from(LOOK).unwrap_or_default();
        let mut files = [PollFd::new(file, flags)];
        let ready = poll(&mut files, Some(&timeout)).is_ok_and(|ready| ready > 0);
        let told = files[0].revents();
        let is_over = told.contains(PollFlags::HUP) && !told.intersects(flags);
        if ready && is_over && !self.connected {
            // It is over, and what is to be moved does not know yet.
            thread::sleep(LOOK);
        }
        Ok(ready)
    }
}

/// Sends all of the file, or of stdin.
pub fn send(
    instance: &Instance,
    number: u16,
    file: Option<&Path>,
    wait: Option<Duration>,
    interrupted: &AtomicBool,
) -> Result {
    let failed = |e: io::Error| {
        let name = file.unwrap_or("stdin".as_ref()).display();
        // Not an instance that is missing.
        Error::new(Kind::Failed, Error::system(name, &e).to_string())
    };
    let mut source = match file {
        Some(path) => File::open(path).map_err(failed)?,
        None => io::stdin()
            .as_fd()
            .try_clone_to_owned()
            .map_err(failed)?
            .into(),
    };
    let mut port = Port::open(instance, number, Access::Write, wait, interrupted)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        if !port.is_ready(&source, PollFlags::IN)? {
            continue;
        }
        let count = source.read(&mut buffer).map_err(failed)?;
        if count > 0 {
            port.write(&buffer[..count])?;
            continue;
        }
        if !port.connected {
            // Who waits for what is nothing is told, too.
            port.write(&[])?;
        }
        return Ok(());
    }
}

/// Prints what comes, until the other side closes.
pub fn receive(
    instance: &Instance,
    number: u16,
    wait: Option<Duration>,
    interrupted: &AtomicBool,
) -> Result {
    let mut port = Port::open(instance, number, Access::Read, wait, interrupted)?;
    let mut buffer = vec![0; 64 << 10];
    loop {
        // Before the read: what is over while the instance starts has not begun, for the channel opens
        // before it runs.
        let has_not_begun = !port.connected && port.device.is_starting();
        match port.device.read(&mut buffer)? {
            Moved::Bytes(count) => {
                port.connected = true;
                if !output::pass(io::stdout().as_fd(), &buffer[..count], interrupted)? {
                    return Ok(());
                }
            }
            Moved::Nothing | Moved::NotConnected => port.wait(PollFlags::IN)?,
            // Not for bytes: an end would wake us at once.
            Moved::Over if has_not_begun => port.wait(PollFlags::empty())?,
            Moved::Cut => {
                let why = format!("{}: the other side has gone too early", port.device.path);
                return Err(port.stopped(why));
            }
            Moved::Over => {
                return match port.end() {
                    Some(how) => Err(Error::new(Kind::WrongState, how)),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::tests::{put_over, Tree};
    use rustix::fs::{mknodat, open, FileType, Mode, OFlags, CWD};
    use std::{fs, io::Write, os::unix::fs::MetadataExt};

    /// Port 2 of web is a pipe: bytes, no room, an end.
    fn tree() -> Tree {
        let tree = Tree::new(&[
            ("/sys/class/multikernel/web/state", "running\n"),
            ("/sys/class/multikernel/web/reason", "-\n"),
            ("/dev/multikernel/web/log", ""),
            ("/file", &"0123456789".repeat(50_000)),
        ]);
        mknodat(CWD, pipe(&tree), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        tree
    }

    fn pipe(tree: &Tree) -> std::path::PathBuf {
        tree.host.path("/dev/multikernel/web/port2")
    }

    /// An end that keeps the pipe open.
    fn hold(tree: &Tree) -> File {
        File::options()
            .read(true)
            .write(true)
            .open(pipe(tree))
            .unwrap()
    }

    /// Waits until this program has the pipe open so often.
    fn await_files(pipe: &Path, count: usize) {
        let id = |path: &Path| fs::metadata(path).map(|it| (it.dev(), it.ino())).ok();
        let pipe = id(pipe).unwrap();
        let files = || fs::read_dir("/proc/self/fd").unwrap();
        // Other tests open and close theirs meanwhile.
        let is_it = |fd: &io::Result<fs::DirEntry>| id(&fd.as_ref().unwrap().path()) == Some(pipe);
        let began = Time::now();
        while files().filter(is_it).count() < count {
            assert!(began.elapsed() < Duration::from_secs(60), "nobody opens it");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn send_in(tree: &Tree, interrupted: bool, wait: Option<Duration>) -> Result {
        let file = tree.host.path("/file");
        send(
            &tree.instance("web"),
            2,
            Some(&file),
            wait,
            &AtomicBool::new(interrupted),
        )
    }

    #[test]
    fn a_file_is_sent_whole() {
        let tree = tree();
        let held = hold(&tree);
        let path = pipe(&tree);
        let reader = thread::spawn(move || fs::read(path).unwrap());
        // The reader is there, then nobody else who would keep it from the end.
        send_in(&tree, false, None).unwrap();
        drop(held);
        assert_eq!(
            reader.join().unwrap(),
            fs::read(tree.host.path("/file")).unwrap()
        );
    }

    #[test]
    fn a_side_that_takes_nothing() {
        let tree = tree();
        let _held = hold(&tree);
        assert_eq!(
            send_in(&tree, true, None).unwrap_err().kind,
            Kind::Interrupted
        );
        fs::write(tree.host.path("/sys/class/multikernel/web/state"), "killed").unwrap();
        let error = send_in(&tree, false, None).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
        assert_eq!(error.to_string(), "web is killed");
    }

    /// As when the stream before is not over on both sides.
    #[test]
    fn a_side_that_closed_before_the_first_byte() {
        let tree = tree();
        let held = hold(&tree);
        // There is room for nothing.
        let flags = OFlags::WRONLY | OFlags::NONBLOCK;
        let full = File::from(open(pipe(&tree), flags, Mode::empty()).unwrap());
        while (&full).write(&[0; 4096]).is_ok() {}
        let path = pipe(&tree);
        let reader = thread::spawn(move || {
            await_files(&path, 3);
            drop(held);
            thread::sleep(Duration::from_millis(100));
            let mut reader = File::open(path).unwrap();
            drop(full);
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read
        });
        send_in(&tree, false, Some(Duration::from_secs(60))).unwrap();
        let read = reader.join().unwrap();
        assert!(read.ends_with(&fs::read(tree.host.path("/file")).unwrap()));
    }

    #[test]
    fn nobody_comes_in_time() {
        let tree = tree();
        let _held = hold(&tree);
        let wait = Some(Duration::from_millis(1));
        let none = AtomicBool::new(false);
        let error = receive(&tree.instance("web"), 2, wait, &none).unwrap_err();
        assert_eq!(error.kind, Kind::Timeout);
    }

    /// The stream ends first, and what tells of a death comes when all CPUs have stopped.
    #[test]
    fn a_death_is_told_after_the_end_of_its_stream() {
        let tree = tree();
        let held = hold(&tree);
        let state = tree.host.path("/sys/class/multikernel/web/state");
        let path = pipe(&tree);
        let death = thread::spawn(move || {
            await_files(&path, 2);
            drop(held);
            thread::sleep(Duration::from_millis(300));
            put_over(&state, "rebooting");
        });
        let none = AtomicBool::new(false);
        let error = receive(&tree.instance("web"), 2, None, &none).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
        death.join().unwrap();
    }

    /// The other end of what starts is there a moment later; until then a read says that nothing comes.
    #[test]
    fn what_starts_has_not_ended_yet() {
        let tree = tree();
        let state = tree.host.path("/sys/class/multikernel/web/state");
        fs::write(&state, "starting\n").unwrap();
        let receive = |wait| {
            let wait = Some(Duration::from_millis(wait));
            receive(&tree.instance("web"), 2, wait, &AtomicBool::new(false))
        };
        assert_eq!(receive(1).unwrap_err().kind, Kind::Timeout);
        let start = thread::spawn(move || {
            thread::sleep(Duration::from_millis(300));
            // In one step: it is never empty.
            let next = state.with_extension("next");
            fs::write(&next, "running\n").unwrap();
            fs::rename(next, state).unwrap();
        });
        let began = Time::now();
        receive(60_000).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(250));
        start.join().unwrap();
    }

    #[test]
    fn the_end_is_the_instances_or_not() {
        let tree = tree();
        let none = AtomicBool::new(false);
        assert!(receive(&tree.instance("web"), 2, None, &none).is_ok());
        fs::write(tree.host.path("/sys/class/multikernel/web/state"), "killed").unwrap();
        let error = receive(&tree.instance("web"), 2, None, &none).unwrap_err();
        assert_eq!(error.kind, Kind::WrongState);
    }
}
