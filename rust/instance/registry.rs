// SPDX-License-Identifier: GPL-2.0

//! All instances, and which CPU is whose.

use super::{life::Phase, Host, Instance};
use crate::{
    cpu,
    portable::{cpu_list::CpuSet, name::Name, table::Row}, //
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            ordering::{Relaxed, Release},
            Atomic, //
        },
        global_lock,
        Arc, //
    },
};

/// What the lock guards.
struct Registry {
    host: Option<Arc<Host>>,
    instances: KVec<Arc<Instance>>,
    last_id: u32,
}

global_lock! {
    // SAFETY: `Open::new` initialises it before the first use.
    unsafe(uninit) static REGISTRY: Mutex<Registry> = Registry {
        host: None,
        instances: KVec::new(),
        last_id: 0,
    };
}

/// Instances can be made while this lives.
pub(crate) struct Open(());

impl Open {
    /// Opens the registry. Called once, at module load.
    pub(crate) fn new(host: Arc<Host>) -> Self {
        // SAFETY: Called exactly once, before anything else can reach the registry.
        unsafe { REGISTRY.init() };
        REGISTRY.lock().host = Some(host);
        Self(())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The module is pinned by every instance, so there is none left.
        let (host, list) = {
            let mut registry = REGISTRY.lock();
            let list = core::mem::replace(&mut registry.instances, KVec::new());
            (registry.host.take(), list)
        };
        // Nobody drops a static: its room would be lost.
        drop(list);
        if let Some(host) = host {
            host.queue.drain();
            // The work of instances may have given them some.
            host.channels.drain();
        }
    }
}

impl Instance {
    /// Makes an empty instance and lists it.
    ///
    /// # Errors
    ///
    /// EEXIST, ENOMEM, or ENODEV when the module is on its way out.
    pub(crate) fn create(name: Name) -> Result<Arc<Self>> {
        let mut registry = REGISTRY.lock();
        if registry.instances.iter().any(|i| i.name == name) {
            return Err(EEXIST);
        }
        let host = registry.host.clone().ok_or(ENODEV)?;
        let id = registry.last_id.checked_add(1).ok_or(ENOSPC)?;
        let instance = Self::new(id, name, host)?;
        registry.instances.push(instance.clone(), GFP_KERNEL)?;
        registry.last_id = id;
        Ok(instance)
    }

    /// Takes the instance off the list, and gives its memory back; open files may keep the rest.
    pub(crate) fn remove(&self) {
        if let Phase::Empty(memory) = &mut self.life.lock().phase {
            *memory = None;
        }
        let mut registry = REGISTRY.lock();
        let found = registry
            .instances
            .iter()
            .position(|i| core::ptr::eq(&**i, self));
        let gone = found.and_then(|i| registry.instances.remove(i).ok());
        drop(registry);
        drop(gone);
    }
}

/// Notes that `cpus` belong to `instance`, by `note`, unless one is another's.
///
/// # Errors
///
/// EBUSY.
pub(super) fn reserve(instance: &Instance, cpus: &CpuSet, note: impl FnOnce()) -> Result {
    let registry = REGISTRY.lock();
    let others = registry
        .instances
        .iter()
        .filter(|i| !core::ptr::eq(&***i, instance));
    for other in others {
        let theirs = other.cpus();
        if let Some(cpu) = cpus.iter().find(|&cpu| theirs.contains(cpu)) {
            pr_err!(
                "{}: cpus {cpu}: belongs to {}; choose another\n",
                instance.name,
                other.name
            );
            return Err(EBUSY);
        }
    }
    note();
    Ok(())
}

/// Finds an instance.
pub(crate) fn find(mut is_it: impl FnMut(&Instance) -> bool) -> Option<Arc<Instance>> {
    REGISTRY.lock().instances.iter().find(|i| is_it(i)).cloned()
}

/// Calls `f` for each instance, without a lock held.
fn for_each(f: impl Fn(&Instance)) {
    let mut done = 0;
    // Ids only grow, and so does the list.
    while let Some(instance) = find(|i| i.id > done) {
        done = instance.id;
        f(&instance);
    }
}

/// Stops every spawn before the host goes down; none starts any more, and the next kernel may use
/// the page in which their CPUs were parked.
pub(crate) fn host_down() {
    if let Some(host) = REGISTRY.lock().host.as_ref() {
        host.down.store(1, Release);
    }
    for_each(Instance::host_down);
    let _ = cpu::unpark();
}

/// 1 while the host is written to a disk, or becomes what was read from one. Programs may run for
/// long in between: who writes it, for one.
static HIBERNATING: Atomic<u32> = Atomic::new(0);

/// The host hibernates: until [`hibernated`] no memory is set aside.
///
/// # Errors
///
/// An instance that has memory; nothing has changed then.
pub(crate) fn hibernate() -> Result<(), Arc<Instance>> {
    // ORDERING: Before each view is locked: who shows memory there later sees it when it asks again.
    HIBERNATING.store(1, Relaxed);
    match find(Instance::has_memory) {
        Some(instance) => {
            hibernated();
            Err(instance)
        }
        None => Ok(()),
    }
}

/// That is over.
pub(crate) fn hibernated() {
    HIBERNATING.store(0, Relaxed);
}

/// Whether the host hibernates.
pub(super) fn hibernates() -> bool {
    HIBERNATING.load(Relaxed) != 0
}

/// A line for each instance, in the order of their ids.
///
/// # Errors
///
/// ENOMEM.
pub(crate) fn rows() -> Result<KVec<Row>> {
    let registry = REGISTRY.lock();
    let mut rows = KVec::with_capacity(registry.instances.len(), GFP_KERNEL)?;
    for instance in registry.instances.iter() {
        rows.push(instance.row(), GFP_KERNEL)?;
    }
    Ok(rows)
}
