// SPDX-License-Identifier: GPL-2.0

//! What the kernel calls: kexec_load(2), reboot(2), a crash, a CPU about to go online.

use kernel::{
    error::{from_result, to_result},
    prelude::*,
    str::CStr,
    sync::SetOnce,
    uaccess::{UserPtr, UserSlice}, //
};

unsafe extern "C" {
    safe fn mk_hooks_register() -> c_int;
    safe fn mk_hooks_unregister();
    safe fn mk_hotplug_register() -> c_int;
    safe fn mk_hotplug_unregister();
}

/// `struct kexec_segment` as kexec_load(2) passes it; `buf` is a user pointer.
#[repr(C)]
#[derive(Copy, Clone)]
pub(crate) struct Segment {
    buf: *mut c_void,
    /// Bytes at `buf`.
    pub(crate) bufsz: usize,
    /// Label address.
    pub(crate) mem: usize,
    /// Bytes at `mem`.
    pub(crate) memsz: usize,
}

impl Segment {
    /// Address of the caller's memory.
    pub(crate) fn address(&self) -> usize {
        self.buf as usize
    }

    /// The caller's memory behind `offset`, at most `len` bytes.
    pub(crate) fn user(&self, offset: usize, len: usize) -> UserSlice {
        let len = len.min(self.bufsz.saturating_sub(offset));
        UserSlice::new(UserPtr::from_ptr(self.buf).wrapping_byte_add(offset), len)
    }
}

/// The functions behind the hooks.
pub(crate) struct Callbacks {
    /// kexec_load(2) with KEXEC_MULTIKERNEL: entry, segments, flags.
    pub(crate) load: fn(u64, &[Segment], u64) -> Result,
    /// reboot(2), START of the named instance.
    pub(crate) start: fn(&CStr) -> Result,
    /// The host is crashing: any context, no locks.
    pub(crate) crash_stop: fn(),
    /// The host reboots, powers off or starts another kernel; may sleep.
    pub(crate) host_down: fn(),
    /// The host is about to sleep; an error keeps it awake.
    pub(crate) may_suspend: fn() -> Result,
    /// It begins to get ready for that, in which an error ends it; may sleep.
    pub(crate) suspend: fn() -> Result,
    /// That is over, or came to nothing; not called after an error.
    pub(crate) suspended: fn(),
    /// Or to be written to a disk, or to become what is on one; may sleep.
    pub(crate) may_hibernate: fn() -> Result,
    /// That is over, or came to nothing; not called after an error.
    pub(crate) hibernated: fn(),
    /// Called before a CPU goes online; an error keeps it offline.
    pub(crate) cpu_starting: fn(u32) -> Result,
    /// Called when a CPU is online.
    pub(crate) cpu_online: fn(u32),
}

static CALLBACKS: SetOnce<Callbacks> = SetOnce::new();

/// The hooks are connected while this lives.
pub(crate) struct Registration(());

impl Registration {
    /// Connects the hooks.
    ///
    /// # Errors
    ///
    /// EBUSY when another module holds them, ENOMEM/ENOSPC from the hotplug state machine.
    pub(crate) fn new(callbacks: Callbacks) -> Result<Self> {
        if !CALLBACKS.populate(callbacks) {
            return Err(EBUSY);
        }
        to_result(mk_hotplug_register())?;
        to_result(mk_hooks_register()).inspect_err(|_| mk_hotplug_unregister())?;
        Ok(Self(()))
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        mk_hooks_unregister();
        mk_hotplug_unregister();
    }
}

/// # Safety
///
/// `segments` points to `nr_segments` segments that stay in place during the call.
#[no_mangle]
unsafe extern "C" fn mk_rust_load(
    entry: c_ulong,
    nr_segments: c_ulong,
    segments: *const Segment,
    flags: c_ulong,
) -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        let segments = if nr_segments == 0 {
            &[]
        } else {
            // SAFETY: By the function's contract.
            unsafe { core::slice::from_raw_parts(segments, nr_segments) }
        };
        (callbacks.load)(entry as u64, segments, flags as u64)?;
        Ok(0)
    })
}

/// # Safety
///
/// `name` is a NUL-terminated string that stays in place during the call.
#[no_mangle]
unsafe extern "C" fn mk_rust_start(name: *const c_char) -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        // SAFETY: By the function's contract.
        (callbacks.start)(unsafe { CStr::from_char_ptr(name) })?;
        Ok(0)
    })
}

#[no_mangle]
extern "C" fn mk_rust_crash_stop() {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.crash_stop)();
    }
}

#[no_mangle]
extern "C" fn mk_rust_host_down() {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.host_down)();
    }
}

#[no_mangle]
extern "C" fn mk_rust_may_suspend() -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        (callbacks.may_suspend)()?;
        Ok(0)
    })
}

#[no_mangle]
extern "C" fn mk_rust_suspend() -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        (callbacks.suspend)()?;
        Ok(0)
    })
}

#[no_mangle]
extern "C" fn mk_rust_suspended() {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.suspended)();
    }
}

#[no_mangle]
extern "C" fn mk_rust_may_hibernate() -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        (callbacks.may_hibernate)()?;
        Ok(0)
    })
}

#[no_mangle]
extern "C" fn mk_rust_hibernated() {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.hibernated)();
    }
}

#[no_mangle]
extern "C" fn mk_rust_cpu_starting(cpu: c_uint) -> c_int {
    from_result(|| {
        let callbacks = CALLBACKS.as_ref().ok_or(EOPNOTSUPP)?;
        (callbacks.cpu_starting)(cpu)?;
        Ok(0)
    })
}

#[no_mangle]
extern "C" fn mk_rust_cpu_online(cpu: c_uint) {
    if let Some(callbacks) = CALLBACKS.as_ref() {
        (callbacks.cpu_online)(cpu);
    }
}
