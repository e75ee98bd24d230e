// SPDX-License-Identifier: GPL-2.0

//! The readers of a spawn's memory, on a made-up kernel and on damaged ones.

#[path = "properties/vmcore.rs"]
mod properties;
mod vmcore_common;

use multikernel_portable::{
    range::Range,
    vmcore::{panic_line::PanicLine, space::TEXT, Physical},
};
use properties::{check, Found};
use proptest::prelude::*;
use vmcore_common::{Kind, Spawn, DATA, INFOS, NOTE, RING, SIZE, START};

fn found(spawn: &Spawn, room: usize) -> Option<Found> {
    check(spawn, &[Spawn::range()], START + NOTE as u64, room)
}

fn log_of(spawn: &Spawn, room: usize) -> String {
    found(spawn, room).unwrap().log.unwrap().0
}

fn kinds() -> [Kind; 3] {
    [
        Kind::default(),
        Kind {
            levels: 5,
            direct_map: 0xff2c_e08e_0000_0000,
            // Below where the kernel lies: phys_base is negative.
            text: TEXT + 0x100_0000,
            first: 0,
            ..Kind::default()
        },
        Kind {
            direct_map: 0xffff_8880_0000_0000,
            text: TEXT + 0x3fe0_0000,
            // Behind the text mapping, where modules are.
            log: Some((TEXT + (1 << 30)).wrapping_sub(START)),
            ..Kind::default()
        },
    ]
}

#[test]
fn lines_of_a_log() {
    for kind in kinds() {
        let mut spawn = Spawn::new(kind);
        spawn.print(0, 0, b"Linux version 6.18");
        spawn.print(1_234_567_890, 0, b"two\nlines");
        spawn.print(99_999_000_999_000, 3, b"\x1b[31mred\t\xc3\xa4");
        spawn.print(123_456_000_000_000, 0, b"");
        spawn.leave_open();
        let expected =
            "[    0.000000] Linux version 6.18\n[    1.234567] two\n[    1.234567] lines\n\
                        [99999.000999] \\x1b[31mred\t\\xc3\\xa4\n[123456.000000] \n";
        assert_eq!(log_of(&spawn, 4096), expected, "{kind:?}");
        let found = found(&spawn, 4096).unwrap();
        assert_eq!(found.direct_map, Some(kind.direct_map));
        assert_eq!(found.log.unwrap().1.map(|line| line.0.to_string()), None);
    }
}

#[test]
fn old_lines_give_way() {
    let mut spawn = Spawn::new(Kind::default());
    let mut all = String::new();
    for i in 0..500 {
        let text = "x".repeat(i % 90 + 1);
        spawn.print(i as u64 * 1_000_000_000, 0, text.as_bytes());
        all += &format!("[{i:5}.000000] {text}\n");
        let log = log_of(&spawn, 8192);
        // The buffer has 1 KiB, 16 records at least that are not the longest.
        assert!(
            all.ends_with(&log) && log.len() >= all.len().min(700),
            "{log}"
        );
        for room in [0, 1, 16, 17, 100, 333] {
            let last = log_of(&spawn, room);
            let rest = log.strip_suffix(&last).unwrap();
            assert!(rest.is_empty() || rest.ends_with('\n'));
            let line = rest.trim_end().rsplit('\n').next().unwrap_or("");
            assert!(
                rest.is_empty() || last.len() + line.len() + 1 >= room,
                "{room}: {last}"
            );
        }
    }
}

/// Of a log that is longer than what is kept, the last 256 KiB are, from the first whole line on.
#[test]
fn the_end_of_a_long_log() {
    const KEPT: usize = 256 << 10;
    // As a kernel prints, and as one whose bytes are each four on paper.
    for (lines, wide) in [(250, 1), (250, 4), (167, 1), (168, 1), (169, 1)] {
        let mut spawn = Spawn::new(Kind {
            count_bits: 8,
            size_bits: 19,
            ..Kind::default()
        });
        let mut all = String::new();
        for i in 0..lines {
            let length = 1500 + 37 * i % 100;
            let (byte, text) = if wide == 1 {
                (b'x', "x".repeat(length))
            } else {
                (0xff, "\\xff".repeat(length))
            };
            spawn.print(i as u64 * 1_000_000_000, 0, &vec![byte; length]);
            all += &format!("[{i:5}.000000] {text}\n");
        }
        let whole = all.len() <= KEPT;
        assert_eq!(whole, lines == 167, "{}", all.len());
        let end = &all[all.len().saturating_sub(KEPT)..];
        let expected = match end.split_once('\n') {
            Some((_, lines)) if !whole => lines,
            _ => end,
        };
        let log = log_of(&spawn, KEPT);
        assert!(
            log == expected,
            "{lines} lines: {} bytes for {}",
            log.len(),
            expected.len()
        );
        let longest = 16 + 1600 * wide;
        assert!(log.len() > all.len().min(KEPT) - longest, "{}", log.len());
    }
}

