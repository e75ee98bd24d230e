// SPDX-License-Identifier: GPL-2.0

//! The memory map that a spawn kernel is given (boot.rst; `struct boot_e820_entry`; ACPI 6.5,
//! 15.1).

use super::{
    fault::{Errno, Fault, Result},
    layout::{Layout, Memory},
    page_table::PAGE,
    range::Range, //
};
use zerocopy::little_endian::{U32, U64};
use zerocopy_derive as abi;

/// Entries that the zero page has room for, `E820_MAX_ENTRIES_ZEROPAGE`.
pub const ENTRIES_MAX: usize = 128;

/// What a range is for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Free for the spawn.
    Ram,
    /// The spawn's, but not for its allocator.
    Reserved,
    /// ACPI tables.
    Acpi,
    /// Code of the EFI runtime.
    RuntimeCode,
    /// Data of the EFI runtime.
    RuntimeData,
}

impl Kind {
    /// Type of an entry (ACPI 6.5, 15.1).
    fn e820(self) -> u32 {
        match self {
            Self::Ram => 1,
            Self::Reserved | Self::RuntimeCode | Self::RuntimeData => 2,
            Self::Acpi => 3,
        }
    }
}

/// One range, `struct boot_e820_entry`.
#[derive(abi::FromBytes, abi::IntoBytes, abi::Immutable, abi::KnownLayout)]
#[repr(C)]
pub struct Entry {
    /// First physical address.
    pub addr: U64,
    /// Bytes.
    pub size: U64,
    /// See [`Kind::e820`].
    pub kind: U32,
}

const _: () = assert!(size_of::<Entry>() == 20);

/// Fills `table` with the instance's memory and returns the number of entries: sorted, disjoint,
/// neighbours of one type merged.
///
/// # Errors
///
/// `TooBig` when the table is too short.
pub(super) fn fill(memory: &Memory<'_>, layout: &Layout, table: &mut [Entry]) -> Result<usize> {
    let mut writer = Writer {
        table,
        used: 0,
        end: 0,
    };
    ranges(memory, layout, |range, kind| {
        writer.push(range, kind.e820())
    })?;
    Ok(writer.used)
}

/// Calls `f` for each range of the instance's memory, by ascending address.
///
/// # Errors
///
/// Those of `f`.
pub(super) fn ranges(
    memory: &Memory<'_>,
    layout: &Layout,
    mut f: impl FnMut(Range, Kind) -> Result<()>,
) -> Result<()> {
    for range in memory.sorted() {
        if range == memory.low_pages {
            f(range, Kind::Reserved)?;
        } else if range.contains(&layout.firmware) {
            // The firmware area is the start of its piece.
            let mut rest = range;
            for (end, kind) in [
                (layout.acpi.end(), Kind::Acpi),
                (Some(layout.efi_code), Kind::Reserved),
                (layout.efi_code.checked_add(PAGE), Kind::RuntimeCode),
                (layout.efi_data.checked_add(PAGE), Kind::RuntimeData),
                (layout.firmware.end(), Kind::Reserved),
                (range.end(), Kind::Ram),
            ] {
                let size = end.unwrap_or(0).saturating_sub(rest.start);
                let (part, behind) = split(rest, size);
                if part.size > 0 {
                    f(part, kind)?;
                }
                rest = behind;
            }
        } else {
            f(range, Kind::Ram)?;
        }
    }
    Ok(())
}

/// Cuts `range` after `size` bytes.
fn split(range: Range, size: u64) -> (Range, Range) {
    let size = size.min(range.size);
    let rest = Range {
        start: range.start.saturating_add(size),
        size: range.size.saturating_sub(size), //
    };
    (
        Range {
            start: range.start,
            size,
        },
        rest,
    )
}

struct Writer<'a> {
    table: &'a mut [Entry],
    used: usize,
    /// End of the last entry.
    end: u64,
}

impl Writer<'_> {
    fn push(&mut self, range: Range, kind: u32) -> Result<()> {
        let adjacent = range.start == self.end;
        self.end = range.start.saturating_add(range.size);
        let last = self
            .used
            .checked_sub(1)
            .and_then(|last| self.table.get_mut(last));
        if let Some(last) = last.filter(|last| adjacent && last.kind.get() == kind) {
            last.size = U64::new(last.size.get().saturating_add(range.size));
            return Ok(());
        }
        let Some(entry) = self.table.get_mut(self.used) else {
            return Err(Fault {
                errno: Errno::TooBig,
                field: "e820",
                value: self.used as u64,
                remedy: "lend memory in fewer pieces",
            });
        };
        *entry = Entry {
            addr: U64::new(range.start),
            size: U64::new(range.size),
            kind: U32::new(kind), //
        };
        self.used = self.used.saturating_add(1);
        Ok(())
    }
}
