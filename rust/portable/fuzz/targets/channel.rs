// SPDX-License-Identifier: GPL-2.0

//! A peer that may write any word of the shared region between any two accesses.
#![no_main]

#[path = "../../tests/channel/memory.rs"]
mod memory;
#[path = "../../tests/properties/channel.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::check(input));
