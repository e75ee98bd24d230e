// SPDX-License-Identifier: GPL-2.0

//! What follows a death, and the texts that are made of one.

use core::fmt::Write;
use multikernel_portable::{
    line::{Line, MAX_LEN},
    restart::{number, Policy, Restart, Verdict, DELAY_MAX},
    stats::Stats,
    table::Reason::{self, *},
};
use proptest::prelude::*;

const REASONS: [Reason; 10] = [
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

#[test]
fn policies_differ_by_reason() {
    let follows = |policy| {
        let restart = Restart {
            policy,
            ..Restart::default()
        };
        REASONS.map(|r| u8::from(matches!(restart.after(r, 0), Verdict::In(1000))))
    };
    assert_eq!(follows(Policy::Never), [0; 10]);
    assert_eq!(follows(Policy::OnFailure), [0, 0, 1, 1, 1, 1, 0, 0, 1, 0]);
    assert_eq!(follows(Policy::Always), [0, 1, 1, 1, 1, 1, 0, 0, 1, 0]);
}

#[test]
fn each_start_waits_twice_as_long_until_it_gives_up() {
    let restart = Restart {
        policy: Policy::OnFailure,
        delay_ms: 100,
        limit: 3,
    };
    let verdicts: Vec<_> = (0..4).map(|row| restart.after(Panic, row)).collect();
    assert_eq!(
        verdicts,
        [
            Verdict::In(100),
            Verdict::In(200),
            Verdict::In(400),
            Verdict::GiveUp
        ]
    );
}

#[test]
fn words_of_policies() {
    for policy in [Policy::Never, Policy::OnFailure, Policy::Always] {
        assert_eq!(Policy::parse(policy.as_str().as_bytes()), Ok(policy));
    }
    for bad in ["", "Never", "always ", "on_failure", "on-failure\0"] {
        assert!(Policy::parse(bad.as_bytes()).is_err(), "{bad:?}");
    }
}

#[test]
fn counters_are_lines_and_do_not_wrap() {
    let mut stats = Stats::default();
    stats.starts.count();
    stats.inits.0 = u64::MAX;
    stats.add(&stats.clone());
    let text = stats.to_string();
    assert!(text.starts_with("starts 2\nstops 0\n"), "{text}");
    assert!(text.contains(&format!("\ninits {}\n", u64::MAX)));
    assert!(text.lines().all(|line| line.split(' ').count() == 2));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: Option::None, ..ProptestConfig::default() })]

    #[test]
    fn no_delay_is_beyond_the_longest(delay_ms: u32, limit: u32, row: u32) {
        let restart = Restart { policy: Policy::Always, delay_ms, limit };
        match restart.after(Panic, row) {
            Verdict::In(ms) => prop_assert!(row < limit && ms <= DELAY_MAX && (ms >= delay_ms.min(DELAY_MAX))),
            Verdict::GiveUp => prop_assert!(row >= limit),
            Verdict::Stay => prop_assert!(false),
        }
    }

    #[test]
    fn numbers_are_those_of_the_standard_library(text in r"[0-9]{0,22}|[ -~]{0,4}", max: u32) {
        let ours = number("n", text.as_bytes(), max).ok();
        let theirs = text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u32>().ok()).flatten();
        prop_assert_eq!(ours, theirs.filter(|&n| n <= max));
    }

    /// Whatever a kernel wrote, the line can be printed, and is not longer than it may be.
    #[test]
    fn a_line_is_printable(text: Vec<u8>, more: String) {
        let mut line = Line::new(&text);
        let kept = line.as_str().len();
        prop_assert_eq!(kept, text.trim_ascii().len().min(MAX_LEN));
        write!(line, "{more}").unwrap();
        prop_assert_eq!(line.as_str().len(), (kept + more.len()).min(MAX_LEN));
        prop_assert!(line.as_str().bytes().all(|b| (b' '..=b'~').contains(&b)));
    }
}
