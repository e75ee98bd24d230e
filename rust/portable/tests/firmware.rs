// SPDX-License-Identifier: GPL-2.0

//! The firmware as a spawn kernel finds it, and where it puts things, over random memory.

mod firmware_common;

use firmware_common::{
    check::{check, ACPI, RAM, RESERVED},
    end,
    machine,
    memory,
    range,
    Built,
    Image,
    GIB,
    MIB,
    PAGE, //
};
use multikernel_portable::{
    acpi,
    fault::Errno,
    firmware,
    layout::{Layout, Memory, FIRMWARE_SIZE, PIECES_MAX},
    range::Range,
};
use proptest::prelude::*;

fn build(pieces: &[Range], image: &Image) -> Built {
    Built::new(
        &machine(memory(pieces), &[2, 3]),
        image,
        254,
        b"console=ttyS0",
        0,
    )
    .unwrap()
}

fn errno(pieces: &[Range], image: &Image) -> Errno {
    image.layout(&memory(pieces)).unwrap_err().errno
}

/// A spawn with one piece of 256 MiB at 1 GiB.
fn ordinary() -> Built {
    build(&[range(GIB, 256 * MIB)], &Image::default())
}

#[test]
fn places_kernel_low_and_initrd_high() {
    let layout = ordinary().layout;
    assert_eq!(layout.firmware, range(GIB, 2 * MIB));
    assert_eq!(layout.kernel, range(GIB + 2 * MIB, 30 * MIB));
    assert_eq!(layout.entry, GIB + 2 * MIB + 0x200);
    let top = GIB + 256 * MIB;
    assert_eq!(
        layout.initrd,
        Some(range(top - 5 * MIB - PAGE, 5 * MIB + PAGE))
    );
}

#[test]
fn a_kernel_is_not_placed_below_its_preferred_address() {
    // It would move itself to 16 MiB, which belongs to somebody else.
    let image = Image::default();
    let pieces = [range(4 * MIB, 8 * MIB), range(GIB, 64 * MIB)];
    assert_eq!(build(&pieces, &image).layout.kernel.start, GIB);
    let pieces = [range(4 * MIB, 64 * MIB)];
    let memory = Memory {
        low_pages: range(2 * MIB, 2 * PAGE),
        ..memory(&pieces)
    };
    assert_eq!(image.layout(&memory).unwrap().kernel.start, 16 * MIB);
}

#[test]
fn a_kernel_longer_than_its_init_size_has_room() {
    let image = Image {
        kernel_len: 40 * MIB + 1,
        ..Image::default()
    };
    assert_eq!(
        build(&[range(GIB, 256 * MIB)], &image).layout.kernel.size,
        40 * MIB + PAGE
    );
}

#[test]
fn the_kernel_makes_way_for_an_initrd_that_fits_in_one_piece_only() {
    let image = Image {
        initrd_len: 90 * MIB,
        ..Image::default()
    };
    let pieces = [range(GIB, 100 * MIB), range(2 * GIB, 32 * MIB)];
    let layout = build(&pieces, &image).layout;
    assert_eq!(layout.kernel.start, 2 * GIB);
    assert_eq!(layout.initrd, Some(range(GIB + 10 * MIB, 90 * MIB)));
}

#[test]
fn too_little_memory_is_too_big_an_image() {
    let image = Image::default();
    assert_eq!(errno(&[range(GIB, 32 * MIB)], &image), Errno::TooBig);
    assert_eq!(
        errno(&[range(GIB, MIB / 2), range(2 * GIB, 64 * MIB)], &image),
        Errno::TooBig
    );
    // The kernel fits in neither, though both together would do.
    let pieces = [range(GIB, 24 * MIB), range(2 * GIB, 24 * MIB)];
    assert_eq!(errno(&pieces, &image), Errno::TooBig);
    // Lengths that no arithmetic survives.
    for len in [u64::MAX, u64::MAX - PAGE, 1 << 63] {
        let long = Image {
            initrd_len: len,
            ..image.clone()
        };
        assert_eq!(errno(&[range(GIB, 64 * MIB)], &long), Errno::TooBig);
        let long = Image {
            kernel_len: len,
            ..image.clone()
        };
        assert_eq!(errno(&[range(GIB, 64 * MIB)], &long), Errno::TooBig);
    }
}

