// SPDX-License-Identifier: GPL-2.0

//! `--connect`: a client of a port's socket, where there is no socat.

use std::{
    io,
    net::Shutdown,
    os::unix::net::UnixStream,
    path::Path,
    thread, //
};

/// Passes standard input to the port and what comes from there to standard output, until the host
/// closes the port.
pub fn connect(folder: &Path, number: u16) -> io::Result<()> {
    let socket = UnixStream::connect(folder.join(format!("port{number}")))?;
    let mut to = socket.try_clone()?;
    thread::spawn(move || {
        // When the host takes no more, what comes from it still counts.
        _ = io::copy(&mut io::stdin().lock(), &mut to);
        _ = to.shutdown(Shutdown::Write);
    });
    io::copy(&mut &socket, &mut io::stdout().lock()).map(drop)
}
