// SPDX-License-Identifier: GPL-2.0

//! Any list of segments, with a damaged zero page.
#![no_main]

#[path = "../../tests/firmware_common/mod.rs"]
mod firmware_common;
mod input;
#[path = "../../tests/properties/segments.rs"]
mod properties;

use multikernel_portable::segments::Segment;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = input::Input(bytes);
    let count = usize::from(input.byte() % 18);
    let zero_pages = input.number::<3>();
    let offset = [0x200, input.address()][usize::from(input.byte() % 2)];
    let which = usize::from(input.byte());
    let segments: Vec<_> = (0..count)
        .map(|_| Segment {
            mem: input.address(),
            memsz: input.address(),
            bufsz: input.address().wrapping_sub(input.number::<1>()),
        })
        .collect();
    let mem = segments.get(which % count.max(1)).map_or(0, |s| s.mem);
    let is_boot_params: Vec<_> = (0..count).map(|i| zero_pages >> i & 1 == 1).collect();
    let mut page = firmware_common::Image::default().zero_page();
    input.damage(&mut page);
    properties::check(mem.wrapping_add(offset), &segments, &is_boot_params, &page);
});
