// SPDX-License-Identifier: GPL-2.0

//! Names of instances: `[A-Za-z0-9][A-Za-z0-9._-]{0,31}`.

use super::fault::{inval, Result};
use core::fmt;

/// Longest name, in bytes.
pub const MAX_LEN: usize = 32;

/// A checked name.
///
/// # Invariants
///
/// `bytes[..len]` obeys the rule above, and the rest is NUL.
#[derive(Copy, Clone, PartialEq, Eq)]
pub struct Name {
    bytes: [u8; MAX_LEN + 1],
    len: usize,
}

impl Name {
    /// Checks a name.
    ///
    /// # Errors
    ///
    /// `Inval`, with the length or the bad byte as value.
    pub fn new(text: &[u8]) -> Result<Self> {
        if text.is_empty() || text.len() > MAX_LEN {
            return inval(
                "length of the name",
                text.len() as u64,
                "use 1 to 32 characters",
            );
        }
        for (i, &b) in text.iter().enumerate() {
            if !(b.is_ascii_alphanumeric() || i > 0 && b"._-".contains(&b)) {
                let remedy = "use letters, digits, and after the first also . _ -";
                return inval("character of the name", b.into(), remedy);
            }
        }
        let mut bytes = [0; MAX_LEN + 1];
        for (to, from) in bytes.iter_mut().zip(text) {
            *to = *from;
        }
        // INVARIANT: Checked above.
        Ok(Self {
            bytes,
            len: text.len(),
        })
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        let text = self.bytes.get(..self.len).unwrap_or(&[]);
        core::str::from_utf8(text).unwrap_or("")
    }

    /// The name with one NUL behind it.
    pub fn as_bytes_with_nul(&self) -> &[u8] {
        self.bytes.get(..=self.len).unwrap_or(&[0])
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
