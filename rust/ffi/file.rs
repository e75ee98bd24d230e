// SPDX-License-Identifier: GPL-2.0

//! Character devices below a class device that show bytes: /dev/multikernel/NAME/FILE.

use super::{
    attribute,
    misc::{self, Open, RawMisc, Registration}, //
};
use core::marker::PhantomData;
use kernel::{
    error::from_result,
    prelude::*,
    sync::Arc, //
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
pub(crate) trait File: Open {
    /// What it shows.
    const SHOWS: Shows;

    /// Bytes that there are. May sleep.
    fn size(&self) -> Result<u64>;

    /// Copies bytes from `at` on, and returns how many; 0 at the end. May sleep.
    fn read(&self, at: u64, to: &mut [u8]) -> Result<usize>;
}

/// `struct mk_file_ops`.
#[repr(C)]
struct Ops {
    misc: misc::Ops,
    capability: c_int,
    is_memory: bool,
    size: unsafe extern "C" fn(*const c_void) -> i64,
    read: unsafe extern "C" fn(*const c_void, u64, *mut u8, usize) -> isize,
}

unsafe extern "C" {
    fn mk_file_register(
        parent: *mut c_void,
        folder: *const c_char,
        name: *const c_char,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawMisc;
}

/// Makes a device appear below `parent`, for `owner`.
///
/// # Errors
///
/// ENOMEM, EEXIST, EBUSY.
///
/// # Safety
///
/// `parent` is registered, and stays so until the new one is dropped.
pub(super) unsafe fn register<T: File>(
    parent: *mut c_void,
    folder: &CStr,
    name: &CStr,
    owner: Arc<T::Owner>,
) -> Result<Registration> {
    let (folder, name) = (folder.as_char_ptr(), name.as_char_ptr());
    // SAFETY: `parent` by the function's contract; the names are copied; the operations are those
    // of `T`.
    unsafe {
        Registration::new::<T>(owner, |data| {
            mk_file_register(parent, folder, name, &Callbacks::<T>::OPS, data)
        })
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us; `file` is that of [`misc::Ops`].
impl<T: File> Callbacks<T> {
    const OPS: Ops = Ops {
        misc: misc::Ops::new::<T>(),
        capability: match T::SHOWS {
            Shows::Memory => CAP_SYS_ADMIN,
            Shows::Log => CAP_SYSLOG,
        },
        is_memory: matches!(T::SHOWS, Shows::Memory),
        size: Self::size,
        read: Self::read,
    };

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
