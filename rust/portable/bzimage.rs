// SPDX-License-Identifier: GPL-2.0

//! The setup header of a bzImage (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header"),
//! as a boot loader has copied it to a zero page.

use super::fault::{Errno, Fault, Result};

/// Bytes of a zero page.
pub const ZERO_PAGE_SIZE: usize = 4096;
/// Where the setup header begins in a zero page.
pub const SETUP_HEADER: usize = 0x1f1;
/// Where the kernel's 64-bit entry point is, from its start.
pub const ENTRY_64: u64 = 0x200;

/// Longest setup header: the zero page has something else behind it.
const MAX_LEN: usize = 0x290 - SETUP_HEADER;

// Offsets in the zero page.
const BOOT_FLAG: usize = 0x1fe;
const JUMP_OFFSET: usize = 0x201;
const MAGIC: usize = 0x202;
const VERSION: usize = 0x206;
const KERNEL_VERSION: usize = 0x20e;
const RAMDISK_IMAGE: usize = 0x218;
const RAMDISK_SIZE: usize = 0x21c;
const CMD_LINE_PTR: usize = 0x228;
const INITRD_ADDR_MAX: usize = 0x22c;
const KERNEL_ALIGNMENT: usize = 0x230;
const RELOCATABLE_KERNEL: usize = 0x234;
const XLOADFLAGS: usize = 0x236;
const CMDLINE_SIZE: usize = 0x238;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24c;
const PREF_ADDRESS: usize = 0x258;
const INIT_SIZE: usize = 0x260;
// The upper halves are not in the header, but before it.
const EXT_RAMDISK_IMAGE: usize = 0xc0;
const EXT_RAMDISK_SIZE: usize = 0xc4;
const EXT_CMD_LINE_PTR: usize = 0xc8;

const XLF_KERNEL_64: u16 = 1 << 0;
const XLF_CAN_BE_LOADED_ABOVE_4G: u16 = 1 << 1;
/// The kernel can be started by kexec on a machine with EFI, so it knows an EFI runtime.
const XLF_EFI_KEXEC: u16 = 1 << 4;
/// The first version with xloadflags, of 2012.
const MIN_VERSION: u16 = 0x20c;
/// More than any kernel needs.
const MAX_INIT_SIZE: u64 = 4 << 30;

/// A checked setup header.
///
/// # Invariants
///
/// `bytes` is the start of a zero page with the header of a relocatable 64-bit kernel, whose
/// alignment is a power of two from 4 KiB to 1 GiB and whose size is neither 0 nor absurd.
#[derive(Copy, Clone)]
pub struct Header {
    bytes: [u8; SETUP_HEADER + MAX_LEN],
    len: usize,
}

fn reject<T>(field: &'static str, value: u64, remedy: &'static str) -> Result<T> {
    Err(Fault {
        errno: Errno::NoExec,
        field,
        value,
        remedy,
    })
}

impl Header {
    /// Checks the header in a zero page.
    ///
    /// # Errors
    ///
    /// `NoExec` when it is cut off, or not that of a relocatable 64-bit bzImage.
    pub fn from_zero_page(page: &[u8]) -> Result<Self> {
        let Some(first) = page
            .get(..SETUP_HEADER + MAX_LEN)
            .and_then(|p| p.first_chunk())
        else {
            return reject(
                "length of boot_params",
                page.len() as u64,
                "give a whole zero page",
            );
        };
        let mut header = Self {
            bytes: *first,
            len: 0,
        };
        if header.u16(BOOT_FLAG) != 0xaa55 || header.u32(MAGIC) != u32::from_le_bytes(*b"HdrS") {
            return reject(
                "magic of the setup header",
                header.u32(MAGIC).into(),
                "give a bzImage",
            );
        }
        if header.version() < MIN_VERSION {
            let version = header.version().into();
            return reject(
                "boot protocol",
                version,
                "give a kernel of Linux 3.8 or later",
            );
        }
        if header.u16(XLOADFLAGS) & XLF_KERNEL_64 == 0 {
            let flags = header.u16(XLOADFLAGS).into();
            return reject("xloadflags", flags, "give a 64-bit kernel");
        }
        if header.u8(RELOCATABLE_KERNEL) == 0 {
            return reject(
                "relocatable_kernel",
                0,
                "build the kernel with CONFIG_RELOCATABLE",
            );
        }
        let alignment = header.kernel_alignment();
        if !alignment.is_power_of_two() || !(4096..=1 << 30).contains(&alignment) {
            return reject(
                "kernel_alignment",
                alignment,
                "give a kernel that is not damaged",
            );
        }
        let size = header.init_size();
        if size == 0 || size > MAX_INIT_SIZE {
            return reject("init_size", size, "give a kernel that is not damaged");
        }
        // The jump at the header's start leads behind its end.
        let end = MAGIC + usize::from(header.u8(JUMP_OFFSET));
        header.len = end.clamp(INIT_SIZE + 4, SETUP_HEADER + MAX_LEN) - SETUP_HEADER;
        // INVARIANT: Checked above.
        Ok(header)
    }

