// SPDX-License-Identifier: GPL-2.0

//! What is wrong with an input: the field, its value, what to do about it, and the errno.

use core::fmt;

/// The errnos that this crate uses.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Errno {
    /// EINVAL.
    Inval,
    /// ENOEXEC.
    NoExec,
    /// E2BIG.
    TooBig,
    /// EBUSY.
    Busy,
    /// ENOMEM.
    NoMem,
    /// ENODEV.
    NoDev,
    /// ERANGE.
    Range,
}

/// A refused input.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the caller gets.
    pub errno: Errno,
    /// What is wrong.
    pub field: &'static str,
    /// Its value.
    pub value: u64,
    /// What to do about it.
    pub remedy: &'static str,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:#x}: {}", self.field, self.value, self.remedy)
    }
}

/// A result with a [`Fault`].
pub type Result<T> = core::result::Result<T, Fault>;

/// An EINVAL.
pub(crate) fn inval<T>(field: &'static str, value: u64, remedy: &'static str) -> Result<T> {
    Err(Fault {
        errno: Errno::Inval,
        field,
        value,
        remedy,
    })
}
