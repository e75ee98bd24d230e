// SPDX-License-Identifier: GPL-2.0

//! What the module needs in a spawn kernel, from `rust/ffi/spawn.c`: the region, beats, notifiers.

use super::shared::SharedMemory;
use crate::portable::range::Range;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::SetOnce, //
};

unsafe extern "C" {
    fn mk_region_find(start: *mut u64, size: *mut u64) -> bool;
    safe fn mk_region_map(start: u64, size: u64) -> *mut u8;
    fn mk_region_unmap(region: *mut u8);
    safe fn mk_spawn_register() -> c_int;
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

/// The functions behind the notifiers. They know what they speak of from statics.
pub(crate) struct Callbacks {
    /// A CPU makes progress, or goes offline.
    pub(crate) beat: fn(u32, bool),
    /// A panic, with its text: any context, no locks.
    pub(crate) panic: fn(&[u8]),
    /// This kernel reboots, powers off or starts another one; may sleep.
    pub(crate) leave: fn(),
}

static CALLBACKS: SetOnce<Callbacks> = SetOnce::new();

/// The notifiers are connected while this lives.
pub(crate) struct Registration(());

impl Registration {
    /// Connects them, once in the life of the module.
    ///
    /// # Errors
    ///
    /// EBUSY the second time, ENOMEM, ENOSPC.
    pub(crate) fn new(callbacks: Callbacks) -> Result<Self> {
        if !CALLBACKS.populate(callbacks) {
            return Err(EBUSY);
        }
        to_result(mk_spawn_register())?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        mk_spawn_unregister();
    }
}

#[no_mangle]
extern "C" fn mk_rust_beat(cpu: c_uint, alive: bool) {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.beat)(cpu, alive);
    }
}

/// # Safety
///
/// `text` is `len` bytes that nobody changes during the call.
#[no_mangle]
unsafe extern "C" fn mk_rust_panic(text: *const u8, len: usize) {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        // SAFETY: By the function's contract.
        (callbacks.panic)(unsafe { core::slice::from_raw_parts(text, len) });
    }
}

#[no_mangle]
extern "C" fn mk_rust_leave() {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.leave)();
    }
}
