// SPDX-License-Identifier: GPL-2.0

//! Any image in any memory: a spawn that is right in every respect, or a refusal.
#![no_main]

#[path = "../../tests/firmware_common/mod.rs"]
mod firmware_common;
mod input;

use firmware_common::{
    check::check,
    machine,
    memory,
    range,
    Built,
    Image, //
};
use multikernel_portable::{
    bzimage::Header,
    layout::{Memory, LOW_PAGES_SIZE},
    range::Range, //
};

/// A piece behind the last one, or anywhere, of 512 MiB at most.
fn piece(input: &mut input::Input<'_>, last: u64) -> Range {
    let near = input.byte() % 8 != 0;
    let start = input.address().wrapping_add(if near { last } else { 0 });
    range(start, input.address() % (512 << 20))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = input::Input(bytes);
    let image = Image {
        alignment: 1 << (input.byte() % 32),
        pref_address: input.address(),
        init_size: input.number::<4>(),
        above_4g: input.byte() % 2 == 0,
        initrd_addr_max: input.number::<4>() as u32,
        kernel_len: input.address(),
        entry: input.number::<4>(),
        flat: input.byte() % 2 == 0,
        efi: input.byte() % 2 == 0,
        initrd_len: input.address().wrapping_add(input.number::<1>()),
    };
    let mut last = 0;
    let mut pieces = Vec::new();
    for _ in 0..input.byte() % 66 {
        let piece = piece(&mut input, last);
        last = piece.start.wrapping_add(piece.size);
        pieces.push(piece);
    }
    let memory = match input.byte() % 4 {
        0 => Memory {
            low_chunk: range(input.address(), input.address()),
            low_pages: range(input.address(), LOW_PAGES_SIZE),
            pieces: &pieces,
            huge_pages: input.byte() % 2 == 1,
        },
        _ => memory(&pieces),
    };
    if Header::from_zero_page(&image.zero_page()).is_err() || image.layout(&memory).is_err() {
        return;
    }
    check(&memory, &image);
    // CPUs and a command line that may be refused.
    let apic_ids: Vec<_> = (0..input.byte())
        .map(|_| input.number::<2>() as u32)
        .collect();
    let phantom = input.number::<2>() as u32;
    if let Ok(built) = Built::new(&machine(memory, &apic_ids), &image, phantom, input.0, 0xa5) {
        assert_eq!(built.acpi().len(), 5);
    }
});
