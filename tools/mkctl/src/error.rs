// SPDX-License-Identifier: GPL-2.0

//! What went wrong, what to do about it, and the exit status for it.

use rustix::io::Errno;
use std::{fmt, io};

/// The exit status; `cli.rs` tells users of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Failed = 1,
    NoInstance = 3,
    WrongState = 4,
    Timeout = 5,
    NotPermitted = 6,
    NotReady = 7,
    Interrupted = 130,
}

impl From<&io::Error> for Kind {
    fn from(error: &io::Error) -> Self {
        match Errno::from_io_error(error) {
            Some(Errno::PERM | Errno::ACCESS) => Self::NotPermitted,
            Some(Errno::NOENT | Errno::NODEV) => Self::NoInstance,
            Some(Errno::BUSY | Errno::NODATA | Errno::SRCH) => Self::WrongState,
            Some(Errno::TIMEDOUT) => Self::Timeout,
            Some(Errno::INTR) => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// Printed as one line, and indented ones for what others said and what to do.
#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    /// What the system said, if it did.
    pub errno: Option<Errno>,
    pub what: String,
    pub more: Vec<String>,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>) -> Self {
        Self {
            kind,
            errno: None,
            what: what.into(),
            more: Vec::new(),
        }
    }

    /// An error of the system; `what` names the object.
    pub fn system(what: impl fmt::Display, error: &io::Error) -> Self {
        let errno = Errno::from_io_error(error);
        let text = match errno {
            // Without Rust's "(os error 2)".
            Some(_) => error
                .to_string()
                .split(" (os error")
                .next()
                .unwrap_or_default()
                .into(),
            None => error.to_string(),
        };
        Self {
            errno,
            ..Self::new(Kind::from(error), format!("{what}: {text}"))
        }
    }

    /// Names the step that failed.
    pub fn at(mut self, step: &str) -> Self {
        self.what = format!("{step}: {}", self.what);
        self
    }

    /// Adds a line, as a remedy.
    pub fn add(mut self, line: impl Into<String>) -> Self {
        self.more.push(line.into());
        self
    }

    /// Adds what there is.
    pub fn add_all(mut self, lines: impl IntoIterator<Item = String>) -> Self {
        self.more.extend(lines);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        for line in self.more.iter().flat_map(|more| more.lines()) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

pub type Result<T = ()> = std::result::Result<T, Error>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_errno_has_the_status_that_users_are_told() {
        for (errno, status) in [
            (Errno::PERM, 6),
            (Errno::NOENT, 3),
            (Errno::BUSY, 4),
            (Errno::TIMEDOUT, 5),
            (Errno::IO, 1),
        ] {
            let error = Error::system("/proc/multikernel", &errno.into());
            assert_eq!(error.kind as u8, status, "{error}");
        }
    }
}
