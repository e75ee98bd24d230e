// SPDX-License-Identifier: GPL-2.0

//! The EFI runtime, read as a kernel reads it.

mod firmware_common;

use firmware_common::{machine, memory, range, Built, Image, GIB, MIB, PAGE};

const RUNTIME: u64 = 1 << 63;

fn built(efi: bool) -> Built {
    let pieces = [range(GIB, 128 * MIB), range(4 * GIB, 128 * MIB)];
    let image = Image {
        efi,
        ..Image::default()
    };
    Built::new(
        &machine(memory(&pieces), &[2, 3]),
        &image,
        254,
        b"quiet",
        0xff,
    )
    .unwrap()
}

fn cmdline(built: &Built) -> String {
    let text = built.read(built.layout.cmdline, built.layout.cmdline_size as usize);
    String::from_utf8(text.split(|&b| b == 0).next().unwrap().to_vec()).unwrap()
}

/// CRC-32 by the book: a table of remainders.
fn crc32(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256u32)
        .map(|n| {
            (0..8).fold(n, |c, _| {
                if c & 1 == 1 {
                    c >> 1 ^ 0xedb88320
                } else {
                    c >> 1
                }
            })
        })
        .collect();
    !bytes
        .iter()
        .fold(!0, |crc, &b| crc >> 8 ^ table[(crc as u8 ^ b) as usize])
}

fn check_header(built: &Built, at: u64, signature: &[u8; 8]) {
    assert_eq!(built.read(at, 8), signature);
    let size = built.number(at + 12, 4) as usize;
    let mut table = built.read(at, size).to_vec();
    table[16..20].fill(0);
    assert_eq!(
        built.number(at + 16, 4),
        u64::from(crc32(&table)),
        "checksum"
    );
}

fn systab(built: &Built) -> u64 {
    built.param(0x1c4, 4) | built.param(0x1d8, 4) << 32
}

/// The configuration table of a GUID that is written as UEFI does.
fn config(built: &Built, guid: &str) -> u64 {
    let number = |at: std::ops::Range<usize>| u64::from_str_radix(&guid[at], 16).unwrap();
    let mut wanted = (number(0..8) as u32).to_le_bytes().to_vec();
    wanted.extend((number(9..13) as u16).to_le_bytes());
    wanted.extend((number(14..18) as u16).to_le_bytes());
    wanted.extend((number(19..23) as u16).to_be_bytes());
    wanted.extend(&number(24..36).to_be_bytes()[2..]);
    let (len, tables) = (
        built.number(systab(built) + 104, 8),
        built.number(systab(built) + 112, 8),
    );
    let mut all = (0..len).map(|i| tables + i * 24);
    let found = all
        .find(|&at| built.read(at, 16) == wanted)
        .expect("the table");
    built.number(found + 16, 8)
}

#[test]
fn a_kernel_without_efi_has_the_reset_register() {
    let built = built(false);
    assert!((0x1c0..0x1e0).all(|at| built.param(at, 1) == 0), "efi_info");
    assert!(cmdline(&built).contains(" reboot=acpi "));
}

#[test]
fn a_kernel_with_efi_chooses_it_by_itself() {
    let built = built(true);
    assert_eq!(
        built.param(0x1c0, 4),
        u64::from(u32::from_le_bytes(*b"EL64"))
    );
    // A parameter, even the right one, would be used before the runtime is there.
    assert!(!cmdline(&built).contains("reboot="));
}

#[test]
fn the_tables_are_found() {
    let built = built(true);
    check_header(&built, systab(&built), b"IBI SYST");
    let vendor = built.number(systab(&built) + 24, 8);
    assert_eq!(built.read(vendor, 8), b"m\0u\0l\0t\0");
    check_header(&built, built.number(systab(&built) + 88, 8), b"RUNTSERV");
    assert_eq!(built.number(systab(&built) + 96, 8), 0, "no boot services");
}

