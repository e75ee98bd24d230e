// SPDX-License-Identifier: GPL-2.0

//! What holds for any command line, as the kernel's own parser sees it.

use multikernel_portable::{
    cmdline::{compose, Params, Reset},
    fault::Errno,
};

/// A parameter and its value.
type Param = (Vec<u8>, Option<Vec<u8>>);

fn isspace(b: u8) -> bool {
    // lib/ctype.c: the no-break space of Latin-1 is one, too.
    matches!(b, 9..=13 | 32 | 160)
}

/// `next_arg()` of lib/cmdline.c, line by line: parameter, value, and rest as offsets.
fn next_arg(text: &mut [u8], mut args: usize) -> (usize, Option<usize>, usize) {
    let (mut i, mut equals, mut in_quote, mut quoted) = (0, 0, false, false);
    if text[args] == b'"' {
        args += 1;
        in_quote = true;
        quoted = true;
    }
    while text[args + i] != 0 {
        let b = text[args + i];
        if isspace(b) && !in_quote {
            break;
        }
        if equals == 0 && b == b'=' {
            equals = i;
        }
        if b == b'"' {
            in_quote = !in_quote;
        }
        i += 1;
    }
    let param = args;
    let mut value = None;
    if equals != 0 {
        text[args + equals] = 0;
        let mut start = args + equals + 1;
        if text[start] == b'"' {
            start += 1;
            if text[args + i - 1] == b'"' {
                text[args + i - 1] = 0;
            }
        }
        value = Some(start);
    }
    if quoted && i > 0 && text[args + i - 1] == b'"' {
        text[args + i - 1] = 0;
    }
    if text[args + i] != 0 {
        text[args + i] = 0;
        args += 1;
    }
    args += i;
    while isspace(text[args]) {
        args += 1;
    }
    (param, value, args)
}

/// `parse_args()` of kernel/params.c: the kernel's parameters, and what init gets.
fn parse_args(text: &[u8]) -> (Vec<Param>, Option<Vec<u8>>) {
    let mut text = [text, &[0]].concat();
    let string = |text: &[u8], at: usize| text[at..].split(|&b| b == 0).next().unwrap().to_vec();
    let mut args = text.iter().take_while(|&&b| isspace(b)).count();
    let mut params = Vec::new();
    while text[args] != 0 {
        let (param, value, rest) = next_arg(&mut text, args);
        let found = (
            string(&text, param),
            value.map(|value| string(&text, value)),
        );
        if found == (b"--".to_vec(), None) {
            return (params, Some(string(&text, rest)));
        }
        params.push(found);
        args = rest;
    }
    (params, None)
}

/// Whether `param` is the parameter `key`, `parameq()`.
fn is(param: &Param, key: &str) -> bool {
    let plain = |b: &u8| if *b == b'-' { b'_' } else { *b };
    param.0.iter().map(plain).eq(key.bytes())
}

/// Composes a command line and checks it.
pub fn check(user: &[u8], ours: &Params, limit: usize, room: usize) {
    let quotes = user.iter().filter(|&&b| b == b'"').count();
    let mut large = vec![0xa5; user.len() + 1024];
    let composed = compose(user, ours, &mut large, usize::MAX).map(|len| &large[..len]);
    let Ok(composed) = composed else {
        assert_eq!(composed.unwrap_err().errno, Errno::Inval);
        assert!(
            user.contains(&0) || quotes % 2 == 1,
            "refused for no reason"
        );
        return;
    };
    assert!(!user.contains(&0) && quotes % 2 == 0);

    // Where there is less room, it is the same one or none.
    let mut out = vec![0xa5; room];
    match compose(user, ours, &mut out, limit) {
        Ok(len) => {
            assert!(len <= limit);
            assert_eq!(&out[..len], composed);
            assert_eq!(out[len], 0);
        }
        Err(fault) => {
            assert!(composed.len() > limit || composed.len() >= room);
            assert!(fault.errno == Errno::TooBig || room == 0);
        }
    }

    let (users, users_init) = parse_args(user);
    let (all, init) = parse_args(composed);
    assert_eq!(init, users_init, "init gets something else");
    assert_eq!(
        all.get(..users.len()),
        Some(&users[..]),
        "the user's are changed"
    );
    let mut added = all[users.len()..].to_vec();

    // The last one: what the user wants, and KVM.
    let blacklist = |params: &[Param]| {
        let found = params.iter().rfind(|param| is(param, "module_blacklist"));
        found.and_then(|param| param.1.clone()).unwrap_or_default()
    };
    let mut joined = blacklist(&users);
    if joined.iter().any(|&b| isspace(b) || b == b'"') {
        joined.clear();
    } else if !joined.is_empty() {
        joined.push(b',');
    }
    joined.extend(b"kvm_intel,kvm_amd");
    assert_eq!(
        added.pop(),
        Some((b"module_blacklist".to_vec(), Some(joined)))
    );

    // A UART is the spawn's when a value has its name or its address, as a whole number.
    let named = |name: &str| {
        users
            .iter()
            .filter_map(|param| param.1.as_ref())
            .any(|value| {
                let value: String = value
                    .iter()
                    .map(|&b| char::from(b).to_ascii_lowercase())
                    .collect();
                value
                    .split(name)
                    .skip(1)
                    .any(|rest| !rest.starts_with(|c: char| c.is_ascii_hexdigit()))
            })
    };
    let reserved: Vec<_> = ["0x3f8", "0x2f8", "0x3e8", "0x2e8"]
        .into_iter()
        .enumerate()
        .filter(|(i, port)| !named(&format!("ttys{i}")) && !named(port))
        .map(|(_, port)| format!("{port},8"))
        .collect();
    let reserved = reserved.join(",");

    let (khz, phantom) = (ours.tsc_khz.to_string(), ours.phantom_apic.to_string());
    let expected: Vec<Param> = [
        ("panic", Some("-1")),
        ("pci", Some("off")),
        ("no_ipi_broadcast", Some("1")),
        ("dis_ucode_ldr", None),
        ("apic_extnmi", Some("none")),
        ("tsc", Some("reliable")),
        ("cpu_init_udelay", Some("0")),
        ("swiotlb", Some("noforce")),
        ("softlockup_panic", Some("1")),
        ("nmi_watchdog", Some("panic")),
        ("sysctl.kernel.panic_on_rcu_stall", Some("1")),
        ("reboot", Some("acpi")),
        ("tsc_early_khz", Some(&khz)),
        ("disable_cpu_apicid", Some(&phantom)),
        ("reserve", Some(&reserved)),
    ]
    .into_iter()
    .filter(|(key, _)| *key != "reboot" || ours.reset == Reset::Acpi)
    .filter(|(key, _)| *key != "reserve" || !reserved.is_empty())
    .filter(|(key, _)| !users.iter().any(|param| is(param, key)))
    .map(|(key, value)| (key.into(), value.map(Into::into)))
    .collect();
    assert_eq!(added, expected);
}
