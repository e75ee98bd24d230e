// SPDX-License-Identifier: GPL-2.0

//! Memory that another kernel writes as well, as [`crate::portable::channel`] wants it.

use super::pages::Pages;
use crate::portable::{
    channel::shared::Shared,
    range::Range, //
};
use core::{
    arch::asm,
    ptr::NonNull,
    sync::atomic::{
        compiler_fence,
        Ordering, //
    },
};
use kernel::{
    prelude::*,
    sync::barrier::{
        smp_mb,
        Full, //
    },
};

unsafe extern "C" {
    // The kernel's memcpy(), by a name of which the compiler makes nothing of its own.
    fn __memcpy(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
}

/// A region shared with a peer; whoever has one stops using it before the pages go.
///
/// # Invariants
///
/// `start` is aligned to a page and `size` bytes, whole words, are mapped there. While one is in use no
/// Rust reference to them exists.
#[derive(Copy, Clone)]
pub(crate) struct SharedMemory {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: All access is by volatile words, which are READ_ONCE() and WRITE_ONCE(), or by copies that
// C makes.
unsafe impl Send for SharedMemory {}
// SAFETY: As above.
unsafe impl Sync for SharedMemory {}

impl SharedMemory {
    /// `range`, if it lies in `pages`.
    pub(crate) fn new(pages: &Pages, range: Range) -> Option<Self> {
        let start = NonNull::new(pages.address(range)?)?;
        // SAFETY: `address` has checked it. It is used from when all is in place for a life until that is
        // over, and meanwhile nothing refers to lent pages.
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

    fn word(&self, at: usize) -> Option<NonNull<u64>> {
        // Offsets of words are multiples of their size, as the size is.
        let at = at & !(size_of::<u64>() - 1);
        // SAFETY: Mapped by the invariant.
        (at < self.size).then(|| unsafe { self.start.add(at).cast() })
    }

    /// The address of `len` bytes at `at`, if they are in the region.
    fn bytes(&self, at: usize, len: usize) -> Option<*mut u8> {
        let inside = at <= self.size && len <= self.size.wrapping_sub(at);
        // SAFETY: Mapped by the invariant, or just behind what is.
        inside.then(|| unsafe { self.start.add(at).as_ptr() })
    }
}

/// `load_acquire` and `store_release` are what x86 makes of `smp_load_acquire()` and
/// `smp_store_release()` (arch/x86/include/asm/barrier.h): the processor keeps loads in order, and
/// stores, so the compiler has to. The kernel's own atomics do the same by a call for each word,
/// which is a tenth of a short message's time.
impl Shared for SharedMemory {
    fn size(&self) -> usize {
        self.size
    }

    #[inline]
    fn load(&self, at: usize) -> u64 {
        match self.word(at) {
            // SAFETY: Mapped by the invariant, and aligned.
            Some(word) => unsafe { word.read_volatile() },
            None => 0,
        }
    }

    #[inline]
    fn load_acquire(&self, at: usize) -> u64 {
        let word = self.load(at);
        compiler_fence(Ordering::Acquire);
        word
    }

    #[inline]
    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            // SAFETY: Mapped by the invariant, and aligned.
            unsafe { word.write_volatile(value) };
        }
    }

    #[inline]
    fn store_release(&self, at: usize, value: u64) {
        compiler_fence(Ordering::Release);
        self.store(at, value);
    }

    fn full_fence(&self) {
        smp_mb(Full);
    }

    #[inline]
    fn prefetch(&self, at: usize) {
        if let Some(at) = self.bytes(at, 1) {
            // SAFETY: Reads nothing, and so cannot fault.
            unsafe { asm!("prefetcht0 [{}]", in(reg) at, options(nostack, preserves_flags)) };
        }
    }

    #[inline]
    fn read(&self, at: usize, to: &mut [u8]) {
        match self.bytes(at, to.len()) {
            // SAFETY: Mapped by the invariant, and `to` is ours. Nothing refers to the source.
            Some(from) => unsafe {
                __memcpy(to.as_mut_ptr(), from, to.len());
            },
            None => to.fill(0),
        }
    }

    #[inline]
    fn write(&self, at: usize, from: &[u8]) {
        if let Some(to) = self.bytes(at, from.len()) {
            // SAFETY: Mapped by the invariant, and `from` is ours.
            unsafe { __memcpy(to, from.as_ptr(), from.len()) };
        }
    }
}
