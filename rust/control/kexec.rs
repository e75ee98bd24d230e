// SPDX-License-Identifier: GPL-2.0

//! kexec_load(2) with KEXEC_MULTIKERNEL, and the START of reboot(2). The errnos and their order
//! are documented in Documentation/abi.rst.

use crate::{
    cpu,
    ffi::{
        configfs::Dependency,
        hooks::Segment,
        x86, //
    },
    image::Image,
    instance::{registry, Instance},
};
use kernel::{
    prelude::*,
    str::{BStr, CStr},
    sync::Arc, //
};

// include/uapi/linux/kexec.h.
const KEXEC_MULTIKERNEL: u64 = 0x10;
const KEXEC_ARCH_MASK: u64 = 0xffff_0000;
const CPU_SHIFT: u32 = 32;
const CPU_BITS: u32 = 20;

/// Loads an image, or unloads it when there are no segments.
pub(super) fn load(entry: u64, segments: &[Segment], flags: u64) -> Result {
    if let Some(why) = x86::unsupported() {
        pr_err!("kexec_load: this machine cannot lend CPUs: {why}\n");
        return Err(EOPNOTSUPP);
    }
    let cpu = boot_cpu(flags)?;
    if !segments.is_empty() && x86::cpu_online(cpu) {
        return Err(online(cpu));
    }
    let instance = registry::find(|i| i.cpus().contains(cpu)).ok_or_else(|| {
        pr_err!("kexec_load: CPU {cpu}: no instance has it; write it to an instance's cpus\n");
        ENODEV
    })?;
    if segments.is_empty() {
        return instance.unload();
    }
    if let Some(cpu) = instance.cpus().iter().find(|&cpu| x86::cpu_online(cpu)) {
        return Err(online(cpu));
    }
    // No lock is held while the caller's memory is read: it may stall for ever.
    let image = Image::stage(instance.name(), entry, segments, |size| {
        instance.room_for(size)
    })?;
    let hold = Dependency::new(&instance).map_err(|_| {
        pr_err!("kexec_load: CPU {cpu}: its instance was removed meanwhile; make it again\n");
        ENODEV
    })?;
    instance.install(image, cpu, hold)
}

/// Row 3 of the errno table.
fn boot_cpu(flags: u64) -> Result<u32> {
    let refuse = |field: &str, value: u64, remedy: &str| {
        pr_err!("kexec_load: {field} {value:#x}: {remedy}\n");
        EINVAL
    };
    let low = flags & 0xffff_ffff & !KEXEC_ARCH_MASK & !KEXEC_MULTIKERNEL;
    if low != 0 {
        return Err(refuse(
            "flags",
            low,
            "these cannot go with KEXEC_MULTIKERNEL; clear them",
        ));
    }
    if x86::in_compat_syscall() {
        return Err(refuse(
            "flags",
            flags,
            "a 32-bit caller cannot name the CPU; use a 64-bit one",
        ));
    }
    let high = flags >> (CPU_SHIFT + CPU_BITS);
    if high != 0 {
        return Err(refuse("flags above bit 51", high, "must be 0"));
    }
    match u32::try_from(flags >> CPU_SHIFT) {
        Ok(0) => Err(refuse(
            "CPU",
            0,
            "the host's boot CPU is never lent; name another",
        )),
        Ok(cpu) if x86::cpu_possible(cpu) => Ok(cpu),
        _ => Err(refuse(
            "CPU",
            flags >> CPU_SHIFT,
            "there is no such CPU; name a possible one",
        )),
    }
}

fn online(cpu: u32) -> Error {
    pr_err!("kexec_load: CPU {cpu} is online: echo 0 > /sys/devices/system/cpu/cpu{cpu}/online\n");
    EBUSY
}

/// Keeps the host awake while CPUs are lent: they could not be brought over. No lock is taken.
pub(super) fn may_suspend() -> Result {
    lent_if(cpu::any_claimed())
}

/// As [`may_suspend`], and lends none until it is awake again.
pub(super) fn suspend() -> Result {
    lent_if(cpu::suspend().is_err())
}

fn lent_if(lent: bool) -> Result {
    if lent {
        pr_err!("suspend: CPUs are lent; unload the instances first\n");
        return Err(EBUSY);
    }
    Ok(())
}

/// Nor can memory that is set aside be brought over to where the host's is: it is in no image of it,
/// and would come back with what others left in it.
pub(super) fn may_hibernate() -> Result {
    may_suspend()?;
    registry::hibernate().map_err(|instance| {
        let name = instance.name();
        pr_err!("hibernate: {name} has memory; remove it first\n");
        EBUSY
    })
}

/// Starts the named instance.
pub(super) fn start(name: &CStr) -> Result {
    let wanted = |i: &Instance| i.name().as_str().as_bytes() == name.to_bytes();
    let instance: Arc<Instance> = registry::find(wanted).ok_or_else(|| {
        let name = BStr::from_bytes(name.to_bytes());
        pr_err!("reboot: name {name}: no such instance; see /proc/multikernel\n");
        ENODEV
    })?;
    instance.command(b"start")
}
