// SPDX-License-Identifier: GPL-2.0

//! The faces of the module: system calls, configfs, the class device, /proc/multikernel.

mod class;
mod configfs;
mod files;
mod kexec;
mod proc;

use crate::{
    cpu,
    ffi::{
        class::Class,
        configfs::Subsystem,
        hooks::{Callbacks, Registration},
        proc::Entry, //
    },
    instance::{registry, Instance},
};
use kernel::prelude::*;

/// All faces. Fields drop in this order: first those through which something new can come.
pub(crate) struct Faces {
    _configfs: Subsystem,
    _hooks: Registration,
    _proc: Entry,
    _class: Class,
}

impl Drop for Faces {
    fn drop(&mut self) {
        // No instance is left, and none can come. First, since the crash stop goes with the hooks, and
        // the pages where CPUs wait soon after.
        let cpus = cpu::unpark();
        if !cpus.is_empty() {
            pr_warn!("CPUs {cpus} answer no machine checks until they are online\n");
        }
    }
}

impl Faces {
    /// Shows the module to users.
    ///
    /// # Errors
    ///
    /// EBUSY when another module holds the hooks, ENOMEM, EEXIST.
    pub(crate) fn new() -> Result<Self> {
        let class = Class::new()?;
        let proc = Entry::new::<proc::Overview>(c"multikernel")?;
        let hooks = Registration::new(Callbacks {
            load: kexec::load,
            start: kexec::start,
            crash_stop: cpu::crash_stop,
            host_down: registry::host_down,
            may_suspend: kexec::may_suspend,
            suspend: kexec::suspend,
            suspended: cpu::suspended,
            may_hibernate: kexec::may_hibernate,
            hibernated: registry::hibernated,
            cpu_starting: cpu::veto,
            cpu_online: cpu::left,
        })?;
        // Last: a directory made in between would outlive a failed init.
        let configfs = Subsystem::new::<Instance>()?;
        Ok(Self {
            _configfs: configfs,
            _hooks: hooks,
            _proc: proc,
            _class: class,
        })
    }
}
