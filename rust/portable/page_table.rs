// SPDX-License-Identifier: GPL-2.0

//! The page tables that a spawn kernel starts with: 4-level, each address mapped to itself by pages
//! of 2 MiB, and of 1 GiB where the processor has them (SDM vol. 3, 5.5.4; boot.rst "64-bit Boot
//! Protocol").

use super::{
    fault::{Errno, Fault, Result},
    range::Range, //
};

/// Size of a page, and of a page table, in bytes.
pub(super) const PAGE: u64 = 4096;
/// First address that cannot be mapped to itself by four levels: the lower canonical half.
pub(super) const LIMIT: u64 = 1 << 47;

const PAGE_LEN: usize = 4096;
const LARGE_PAGE: u64 = 2 << 20;
/// Address bits translated above a page directory, and above a page-directory-pointer table.
const PD_SHIFT: u32 = 30;
const PDPT_SHIFT: u32 = 39;
const LARGE_SHIFT: u32 = 21;

/// What an entry above a page directory covers.
const HUGE_PAGE: u64 = 1 << PD_SHIFT;

// SDM vol. 3, tables 5-15 to 5-18.
const PRESENT: u64 = 1 << 0;
const WRITABLE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;

/// Returns how many tables below the top one it takes to map `ranges`, which come by ascending
/// address and end below [`LIMIT`]. With `huge`, what has a GiB for itself takes no page directory.
pub(super) fn tables_needed(ranges: impl Iterator<Item = Range>, huge: bool) -> u64 {
    let mut count: u64 = 0;
    // The first page directory and the first page-directory-pointer table not counted yet.
    let mut next = [(PD_SHIFT, 0), (PDPT_SHIFT, 0)];
    for range in ranges {
        let last = range.start.saturating_add(range.size.saturating_sub(1));
        for (shift, uncounted) in &mut next {
            let first = (range.start >> *shift).max(*uncounted);
            let end = (last >> *shift).saturating_add(1);
            count = count.saturating_add(end.saturating_sub(first));
            *uncounted = end.max(*uncounted);
        }
        if huge {
            let first = range.start.div_ceil(HUGE_PAGE);
            let end = last.saturating_add(1) / HUGE_PAGE;
            count = count.saturating_sub(end.saturating_sub(first));
        }
    }
    count
}

/// Builds the tables in memory that is all zero.
pub(super) struct Builder<'a> {
    top: &'a mut [u8],
    tables: &'a mut [u8],
    base: u64,
    used: usize,
}

/// One table.
#[derive(Copy, Clone)]
enum Table {
    Top,
    /// Number in `tables`.
    Sub(usize),
}

impl<'a> Builder<'a> {
    /// Starts with the top table `top`, a page, and room for others in `tables`, which will lie
    /// at the physical address `base`.
    pub(super) fn new(top: &'a mut [u8], tables: &'a mut [u8], base: u64) -> Self {
        Self {
            top,
            tables,
            base,
            used: 0,
        }
    }

    /// Maps the 2 MiB pages that hold `range`; with `huge` by pages of 1 GiB where it fills them.
    ///
    /// # Errors
    ///
    /// `Inval` for a range that does not end below [`LIMIT`], `TooBig` when there is no room for
    /// another table.
    pub(super) fn map(&mut self, range: Range, huge: bool) -> Result<()> {
        let Some(end) = range.end().filter(|&end| end <= LIMIT) else {
            return Err(Fault {
                errno: Errno::Inval,
                field: "mapping",
                value: range.start,
                remedy: "lend memory below 128 TiB",
            });
        };
        let mut at = range.start & !(LARGE_PAGE - 1);
        while at < end {
            let entry = (at | LARGE | WRITABLE | PRESENT).to_le_bytes();
            let pdpt = self.below(Table::Top, index(at, PDPT_SHIFT))?;
            let fills = at % HUGE_PAGE == 0 && end.saturating_sub(at) >= HUGE_PAGE;
            if huge && fills && at >= range.start {
                *self.entry(pdpt, index(at, PD_SHIFT))? = entry;
                at = at.saturating_add(HUGE_PAGE);
                continue;
            }
            let pd = self.below(pdpt, index(at, PD_SHIFT))?;
            *self.entry(pd, index(at, LARGE_SHIFT))? = entry;
            at = at.saturating_add(LARGE_PAGE);
        }
        Ok(())
    }

    /// Returns the table that an entry refers to, a new one if there is none.
    fn below(&mut self, table: Table, index: usize) -> Result<Table> {
        let next = self.used;
        let base = self.base;
        let entry = self.entry(table, index)?;
        let value = u64::from_le_bytes(*entry);
        if value & PRESENT != 0 {
            let offset = (value & ADDRESS).wrapping_sub(base);
            return usize::try_from(offset / PAGE)
                .map(Table::Sub)
                .map_err(|_| full(offset));
        }
        let address = (next as u64).saturating_mul(PAGE).saturating_add(base);
        *entry = (address | WRITABLE | PRESENT).to_le_bytes();
        self.used = next.saturating_add(1);
        Ok(Table::Sub(next))
    }

    fn entry(&mut self, table: Table, index: usize) -> Result<&mut [u8; 8]> {
        let (bytes, number) = match table {
            Table::Top => (&mut *self.top, 0),
            Table::Sub(number) => (&mut *self.tables, number),
        };
        let start = number
            .saturating_mul(PAGE_LEN)
            .saturating_add(index.saturating_mul(8));
        let entry = bytes
            .get_mut(start..)
            .and_then(|rest| rest.first_chunk_mut());
        entry.ok_or_else(|| full(number as u64))
    }
}

/// Number of the entry for `address` in a table whose entries each cover `1 << shift` bytes.
fn index(address: u64, shift: u32) -> usize {
    // CAST: nine bits fit.
    (address >> shift & 511) as usize
}

fn full(value: u64) -> Fault {
    Fault {
        errno: Errno::TooBig,
        field: "page tables",
        value,
        remedy: "lend less memory, or in fewer and nearer pieces",
    }
}