#[test]
fn bad_memory_is_refused() {
    let image = Image::default();
    let good = range(GIB, 64 * MIB);
    let refused = |pieces: &[Range]| assert_eq!(errno(pieces, &image), Errno::Inval, "{pieces:x?}");
    refused(&[]);
    refused(&[good, good]);
    refused(&[good, range(GIB + 32 * MIB, 64 * MIB)]);
    refused(&[good, range(2 * GIB, 0)]);
    refused(&[range(GIB + 1, 64 * MIB)]);
    refused(&[range(GIB, 64 * MIB + 1)]);
    refused(&[good, range(u64::MAX - PAGE + 1, PAGE)]);
    refused(&[good, range(1 << 63, 1 << 63)]);
    refused(&[good, range((1 << 47) - PAGE, 2 * PAGE)]);
    refused(&[good, range(0x123_5000, PAGE)]); // a low page
    refused(&[good, range(0x2_f000, PAGE)]); // in the low chunk
    refused(&[good, range(0x3_0000, 4 * MIB)]); // above it, and the first MiB ends within
    let many: Vec<_> = (0..=PIECES_MAX as u64)
        .map(|i| range(GIB + i * 128 * MIB, MIB))
        .collect();
    refused(&many);

    let pieces = [good];
    let inval = |memory: Memory<'_>| {
        assert_eq!(
            image.layout(&memory).unwrap_err().errno,
            Errno::Inval,
            "{memory:x?}"
        );
    };
    inval(Memory {
        low_chunk: range(0xf000, 0x1_0000),
        ..memory(&pieces)
    });
    inval(Memory {
        low_chunk: range(0xf_0000, 0x1_1000),
        ..memory(&pieces)
    });
    inval(Memory {
        low_pages: range(0x4_0000, 0x2000),
        ..memory(&pieces)
    });
    inval(Memory {
        low_pages: range(0xffff_f000, 0x2000),
        ..memory(&pieces)
    });
    inval(Memory {
        low_pages: range(0x123_4000, 0x1000),
        ..memory(&pieces)
    });
}

#[test]
fn a_kernel_of_32_bits_stays_below_4_gib() {
    let image = Image {
        above_4g: false,
        ..Image::default()
    };
    let high = [range(5 * GIB, 256 * MIB)];
    let fault = image.layout(&memory(&high)).unwrap_err();
    assert_eq!(fault.errno, Errno::Inval);
    assert!(fault.remedy.contains("XLF_CAN_BE_LOADED_ABOVE_4G"));
    // The first piece holds what the kernel must reach.
    assert_eq!(
        errno(&[high[0], range(GIB, 256 * MIB)], &image),
        Errno::Inval
    );

    // initrd_addr_max is the last byte that may be used.
    let pieces = [
        range(GIB, 24 * MIB),
        range(2 * GIB - 64 * MIB, 128 * MIB),
        high[0],
    ];
    let layout = build(&pieces, &image).layout;
    assert_eq!(layout.kernel.start, 2 * GIB - 64 * MIB);
    assert_eq!(end(layout.initrd.unwrap()), 2 * GIB);
    let image = Image {
        initrd_addr_max: u32::MAX,
        ..image
    };
    assert_eq!(
        end(build(&pieces, &image).layout.initrd.unwrap()),
        2 * GIB + 64 * MIB
    );
    // Too large wherever it is: no advice about 4 GiB.
    let huge = Image {
        initrd_len: GIB,
        ..image
    };
    assert_eq!(errno(&pieces, &huge), Errno::TooBig);
}

