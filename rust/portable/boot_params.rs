// SPDX-License-Identifier: GPL-2.0

//! The zero page of a spawn kernel (Documentation/arch/x86/zero-page.rst; `struct boot_params` in
//! `arch/x86/include/uapi/asm/bootparam.h`).
//!
//! It is made from zero: what a boot loader saw of this machine (screen, EFI, EDD, its RSDP, its
//! setup_data) is not the spawn's.

use super::{
    bzimage::Header,
    e820,
    efi,
    fault::{Errno, Fault, Result},
    layout::{Layout, Memory}, //
};
use zerocopy::{
    little_endian::{U16, U32, U64},
    FromBytes,
    FromZeros,
    IntoBytes, //
};
use zerocopy_derive as abi;

/// The zero page, `struct boot_params`; only what is used has a name.
#[derive(abi::FromBytes, abi::IntoBytes, abi::Immutable, abi::KnownLayout)]
#[repr(C)]
#[allow(missing_docs, reason = "names and meanings are those of zero-page.rst")]
pub struct BootParams {
    unused_0: [u8; 0x70],
    pub acpi_rsdp_addr: U64,
    unused_1: [u8; 0x48],
    pub ext_ramdisk_image: U32,
    pub ext_ramdisk_size: U32,
    pub ext_cmd_line_ptr: U32,
    unused_2: [u8; 0xf4],
    pub efi_info: EfiInfo,
    unused_7: [u8; 8],
    pub e820_entries: u8,
    unused_3: [u8; 6],
    pub sentinel: u8,
    unused_4: u8,
    pub hdr: SetupHeader,
    unused_5: [u8; 0x64],
    pub e820_table: [e820::Entry; e820::ENTRIES_MAX],
    unused_6: [u8; 0x330],
}

/// Where the EFI runtime is, `struct efi_info`.
#[derive(abi::FromBytes, abi::IntoBytes, abi::Immutable, abi::KnownLayout)]
#[repr(C)]
#[allow(missing_docs, reason = "names are those of the kernel's header")]
pub struct EfiInfo {
    pub efi_loader_signature: U32,
    pub efi_systab: U32,
    pub efi_memdesc_size: U32,
    pub efi_memdesc_version: U32,
    pub efi_memmap: U32,
    pub efi_memmap_size: U32,
    pub efi_systab_hi: U32,
    pub efi_memmap_hi: U32,
}

/// The setup header, `struct setup_header`, protocol 2.15.
#[derive(abi::FromBytes, abi::IntoBytes, abi::Immutable, abi::KnownLayout)]
#[repr(C)]
#[allow(missing_docs, reason = "names and meanings are those of boot.rst")]
pub struct SetupHeader {
    pub setup_sects: u8,
    pub root_flags: U16,
    pub syssize: U32,
    pub ram_size: U16,
    pub vid_mode: U16,
    pub root_dev: U16,
    pub boot_flag: U16,
    pub jump: U16,
    pub header: U32,
    pub version: U16,
    pub realmode_swtch: U32,
    pub start_sys_seg: U16,
    pub kernel_version: U16,
    pub type_of_loader: u8,
    pub loadflags: u8,
    pub setup_move_size: U16,
    pub code32_start: U32,
    pub ramdisk_image: U32,
    pub ramdisk_size: U32,
    pub bootsect_kludge: U32,
    pub heap_end_ptr: U16,
    pub ext_loader_ver: u8,
    pub ext_loader_type: u8,
    pub cmd_line_ptr: U32,
    pub initrd_addr_max: U32,
    pub kernel_alignment: U32,
    pub relocatable_kernel: u8,
    pub min_alignment: u8,
    pub xloadflags: U16,
    pub cmdline_size: U32,
    pub hardware_subarch: U32,
    pub hardware_subarch_data: U64,
    pub payload_offset: U32,
    pub payload_length: U32,
    pub setup_data: U64,
    pub pref_address: U64,
    pub init_size: U32,
    pub handover_offset: U32,
    pub kernel_info_offset: U32,
}

const _: () = assert!(size_of::<BootParams>() == 4096);
const _: () = assert!(size_of::<SetupHeader>() == 0x26c - 0x1f1);
const _: () = assert!(core::mem::offset_of!(BootParams, acpi_rsdp_addr) == 0x70);
const _: () = assert!(core::mem::offset_of!(BootParams, ext_ramdisk_image) == 0xc0);
const _: () = assert!(core::mem::offset_of!(BootParams, efi_info) == 0x1c0);
const _: () = assert!(core::mem::offset_of!(BootParams, e820_entries) == 0x1e8);
const _: () = assert!(core::mem::offset_of!(BootParams, sentinel) == 0x1ef);
const _: () = assert!(core::mem::offset_of!(BootParams, hdr) == 0x1f1);
const _: () = assert!(core::mem::offset_of!(BootParams, e820_table) == 0x2d0);
const _: () = assert!(core::mem::offset_of!(SetupHeader, header) == 0x202 - 0x1f1);
const _: () = assert!(core::mem::offset_of!(SetupHeader, cmd_line_ptr) == 0x228 - 0x1f1);
const _: () = assert!(core::mem::offset_of!(SetupHeader, pref_address) == 0x258 - 0x1f1);

