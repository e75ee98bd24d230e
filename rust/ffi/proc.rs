// SPDX-License-Identifier: GPL-2.0

//! A read-only file in /proc that one function fills.
//!
//! C header: [`include/linux/proc_fs.h`](srctree/include/linux/proc_fs.h)

use core::ptr::NonNull;
use kernel::{
    bindings,
    error::from_result,
    prelude::*,
    seq_file::SeqFile, //
};

#[allow(
    improper_ctypes,
    reason = "rustc before 1.88 minds an empty struct in seq_file"
)]
unsafe extern "C" {
    fn mk_proc_create(
        name: *const c_char,
        show: unsafe extern "C" fn(*mut bindings::seq_file, *mut c_void) -> c_int,
    ) -> *mut bindings::proc_dir_entry;
    fn mk_proc_remove(entry: *mut bindings::proc_dir_entry);
}

/// What a file shows.
pub(crate) trait Text {
    /// Writes all of it. Called again, with a larger buffer, when it did not fit; so a reader gets
    /// the text of one call. May sleep.
    fn show(out: &SeqFile) -> Result;
}

/// A file in /proc, for everybody to read.
pub(crate) struct Entry(NonNull<bindings::proc_dir_entry>);

// SAFETY: procfs synchronises; an entry belongs to no thread.
unsafe impl Send for Entry {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Entry {}

impl Entry {
    /// Makes the file appear.
    ///
    /// # Errors
    ///
    /// ENOMEM, also when the name is taken.
    pub(crate) fn new<T: Text>(name: &CStr) -> Result<Self> {
        // SAFETY: The name is copied, and the function is there until `Drop`: it is in this
        // module, whose exit drops us.
        let entry = unsafe { mk_proc_create(name.as_char_ptr(), show::<T>) };
        Ok(Self(NonNull::new(entry).ok_or(ENOMEM)?))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        // SAFETY: Created by `new`, removed here only.
        unsafe { mk_proc_remove(self.0.as_ptr()) };
    }
}

/// # Safety
///
/// `m` is valid, and used by nobody else during the call.
unsafe extern "C" fn show<T: Text>(m: *mut bindings::seq_file, _data: *mut c_void) -> c_int {
    from_result(|| {
        // SAFETY: By the function's contract.
        T::show(unsafe { SeqFile::from_raw(m) })?;
        Ok(0)
    })
}
