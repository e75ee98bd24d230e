// SPDX-License-Identifier: GPL-2.0

//! A work queue with an owner: dropping it waits for what is queued.

use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_err_ptr,
    prelude::*,
    workqueue::Queue, //
};

/// The module's own work queue.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: A workqueue may be used from any thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: Queueing is synchronised by the workqueue.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates an unbound queue, whose work is done as other threads' is.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(name: &'static CStr) -> Result<Self> {
        Self::with(name, bindings::wq_flags_WQ_UNBOUND)
    }

    /// Creates an unbound queue, whose work comes before that of other threads.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn urgent(name: &'static CStr) -> Result<Self> {
        Self::with(
            name,
            bindings::wq_flags_WQ_UNBOUND | bindings::wq_flags_WQ_HIGHPRI,
        )
    }

    fn with(name: &'static CStr, flags: bindings::wq_flags) -> Result<Self> {
        // SAFETY: The name is a format string without conversions.
        let queue = unsafe { bindings::alloc_workqueue_noprof(name.as_char_ptr(), flags, 0) };
        Ok(Self(NonNull::new(from_err_ptr(queue)?).ok_or(ENOMEM)?))
    }

    /// Waits until nothing is queued or running.
    pub(crate) fn drain(&self) {
        // SAFETY: The queue lives as long as `self`.
        unsafe { bindings::drain_workqueue(self.0.as_ptr()) };
    }

    /// The queue, to put work on.
    pub(crate) fn queue(&self) -> &Queue {
        // SAFETY: The queue lives as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: Owned by `self`; this drains it.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}