/// A loader without an assigned number (boot.rst, `type_of_loader`).
const LOADER_UNDEFINED: u8 = 0xff;
/// The protected-mode code is at or above 1 MiB (boot.rst, `loadflags`).
const LOADED_HIGH: u8 = 1 << 0;

impl SetupHeader {
    /// Takes from the image's header what describes the image; what a loader fills in stays 0.
    fn of_image(header: &Header) -> Self {
        let mut image = Self::new_zeroed();
        // An older protocol's header is shorter, a newer one's longer.
        for (to, from) in image.as_mut_bytes().iter_mut().zip(header.raw()) {
            *to = *from;
        }
        Self {
            setup_sects: image.setup_sects,
            // Whether the root is mounted read-only unless `rw` is given.
            root_flags: image.root_flags,
            syssize: image.syssize,
            root_dev: image.root_dev,
            boot_flag: image.boot_flag,
            jump: image.jump,
            header: image.header,
            version: image.version,
            kernel_version: image.kernel_version,
            loadflags: image.loadflags & LOADED_HIGH,
            initrd_addr_max: image.initrd_addr_max,
            kernel_alignment: image.kernel_alignment,
            relocatable_kernel: image.relocatable_kernel,
            min_alignment: image.min_alignment,
            xloadflags: image.xloadflags,
            cmdline_size: image.cmdline_size,
            payload_offset: image.payload_offset,
            payload_length: image.payload_length,
            pref_address: image.pref_address,
            init_size: image.init_size,
            kernel_info_offset: image.kernel_info_offset,
            ..Self::new_zeroed()
        }
    }
}

/// Fills `page`, which is all zero, for an image that lies as `layout` tells. `efi_map_size` is
/// the length of the EFI memory map, 0 for a kernel that has no use for it.
///
/// # Errors
///
/// `TooBig` when the memory has more ranges than the page has room for.
pub(super) fn fill(
    memory: &Memory<'_>,
    layout: &Layout,
    header: &Header,
    initrd_len: u64,
    efi_map_size: u32,
    page: &mut [u8],
) -> Result<()> {
    let too_short = Fault {
        errno: Errno::Inval,
        field: "boot_params",
        value: page.len() as u64,
        remedy: "give it a page",
    };
    let (params, _) = BootParams::mut_from_prefix(page).map_err(|_| too_short)?;
    let initrd = layout
        .initrd
        .map_or((0, 0), |range| (range.start, initrd_len));

    params.hdr = SetupHeader::of_image(header);
    params.hdr.type_of_loader = LOADER_UNDEFINED;
    // The 32-bit entry point; a kernel above 4 GiB has none.
    params.hdr.code32_start = U32::new(u32::try_from(layout.kernel.start).unwrap_or(0));
    (params.hdr.ramdisk_image, params.ext_ramdisk_image) = halves(initrd.0);
    (params.hdr.ramdisk_size, params.ext_ramdisk_size) = halves(initrd.1);
    (params.hdr.cmd_line_ptr, params.ext_cmd_line_ptr) = halves(layout.cmdline);
    params.acpi_rsdp_addr = U64::new(layout.rsdp);
    if efi_map_size > 0 {
        let ((systab, systab_hi), (map, map_hi)) =
            (halves(layout.efi_data), halves(layout.efi_map));
        params.efi_info = EfiInfo {
            efi_loader_signature: U32::new(efi::LOADER_SIGNATURE),
            efi_systab: systab,
            efi_memdesc_size: U32::new(efi::DESCRIPTOR_SIZE),
            efi_memdesc_version: U32::new(efi::DESCRIPTOR_VERSION),
            efi_memmap: map,
            efi_memmap_size: U32::new(efi_map_size),
            efi_systab_hi: systab_hi,
            efi_memmap_hi: map_hi,
        };
    }
    let entries = e820::fill(memory, layout, &mut params.e820_table)?;
    // At most `ENTRIES_MAX`.
    params.e820_entries = u8::try_from(entries).unwrap_or(u8::MAX);
    Ok(())
}

/// Splits a number into its low and high half.
fn halves(value: u64) -> (U32, U32) {
    // CAST: each takes 32 bits of it.
    (U32::new(value as u32), U32::new((value >> 32) as u32))
}
