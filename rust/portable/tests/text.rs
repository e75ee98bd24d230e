// SPDX-License-Identifier: GPL-2.0

//! What administrators write and read: names, sizes, lists of CPUs.

#[path = "properties/cpu_list.rs"]
mod cpu_list;
#[path = "properties/name.rs"]
mod name;
#[path = "properties/size.rs"]
mod size;

use multikernel_portable::{cpu_list::CpuSet, size::Size};
use proptest::prelude::*;

#[test]
fn sizes_are_printed_in_their_largest_whole_unit() {
    let print = |size, text| assert_eq!(Size(size).to_string(), text);
    print(0, "0");
    print(1023, "1023");
    print(1 << 20, "1M");
    print(512 << 20, "512M");
    print((512 << 20) + 1, "536870913");
    print(3 << 29, "1536M");
    print(1 << 63, "8388608T");
    print(u64::MAX, "18446744073709551615");
}

#[test]
fn sizes_at_the_edge() {
    for text in [
        "",
        " ",
        "M",
        "0x",
        "0xM",
        "x1",
        "1 M",
        "1MB",
        "1e3",
        "-1",
        "+1",
        "1.5G",
        "0x0x1",
        "1_000",
        "16777216T",
        "16777215T",
        "0xffffffffffffffff",
        "18446744073709551615",
        "18446744073709551616",
        "0x10000000000000000",
        "\n512m\n",
        "0X20000000",
        "0xaK",
        "1\0",
        "00000000000000000000000000000000000000001G",
        "\u{b2}",
        "\x0b1",
    ] {
        size::check(text.as_bytes());
    }
}

#[test]
fn lists_at_the_edge() {
    for text in [
        "",
        "\n",
        ",",
        "1,",
        ",1",
        "1,,2",
        "-",
        "1-",
        "-1",
        "1-2-3",
        "2-1",
        "1023",
        "1024",
        "0-1023",
        "0-1024",
        "4294967296",
        "4294967297",
        "18446744073709551617",
        "00000000000000000001",
        "3,2",
        "2-3,3-4",
        " 2-3 \n",
        "2 - 3",
        "+1",
        "0x1",
        "all",
        "1\0",
        "\u{b2}",
    ] {
        cpu_list::check(text.as_bytes());
    }
    let mut set = CpuSet::default();
    set.insert(1024);
    set.insert(u32::MAX);
    assert!(set.is_empty());
}

#[test]
fn names_at_the_edge() {
    let long = "x".repeat(33);
    for text in [
        "",
        "a",
        "0",
        ".",
        "..",
        "-a",
        "_a",
        "a/b",
        "a b",
        "a\n",
        "a\0",
        "A.b_c-9",
        "\u{e9}",
        "a\u{e9}",
        &long[..32],
        &long[..31],
        &long,
    ] {
        name::check(text.as_bytes());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn any_size(text in r"[ \n]?(0[xX])?[0-9a-fA-F]{0,21}[kKmMgGtTbB]?[ \n]?", bytes: Vec<u8>, size: u64, shift in 0..64u32) {
        size::check(text.as_bytes());
        size::check(&bytes);
        size::check_print(size);
        size::check_print(size >> shift << shift);
        size::check_print(size >> shift);
    }

    #[test]
    fn any_list(text in r"[ \n]?([0-9]{1,4}[-,]){0,8}[0-9]{0,4}[ \n]?", bytes: Vec<u8>) {
        cpu_list::check(text.as_bytes());
        cpu_list::check(&bytes);
    }

    #[test]
    fn any_set(model in prop::collection::btree_set(prop_oneof![0..80u32, 0..1024u32], 0..100)) {
        let mut set = CpuSet::default();
        model.iter().rev().for_each(|&cpu| set.insert(cpu));
        cpu_list::check_set(&set, &model);
    }

    #[test]
    fn any_name(text in "[A-Za-z0-9._-]{0,34}", other in r"[a-c\PC]{0,4}", bytes: Vec<u8>) {
        name::check(text.as_bytes());
        name::check(other.as_bytes());
        name::check(&bytes);
    }
}
