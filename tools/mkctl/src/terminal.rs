// SPDX-License-Identifier: GPL-2.0

//! The user's terminal, every key of which is for somebody else.

use crate::error::{Error, Result};
use rustix::{
    fd::BorrowedFd,
    termios::{isatty, tcgetattr, tcgetwinsize, tcsetattr, OptionalActions, Termios, Winsize},
};

/// Puts the terminal back when it goes.
pub struct Raw<'f> {
    file: BorrowedFd<'f>,
    before: Termios,
}

impl<'f> Raw<'f> {
    /// Nothing if it is no terminal.
    pub fn new(file: BorrowedFd<'f>) -> Result<Option<Self>> {
        if !isatty(file) {
            return Ok(None);
        }
        let failed = |e: rustix::io::Errno| Error::system("the terminal", &e.into());
        let before = tcgetattr(file).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(file, OptionalActions::Drain, &raw).map_err(failed)?;
        Ok(Some(Self { file, before }))
    }

    /// Its rows and columns, if it knows.
    pub fn size(&self) -> Option<Winsize> {
        tcgetwinsize(self.file).ok().filter(|size| size.ws_row > 0)
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        _ = tcsetattr(self.file, OptionalActions::Drain, &self.before);
    }
}
