// SPDX-License-Identifier: GPL-2.0

//! What the character devices of [`super::file`] and [`super::stream`] share:
//! /dev/multikernel/FOLDER/NAME.
//!
//! A registered one owns a reference to the object behind it; an open file owns what it shows or
//! speaks to.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::attribute;
use core::ptr::NonNull;
use kernel::{
    error::{from_err_ptr, from_result},
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::Opaque, //
};

/// An open file.
pub(crate) trait Open: Send + Sync + Sized + 'static {
    /// The object behind the device.
    type Owner: Send + Sync + 'static;

    /// Opens it, for somebody who may. Must be quick: no other misc device can be opened meanwhile.
    fn open(owner: ArcBorrow<'_, Self::Owner>) -> Result<Arc<Self>>;
}

/// `struct mk_misc_ops`.
///
/// `data` is what [`Registration::new`] gave away, and is there as long as the device is
/// registered. `file` came from [`attribute::give`] in `open`, and is there until `release`.
#[repr(C)]
pub(super) struct Ops {
    open: unsafe extern "C" fn(*const c_void, *mut *const c_void) -> c_int,
    release: unsafe extern "C" fn(*const c_void),
}

impl Ops {
    /// Those of files that are `T`.
    pub(super) const fn new<T: Open>() -> Self {
        Self {
            open: open::<T>,
            release: release::<T>,
        }
    }
}

/// # Safety
///
/// `data` as in [`Ops`]; `file` can be written.
unsafe extern "C" fn open<T: Open>(data: *const c_void, file: *mut *const c_void) -> c_int {
    from_result(|| {
        // SAFETY: By the function's contract.
        let owner = unsafe { attribute::borrow::<T::Owner>(data) };
        let opened = T::open(owner)?;
        // SAFETY: By the function's contract.
        unsafe { file.write(attribute::give(opened)) };
        Ok(0)
    })
}

/// # Safety
///
/// `file` as in [`Ops`]; the last call for this file.
unsafe extern "C" fn release<T: Open>(file: *const c_void) {
    // SAFETY: By the function's contract.
    drop(unsafe { attribute::take_back::<T>(file) });
}

/// `struct mk_misc`, known to C only.
#[repr(C)]
pub(super) struct RawMisc(Opaque<()>);

unsafe extern "C" {
    fn mk_misc_unregister(misc: *mut RawMisc);
}

/// A registered character device.
pub(crate) struct Registration {
    raw: NonNull<RawMisc>,
    data: *const c_void,
    /// Drops the `Arc` behind `data`; the type is known to [`Registration::new`] only.
    give_back: unsafe fn(*const c_void),
}

// SAFETY: The driver core synchronises, and the `Arc` behind `data` is `Send`: what it holds is
// `Send + Sync`.
unsafe impl Send for Registration {}
// SAFETY: `&self` gives access to nothing.
unsafe impl Sync for Registration {}

impl Registration {
    /// Makes a device appear, for `owner`.
    ///
    /// # Errors
    ///
    /// ENOMEM, EEXIST, EBUSY.
    ///
    /// # Safety
    ///
    /// `register` returns a new device that has this data and [`Ops::new`] of the same `T`, or an
    /// errno; what else the device needs stays until it is dropped.
    pub(super) unsafe fn new<T: Open>(
        owner: Arc<T::Owner>,
        register: impl FnOnce(*const c_void) -> *mut RawMisc,
    ) -> Result<Self> {
        /// # Safety
        ///
        /// As for [`attribute::take_back`].
        unsafe fn give_back<T>(data: *const c_void) {
            // SAFETY: By the function's contract.
            drop(unsafe { attribute::take_back::<T>(data) });
        }

        let data = attribute::give(owner);
        match from_err_ptr(register(data)).and_then(|raw| NonNull::new(raw).ok_or(ENOMEM)) {
            Ok(raw) => Ok(Self {
                raw,
                data,
                give_back: give_back::<T::Owner>,
            }),
            Err(e) => {
                // SAFETY: No device came to be that could use it.
                unsafe { give_back::<T::Owner>(data) };
                Err(e)
            }
        }
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        // SAFETY: Registered by `new`, unregistered here only.
        unsafe { mk_misc_unregister(self.raw.as_ptr()) };
        // SAFETY: Given away by `new` with the same type; nobody opens it any more.
        unsafe { (self.give_back)(self.data) };
    }
}
