// SPDX-License-Identifier: GPL-2.0

//! Memory that a peer can write at any time.

/// A region that is shared with a peer, who is not trusted.
///
/// Offsets are from its start; those of words are multiples of 8. Nothing here may fail, and
/// nothing reaches beyond the region: there, loads give 0 and stores do nothing. Two reads of one
/// place can differ, so callers copy once and check the copy.
///
/// The kernel's names are those of its memory model (Documentation/memory-barriers.txt).
pub trait Shared {
    /// Bytes of the region.
    fn size(&self) -> usize;

    /// Reads a word, in no order with others: `READ_ONCE()`.
    fn load(&self, at: usize) -> u64;

    /// Reads a word before anything that follows: `smp_load_acquire()`.
    fn load_acquire(&self, at: usize) -> u64;

    /// Writes a word, in no order with others: `WRITE_ONCE()`.
    fn store(&self, at: usize, word: u64);

    /// Writes a word after anything that was read or written before: `smp_store_release()`.
    fn store_release(&self, at: usize, word: u64);

    /// Orders stores before it with loads after it: `smp_mb()`.
    fn full_fence(&self);

    /// Says that the line at `at` is read soon, perhaps: `prefetch()`.
    fn prefetch(&self, at: usize);

    /// Copies bytes out, each of them once, in no order.
    fn read(&self, at: usize, to: &mut [u8]);

    /// Copies bytes in, in no order.
    fn write(&self, at: usize, from: &[u8]);
}
