// SPDX-License-Identifier: GPL-2.0

//! An interrupt of our own that a peer kernel sends, from `rust/ffi/doorbell.c`.

use super::attribute;
use crate::portable::channel::hello;
use core::{marker::PhantomData, ptr::NonNull};
use kernel::{
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::Opaque, //
};

/// `struct mk_doorbell`.
#[repr(C)]
struct RawDoorbell(Opaque<()>);

/// `struct mk_doorbell_ops`.
#[repr(C)]
struct Ops {
    rung: unsafe extern "C" fn(*const c_void) -> bool,
    serve: unsafe extern "C" fn(*const c_void),
}

unsafe extern "C" {
    fn mk_doorbell_new(
        name: *const u8,
        len: usize,
        has_thread: bool,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawDoorbell;
    fn mk_doorbell_free(bell: *mut RawDoorbell);
    fn mk_doorbell_address(bell: *const RawDoorbell) -> u64;
}

/// Who can be rung.
pub(crate) trait Rung: Send + Sync + 'static {
    /// Called in hard interrupt context, or as an interrupt's thread, at any time and as often as
    /// the peer likes. Whether [`Rung::serve`] is to be called; only if the doorbell has a thread.
    fn rung(this: ArcBorrow<'_, Self>) -> bool
    where
        Self: Sized;

    /// Called by the doorbell's thread, once for any number of rings before.
    fn serve(this: ArcBorrow<'_, Self>)
    where
        Self: Sized;
}

/// A vector, and perhaps a thread of its interrupt. Dropping it waits for both, so it must not happen there.
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

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us; `data` is what [`attribute::give`] gave.
impl<T: Rung> Callbacks<T> {
    const OPS: Ops = Ops {
        rung: Self::rung,
        serve: Self::serve,
    };

    /// # Safety
    ///
    /// As for [`attribute::borrow`], during the call.
    unsafe extern "C" fn rung(data: *const c_void) -> bool {
        // SAFETY: By the function's contract.
        T::rung(unsafe { attribute::borrow(data) })
    }

    /// # Safety
    ///
    /// As for [`attribute::borrow`], during the call.
    unsafe extern "C" fn serve(data: *const c_void) {
        // SAFETY: By the function's contract.
        T::serve(unsafe { attribute::borrow(data) });
    }

    /// # Safety
    ///
    /// As for [`attribute::take_back`].
    unsafe fn give_back(data: *const c_void) {
        // SAFETY: By the function's contract.
        drop(unsafe { attribute::take_back::<T>(data) });
    }
}

impl Doorbell {
    /// Asks for a vector, which shows as "multikernel:name" in /proc/interrupts. It may have a thread, a
    /// real-time one, if whoever rings is trusted not to do so without end.
    ///
    /// # Errors
    ///
    /// ENOSPC when there is none, ENOMEM.
    pub(crate) fn new<T: Rung>(name: &str, has_thread: bool, who: Arc<T>) -> Result<Self> {
        let data = attribute::give(who);
        let ops = &Callbacks::<T>::OPS;
        // SAFETY: C copies the name; `data` is there until the interrupt is freed.
        let raw = unsafe { mk_doorbell_new(name.as_ptr(), name.len(), has_thread, ops, data) };
        match NonNull::new(raw) {
            Some(raw) => Ok(Self {
                raw,
                data,
                give_back: Callbacks::<T>::give_back,
            }),
            None => {
                // SAFETY: Nothing came to be that could use it.
                unsafe { Callbacks::<T>::give_back(data) };
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