/// A reader can be told of records that are gone, and of more text than there is.
#[test]
fn records_that_lie() {
    let mut spawn = Spawn::new(Kind {
        first: 64,
        ..Kind::default()
    });
    for text in ["one", "two"] {
        spawn.print(0, 0, text.as_bytes());
    }
    let log = log_of(&spawn, 4096);
    assert_eq!(log, "[    0.000000] one\n[    0.000000] two\n");
    // The oldest is said to be one whose place the first has taken.
    spawn.put(RING + 32, 32);
    assert_eq!(log_of(&spawn, 4096), log);
    spawn.put(INFOS + 16, 0xffff);
    let first = log_of(&spawn, 4096);
    assert_eq!(
        first.lines().next(),
        Some("[    0.000000] one\\x00\\x00\\x00\\x00\\x00")
    );
    // More than the kernel can have written.
    let mut spawn = Spawn::new(Kind {
        size_bits: 14,
        ..Kind::default()
    });
    spawn.print(0, 0, &[b'y'; 3000]);
    let long = format!("[    0.000000] {}\n", "y".repeat(2048));
    assert_eq!(log_of(&spawn, 4096), long);
}

#[test]
fn panics_are_told_from_what_programs_say() {
    let mut spawn = Spawn::new(Kind::default());
    let panic = |spawn: &Spawn| found(spawn, 4096).unwrap().log.unwrap().1;
    spawn.print(1, 1, b"Kernel panic - not syncing: said a program");
    spawn.print(1, 0, b"and Kernel panic - not syncing: in the midst");
    spawn.print(1, 0, b"---[ end Kernel panic - not syncing: x ]---");
    assert!(panic(&spawn).is_none());
    spawn.print(2, 0, b"Kernel panic - not syncing: softlockup: hung tasks");
    assert!(panic(&spawn).is_some_and(|line| line.is_lockup()));
    spawn.print(3, 0, b"Kernel panic - not syncing: VFS: \x07 root fs\nmore");
    spawn.print(4, 0, b"Rebooting in 1 seconds..");
    let line = panic(&spawn).unwrap();
    assert_eq!(
        line.0.as_str(),
        "Kernel panic - not syncing: VFS: ? root fs"
    );
    assert!(!line.is_lockup());
}

#[test]
fn watchdogs_of_the_kernel() {
    for (cause, is_lockup) in [
        ("softlockup: hung tasks", true),
        ("Hard LOCKUP", true),
        ("RCU Stall", true),
        ("hung_task: blocked tasks", true),
        ("workqueue: stall lasted 31s, exceeding threshold 30s", true),
        ("Fatal exception in interrupt", false),
        ("Attempted to kill init! exitcode=0x0000000b", false),
        ("", false),
    ] {
        let line = PanicLine::new(format!("Kernel panic - not syncing: {cause}").as_bytes());
        assert_eq!(line.unwrap().is_lockup(), is_lockup, "{cause}");
    }
    let long = [&b"Kernel panic - not syncing: "[..], &[b'y'; 1000]].concat();
    assert_eq!(PanicLine::new(&long).unwrap().0.as_str().len(), 256);
    assert!(PanicLine::new(b"Kernel panic").is_none());
}

#[test]
fn notes_that_are_none() {
    let spawn = Spawn::new(Kind::default());
    assert!(found(&spawn, 4096).is_some());
    let text = spawn.text();
    let with = |text: &str| {
        let mut spawn = Spawn::new(Kind::default());
        spawn.note(text.as_bytes());
        found(&spawn, 4096)
    };
    assert!(with(&text.replace("OSRELEASE", "OSrelease")).is_none());
    assert!(with(&text.replace("6.18.0", "6.18\x07")).is_none());
    // Page tables elsewhere: a program's note.
    assert!(with(&text.replace("NUMBER(phys_base)=", "NUMBER(phys_base)=1")).is_none());
    assert!(with(&text.replace("SYMBOL(init_top_pgt)", "SYMBOL(init)")).is_none());
    // A kernel without a log that we know.
    assert!(with(&text.replace("SYMBOL(prb)", "SYMBOL(log_buf)"))
        .unwrap()
        .log
        .is_none());
    // Not at the start of a page, or longer than a note can be.
    assert!(check(&spawn, &[], START + NOTE as u64 + 8, 0).is_none());
    assert!(with(&text.repeat(6)).is_none());
}

