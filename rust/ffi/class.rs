// SPDX-License-Identifier: GPL-2.0

//! The class `multikernel` and its devices, /sys/class/multikernel/NAME.
//!
//! A registered device owns one reference to the object behind it. Unregistering waits for
//! callbacks that are under way, and only then gives the reference back; so a callback must never
//! unregister its own device.
//!
//! C header: [`include/linux/device.h`](srctree/include/linux/device.h)

use super::{
    attribute::{self, Page},
    file::{self, File},
    misc::Registration,
    stream::{self, Stream}, //
};
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::{
        from_err_ptr,
        to_result, //
    },
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex},
    types::Opaque, //
};

/// `struct mk_device_ops`.
#[repr(C)]
struct Ops {
    state_show: unsafe extern "C" fn(*const c_void, *mut c_char) -> isize,
    state_store: unsafe extern "C" fn(*const c_void, *const c_char, usize) -> isize,
    reason_show: unsafe extern "C" fn(*const c_void, *mut c_char) -> isize,
    stats_show: unsafe extern "C" fn(*const c_void, *mut c_char) -> isize,
    ping_show: unsafe extern "C" fn(*const c_void, *mut c_char) -> isize,
    ping_store: unsafe extern "C" fn(*const c_void, *const c_char, usize) -> isize,
}

/// `struct mk_device`, known to C only.
#[repr(C)]
struct RawDevice(Opaque<()>);

unsafe extern "C" {
    safe fn mk_class_register() -> c_int;
    safe fn mk_class_unregister();
    fn mk_device_register(
        name: *const c_char,
        ops: &'static Ops,
        data: *const c_void,
    ) -> *mut RawDevice;
    fn mk_device_unregister(device: *mut RawDevice);
    fn mk_device_of(device: *mut RawDevice) -> *mut c_void;
    fn mk_device_changed(device: *mut RawDevice, state: *const c_char, len: usize);
}

/// What the attributes of a device do. All functions may sleep.
pub(crate) trait Attributes: Send + Sync + Sized + 'static {
    /// Reads `state`.
    fn state_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result;

    /// Obeys a write to `state` by somebody with CAP_SYS_BOOT.
    fn state_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result;

    /// Reads `reason`.
    fn reason_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result;

    /// Reads `stats`.
    fn stats_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result;

    /// Reads `ping`.
    fn ping_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result;

    /// Obeys a write to `ping` by somebody with CAP_SYS_BOOT.
    fn ping_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result;
}

/// The registered class; dropped when no device is left.
pub(crate) struct Class(());

impl Class {
    /// Makes /sys/class/multikernel appear.
    ///
    /// # Errors
    ///
    /// ENOMEM, EEXIST.
    pub(crate) fn new() -> Result<Self> {
        to_result(mk_class_register())?;
        Ok(Self(()))
    }
}

impl Drop for Class {
    fn drop(&mut self) {
        mk_class_unregister();
    }
}

/// A registered device.
struct Device {
    files: KVec<Registration>,
    raw: NonNull<RawDevice>,
    data: *const c_void,
    /// Drops the `Arc<T>` behind `data`; the type is known to [`Device::new`] only.
    give_back: unsafe fn(*const c_void),
}

// SAFETY: The driver core synchronises, and the `Arc<T>` behind `data` is `Send`: `T` is
// `Send + Sync`.
unsafe impl Send for Device {}

impl Device {
    fn new<T: Attributes>(name: &CStr, data: Arc<T>) -> Result<Self> {
        /// # Safety
        ///
        /// As for [`attribute::take_back`].
        unsafe fn give_back<T>(data: *const c_void) {
            // SAFETY: By the function's contract.
            drop(unsafe { attribute::take_back::<T>(data) });
        }

        let data = attribute::give(data);
        // SAFETY: The name is copied, and the operations are those of the `T` behind `data`,
        // which stays until `Drop`.
        let raw = unsafe { mk_device_register(name.as_char_ptr(), &Callbacks::<T>::OPS, data) };
        let raw = from_err_ptr(raw).and_then(|raw| NonNull::new(raw).ok_or(ENOMEM));
        match raw {
            Ok(raw) => Ok(Self {
                files: KVec::new(),
                raw,
                data,
                give_back: give_back::<T>,
            }),
            Err(e) => {
                // SAFETY: No device came to be that could use it.
                unsafe { give_back::<T>(data) };
                Err(e)
            }
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // They go before their parent.
        self.files.clear();
        // SAFETY: Registered by `new`, unregistered here only.
        unsafe { mk_device_unregister(self.raw.as_ptr()) };
        // SAFETY: Given away by `new` with the same type; callbacks have left, and none will come.
        unsafe { (self.give_back)(self.data) };
    }
}

/// The place in an object for its device, which holds a reference to the object.
///
/// That circle is opened by [`Slot::unregister`].
#[pin_data]
pub(crate) struct Slot {
    #[pin]
    device: Mutex<Option<Device>>,
}

impl Slot {
    /// An empty slot.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { device <- new_mutex!(None) })
    }

