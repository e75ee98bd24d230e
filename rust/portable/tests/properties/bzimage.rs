// SPDX-License-Identifier: GPL-2.0

//! What holds for any bytes that may be a zero page.

use multikernel_portable::{bzimage::Header, fault::Errno};

/// A field, read the plain way.
fn field(page: &[u8], at: usize, len: usize) -> u64 {
    page[at..at + len]
        .iter()
        .rev()
        .fold(0, |value, b| value << 8 | u64::from(*b))
}

/// Whether it is the header of a kernel that we can start.
fn good(page: &[u8]) -> bool {
    page.len() >= 0x290
        && field(page, 0x1fe, 2) == 0xaa55
        && &page[0x202..0x206] == b"HdrS"
        && field(page, 0x206, 2) >= 0x20c
        && page[0x236] & 1 == 1
        && page[0x234] != 0
        && (12..=30).any(|shift| field(page, 0x230, 4) == 1 << shift)
        && field(page, 0x260, 4) != 0
}

/// Checks a zero page.
pub fn check(page: &[u8]) {
    let header = match Header::from_zero_page(page) {
        Ok(header) => header,
        Err(fault) => {
            assert_eq!(fault.errno, Errno::NoExec);
            assert!(!good(page), "refused: {fault}");
            return;
        }
    };
    assert!(good(page), "taken");
    let wide = |low, high| field(page, low, 4) | field(page, high, 4) << 32;
    assert_eq!(u64::from(header.version()), field(page, 0x206, 2));
    assert_eq!(u64::from(header.kernel_version()), field(page, 0x20e, 2));
    assert_eq!(header.ramdisk_image(), wide(0x218, 0xc0));
    assert_eq!(header.ramdisk_size(), wide(0x21c, 0xc4));
    assert_eq!(header.cmd_line_ptr(), wide(0x228, 0xc8));
    assert_eq!(header.kernel_alignment(), field(page, 0x230, 4));
    assert_eq!(header.can_load_above_4g(), page[0x236] & 2 != 0);
    let initrd_addr_max = [field(page, 0x22c, 4), u64::MAX][usize::from(page[0x236] >> 1 & 1)];
    assert_eq!(header.initrd_addr_max(), initrd_addr_max);
    assert_eq!(header.cmdline_size() as u64, field(page, 0x238, 4));
    assert_eq!(
        header.payload_end(),
        field(page, 0x248, 4) + field(page, 0x24c, 4)
    );
    assert_eq!(header.pref_address(), field(page, 0x258, 8));
    assert_eq!(header.init_size(), field(page, 0x260, 4));
    // All that has been read, and nothing of what follows in the page.
    let end = (0x202 + usize::from(page[0x201])).clamp(0x264, 0x290);
    assert_eq!(header.raw(), &page[0x1f1..end]);
}