#[test]
fn numbers_that_lie() {
    let lie = |from: &str, to: &str| {
        let mut spawn = Spawn::new(Kind::default());
        for i in 0..40 {
            spawn.print(i, 0, b"some text");
        }
        let text = spawn.text();
        assert!(text.contains(from));
        spawn.note(text.replace(from, to).as_bytes());
        found(&spawn, 1 << 18)
    };
    for huge in ["18446744073709551615", "9223372036854775808", "1", "0"] {
        lie("SIZE(prb_desc)=24", &format!("SIZE(prb_desc)={huge}"));
        lie("SIZE(printk_info)=88", &format!("SIZE(printk_info)={huge}"));
        lie(
            "(prb_desc_ring.head_id)=24",
            &format!("(prb_desc_ring.head_id)={huge}"),
        );
        lie(
            "(prb_data_ring.data)=8",
            &format!("(prb_data_ring.data)={huge}"),
        );
    }
    let mut spawn = Spawn::new(Kind::default());
    spawn.print(0, 0, b"text");
    let head = spawn.bytes.len() - 8;
    spawn.put(head, u64::MAX);
    assert!(found(&spawn, 100).is_some());
}

#[test]
fn the_elf_file_shows_each_mapping() {
    for kind in kinds() {
        let spawn = Spawn::new(kind);
        // A range before it, and one out of reach of the text mapping.
        let low = Range {
            start: 0x14000,
            size: 0x10000,
        };
        let far = Range {
            start: START + (2 << 30),
            size: 0x20_0000,
        };
        let ranges = [low, Spawn::range(), far];
        let found = check(&spawn, &ranges, START + NOTE as u64, 0).unwrap();
        let elf = &found.elf;
        let word = |at: usize| u64::from_le_bytes(elf[at..at + 8].try_into().unwrap());
        let programs: Vec<_> = (0..usize::from(elf[56]))
            .map(|i| 64 + 56 * i)
            .map(|at| (elf[at], word(at + 16), word(at + 24), word(at + 32)))
            .collect();
        let direct = |range: &Range| (1, kind.direct_map + range.start, range.start, range.size);
        let text = (1, kind.text, START, Spawn::range().size);
        let note = (
            4,
            0,
            0,
            (24 + spawn.text().len().next_multiple_of(4)) as u64,
        );
        let expected = [note, direct(&low), text, direct(&ranges[1]), direct(&far)];
        assert_eq!(programs, expected, "{kind:?}");
        let at = word(64 + 8) as usize;
        assert_eq!(elf[at..at + 4], 11_u32.to_le_bytes());
        assert!(elf[at + 24..].starts_with(spawn.text().as_bytes()));
    }
}

#[test]
fn the_text_mapping_begins_in_the_midst_of_a_range() {
    let spawn = Spawn::new(Kind {
        text: TEXT,
        ..Kind::default()
    });
    let range = Range {
        start: START - 0x3000,
        size: SIZE as u64 + 0x3000,
    };
    let elf = check(&spawn, &[range], START + NOTE as u64, 0).unwrap().elf;
    let text = 64 + 56;
    let fields = [8, 16, 24, 32].map(|at| {
        let at = text + at;
        u64::from_le_bytes(elf[at..at + 8].try_into().unwrap())
    });
    assert_eq!(
        fields,
        [elf.len() as u64 + 0x3000, TEXT, START, SIZE as u64]
    );
}

struct Nothing;

impl Physical for Nothing {
    fn read(&self, _: u64, _: &mut [u8]) -> bool {
        false
    }
}

#[test]
fn memory_that_is_gone() {
    assert!(check(&Nothing, &[Spawn::range()], START, 100).is_none());
}

proptest! {
    /// Any few bytes wrong, anywhere.
    #[test]
    fn damage(
        kind in 0..3_usize,
        lines in prop::collection::vec((any::<u64>(), any::<u8>(), prop::collection::vec(any::<u8>(), 0..120)), 0..60),
        hits in prop::collection::vec((0..DATA + 2048, any::<u8>()), 0..12),
        room in 0..3000_usize,
    ) {
        let mut spawn = Spawn::new(kinds()[kind]);
        for (time, facility, text) in lines {
            spawn.print(time, facility, &text);
        }
        for (at, byte) in hits {
            spawn.bytes[at] = byte;
        }
        let _ = found(&spawn, room);
    }
}
