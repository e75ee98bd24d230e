// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a zero page, and any damage to a good one.
#![no_main]

#[path = "../../tests/firmware_common/mod.rs"]
mod firmware_common;
mod input;
#[path = "../../tests/properties/bzimage.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    properties::check(bytes);
    let mut input = input::Input(bytes);
    let mut page = firmware_common::Image::default().zero_page();
    let len = 4096 - input.number::<2>() as usize % 4097;
    input.damage(&mut page);
    properties::check(&page);
    properties::check(&page[..len]);
});
