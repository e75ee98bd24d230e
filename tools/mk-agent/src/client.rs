// SPDX-License-Identifier: GPL-2.0

//! `--connect`: a client of a port's socket, where there is no socat.

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        Arc,
    },
    thread,
};

/// Passes standard input to the port and what comes from there to standard output, until the host
/// closes the port.
///
/// # Errors
///
/// Also that the stream was cut, but not behind the end of standard input: then an agent that has no more
/// for a client, and one that has left it, look the same from here.
pub fn connect(port: &Path) -> io::Result<()> {
    let socket = UnixStream::connect(port)?;
    let mut to = socket.try_clone()?;
    // As files they are not buffered: what has come waits for nothing.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let has_ended = Arc::new(AtomicBool::new(false));
    let ends = has_ended.clone();
    thread::spawn(move || {
        let is_left = |error: &io::Error| {
            let kind = error.kind();
            matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        };
        // When nobody takes more, what has come still counts.
        if !pass(&mut input, &mut to).is_err_and(|error| is_left(&error)) {
            ends.store(true, SeqCst);
            _ = to.shutdown(Shutdown::Write);
        }
    });
    pass(&mut &socket, &mut output)?;
    // An end leaves the other direction open. Asked first: the end of ours hangs up, too.
    if has_hung_up(&socket) && !has_ended.load(SeqCst) {
        return Err(io::Error::other("the stream was cut"));
    }
    Ok(())
}

fn has_hung_up(socket: &UnixStream) -> bool {
    let mut files = [PollFd::new(socket, PollFlags::empty())];
    let is_told = poll(&mut files, Some(&Timespec::default())).is_ok_and(|count| count > 0);
    is_told && files[0].revents().contains(PollFlags::HUP)
}

/// Not io::copy(): where it has the kernel move bytes, they may wait for more of them.
fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = [0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(buffer.get(..count).unwrap_or(&[]))?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
