// SPDX-License-Identifier: GPL-2.0

//! `--connect`: a client of a port's socket, where there is no socat.

use rustix::event::{poll, PollFd, PollFlags, Timespec};
use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    sync::{Arc, OnceLock},
    thread,
};

/// Passes standard input to the port and what comes from there to standard output, until the host
/// closes the port.
///
/// # Errors
///
/// Also those of reading standard input, which end the stream to the port. And that the stream was cut, but
/// not behind the end of standard input: then an agent that has no more for a client, and one that has left it,
/// look the same from here.
pub fn connect(port: &Path) -> io::Result<()> {
    let socket = UnixStream::connect(port)?;
    let mut to = socket.try_clone()?;
    // As files they are not buffered: what has come waits for nothing.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let end = Arc::new(OnceLock::new());
    let ends = end.clone();
    thread::spawn(move || {
        let is_left = |error: &io::Error| {
            let kind = error.kind();
            matches!(kind, ErrorKind::BrokenPipe | ErrorKind::ConnectionReset)
        };
        // When nobody takes more, what has come still counts.
        let passed = pass(&mut input, &mut to);
        if !passed.as_ref().is_err_and(is_left) {
            _ = ends.set(passed);
            _ = to.shutdown(Shutdown::Write);
        }
    });
    pass(&mut &socket, &mut output)?;
    // An end leaves the other direction open. Asked first: the end of ours hangs up, too.
    let has_hung_up = has_hung_up(&socket);
    match end.get() {
        Some(Err(error)) => Err(io::Error::other(format!("standard input: {error}"))),
        None if has_hung_up => Err(io::Error::other("the stream was cut")),
        _ => Ok(()),
    }
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
