// SPDX-License-Identifier: GPL-2.0

//! `--connect`: a client of a port's socket, where there is no socat.

use std::{
    fs::File,
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    thread, //
};

/// Passes standard input to the port and what comes from there to standard output, until the host
/// closes the port.
pub fn connect(folder: &Path, number: u16) -> io::Result<()> {
    let socket = UnixStream::connect(folder.join(format!("port{number}")))?;
    let mut to = socket.try_clone()?;
    // As files they are not buffered: what has come waits for nothing.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    thread::spawn(move || {
        // When the host takes no more, what comes from it still counts.
        _ = pass(&mut input, &mut to);
        _ = to.shutdown(Shutdown::Write);
    });
    pass(&mut &socket, &mut output)
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
