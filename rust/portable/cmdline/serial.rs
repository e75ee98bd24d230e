// SPDX-License-Identifier: GPL-2.0

//! Which of the machine's serial ports are the spawn's.
//!
//! The 8250 driver probes all four, and a probe writes to them, the host's console among them. It
//! leaves a port alone whose addresses are reserved.

use core::fmt;

/// As the kernel numbers them (`SERIAL_PORT_DFNS`); each has eight addresses.
const UARTS: [(&str, &str); 4] = [
    ("ttyS0", "0x3f8"),
    ("ttyS1", "0x2f8"),
    ("ttyS2", "0x3e8"),
    ("ttyS3", "0x2e8"),
];

/// Writes ` reserve=` for the ports that no value on the command line names. There is room in the
/// kernel's own table for the four (`MAXRESERVE`).
pub(super) fn reserve<'a>(
    text: &mut impl fmt::Write,
    values: impl Iterator<Item = &'a [u8]> + Clone,
) -> fmt::Result {
    let mut separator = " reserve=";
    for (name, address) in UARTS {
        if values
            .clone()
            .any(|value| names(value, name) || names(value, address))
        {
            continue;
        }
        write!(text, "{separator}{address},8")?;
        separator = ",";
    }
    Ok(())
}

/// Whether `value` has this number or this name, and not one that only begins so.
fn names(value: &[u8], name: &str) -> bool {
    value.windows(name.len()).enumerate().any(|(at, window)| {
        let next = value.get(at.saturating_add(name.len()));
        window.eq_ignore_ascii_case(name.as_bytes()) && !next.is_some_and(u8::is_ascii_hexdigit)
    })
}
