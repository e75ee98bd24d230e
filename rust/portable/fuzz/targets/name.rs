// SPDX-License-Identifier: GPL-2.0

//! Any text as a name.
#![no_main]

#[path = "../../tests/properties/name.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &[u8]| properties::check(text));
