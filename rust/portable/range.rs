// SPDX-License-Identifier: GPL-2.0

//! Ranges of physical addresses.

/// A range of bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// Bytes.
    pub size: u64,
}

impl Range {
    /// The address behind the last byte, if there is one.
    pub fn end(&self) -> Option<u64> {
        self.start.checked_add(self.size)
    }

    /// Whether `other` lies in this range.
    pub fn contains(&self, other: &Range) -> bool {
        match (self.end(), other.end()) {
            (Some(end), Some(other_end)) => self.start <= other.start && other_end <= end,
            _ => false,
        }
    }

    /// Whether a byte lies in both ranges.
    pub fn overlaps(&self, other: &Range) -> bool {
        let end = |range: &Range| range.end().unwrap_or(u64::MAX);
        self.size > 0 && other.size > 0 && self.start < end(other) && other.start < end(self)
    }
}
