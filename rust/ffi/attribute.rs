// SPDX-License-Identifier: GPL-2.0

//! Text attributes, as configfs and sysfs hand them to us: a page to fill, a text to obey.

use kernel::{
    error::from_result,
    page::PAGE_SIZE,
    prelude::*,
    str::Formatter,
    sync::{Arc, ArcBorrow}, //
};

/// The page that a reader gets. Text that does not fit is an error, never an overflow.
pub(crate) type Page<'a> = Formatter<'a>;

/// Gives `data` away to C; [`take_back`] undoes it.
pub(super) fn give<T>(data: Arc<T>) -> *const c_void {
    data.into_raw().cast()
}

/// # Safety
///
/// `data` came from [`give`] of the same `T`, and this is the only call for it.
pub(super) unsafe fn take_back<T>(data: *const c_void) -> Arc<T> {
    // SAFETY: By the function's contract.
    unsafe { Arc::from_raw(data.cast()) }
}

/// # Safety
///
/// `data` came from [`give`] of the same `T`, and is not taken back during `'a`.
pub(super) unsafe fn borrow<'a, T>(data: *const c_void) -> ArcBorrow<'a, T> {
    // SAFETY: By the function's contract: there is a reference throughout, and never a `&mut T`.
    unsafe { ArcBorrow::from_raw(data.cast()) }
}

/// Lets `f` fill `page`, and returns the length of the text or an errno.
///
/// # Safety
///
/// - `data` as for [`borrow`], during the call.
/// - `page` is `PAGE_SIZE` bytes that nobody else uses during the call.
pub(super) unsafe fn show<T>(
    data: *const c_void,
    page: *mut c_char,
    f: impl FnOnce(ArcBorrow<'_, T>, &mut Page<'_>) -> Result,
) -> isize {
    // SAFETY: By the function's contract. configfs leaves what was last written there.
    unsafe { page.write_bytes(0, PAGE_SIZE) };
    // The last byte stays free: sysfs complains of a page that is full.
    // SAFETY: By the function's contract, and just initialised.
    let page = unsafe { core::slice::from_raw_parts_mut(page.cast::<u8>(), PAGE_SIZE - 1) };
    let mut out = Page::new(page);
    // SAFETY: By the function's contract.
    let data = unsafe { borrow(data) };
    match f(data, &mut out) {
        // CAST: At most `PAGE_SIZE`, or `f` had failed.
        Ok(()) => out.bytes_written().min(PAGE_SIZE - 1) as isize,
        Err(e) => from_result(|| Err(e)),
    }
}

/// Lets `f` obey the text without the white space around it, and returns `len` or an errno.
///
/// # Safety
///
/// - `data` as for [`borrow`], during the call.
/// - `text` is `len` bytes, at most a page, that nobody changes during the call.
pub(super) unsafe fn store<T>(
    data: *const c_void,
    text: *const c_char,
    len: usize,
    f: impl FnOnce(ArcBorrow<'_, T>, &[u8]) -> Result,
) -> isize {
    // SAFETY: By the function's contract.
    let text = unsafe { core::slice::from_raw_parts(text.cast::<u8>(), len) };
    // SAFETY: By the function's contract.
    let data = unsafe { borrow(data) };
    match f(data, text.trim_ascii()) {
        // CAST: At most a page.
        Ok(()) => len as isize,
        Err(e) => from_result(|| Err(e)),
    }
}
