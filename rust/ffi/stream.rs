// SPDX-License-Identifier: GPL-2.0

//! Character devices through which bytes go to a peer kernel and come from it:
//! /dev/multikernel/FOLDER/NAME.

use super::{
    attribute,
    misc::{self, Open, RawMisc, Registration}, //
};
use core::{marker::PhantomData, ptr};
use kernel::{
    error::from_result,
    fs::File,
    prelude::*,
    sync::{
        poll::PollTable,
        Arc, //
    }, //
};

/// An open file.
pub(crate) trait Stream: Open {
    /// How many bytes have come, at least one, or 0 at the end. Sleeps until then, unless
    /// `nonblock`.
    fn wait(&self, nonblock: bool) -> Result<usize>;

    /// Takes bytes that have come: none when others have taken them.
    fn take(&self, to: &mut [u8]) -> usize;

    /// Sends bytes, or that there are none. Sleeps until there is room, unless `nonblock`.
    fn write(&self, from: &[u8], nonblock: bool) -> Result<usize>;

    /// What can be done without sleeping, as `POLL*`; `file` is told when that changes.
    fn poll(&self, file: &File, table: PollTable<'_>) -> u32;

    /// The terminal in front of it has so many rows and columns.
    fn resize(&self, rows: u16, columns: u16) -> Result;
}

/// `struct mk_stream_ops`.
#[repr(C)]
struct Ops {
    misc: misc::Ops,
    wait: unsafe extern "C" fn(*const c_void, bool) -> isize,
    take: unsafe extern "C" fn(*const c_void, *mut u8, usize) -> isize,
    write: unsafe extern "C" fn(*const c_void, *const u8, usize, bool) -> isize,
    poll: unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> u32,
    resize: unsafe extern "C" fn(*const c_void, u16, u16) -> c_int,
}

unsafe extern "C" {
    fn mk_stream_register(
        parent: *mut c_void,
        folder: *const c_char,
        name: *const c_char,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawMisc;
}

/// Makes a device appear that has no parent, for `owner`.
///
/// # Errors
///
/// ENOMEM, EEXIST, EBUSY.
pub(crate) fn register<T: Stream>(
    folder: &CStr,
    name: &CStr,
    owner: Arc<T::Owner>,
) -> Result<Registration> {
    // SAFETY: There is no parent.
    unsafe { register_below::<T>(ptr::null_mut(), folder, name, owner) }
}

/// Makes the device appear below `parent`, for `owner`.
///
/// # Errors
///
/// ENOMEM, EEXIST, EBUSY.
///
/// # Safety
///
/// `parent` is NULL, or registered, and stays so until the new one is dropped.
pub(super) unsafe fn register_below<T: Stream>(
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
            mk_stream_register(parent, folder, name, &Callbacks::<T>::OPS, data)
        })
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us; `file` is that of [`misc::Ops`].
impl<T: Stream> Callbacks<T> {
    const OPS: Ops = Ops {
        misc: misc::Ops::new::<T>(),
        wait: Self::wait,
        take: Self::take,
        write: Self::write,
        poll: Self::poll,
        resize: Self::resize,
    };

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn wait(file: *const c_void, nonblock: bool) -> isize {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            Ok(isize::try_from(file.wait(nonblock)?)?)
        })
    }

    /// # Safety
    ///
    /// See the impl block; `to` is `len` initialised bytes that nobody else uses.
    unsafe extern "C" fn take(file: *const c_void, to: *mut u8, len: usize) -> isize {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            // SAFETY: By the function's contract.
            let to = unsafe { core::slice::from_raw_parts_mut(to, len) };
            Ok(isize::try_from(file.take(to))?)
        })
    }

    /// # Safety
    ///
    /// See the impl block; `from` is `len` initialised bytes that nobody changes.
    unsafe extern "C" fn write(
        file: *const c_void,
        from: *const u8,
        len: usize,
        nonblock: bool,
    ) -> isize {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            // SAFETY: By the function's contract.
            let from = unsafe { core::slice::from_raw_parts(from, len) };
            Ok(isize::try_from(file.write(from, nonblock)?)?)
        })
    }

    /// # Safety
    ///
    /// See the impl block; `raw` is the file that is polled, `table` NULL or valid.
    unsafe extern "C" fn poll(file: *const c_void, raw: *mut c_void, table: *mut c_void) -> u32 {
        // SAFETY: See the impl block.
        let file = unsafe { attribute::borrow::<T>(file) };
        // SAFETY: By the function's contract, both during the call; no `fdget_pos` is held on it.
        let (raw, table) = unsafe {
            (
                File::from_raw_file(raw.cast()),
                PollTable::from_raw(table.cast()),
            )
        };
        file.poll(raw, table)
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn resize(file: *const c_void, rows: u16, columns: u16) -> c_int {
        from_result(|| {
            // SAFETY: See the impl block.
            let file = unsafe { attribute::borrow::<T>(file) };
            file.resize(rows, columns)?;
            Ok(0)
        })
    }
}
