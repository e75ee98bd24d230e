// SPDX-License-Identifier: GPL-2.0

//! The ACPI tables of a spawn kernel: a hardware-reduced platform (ACPI 6.5, 4.1) that has the
//! instance's CPUs, an I/O APIC made of memory, and a reset and a sleep register, also of memory.

mod tables;

use super::{
    fault::{Errno, Fault, Result},
    range::Range, //
};
use tables::{Fadt, Header, IoApic, LocalApic, LocalX2Apic, Madt, Multikernel, Rsdp, AML};
use zerocopy::{
    little_endian::{U32, U64},
    FromZeros,
    IntoBytes, //
};

/// What the spawn writes to its reset register.
pub const RESET_VALUE: u8 = 0x42;
/// SLP_EN in what the spawn writes to its sleep control register (ACPI 6.5, 4.8.3.7).
pub const SLEEP_ENABLE: u8 = 1 << 5;

// Offsets in the register page.
pub(super) const RESET_REG_OFFSET: u64 = 0;
pub(super) const SLEEP_CONTROL_OFFSET: u64 = 1;

/// Largest APIC id that a local APIC entry can hold; 255 means all (SDM vol. 3, 12.6.1).
pub(super) const XAPIC_MAX: u32 = 254;
/// First APIC id that no Linux takes (`MAX_LOCAL_APIC`).
pub(super) const APIC_ID_LIMIT: u32 = 0x8000;

const LOCAL_APIC: u32 = 0xfee0_0000;

/// I/O register window, the one word of an I/O APIC that tells anything (82093AA, 3.1.2).
pub(super) const IO_APIC_WINDOW: usize = 0x10;
/// What it reads for every register: version 0x11, one pin (82093AA, 3.2.2).
pub(super) const IO_APIC_VERSION: u32 = 0x11;

/// Revision 2 makes AML integers 64 bits wide (ACPI 6.5, 5.2.11.1).
const DSDT_REVISION: u8 = 2;
const XSDT_REVISION: u8 = 1;

/// What the tables tell.
pub(super) struct Config<'a> {
    /// APIC ids of the instance, the boot CPU's first.
    pub(super) apic_ids: &'a [u32],
    /// An APIC id that no CPU has. Kernels since 6.9 take the first one for the boot CPU of the
    /// machine, leave it alone, and start all others (`check_for_real_bsp()`).
    pub(super) phantom: u32,
    /// Whether ids above [`XAPIC_MAX`] are possible.
    pub(super) x2apic: bool,
    /// Physical address of the page that stands for the I/O APIC, below 4 GiB.
    pub(super) io_apic: u64,
    /// Physical address of the reset register, a byte.
    pub(super) reset_reg: u64,
    /// Physical address of the sleep control register, a byte; the status register follows.
    pub(super) sleep_reg: u64,
    /// The region shared with the host.
    pub(super) shared: Range,
}

impl Config<'_> {
    /// The first CPU is the phantom, the second the boot CPU.
    fn cpus(&self) -> impl Iterator<Item = u32> + '_ {
        core::iter::once(self.phantom).chain(self.apic_ids.iter().copied())
    }

    fn check(&self) -> Result<()> {
        let bad = |value: u32, remedy| {
            Err(Fault {
                errno: Errno::Inval,
                field: "APIC id",
                value: value.into(),
                remedy,
            })
        };
        if self.apic_ids.is_empty() {
            return bad(0, "give the instance a CPU");
        }
        for id in self.cpus() {
            if id >= APIC_ID_LIMIT {
                return bad(id, "choose a CPU with an APIC id below 0x8000");
            }
            if id > XAPIC_MAX && !self.x2apic {
                return bad(
                    id,
                    "enable x2APIC mode, or choose a CPU with a smaller APIC id",
                );
            }
        }
        let (mut id, mut rest) = (self.phantom, self.apic_ids);
        while let [next, after @ ..] = rest {
            if rest.contains(&id) {
                return bad(id, "give each APIC id once");
            }
            (id, rest) = (*next, after);
        }
        Ok(())
    }
}

