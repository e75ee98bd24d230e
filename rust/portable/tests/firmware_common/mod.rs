// SPDX-License-Identifier: GPL-2.0

//! What the tests of the firmware share: an image's header, a machine, and its memory after
//! `build()`, looked at by physical address.

// Each test binary uses its own part of it.
#![allow(dead_code)]

pub mod check;

use multikernel_portable::{
    bzimage::{Header, ENTRY_64},
    fault::Result,
    firmware::{self, Machine},
    layout::{Layout, Memory, FIRMWARE_SIZE, LOW_PAGES_SIZE},
    range::Range,
    segments::Kernel,
};

pub const PAGE: u64 = 4096;
pub const MIB: u64 = 1 << 20;
pub const GIB: u64 = 1 << 30;

/// An image's setup header as a distribution's kernel has it, for the fields that matter.
#[derive(Clone, Debug)]
pub struct Image {
    pub alignment: u64,
    pub pref_address: u64,
    pub init_size: u64,
    pub above_4g: bool,
    pub initrd_addr_max: u32,
    pub kernel_len: u64,
    pub entry: u64,
    /// Whether it was decompressed when it was loaded.
    pub flat: bool,
    pub initrd_len: u64,
    /// Built with CONFIG_EFI.
    pub efi: bool,
}

impl Default for Image {
    fn default() -> Self {
        Self {
            alignment: 2 * MIB,
            pref_address: 16 * MIB,
            init_size: 30 * MIB,
            above_4g: true,
            initrd_addr_max: 0x7fff_ffff,
            kernel_len: 9 * MIB,
            entry: ENTRY_64,
            flat: false,
            initrd_len: 5 * MIB + 123,
            efi: false,
        }
    }
}

impl Image {
    /// The zero page as kexec-tools would hand it in.
    pub fn zero_page(&self) -> [u8; 4096] {
        let mut page = [0; 4096];
        let mut put = |at: usize, bytes: &[u8]| page[at..at + bytes.len()].copy_from_slice(bytes);
        put(0x1f1, &[0x1b]); // setup_sects
        put(0x1f2, &1u16.to_le_bytes()); // root_flags
        put(0x1f4, &0x8_0000u32.to_le_bytes()); // syssize
        put(0x1fe, &0xaa55u16.to_le_bytes());
        put(0x200, &[0xeb, 0x6a]);
        put(0x202, b"HdrS");
        put(0x206, &0x20fu16.to_le_bytes());
        put(0x211, &[1]); // loadflags: LOADED_HIGH
        put(0x22c, &self.initrd_addr_max.to_le_bytes());
        put(0x230, &(self.alignment as u32).to_le_bytes());
        put(0x234, &[1, 21]); // relocatable, min_alignment
        put(
            0x236,
            &(0x6d | u16::from(self.above_4g) << 1 | u16::from(self.efi) << 4).to_le_bytes(),
        );
        put(0x238, &2047u32.to_le_bytes());
        if !self.flat {
            put(0x248, &0x2b4u32.to_le_bytes()); // payload_offset
            put(0x24c, &0x70_0000u32.to_le_bytes()); // payload_length
        }
        put(0x258, &self.pref_address.to_le_bytes());
        put(0x260, &(self.init_size as u32).to_le_bytes());
        put(0x268, &0x40_0000u32.to_le_bytes()); // kernel_info_offset
        page
    }

    pub fn header(&self) -> Header {
        Header::from_zero_page(&self.zero_page()).expect("a good header")
    }

    pub fn layout(&self, memory: &Memory<'_>) -> Result<Layout> {
        let kernel = Kernel {
            memsz: self.kernel_len,
            entry: self.entry,
        };
        Layout::new(memory, &self.header(), &kernel, self.initrd_len)
    }
}

pub fn end(range: Range) -> u64 {
    range.start + range.size
}

pub fn range(start: u64, size: u64) -> Range {
    Range { start, size }
}

/// An instance's memory, with the usual low parts.
pub fn memory(pieces: &[Range]) -> Memory<'_> {
    Memory {
        low_chunk: range(0x2_0000, 0x1_0000),
        low_pages: range(0x123_4000, LOW_PAGES_SIZE),
        pieces,
        huge_pages: false,
    }
}

pub fn machine<'a>(memory: Memory<'a>, apic_ids: &'a [u32]) -> Machine<'a> {
    let x2apic = apic_ids.iter().any(|&id| id > 254);
    Machine {
        memory,
        apic_ids,
        x2apic,
        tsc_khz: 2_100_000,
    }
}

/// What the firmware has written.
pub struct Built {
    pub layout: Layout,
    low_pages: Range,
    huge_pages: bool,
    pub fw: Vec<u8>,
    pub low: Vec<u8>,
}

impl Built {
    /// Builds into memory that is full of `stale` bytes.
    pub fn new(
        machine: &Machine<'_>,
        image: &Image,
        phantom: u32,
        cmdline: &[u8],
        stale: u8,
    ) -> Result<Self> {
        let layout = image.layout(&machine.memory)?;
        let mut fw = vec![stale; FIRMWARE_SIZE as usize];
        let mut low = vec![stale; LOW_PAGES_SIZE as usize];
        firmware::build(
            machine,
            phantom,
            &layout,
            &image.header(),
            cmdline,
            image.initrd_len,
            &mut fw,
            &mut low,
        )?;
        Ok(Self {
            layout,
            low_pages: machine.memory.low_pages,
            huge_pages: machine.memory.huge_pages,
            fw,
            low,
        })
    }

