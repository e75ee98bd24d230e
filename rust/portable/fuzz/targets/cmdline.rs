// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a command line, and some as little room as can be.
#![no_main]

#[path = "../../tests/properties/cmdline.rs"]
mod properties;

use multikernel_portable::cmdline::{Params, Reset};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let (&tail, user) = bytes.split_last().unwrap_or((&0, &[]));
    let ours = Params {
        tsc_khz: u32::MAX >> (tail % 32),
        phantom_apic: u32::from(tail),
        reset: if tail % 2 == 0 {
            Reset::Acpi
        } else {
            Reset::Efi
        },
    };
    // Ours take 249 bytes or so.
    let room = user.len() + 140 + usize::from(tail);
    properties::check(user, &ours, room, room + usize::from(tail % 3));
    properties::check(user, &ours, 2047, 2048);
});
