// SPDX-License-Identifier: GPL-2.0

//! An instance's memory: pieces of the host's, set aside until the instance is removed.

use crate::{
    ffi::{
        pages::{self, Pages, Register, Resource},
        shared::SharedMemory,
        x86, //
    },
    portable::{
        layout,
        name::Name,
        pieces,
        range::Range,
        vmcore::{note, Physical}, //
    },
    spare::Promise,
};
use kernel::{
    prelude::*,
    str::CString,
    sync::atomic::{ordering::Relaxed, Atomic}, //
};

/// Sizes are multiples of this, one 2 MiB page of the spawn's first page table.
pub(crate) const GRANULE: u64 = 2 << 20;
/// The largest piece asked for at once: one memory block, so that the search for it is short.
const PIECE_MAX: u64 = 128 << 20;
/// The smallest piece worth having.
const PIECE_MIN: u64 = 4 << 20;
/// Pages below 1 MiB for the spawn's real-mode code: seven for its CPUs' trampoline, two for its
/// decompressor's switch to five-level paging (seen with 6.1 to 7.3), and room to grow.
const LOW_CHUNK_PAGES: u32 = 16;

/// Bytes looked through before others get their turn.
const STRIDE: usize = 1 << 20;
const PAGE: usize = kernel::page::PAGE_SIZE;

/// Lives that some memory has had.
static LIVES: Atomic<u64> = Atomic::new(0);

/// Everything that an instance may touch. Dropping it zeroes it and gives it back.
pub(crate) struct Memory {
    /// Names in /proc/iomem; first, so that they go before the pages do.
    _resources: KVec<Resource>,
    low_chunk: Pages,
    low_pages: Pages,
    pieces: KVec<Pages>,
    /// The pieces, sorted, neighbours merged: what the spawn is told.
    ranges: KVec<Range>,
    size: u64,
    /// Which life's bytes these are: another number for each start, and each memory.
    life: u64,
    /// Whether a spawn has had it.
    used: bool,
}

impl Memory {
    /// Sets `size` bytes aside, near `node` if possible, as long as `go_on` has no objection.
    ///
    /// # Errors
    ///
    /// EINVAL for a size of 0 or one that is no multiple of 2 MiB, ENOMEM when the host does not
    /// have that much to spare, EINTR on a signal, those of `go_on`.
    pub(crate) fn new(
        name: &Name,
        size: u64,
        node: i32,
        go_on: impl Fn() -> Result,
    ) -> Result<Self> {
        if size == 0 || size % GRANULE != 0 {
            pr_err!("{name}: memory {size}: give a multiple of 2M, at least 2M\n");
            return Err(EINVAL);
        }
        let mut promise = Promise::new(size).map_err(|spare| {
            pr_err!("{name}: memory {size}: the host has {spare} bytes to spare; ask for less\n");
            ENOMEM
        })?;
        let low_chunk = Pages::low(LOW_CHUNK_PAGES).inspect_err(|_| {
            pr_err!("{name}: memory below 1 MiB is used up; remove another instance\n");
        })?;
        let low_pages = Pages::dma32(1)?;
        let pieces = Self::collect(&mut promise, size, node, go_on).map_err(|e| {
            if e == ENOMEM {
                return scattered(name, size);
            }
            e
        })?;
        let mut ranges: KVec<Range> = KVec::with_capacity(pieces.len(), GFP_KERNEL)?;
        for range in pieces.iter().map(Pages::range) {
            ranges.push(range, GFP_KERNEL)?;
        }
        let merged = pieces::merge(&mut ranges);
        ranges.truncate(merged);
        if merged > layout::PIECES_MAX {
            return Err(scattered(name, size));
        }
        let resources = Self::label_all(name, &low_chunk, &ranges, &pieces).inspect_err(|_| {
            pr_err!("{name}: memory: /proc/iomem has something else where it is; try again\n");
        })?;
        Ok(Self {
            _resources: resources,
            low_chunk,
            low_pages,
            pieces,
            ranges,
            size,
            life: LIVES.fetch_add(1, Relaxed),
            used: false,
        })
    }

    /// Shows in /proc/iomem whose all of this is.
    fn label_all(
        name: &Name,
        low_chunk: &Pages,
        ranges: &[Range],
        pieces: &[Pages],
    ) -> Result<KVec<Resource>> {
        let mut resources = KVec::new();
        Self::label(name, &mut resources, &low_chunk.range())?;
        for range in ranges {
            // Where two memory devices meet there are two resources, and none can be in both: then
            // the pieces get one each, which are of one device.
            if Self::label(name, &mut resources, range).is_ok() {
                continue;
            }
            let within = |piece: &Range| range.contains(piece);
            for piece in pieces.iter().map(Pages::range).filter(within) {
                Self::label(name, &mut resources, &piece)?;
            }
        }
        Ok(resources)
    }

