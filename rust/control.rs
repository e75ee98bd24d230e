// SPDX-License-Identifier: GPL-2.0

//! The faces of the module: system calls, configfs, the class device, /proc/multikernel.

mod class;
mod configfs;
mod kexec;
mod proc;

use crate::{cpu, ffi};
use kernel::prelude::*;

/// All faces. Fields drop in this order: first no new instances, then no new users.
pub(crate) struct Faces {
    _configfs: ffi::configfs::Subsystem,
    _hooks: ffi::hooks::Registration,
    _proc: ffi::proc::Entry,
    _class: ffi::class::Class,
}