#[test]
fn a_spawn_wholly_above_4_gib() {
    let base = 0x12_3460_0000;
    let built = build(&[range(base, 256 * MIB)], &Image::default());
    let initrd = built.layout.initrd.unwrap();
    assert_eq!(
        built.param(0x218, 4) | built.param(0xc0, 4) << 32,
        initrd.start
    );
    assert_eq!(
        built.param(0x21c, 4) | built.param(0xc4, 4) << 32,
        5 * MIB + 123
    );
    assert_eq!(
        built.param(0x228, 4) | built.param(0xc8, 4) << 32,
        built.layout.cmdline
    );
    assert_eq!(built.param(0x70, 8), built.layout.rsdp);
    assert!(built.layout.cmdline > 4 * GIB && built.param(0xc8, 4) != 0);
    assert_eq!(built.param(0x214, 4), 0, "no 32-bit entry");
    built.acpi();
}

#[test]
fn an_initrd_beyond_4_gib_of_length() {
    let image = Image {
        initrd_len: 5 * GIB + 1,
        ..Image::default()
    };
    let built = build(&[range(GIB, 8 * GIB)], &image);
    assert_eq!(
        built.param(0x21c, 4) | built.param(0xc4, 4) << 32,
        5 * GIB + 1
    );
}

#[test]
fn the_zero_page_has_nothing_but_what_is_meant() {
    let image = Image::default();
    let pieces = [range(GIB, 256 * MIB)];
    let machine = machine(memory(&pieces), &[2, 3]);
    let layout = image.layout(&machine.memory).unwrap();
    // A loader's page, full of the host's affairs wherever a header need not be right.
    let clean = image.zero_page();
    let mut page = [0xff; 4096];
    for meaning in [
        0x1f1..0x1fa,
        0x1fc..0x208,
        0x20e..0x210,
        0x22c..0x23c,
        0x248..0x250,
    ] {
        page[meaning.clone()].copy_from_slice(&clean[meaning]);
    }
    for meaning in [0x258..0x264, 0x268..0x26c] {
        page[meaning.clone()].copy_from_slice(&clean[meaning]);
    }
    page[0x211] = 0xff;
    let header = multikernel_portable::bzimage::Header::from_zero_page(&page).unwrap();
    let (mut fw, mut low) = (vec![0; FIRMWARE_SIZE as usize], vec![0; 8192]);
    firmware::build(
        &machine,
        254,
        &layout,
        &header,
        b"",
        image.initrd_len,
        &mut fw,
        &mut low,
    )
    .unwrap();

    let page = &fw[(layout.boot_params - layout.firmware.start) as usize..][..4096];
    let mut expected = [0u8; 4096];
    let mut put = |at: usize, bytes: &[u8]| expected[at..at + bytes.len()].copy_from_slice(bytes);
    // What describes the image.
    for meaning in [
        0x1f1..0x1f8,
        0x1fc..0x208,
        0x20e..0x210,
        0x22c..0x23c,
        0x248..0x250,
    ] {
        put(meaning.start, &clean[meaning]);
    }
    for meaning in [0x258..0x264, 0x268..0x26c] {
        put(meaning.start, &clean[meaning]);
    }
    // What a loader fills in.
    put(0x210, &[0xff, 1]);
    put(0x214, &(layout.kernel.start as u32).to_le_bytes());
    put(0x218, &(layout.initrd.unwrap().start as u32).to_le_bytes());
    put(0x21c, &(image.initrd_len as u32).to_le_bytes());
    put(0x228, &(layout.cmdline as u32).to_le_bytes());
    put(0x70, &layout.rsdp.to_le_bytes());
    put(0x1e8, &[5]);
    put(0x2d0, &page[0x2d0..0x2d0 + 5 * 20]);
    for (at, (found, expected)) in page.iter().zip(&expected).enumerate() {
        assert_eq!(found, expected, "at {at:#x}");
    }
}

#[test]
fn the_memory_map_of_an_ordinary_spawn() {
    let map = [
        (0x2_0000, 0x3_0000, RAM),
        (0x123_4000, 0x123_6000, RESERVED),
        (GIB, GIB + 0x8000, ACPI),
        (GIB + 0x8000, GIB + 2 * MIB, RESERVED),
        (GIB + 2 * MIB, GIB + 256 * MIB, RAM),
    ];
    assert_eq!(ordinary().e820(), map);
}