    /// Adds a line to /proc/iomem.
    fn label(name: &Name, resources: &mut KVec<Resource>, range: &Range) -> Result {
        let label = CString::try_from_fmt(fmt!("multikernel {name}"))?;
        resources.push(Resource::new(label, *range)?, GFP_KERNEL)?;
        Ok(())
    }

    fn collect(
        promise: &mut Promise,
        size: u64,
        node: i32,
        go_on: impl Fn() -> Result,
    ) -> Result<KVec<Pages>> {
        let mut pieces = KVec::new();
        let mut left = size;
        let mut piece = PIECE_MAX;
        while left > 0 {
            if pages::signal_pending() {
                return Err(EINTR);
            }
            go_on()?;
            match Pages::contig(piece.min(left), node) {
                Ok(got) => {
                    promise.taken(got.range().size);
                    left = left.saturating_sub(got.range().size);
                    pieces.push(got, GFP_KERNEL)?;
                }
                Err(e) if piece <= PIECE_MIN => return Err(e),
                Err(_) => piece /= 2,
            }
        }
        Ok(pieces)
    }

    /// Bytes that the administrator asked for.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// What the layout of an image is made for.
    pub(crate) fn map(&self) -> layout::Memory<'_> {
        layout::Memory {
            low_chunk: self.low_chunk.range(),
            low_pages: self.low_pages.range(),
            pieces: &self.ranges,
            huge_pages: x86::huge_pages(),
        }
    }

    /// What an image's firmware is built in: the map, its area, and the low pages.
    ///
    /// # Errors
    ///
    /// EFAULT when `area` is not within one piece.
    pub(crate) fn firmware_mut(
        &mut self,
        area: Range,
    ) -> Result<(layout::Memory<'_>, &mut [u8], &mut [u8])> {
        let map = layout::Memory {
            low_chunk: self.low_chunk.range(),
            low_pages: self.low_pages.range(),
            pieces: &self.ranges,
            huge_pages: x86::huge_pages(),
        };
        let pieces = self.pieces.iter_mut().map(parts);
        let bytes = pieces::find(pieces, &area).ok_or(EFAULT)?;
        Ok((map, bytes, self.low_pages.bytes_mut()))
    }

    /// Writes `data` to a physical range, across pieces that are neighbours, and zeroes behind it.
    ///
    /// # Errors
    ///
    /// EFAULT when the range does not lie in this memory, or is too small.
    pub(crate) fn fill(&mut self, to: Range, data: &[u8]) -> Result {
        let pieces = self.pieces.iter_mut().map(parts);
        if pieces::fill(pieces, &to, data) {
            Ok(())
        } else {
            Err(EFAULT)
        }
    }

    /// Which life's bytes these are.
    pub(crate) fn life(&self) -> u64 {
        self.life
    }

    /// Prepares another life. The bytes of the last one stay, but nothing in them is taken for
    /// the new kernel's: its note would be found there. They are looked at as evidence is, so that
    /// memory that has gone bad is no machine check.
    pub(crate) fn begin_life(&mut self) {
        self.life = LIVES.fetch_add(1, Relaxed);
        if !core::mem::replace(&mut self.used, true) {
            return;
        }
        for piece in self.pieces.iter_mut() {
            for start in page_starts(piece.range()) {
                if note::begins(piece, start) {
                    let size = note::HEAD as u64;
                    // It lies in the piece.
                    let _ = pieces::fill([parts(piece)].into_iter(), &Range { start, size }, &[]);
                }
            }
        }
    }

    /// The ranges that a spawn may take for RAM, by ascending address.
    pub(crate) fn ram(&self) -> impl Iterator<Item = Range> + '_ {
        Iterator::chain(
            core::iter::once(self.low_chunk.range()),
            self.ranges.iter().copied(),
        )
    }

    /// How many pieces there are.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Finds the first page of a piece, at or behind `from`, that begins as a note does, and for which
    /// `is_it`.
    pub(crate) fn find_note(
        &self,
        piece: usize,
        from: u64,
        mut is_it: impl FnMut(u64) -> bool,
    ) -> Option<u64> {
        let piece = self.pieces.get(piece)?;
        page_starts(piece.range())
            .skip_while(|&at| at < from)
            .find(|&at| note::begins(piece, at) && is_it(at))
    }

    /// The region that is shared with the spawn.
    ///
    /// # Errors
    ///
    /// EFAULT when it does not lie in one piece.
    pub(crate) fn shared(&self, range: Range) -> Result<SharedMemory> {
        self.pieces
            .iter()
            .find_map(|piece| SharedMemory::new(piece, range))
            .ok_or(EFAULT)
    }

    /// A register of the spawn at the physical address `at`.
    ///
    /// # Errors
    ///
    /// EFAULT when it does not lie in this memory.
    pub(crate) fn register(&self, at: u64) -> Result<Register> {
        self.pieces
            .iter()
            .find_map(|piece| Register::new(piece, at))
            .ok_or(EFAULT)
    }
}

