// SPDX-License-Identifier: GPL-2.0

//! Where everything goes in an instance's memory.
//!
//! The first 2 MiB of the first piece are the firmware area: what a machine's firmware would have
//! prepared, built by [`super::firmware`]. Kernel and initrd follow wherever they fit.

use super::{
    bzimage::Header,
    fault::{Errno, Fault, Result},
    page_table,
    range::Range,
    segments::Kernel, //
};

/// Size of the firmware area in bytes.
pub const FIRMWARE_SIZE: u64 = 2 << 20;
/// Most pieces that an instance's memory may consist of.
pub const PIECES_MAX: usize = 64;
/// Size in bytes of the low pages: the top page table, then the I/O APIC.
pub const LOW_PAGES_SIZE: u64 = 2 * PAGE;

const PAGE: u64 = page_table::PAGE;
const GIB4: u64 = 1 << 32;
/// `startup_64` in head_64.S maps itself with pages of this size.
const FLAT_ALIGNMENT: u64 = 2 << 20;
/// The kernel never uses the first 64 KiB (`setup_arch()`, reserved against BIOS corruption).
const LOW_CHUNK_MIN: u64 = 64 << 10;
const LOW_CHUNK_MAX: u64 = 1 << 20;

// Offsets in the firmware area. The first part is typed "ACPI data" in e820, the rest "reserved".
const ACPI_SIZE: u64 = 0x8000;
const REGISTERS: u64 = 0x8000;
const EFI_CODE: u64 = 0x9000;
const EFI_DATA: u64 = 0xa000;
const EFI_MAP: u64 = 0xb000;
const BOOT_PARAMS: u64 = 0xc000;
const CMDLINE: u64 = 0xd000;
/// Bytes that there are for the command line, with its NUL.
pub const CMDLINE_SIZE: u64 = 0x2000;
const PAGE_TABLES: u64 = 0xf000;
const PAGE_TABLES_SIZE: u64 = 0xf_1000;
const SHARED: u64 = 0x10_0000;
/// Its data area is well beyond a first-level cache: lines that a reader comes for have left the writer's.
const SHARED_SIZE: u64 = 0x10_0000;

const _: () = assert!(ACPI_SIZE <= REGISTERS && REGISTERS + PAGE == EFI_CODE);
const _: () = assert!(EFI_CODE + PAGE == EFI_DATA && EFI_DATA + PAGE == EFI_MAP);
const _: () = assert!(EFI_MAP + PAGE == BOOT_PARAMS);
const _: () = assert!(BOOT_PARAMS + PAGE == CMDLINE && CMDLINE + CMDLINE_SIZE == PAGE_TABLES);
const _: () = assert!(PAGE_TABLES + PAGE_TABLES_SIZE == SHARED);
const _: () = assert!(SHARED + SHARED_SIZE == FIRMWARE_SIZE);

/// The memory that an instance has. All addresses are physical, all ranges whole 4 KiB pages.
#[derive(Copy, Clone, Debug)]
pub struct Memory<'a> {
    /// RAM in [64 KiB, 1 MiB) for the spawn kernel's real-mode code.
    pub low_chunk: Range,
    /// 8 KiB below 4 GiB: the top page table (a CPU comes from real mode with a 32-bit CR3), and
    /// the page that stands for an I/O APIC (its address in the MADT has 32 bits).
    pub low_pages: Range,
    /// The rest, above 1 MiB, at most [`PIECES_MAX`]; the first begins with the firmware area.
    pub pieces: &'a [Range],
    /// The processors have pages of 1 GiB. Without them there is room for the tables of some 230 GiB.
    pub huge_pages: bool,
}