#[test]
fn the_services_lead_to_code_of_their_kind() {
    let built = built(true);
    let runtime = built.number(systab(&built) + 88, 8);
    let code = built.layout.efi_code;
    for service in 0..14 {
        let at = built.number(runtime + 24 + service * 8, 8);
        assert!((code..code + PAGE).contains(&at));
        assert_eq!(built.read(at, 4), [0xf3, 0x0f, 0x1e, 0xfa], "endbr64");
        let behind = built.read(at + 4, 2);
        match service {
            4 => assert_eq!(behind, [0x31, 0xc0], "SetVirtualAddressMap: xor"),
            10 => {
                assert_eq!(behind, [0x80, 0xc9], "ResetSystem: or");
                assert_eq!(built.read(at + 7, 2), [0x88, 0x0d], "mov to rip + 32 bits");
                assert_eq!(at + 13 + built.number(at + 9, 4), built.layout.mailbox);
            }
            _ => assert_eq!(behind, [0x48, 0xb8], "others: mov"),
        }
    }
    assert_eq!(built.number(built.layout.mailbox, 1), 0);
}

#[test]
fn the_memory_map_is_that_of_e820() {
    let built = built(true);
    assert_eq!(
        built.param(0x1c8, 8),
        1 << 32 | 40,
        "size and version of a descriptor"
    );
    let map = built.param(0x1d0, 4) | built.param(0x1dc, 4) << 32;
    let len = built.param(0x1d4, 4) / 40;
    let mut merged: Vec<(u64, u64, u64)> = Vec::new();
    let mut runtime = Vec::new();
    for at in (0..len).map(|i| map + i * 40) {
        let (kind, attribute) = (built.number(at, 4), built.number(at + 32, 8));
        let start = built.number(at + 8, 8);
        let end = start + built.number(at + 24, 8) * PAGE;
        if attribute & RUNTIME != 0 {
            runtime.push((kind, start, end));
        }
        let kind = match kind {
            7 => 1,
            0 | 5 | 6 => 2,
            9 => 3,
            _ => panic!("type {kind}"),
        };
        match merged.last_mut() {
            Some(last) if last.1 == start && last.2 == kind => last.1 = end,
            _ => merged.push((start, end, kind)),
        }
    }
    assert_eq!(merged, built.e820());
    let (code, data) = (built.layout.efi_code, built.layout.efi_data);
    assert_eq!(runtime, [(5, code, code + PAGE), (6, data, data + PAGE)]);
}

#[test]
fn no_page_is_written_and_executed() {
    let built = built(true);
    let table = config(&built, "dcfa911d-26eb-469f-a220-38b7dc461220");
    assert_eq!(
        [0, 4, 8, 12].map(|at| built.number(table + at, 4)),
        [1, 2, 40, 0]
    );
    let entry = |i: u64| {
        let at = table + 16 + i * 40;
        (
            built.number(at, 4),
            built.number(at + 8, 8),
            built.number(at + 32, 8),
        )
    };
    assert_eq!(entry(0), (5, built.layout.efi_code, RUNTIME | 1 << 17));
    assert_eq!(entry(1), (6, built.layout.efi_data, RUNTIME | 1 << 14));
}

#[test]
fn only_two_services_are_offered() {
    let built = built(true);
    let table = config(&built, "eb66918a-7eef-402a-842e-931d21c38ae9");
    assert_eq!([built.number(table, 2), built.number(table + 2, 2)], [1, 8]);
    assert_eq!(built.number(table + 4, 4), 0x480);
}

#[test]
fn smbios_tells_of_no_real_machine() {
    let built = built(true);
    let entry = config(&built, "f2fd1544-9794-4a2c-992e-e5bbcf20e394");
    let bytes = built.read(entry, 24);
    assert_eq!(&bytes[..5], b"_SM3_");
    assert_eq!(bytes.iter().fold(0, |sum: u8, b| sum.wrapping_add(*b)), 0);
    let (len, at) = (built.number(entry + 12, 4), built.number(entry + 16, 8));
    let structures = built.read(at, len as usize);
    let strings = &structures[structures[1] as usize..];
    assert!(strings.starts_with(b"multikernel\0spawn kernel\0\0\x7f\x04"));
    assert_eq!(structures[0], 1, "System Information");
}
