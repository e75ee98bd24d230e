// SPDX-License-Identifier: GPL-2.0

//! Why it cannot run, and what to do.

use std::fmt;

/// The exit status; `cli.rs` tells users of it.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    Failed = 1,
    NoTable = 3,
    Unknown = 4,
    SpokenFor = 5,
    NotPermitted = 6,
    Forbidden = 7,
}

#[derive(Debug)]
pub struct Error {
    pub kind: Kind,
    what: String,
    remedy: String,
}

impl Error {
    pub fn new(kind: Kind, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            what: what.into(),
            remedy: remedy.into(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        match self.remedy.as_str() {
            "" => Ok(()),
            remedy => write!(f, "\n  {remedy}"),
        }
    }
}

pub type Result<T = ()> = std::result::Result<T, Error>;
