// SPDX-License-Identifier: GPL-2.0

//! What goes to stdout and stderr.

use crate::error::{Error, Kind, Result};
use rustix::{
    event::{poll, PollFd, PollFlags, Timespec},
    fd::BorrowedFd,
    io::{write, Errno},
};
use std::{
    io::{self, ErrorKind, Write},
    process,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

/// A pipe that has room for some has room for so many (pipe(7)).
const PIPE_BUF: usize = 4096;
/// How often a signal is looked for while nobody reads.
const LOOK: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 200_000_000,
};

/// Prints at once. When nobody reads any more, as `head` after its lines, there is nothing left to do.
pub fn print(text: impl AsRef<[u8]>) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => process::exit(0),
        result => result.map_err(|e| Error::system("stdout", &e)),
    }
}

/// Passes on what has come, to a reader who may be slow: a signal is heard meanwhile. Whether there is one
/// still.
pub fn pass(to: BorrowedFd<'_>, mut bytes: &[u8], interrupted: &AtomicBool) -> Result<bool> {
    let failed = |e: Errno| Error::system("stdout", &e.into());
    while !bytes.is_empty() {
        if interrupted.load(Relaxed) {
            return Err(Error::new(Kind::Interrupted, "interrupted"));
        }
        let mut files = [PollFd::from_borrowed_fd(to, PollFlags::OUT)];
        match poll(&mut files, Some(&LOOK)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(failed(e)),
        }
        match write(to, &bytes[..bytes.len().min(PIPE_BUF)]) {
            Ok(count) => bytes = &bytes[count..],
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(Errno::PIPE) => return Ok(false),
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(true)
}

/// Tells people something on stderr, if anybody is there: a terminal may have hung up.
pub fn tell(text: impl AsRef<[u8]>) {
    _ = io::stderr().write_all(text.as_ref());
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::pipe;
    use std::{os::fd::AsFd, thread, time::Duration};

    #[test]
    fn a_signal_is_heard_while_nobody_reads() {
        let (_reader, writer) = pipe().unwrap();
        let interrupted = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(300));
                interrupted.store(true, Relaxed);
            });
            let error = pass(writer.as_fd(), &[7; 1 << 20], &interrupted).unwrap_err();
            assert_eq!(error.kind, Kind::Interrupted);
        });
    }

    #[test]
    fn who_reads_no_more_is_no_failure() {
        let (reader, writer) = pipe().unwrap();
        drop(reader);
        let never = AtomicBool::new(false);
        assert!(!pass(writer.as_fd(), &[7; 8], &never).unwrap());
    }
}
