// SPDX-License-Identifier: GPL-2.0

//! Character devices below a class device that show bytes: /dev/multikernel/NAME/FILE.
//!
//! A registered one owns a reference to the object behind it; an open file owns what it shows.
//!
//! C header: [`include/linux/miscdevice.h`](srctree/include/linux/miscdevice.h)

use super::{
    attribute,
    class::RawDevice, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{from_err_ptr, from_result},
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::Opaque, //
};

/// CAP_SYS_ADMIN of include/uapi/linux/capability.h.
const CAP_SYS_ADMIN: c_int = 21;
/// CAP_SYSLOG.
const CAP_SYSLOG: c_int = 34;

/// Who may open a file.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Raw memory: CAP_SYS_ADMIN, and no lockdown for confidentiality, as for /proc/kcore.
    Memory,
    /// Text of a kernel log: CAP_SYSLOG.
    Log,
}

/// An open file.
pub(crate) trait File: Send + Sync + Sized + 'static {
    /// The object behind the device.
    type Owner: Send + Sync + 'static;

    /// Name below the object's folder.
    const NAME: &'static CStr;
    /// What it shows.
    const SHOWS: Shows;

    /// Opens it, for somebody who may. Must be quick: no other misc device can be opened meanwhile.
    fn open(owner: ArcBorrow<'_, Self::Owner>) -> Result<Arc<Self>>;

    /// Bytes that there are. May sleep.
    fn size(&self) -> Result<u64>;

    /// Copies bytes from `at` on, and returns how many; 0 at the end. May sleep.
    fn read(&self, at: u64, to: &mut [u8]) -> Result<usize>;
}

/// `struct mk_file_ops`.
#[repr(C)]
struct Ops {
    capability: c_int,
    is_memory: bool,
    open: unsafe extern "C" fn(*const c_void, *mut *const c_void) -> c_int,
    release: unsafe extern "C" fn(*const c_void),
    size: unsafe extern "C" fn(*const c_void) -> i64,
    read: unsafe extern "C" fn(*const c_void, u64, *mut u8, usize) -> isize,
}

/// `struct mk_file`, known to C only.
#[repr(C)]
struct RawFile(Opaque<()>);

unsafe extern "C" {
    fn mk_file_register(
        device: *mut RawDevice,
        name: *const c_char,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawFile;
    fn mk_file_unregister(file: *mut RawFile);
}

/// A registered character device.
pub(super) struct Registration {
    raw: NonNull<RawFile>,
    data: *const c_void,
    /// Drops the `Arc` behind `data`; the type is known to [`Registration::new`] only.
    give_back: unsafe fn(*const c_void),
}

// SAFETY: The driver core synchronises, and the `Arc` behind `data` is `Send`: what it holds is
// `Send + Sync`.
unsafe impl Send for Registration {}

impl Registration {
    /// Makes the device appear below `device`, for `owner`.
    ///
    /// # Errors
    ///
    /// ENOMEM, EEXIST, EBUSY.
    ///
    /// # Safety
    ///
    /// `device` is registered, and stays so until the new one is dropped.
    pub(super) unsafe fn new<T: File>(
        device: *mut RawDevice,
        owner: Arc<T::Owner>,
    ) -> Result<Self> {
        /// # Safety
        ///
        /// As for [`attribute::take_back`].
        unsafe fn give_back<T>(data: *const c_void) {
            // SAFETY: By the function's contract.
            drop(unsafe { attribute::take_back::<T>(data) });
        }

        let data = attribute::give(owner);
        let name = T::NAME.as_char_ptr();
        // SAFETY: `device` by the function's contract; the name is copied, and the operations are
        // those of the owner behind `data`, which stays until `Drop`.
        let raw = unsafe { mk_file_register(device, name, &Callbacks::<T>::OPS, data) };
        match from_err_ptr(raw).and_then(|raw| NonNull::new(raw).ok_or(ENOMEM)) {
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
        unsafe { mk_file_unregister(self.raw.as_ptr()) };
        // SAFETY: Given away by `new` with the same type; nobody opens it any more.
        unsafe { (self.give_back)(self.data) };
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us.
///
/// `data` came from [`attribute::give`] in [`Registration::new`], and is there as long as the
/// device is registered. `file` came from the same in `open`, and is there until `release`.
impl<T: File> Callbacks<T> {
    const OPS: Ops = Ops {
        capability: match T::SHOWS {
            Shows::Memory => CAP_SYS_ADMIN,
            Shows::Log => CAP_SYSLOG,
        },
        is_memory: matches!(T::SHOWS, Shows::Memory),
        open: Self::open,
        release: Self::release,
        size: Self::size,
        read: Self::read,
    };

    /// # Safety
    ///
    /// See the impl block; `file` can be written.
    unsafe extern "C" fn open(data: *const c_void, file: *mut *const c_void) -> c_int {
        from_result(|| {
            // SAFETY: See the impl block.
            let owner = unsafe { attribute::borrow::<T::Owner>(data) };
            let opened = T::open(owner)?;
            // SAFETY: By the function's contract.
            unsafe { file.write(attribute::give(opened)) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See the impl block; the last call for this file.
    unsafe extern "C" fn release(file: *const c_void) {
        // SAFETY: See the impl block, and by the function's contract.
        drop(unsafe { attribute::take_back::<T>(file) });
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn size(file: *const c_void) -> i64 {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            Ok(i64::try_from(file.size()?)?)
        })
    }

    /// # Safety
    ///
    /// See the impl block; `to` is `len` initialised bytes that nobody else uses.
    unsafe extern "C" fn read(file: *const c_void, at: u64, to: *mut u8, len: usize) -> isize {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            // SAFETY: By the function's contract.
            let to = unsafe { core::slice::from_raw_parts_mut(to, len) };
            Ok(isize::try_from(file.read(at, to)?)?)
        })
    }
}
