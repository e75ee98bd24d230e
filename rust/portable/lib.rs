// SPDX-License-Identifier: GPL-2.0

//! The parts of multikernel that need no kernel: parsers of foreign bytes, and builders of what a
//! spawn kernel expects of firmware. The module compiles the same files, see `rust/portable.rs`.
#![no_std]
#![deny(missing_docs, unsafe_code)]

pub mod acpi;
pub mod boot_params;
pub mod bzimage;
pub mod channel;
pub mod cmdline;
pub mod cpu_list;
pub mod e820;
pub mod efi;
pub mod fault;
pub mod firmware;
pub mod layout;
pub mod line;
pub mod name;
pub mod page_table;
pub mod pieces;
pub mod ping;
pub mod range;
pub mod restart;
pub mod segments;
pub mod size;
pub mod stats;
pub mod table;
pub mod vmcore;