    /// Registers the device of `data`, whose slot this is.
    ///
    /// # Errors
    ///
    /// EBUSY when there is one, EEXIST when the name is taken, ENODEV without the class, ENOMEM.
    pub(crate) fn register<T: Attributes>(&self, name: &CStr, data: Arc<T>) -> Result {
        // Not under the lock, which callbacks take.
        let device = Device::new(name, data)?;
        let mut slot = self.device.lock();
        if slot.is_some() {
            drop(slot);
            drop(device);
            return Err(EBUSY);
        }
        *slot = Some(device);
        Ok(())
    }

    /// Adds a character device that shows bytes below the registered one: `folder`/`name`.
    ///
    /// # Errors
    ///
    /// ENODEV when there is none, and those of [`file::register`].
    pub(crate) fn add_file<T: File>(
        &self,
        folder: &CStr,
        name: &CStr,
        owner: Arc<T::Owner>,
    ) -> Result {
        self.add(|parent| {
            // SAFETY: By the contract of `add`.
            unsafe { file::register::<T>(parent, folder, name, owner) }
        })
    }

    /// Adds a stream likewise.
    ///
    /// # Errors
    ///
    /// ENODEV when there is none, and those of [`stream::register`].
    pub(crate) fn add_stream<T: Stream>(
        &self,
        folder: &CStr,
        name: &CStr,
        owner: Arc<T::Owner>,
    ) -> Result {
        self.add(|parent| {
            // SAFETY: By the contract of `add`.
            unsafe { stream::register_below::<T>(parent, folder, name, owner) }
        })
    }

    /// Adds what `register` makes; the parent that it gets stays registered until that is dropped.
    fn add(&self, register: impl FnOnce(*mut c_void) -> Result<Registration>) -> Result {
        let mut slot = self.device.lock();
        let device = slot.as_mut().get_mut().as_mut().ok_or(ENODEV)?;
        // SAFETY: Registered as long as it is in the slot, and its files are dropped first.
        let file = register(unsafe { mk_device_of(device.raw.as_ptr()) })?;
        Ok(device.files.push(file, GFP_KERNEL)?)
    }

    /// Unregisters the device, if there is one. Waits for its callbacks, so it cannot be called
    /// from one, nor with a lock held that they take.
    pub(crate) fn unregister(&self) {
        let device = self.device.lock().take();
        drop(device);
    }

    /// Wakes who polls `state`, and sends a change uevent with the new one. May sleep.
    pub(crate) fn changed(&self, state: &str) {
        if let Some(device) = &*self.device.lock() {
            // SAFETY: Registered as long as it is in the slot, whose lock is held. C copies the
            // text.
            unsafe { mk_device_changed(device.raw.as_ptr(), state.as_ptr().cast(), state.len()) };
        }
    }
}

struct Callbacks<T>(PhantomData<T>);

/// Where C calls us.
///
/// Every `data` below came from [`attribute::give`] in [`Device::new`], and is taken back when the
/// device is unregistered and callbacks have left. Pages and texts are those of sysfs: a page
/// each, private to the open file, whose lock is held.
impl<T: Attributes> Callbacks<T> {
    const OPS: Ops = Ops {
        state_show: Self::state_show,
        state_store: Self::state_store,
        reason_show: Self::reason_show,
        stats_show: Self::stats_show,
        ping_show: Self::ping_show,
        ping_store: Self::ping_store,
    };

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn state_show(data: *const c_void, page: *mut c_char) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::show(data, page, T::state_show) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn state_store(
        data: *const c_void,
        text: *const c_char,
        len: usize,
    ) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::store(data, text, len, T::state_store) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn reason_show(data: *const c_void, page: *mut c_char) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::show(data, page, T::reason_show) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn stats_show(data: *const c_void, page: *mut c_char) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::show(data, page, T::stats_show) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn ping_show(data: *const c_void, page: *mut c_char) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::show(data, page, T::ping_show) }
    }

    /// # Safety
    ///
    /// See the impl block.
    unsafe extern "C" fn ping_store(data: *const c_void, text: *const c_char, len: usize) -> isize {
        // SAFETY: See the impl block.
        unsafe { attribute::store(data, text, len, T::ping_store) }
    }
}
