// SPDX-License-Identifier: GPL-2.0

//! Readers of a spawn kernel's memory: what it says of itself, where its addresses are, its log,
//! and an ELF view of it all.
//!
//! Every byte is the spawn's word, and may change while it is read. So each is copied once and
//! checked on the copy, each loop has a bound of ours, and each sum may wrap: a lie costs the
//! evidence, and nothing else. See Documentation/admin-guide/kdump/vmcoreinfo.rst in the kernel.

pub mod elf;
pub mod log;
pub mod note;
pub mod panic_line;
pub mod space;

/// A page of x86.
const PAGE: u64 = 4096;

/// Physical memory that another kernel may write.
pub trait Physical {
    /// Copies bytes from the address `at`; `false` when they are not all there.
    fn read(&self, at: u64, to: &mut [u8]) -> bool;
}

/// A number that a kernel of x86 stored.
fn read_u64(memory: &impl Physical, at: u64) -> Option<u64> {
    let mut bytes = [0; 8];
    memory
        .read(at, &mut bytes)
        .then(|| u64::from_le_bytes(bytes))
}
