// SPDX-License-Identifier: GPL-2.0

//! A line of text that somebody else may have written.

use core::fmt;

/// Longest line, in bytes.
pub const MAX_LEN: usize = 256;

/// At most [`MAX_LEN`] bytes of printable ASCII; what is longer is cut, and what is not printable
/// becomes a question mark.
#[derive(Copy, Clone)]
pub struct Line {
    bytes: [u8; MAX_LEN],
    len: usize,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            bytes: [0; MAX_LEN],
            len: 0,
        }
    }
}

impl Line {
    /// Takes `text`, without the white space around it.
    pub fn new(text: &[u8]) -> Self {
        let mut line = Self::default();
        line.push(text.trim_ascii());
        line
    }

    fn push(&mut self, text: &[u8]) {
        let room = self.bytes.get_mut(self.len..).unwrap_or_default();
        for (to, &from) in room.iter_mut().zip(text) {
            let printable = from == b' ' || from.is_ascii_graphic();
            *to = if printable { from } else { b'?' };
        }
        self.len = self.len.saturating_add(text.len()).min(MAX_LEN);
    }

    /// The line.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(self.bytes.get(..self.len).unwrap_or(&[])).unwrap_or("")
    }

    /// Whether there is nothing to read.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
