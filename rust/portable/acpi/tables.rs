// SPDX-License-Identifier: GPL-2.0

//! The tables as bytes. Each comes without its header, which [`Header`] is.

use super::{
    checksum,
    Range,
    LOCAL_APIC,
    RESET_VALUE, //
};
use core::mem::offset_of;
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromZeros,
    IntoBytes, //
};
use zerocopy_derive as abi;

const OEM_ID: [u8; 6] = *b"MKERNL";

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
        Self {
            space: 0,
            bit_width: 8,
            bit_offset: 0,
            access_size: 1,
            address: U64::new(address),
        }
    }
}

/// Root System Description Pointer (ACPI 6.5, 5.2.5.3).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct Rsdp {
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
const _: () = assert!(offset_of!(Rsdp, length) == RSDP_V1_LEN);

impl Rsdp {
    pub(super) fn new(xsdt: u64) -> Self {
        let mut rsdp = Self {
            signature: *b"RSD PTR ",
            oem_id: OEM_ID,
            revision: 2,
            length: U32::new(size_of::<Self>() as u32),
            xsdt_address: U64::new(xsdt),
            ..Self::new_zeroed()
        };
        rsdp.checksum = checksum(rsdp.as_bytes().iter().take(RSDP_V1_LEN));
        rsdp.extended_checksum = checksum(rsdp.as_bytes().iter());
        rsdp
    }
}

/// System description table header (ACPI 6.5, 5.2.6).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct Header {
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

impl Header {
    pub(super) const LENGTH: usize = offset_of!(Self, length);
    pub(super) const CHECKSUM: usize = offset_of!(Self, checksum);

    /// A header whose length and checksum are not known yet.
    pub(super) fn new(signature: [u8; 4], revision: u8) -> Self {
        Self {
            signature,
            length: U32::ZERO,
            revision,
            checksum: 0,
            oem_id: OEM_ID,
            oem_table_id: *b"MULTIKRN",
            oem_revision: U32::new(1),
            creator_id: *b"MKRN",
            creator_revision: U32::new(1),
        }
    }
}

/// Fixed ACPI Description Table (ACPI 6.5, 5.2.9).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct Fadt {
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

const fn in_table(offset: usize) -> usize {
    size_of::<Header>() + offset
}

const _: () = assert!(in_table(size_of::<Fadt>()) == 276);
const _: () = assert!(in_table(offset_of!(Fadt, iapc_boot_arch)) == 109);
const _: () = assert!(in_table(offset_of!(Fadt, reset_reg)) == 116);
const _: () = assert!(in_table(offset_of!(Fadt, x_dsdt)) == 140);
const _: () = assert!(in_table(offset_of!(Fadt, sleep_control_reg)) == 244);

// Flags (ACPI 6.5, table 5.10).
const WBINVD: u32 = 1 << 0;
// No fixed-hardware power button, no fixed-hardware sleep button.
const PWR_BUTTON: u32 = 1 << 4;
const SLP_BUTTON: u32 = 1 << 5;
const RESET_REG_SUP: u32 = 1 << 10;
// Kernels of the 6.1 era use logical ids up to 8 CPUs otherwise, and every instance has the same.
const FORCE_APIC_PHYSICAL: u32 = 1 << 19;
const HW_REDUCED: u32 = 1 << 20;

// IA-PC boot architecture flags (ACPI 6.5, table 5.11): what the spawn is not to look for.
const NO_VGA: u16 = 1 << 2;
const NO_CMOS_RTC: u16 = 1 << 5;

impl Fadt {
    pub(super) const REVISION: u8 = 6;
    const MINOR: u8 = 5;

