// SPDX-License-Identifier: GPL-2.0

//! Command lines, composed for the kernel's own parser.

#[path = "properties/cmdline.rs"]
mod properties;

use multikernel_portable::cmdline::{compose, Params, Reset};
use proptest::prelude::*;

const OURS: Params = Params {
    tsc_khz: 2_100_000,
    phantom_apic: 254,
    reset: Reset::Acpi,
};
const FIXED: &str =
    "panic=-1 pci=off no_ipi_broadcast=1 dis_ucode_ldr apic_extnmi=none tsc=reliable \
    cpu_init_udelay=0 swiotlb=noforce softlockup_panic=1 nmi_watchdog=panic \
    sysctl.kernel.panic_on_rcu_stall=1 reboot=acpi tsc_early_khz=2100000 disable_cpu_apicid=254 \
    reserve=0x3f8,8,0x2f8,8,0x3e8,8,0x2e8,8";

fn composed(user: &[u8]) -> Vec<u8> {
    properties::check(user, &OURS, 2047, 2048);
    let mut out = [0; 2048];
    let len = compose(user, &OURS, &mut out, 2047).unwrap();
    out[..len].to_vec()
}

#[test]
fn ours_come_before_what_init_gets() {
    let kvm = "module_blacklist=kvm_intel,kvm_amd";
    let expected = format!("root=/dev/vda {FIXED} {kvm} -- single");
    assert_eq!(composed(b"root=/dev/vda -- single"), expected.as_bytes());
    // To the kernel, these are the same word and the same space.
    let expected = format!("quiet {FIXED} {kvm} \"--\" single");
    assert_eq!(composed(b"quiet \"--\" single"), expected.as_bytes());
    let expected = format!("a\u{e0} {FIXED} {kvm} -- x");
    assert_eq!(composed("a\u{e0}-- x".as_bytes()), expected.as_bytes());
    // No end at all.
    for user in ["--x", "x--", "\"a -- b\"", "--=", "\" -- \""] {
        assert!(
            composed(user.as_bytes()).ends_with(kvm.as_bytes()),
            "{user}"
        );
    }
}

#[test]
fn the_users_parameters_win() {
    let text = String::from_utf8(composed(
        b"pci=nomsi \"tsc=unstable\" dis-ucode-ldr -- panic=5",
    ))
    .unwrap();
    assert!(!text.contains("pci=off") && !text.contains("reliable") && !text.contains("dis_"));
    assert!(text.contains(" panic=-1 "));
    // These are others, though they look alike.
    for user in [
        "tsc\"\"=unstable",
        "\"tsc\"=unstable",
        "=tsc",
        "tscx",
        "xtsc",
    ] {
        let text = composed(user.as_bytes());
        assert!(
            text.escape_ascii().to_string().contains(" tsc=reliable "),
            "{user}"
        );
    }
}

#[test]
fn the_blacklists_are_joined() {
    let ends = |user: &str, end: &str| {
        let text = composed(user.as_bytes());
        assert!(
            text.ends_with(format!(" module_blacklist={end}").as_bytes()),
            "{user}"
        );
    };
    ends("module_blacklist=a,b", "a,b,kvm_intel,kvm_amd");
    ends("module-blacklist=\"a,b\" quiet", "a,b,kvm_intel,kvm_amd");
    ends("\"module_blacklist=a\"", "a,kvm_intel,kvm_amd");
    ends(
        "module_blacklist=a module_blacklist=b",
        "b,kvm_intel,kvm_amd",
    );
    ends("module_blacklist=", "kvm_intel,kvm_amd");
    ends("module_blacklist", "kvm_intel,kvm_amd");
    ends("module_blacklist=\"a b\"", "kvm_intel,kvm_amd");
}

#[test]
fn the_uarts_that_the_user_names_are_not_reserved() {
    let reserves = |user: &str, ports: &str| {
        let text = String::from_utf8(composed(user.as_bytes())).unwrap();
        assert!(text.contains(&format!("254{ports} module")), "{text}");
    };
    reserves("console=ttyS1,115200", " reserve=0x3f8,8,0x3e8,8,0x2e8,8");
    reserves("console=ttyS0 kgdboc=ttyS3", " reserve=0x2f8,8,0x3e8,8");
    reserves(
        "earlycon=uart8250,io,0x3E8 console=ttyS10",
        " reserve=0x3f8,8,0x2f8,8,0x2e8,8",
    );
    reserves("a=0x3f8,0x2f8,0x3e8,0x2e8", "");
    // Init's are not the kernel's.
    reserves(
        "console=tty0 -- ttyS1 x=ttyS1",
        " reserve=0x3f8,8,0x2f8,8,0x3e8,8,0x2e8,8",
    );
    reserves("reserve=0x378,8", "");
}

/// Words that mean something here, and odd ones.
fn lines() -> impl Strategy<Value = Vec<u8>> {
    let token = prop_oneof![
        4 => prop::sample::select(vec![
            "--", "\"", "=", " ", "\t", "\n", "\x0b", "-", "_", ",", "a", "\u{e0}", "\u{a0}",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        3 => prop::sample::select(vec![
            "tsc", "tsc=x", "pci", "panic=1", "module_blacklist", "module-blacklist=a,b",
            "dis_ucode_ldr", "reboot", "tsc_early_khz", "disable-cpu-apicid=3", "--\"",
            "reserve=", "x=ttyS1", "ttyS2,0x2E8", "=\"ttyS1", "0x3f80",
        ]).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..8),
    ];
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 4096, ..ProptestConfig::default() })]

    #[test]
    fn any_line_keeps_its_meaning(
        user in lines(),
        tsc_khz in any::<u32>(),
        phantom_apic in any::<u32>(),
        reset in prop_oneof![Just(Reset::Acpi), Just(Reset::Efi)],
        limit in prop_oneof![Just(0), 0..600usize, Just(usize::MAX)],
        room in 0..600usize,
    ) {
        properties::check(&user, &Params { tsc_khz, phantom_apic, reset }, limit, room);
    }
}