impl Memory<'_> {
    /// Iterates over all ranges by ascending address.
    pub(super) fn sorted(&self) -> impl Iterator<Item = Range> + '_ {
        let mut from = 0;
        // A selection sort needs no memory, and there are few ranges.
        core::iter::from_fn(move || {
            let low = [self.low_chunk, self.low_pages];
            let all = low.into_iter().chain(self.pieces.iter().copied());
            let next = all
                .filter(|range| range.start >= from)
                .min_by_key(|range| range.start)?;
            from = next.start.saturating_add(1);
            Some(next)
        })
    }

    /// Iterates over what the first page table maps, by ascending address: all memory, and the
    /// first MiB, where the page lies through which the CPU comes.
    pub(super) fn mapped(&self) -> impl Iterator<Item = Range> + '_ {
        let low = Range {
            start: 0,
            size: LOW_CHUNK_MAX,
        };
        core::iter::once(low).chain(self.sorted().filter(move |range| range.start >= low.size))
    }

    fn check(&self) -> Result<()> {
        let bad = |field, value, remedy| {
            Err(Fault {
                errno: Errno::Inval,
                field,
                value,
                remedy,
            })
        };
        let count = self.pieces.len();
        if count == 0 || count > PIECES_MAX {
            return bad("pieces", count as u64, "give 1 to 64 pieces of memory");
        }
        let mut seen: usize = 0;
        let mut last_end = 0;
        for range in self.sorted() {
            let Some(end) = range.end().filter(|&end| end <= page_table::LIMIT) else {
                return bad("memory", range.start, "lend memory below 128 TiB");
            };
            if range.size == 0 || range.start % PAGE != 0 || range.size % PAGE != 0 {
                return bad("memory", range.start, "lend whole pages");
            }
            if range.start < last_end {
                return bad("memory", range.start, "lend no page twice");
            }
            last_end = end;
            seen = seen.saturating_add(1);
        }
        // Two ranges with one start are the same to `sorted()`.
        if seen != count.saturating_add(2) {
            return bad("memory", count as u64, "lend no page twice");
        }
        if let Some(piece) = self.pieces.iter().find(|p| p.start < LOW_CHUNK_MAX) {
            return bad("memory", piece.start, "lend pieces above 1 MiB");
        }
        let low = self.low_chunk;
        if low.start < LOW_CHUNK_MIN || low.end().is_none_or(|end| end > LOW_CHUNK_MAX) {
            return bad("low_chunk", low.start, "choose it in [64 KiB, 1 MiB)");
        }
        let low = self.low_pages;
        if low.size != LOW_PAGES_SIZE
            || low.start < LOW_CHUNK_MAX
            || low.end().is_none_or(|end| end > GIB4)
        {
            return bad("low_pages", low.start, "choose 8 KiB in [1 MiB, 4 GiB)");
        }
        Ok(())
    }
}

/// Physical addresses of everything that is put into an instance's memory.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The firmware area: the first 2 MiB of the first piece. All below lies in it, but for kernel
    /// and initrd.
    pub firmware: Range,
    /// The ACPI tables.
    pub acpi: Range,
    /// The RSDP, first of the ACPI tables.
    pub rsdp: u64,
    /// The byte that the spawn writes [`super::acpi::RESET_VALUE`] to when it wants a reset.
    pub reset_reg: u64,
    /// The byte that the spawn writes with [`super::acpi::SLEEP_ENABLE`] set to power off.
    pub sleep_reg: u64,
    /// The page with the code of the EFI runtime; its data follow in the next one.
    pub efi_code: u64,
    /// The page with the data of the EFI runtime, the system table first.
    pub efi_data: u64,
    /// The page with the EFI memory map.
    pub efi_map: u64,
    /// The byte that ResetSystem() writes, see [`super::efi`].
    pub mailbox: u64,
    /// The zero page, and %rsi at the entry point.
    pub boot_params: u64,
    /// The command line, NUL-terminated.
    pub cmdline: u64,
    /// Bytes that there are for the command line.
    pub cmdline_size: u64,
    /// Page tables below the top one.
    pub page_tables: Range,
    /// The region shared with the host.
    pub shared: Range,
    /// The kernel with the room that it needs before it has read the memory map.
    pub kernel: Range,
    /// Where the boot CPU enters the kernel.
    pub entry: u64,
    /// The initrd in whole pages, if there is one.
    pub initrd: Option<Range>,
}

impl Layout {
    /// Places an image with this kernel, and an initrd of `initrd_len` bytes, if any.
    ///
    /// The kernel goes to the lowest place that fits, the initrd to the highest, so that what
    /// is left stays in one.
    ///
    /// # Errors
    ///
    /// `TooBig` when the image or the page tables do not fit. `Inval` for memory that is empty,
    /// overlapping, unaligned or out of the ranges that [`Memory`] tells, and for a kernel that
    /// needs memory below 4 GiB where there is none.
    pub fn new(
        memory: &Memory<'_>,
        header: &Header,
        kernel: &Kernel,
        initrd_len: u64,
    ) -> Result<Self> {
        memory.check()?;
        let tables = page_table::tables_needed(memory.mapped(), memory.huge_pages);
        if tables > PAGE_TABLES_SIZE / PAGE {
            return too_big(
                "page tables",
                tables,
                "lend less memory, or in fewer and nearer pieces",
            );
        }
        let Some(&first) = memory
            .pieces
            .first()
            .filter(|piece| piece.size >= FIRMWARE_SIZE)
        else {
            return too_big("first piece", FIRMWARE_SIZE, "make it larger than 2 MiB");
        };
        let kernel_size = pages(header.init_size().max(kernel.memsz));
        let initrd_size = pages(initrd_len);
        let (Some(kernel_size), Some(initrd_size)) = (kernel_size, initrd_size) else {
            return too_big("image", kernel.memsz, "load a smaller image");
        };
        let fitter = Fitter {
            pieces: memory.pieces,
            header,
            kernel_size,
            initrd_size,
        };

        let limits = Limits::of(header);
        let reachable = sum(first.start, FIRMWARE_SIZE) <= limits.kernel;
        let Some((place, initrd)) = fitter.fit(&limits).filter(|_| reachable) else {
            return match fitter.fit(&Limits::NONE) {
                Some(_) => Err(Fault {
                    errno: Errno::Inval,
                    field: "image",
                    value: kernel_size,
                    remedy: "it needs memory below 4 GiB; use one with XLF_CAN_BE_LOADED_ABOVE_4G",
                }),
                None => {
                    let needed = sum(sum(kernel_size, initrd_size), FIRMWARE_SIZE);
                    too_big(
                        "image",
                        needed,
                        "give the instance more memory, in larger pieces",
                    )
                }
            };
        };

        // OVERFLOW: `check()` has seen that the whole piece lies below `page_table::LIMIT`.
        let base = first.start;
        let at = |offset| sum(base, offset);
        let within = |offset, size| Range {
            start: at(offset),
            size,
        };
        Ok(Self {
            firmware: within(0, FIRMWARE_SIZE),
            acpi: within(0, ACPI_SIZE),
            rsdp: base,
            reset_reg: at(REGISTERS + super::acpi::RESET_REG_OFFSET),
            sleep_reg: at(REGISTERS + super::acpi::SLEEP_CONTROL_OFFSET),
            efi_code: at(EFI_CODE),
            efi_data: at(EFI_DATA),
            efi_map: at(EFI_MAP),
            mailbox: at(EFI_DATA + super::efi::MAILBOX),
            boot_params: at(BOOT_PARAMS),
            cmdline: at(CMDLINE),
            cmdline_size: CMDLINE_SIZE,
            page_tables: within(PAGE_TABLES, PAGE_TABLES_SIZE),
            shared: within(SHARED, SHARED_SIZE),
            kernel: place,
            entry: sum(place.start, kernel.entry),
            initrd,
        })
    }
}