#[test]
fn neighbours_in_the_memory_map_are_merged() {
    // The low pages touch the rest of the firmware area; two pieces touch each other.
    let pieces = [
        range(GIB, 2 * MIB),
        range(GIB + 2 * MIB + 2 * PAGE, 64 * MIB),
        range(GIB + 66 * MIB + 2 * PAGE, 64 * MIB),
    ];
    let memory = Memory {
        low_pages: range(GIB + 2 * MIB, 2 * PAGE),
        ..memory(&pieces)
    };
    let machine = machine(memory, &[1]);
    let built = Built::new(&machine, &Image::default(), 254, b"", 0).unwrap();
    let map = [
        (0x2_0000, 0x3_0000, RAM),
        (GIB, GIB + 0x8000, ACPI),
        (GIB + 0x8000, GIB + 2 * MIB + 2 * PAGE, RESERVED),
        (GIB + 2 * MIB + 2 * PAGE, GIB + 130 * MIB + 2 * PAGE, RAM),
    ];
    assert_eq!(built.e820(), map);
}

#[test]
fn what_was_in_memory_before_does_not_matter() {
    let pieces = [range(GIB, 256 * MIB)];
    let machine = machine(memory(&pieces), &[2, 3]);
    let [a, b] = [0, 0xff]
        .map(|stale| Built::new(&machine, &Image::default(), 254, b"quiet", stale).unwrap());
    assert!(a.fw == b.fw);
    assert!(a.low == b.low);
}

#[test]
fn the_command_line_is_the_users_and_ours() {
    let built = ordinary();
    let text = built.read(built.layout.cmdline, built.layout.cmdline_size as usize);
    let text = text.split(|&byte| byte == 0).next().unwrap();
    let text = std::str::from_utf8(text).unwrap();
    let words: Vec<_> = text.split(' ').collect();
    for word in [
        "console=ttyS0",
        "reboot=acpi",
        "tsc_early_khz=2100000",
        "disable_cpu_apicid=254",
    ] {
        assert!(words.contains(&word), "{word} in {text}");
    }
}

#[test]
fn a_command_line_as_long_as_the_kernel_takes() {
    let pieces = [range(GIB, 256 * MIB)];
    let machine = machine(memory(&pieces), &[2, 3]);
    let build = |len| {
        let text = vec![b'x'; len];
        Built::new(&machine, &Image::default(), 254, &text, 0).map(|built| {
            let text = built.read(built.layout.cmdline, built.layout.cmdline_size as usize);
            text.iter().position(|&byte| byte == 0).unwrap()
        })
    };
    let ours = build(1).unwrap() - 1;
    // cmdline_size, without the NUL, is 2047.
    assert_eq!(build(2047 - ours), Ok(2047));
    assert_eq!(build(2048 - ours).unwrap_err().errno, Errno::TooBig);
}

#[test]
fn the_io_apic_reads_as_one_with_a_single_pin() {
    let built = ordinary();
    assert_eq!(&built.low[0x1010..0x1014], 0x11u32.to_le_bytes());
    assert_eq!(
        built.low[0x1000..]
            .iter()
            .filter(|&&byte| byte != 0)
            .count(),
        1
    );
    let tables = built.acpi();
    let madt = tables.iter().find(|(name, _)| name == "APIC").unwrap().1;
    let io_apic = &madt[madt.len() - 12..];
    assert_eq!(io_apic, [1, 12, 0, 0, 0, 0x50, 0x23, 0x01, 0, 0, 0, 0]);
}

