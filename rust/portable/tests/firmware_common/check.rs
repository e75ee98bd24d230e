// SPDX-License-Identifier: GPL-2.0

//! What must hold for any spawn.

use super::{
    end,
    machine,
    range,
    Built,
    Image,
    GIB,
    MIB,
    PAGE, //
};
use multikernel_portable::{
    layout::{Memory, FIRMWARE_SIZE},
    range::Range, //
};

pub const RAM: u64 = 1;
pub const RESERVED: u64 = 2;
pub const ACPI: u64 = 3;

/// Builds a spawn in `memory` and checks all that must hold for any spawn.
pub fn check(memory: &Memory<'_>, image: &Image) {
    let built = Built::new(&machine(*memory, &[2, 3]), image, 254, b"quiet", 0xa5).unwrap();
    let layout = built.layout;
    let piece_of = |range: Range| {
        let piece = memory.pieces.iter().find(|piece| piece.contains(&range));
        *piece.unwrap_or_else(|| panic!("{range:x?} is in no piece"))
    };

    // Kernel, initrd and firmware are in the memory, and apart.
    assert_eq!(
        layout.firmware,
        range(memory.pieces[0].start, FIRMWARE_SIZE)
    );
    let mut parts = vec![layout.firmware, layout.kernel];
    parts.extend(layout.initrd);
    for (i, &part) in parts.iter().enumerate() {
        piece_of(part);
        assert!(parts[..i]
            .iter()
            .all(|other| end(*other) <= part.start || end(part) <= other.start));
    }
    assert_eq!(layout.kernel.start % image.alignment, 0);
    if image.flat {
        assert_eq!(layout.kernel.start % (2 * MIB), 0);
    } else {
        assert!(layout.kernel.start >= image.pref_address);
    }
    assert!(layout.kernel.size >= image.init_size.max(image.kernel_len));
    assert_eq!(layout.entry, layout.kernel.start + image.entry);
    assert_eq!(layout.initrd.is_some(), image.initrd_len != 0);
    if let Some(initrd) = layout.initrd {
        assert_eq!(initrd.start % PAGE, 0);
        assert_eq!(initrd.size, image.initrd_len.next_multiple_of(PAGE));
    }
    if !image.above_4g {
        assert!(parts.iter().all(|part| end(*part) <= 4 * GIB));
        let limit = u64::from(image.initrd_addr_max) + 1;
        assert!(layout.initrd.is_none_or(|initrd| end(initrd) <= limit));
    }
    // So are the parts of the firmware area.
    let at = |start, size| range(start, size);
    let parts = [
        layout.acpi,
        at(layout.reset_reg & !(PAGE - 1), PAGE),
        at(layout.efi_code, PAGE),
        at(layout.efi_data, PAGE),
        at(layout.efi_map, PAGE),
        at(layout.boot_params, PAGE),
        at(layout.cmdline, layout.cmdline_size),
        layout.page_tables,
        layout.shared,
    ];
    for (i, part) in parts.iter().enumerate() {
        assert!(layout.firmware.contains(part));
        assert!(parts[..i]
            .iter()
            .all(|other| end(*other) <= part.start || end(*part) <= other.start));
    }

    // The map is sorted, merged, and made of the memory and nothing else.
    let map = built.e820();
    let mut owned: Vec<_> = memory.pieces.to_vec();
    owned.extend([memory.low_chunk, memory.low_pages]);
    for pair in map.windows(2) {
        assert!(pair[0].1 <= pair[1].0);
        assert!(
            pair[0].1 < pair[1].0 || pair[0].2 != pair[1].2,
            "not merged"
        );
    }
    let total: u64 = map.iter().map(|entry| entry.1 - entry.0).sum();
    assert_eq!(total, owned.iter().map(|range| range.size).sum::<u64>());
    for &(start, end, _) in &map {
        let mut at = start;
        while at < end {
            // Merged entries may span pieces that are neighbours.
            let owner = owned
                .iter()
                .find(|range| range.start <= at && at < range.start + range.size);
            at = owner
                .map(|range| range.start + range.size)
                .expect("a byte of somebody else");
        }
    }
    // Types: what the spawn may allocate is neither ours nor the low pages.
    let kind = |range: Range| {
        let entry = map
            .iter()
            .find(|entry| entry.0 <= range.start && end(range) <= entry.1);
        entry.expect("one type").2
    };
    assert_eq!(kind(memory.low_chunk), RAM);
    assert_eq!(kind(memory.low_pages), RESERVED);
    assert_eq!(kind(layout.acpi), ACPI);
    for part in &parts[1..] {
        assert_eq!(kind(*part), RESERVED);
    }
    assert_eq!(kind(layout.kernel), RAM);
    assert!(layout.initrd.is_none_or(|initrd| kind(initrd) == RAM));

    // Each page translates to itself, and nothing else is mapped.
    const LARGE: u64 = 2 * MIB;
    let mut large = std::collections::BTreeSet::from([0]);
    for range in &owned {
        large.extend(range.start / LARGE..=(end(*range) - 1) / LARGE);
    }
    for &page in &large {
        for offset in (0..LARGE).step_by(0x3_f000).chain([LARGE - 1]) {
            let address = page * LARGE + offset;
            assert_eq!(built.walk(address), Some(address));
        }
        for next in [page.wrapping_sub(1), page + 1] {
            if !large.contains(&next) && next < 1 << 26 {
                assert_eq!(built.walk(next * LARGE), None);
            }
        }
    }
    assert_eq!(built.mapped(), large.len());
    built.acpi();
}
