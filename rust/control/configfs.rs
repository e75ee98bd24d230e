// SPDX-License-Identifier: GPL-2.0

//! Configuration: /sys/kernel/config/multikernel. See Documentation/ABI/testing/configfs-multikernel.

use crate::{
    ffi::{
        attribute::Page,
        configfs::{Attribute, Directory}, //
    },
    image::report,
    instance::Instance,
    portable::{
        name::Name,
        restart::{number, Policy, DELAY_MAX},
        size::Size, //
    },
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

    fn show(this: ArcBorrow<'_, Self>, attribute: Attribute, out: &mut Page<'_>) -> Result {
        let restart = this.restart();
        match attribute {
            Attribute::Cpus => writeln!(out, "{}", this.cpus())?,
            Attribute::Memory => {
                let memory = this.memory();
                let state = if memory == 0 { "none" } else { "set-aside" };
                writeln!(out, "{} {state}", Size(memory))?;
            }
            Attribute::RestartPolicy => writeln!(out, "{}", restart.policy)?,
            Attribute::RestartDelayMs => writeln!(out, "{}", restart.delay_ms)?,
            Attribute::RestartLimit => writeln!(out, "{}", restart.limit)?,
            Attribute::HeartbeatTimeoutMs => writeln!(out, "{}", this.channel.patience())?,
            Attribute::StopTimeoutMs => writeln!(out, "{}", this.channel.stop_timeout())?,
        }
        Ok(())
    }

    fn store(this: ArcBorrow<'_, Self>, attribute: Attribute, text: &[u8]) -> Result {
        let refused = |fault| report(this.name(), fault);
        match attribute {
            Attribute::Cpus => this.set_cpus(text)?,
            Attribute::Memory => this.set_memory(text)?,
            Attribute::RestartPolicy => {
                let policy = Policy::parse(text).map_err(refused)?;
                this.set_restart(|restart| restart.policy = policy);
            }
            Attribute::RestartDelayMs => {
                let ms = number("restart_delay_ms", text, DELAY_MAX).map_err(refused)?;
                this.set_restart(|restart| restart.delay_ms = ms);
            }
            Attribute::RestartLimit => {
                let limit = number("restart_limit", text, u32::MAX).map_err(refused)?;
                this.set_restart(|restart| restart.limit = limit);
            }
            Attribute::HeartbeatTimeoutMs => {
                let ms = number("heartbeat_timeout_ms", text, DELAY_MAX).map_err(refused)?;
                this.channel.set_patience(ms);
            }
            Attribute::StopTimeoutMs => {
                let ms = number("stop_timeout_ms", text, DELAY_MAX).map_err(refused)?;
                this.channel.set_stop_timeout(ms);
            }
        }
        Ok(())
    }
}
