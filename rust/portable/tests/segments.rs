// SPDX-License-Identifier: GPL-2.0

//! Lists of segments, and the addresses that connect them.

mod firmware_common;
#[path = "properties/segments.rs"]
mod properties;

use firmware_common::{Image, MIB};
use multikernel_portable::segments::Segment;
use proptest::prelude::*;

/// Addresses and sizes that are nearly right, or anything.
fn segments() -> impl Strategy<Value = Segment> {
    let mem = prop_oneof![
        8 => (0..20u64).prop_map(|page| page * 4096),
        1 => (0..3u64).prop_map(|page| page.wrapping_sub(2).wrapping_mul(4096)),
        1 => any::<u64>(),
    ];
    let memsz = prop_oneof![8 => (0..4u64).prop_map(|page| page * 4096), 1 => any::<u64>()];
    let bufsz = prop_oneof![8 => 0..0x4000u64, 1 => any::<u64>()];
    (mem, memsz, bufsz).prop_map(|(mem, memsz, bufsz)| Segment { mem, memsz, bufsz })
}

/// Three segments that fit together, and boot_params that names them.
fn good() -> (Vec<Segment>, [u8; 4096]) {
    let mut page = Image::default().zero_page();
    page[0x20e..0x210].copy_from_slice(&0x1100u16.to_le_bytes()); // kernel_version
    page[0x218..0x21c].copy_from_slice(&0x40_0000u32.to_le_bytes()); // ramdisk_image
    page[0x21c..0x220].copy_from_slice(&0x1234u32.to_le_bytes()); // ramdisk_size
    page[0x228..0x22c].copy_from_slice(&0x1_1000u32.to_le_bytes()); // cmd_line_ptr
    let segment = |mem, memsz, bufsz| Segment { mem, memsz, bufsz };
    let segments = vec![
        segment(16 * MIB, 30 * MIB, 8 * MIB),
        segment(0x1_0000, 0x2000, 0x1800),
        segment(0x40_0000, 0x2000, 0x2000),
    ];
    (segments, page)
}

fn check(entry: u64, segments: &[Segment], boot_params: usize, page: &[u8]) {
    let is_boot_params: Vec<_> = (0..segments.len()).map(|i| i == boot_params).collect();
    properties::check(entry, segments, &is_boot_params, page);
}

#[test]
fn the_good_list_and_each_of_its_numbers_changed() {
    let (segments, page) = good();
    let entry = 16 * MIB + 0x200;
    let header = multikernel_portable::bzimage::Header::from_zero_page(&page).unwrap();
    let roles = multikernel_portable::segments::assign(entry, &segments, |i| i == 1).unwrap();
    let links = multikernel_portable::segments::check_links(&header, &segments, &roles).unwrap();
    assert_eq!(links.cmdline, Some((0x1000, 0x800)));
    assert_eq!(links.release, Some((0x1300, 0x500)));
    assert_eq!(links.initrd_len, 0x1234);

    let steps = [1, 0x200, 0x201, 0x800, 0x801, 4096, 8192, MIB, u64::MAX / 2];
    for delta in steps.iter().flat_map(|&step| [step, step.wrapping_neg()]) {
        check(entry.wrapping_add(delta), &segments, 1, &page);
        for i in 0..segments.len() {
            let mut changed = segments.clone();
            changed[i].mem = changed[i].mem.wrapping_add(delta);
            check(entry, &changed, 1, &page);
            check(entry.wrapping_add(delta), &changed, 1, &page);
            changed = segments.clone();
            changed[i].memsz = changed[i].memsz.wrapping_add(delta);
            check(entry, &changed, 1, &page);
            changed = segments.clone();
            changed[i].bufsz = changed[i].bufsz.wrapping_add(delta);
            check(entry, &changed, 1, &page);
        }
        for at in [
            0x20e, 0x218, 0x21c, 0x228, 0x248, 0x24c, 0x260, 0xc0, 0xc4, 0xc8,
        ] {
            let mut changed = page;
            let old = u32::from_le_bytes(changed[at..at + 4].try_into().unwrap());
            let new = old.wrapping_add(delta as u32);
            changed[at..at + 4].copy_from_slice(&new.to_le_bytes());
            check(entry, &segments, 1, &changed);
            check(entry, &segments[..2], 1, &changed);
        }
    }
    // The last good value and the first bad one of each field that has a limit.
    for (at, values) in [
        (0x20e, [0xdff, 0xe00, 0x15ff, 0x1600]), // kernel_version
        (0x21c, [0, 1, 0x2000, 0x2001]),         // ramdisk_size
        (0x228, [0x1_0fff, 0x1_1000, 0x1_17ff, 0x1_1800]), // cmd_line_ptr
        (0x24c, [0, 0x7f_fd4b, 0x7f_fd4c, 0x7f_fd4d]), // payload_length
        (0x260, [0x7f_ffff, 0x80_0000, 0x80_0001, 1]), // init_size
    ] {
        for value in values {
            let mut changed = page;
            changed[at..at + 4].copy_from_slice(&u32::to_le_bytes(value));
            check(entry, &segments, 1, &changed);
        }
    }
    let many: Vec<_> = (0..17)
        .map(|i| Segment {
            mem: i << 25,
            ..segments[1]
        })
        .collect();
    check(0x200, &many, 1, &page);
    check(0x200, &many[..16], 1, &page);
    check(0x200, &[], 1, &page);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn any_list(
        list in prop::collection::vec(segments(), 0..5),
        boot_params in 0..32u8,
        (base, offset) in (any::<prop::sample::Index>(), prop_oneof![Just(0x200), any::<u64>()]),
        edits: Vec<(u8, u8)>,
    ) {
        let base = if list.is_empty() { 0 } else { list[base.index(list.len())].mem };
        let entry = base.wrapping_add(offset);
        let is_boot_params: Vec<_> = (0..list.len()).map(|i| boot_params >> i & 1 == 1).collect();
        let mut page = good().1;
        for (at, value) in edits {
            page[0x200 + usize::from(at) % 0x70] = value;
        }
        properties::check(entry, &list, &is_boot_params, &page);
    }
}
