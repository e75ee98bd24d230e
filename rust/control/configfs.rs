// SPDX-License-Identifier: GPL-2.0

//! Configuration: /sys/kernel/config/multikernel. See Documentation/ABI/testing/configfs-multikernel.

use crate::{
    ffi::{
        attribute::Page,
        configfs::Directory, //
    },
    instance::Instance,
    portable::{name::Name, size::Size},
};
use kernel::{
    fmt::Write,
    prelude::*,
    str::BStr,
    sync::{Arc, ArcBorrow}, //
};

impl Directory for Instance {
    fn create(name: &CStr) -> Result<Arc<Self>> {
        let name = Name::new(name.to_bytes()).map_err(|fault| {
            // Escapes what would garble the log.
            pr_err!("mkdir {}: {fault}\n", BStr::from_bytes(name.to_bytes()));
            EINVAL
        })?;
        let instance = Instance::create(name).inspect_err(|e| pr_err!("mkdir {name}: {e:?}\n"))?;
        if let Err(e) = instance.appear() {
            pr_err!("mkdir {name}: no device in /sys/class/multikernel: {e:?}\n");
            instance.device.unregister();
            instance.remove();
            return Err(e);
        }
        Ok(instance)
    }

    fn remove(this: Arc<Self>) {
        // First: the device holds the instance.
        this.device.unregister();
        Instance::remove(&this);
    }

    fn cpus_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        Ok(writeln!(out, "{}", this.cpus())?)
    }

    fn cpus_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result {
        this.set_cpus(text)
    }

    fn memory_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        let memory = this.memory();
        let state = if memory == 0 { "none" } else { "set-aside" };
        Ok(writeln!(out, "{} {state}", Size(memory))?)
    }

    fn memory_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result {
        this.set_memory(text)
    }
}
