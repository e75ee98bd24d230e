// SPDX-License-Identifier: GPL-2.0

//! The portable crate, compiled into the module: see `rust/portable/lib.rs`.
#![expect(unreachable_pub, reason = "public in the crate, private in the module")]
#![allow(dead_code, reason = "the module uses less than the crate's tests do")]

pub(crate) mod acpi;
pub(crate) mod boot_params;
pub(crate) mod bzimage;
pub(crate) mod channel;
pub(crate) mod cmdline;
pub(crate) mod cpu_list;
pub(crate) mod e820;
pub(crate) mod efi;
pub(crate) mod fault;
pub(crate) mod firmware;
pub(crate) mod layout;
pub(crate) mod line;
pub(crate) mod name;
pub(crate) mod page_table;
pub(crate) mod pieces;
pub(crate) mod ping;
pub(crate) mod range;
pub(crate) mod restart;
pub(crate) mod segments;
pub(crate) mod size;
pub(crate) mod stats;
pub(crate) mod table;
pub(crate) mod vmcore;

/// The kernel prints through a trait of its own; the crate knows that of `core` only.
macro_rules! kernel_display {
    ($($type:ty),* $(,)?) => {
        $(impl kernel::fmt::Display for $type {
            fn fmt(&self, f: &mut kernel::fmt::Formatter<'_>) -> kernel::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        })*
    };
}

kernel_display!(
    cpu_list::CpuSet,
    fault::Fault,
    line::Line,
    name::Name,
    ping::Times,
    restart::Policy,
    size::Size,
    stats::Stats,
    table::Reason,
    table::Row,
    table::State,
);
