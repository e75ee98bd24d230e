// SPDX-License-Identifier: GPL-2.0

//! What holds for any text that may be a size, and for any size.

use multikernel_portable::{
    fault::Errno,
    size::{parse, Size},
};

/// The slow way, in 128 bits.
fn model(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text
        .trim_matches([' ', '\t', '\n', '\r', '\x0c'])
        .to_ascii_lowercase(); // the kelvin sign is no K
    let unit = text.chars().last().and_then(|last| "kmgt".find(last));
    let digits = unit.map_or(&*text, |_| &text[..text.len() - 1]);
    let (digits, radix) = match digits.strip_prefix("0x") {
        Some(hex) => (hex, 16),
        None => (digits, 10),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    if digits.len() > 20 {
        return None;
    }
    let value = u128::from_str_radix(&format!("0{digits}"), radix).ok()?;
    u64::try_from(value << unit.map_or(0, |unit| 10 * (unit + 1))).ok()
}

/// Reads a text, and what comes out once more.
pub fn check(text: &[u8]) {
    let size = parse(text);
    assert_eq!(size.ok(), model(text), "{}", text.escape_ascii());
    match size {
        Ok(size) => check_print(size),
        Err(fault) => assert_eq!(fault.errno, Errno::Inval),
    }
}

/// Prints a size, and reads it.
pub fn check_print(size: u64) {
    let text = Size(size).to_string();
    assert_eq!(parse(text.as_bytes()), Ok(size), "{text}");
    // No larger unit would do.
    let number: u64 = text.trim_end_matches(['K', 'M', 'G', 'T']).parse().unwrap();
    assert!(
        number % 1024 != 0 || number == 0 || text.ends_with('T'),
        "{text}"
    );
}
