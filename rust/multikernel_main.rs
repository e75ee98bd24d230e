// SPDX-License-Identifier: GPL-2.0

//! multikernel: further Linux kernels beside this one, on CPUs and memory that it lends.
//!
//! Arrows run one way: `control` -> `instance` -> `cpu`, `memory`, `image`, `evidence`,
//! `trampoline`, `watch`, `channel`
//! -> `portable` and `ffi`. See Documentation/design.rst.
#![crate_name = "multikernel"]

mod alarm;
mod apic;
mod channel;
mod control;
mod cpu;
mod evidence;
mod ffi;
mod image;
mod instance;
mod memory;
mod portable;
mod spare;
mod spawn;
mod trampoline;
mod watch;

use kernel::prelude::*;

module! {
    type: Multikernel,
    name: "multikernel",
    authors: ["multikernel maintainers"],
    description: "Several Linux kernels side by side, without a hypervisor",
    license: "GPL",
}

/// The module, in a host or in a spawn kernel. Fields drop in this order: the faces first, so that
/// nobody comes in any more.
enum Multikernel {
    Host {
        _faces: control::Faces,
        _registry: instance::registry::Open,
    },
    Spawn {
        _end: spawn::Spawn,
    },
}

impl kernel::Module for Multikernel {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        if let Some(region) = ffi::spawn::find_region() {
            let end = spawn::Spawn::new(region)?;
            return Ok(Self::Spawn { _end: end });
        }
        let registry = instance::registry::Open::new(instance::Host::new()?);
        Ok(Self::Host {
            _faces: control::Faces::new()?,
            _registry: registry,
        })
    }
}
