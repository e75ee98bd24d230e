// SPDX-License-Identifier: GPL-2.0

//! The spawn's command line: the user's, with the parameters that the boot contract needs.
//!
//! Words are told apart as `next_arg()` of lib/cmdline.c does: by white space outside of double
//! quotes. What follows a word `--` goes to init (`parse_args()`), so ours come before it.

mod serial;

use super::fault::{inval, Errno, Fault, Result};
use core::fmt::{self, Write};

/// What the parameters depend on.
#[derive(Copy, Clone, Debug)]
pub struct Params {
    /// Frequency of the time stamp counter in kHz.
    pub tsc_khz: u32,
    /// An APIC id that no CPU has, see Documentation/boot-contract.rst.
    pub phantom_apic: u32,
    /// How the kernel resets its machine.
    pub reset: Reset,
}

/// How a spawn kernel resets its machine.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// By the EFI runtime, which it prefers by itself on a hardware-reduced platform.
    Efi,
    /// By the ACPI reset register. It must be told: a quirk for the host's board may say otherwise.
    Acpi,
}

/// Kernels take the last `module_blacklist` that they are given, so this one is joined.
const BLACKLIST: &str = "module_blacklist";
const BLACKLISTED: &str = "kvm_intel,kvm_amd";

/// Parameters without a variable part; Documentation/boot-contract.rst has the reasons.
const FIXED: [(&str, &str); 11] = [
    ("panic", "-1"),
    ("pci", "off"),
    ("no_ipi_broadcast", "1"),
    ("dis_ucode_ldr", ""),
    ("apic_extnmi", "none"),
    ("tsc", "reliable"),
    ("cpu_init_udelay", "0"),
    ("swiotlb", "noforce"),
    ("softlockup_panic", "1"),
    ("nmi_watchdog", "panic"),
    ("sysctl.kernel.panic_on_rcu_stall", "1"),
];

/// Writes the user's command line with ours to `out`, NUL-terminated, and returns its length
/// without the NUL. A parameter that the user has given is left to the user.
///
/// # Errors
///
/// `Inval` for an odd number of quotes, which would swallow our parameters, and for a NUL;
/// `TooBig` when it is longer than `limit` or does not fit in `out`.
pub fn compose(user: &[u8], ours: &Params, out: &mut [u8], limit: usize) -> Result<usize> {
    if user.contains(&0) {
        return inval("command line", 0, "must not contain a NUL");
    }
    let quotes = user.iter().filter(|&&b| b == b'"').count();
    if quotes % 2 != 0 {
        return inval(
            "quotes in the command line",
            quotes as u64,
            "close the last quote",
        );
    }
    let room = out.len().saturating_sub(1).min(limit);
    let mut text = Text { out, len: 0, room };
    write(&mut text, user, ours).map_err(|_| Fault {
        errno: Errno::TooBig,
        field: "longest command line",
        value: limit as u64,
        remedy: "shorten the command line",
    })?;
    let len = text.len;
    match out.get_mut(len) {
        Some(end) => *end = 0,
        None => return inval("command line", 0, "give room for it"),
    }
    Ok(len)
}

fn write(text: &mut Text<'_>, user: &[u8], ours: &Params) -> fmt::Result {
    let end = words(user)
        .find(Word::is_end)
        .map_or(user.len(), |word| word.start);
    let (before, after) = user.split_at_checked(end).ok_or(fmt::Error)?;
    let given = |key: &str| words(before).filter(move |word| word.is(key)).last();

    text.bytes(before.trim_ascii_end())?;
    for (key, value) in FIXED.iter().filter(|(key, _)| given(key).is_none()) {
        let equals = if value.is_empty() { "" } else { "=" };
        write!(text, " {key}{equals}{value}")?;
    }
    if ours.reset == Reset::Acpi && given("reboot").is_none() {
        text.write_str(" reboot=acpi")?;
    }
    if given("tsc_early_khz").is_none() {
        write!(text, " tsc_early_khz={}", ours.tsc_khz)?;
    }
    if given("disable_cpu_apicid").is_none() {
        write!(text, " disable_cpu_apicid={}", ours.phantom_apic)?;
    }
    if given("reserve").is_none() {
        serial::reserve(text, words(before).filter_map(|word| word.value))?;
    }
    write!(text, " {BLACKLIST}=")?;
    if let Some(value) = given(BLACKLIST).and_then(|word| word.list()) {
        text.bytes(value)?;
        text.write_str(",")?;
    }
    text.write_str(BLACKLISTED)?;
    if !after.is_empty() {
        text.write_str(" ")?;
        text.bytes(after)?;
    }
    Ok(())
}

