// SPDX-License-Identifier: GPL-2.0

//! Life: /sys/class/multikernel/NAME. See Documentation/ABI/testing/sysfs-class-multikernel.

use super::files::{Log, Vmcore};
use crate::{
    channel::{Handle, Port},
    ffi::{attribute::Page, class::Attributes},
    instance::Instance, //
};
use kernel::{
    fmt::Write,
    prelude::*,
    str::CStr,
    sync::{Arc, ArcBorrow}, //
};

impl Instance {
    /// Makes the device of the instance and its files appear.
    pub(super) fn appear(self: &Arc<Self>) -> Result {
        // A name is a valid C string by its rule.
        let name = self.name().as_bytes_with_nul();
        let name = CStr::from_bytes_with_nul(name).map_err(|_| EINVAL)?;
        self.device.register(name, self.clone())?;
        self.device
            .add_file::<Vmcore>(name, c"vmcore", self.clone())?;
        self.device.add_file::<Log>(name, c"log", self.clone())?;
        let names = [c"console", c"port2", c"port3", c"port4"];
        for (number, file) in (1..).zip(names) {
            let channel = self.channel.clone();
            let port = Arc::new(Port { channel, number }, GFP_KERNEL)?;
            self.device.add_stream::<Handle>(name, file, port)?;
        }
        Ok(())
    }
}

impl Attributes for Instance {
    fn state_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        Ok(writeln!(out, "{}", this.row().state)?)
    }

    fn state_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result {
        Arc::from(this).command(text)
    }

    fn reason_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        let (reason, detail) = this.reason();
        let gap = if detail.is_empty() { "" } else { " " };
        Ok(writeln!(out, "{reason}{gap}{detail}")?)
    }

    fn stats_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        Ok(write!(out, "{}", this.stats())?)
    }

    fn ping_show(this: ArcBorrow<'_, Self>, out: &mut Page<'_>) -> Result {
        match this.channel.pinged() {
            Some(times) => Ok(writeln!(out, "{times}")?),
            None => Ok(writeln!(out, "-")?),
        }
    }

    fn ping_store(this: ArcBorrow<'_, Self>, text: &[u8]) -> Result {
        this.channel.ping(text)
    }
}
