// SPDX-License-Identifier: GPL-2.0

//! INIT and SIPI: the two messages that take a CPU from its kernel and give it another.

use crate::ffi::x86;
use kernel::{
    prelude::*,
    time::{delay::udelay, Delta}, //
};

/// Local APIC id of a CPU that the host has lent; made by [`crate::cpu`] alone, and never the id
/// of the host's boot CPU: an INIT there ends the host.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct ApicId(u32);

/// Largest id that an xAPIC message can address (SDM vol. 3, 12.12.1); 255 is broadcast.
const XAPIC_MAX: u32 = 254;

// Interrupt command register, SDM vol. 3, 12.6.1.
const DELIVERY_FIXED: u32 = 0 << 8;
const DELIVERY_INIT: u32 = 5 << 8;
const DELIVERY_STARTUP: u32 = 6 << 8;
const LEVEL_ASSERT: u32 = 1 << 14;
const TRIGGER_LEVEL: u32 = 1 << 15;

impl ApicId {
    /// The id of a possible CPU other than the host's boot CPU.
    ///
    /// # Errors
    ///
    /// EINVAL for the boot CPU or one that does not exist, ERANGE for an id that only x2APIC mode
    /// can address on a machine where a spawn kernel is not in it.
    pub(crate) fn of_cpu(cpu: u32) -> Result<Self> {
        if cpu == 0 {
            return Err(EINVAL);
        }
        match x86::apic_id(cpu).ok_or(EINVAL)? {
            id if id > XAPIC_MAX && !x86::wide_apic_ids() => Err(ERANGE),
            id => Ok(Self(id)),
        }
    }

    /// The number itself.
    pub(crate) fn as_u32(self) -> u32 {
        self.0
    }

    /// Stops the CPU where it is; it then waits for a SIPI. Works in any context.
    pub(crate) fn send_init(self) {
        x86::icr_write(TRIGGER_LEVEL | LEVEL_ASSERT | DELIVERY_INIT, self.0);
        // Only processors of the last century need more (smpboot.c, init_udelay).
        udelay(Delta::from_micros(10));
        x86::icr_write(TRIGGER_LEVEL | DELIVERY_INIT, self.0);
    }

    /// Interrupts the kernel that runs there.
    pub(crate) fn ring(self, vector: u8) {
        x86::icr_write(DELIVERY_FIXED | u32::from(vector), self.0);
    }

    /// Starts a waiting CPU in real mode at `page * 4096`.
    pub(crate) fn send_startup(self, page: u8) {
        x86::icr_write(DELIVERY_STARTUP | u32::from(page), self.0);
    }
}

/// Interrupts the host, whose word the id is: to be called in a spawn only. Not where this kernel would
/// ring somebody else: the host, which looks now and then, finds out later.
pub(crate) fn ring_host(apic_id: u32, vector: u8) {
    if apic_id > XAPIC_MAX && !x86::x2apic() {
        return;
    }
    x86::icr_write(DELIVERY_FIXED | u32::from(vector), apic_id);
}
