// SPDX-License-Identifier: GPL-2.0

//! The ACPI tables of a spawn kernel: a hardware-reduced platform (ACPI 6.5, 4.1) that has the
//! instance's CPUs, an I/O APIC made of memory, and a reset and a sleep register, also of memory.

use super::{
    fault::{Errno, Fault, Result},
    range::Range, //
};
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromZeros,
    IntoBytes, //
};
use zerocopy_derive as abi;

/// What the spawn writes to its reset register.
pub const RESET_VALUE: u8 = 0x42;
/// SLP_EN in what the spawn writes to its sleep control register (ACPI 6.5, 4.8.3.7).
pub const SLEEP_ENABLE: u8 = 1 << 5;
/// SLP_TYP that means soft-off, as `_S5` tells.
pub const SLEEP_TYPE_S5: u8 = 5;

// Offsets in the register page.
pub(super) const RESET_REG_OFFSET: u64 = 0;
pub(super) const SLEEP_CONTROL_OFFSET: u64 = 1;
const SLEEP_STATUS_FROM_CONTROL: u64 = 1;

/// Largest APIC id that a local APIC entry can hold; 255 means all (SDM vol. 3, 12.6.1).
pub const XAPIC_MAX: u32 = 254;
/// First APIC id that no Linux takes (`MAX_LOCAL_APIC`).
pub const APIC_ID_LIMIT: u32 = 0x8000;

const OEM_ID: [u8; 6] = *b"MKERNL";
const OEM_TABLE_ID: [u8; 8] = *b"MULTIKRN";
const LOCAL_APIC: u32 = 0xfee0_0000;

/// Generic Address Structure (ACPI 6.5, 5.2.3.2).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct GenericAddress {
    space: u8,
    bit_width: u8,
    bit_offset: u8,
    access_size: u8,
    address: U64,
}

impl GenericAddress {
    /// A byte in memory: address space 0, byte access.
    fn byte(address: u64) -> Self {
        let address = U64::new(address);
        Self {
            space: 0,
            bit_width: 8,
            bit_offset: 0,
            access_size: 1,
            address,
        }
    }
}

/// Root System Description Pointer (ACPI 6.5, 5.2.5.3).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Rsdp {
    signature: [u8; 8],
    checksum: u8,
    oem_id: [u8; 6],
    revision: u8,
    rsdt_address: U32,
    length: U32,
    xsdt_address: U64,
    extended_checksum: u8,
    reserved: [u8; 3],
}

/// What the first checksum covers.
const RSDP_V1_LEN: usize = 20;
const _: () = assert!(size_of::<Rsdp>() == 36);
const _: () = assert!(core::mem::offset_of!(Rsdp, length) == RSDP_V1_LEN);

/// System description table header (ACPI 6.5, 5.2.6).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Header {
    signature: [u8; 4],
    length: U32,
    revision: u8,
    checksum: u8,
    oem_id: [u8; 6],
    oem_table_id: [u8; 8],
    oem_revision: U32,
    creator_id: [u8; 4],
    creator_revision: U32,
}

const _: () = assert!(size_of::<Header>() == 36);
const LENGTH_OFFSET: usize = core::mem::offset_of!(Header, length);
const CHECKSUM_OFFSET: usize = core::mem::offset_of!(Header, checksum);

/// Fixed ACPI Description Table without its header (ACPI 6.5, 5.2.9).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Fadt {
    /// FACS and DSDT by 32-bit address, then fixed hardware: 0, as a hardware-reduced platform
    /// has none, and a DSDT above 4 GiB has no such address.
    fixed_hardware: [u8; 73],
    iapc_boot_arch: U16,
    reserved: u8,
    flags: U32,
    reset_reg: GenericAddress,
    reset_value: u8,
    arm_boot_arch: U16,
    minor_version: u8,
    x_firmware_ctrl: U64,
    x_dsdt: U64,
    x_fixed_hardware: [u8; 96],
    sleep_control_reg: GenericAddress,
    sleep_status_reg: GenericAddress,
    hypervisor_vendor: U64,
}

const fn fadt_offset(offset: usize) -> usize {
    size_of::<Header>() + offset
}

const _: () = assert!(fadt_offset(size_of::<Fadt>()) == 276);
const _: () = assert!(fadt_offset(core::mem::offset_of!(Fadt, iapc_boot_arch)) == 109);
const _: () = assert!(fadt_offset(core::mem::offset_of!(Fadt, reset_reg)) == 116);
const _: () = assert!(fadt_offset(core::mem::offset_of!(Fadt, x_dsdt)) == 140);
const _: () = assert!(fadt_offset(core::mem::offset_of!(Fadt, sleep_control_reg)) == 244);

const FADT_REVISION: u8 = 6;
const FADT_MINOR: u8 = 5;

