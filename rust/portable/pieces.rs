// SPDX-License-Identifier: GPL-2.0

//! Memory in pieces: each a range of addresses, some of them neighbours.

use super::range::Range;
use core::cell::Cell;

/// Sorts `ranges`, which are disjoint, and merges neighbours; returns how many are left, at the
/// start.
pub fn merge(ranges: &mut [Range]) -> usize {
    let cells = Cell::from_mut(ranges).as_slice_of_cells();
    // There are few, and the sorts of `core` can panic.
    for (i, a) in cells.iter().enumerate() {
        for b in cells.iter().skip(i) {
            if b.get().start < a.get().start {
                a.set(b.replace(a.get()));
            }
        }
    }
    let mut used: usize = 0;
    let mut places = cells.iter();
    let mut last: Option<&Cell<Range>> = None;
    for range in cells.iter().map(Cell::get) {
        match last.and_then(|last| Some((last, join(&last.get(), &range)?))) {
            Some((last, joined)) => last.set(joined),
            None => {
                last = places.next().inspect(|place| place.set(range));
                used = used.saturating_add(1);
            }
        }
    }
    used
}

/// Two neighbours as one range.
fn join(low: &Range, high: &Range) -> Option<Range> {
    let size = low.size.checked_add(high.size)?;
    (low.end() == Some(high.start)).then_some(Range {
        start: low.start,
        size,
    })
}

/// Writes `data` to the range `to`, across pieces that are neighbours, in any order, and zeroes
/// behind it. Returns whether all of it had a place.
#[must_use]
pub fn fill<'a>(
    pieces: impl Iterator<Item = (Range, &'a mut [u8])>,
    to: &Range,
    data: &[u8],
) -> bool {
    if data.len() as u64 > to.size {
        return false;
    }
    let mut left = to.size;
    for (range, bytes) in pieces {
        let Some(part) = common(&range, to) else {
            continue;
        };
        let source = part_of(to, &part).map(|place| data.get(place.start..).unwrap_or(&[]));
        let target = part_of(&range, &part).and_then(|place| bytes.get_mut(place));
        if let (Some(source), Some(target)) = (source, target) {
            let (copied, zeroed) = target.split_at_mut(source.len().min(target.len()));
            // PANIC: The shorter of both is what was split off.
            copied.copy_from_slice(source.get(..copied.len()).unwrap_or(&[]));
            zeroed.fill(0);
            left = left.saturating_sub(part.size);
        }
    }
    left == 0
}

/// The bytes of `area`, if it lies within one piece.
pub fn find<'a>(
    mut pieces: impl Iterator<Item = (Range, &'a mut [u8])>,
    area: &Range,
) -> Option<&'a mut [u8]> {
    let (range, bytes) = pieces.find(|(range, _)| range.contains(area))?;
    bytes.get_mut(part_of(&range, area)?)
}

/// What lies in both ranges.
fn common(a: &Range, b: &Range) -> Option<Range> {
    let start = a.start.max(b.start);
    let size = a.end()?.min(b.end()?).checked_sub(start)?;
    (size > 0).then_some(Range { start, size })
}

/// Where `part` lies in the bytes of `range`.
fn part_of(range: &Range, part: &Range) -> Option<core::ops::Range<usize>> {
    let start = usize::try_from(part.start.checked_sub(range.start)?).ok()?;
    let size = usize::try_from(part.size).ok()?;
    Some(start..start.checked_add(size)?)
}
