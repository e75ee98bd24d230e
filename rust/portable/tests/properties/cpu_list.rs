// SPDX-License-Identifier: GPL-2.0

//! What holds for any text that may be a list of CPUs, and for any set of them.

use multikernel_portable::{
    cpu_list::{CpuSet, MAX_CPUS},
    fault::Errno,
};
use std::collections::BTreeSet;

fn number(text: &str) -> Option<u32> {
    let digits = text.trim_start_matches('0');
    if text.is_empty() || digits.len() > 4 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("0{digits}")
        .parse()
        .ok()
        .filter(|&cpu| cpu < MAX_CPUS as u32)
}

/// The slow way.
fn model(text: &[u8]) -> Option<BTreeSet<u32>> {
    let text = std::str::from_utf8(text).ok()?;
    let text = text.trim_matches([' ', '\t', '\n', '\r', '\x0c']);
    let mut set = BTreeSet::new();
    if text.is_empty() {
        return Some(set);
    }
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return None;
        }
        set.extend(first..=last);
    }
    Some(set)
}

/// Reads a list.
pub fn check(text: &[u8]) {
    match (CpuSet::parse(text), model(text)) {
        (Ok(set), Some(model)) => check_set(&set, &model),
        (Err(fault), None) => assert_eq!(fault.errno, Errno::Inval),
        (got, model) => panic!("{}: {got:?} is not {model:?}", text.escape_ascii()),
    }
}

/// Compares a set with `model`, prints it, and reads it again.
pub fn check_set(set: &CpuSet, model: &BTreeSet<u32>) {
    assert!(set.iter().eq(model.iter().copied()));
    assert_eq!(set.len(), model.len());
    assert_eq!(set.is_empty(), model.is_empty());
    assert_eq!(set.first(), model.first().copied());
    for cpu in (0..2 * MAX_CPUS as u32).chain([u32::MAX]) {
        assert_eq!(set.contains(cpu), model.contains(&cpu));
    }
    let text = set.to_string();
    assert_eq!(CpuSet::parse(text.as_bytes()), Ok(*set), "{text}");
    // Ascending, and nothing that could be one range is two.
    let mut next = 0;
    for part in text.split_terminator(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.parse().unwrap(), last.parse().unwrap());
        assert!(
            first >= next && (first < last || !part.contains('-')),
            "{text}"
        );
        next = last + 2;
    }
}
