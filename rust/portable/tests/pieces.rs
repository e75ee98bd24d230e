// SPDX-License-Identifier: GPL-2.0

//! Ranges, and memory that consists of several, byte by byte.

use multikernel_portable::{pieces, range::Range};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn range(start: u64, size: u64) -> Range {
    Range { start, size }
}

/// Addresses near the top of all, where sums wrap around, or near 0.
fn ranges() -> impl Strategy<Value = Range> {
    let start = prop_oneof![0..8u64, u64::MAX - 8..=u64::MAX];
    (start, prop_oneof![0..8u64, Just(u64::MAX)]).prop_map(|(start, size)| range(start, size))
}

/// Disjoint pieces in any order, some of them neighbours.
fn disjoint() -> impl Strategy<Value = Vec<Range>> {
    let parts = prop::collection::vec((0..3u64, 1..6u64), 0..12);
    (prop_oneof![Just(0), Just(1 << 32)], parts).prop_flat_map(|(mut at, parts)| {
        let mut pieces = Vec::new();
        for (gap, size) in parts {
            pieces.push(range(at + gap, size));
            at += gap + size;
        }
        Just(pieces).prop_shuffle()
    })
}

/// Each piece with its bytes, all zero.
fn memory(pieces: &[Range]) -> Vec<(Range, Vec<u8>)> {
    let bytes = |piece: &Range| vec![0; piece.size as usize];
    pieces.iter().map(|piece| (*piece, bytes(piece))).collect()
}

#[test]
fn the_last_byte_of_all_is_in_no_range() {
    let mut top = [
        range(u64::MAX - 1, 1),
        range(u64::MAX, u64::MAX),
        range(0, u64::MAX),
    ];
    assert_eq!(pieces::merge(&mut top), 3);
    assert!(!pieces::fill(
        std::iter::empty(),
        &range(u64::MAX, 2),
        b"xy"
    ));
    assert!(!pieces::fill(std::iter::empty(), &range(0, 1), b"xy"));
    assert!(pieces::find(std::iter::empty(), &range(0, 0)).is_none());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn ranges_are_sets_of_addresses(a in ranges(), b in ranges()) {
        let end = |r: &Range| u128::from(r.start) + u128::from(r.size);
        let wraps = |r: &Range| end(r) > u64::MAX.into();
        prop_assert_eq!(a.end().map(u128::from), (!wraps(&a)).then_some(end(&a)));
        let inside = a.start <= b.start && end(&b) <= end(&a);
        prop_assert_eq!(a.contains(&b), inside && !wraps(&a) && !wraps(&b));
        prop_assert_eq!(a.overlaps(&b), b.overlaps(&a));
        if !wraps(&a) && !wraps(&b) {
            let common = end(&a).min(end(&b)) > a.start.max(b.start).into();
            prop_assert_eq!(a.overlaps(&b), common && a.size > 0 && b.size > 0);
        }
    }

    #[test]
    fn merging_keeps_every_address(pieces in disjoint()) {
        let mut merged = pieces.clone();
        let count = pieces::merge(&mut merged);
        merged.truncate(count);
        for pair in merged.windows(2) {
            prop_assert!(pair[0].end().unwrap() < pair[1].start, "{merged:x?}");
        }
        let all = |ranges: &[Range]| {
            let mut all: Vec<_> = ranges.iter().flat_map(|r| r.start..r.start + r.size).collect();
            all.sort_unstable();
            all
        };
        prop_assert_eq!(all(&merged), all(&pieces));
    }

    #[test]
    fn data_lands_where_it_belongs(pieces in disjoint(), index: prop::sample::Index, back in 0..4u64, data in prop::collection::vec(1..=255u8, 0..24), behind in 0..8usize) {
        let first = if pieces.is_empty() { 0 } else { pieces[index.index(pieces.len())].start };
        let to = first.wrapping_sub(back);
        let whole = range(to, (data.len() + behind) as u64);
        let mut memory = memory(&pieces);
        for (_, bytes) in &mut memory {
            bytes.fill(0xee);
        }
        let all = pieces::fill(memory.iter_mut().map(|(r, bytes)| (*r, &mut bytes[..])), &whole, &data);

        let at = |i: usize| u128::from(to) + i as u128;
        let data = data.iter().copied().chain(std::iter::repeat_n(0, behind));
        let data: BTreeMap<_, _> = data.enumerate().map(|(i, b)| (at(i), b)).collect();
        let wraps = data.keys().any(|&address| address >= u64::MAX.into());
        let mut seen = 0;
        for (range, bytes) in &memory {
            for (address, byte) in (range.start..).zip(bytes) {
                let expected = data.get(&address.into()).filter(|_| !wraps);
                prop_assert_eq!(*byte, expected.copied().unwrap_or(0xee));
                seen += usize::from(expected.is_some());
            }
        }
        prop_assert_eq!(all, seen == data.len());
    }

    #[test]
    fn an_area_is_found_in_one_piece(pieces in disjoint(), area in ranges(), index: prop::sample::Index) {
        let first = if pieces.is_empty() { 0 } else { pieces[index.index(pieces.len())].start };
        let area = range(first.wrapping_add(area.start), area.size % 8);
        let mut memory = memory(&pieces);
        let found = pieces::find(memory.iter_mut().map(|(r, bytes)| (*r, &mut bytes[..])), &area);
        prop_assert_eq!(found.as_ref().map(|b| b.len() as u64), pieces.iter().any(|p| p.contains(&area)).then_some(area.size));
        if let Some(bytes) = found {
            bytes.fill(1);
        }
        for (range, bytes) in &memory {
            for (address, byte) in (range.start..).zip(bytes) {
                let within = area.start <= address && address - area.start < area.size;
                prop_assert!(*byte == 0 || within);
            }
        }
    }
}