    /// Reads physical memory; panics where the firmware has written nothing.
    pub fn read(&self, address: u64, len: usize) -> &[u8] {
        let (bytes, start) = if address >= self.low_pages.start
            && address < self.low_pages.start + self.low_pages.size
        {
            (&self.low, self.low_pages.start)
        } else {
            (&self.fw, self.layout.firmware.start)
        };
        let offset = usize::try_from(address.checked_sub(start).expect("outside")).unwrap();
        &bytes[offset..offset + len]
    }

    pub fn number(&self, address: u64, len: usize) -> u64 {
        let mut value = [0; 8];
        value[..len].copy_from_slice(self.read(address, len));
        u64::from_le_bytes(value)
    }

    /// A field of the zero page.
    pub fn param(&self, offset: u64, len: usize) -> u64 {
        self.number(self.layout.boot_params + offset, len)
    }

    /// The e820 map as (start, end, type).
    pub fn e820(&self) -> Vec<(u64, u64, u64)> {
        let entry = |i| {
            let at = 0x2d0 + i * 20;
            let start = self.param(at, 8);
            (start, start + self.param(at + 8, 8), self.param(at + 16, 4))
        };
        (0..self.param(0x1e8, 1)).map(entry).collect()
    }

    /// Translates an address as the processor does with CR3 at the low pages; None is a page
    /// fault.
    pub fn walk(&self, address: u64) -> Option<u64> {
        let mut table = self.low_pages.start;
        for shift in [39, 30, 21] {
            let entry = self.number(table + (address >> shift & 511) * 8, 8);
            if entry & 3 != 3 {
                assert_eq!(entry, 0, "neither present and writable nor empty");
                return None;
            }
            if entry & 0x80 != 0 {
                assert!(shift == 21 || (shift == 30 && self.huge_pages), "{shift}");
                let page = 0x000f_ffff_ffff_f000 & !((1 << shift) - 1);
                assert_eq!(entry & !page, 0x83, "reserved bits");
                return Some((entry & page) + (address & !page));
            }
            assert_eq!(entry & !0x000f_ffff_ffff_f000, 3, "reserved bits");
            table = entry & 0x000f_ffff_ffff_f000;
            let tables = self.layout.page_tables;
            assert!(table >= tables.start && table < tables.start + tables.size);
        }
        panic!("no translation takes four levels here");
    }

    /// Pages of 2 MiB that the tables map, or would.
    pub fn mapped(&self) -> usize {
        self.mapped_by(self.low_pages.start, 39)
    }

    fn mapped_by(&self, table: u64, shift: u32) -> usize {
        let entries = (0..512).map(|i| self.number(table + i * 8, 8));
        let pages = entries.filter(|entry| entry & 1 != 0).map(|entry| {
            if entry & 0x80 != 0 {
                1 << (shift - 21)
            } else {
                self.mapped_by(entry & 0x000f_ffff_ffff_f000, shift - 9)
            }
        });
        pages.sum()
    }

    /// The ACPI tables by way of the RSDP, the DSDT last, each checked.
    pub fn acpi(&self) -> Vec<(String, &[u8])> {
        let rsdp = self.read(self.param(0x70, 8), 36);
        assert_eq!(&rsdp[..8], b"RSD PTR ");
        assert_eq!(rsdp[15], 2);
        assert_eq!(&rsdp[16..20], [0; 4], "no RSDT");
        assert_eq!(&rsdp[20..24], 36u32.to_le_bytes());
        assert_eq!(sum(&rsdp[..20]), 0);
        assert_eq!(sum(rsdp), 0);
        assert_eq!(self.param(0x70, 8) % 16, 0);

        let xsdt = self.table(u64::from_le_bytes(rsdp[24..32].try_into().unwrap()));
        assert_eq!(&xsdt[..4], b"XSDT");
        let mut tables: Vec<_> = xsdt[36..]
            .chunks_exact(8)
            .map(|entry| self.table(u64::from_le_bytes(entry.try_into().unwrap())))
            .collect();
        let fadt = tables
            .iter()
            .find(|table| &table[..4] == b"FACP")
            .expect("a FADT");
        tables.push(self.table(u64::from_le_bytes(fadt[140..148].try_into().unwrap())));
        tables.push(xsdt);
        tables
            .into_iter()
            .map(|t| (String::from_utf8_lossy(&t[..4]).into_owned(), t))
            .collect()
    }

    fn table(&self, address: u64) -> &[u8] {
        let table = self.read(address, self.number(address + 4, 4) as usize);
        assert_eq!(sum(table), 0, "checksum of {:?}", &table[..4]);
        let end = address + table.len() as u64;
        assert!(self.layout.acpi.start <= address);
        assert!(end <= self.layout.acpi.start + self.layout.acpi.size);
        table
    }
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}