    fn u8(&self, offset: usize) -> u8 {
        self.bytes.get(offset).copied().unwrap_or(0)
    }

    fn u16(&self, offset: usize) -> u16 {
        u16::from_le_bytes([self.u8(offset), self.u8(offset + 1)])
    }

    fn u32(&self, offset: usize) -> u32 {
        u32::from(self.u16(offset)) | u32::from(self.u16(offset + 2)) << 16
    }

    fn u64(&self, low: usize, high: usize) -> u64 {
        u64::from(self.u32(low)) | u64::from(self.u32(high)) << 32
    }

    /// Version of the boot protocol.
    pub fn version(&self) -> u16 {
        self.u16(VERSION)
    }

    /// Alignment that the kernel needs, in bytes: a power of two.
    pub fn kernel_alignment(&self) -> u64 {
        self.u32(KERNEL_ALIGNMENT).into()
    }

    /// Bytes that the kernel needs from its start until it knows its memory map.
    pub fn init_size(&self) -> u64 {
        self.u32(INIT_SIZE).into()
    }

    /// Where the kernel would like to be.
    pub fn pref_address(&self) -> u64 {
        self.u64(PREF_ADDRESS, PREF_ADDRESS + 4)
    }

    /// Whether kernel, boot_params, command line and initrd may be above 4 GiB.
    pub fn can_load_above_4g(&self) -> bool {
        self.u16(XLOADFLAGS) & XLF_CAN_BE_LOADED_ABOVE_4G != 0
    }

    /// Whether the kernel makes use of an EFI runtime.
    pub fn has_efi(&self) -> bool {
        self.u16(XLOADFLAGS) & XLF_EFI_KEXEC != 0
    }

    /// Highest address of the initrd's last byte.
    pub fn initrd_addr_max(&self) -> u64 {
        if self.can_load_above_4g() {
            u64::MAX
        } else {
            self.u32(INITRD_ADDR_MAX).into()
        }
    }

    /// Whether the kernel is its own memory image. A bzImage has a payload, which it decompresses
    /// itself; a loader that has done so says that there is none.
    pub fn is_flat(&self) -> bool {
        self.payload_end() == 0
    }

    /// Offset of the end of the compressed kernel from the start of the 64-bit part.
    pub fn payload_end(&self) -> u64 {
        u64::from(self.u32(PAYLOAD_OFFSET)) + u64::from(self.u32(PAYLOAD_LENGTH))
    }

    /// Longest command line, without its NUL.
    pub fn cmdline_size(&self) -> usize {
        usize::try_from(self.u32(CMDLINE_SIZE)).unwrap_or(usize::MAX)
    }

    /// Address of the command line.
    pub fn cmd_line_ptr(&self) -> u64 {
        self.u64(CMD_LINE_PTR, EXT_CMD_LINE_PTR)
    }

    /// Address of the initrd.
    pub fn ramdisk_image(&self) -> u64 {
        self.u64(RAMDISK_IMAGE, EXT_RAMDISK_IMAGE)
    }

    /// Bytes of the initrd.
    pub fn ramdisk_size(&self) -> u64 {
        self.u64(RAMDISK_SIZE, EXT_RAMDISK_SIZE)
    }

    /// Where the release string is, less 0x200; 0 for nowhere.
    pub fn kernel_version(&self) -> u16 {
        self.u16(KERNEL_VERSION)
    }

    /// The setup header itself.
    pub fn raw(&self) -> &[u8] {
        self.bytes
            .get(SETUP_HEADER..SETUP_HEADER + self.len)
            .unwrap_or(&[])
    }
}
