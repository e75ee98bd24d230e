// SPDX-License-Identifier: GPL-2.0

//! CPUs going offline and online in the host.

use crate::{
    error::{Error, Kind, Result},
    host::Host,
};
use multikernel_portable::cpu_list::CpuSet;

fn file(cpu: u32) -> String {
    format!("/sys/devices/system/cpu/cpu{cpu}/online")
}

/// Whether the host uses it. One without the file cannot go offline.
pub fn is_online(host: &Host, cpu: u32) -> bool {
    host.read(&file(cpu)).is_none_or(|text| text != "0")
}

/// # Errors
///
/// `Failed` for a CPU that there is not, or that cannot go offline.
pub fn take_offline(host: &Host, cpu: u32) -> Result {
    if !host.exists(&file(cpu)) {
        let what = format!("CPU {cpu} is not there, or cannot go offline");
        return Err(
            Error::new(Kind::Failed, what).add("'mkctl check' shows those that can be lent")
        );
    }
    host.write(&file(cpu), "0")
}

pub fn bring_online(host: &Host, cpu: u32) -> Result {
    host.write(&file(cpu), "1")
}

/// A list of the kernel's, as `present`; empty if there is none.
pub fn list(host: &Host, file: &str) -> CpuSet {
    let text = host.read(&format!("/sys/devices/system/cpu/{file}"));
    CpuSet::parse(text.unwrap_or_default().as_bytes()).unwrap_or_default()
}
