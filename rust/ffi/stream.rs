// SPDX-License-Identifier: GPL-2.0

//! Character devices through which bytes go to a peer kernel and come from it:
//! /dev/multikernel/FOLDER/NAME.
//!
//! A registered one owns a reference to the object behind it; an open file owns what it speaks to.

use super::attribute;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{from_err_ptr, from_result},
    fs::File,
    prelude::*,
    sync::{
        poll::PollTable,
        Arc,
        ArcBorrow, //
    },
    types::Opaque, //
};

/// An open file.
pub(crate) trait Stream: Send + Sync + Sized + 'static {
    /// The object behind the device.
    type Owner: Send + Sync + 'static;

    /// Opens it. Must be quick: no other misc device can be opened meanwhile.
    fn open(owner: ArcBorrow<'_, Self::Owner>) -> Result<Arc<Self>>;

    /// How many bytes have come, at least one, or 0 at the end. Sleeps until then, unless
    /// `nonblock`.
    fn wait(&self, nonblock: bool) -> Result<usize>;

    /// Takes bytes that have come: none when others have taken them.
    fn take(&self, to: &mut [u8]) -> usize;

    /// Sends bytes, at least one. Sleeps until there is room, unless `nonblock`.
    fn write(&self, from: &[u8], nonblock: bool) -> Result<usize>;

    /// What can be done without sleeping, as `POLL*`; `file` is told when that changes.
    fn poll(&self, file: &File, table: PollTable<'_>) -> u32;

    /// The terminal in front of it has so many rows and columns.
    fn resize(&self, rows: u16, columns: u16) -> Result;
}

/// `struct mk_stream_ops`.
#[repr(C)]
struct Ops {
    open: unsafe extern "C" fn(*const c_void, *mut *const c_void) -> c_int,
    release: unsafe extern "C" fn(*const c_void),
    wait: unsafe extern "C" fn(*const c_void, bool) -> isize,
    take: unsafe extern "C" fn(*const c_void, *mut u8, usize) -> isize,
    write: unsafe extern "C" fn(*const c_void, *const u8, usize, bool) -> isize,
    poll: unsafe extern "C" fn(*const c_void, *mut c_void, *mut c_void) -> u32,
    resize: unsafe extern "C" fn(*const c_void, u16, u16) -> c_int,
}

/// `struct mk_stream`, known to C only.
#[repr(C)]
struct RawStream(Opaque<()>);

unsafe extern "C" {
    fn mk_stream_register(
        parent: *mut c_void,
        folder: *const c_char,
        name: *const c_char,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawStream;
    fn mk_stream_unregister(stream: *mut RawStream);
}

/// A registered character device.
pub(crate) struct Registration {
    raw: NonNull<RawStream>,
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
    /// Makes a device appear that has no parent.
    ///
    /// # Errors
    ///
    /// ENOMEM, EEXIST, EBUSY.
    pub(crate) fn new<T: Stream>(folder: &CStr, name: &CStr, owner: Arc<T::Owner>) -> Result<Self> {
        // SAFETY: There is no parent.
        unsafe { Self::below::<T>(core::ptr::null_mut(), folder, name, owner) }
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
    pub(super) unsafe fn below<T: Stream>(
        parent: *mut c_void,
        folder: &CStr,
        name: &CStr,
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
        // SAFETY: `parent` by the function's contract; the names are copied, and the operations are
        // those of the owner behind `data`, which stays until `Drop`.
        let raw = unsafe {
            mk_stream_register(
                parent,
                folder.as_char_ptr(),
                name.as_char_ptr(),
                &Callbacks::<T>::OPS,
                data,
            )
        };
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
        // SAFETY: Registered by `below`, unregistered here only.
        unsafe { mk_stream_unregister(self.raw.as_ptr()) };
        // SAFETY: Given away by `below` with the same type; nobody opens it any more.
        unsafe { (self.give_back)(self.data) };
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us.
///
/// `data` came from [`attribute::give`] in [`Registration::below`], and is there as long as the
/// device is registered. `file` came from the same in `open`, and is there until `release`.
impl<T: Stream> Callbacks<T> {
    const OPS: Ops = Ops {
        open: Self::open,
        release: Self::release,
        wait: Self::wait,
        take: Self::take,
        write: Self::write,
        poll: Self::poll,
        resize: Self::resize,
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
