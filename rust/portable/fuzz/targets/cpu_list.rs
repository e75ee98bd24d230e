// SPDX-License-Identifier: GPL-2.0

//! Any text as a list of CPUs.
#![no_main]

#[path = "../../tests/properties/cpu_list.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|text: &[u8]| properties::check(text));