#[test]
fn the_registers_are_where_the_fadt_says() {
    let built = ordinary();
    let tables = built.acpi();
    let fadt = tables.iter().find(|(name, _)| name == "FACP").unwrap().1;
    assert_eq!(fadt.len(), 276);
    assert_eq!((fadt[8], fadt[131]), (6, 5));
    let register = |at: usize| {
        assert_eq!(fadt[at..at + 4], [0, 8, 0, 1], "a byte in memory");
        u64::from_le_bytes(fadt[at + 4..at + 12].try_into().unwrap())
    };
    let Layout {
        reset_reg,
        sleep_reg,
        ..
    } = built.layout;
    assert_eq!(register(116), reset_reg);
    assert_eq!(register(244), sleep_reg);
    // What is written to the control register is what the status then reads.
    assert_eq!(register(256), sleep_reg);
    assert_ne!(sleep_reg, reset_reg);
    assert_eq!(fadt[128], acpi::RESET_VALUE);
    let flags = u32::from_le_bytes(fadt[112..116].try_into().unwrap());
    assert_eq!(
        flags & (1 << 10 | 1 << 19 | 1 << 20),
        1 << 10 | 1 << 19 | 1 << 20
    );
    assert_eq!(fadt[40..44], [0; 4], "no 32-bit DSDT");
    // The registers are alone in a page that is reserved memory, and start as 0.
    for at in [reset_reg, sleep_reg] {
        assert!(built
            .e820()
            .contains(&(GIB + 0x8000, GIB + 2 * MIB, RESERVED)));
        assert!((GIB + 0x8000..GIB + 2 * MIB).contains(&at));
        assert_eq!(at & !(PAGE - 1), reset_reg & !(PAGE - 1));
    }
    assert!(built
        .read(reset_reg & !(PAGE - 1), PAGE as usize)
        .iter()
        .all(|&byte| byte == 0));
}

#[test]
fn the_dsdt_tells_how_to_power_off() {
    let built = ordinary();
    let tables = built.acpi();
    let dsdt = tables.iter().find(|(name, _)| name == "DSDT").unwrap().1;
    let aml = [8, 0x5f, 0x53, 0x35, 0x5f, 0x12, 8, 4, 0xa, 5, 0xa, 5, 0, 0];
    assert_eq!(&dsdt[36..], aml);
}

#[test]
fn the_multikernel_table_leads_to_the_shared_region() {
    let built = ordinary();
    let tables = built.acpi();
    let table = tables.iter().find(|(name, _)| name == "MKRN").unwrap().1;
    let number = |at: usize| u64::from_le_bytes(table[at..at + 8].try_into().unwrap());
    assert_eq!(number(36), 1 | 24 << 32);
    assert_eq!(
        (number(44), number(52)),
        (built.layout.shared.start, built.layout.shared.size)
    );
    assert_eq!(built.layout.shared.size, 1 << 20);
}

/// The CPUs of a MADT as (type, uid, APIC id).
fn madt_cpus(built: &Built) -> Vec<(u8, u64, u64)> {
    let tables = built.acpi();
    let madt = tables.iter().find(|(name, _)| name == "APIC").unwrap().1;
    assert_eq!(madt[36..44], [0, 0, 0xe0, 0xfe, 0, 0, 0, 0]);
    let mut cpus = Vec::new();
    let mut rest = &madt[44..];
    while let [kind, len, ..] = *rest {
        let (entry, after) = rest.split_at(len.into());
        let word = |at: usize| u64::from(u32::from_le_bytes(entry[at..at + 4].try_into().unwrap()));
        match kind {
            0 => {
                assert_eq!(word(4), 1, "enabled");
                cpus.push((0, entry[2].into(), entry[3].into()));
            }
            9 => {
                assert_eq!(word(8), 1, "enabled");
                cpus.push((9, word(12), word(4)));
            }
            1 => assert!(after.is_empty()),
            _ => panic!("type {kind}"),
        }
        rest = after;
    }
    assert!(rest.is_empty());
    cpus
}

#[test]
fn the_phantom_comes_first_and_all_cpus_are_of_one_type() {
    let pieces = [range(GIB, 256 * MIB)];
    let build = |ids: &[u32], phantom| {
        let machine = machine(memory(&pieces), ids);
        Built::new(&machine, &Image::default(), phantom, b"", 0).map(|built| madt_cpus(&built))
    };
    assert_eq!(
        build(&[6, 2], 254).unwrap(),
        [(0, 0, 254), (0, 1, 6), (0, 2, 2)]
    );
    assert_eq!(
        build(&[6, 255], 254).unwrap(),
        [(9, 0, 254), (9, 1, 6), (9, 2, 255)]
    );
    let machine = firmware_common::machine(memory(&pieces), &[6]);
    let machine = firmware::Machine {
        x2apic: true,
        ..machine
    };
    let built = Built::new(&machine, &Image::default(), 300, b"", 0).unwrap();
    assert_eq!(madt_cpus(&built), [(9, 0, 300), (9, 1, 6)]);

    // The most there can be, of either type.
    let ids: Vec<_> = (0..254).collect();
    assert_eq!(build(&ids, 254).unwrap().len(), 255);
    let ids: Vec<_> = (0..1023).collect();
    assert_eq!(build(&ids, 0x7fff).unwrap().len(), 1024);
    let ids: Vec<_> = (0..4000).collect();
    assert_eq!(build(&ids, 0x7fff).unwrap_err().errno, Errno::TooBig);
}

