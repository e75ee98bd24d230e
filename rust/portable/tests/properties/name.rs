// SPDX-License-Identifier: GPL-2.0

//! What holds for any text that may be a name.

use multikernel_portable::{fault::Errno, name::Name};

/// Checks a name.
pub fn check(text: &[u8]) {
    const ALLOWED: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    let good = |b: &u8| ALLOWED.as_bytes().contains(b);
    let starts_well = text.first().is_some_and(|b| !b"._-".contains(b));
    let expected = starts_well && text.len() <= 32 && text.iter().all(good);
    match Name::new(text) {
        Ok(name) => {
            assert!(expected, "{} was taken", text.escape_ascii());
            assert_eq!(name.as_str().as_bytes(), text);
            assert_eq!(name.as_bytes_with_nul(), [text, b"\0"].concat());
            assert_eq!(name.to_string(), name.as_str());
            assert_eq!(Name::new(name.as_str().as_bytes()), Ok(name));
        }
        Err(fault) => {
            assert!(!expected, "{} was refused", text.escape_ascii());
            assert_eq!(fault.errno, Errno::Inval);
        }
    }
}