// FADT flags (ACPI 6.5, table 5.10).
const WBINVD: u32 = 1 << 0;
/// No fixed-hardware power button, no fixed-hardware sleep button.
const PWR_BUTTON: u32 = 1 << 4;
const SLP_BUTTON: u32 = 1 << 5;
const RESET_REG_SUP: u32 = 1 << 10;
/// Kernels before 6.5 use logical ids below 8 CPUs otherwise, and those of two instances collide.
const FORCE_APIC_PHYSICAL: u32 = 1 << 19;
const HW_REDUCED: u32 = 1 << 20;

// IA-PC boot architecture flags (ACPI 6.5, table 5.11): what the spawn is not to look for.
const NO_VGA: u16 = 1 << 2;
const NO_CMOS_RTC: u16 = 1 << 5;

/// The DSDT's whole AML, `Name (_S5, Package (4) { 5, 5, 0, 0 })`: NameOp and the name;
/// PackageOp, PkgLength 8, four elements; BytePrefix and [`SLEEP_TYPE_S5`] twice; ZeroOp twice
/// (ACPI 6.5, 7.4.2.6 and 20.2).
const AML: [u8; 14] = *b"\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00\x00";

/// Multiple APIC Description Table without header and entries (ACPI 6.5, 5.2.12).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Madt {
    local_apic: U32,
    /// PCAT_COMPAT clear: the two 8259 are the host's.
    flags: U32,
}

const MADT_REVISION: u8 = 6;
const CPU_ENABLED: u32 = 1;

/// Processor Local APIC (ACPI 6.5, 5.2.12.2).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct LocalApic {
    kind: u8,
    length: u8,
    uid: u8,
    apic_id: u8,
    flags: U32,
}

/// I/O APIC (ACPI 6.5, 5.2.12.3).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct IoApic {
    kind: u8,
    length: u8,
    id: u8,
    reserved: u8,
    address: U32,
    gsi_base: U32,
}

/// Processor Local x2APIC (ACPI 6.5, 5.2.12.12).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct LocalX2Apic {
    kind: u8,
    length: u8,
    reserved: U16,
    apic_id: U32,
    flags: U32,
    uid: U32,
}

const _: () = assert!(size_of::<LocalApic>() == 8);
const _: () = assert!(size_of::<IoApic>() == 12);
const _: () = assert!(size_of::<LocalX2Apic>() == 16);

/// Table "MKRN" without its header: tells an agent in the spawn where the shared region is.
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Multikernel {
    /// Of this structure, [`MULTIKERNEL_VERSION`].
    version: U32,
    /// Bytes of this structure.
    size: U32,
    shared_start: U64,
    shared_size: U64,
}

const MULTIKERNEL_VERSION: u32 = 1;
const _: () = assert!(size_of::<Multikernel>() == 24);

/// I/O register window, the one word of an I/O APIC that tells anything (82093AA, 3.1.2).
pub const IO_APIC_WINDOW: usize = 0x10;
/// What it reads for every register: version 0x11, one pin (82093AA, 3.2.2).
pub const IO_APIC_VERSION: u32 = 0x11;