#[test]
fn bad_apic_ids_are_refused() {
    let pieces = [range(GIB, 256 * MIB)];
    for (ids, phantom, x2apic) in [
        (&[][..], 254, false),
        (&[254], 254, false),
        (&[1, 2, 1], 254, false),
        (&[1, 255], 254, false),
        (&[1], 256, false),
        (&[1, 0x8000], 254, true),
        (&[1], 0x8000, true),
    ] {
        let machine = firmware::Machine {
            x2apic,
            ..machine(memory(&pieces), ids)
        };
        let fault = Built::new(&machine, &Image::default(), phantom, b"", 0)
            .err()
            .unwrap();
        assert_eq!(fault.errno, Errno::Inval, "{ids:?} {phantom}");
    }
}

#[test]
fn a_phantom_is_an_id_that_nobody_has() {
    assert_eq!(firmware::phantom(|_| false, false), Some(254));
    assert_eq!(firmware::phantom(|_| false, true), Some(254));
    assert_eq!(firmware::phantom(|id| id == 254, true), Some(253));
    assert_eq!(firmware::phantom(|id| id < 256, false), None);
    assert_eq!(firmware::phantom(|id| id < 256, true), Some(256));
    assert_eq!(firmware::phantom(|id| id < 0x7fff, true), Some(0x7fff));
    assert_eq!(firmware::phantom(|id| id < 0x8000, true), None);
}

#[test]
fn slices_of_other_sizes_are_refused() {
    let image = Image::default();
    let pieces = [range(GIB, 256 * MIB)];
    let machine = machine(memory(&pieces), &[2, 3]);
    let layout = image.layout(&machine.memory).unwrap();
    let build = |initrd_len, fw: usize, low: usize| {
        let (mut fw, mut low) = (vec![0; fw], vec![0; low]);
        let header = image.header();
        firmware::build(
            &machine, 254, &layout, &header, b"", initrd_len, &mut fw, &mut low,
        )
    };
    let good = (image.initrd_len, FIRMWARE_SIZE as usize, 8192);
    assert_eq!(build(good.0, good.1, good.2), Ok(()));
    for (initrd_len, fw, low) in [
        (good.0, good.1 - 1, good.2),
        (good.0, good.1 + 1, good.2),
        (good.0, good.1, 4096),
        (0, good.1, good.2),
        (good.0 + PAGE, good.1, good.2),
        (u64::MAX, good.1, good.2),
    ] {
        assert_eq!(build(initrd_len, fw, low).unwrap_err().errno, Errno::Inval);
    }
}

#[test]
fn sixty_four_pieces_anywhere_can_be_mapped() {
    // One piece in every other 512 GiB, just below 128 TiB at the end.
    let far: Vec<_> = (0..PIECES_MAX as u64)
        .map(|i| range((128 << 40) - 128 * MIB - i * (1 << 40), 128 * MIB))
        .collect();
    check(&memory(&far), &Image::default());
    // Two tables more for each: no room, and a word about it instead of a broken map.
    let straddling: Vec<_> = (1..=PIECES_MAX as u64)
        .map(|i| range(i * (1 << 40) - 64 * MIB, 128 * MIB))
        .collect();
    let fault = Image::default().layout(&memory(&straddling)).unwrap_err();
    assert_eq!((fault.errno, fault.field), (Errno::TooBig, "page tables"));
}