/// Writes all tables to `area`, which will lie at the physical address `base`; the RSDP comes
/// first.
///
/// # Errors
///
/// `Inval` for no CPU, an APIC id that is there twice or that the mode cannot address, and an
/// I/O APIC that is not below 4 GiB; `TooBig` when `area` is too short.
pub(super) fn build(config: &Config<'_>, base: u64, area: &mut [u8]) -> Result<()> {
    config.check()?;
    let mut writer = Writer {
        area,
        base,
        used: 0,
    };
    // The RSDP's place; it is filled when the XSDT has an address.
    writer.append(Rsdp::new_zeroed().as_bytes())?;
    writer.align();

    let dsdt = writer.table(*b"DSDT", DSDT_REVISION, |writer| writer.append(&AML))?;
    let fadt = Fadt::new(dsdt, config.reset_reg, config.sleep_reg);
    let ours = Multikernel::new(config.shared);
    let tables = [
        writer.table(*b"FACP", Fadt::REVISION, |writer| {
            writer.append(fadt.as_bytes())
        })?,
        writer.table(*b"APIC", Madt::REVISION, |writer| madt(config, writer))?,
        writer.table(*b"MKRN", Multikernel::REVISION, |writer| {
            writer.append(ours.as_bytes())
        })?,
    ];
    let tables = tables.map(U64::new);
    let xsdt = writer.table(*b"XSDT", XSDT_REVISION, |writer| {
        writer.append(tables.as_bytes())
    })?;
    Rsdp::new(xsdt)
        .write_to_prefix(writer.area)
        .map_err(|_| full(0))
}

fn madt(config: &Config<'_>, writer: &mut Writer<'_>) -> Result<()> {
    writer.append(Madt::new().as_bytes())?;

    // All of one type: kernels drop small ids of the second when there is one of the first.
    let wide = config.cpus().any(|id| id > XAPIC_MAX);
    let mut uid: u32 = 0;
    for apic_id in config.cpus() {
        match (u8::try_from(uid), u8::try_from(apic_id)) {
            (Ok(uid), Ok(apic_id)) if !wide => {
                writer.append(LocalApic::new(uid, apic_id).as_bytes())?;
            }
            _ => writer.append(LocalX2Apic::new(uid, apic_id).as_bytes())?,
        }
        uid = uid.saturating_add(1);
    }

    // Without an I/O APIC a kernel would set up the host's 8259s and their edge/level register.
    let io_apic = u32::try_from(config.io_apic).map_err(|_| Fault {
        errno: Errno::Inval,
        field: "I/O APIC",
        value: config.io_apic,
        remedy: "choose a page below 4 GiB",
    })?;
    writer.append(IoApic::new(io_apic).as_bytes())
}

/// Returns the byte that makes the sum of `bytes` and itself 0.
fn checksum<'a>(bytes: impl Iterator<Item = &'a u8>) -> u8 {
    bytes.fold(0u8, |sum, byte| sum.wrapping_sub(*byte))
}

fn full(value: u64) -> Fault {
    Fault {
        errno: Errno::TooBig,
        field: "ACPI tables",
        value,
        remedy: "use fewer CPUs",
    }
}

/// Puts one table behind the other.
struct Writer<'a> {
    area: &'a mut [u8],
    base: u64,
    used: usize,
}

impl Writer<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        let rest = self.area.get_mut(self.used..);
        let place = rest.and_then(|rest| rest.get_mut(..bytes.len()));
        place
            .ok_or_else(|| full(self.used as u64))?
            .copy_from_slice(bytes);
        self.used = self.used.saturating_add(bytes.len());
        Ok(())
    }

    /// Moves to the next address that a table may have; 64 is what ACPI asks for at most.
    fn align(&mut self) {
        self.used = self.used.saturating_add(63) & !63;
    }

    /// Writes a table and returns its physical address.
    fn table(
        &mut self,
        signature: [u8; 4],
        revision: u8,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<u64> {
        let start = self.used;
        self.append(Header::new(signature, revision).as_bytes())?;
        body(self)?;

        let fault = full(start as u64);
        let table = self.area.get_mut(start..self.used).ok_or(fault)?;
        let length = u32::try_from(table.len()).map_err(|_| fault)?;
        let field = table.get_mut(Header::LENGTH..).ok_or(fault)?;
        U32::new(length).write_to_prefix(field).map_err(|_| fault)?;
        let sum = checksum(table.iter());
        *table.get_mut(Header::CHECKSUM).ok_or(fault)? = sum;
        self.align();
        Ok(self.base.saturating_add(start as u64))
    }
}
