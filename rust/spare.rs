// SPDX-License-Identifier: GPL-2.0

//! Memory that the host can do without, and who is about to take some of it.

use crate::ffi::pages;
use kernel::sync::atomic::{ordering::Full, Atomic};

/// What the host keeps for itself when it gives memory away.
const HOST_RESERVE: u64 = 64 << 20;

/// Bytes that are promised, and not taken yet.
static PROMISED: Atomic<u64> = Atomic::new(0);

/// Bytes that the host can do without.
pub(crate) fn spare() -> u64 {
    pages::available().saturating_sub(HOST_RESERVE)
}

/// Bytes that somebody is about to take: they are nobody else's meanwhile.
pub(crate) struct Promise(u64);

impl Promise {
    /// Promises `size` bytes.
    ///
    /// # Errors
    ///
    /// What there is, when that is less.
    pub(crate) fn new(size: u64) -> Result<Self, u64> {
        // Before it is added up: the sum of what there is does not wrap.
        let all = spare();
        if size > all {
            return Err(all);
        }
        // ORDERING: Full, as in `taken`: what was promised before is in this sum, or is missing
        // in what is asked for after it.
        let others = PROMISED.fetch_add(size, Full);
        let promise = Self(size);
        let rest = spare().saturating_sub(others);
        if size > rest {
            return Err(rest);
        }
        Ok(promise)
    }

    /// So many of them are taken.
    pub(crate) fn taken(&mut self, size: u64) {
        let size = size.min(self.0);
        self.0 = self.0.saturating_sub(size);
        PROMISED.fetch_sub(size, Full);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.taken(self.0);
    }
}