/// A word of a command line as `next_arg()` takes it apart, and where it starts.
struct Word<'a> {
    start: usize,
    param: &'a [u8],
    value: Option<&'a [u8]>,
}

impl<'a> Word<'a> {
    fn new(start: usize, text: &'a [u8]) -> Self {
        let unquote = |text: &'a [u8]| text.strip_suffix(b"\"").unwrap_or(text);
        let (quoted, text) = match text.strip_prefix(b"\"") {
            Some(inner) => (true, inner),
            None => (false, text),
        };
        // A = at the start belongs to the name.
        let mut bytes = text.iter().enumerate().skip(1);
        let equals = bytes.find(|(_, &b)| b == b'=').map(|(at, _)| at);
        let (param, value) = match equals.and_then(|at| text.split_at_checked(at)) {
            Some((param, value)) => (param, value.strip_prefix(b"=")),
            None if quoted => (unquote(text), None),
            None => (text, None),
        };
        let value = value.map(|value| match value.strip_prefix(b"\"") {
            Some(inner) => unquote(inner),
            None if quoted => unquote(value),
            None => value,
        });
        Self {
            start,
            param,
            value,
        }
    }

    /// Whether what follows is for init.
    fn is_end(&self) -> bool {
        self.param == b"--" && self.value.is_none()
    }

    /// Whether this gives the parameter `key`; to the kernel, - and _ are the same.
    fn is(&self, key: &str) -> bool {
        let plain = |&b: &u8| if b == b'-' { b'_' } else { b };
        self.param.iter().map(plain).eq(key.bytes())
    }

    /// The value, if a list can go on behind it: not when it has quotes or white space.
    fn list(&self) -> Option<&'a [u8]> {
        let odd = |b: &u8| *b == b'"' || is_space(*b);
        self.value
            .filter(|value| !value.is_empty() && !value.iter().any(odd))
    }
}

/// As isspace() of the kernel, which takes text for Latin-1: 0xa0 is its no-break space.
fn is_space(b: u8) -> bool {
    matches!(b, b' ' | 9..=13 | 0xa0)
}

fn words(text: &[u8]) -> impl Iterator<Item = Word<'_>> + Clone {
    let mut at = 0;
    core::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = at.checked_add(rest.iter().position(|&b| !is_space(b))?)?;
        let mut quoted = false;
        let len = text.get(start..)?.iter().take_while(|&&b| {
            quoted ^= b == b'"';
            quoted || !is_space(b)
        });
        at = start.checked_add(len.count())?;
        Some(Word::new(start, text.get(start..at)?))
    })
}

/// A buffer with an end.
struct Text<'a> {
    out: &'a mut [u8],
    len: usize,
    room: usize,
}

impl Text<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> fmt::Result {
        let end = self
            .len
            .checked_add(bytes.len())
            .filter(|&end| end <= self.room);
        let end = end.ok_or(fmt::Error)?;
        let place = self.out.get_mut(self.len..end).ok_or(fmt::Error)?;
        place.copy_from_slice(bytes);
        self.len = end;
        Ok(())
    }
}

impl Write for Text<'_> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        self.bytes(s.as_bytes())
    }
}
