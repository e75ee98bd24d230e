// SPDX-License-Identifier: GPL-2.0

//! A minimal EFI runtime (UEFI 2.10, 8), so that a spawn kernel's reboot, poweroff and panic end
//! in code of ours: ResetSystem() leaves a byte for the host and halts. A reset register has a
//! deadline (the kernel tries the keyboard controller after 15 ms), this has none.
//!
//! Every other service says EFI_UNSUPPORTED, but for SetVirtualAddressMap(): it succeeds and
//! changes nothing, since the code is position-independent and the kernel keeps the mapping of
//! each address to itself. An SMBIOS table of our own keeps the kernel from reading this machine's.

use super::{
    e820::{self, Kind},
    fault::{Errno, Fault, Result},
    layout::{Layout, Memory},
    page_table::PAGE,
};
use core::mem::offset_of;
use zerocopy::{
    little_endian::{U16, U32, U64},
    IntoBytes, //
};
use zerocopy_derive as abi;

/// Set in the mailbox by ResetSystem(), with the type of the reset below it.
pub const RESET_CALLED: u8 = 1 << 7;
/// EfiResetShutdown, the type of a poweroff (UEFI 2.10, 8.5.1).
pub const RESET_SHUTDOWN: u8 = 2;

/// Offset of the mailbox in the data page.
pub(super) const MAILBOX: u64 = 0xff8;

/// What `efi_info` of the zero page tells of a 64-bit EFI.
pub(super) const LOADER_SIGNATURE: u32 = u32::from_le_bytes(*b"EL64");
/// Size and version of a memory descriptor (UEFI 2.10, 7.2.3).
pub(super) const DESCRIPTOR_SIZE: u32 = size_of::<Descriptor>() as u32;
pub(super) const DESCRIPTOR_VERSION: u32 = 1;

// Offsets in the code page. All services take the Microsoft calling convention.
const UNSUPPORTED: u64 = 0x00;
const SUCCESS: u64 = 0x10;
const RESET_SYSTEM: u64 = 0x20;
/// Where the instruction behind the one that writes the mailbox is.
const BEHIND_WRITE: u64 = 0x2d;
const TO_MAILBOX: u32 = (PAGE + MAILBOX - BEHIND_WRITE) as u32;
const TO: [u8; 4] = TO_MAILBOX.to_le_bytes();

#[rustfmt::skip]
const CODE: [u8; 0x31] = [
    0xf3, 0x0f, 0x1e, 0xfa,                         // endbr64
    0x48, 0xb8, 3, 0, 0, 0, 0, 0, 0, 0x80,          // mov  $EFI_UNSUPPORTED, %rax
    0xc3, 0xcc,                                     // ret
    0xf3, 0x0f, 0x1e, 0xfa,                         // endbr64
    0x31, 0xc0,                                     // xor  %eax, %eax
    0xc3, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, // ret
    0xcc, 0xcc,
    0xf3, 0x0f, 0x1e, 0xfa,                         // endbr64
    0x80, 0xc9, RESET_CALLED,                       // or   $RESET_CALLED, %cl
    0x88, 0x0d, TO[0], TO[1], TO[2], TO[3],         // mov  %cl, mailbox(%rip)
    0xfa,                                           // cli
    0xf4,                                           // hlt
    0xeb, 0xfd,                                     // jmp  to the hlt
];

/// EFI_TABLE_HEADER (UEFI 2.10, 4.2.1).
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Header {
    signature: [u8; 8],
    revision: U32,
    header_size: U32,
    crc32: U32,
    reserved: U32,
}

/// EFI_SYSTEM_TABLE (UEFI 2.10, 4.3.1); no boot services, no consoles.
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct SystemTable {
    header: Header,
    vendor: U64,
    vendor_revision: U32,
    pad: U32,
    consoles: [U64; 6],
    runtime: U64,
    boot: U64,
    tables_len: U64,
    tables: U64,
}

/// EFI_RUNTIME_SERVICES (UEFI 2.10, 4.5.1).
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct RuntimeServices {
    header: Header,
    services: [U64; 14],
}

// Indices of `services`.
const SET_VIRTUAL_ADDRESS_MAP: usize = 4;
const RESET_SYSTEM_SERVICE: usize = 10;

/// EFI_CONFIGURATION_TABLE (UEFI 2.10, 4.6.1).
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct ConfigTable {
    guid: [u8; 16],
    table: U64,
}

/// EFI_RT_PROPERTIES_TABLE (UEFI 2.10, 4.6.2): which services there are.
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Properties {
    version: U16,
    length: U16,
    supported: U32,
}

/// EFI_MEMORY_DESCRIPTOR (UEFI 2.10, 7.2.3).
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Descriptor {
    kind: U32,
    pad: U32,
    physical: U64,
    virtual_: U64,
    pages: U64,
    attribute: U64,
}