    /// Registers are physical addresses of bytes.
    pub(super) fn new(dsdt: u64, reset: u64, sleep_control: u64) -> Self {
        let flags =
            WBINVD | PWR_BUTTON | SLP_BUTTON | RESET_REG_SUP | FORCE_APIC_PHYSICAL | HW_REDUCED;
        Self {
            iapc_boot_arch: U16::new(NO_VGA | NO_CMOS_RTC),
            flags: U32::new(flags),
            reset_reg: GenericAddress::byte(reset),
            reset_value: RESET_VALUE,
            minor_version: Self::MINOR,
            x_dsdt: U64::new(dsdt),
            sleep_control_reg: GenericAddress::byte(sleep_control),
            // The same byte. A kernel writes WAK_STS to the status, for hardware to clear it, then to
            // the control register, and waits for WAK_STS: memory of its own would say that it woke.
            sleep_status_reg: GenericAddress::byte(sleep_control),
            ..Self::new_zeroed()
        }
    }
}

/// The DSDT's whole AML, `Name (_S5, Package (4) { 5, 5, 0, 0 })`: NameOp and the name;
/// PackageOp, PkgLength 8, four elements; BytePrefix and SLP_TYP 5 twice; ZeroOp twice
/// (ACPI 6.5, 7.4.2.6 and 20.2).
pub(super) const AML: [u8; 14] = *b"\x08_S5_\x12\x08\x04\x0a\x05\x0a\x05\x00\x00";

/// Multiple APIC Description Table up to its entries (ACPI 6.5, 5.2.12).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct Madt {
    local_apic: U32,
    /// PCAT_COMPAT clear: the two 8259 are the host's.
    flags: U32,
}

impl Madt {
    pub(super) const REVISION: u8 = 6;

    pub(super) fn new() -> Self {
        Self {
            local_apic: U32::new(LOCAL_APIC),
            flags: U32::ZERO,
        }
    }
}

/// The flag "enabled" of both kinds of CPU.
const ENABLED: u32 = 1;

/// Processor Local APIC (ACPI 6.5, 5.2.12.2).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct LocalApic {
    kind: u8,
    length: u8,
    uid: u8,
    apic_id: u8,
    flags: U32,
}

impl LocalApic {
    pub(super) fn new(uid: u8, apic_id: u8) -> Self {
        Self {
            kind: 0,
            length: size_of::<Self>() as u8,
            uid,
            apic_id,
            flags: U32::new(ENABLED),
        }
    }
}

/// I/O APIC (ACPI 6.5, 5.2.12.3).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct IoApic {
    kind: u8,
    length: u8,
    id: u8,
    reserved: u8,
    address: U32,
    gsi_base: U32,
}

impl IoApic {
    pub(super) fn new(address: u32) -> Self {
        Self {
            kind: 1,
            length: size_of::<Self>() as u8,
            id: 0,
            reserved: 0,
            address: U32::new(address),
            gsi_base: U32::ZERO,
        }
    }
}

/// Processor Local x2APIC (ACPI 6.5, 5.2.12.12).
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct LocalX2Apic {
    kind: u8,
    length: u8,
    reserved: U16,
    apic_id: U32,
    flags: U32,
    uid: U32,
}

impl LocalX2Apic {
    pub(super) fn new(uid: u32, apic_id: u32) -> Self {
        Self {
            kind: 9,
            length: size_of::<Self>() as u8,
            reserved: U16::ZERO,
            apic_id: U32::new(apic_id),
            flags: U32::new(ENABLED),
            uid: U32::new(uid),
        }
    }
}

const _: () = assert!(size_of::<LocalApic>() == 8);
const _: () = assert!(size_of::<IoApic>() == 12);
const _: () = assert!(size_of::<LocalX2Apic>() == 16);

/// Table "MKRN", ours: tells an agent in the spawn where the shared region is.
#[derive(abi::FromZeros, abi::IntoBytes, abi::Immutable)]
#[repr(C)]
pub(super) struct Multikernel {
    version: U32,
    /// Bytes of this structure.
    size: U32,
    shared_start: U64,
    shared_size: U64,
}

const _: () = assert!(size_of::<Multikernel>() == 24);

impl Multikernel {
    pub(super) const REVISION: u8 = 1;
    const VERSION: u32 = 1;

    pub(super) fn new(shared: Range) -> Self {
        Self {
            version: U32::new(Self::VERSION),
            size: U32::new(size_of::<Self>() as u32),
            shared_start: U64::new(shared.start),
            shared_size: U64::new(shared.size),
        }
    }
}