/// What the tables tell.
pub struct Config<'a> {
    /// APIC ids of the instance, the boot CPU's first.
    pub apic_ids: &'a [u32],
    /// An APIC id that no CPU has. Kernels since 6.9 take the first one for the boot CPU of the
    /// machine, leave it alone, and start all others (`check_for_real_bsp()`).
    pub phantom: u32,
    /// Whether ids above [`XAPIC_MAX`] are possible.
    pub x2apic: bool,
    /// Physical address of the page that stands for the I/O APIC, below 4 GiB.
    pub io_apic: u64,
    /// Physical address of the reset register, a byte.
    pub reset_reg: u64,
    /// Physical address of the sleep control register, a byte; the status register follows.
    pub sleep_reg: u64,
    /// The region shared with the host.
    pub shared: Range,
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
        for (i, id) in self.cpus().enumerate() {
            if id >= APIC_ID_LIMIT {
                return bad(id, "choose a CPU with an APIC id below 0x8000");
            }
            if id > XAPIC_MAX && !self.x2apic {
                return bad(
                    id,
                    "enable x2APIC mode, or choose a CPU with a smaller APIC id",
                );
            }
            if self.cpus().take(i).any(|other| other == id) {
                return bad(id, "give each APIC id once");
            }
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
pub fn build(config: &Config<'_>, base: u64, area: &mut [u8]) -> Result<()> {
    config.check()?;
    let mut writer = Writer {
        area,
        base,
        used: 0,
    };
    // The RSDP's place; it is filled when the XSDT has an address.
    writer.append(Rsdp::new_zeroed().as_bytes())?;
    writer.align();

    let dsdt = writer.table(*b"DSDT", 2, |writer| writer.append(&AML))?;
    let tables = [
        writer.table(*b"FACP", FADT_REVISION, |writer| fadt(config, dsdt, writer))?,
        writer.table(*b"APIC", MADT_REVISION, |writer| madt(config, writer))?,
        writer.table(*b"MKRN", 1, |writer| multikernel(config, writer))?,
    ];
    let xsdt = writer.table(*b"XSDT", 1, |writer| {
        writer.append(tables.map(U64::new).as_bytes())
    })?;
    rsdp(xsdt, writer.area)
}

fn rsdp(xsdt: u64, area: &mut [u8]) -> Result<()> {
    let mut rsdp = Rsdp {
        signature: *b"RSD PTR ",
        checksum: 0,
        oem_id: OEM_ID,
        revision: 2,
        rsdt_address: U32::ZERO,
        length: U32::new(size_of::<Rsdp>() as u32),
        xsdt_address: U64::new(xsdt),
        extended_checksum: 0,
        reserved: [0; 3],
    };
    rsdp.checksum = checksum(rsdp.as_bytes().iter().take(RSDP_V1_LEN));
    rsdp.extended_checksum = checksum(rsdp.as_bytes().iter());
    rsdp.write_to_prefix(area).map_err(|_| full(0))
}

fn fadt(config: &Config<'_>, dsdt: u64, writer: &mut Writer<'_>) -> Result<()> {
    let flags = WBINVD | PWR_BUTTON | SLP_BUTTON | RESET_REG_SUP | FORCE_APIC_PHYSICAL | HW_REDUCED;
    let status = config.sleep_reg.saturating_add(SLEEP_STATUS_FROM_CONTROL);
    let fadt = Fadt {
        iapc_boot_arch: U16::new(NO_VGA | NO_CMOS_RTC),
        flags: U32::new(flags),
        reset_reg: GenericAddress::byte(config.reset_reg),
        reset_value: RESET_VALUE,
        minor_version: FADT_MINOR,
        x_dsdt: U64::new(dsdt),
        sleep_control_reg: GenericAddress::byte(config.sleep_reg),
        sleep_status_reg: GenericAddress::byte(status),
        ..Fadt::new_zeroed()
    };
    writer.append(fadt.as_bytes())
}

fn madt(config: &Config<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let madt = Madt {
        local_apic: U32::new(LOCAL_APIC),
        flags: U32::ZERO,
    };
    writer.append(madt.as_bytes())?;

    // All of one type: kernels drop small ids of the second when there is one of the first.
    let wide = config.cpus().any(|id| id > XAPIC_MAX);
    for (uid, apic_id) in (0u32..).zip(config.cpus()) {
        let flags = U32::new(CPU_ENABLED);
        match (u8::try_from(apic_id), u8::try_from(uid)) {
            (Ok(apic_id), Ok(uid)) if !wide => {
                let entry = LocalApic {
                    kind: 0,
                    length: 8,
                    uid,
                    apic_id,
                    flags,
                };
                writer.append(entry.as_bytes())?;
            }
            _ => {
                let entry = LocalX2Apic {
                    kind: 9,
                    length: 16,
                    reserved: U16::ZERO,
                    apic_id: U32::new(apic_id),
                    flags,
                    uid: U32::new(uid),
                };
                writer.append(entry.as_bytes())?;
            }
        }
    }

    // Without an I/O APIC a kernel would set up the host's 8259s and their edge/level register.
    let address = u32::try_from(config.io_apic).map_err(|_| Fault {
        errno: Errno::Inval,
        field: "I/O APIC",
        value: config.io_apic,
        remedy: "choose a page below 4 GiB",
    })?;
    let entry = IoApic {
        kind: 1,
        length: 12,
        id: 0,
        reserved: 0,
        address: U32::new(address),
        gsi_base: U32::ZERO,
    };
    writer.append(entry.as_bytes())
}

fn multikernel(config: &Config<'_>, writer: &mut Writer<'_>) -> Result<()> {
    let table = Multikernel {
        version: U32::new(MULTIKERNEL_VERSION),
        size: U32::new(size_of::<Multikernel>() as u32),
        shared_start: U64::new(config.shared.start),
        shared_size: U64::new(config.shared.size),
    };
    writer.append(table.as_bytes())
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
        self.used = self.used.next_multiple_of(64);
    }

    /// Writes a table and returns its physical address.
    fn table(
        &mut self,
        signature: [u8; 4],
        revision: u8,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<u64> {
        let start = self.used;
        let header = Header {
            signature,
            length: U32::ZERO,
            revision,
            checksum: 0,
            oem_id: OEM_ID,
            oem_table_id: OEM_TABLE_ID,
            oem_revision: U32::new(1),
            creator_id: *b"MKRN",
            creator_revision: U32::new(1),
        };
        self.append(header.as_bytes())?;
        body(self)?;

        let fault = full(start as u64);
        let table = self.area.get_mut(start..self.used).ok_or(fault)?;
        let length = u32::try_from(table.len()).map_err(|_| fault)?;
        let field = table.get_mut(LENGTH_OFFSET..).ok_or(fault)?;
        U32::new(length).write_to_prefix(field).map_err(|_| fault)?;
        let sum = checksum(table.iter());
        *table.get_mut(CHECKSUM_OFFSET).ok_or(fault)? = sum;
        self.align();
        Ok(self.base.saturating_add(start as u64))
    }
}
