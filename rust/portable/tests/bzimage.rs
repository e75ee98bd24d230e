// SPDX-License-Identifier: GPL-2.0

//! Setup headers, whole and damaged.

mod firmware_common;
#[path = "properties/bzimage.rs"]
mod properties;

use firmware_common::Image;
use multikernel_portable::bzimage::Header;
use proptest::prelude::*;

#[test]
fn a_header_that_is_cut_off_is_refused() {
    let page = Image::default().zero_page();
    for len in 0..page.len() {
        properties::check(&page[..len]);
    }
    assert!(Header::from_zero_page(&page[..0x28f]).is_err());
}

#[test]
fn each_byte_matters_or_does_not() {
    let good = Image::default().zero_page();
    for at in 0..0x300 {
        for value in 0..=255 {
            let mut page = good;
            page[at] = value;
            properties::check(&page);
        }
    }
}

#[test]
fn what_is_refused_has_a_reason() {
    let refused = |at: usize, bytes: &[u8], field: &str| {
        let mut page = Image::default().zero_page();
        page[at..at + bytes.len()].copy_from_slice(bytes);
        let fault = Header::from_zero_page(&page).err().expect("it is bad");
        assert_eq!(fault.field, field);
    };
    refused(0x1fe, &[0], "magic of the setup header");
    refused(0x202, b"hdrs", "magic of the setup header");
    refused(0x206, &[0xb, 2], "boot protocol");
    refused(0x234, &[0], "relocatable_kernel");
    refused(0x236, &[0x7e], "xloadflags");
    refused(0x230, &[0, 0, 0x30, 0], "kernel_alignment");
    refused(0x230, &[0, 0, 0, 0], "kernel_alignment");
    refused(0x230, &[0, 8, 0, 0], "kernel_alignment");
    refused(0x230, &[0, 0, 0, 0x80], "kernel_alignment");
    refused(0x260, &[0; 4], "init_size");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_damage(edits: Vec<(u16, u8)>) {
        let mut page = Image::default().zero_page();
        for (at, value) in edits {
            page[0xc0 + usize::from(at) % 0x200] = value;
        }
        properties::check(&page);
    }
}
