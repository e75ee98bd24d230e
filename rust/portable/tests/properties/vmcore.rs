// SPDX-License-Identifier: GPL-2.0

//! What holds for any memory that may be a spawn's.

use multikernel_portable::{
    range::Range,
    vmcore::{elf, log, note, panic_line::PanicLine, space::Space, Physical},
};

/// What was found at a note.
pub struct Found {
    pub log: Option<(String, Option<PanicLine>)>,
    pub direct_map: Option<u64>,
    pub elf: Vec<u8>,
}

/// Looks at the page start `at`, as the module does; `room` is what there is for the log.
pub fn check(memory: &impl Physical, ranges: &[Range], at: u64, room: usize) -> Option<Found> {
    let mut text = [0; note::TEXT_MAX];
    let note = note::Note::read(memory, at, &mut text)?;
    assert!(note::begins(memory, at));
    assert!(note
        .text
        .iter()
        .all(|b| *b == b'\n' || (b' '..=b'~').contains(b)));
    let space = Space::new(memory, &note);
    let core = elf::Core::new(ranges, space.as_ref().map(|space| (space, note)));
    let mut headers = vec![0; core.headers_len()];
    core.write(&mut headers).expect("headers of their length");
    check_elf(&headers, ranges);
    let space = space?;
    let mut out = vec![b'?'; room];
    let log = log::read(&space, &note, &mut out, || ());
    let log = log.map(|log| (check_log(&out, log.len), log.panic));
    Some(Found {
        log,
        direct_map: space.direct_map(at),
        elf: headers,
    })
}

/// Whole lines of printable text, each with a time.
fn check_log(out: &[u8], len: usize) -> String {
    let text = std::str::from_utf8(&out[..len]).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        let (time, said) = line[1..].split_once("] ").expect("a time");
        let (seconds, micros) = time.split_once('.').expect("a time");
        assert!(
            line.starts_with('[') && seconds.len() >= 5 && micros.len() == 6,
            "{line}"
        );
        assert!(seconds.trim_start().parse::<u64>().is_ok() && micros.parse::<u32>().is_ok());
        assert!(
            said.bytes()
                .all(|b| b == b'\t' || (b' '..=b'~').contains(&b)),
            "{said}"
        );
    }
    text.into()
}

/// Each header shows bytes of the file that are the memory it speaks of.
fn check_elf(headers: &[u8], ranges: &[Range]) {
    let word = |at: usize| u64::from_le_bytes(headers[at..at + 8].try_into().unwrap());
    assert!(headers.len() % 4096 == 0 && headers.starts_with(b"\x7fELF\x02\x01\x01"));
    let count = usize::from(headers[56]);
    assert!(count >= ranges.len() && count <= 2 * ranges.len() + 1);
    for program in (0..count).map(|i| 64 + 56 * i) {
        let (offset, physical, size) = (word(program + 8), word(program + 24), word(program + 32));
        if headers[program] == 4 {
            assert!(offset + size <= headers.len() as u64);
            continue;
        }
        let Some(behind) = offset.checked_sub(headers.len() as u64) else {
            panic!("memory in the headers");
        };
        let place = elf::locate(ranges, behind).expect("memory in the file");
        assert!(place.start == physical && place.size >= size && size > 0);
    }
    let all: u64 = ranges.iter().map(|range| range.size).sum();
    assert_eq!(elf::locate(ranges, all), None);
}