/// EFI_MEMORY_ATTRIBUTES_TABLE (UEFI 2.10, 4.6.4): code that is not written, data not executed.
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Attributes {
    version: U32,
    len: U32,
    descriptor_size: U32,
    flags: U32,
    code: Descriptor,
    data: Descriptor,
}

/// SMBIOS 3 entry point (SMBIOS 3.6, 5.2.2), and the structures that it leads to: System
/// Information (7.2) and End-of-Table (7.45).
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Smbios {
    anchor: [u8; 5],
    checksum: u8,
    length: u8,
    major: u8,
    minor: u8,
    docrev: u8,
    revision: u8,
    reserved: u8,
    max_size: U32,
    address: U64,
    structures: [u8; SMBIOS_STRUCTURES.len()],
}

/// 27 bytes of System Information: strings 1 and 2 are vendor and product, the rest is unknown.
const SMBIOS_STRUCTURES: &[u8; 59] = b"\x01\x1b\0\0\x01\x02\0\0\
    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\0\0\
    multikernel\0spawn kernel\0\0\
    \x7f\x04\x01\0\0\0";

/// The data page.
#[derive(abi::IntoBytes, abi::Immutable)]
#[repr(C)]
struct Data {
    system: SystemTable,
    runtime: RuntimeServices,
    tables: [ConfigTable; 3],
    vendor: [U16; 12],
    properties: Properties,
    attributes: Attributes,
    smbios: Smbios,
}

const _: () = assert!(size_of::<SystemTable>() == 120);
const _: () = assert!(size_of::<RuntimeServices>() == 136);
const _: () = assert!(size_of::<Descriptor>() == 40);
const _: () = assert!(size_of::<Data>() <= MAILBOX as usize);
const _: () = assert!(offset_of!(Smbios, structures) == SMBIOS_ENTRY_LEN);

const SMBIOS_ENTRY_LEN: usize = 24;
const REVISION: u32 = 2 << 16 | 100;

// GUIDs as they lie in memory.
const PROPERTIES_GUID: [u8; 16] = guid(0xeb66918a, 0x7eef, 0x402a, 0x842e931d21c38ae9);
const ATTRIBUTES_GUID: [u8; 16] = guid(0xdcfa911d, 0x26eb, 0x469f, 0xa22038b7dc461220);
const SMBIOS3_GUID: [u8; 16] = guid(0xf2fd1544, 0x9794, 0x4a2c, 0x992ee5bbcf20e394);

// EFI_RT_PROPERTIES_TABLE: EFI_RT_SUPPORTED_*.
const SUPPORTED_SET_VIRTUAL_ADDRESS_MAP: u32 = 0x80;
const SUPPORTED_RESET_SYSTEM: u32 = 0x400;

// Types of memory (UEFI 2.10, 7.2.1) and attributes (7.2.3).
const RESERVED: u32 = 0;
const RUNTIME_CODE: u32 = 5;
const RUNTIME_DATA: u32 = 6;
const CONVENTIONAL: u32 = 7;
const ACPI_RECLAIM: u32 = 9;
const WRITE_BACK: u64 = 1 << 3;
const EXECUTE_PROTECT: u64 = 1 << 14;
const READ_ONLY: u64 = 1 << 17;
const RUNTIME: u64 = 1 << 63;

const fn guid(a: u32, b: u16, c: u16, d: u64) -> [u8; 16] {
    let (a, b, c, d) = (
        a.to_le_bytes(),
        b.to_le_bytes(),
        c.to_le_bytes(),
        d.to_be_bytes(),
    );
    [
        a[0], a[1], a[2], a[3], b[0], b[1], c[0], c[1], d[0], d[1], d[2], d[3], d[4], d[5], d[6],
        d[7],
    ]
}

