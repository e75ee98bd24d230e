// SPDX-License-Identifier: GPL-2.0

//! The lines of /proc/multikernel, whose columns are an ABI.

use multikernel_portable::{
    cpu_list::CpuSet,
    name::Name,
    table::{Reason, Release, Row, State, HEADER},
};
use proptest::prelude::*;

fn row() -> Row {
    Row {
        id: 7,
        name: Name::new(b"web").unwrap(),
        state: State::Running,
        cpus: CpuSet::parse(b"2-3,5").unwrap(),
        memory: 512 << 20,
        release: Release::new(b"6.1.0-49-cloud-amd64 (debian-kernel@lists.debian.org) #1"),
        age_ms: 61_007,
        starts: 2,
        reason: Reason::None,
        silence_ms: None,
    }
}

#[test]
fn a_line_has_the_columns_of_the_header() {
    assert_eq!(
        HEADER,
        "ID NAME STATE CPUS MEMORY KERNEL SECONDS STARTS REASON SILENCE\n"
    );
    assert_eq!(
        row().to_string(),
        "7 web running 2-3,5 512M 6.1.0-49-cloud-amd64 61.007 2 - -"
    );
    let empty = Row {
        state: State::Empty,
        cpus: CpuSet::default(),
        memory: 0,
        release: Release::default(),
        age_ms: 0,
        starts: 0,
        ..row()
    };
    assert_eq!(empty.to_string(), "7 web empty - 0 - 0.000 0 - -");
}

#[test]
fn words_stay_what_they_are() {
    use Reason::*;
    let states = [
        State::Empty,
        State::Loaded,
        State::Starting,
        State::Running,
        State::Halted,
        State::Rebooting,
        State::Panicked,
        State::Hung,
        State::Killed,
        State::Quarantined,
    ];
    assert_eq!(
        states.map(|s| s.as_str()).join(" "),
        "empty loaded starting running halted rebooting panicked hung killed quarantined"
    );
    let reasons = [
        None,
        Poweroff,
        Reboot,
        Reset,
        Panic,
        Lockup,
        Killed,
        Stopped,
        StartFailed,
        HostDown,
    ];
    assert_eq!(
        reasons.map(|r| r.as_str()).join(" "),
        "- poweroff reboot reset panic lockup killed stopped start-failed host-down"
    );
    assert_eq!(
        reasons.map(|r| r.ends_in().as_str()).join(" "),
        "loaded halted rebooting rebooting panicked hung killed killed killed killed"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A kernel says of itself what it likes.
    #[test]
    fn no_release_breaks_the_line(
        text in prop_oneof![any::<Vec<u8>>(), r"[!-~]{0,80}[ \t\n\x00\x1b]?[!-~]{0,4}".prop_map(String::into_bytes)],
        id: u32, memory: u64, age_ms: u64, starts: u64,
    ) {
        let release = Release::new(&text);
        let word = release.as_str();
        prop_assert!(word.len() <= 64 && word.bytes().all(|b| (b'!'..=b'~').contains(&b)));
        prop_assert!(text.starts_with(word.as_bytes()));
        let first = text.split(|b| b" \t\n\r\x0c\0".contains(b)).next().unwrap();
        let plain = first.iter().take(64).all(|b| (b'!'..=b'~').contains(b));
        prop_assert_eq!(word.len(), if plain { first.len().min(64) } else { 0 });

        let line = Row { id, release, memory, age_ms, starts, ..row() }.to_string();
        prop_assert_eq!(line.split(' ').count(), HEADER.split_whitespace().count());
        prop_assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b)));
        let seconds: f64 = line.split(' ').nth(6).unwrap().parse().unwrap();
        prop_assert!((seconds - age_ms as f64 / 1000.0).abs() <= seconds / 1e9);
    }
}
