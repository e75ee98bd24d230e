// SPDX-License-Identifier: GPL-2.0

//! A kernel that was decompressed when it was loaded: its segment, and its place.

mod firmware_common;

use firmware_common::{memory, range, Image, GIB, MIB, PAGE};
use multikernel_portable::{
    fault::{Errno, Result},
    layout::Memory,
    segments::{self, Kernel, Links, Segment},
};

const KERNEL: u64 = 0x100_0000;
const BUFSZ: u64 = 20 * MIB + 5;
const MEMSZ: u64 = 25 * MIB;

/// The links of a kernel that is loaded with this entry.
fn links(image: &Image, entry: u64) -> Result<Links> {
    let boot_params = Segment {
        mem: 0x10_0000,
        memsz: PAGE,
        bufsz: PAGE,
    };
    let kernel = Segment {
        mem: KERNEL,
        memsz: MEMSZ,
        bufsz: BUFSZ,
    };
    let all = [kernel, boot_params];
    segments::check(entry, &all)?;
    let roles = segments::assign(entry, &all, |i| i == 1)?;
    segments::check_links(&image.header(), &all, &roles)
}

fn flat() -> Image {
    Image {
        flat: true,
        ..Image::default()
    }
}

#[test]
fn a_flat_kernel_is_entered_anywhere_in_its_bytes() {
    for entry in [0, 1, 0x200, 0x1234, BUFSZ - 1] {
        let kernel = links(&flat(), KERNEL + entry).unwrap().kernel;
        assert_eq!(
            kernel,
            Kernel {
                memsz: MEMSZ,
                entry
            }
        );
    }
    for entry in [BUFSZ, MEMSZ - 1, MEMSZ] {
        let fault = links(&flat(), KERNEL + entry).unwrap_err();
        assert_eq!((fault.errno, fault.field), (Errno::Inval, "entry"));
    }
}

#[test]
fn a_bzimage_is_entered_at_its_64_bit_entry_only() {
    assert_eq!(
        links(&Image::default(), KERNEL + 0x200)
            .unwrap()
            .kernel
            .entry,
        0x200
    );
    for entry in [0, 0x1ff, 0x201, 0x1234] {
        let fault = links(&Image::default(), KERNEL + entry).unwrap_err();
        assert_eq!((fault.errno, fault.field), (Errno::Inval, "entry"));
    }
}

#[test]
fn a_flat_kernel_is_no_longer_than_it_says() {
    let short = Image {
        init_size: BUFSZ - 1,
        ..flat()
    };
    assert_eq!(links(&short, KERNEL).unwrap_err().errno, Errno::NoExec);
}

#[test]
fn a_flat_kernel_lies_below_its_preferred_address_too() {
    let pieces = [range(4 * MIB, 64 * MIB)];
    let memory = Memory {
        low_pages: range(2 * MIB, 2 * PAGE),
        ..memory(&pieces)
    };
    let image = Image {
        entry: 0x1234,
        ..flat()
    };
    let layout = image.layout(&memory).unwrap();
    // Behind the firmware area, at the next 2 MiB.
    assert_eq!(layout.kernel, range(6 * MIB, 30 * MIB));
    assert_eq!(layout.entry, 6 * MIB + 0x1234);
}

#[test]
fn a_flat_kernel_is_aligned_to_what_it_maps_itself_with() {
    let place = |alignment| {
        let image = Image {
            alignment,
            ..flat()
        };
        image
            .layout(&memory(&[range(GIB, 256 * MIB)]))
            .unwrap()
            .kernel
            .start
    };
    assert_eq!(place(PAGE), GIB + 2 * MIB);
    assert_eq!(place(16 * MIB), GIB + 16 * MIB);
}

#[test]
fn a_flat_kernel_has_room_for_its_zeroes() {
    let image = Image {
        kernel_len: 31 * MIB,
        ..flat()
    };
    let layout = image.layout(&memory(&[range(GIB, 256 * MIB)])).unwrap();
    assert_eq!(layout.kernel.size, 31 * MIB);
    let image = Image {
        kernel_len: 1 << 60,
        ..flat()
    };
    let fault = image.layout(&memory(&[range(GIB, 256 * MIB)])).unwrap_err();
    assert_eq!(fault.errno, Errno::TooBig);
}
