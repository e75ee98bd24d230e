// SPDX-License-Identifier: GPL-2.0

//! Memory that another kernel writes as well, as [`crate::portable::channel`] wants it.

use super::pages::Pages;
use crate::portable::{
    channel::shared::Shared,
    range::Range, //
};
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{Acquire, Relaxed, Release},
            Atomic, //
        },
        barrier::{smp_mb, Full}, //
    },
};

unsafe extern "C" {
    fn mk_shared_copy(to: *mut u8, from: *const u8, len: usize);
    safe fn mk_prefetch(at: *const u8);
}

/// A region shared with a peer; whoever has one stops using it before the pages go.
///
/// # Invariants
///
/// `start` is aligned to a page and `size` bytes, whole words, are mapped there. No Rust reference
/// to them exists but those to [`Atomic`] words.
#[derive(Copy, Clone)]
pub(crate) struct SharedMemory {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: All access is by atomic words, or by copies that C makes.
unsafe impl Send for SharedMemory {}
// SAFETY: As above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// `range`, if it lies in `pages`.
    pub(crate) fn new(pages: &Pages, range: Range) -> Option<Self> {
        let start = NonNull::new(pages.address(range)?)?;
        // SAFETY: `address` has checked it, and lent pages are not referred to while they are lent.
        Some(unsafe { Self::mapped(start, usize::try_from(range.size).ok()?) })
    }

    /// `size` bytes from `start` on.
    ///
    /// # Safety
    ///
    /// They are mapped, aligned to a page, as long as the result is used, and nothing refers to them.
    pub(super) unsafe fn mapped(start: NonNull<u8>, size: usize) -> Self {
        // INVARIANT: By the function's contract.
        Self {
            start,
            size: size & !(size_of::<u64>() - 1),
        }
    }

    fn word(&self, at: usize) -> Option<&Atomic<u64>> {
        // Both are multiples of a word's size.
        let inside = at % size_of::<u64>() == 0 && at < self.size;
        // SAFETY: Mapped by the invariant, aligned, and only used atomically.
        inside.then(|| unsafe { Atomic::from_ptr(self.start.add(at).cast().as_ptr()) })
    }

    /// The address of `len` bytes at `at`, if they are in the region.
    fn bytes(&self, at: usize, len: usize) -> Option<*mut u8> {
        let inside = at <= self.size && len <= self.size.wrapping_sub(at);
        // SAFETY: Mapped by the invariant, or just behind what is.
        inside.then(|| unsafe { self.start.add(at).as_ptr() })
    }
}

impl Shared for SharedMemory {
    fn size(&self) -> usize {
        self.size
    }

    fn load(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Relaxed))
    }

    fn load_acquire(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Acquire))
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Relaxed);
        }
    }

    fn store_release(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Release);
        }
    }

    fn full_fence(&self) {
        smp_mb(Full);
    }

    fn prefetch(&self, at: usize) {
        if let Some(at) = self.bytes(at, 1) {
            mk_prefetch(at);
        }
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        match self.bytes(at, to.len()) {
            // SAFETY: Mapped by the invariant, and `to` is ours. Nothing refers to the source.
            Some(from) => unsafe { mk_shared_copy(to.as_mut_ptr(), from, to.len()) },
            None => to.fill(0),
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        if let Some(to) = self.bytes(at, from.len()) {
            // SAFETY: Mapped by the invariant, and `from` is ours.
            unsafe { mk_shared_copy(to, from.as_ptr(), from.len()) };
        }
    }
}
