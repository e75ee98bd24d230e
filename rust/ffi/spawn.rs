// SPDX-License-Identifier: GPL-2.0

//! What the module needs in a spawn kernel, from `rust/ffi/spawn.c`: the region, beats, notifiers.

use super::{
    attribute,
    shared::SharedMemory, //
};
use crate::portable::range::Range;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::to_result,
    prelude::*,
    sync::{Arc, ArcBorrow}, //
};

unsafe extern "C" {
    fn mk_region_find(start: *mut u64, size: *mut u64) -> bool;
    safe fn mk_region_map(start: u64, size: u64) -> *mut u8;
    fn mk_region_unmap(region: *mut u8);
    fn mk_spawn_register(ops: &'static Ops, data: *const c_void) -> c_int;
    safe fn mk_spawn_unregister();
    /// Lets user space power off, and does it itself where that fails.
    #[link_name = "mk_poweroff"]
    pub(crate) safe fn poweroff();
    /// Lets user space reboot, and does it itself where that fails.
    #[link_name = "mk_reboot_orderly"]
    pub(crate) safe fn reboot();
}

/// The region that this kernel shares with its host, if it is a spawn.
pub(crate) fn find_region() -> Option<Range> {
    let (mut start, mut size) = (0, 0);
    // SAFETY: Both can be written.
    let found = unsafe { mk_region_find(&raw mut start, &raw mut size) };
    found.then_some(Range { start, size })
}

/// The mapped region.
///
/// # Invariants
///
/// `start` was returned by `mk_region_map` for `size` bytes.
pub(crate) struct Mapping {
    start: NonNull<u8>,
    size: usize,
}

// SAFETY: An address that is only unmapped.
unsafe impl Send for Mapping {}
// SAFETY: As above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps it.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(range: Range) -> Result<Self> {
        let start = NonNull::new(mk_region_map(range.start, range.size)).ok_or(ENOMEM)?;
        let size = usize::try_from(range.size)?;
        // INVARIANT: Just mapped.
        Ok(Self { start, size })
    }

    /// What is there. Whoever has it stops using it before the mapping goes.
    pub(crate) fn memory(&self) -> SharedMemory {
        // SAFETY: By the invariant.
        unsafe { SharedMemory::mapped(self.start, self.size) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: By the invariant, and once.
        unsafe { mk_region_unmap(self.start.as_ptr()) };
    }
}

/// Who is told of what happens to this kernel.
pub(crate) trait Notified: Send + Sync + Sized + 'static {
    /// A CPU makes progress, or goes offline.
    fn beat(this: ArcBorrow<'_, Self>, cpu: u32, alive: bool);

    /// A panic, with its text: any context, no locks.
    fn panic(this: ArcBorrow<'_, Self>, text: &[u8]);

    /// This kernel reboots, powers off or starts another one; may sleep.
    fn leave(this: ArcBorrow<'_, Self>);
}

/// `struct mk_spawn_ops`.
#[repr(C)]
struct Ops {
    beat: unsafe extern "C" fn(*const c_void, c_uint, bool),
    panic: unsafe extern "C" fn(*const c_void, *const u8, usize),
    leave: unsafe extern "C" fn(*const c_void),
}

/// The notifiers are connected while this lives; there is one at a time.
pub(crate) struct Registration {
    data: *const c_void,
    /// Drops the `Arc` behind `data`.
    give_back: unsafe fn(*const c_void),
}

// SAFETY: What is behind `data` is `Send + Sync`, and C uses it from any thread.
unsafe impl Send for Registration {}
// SAFETY: `&self` gives access to nothing.
unsafe impl Sync for Registration {}

impl Registration {
    /// Connects them.
    ///
    /// # Errors
    ///
    /// ENOMEM, ENOSPC.
    pub(crate) fn new<T: Notified>(who: Arc<T>) -> Result<Self> {
        /// # Safety
        ///
        /// As for [`attribute::take_back`].
        unsafe fn give_back<T>(data: *const c_void) {
            // SAFETY: By the function's contract.
            drop(unsafe { attribute::take_back::<T>(data) });
        }

        let data = attribute::give(who);
        // SAFETY: The operations are those of the `T` behind `data`, which stays until `Drop`.
        let registered = to_result(unsafe { mk_spawn_register(&Callbacks::<T>::OPS, data) });
        if let Err(e) = registered {
            // SAFETY: Nobody calls any more.
            unsafe { give_back::<T>(data) };
            return Err(e);
        }
        Ok(Self {
            data,
            give_back: give_back::<T>,
        })
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        mk_spawn_unregister();
        // SAFETY: Given away by `new` with the same type, and nobody calls any more.
        unsafe { (self.give_back)(self.data) };
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us, between [`Registration::new`] and its drop, with the `data` of that.
impl<T: Notified> Callbacks<T> {
    const OPS: Ops = Ops {
        beat: Self::beat,
        panic: Self::panic,
        leave: Self::leave,
    };

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn beat(data: *const c_void, cpu: c_uint, alive: bool) {
        // SAFETY: See the impl block.
        T::beat(unsafe { attribute::borrow(data) }, cpu, alive);
    }

    /// # Safety
    ///
    /// See the impl block; `text` is `len` bytes that nobody changes during the call.
    unsafe extern "C" fn panic(data: *const c_void, text: *const u8, len: usize) {
        // SAFETY: By the function's contract.
        let text = unsafe { core::slice::from_raw_parts(text, len) };
        // SAFETY: See the impl block.
        T::panic(unsafe { attribute::borrow(data) }, text);
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn leave(data: *const c_void) {
        // SAFETY: See the impl block.
        T::leave(unsafe { attribute::borrow(data) });
    }
}
