// SPDX-License-Identifier: GPL-2.0

//! Virtual addresses of a spawn kernel (Documentation/arch/x86/x86_64/mm.rst).

use super::{note::Note, read_u64, Physical, PAGE};

/// Where the kernel's text and data are mapped: __START_KERNEL_map.
pub const TEXT: u64 = 0xffff_ffff_8000_0000;
/// Most bytes there: KERNEL_IMAGE_SIZE_DEFAULT with KASLR.
const TEXT_MAX: u64 = 1 << 30;
/// No x86 has more physical memory: five levels, less the sign.
const PHYS_MAX: u64 = 1 << 52;

// SDM vol. 3, tables 5-15 to 5-20.
const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Bits of an address within a page, and those that each level of tables translates.
const PAGE_SHIFT: u32 = 12;
const LEVEL_BITS: u32 = 9;
const ENTRIES: u64 = 1 << LEVEL_BITS;

/// The addresses of one kernel.
pub struct Space<'a, M> {
    memory: &'a M,
    /// Address of the byte at [`TEXT`], modulo 2^64.
    phys_base: u64,
    /// Bytes mapped from [`TEXT`] on.
    text_size: u64,
    /// Address of the top page table.
    top: u64,
    levels: u32,
}

impl<'a, M: Physical> Space<'a, M> {
    /// Takes the note's word for where the page tables are, if these say the same.
    ///
    /// So a note made up by somebody who does not know physical addresses, as a program in the
    /// spawn, is none.
    pub fn new(memory: &'a M, note: &Note<'_>) -> Option<Self> {
        let phys_base = note.number("phys_base")?;
        let top = note.symbol("init_top_pgt")?;
        let space = Self {
            memory,
            phys_base,
            text_size: note.number("KERNEL_IMAGE_SIZE")?.min(TEXT_MAX),
            top: top.wrapping_sub(TEXT).wrapping_add(phys_base),
            levels: match note.number("pgtable_l5_enabled") {
                Some(1) => 5,
                _ => 4,
            },
        };
        (space.top < PHYS_MAX && space.walk(top) == Some(space.top)).then_some(space)
    }

    /// The first physical address of the text mapping, modulo 2^64, and its size.
    pub fn text(&self) -> (u64, u64) {
        (self.phys_base, self.text_size)
    }

    /// The physical address of a virtual one.
    pub fn translate(&self, address: u64) -> Option<u64> {
        match address.checked_sub(TEXT) {
            Some(offset) if offset < self.text_size => Some(offset.wrapping_add(self.phys_base)),
            _ => self.walk(address),
        }
    }

    /// Copies bytes from a virtual address.
    pub fn read(&self, address: u64, to: &mut [u8]) -> bool {
        let mut at = address;
        let mut rest = to;
        while !rest.is_empty() {
            // CAST: At most a page.
            let len = (PAGE - at % PAGE).min(rest.len() as u64) as usize;
            let Some((part, next)) = rest.split_at_mut_checked(len) else {
                return false;
            };
            if !self
                .translate(at)
                .is_some_and(|at| self.memory.read(at, part))
            {
                return false;
            }
            at = at.wrapping_add(len as u64);
            rest = next;
        }
        true
    }

    /// Reads a word at a virtual address.
    pub fn read_u64(&self, address: u64) -> Option<u64> {
        let mut bytes = [0; 8];
        self.read(address, &mut bytes)
            .then(|| u64::from_le_bytes(bytes))
    }

    /// The virtual address of the physical address 0 in the direct map, which maps `known`, too.
    ///
    /// No kernel tells it (page_offset_base, random with KASLR), but the direct map is the first
    /// thing in the upper half, begins with the first MiB (`init_mem_mapping()`), and its start is
    /// a multiple of 1 GiB.
    pub fn direct_map(&self, known: u64) -> Option<u64> {
        let mut table = self.top;
        let mut address: u64 = 0;
        for level in (3..=self.levels).rev() {
            let first = if level == self.levels { ENTRIES / 2 } else { 0 };
            let (index, entry) = (first..ENTRIES).find_map(|index| {
                let entry = self.entry(table, index)?;
                (entry & PRESENT != 0).then_some((index, entry))
            })?;
            address |= index << shift(level);
            table = entry & ADDRESS;
        }
        let unused = u64::BITS.saturating_sub(shift(self.levels + 1));
        // CAST: The uppermost bit translated is repeated above.
        let base = ((address << unused) as i64 >> unused) as u64;
        (self.walk(base.checked_add(known)?) == Some(known)).then_some(base)
    }

    /// Walks the page tables.
    fn walk(&self, address: u64) -> Option<u64> {
        let mut table = self.top;
        for level in (1..=self.levels).rev() {
            let entry = self.entry(table, address >> shift(level) & (ENTRIES - 1))?;
            if entry & PRESENT == 0 {
                return None;
            }
            if level == 1 || (level <= 3 && entry & LARGE != 0) {
                let within = (1 << shift(level)) - 1;
                return Some(entry & ADDRESS & !within | address & within);
            }
            table = entry & ADDRESS;
        }
        None
    }

    fn entry(&self, table: u64, index: u64) -> Option<u64> {
        read_u64(self.memory, table.checked_add(index.checked_mul(8)?)?)
    }
}

/// Bits of an address below those that a table of this level translates; 1 is the lowest.
fn shift(level: u32) -> u32 {
    PAGE_SHIFT.saturating_add(LEVEL_BITS.saturating_mul(level.saturating_sub(1)))
}
