// SPDX-License-Identifier: GPL-2.0

//! Sizes in bytes, as people write them: `512M`, `0x20000000`.

use super::fault::{inval, Result};
use core::fmt;

const UNITS: [(u8, u32); 4] = [(b'K', 10), (b'M', 20), (b'G', 30), (b'T', 40)];

/// Reads a size: decimal or 0x hexadecimal digits and at most one of K, M, G, T in either case.
/// White space around it does not count.
///
/// # Errors
///
/// `Inval` for anything else, and for a size of 16 EiB or more.
pub fn parse(text: &[u8]) -> Result<u64> {
    let text = text.trim_ascii();
    let unit = text.split_last().and_then(|(last, digits)| {
        let last = last.to_ascii_uppercase();
        UNITS
            .iter()
            .find(|unit| unit.0 == last)
            .map(|unit| (digits, unit.1))
    });
    let (digits, shift) = unit.unwrap_or((text, 0));
    let (digits, radix) = match digits {
        [b'0', b'x' | b'X', hex @ ..] => (hex, 16),
        _ => (digits, 10),
    };
    if digits.is_empty() {
        return inval("size", 0, "give a number, as 512M");
    }
    let mut value: u64 = 0;
    for &b in digits {
        let Some(digit) = char::from(b).to_digit(radix) else {
            return inval("character of the size", b.into(), "give a number, as 512M");
        };
        let next = value
            .checked_mul(radix.into())
            .and_then(|v| v.checked_add(digit.into()));
        let Some(next) = next else {
            return inval("size", value, "give less than 16 EiB");
        };
        value = next;
    }
    match value.checked_mul(1 << shift) {
        Some(bytes) => Ok(bytes),
        None => inval("size", value, "give less than 16 EiB"),
    }
}

/// Prints a size in its largest whole unit.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Size(pub u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS
            .iter()
            .rev()
            .find(|unit| self.0.trailing_zeros() >= unit.1);
        match unit.filter(|_| self.0 != 0) {
            Some(&(letter, shift)) => write!(f, "{}{}", self.0 >> shift, char::from(letter)),
            None => write!(f, "{}", self.0),
        }
    }
}
