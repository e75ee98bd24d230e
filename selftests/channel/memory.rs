// SPDX-License-Identifier: GPL-2.0

//! A region in this process, as an agent would map one.

use multikernel_portable::channel::shared::Shared;
use std::{
    alloc::{alloc_zeroed, dealloc, Layout},
    arch::x86_64::{_mm_prefetch, _MM_HINT_T0},
    sync::{
        atomic::{
            fence,
            AtomicU64,
            Ordering::{Acquire, Relaxed, Release, SeqCst}, //
        },
        Arc,
    },
};

struct Pages {
    start: *mut u8,
    layout: Layout,
}

// SAFETY: the memory is only reached through the methods of `Region`, by atomics and by copies
// that are no accesses of the language's.
unsafe impl Send for Pages {}
// SAFETY: likewise.
unsafe impl Sync for Pages {}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout in `Region::new`, and nobody has it any more.
        unsafe { dealloc(self.start, self.layout) };
    }
}

/// A region of whole pages, zero at first.
#[derive(Clone)]
pub struct Region(Arc<Pages>);

impl Region {
    pub fn new(size: usize) -> Self {
        let layout = Layout::from_size_align(size, 2 << 20).expect("a size that can be");
        // SAFETY: the size is not 0.
        let start = unsafe { alloc_zeroed(layout) };
        assert!(!start.is_null());
        Self(Arc::new(Pages { start, layout }))
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        if at % 8 != 0 || at >= self.size() {
            return None;
        }
        // SAFETY: aligned, within the allocation, which lives as long as `self`, and never
        // accessed but as an atomic or by `copy`.
        Some(unsafe { &*self.0.start.add(at).cast::<AtomicU64>() })
    }

    fn has(&self, at: usize, bytes: usize) -> bool {
        at <= self.size() && bytes <= self.size() - at
    }
}

/// Up to here, the processor's own copying takes longer to start than words take.
#[cfg(not(race))]
const SHORT: usize = 256;

/// A copy that the language knows nothing of, since the peer may write there meanwhile.
///
/// # Safety
///
/// Both are valid for so many bytes.
#[cfg(not(race))]
#[inline]
unsafe fn copy(mut from: *const u8, mut to: *mut u8, mut bytes: usize) {
    // SAFETY: as promised, what is left included; the direction flag is clear in all Rust code.
    unsafe {
        while (16..=SHORT).contains(&bytes) {
            std::arch::asm!("movups {x}, [{from}]", "movups [{to}], {x}", x = out(xmm_reg) _,
                from = in(reg) from, to = in(reg) to, options(nostack, preserves_flags));
            (from, to, bytes) = (from.add(16), to.add(16), bytes - 16);
        }
        if bytes > 0 {
            std::arch::asm!("rep movsb", inout("rcx") bytes => _, inout("rsi") from => _,
                inout("rdi") to => _, options(nostack, preserves_flags));
        }
    }
}

/// A copy that ThreadSanitizer sees. Both sides keep to the rules, or it says so.
///
/// # Safety
///
/// Both are valid for so many bytes, and nobody writes there.
#[cfg(race)]
unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    // SAFETY: as promised.
    unsafe { std::ptr::copy_nonoverlapping(from, to, bytes) };
}

impl Shared for Region {
    #[inline]
    fn size(&self) -> usize {
        self.0.layout.size()
    }

    #[inline]
    fn load(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Relaxed))
    }

    #[inline]
    fn load_acquire(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Acquire))
    }

    #[inline]
    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Relaxed);
        }
    }

    #[inline]
    fn store_release(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Release);
        }
    }

    #[inline]
    fn full_fence(&self) {
        fence(SeqCst);
    }

    #[inline]
    fn prefetch(&self, at: usize) {
        if let Some(word) = self.word(at) {
            // SAFETY: a hint.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(word.as_ptr().cast()) };
        }
    }

    #[inline]
    fn read(&self, at: usize, to: &mut [u8]) {
        if self.has(at, to.len()) {
            // SAFETY: the region has so many bytes there.
            unsafe { copy(self.0.start.add(at), to.as_mut_ptr(), to.len()) };
        }
    }

    #[inline]
    fn write(&self, at: usize, from: &[u8]) {
        if self.has(at, from.len()) {
            // SAFETY: likewise.
            unsafe { copy(from.as_ptr(), self.0.start.add(at), from.len()) };
        }
    }
}
