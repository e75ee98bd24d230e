// SPDX-License-Identifier: GPL-2.0

//! An interrupt of our own that a peer kernel sends, from `rust/ffi/doorbell.c`.

use super::attribute;
use crate::portable::channel::hello;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::Opaque, //
};

/// `struct mk_doorbell`.
#[repr(C)]
struct RawDoorbell(Opaque<()>);

unsafe extern "C" {
    fn mk_doorbell_new(
        name: *const u8,
        len: usize,
        rung: unsafe extern "C" fn(*const c_void),
        data: *const c_void,
    ) -> *mut RawDoorbell;
    fn mk_doorbell_free(bell: *mut RawDoorbell);
    fn mk_doorbell_address(bell: *const RawDoorbell) -> u64;
}

/// Who can be rung.
pub(crate) trait Rung: Send + Sync + 'static {
    /// Called in hard interrupt context, or as an interrupt's thread, at any time and as often as
    /// the peer likes.
    fn rung(this: ArcBorrow<'_, Self>)
    where
        Self: Sized;
}

/// A vector. Dropping it waits for the handler, so it must not happen there.
pub(crate) struct Doorbell {
    raw: NonNull<RawDoorbell>,
    data: *const c_void,
    give_back: unsafe fn(*const c_void),
}

// SAFETY: Interrupts are requested and freed from any thread; what is behind `data` is
// `Send + Sync`.
unsafe impl Send for Doorbell {}
// SAFETY: `&self` only reads where the vector is.
unsafe impl Sync for Doorbell {}

impl Doorbell {
    /// Asks for a vector, which shows as "multikernel:name" in /proc/interrupts.
    ///
    /// # Errors
    ///
    /// ENOSPC when there is none, ENOMEM.
    pub(crate) fn new<T: Rung>(name: &str, who: Arc<T>) -> Result<Self> {
        /// # Safety
        ///
        /// As for [`attribute::take_back`].
        unsafe fn give_back<T>(data: *const c_void) {
            // SAFETY: By the function's contract.
            drop(unsafe { attribute::take_back::<T>(data) });
        }

        /// # Safety
        ///
        /// As for [`attribute::borrow`], during the call.
        unsafe extern "C" fn rung<T: Rung>(data: *const c_void) {
            // SAFETY: By the function's contract.
            T::rung(unsafe { attribute::borrow(data) });
        }

        let data = attribute::give(who);
        // SAFETY: C copies the name; `data` is there until the interrupt is freed.
        let raw = unsafe { mk_doorbell_new(name.as_ptr(), name.len(), rung::<T>, data) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self {
                raw,
                data,
                give_back: give_back::<T>,
            }),
            None => {
                // SAFETY: Nothing came to be that could use it.
                unsafe { give_back::<T>(data) };
                Err(ENOSPC)
            }
        }
    }

    /// Where it is now.
    pub(crate) fn address(&self) -> Option<hello::Doorbell> {
        // SAFETY: Made by `new`, freed by `drop` only.
        let address = unsafe { mk_doorbell_address(self.raw.as_ptr()) };
        hello::Doorbell::decode(address)
    }
}

impl Drop for Doorbell {
    fn drop(&mut self) {
        // SAFETY: Made by `new`, freed here only.
        unsafe { mk_doorbell_free(self.raw.as_ptr()) };
        // SAFETY: Given away by `new` with the same type, and the handler has left.
        unsafe { (self.give_back)(self.data) };
    }
}