/// Fills the code page `code` and the data page `data`, which are all zero.
///
/// # Errors
///
/// `Inval` when one is shorter than what belongs there.
pub(super) fn fill(layout: &Layout, code: &mut [u8], data: &mut [u8]) -> Result<()> {
    let place = code.get_mut(..CODE.len()).ok_or(SHORT)?;
    place.copy_from_slice(&CODE);

    let at = |offset: usize| U64::new(layout.efi_data.saturating_add(offset as u64));
    let service = |offset| U64::new(layout.efi_code.saturating_add(offset));
    let mut services = [service(UNSUPPORTED); 14];
    services[SET_VIRTUAL_ADDRESS_MAP] = service(SUCCESS);
    services[RESET_SYSTEM_SERVICE] = service(RESET_SYSTEM);
    let table = |guid, offset| ConfigTable {
        guid,
        table: at(offset),
    };
    let runtime = |kind, start, protection| Descriptor {
        kind: U32::new(kind),
        pad: U32::ZERO,
        physical: U64::new(start),
        virtual_: U64::ZERO,
        pages: U64::new(1),
        attribute: U64::new(RUNTIME | protection),
    };
    let smbios = offset_of!(Data, smbios);
    let mut all = Data {
        system: SystemTable {
            header: header(*b"IBI SYST", size_of::<SystemTable>()),
            vendor: at(offset_of!(Data, vendor)),
            vendor_revision: U32::new(1),
            pad: U32::ZERO,
            consoles: [U64::ZERO; 6],
            runtime: at(offset_of!(Data, runtime)),
            boot: U64::ZERO,
            tables_len: U64::new(3),
            tables: at(offset_of!(Data, tables)),
        },
        runtime: RuntimeServices {
            header: header(*b"RUNTSERV", size_of::<RuntimeServices>()),
            services,
        },
        tables: [
            table(PROPERTIES_GUID, offset_of!(Data, properties)),
            table(ATTRIBUTES_GUID, offset_of!(Data, attributes)),
            table(SMBIOS3_GUID, smbios),
        ],
        vendor: b"multikernel\0".map(|byte| U16::new(byte.into())),
        properties: Properties {
            version: U16::new(1),
            length: U16::new(size_of::<Properties>() as u16),
            supported: U32::new(SUPPORTED_RESET_SYSTEM | SUPPORTED_SET_VIRTUAL_ADDRESS_MAP),
        },
        attributes: Attributes {
            version: U32::new(1),
            len: U32::new(2),
            descriptor_size: U32::new(DESCRIPTOR_SIZE),
            flags: U32::ZERO,
            code: runtime(RUNTIME_CODE, layout.efi_code, READ_ONLY),
            data: runtime(RUNTIME_DATA, layout.efi_data, EXECUTE_PROTECT),
        },
        smbios: Smbios {
            anchor: *b"_SM3_",
            checksum: 0,
            length: SMBIOS_ENTRY_LEN as u8,
            major: 3,
            minor: 6,
            docrev: 0,
            revision: 1,
            reserved: 0,
            max_size: U32::new(SMBIOS_STRUCTURES.len() as u32),
            address: at(smbios.saturating_add(SMBIOS_ENTRY_LEN)),
            structures: *SMBIOS_STRUCTURES,
        },
    };
    let entry = all.smbios.as_bytes().iter().take(SMBIOS_ENTRY_LEN);
    all.smbios.checksum = entry.fold(0, |sum: u8, byte| sum.wrapping_sub(*byte));
    all.system.header.crc32 = U32::new(crc32(all.system.as_bytes()));
    all.runtime.header.crc32 = U32::new(crc32(all.runtime.as_bytes()));
    all.write_to_prefix(data).map_err(|_| SHORT)
}

/// Fills `map` with the memory descriptors and returns their length in bytes.
///
/// # Errors
///
/// `TooBig` when `map` is too short.
pub(super) fn fill_map(memory: &Memory<'_>, layout: &Layout, map: &mut [u8]) -> Result<u32> {
    let mut rest = map;
    let mut used: u32 = 0;
    e820::ranges(memory, layout, |range, kind| {
        let (kind, attribute) = match kind {
            Kind::Ram => (CONVENTIONAL, WRITE_BACK),
            Kind::Reserved => (RESERVED, WRITE_BACK),
            Kind::Acpi => (ACPI_RECLAIM, WRITE_BACK),
            Kind::RuntimeCode => (RUNTIME_CODE, RUNTIME | WRITE_BACK),
            Kind::RuntimeData => (RUNTIME_DATA, RUNTIME | WRITE_BACK),
        };
        let descriptor = Descriptor {
            kind: U32::new(kind),
            pad: U32::ZERO,
            physical: U64::new(range.start),
            virtual_: U64::ZERO,
            pages: U64::new(range.size / PAGE),
            attribute: U64::new(attribute),
        };
        let full = Fault {
            errno: Errno::TooBig,
            field: "EFI memory map",
            value: used.into(),
            remedy: "lend memory in fewer pieces",
        };
        let place = core::mem::take(&mut rest);
        let (place, behind) = place
            .split_at_mut_checked(size_of::<Descriptor>())
            .ok_or(full)?;
        place.copy_from_slice(descriptor.as_bytes());
        rest = behind;
        used = used.saturating_add(DESCRIPTOR_SIZE);
        Ok(())
    })?;
    Ok(used)
}

const SHORT: Fault = Fault {
    errno: Errno::Inval,
    field: "EFI runtime",
    value: 0,
    remedy: "give it two pages",
};

/// A header whose checksum is not known yet.
fn header(signature: [u8; 8], size: usize) -> Header {
    Header {
        signature,
        revision: U32::new(REVISION),
        header_size: U32::new(size as u32),
        crc32: U32::ZERO,
        reserved: U32::ZERO,
    }
}

/// CRC-32 as of Ethernet, over a table whose own is 0.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 }
        })
    })
}
