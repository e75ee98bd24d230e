// SPDX-License-Identifier: GPL-2.0

//! What goes to stdout.

use crate::error::{Error, Result};
use std::{
    io::{self, ErrorKind, Write},
    process,
};

/// Prints at once. When nobody reads any more, as `head` after its lines, there is nothing left to do.
pub fn print(text: impl AsRef<[u8]>) -> Result {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_ref()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == ErrorKind::BrokenPipe => process::exit(0),
        result => result.map_err(|e| Error::system("stdout", &e)),
    }
}
