// SPDX-License-Identifier: GPL-2.0

//! The configfs subsystem `multikernel`: a directory for each object of a type.
//!
//! A directory owns one reference to its object, from mkdir to rmdir; the reference crosses to C
//! as a raw pointer and comes back once, in `release`, when no attribute is in use any more.
//!
//! C header: [`include/linux/configfs.h`](srctree/include/linux/configfs.h)

use super::attribute::{self, Page};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        from_result,
        to_result, //
    },
    prelude::*,
    sync::{Arc, ArcBorrow},
    types::Opaque, //
};

/// `struct mk_configfs_ops`.
#[repr(C)]
struct Ops {
    create: unsafe extern "C" fn(*const c_char, *mut *const c_void) -> c_int,
    release: unsafe extern "C" fn(*const c_void),
    show: unsafe extern "C" fn(*const c_void, u32, *mut c_char) -> isize,
    store: unsafe extern "C" fn(*const c_void, u32, *const c_char, usize) -> isize,
}

/// The files of a directory, `enum mk_attribute`.
#[derive(Copy, Clone)]
pub(crate) enum Attribute {
    /// `cpus`.
    Cpus,
    /// `memory`.
    Memory,
    /// `restart_policy`.
    RestartPolicy,
    /// `restart_delay_ms`.
    RestartDelayMs,
    /// `restart_limit`.
    RestartLimit,
    /// `heartbeat_timeout_ms`.
    HeartbeatTimeoutMs,
    /// `stop_timeout_ms`.
    StopTimeoutMs,
}

impl Attribute {
    const ALL: [Self; 7] = [
        Self::Cpus,
        Self::Memory,
        Self::RestartPolicy,
        Self::RestartDelayMs,
        Self::RestartLimit,
        Self::HeartbeatTimeoutMs,
        Self::StopTimeoutMs,
    ];

    fn of(number: u32) -> Result<Self> {
        let is_it = |attribute: &Self| *attribute as u32 == number;
        Self::ALL.into_iter().find(is_it).ok_or(EINVAL)
    }
}

/// `struct config_item`, of which only the address is of use here.
#[repr(C)]
struct RawItem(Opaque<()>);

unsafe extern "C" {
    safe fn mk_configfs_register(ops: &'static Ops) -> c_int;
    safe fn mk_configfs_unregister();
    safe fn mk_configfs_depend(data: *const c_void) -> *mut RawItem;
    fn mk_configfs_undepend(item: *mut RawItem);
}

/// What a directory stands for. All functions may sleep.
pub(crate) trait Directory: Send + Sync + Sized + 'static {
    /// mkdir by somebody with CAP_SYS_BOOT. Called with the subsystem's `su_mutex` held.
    fn create(name: &CStr) -> Result<Arc<Self>>;

    /// The directory is gone.
    fn remove(this: Arc<Self>);

    /// Reads a file.
    fn show(this: ArcBorrow<'_, Self>, attribute: Attribute, out: &mut Page<'_>) -> Result;

    /// Obeys a write to a file by somebody with CAP_SYS_BOOT.
    fn store(this: ArcBorrow<'_, Self>, attribute: Attribute, text: &[u8]) -> Result;
}

/// The registered subsystem.
///
/// Every directory pins the module, so there is none when this is dropped at module exit. Init
/// must register it last: a directory that is made in between outlives a failed init.
pub(crate) struct Subsystem(());

impl Subsystem {
    /// Makes /sys/kernel/config/multikernel appear.
    ///
    /// # Errors
    ///
    /// EBUSY when there is one, ENOMEM, EEXIST.
    pub(crate) fn new<T: Directory>() -> Result<Self> {
        to_result(mk_configfs_register(&Callbacks::<T>::OPS))?;
        Ok(Self(()))
    }
}

impl Drop for Subsystem {
    fn drop(&mut self) {
        mk_configfs_unregister();
    }
}

/// While this lives, rmdir of one object's directory fails with EBUSY.
///
/// It can be taken and dropped with any mutex held.
pub(crate) struct Dependency(NonNull<RawItem>);

// SAFETY: A dependency belongs to nobody in particular; configfs counts them under its own lock.
unsafe impl Send for Dependency {}
// SAFETY: There is nothing to do with a shared reference.
unsafe impl Sync for Dependency {}

impl Dependency {
    /// Holds the directory of `data`. Not for use in a callback of [`Directory`].
    ///
    /// # Errors
    ///
    /// ENOENT when the directory is being made or removed.
    pub(crate) fn new<T: Directory>(data: &Arc<T>) -> Result<Self> {
        // The pointer is compared, nothing else.
        let item = from_err_ptr(mk_configfs_depend(Arc::as_ptr(data).cast()))?;
        Ok(Self(NonNull::new(item).ok_or(ENOENT)?))
    }
}

impl Drop for Dependency {
    fn drop(&mut self) {
        // SAFETY: The item is in place as long as it is depended on, and it is until here.
        unsafe { mk_configfs_undepend(self.0.as_ptr()) };
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us.
///
/// Every `data` below came from [`attribute::give`] in `create`, and C calls `release` once, last,
/// when no other callback for it is under way. Pages and texts are those of configfs: a page
/// each, private to the open file, whose lock is held.
impl<T: Directory> Callbacks<T> {
    const OPS: Ops = Ops {
        create: Self::create,
        release: Self::release,
        show: Self::show,
        store: Self::store,
    };

    /// # Safety
    ///
    /// `name` is a NUL-terminated string, and `data` may be written to.
    unsafe extern "C" fn create(name: *const c_char, data: *mut *const c_void) -> c_int {
        from_result(|| {
            // SAFETY: By the function's contract.
            let object = T::create(unsafe { CStr::from_char_ptr(name) })?;
            // SAFETY: By the function's contract.
            unsafe { data.write(attribute::give(object)) };
            Ok(0)
        })
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn release(data: *const c_void) {
        // SAFETY: See the impl block.
        T::remove(unsafe { attribute::take_back(data) });
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn show(data: *const c_void, attribute: u32, page: *mut c_char) -> isize {
        let show = |this: ArcBorrow<'_, T>, out: &mut Page<'_>| {
            T::show(this, Attribute::of(attribute)?, out)
        };
        // SAFETY: See the impl block.
        unsafe { attribute::show(data, page, show) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn store(
        data: *const c_void,
        attribute: u32,
        text: *const c_char,
        len: usize,
    ) -> isize {
        let store =
            |this: ArcBorrow<'_, T>, text: &[u8]| T::store(this, Attribute::of(attribute)?, text);
        // SAFETY: See the impl block.
        unsafe { attribute::store(data, text, len, store) }
    }
}