fn too_big<T>(field: &'static str, value: u64, remedy: &'static str) -> Result<T> {
    Err(Fault {
        errno: Errno::TooBig,
        field,
        value,
        remedy,
    })
}

fn sum(a: u64, b: u64) -> u64 {
    a.saturating_add(b)
}

/// Rounds up to whole pages.
fn pages(size: u64) -> Option<u64> {
    size.checked_next_multiple_of(PAGE)
}

/// First addresses that may not be used any more.
struct Limits {
    kernel: u64,
    initrd: u64,
}

impl Limits {
    const NONE: Self = Self {
        kernel: u64::MAX,
        initrd: u64::MAX,
    };

    /// boot.rst, xloadflags bit 1 and `initrd_addr_max` (the last address that may be used).
    fn of(header: &Header) -> Self {
        if header.can_load_above_4g() {
            Self::NONE
        } else {
            Self {
                kernel: GIB4,
                initrd: sum(header.initrd_addr_max(), 1).min(GIB4),
            }
        }
    }
}

/// Finds room for kernel and initrd.
struct Fitter<'a> {
    pieces: &'a [Range],
    header: &'a Header,
    kernel_size: u64,
    initrd_size: u64,
}

impl Fitter<'_> {
    /// Pieces as [start, end), without the firmware area.
    fn free(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        let taken = core::iter::once(FIRMWARE_SIZE).chain(core::iter::repeat(0));
        self.pieces
            .iter()
            .zip(taken)
            .map(|(piece, taken)| (sum(piece.start, taken), sum(piece.start, piece.size)))
    }

    fn fit(&self, limits: &Limits) -> Option<(Range, Option<Range>)> {
        self.free().find_map(|free| {
            let kernel = self.kernel(free, limits.kernel)?;
            if self.initrd_size == 0 {
                return Some((kernel, None));
            }
            self.initrd(&kernel, limits.initrd)
                .map(|initrd| (kernel, Some(initrd)))
        })
    }

    /// The lowest place in `free`. A kernel that decompresses itself below its preferred address
    /// would move there (boot.rst, `pref_address`), and that may not be the instance's.
    fn kernel(&self, (start, end): (u64, u64), limit: u64) -> Option<Range> {
        let alignment = self.header.kernel_alignment();
        let (start, alignment) = if self.header.is_flat() {
            (start, alignment.max(FLAT_ALIGNMENT))
        } else {
            (start.max(self.header.pref_address()), alignment)
        };
        let start = start.checked_next_multiple_of(alignment)?;
        let size = self.kernel_size;
        (start.checked_add(size)? <= end.min(limit)).then_some(Range { start, size })
    }

    /// The highest place anywhere, `kernel` left out.
    fn initrd(&self, kernel: &Range, limit: u64) -> Option<Range> {
        let size = self.initrd_size;
        let kernel_end = sum(kernel.start, kernel.size);
        self.free()
            .flat_map(|(start, end)| {
                // What is left above and below the kernel, the whole piece if it is elsewhere.
                let elsewhere = end <= kernel.start || start >= kernel_end;
                let below = if elsewhere { end } else { kernel.start };
                let above = if elsewhere { end } else { kernel_end };
                [(start, below), (above, end)]
            })
            .filter_map(|(start, end)| {
                let end = end.min(limit) & !(PAGE - 1);
                let place = end.checked_sub(size)?;
                (place >= start).then_some(Range { start: place, size })
            })
            .max_by_key(|place| place.start)
    }
}
