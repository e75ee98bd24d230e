// SPDX-License-Identifier: GPL-2.0

//! The spawn's command line: the user's, with the parameters that the boot contract needs.
//!
//! Words are told apart as `next_arg()` of lib/cmdline.c does: by white space outside of double
//! quotes. What follows a word `--` goes to init (`parse_args()`), so ours come before it.

use super::fault::{inval, Errno, Fault, Result};
use core::fmt::{self, Write};

/// What the parameters depend on.
#[derive(Copy, Clone, Debug)]
pub struct Params {
    /// Frequency of the time stamp counter in kHz.
    pub tsc_khz: u32,
    /// An APIC id that no CPU has, see Documentation/boot-contract.rst.
    pub phantom_apic: u32,
}

/// Kernels take the last `module_blacklist` that they are given, so this one is joined.
const BLACKLIST: &str = "module_blacklist";
const BLACKLISTED: &str = "kvm_intel,kvm_amd";

/// Parameters without a variable part; Documentation/boot-contract.rst has the reasons.
const FIXED: [(&str, &str); 9] = [
    ("reboot", "acpi"),
    ("panic", "-1"),
    ("pci", "off"),
    ("no_ipi_broadcast", "1"),
    ("dis_ucode_ldr", ""),
    ("apic_extnmi", "none"),
    ("tsc", "reliable"),
    ("cpu_init_udelay", "0"),
    ("swiotlb", "noforce"),
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
        .find(|word| word.bytes == b"--")
        .map_or(user.len(), |word| word.start);
    let (before, after) = user.split_at_checked(end).ok_or(fmt::Error)?;
    let given = |key: &str| words(before).filter(move |word| word.is(key)).last();

    text.bytes(before.trim_ascii_end())?;
    for (key, value) in FIXED.iter().filter(|(key, _)| given(key).is_none()) {
        let equals = if value.is_empty() { "" } else { "=" };
        write!(text, " {key}{equals}{value}")?;
    }
    if given("tsc_early_khz").is_none() {
        write!(text, " tsc_early_khz={}", ours.tsc_khz)?;
    }
    if given("disable_cpu_apicid").is_none() {
        write!(text, " disable_cpu_apicid={}", ours.phantom_apic)?;
    }
    write!(text, " {BLACKLIST}=")?;
    if let Some(value) = given(BLACKLIST).and_then(|word| word.value()) {
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

/// A word of a command line, and where it starts.
struct Word<'a> {
    start: usize,
    bytes: &'a [u8],
}

impl<'a> Word<'a> {
    /// Whether this gives the parameter `key`; to the kernel, - and _ are the same.
    fn is(&self, key: &str) -> bool {
        let word = self.bytes.strip_prefix(b"\"").unwrap_or(self.bytes);
        let name = word
            .split(|&b| b == b'=' || b == b'"')
            .next()
            .unwrap_or(&[]);
        let plain = |b: u8| if b == b'-' { b'_' } else { b };
        name.len() == key.len()
            && name
                .iter()
                .zip(key.bytes())
                .all(|(&a, b)| plain(a) == plain(b))
    }

    /// The value, without quotes; none if it holds some or white space.
    fn value(&self) -> Option<&'a [u8]> {
        let word = self.bytes.strip_prefix(b"\"").unwrap_or(self.bytes);
        let at = word.iter().position(|&b| b == b'=')?;
        let value = word.get(at.checked_add(1)?..)?;
        let value = value.strip_prefix(b"\"").unwrap_or(value);
        let value = value.strip_suffix(b"\"").unwrap_or(value);
        let odd = |b: &u8| *b == b'"' || is_space(*b);
        (!value.is_empty() && !value.iter().any(odd)).then_some(value)
    }
}

/// As isspace() of the kernel, for ASCII.
fn is_space(b: u8) -> bool {
    b == b' ' || (9..=13).contains(&b)
}

fn words(text: &[u8]) -> impl Iterator<Item = Word<'_>> {
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
        Some(Word {
            start,
            bytes: text.get(start..at)?,
        })
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