impl Physical for Pages {
    fn read(&self, at: u64, to: &mut [u8]) -> bool {
        Pages::read(self, at, to) == to.len()
    }
}

impl Physical for Memory {
    fn read(&self, at: u64, to: &mut [u8]) -> bool {
        let mut at = at;
        let mut rest = to;
        while !rest.is_empty() {
            // One read reaches the end of a piece, the next one its neighbour.
            let all = Iterator::chain(core::iter::once(&self.low_chunk), self.pieces.iter());
            let Some(len) = all.map(|p| Pages::read(p, at, rest)).find(|&len| len > 0) else {
                return false;
            };
            at = at.saturating_add(len as u64);
            rest = rest.get_mut(len..).unwrap_or(&mut []);
        }
        true
    }
}

/// The addresses of all pages; others get their turn in between.
fn page_starts(Range { start, size }: Range) -> impl Iterator<Item = u64> {
    let pages = (start..start.saturating_add(size)).step_by(PAGE);
    pages.enumerate().map(|(i, at)| {
        if i % (STRIDE / PAGE) == 0 {
            pages::cond_resched();
        }
        at
    })
}

fn parts(piece: &mut Pages) -> (Range, &mut [u8]) {
    (piece.range(), piece.bytes_mut())
}

/// Tells why there is no memory although there is enough of it.
fn scattered(name: &Name, size: u64) -> Error {
    pr_err!("{name}: memory {size}: the host's memory is too scattered; ask for less\n");
    ENOMEM
}

#[kunit_tests(multikernel_memory)]
mod tests {
    use super::*;
    use crate::ffi::spawn;

    fn memory(size: u64) -> Result<Memory> {
        let name = Name::new(b"kunit").map_err(|_| EINVAL)?;
        Memory::new(&name, size, 0, || Ok(()))
    }

    /// Sizes that cannot be served are refused with the errno of the ABI.
    #[test]
    fn bad_sizes_are_refused() {
        assert!(matches!(memory(0), Err(e) if e == EINVAL));
        assert!(matches!(memory(GRANULE + 4096), Err(e) if e == EINVAL));
        assert!(matches!(memory(1 << 50), Err(e) if e == ENOMEM));
    }

    /// The pieces add up, come zeroed, and data written to them lands there.
    #[test]
    fn data_lands_in_the_pieces() -> Result {
        // A spawn has no low memory to spare.
        if spawn::find_region().is_some() {
            return Ok(());
        }
        let mut memory = memory(2 * PIECE_MIN)?;
        let sum: u64 = memory.ranges.iter().map(|range| range.size).sum();
        assert_eq!(sum, memory.size());
        let Some(&first) = memory.ranges.first() else {
            return Err(EINVAL);
        };
        assert_eq!(memory.register(first.start)?.read(), 0);
        let two = |start| Range { start, size: 2 };
        memory.fill(two(first.start), b"xy")?;
        assert_eq!(memory.register(first.start + 1)?.read(), b'y');
        memory.fill(two(first.start), b"z")?;
        assert_eq!(memory.register(first.start)?.read(), b'z');
        assert_eq!(memory.register(first.start + 1)?.read(), 0);
        assert!(memory.fill(two(first.start), b"xyz").is_err());
        assert!(memory
            .fill(two(first.start.wrapping_sub(1)), b"xy")
            .is_err());
        Ok(())
    }

    /// Reads end where the memory does, and a life leaves no note to the next one.
    #[test]
    fn lives_are_told_apart() -> Result {
        if spawn::find_region().is_some() {
            return Ok(());
        }
        let mut memory = memory(PIECE_MIN)?;
        let (Some(&first), Some(&last)) = (memory.ranges.first(), memory.ranges.last()) else {
            return Err(EINVAL);
        };
        let mut two = [1; 2];
        let end = last.end().ok_or(EINVAL)?;
        assert!(Physical::read(&memory, end - 2, &mut two) && two == [0; 2]);
        assert!(!Physical::read(&memory, end - 1, &mut two));
        memory.begin_life();
        let life = memory.life();
        let head = Range {
            start: first.start + PAGE as u64,
            size: note::HEAD as u64,
        };
        memory.fill(head, b"\x0b\0\0\0\x01\0\0\0\0\0\0\0VMCOREINFO\0\0")?;
        assert_eq!(memory.find_note(0, 0, |_| true), Some(head.start));
        assert_eq!(memory.find_note(0, head.start + 1, |_| true), None);
        memory.begin_life();
        assert!(memory.life() != life);
        let notes = (0..memory.pieces()).find_map(|piece| memory.find_note(piece, 0, |_| true));
        assert_eq!(notes, None);
        Ok(())
    }
}