/// Where a GiB is one page, or a page directory; a piece has neighbours in its first and last one.
#[test]
fn hundreds_of_gibibytes_can_be_mapped() {
    let pieces = [
        range(3 * GIB - 128 * MIB, 300 * GIB + 5 * PAGE),
        range(310 * GIB, GIB),
        range(311 * GIB + 64 * MIB, 3 * GIB - 64 * MIB),
        range(512 * GIB - 64 * MIB, 2 * GIB),
    ];
    let memory = Memory {
        huge_pages: true,
        ..memory(&pieces)
    };
    check(&memory, &Image::default());
    let memory = Memory {
        huge_pages: false,
        ..memory
    };
    let fault = Image::default().layout(&memory).unwrap_err();
    assert_eq!((fault.errno, fault.field), (Errno::TooBig, "page tables"));
}

/// Memory as a busy host may have it: pieces far apart, near, or touching, at any page.
fn pieces() -> impl Strategy<Value = Vec<Range>> {
    let gap = prop_oneof![
        2 => Just(0),
        3 => 0..64 * MIB / PAGE,
        2 => 0..8 * GIB / PAGE,
        1 => 0..(1u64 << 40) / PAGE,
    ];
    let size = prop_oneof![1..64u64, 1..32 * MIB / PAGE, 1..256 * MIB / PAGE];
    let first = prop_oneof![512..1024u64, 0x2000..5 * GIB / PAGE];
    (
        first,
        prop::collection::vec((gap, size), 1..=PIECES_MAX),
        any::<prop::sample::Index>(),
    )
        .prop_map(|(first, parts, index)| {
            let mut at = first * PAGE;
            let mut pieces = Vec::new();
            for (gap, size) in parts {
                at += gap * PAGE;
                pieces.push(range(at, size * PAGE));
                at += size * PAGE;
            }
            // Any of them may be the first.
            let index = index.index(pieces.len());
            pieces.swap(0, index);
            pieces
        })
}

fn images() -> impl Strategy<Value = Image> {
    let alignment = prop_oneof![4 => Just(2 * MIB), 1 => (12..28u32).prop_map(|shift| 1 << shift)];
    let initrd = prop_oneof![1 => Just(0), 4 => 1..96 * MIB];
    (
        alignment,
        1..64 * MIB,
        1..64 * MIB,
        initrd,
        any::<bool>(),
        0x100_0000..u32::MAX,
    )
        .prop_map(
            |(alignment, init_size, kernel_len, initrd_len, above_4g, initrd_addr_max)| Image {
                alignment,
                init_size,
                kernel_len,
                initrd_len,
                above_4g,
                initrd_addr_max,
                ..Image::default()
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_memory_makes_a_good_spawn_or_is_refused_for_a_reason(
        pieces in pieces(),
        image in images(),
        chunk in 16..255u64,
        huge_pages in any::<bool>(),
    ) {
        let memory = Memory {
            low_chunk: range(chunk * PAGE, (256 - chunk) * PAGE),
            low_pages: range(MIB + (chunk % 2) * (MIB - PAGE), 2 * PAGE),
            pieces: &pieces,
            huge_pages,
        };
        match image.layout(&memory) {
            Ok(_) => check(&memory, &image),
            Err(fault) if fault.field == "page tables" => {
                let gibs: u64 = pieces.iter().map(|piece| piece.size / GIB + 2).sum();
                prop_assert!(2 * gibs > 170, "room enough for {gibs} page directories");
            }
            Err(fault) => {
                // No piece has room for everything.
                let limit = if image.above_4g { u64::MAX } else { image.initrd_addr_max.into() };
                let kernel = image.init_size.max(image.kernel_len).next_multiple_of(PAGE);
                for (i, piece) in pieces.iter().enumerate() {
                    let start = piece.start + if i == 0 { FIRMWARE_SIZE } else { 0 };
                    let start = start.max(image.pref_address).next_multiple_of(image.alignment);
                    let needed = start + kernel + image.initrd_len.next_multiple_of(PAGE);
                    let first = pieces[0].size < FIRMWARE_SIZE
                        || (!image.above_4g && pieces[0].start + FIRMWARE_SIZE > 4 * GIB);
                    let fits = needed <= end(*piece).min(limit);
                    prop_assert!(first || !fits, "{fault:?} but it fits in {piece:x?}");
                }
            }
        }
    }
}
