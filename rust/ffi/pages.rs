// SPDX-License-Identifier: GPL-2.0

//! Page ranges that the host has set aside, each with one owner whose drop gives them back.

use crate::portable::range::Range;
use core::ptr::NonNull;
use kernel::{
    bindings,
    page::PAGE_SIZE,
    prelude::*,
    str::CString, //
};

unsafe extern "C" {
    safe fn mk_phys_to_virt(phys: u64) -> *mut u8;
    fn mk_copy_from_phys(to: *mut u8, phys: u64, len: c_uint) -> bool;
    safe fn mk_pages_available() -> c_ulong;
    safe fn mk_pages_alloc(nr_pages: c_ulong, node: c_int) -> u64;
    fn mk_pages_free(phys: u64, nr_pages: c_ulong);
    safe fn mk_pages_alloc_dma32(order: c_uint) -> u64;
    fn mk_pages_free_dma32(phys: u64, order: c_uint);
    safe fn realmode_low_alloc(nr_pages: c_uint) -> u64;
    fn realmode_low_free(phys: u64, nr_pages: c_uint);
    fn mk_resource_add(name: *const c_char, start: u64, size: u64) -> *mut bindings::resource;
    fn mk_resource_remove(res: *mut bindings::resource);
    safe fn mk_cpu_to_node(cpu: c_uint) -> c_int;
    /// Whether the calling process is being killed.
    #[link_name = "mk_fatal_signal_pending"]
    pub(crate) safe fn fatal_signal_pending() -> bool;
    /// Whether the calling process has a signal to take.
    #[link_name = "mk_signal_pending"]
    pub(crate) safe fn signal_pending() -> bool;
    /// Lets others run, in the midst of a long piece of work.
    #[link_name = "mk_cond_resched"]
    pub(crate) safe fn cond_resched();
    safe fn mk_relax() -> bool;
}

/// Waits for a moment, as one does who looks at memory again and again. Whether it is this thread's
/// to go on: nobody else wants the CPU, and no signal has come.
pub(crate) fn relax() -> bool {
    mk_relax()
}

const PAGE: u64 = PAGE_SIZE as u64;
/// Most bytes copied at a time.
const CHUNK: u64 = 1 << 20;

/// Bytes that the host could give away without starving.
pub(crate) fn available() -> u64 {
    (mk_pages_available() as u64).saturating_mul(PAGE)
}

/// Memory node of a possible CPU.
pub(crate) fn node_of(cpu: u32) -> i32 {
    mk_cpu_to_node(cpu)
}

/// Where the pages come from, and so where they go back to.
enum Source {
    /// alloc_contig_pages(), marked PageOffline.
    Contig,
    /// alloc_pages(GFP_DMA32) of this order.
    Dma32(u32),
    /// The allocator of pages below 1 MiB in the series.
    Low,
}

/// Physically contiguous pages, zeroed when they come and when they go.
///
/// # Invariants
///
/// `range` was allocated from `source`, belongs to `self` alone, and is in the direct map.
pub(crate) struct Pages {
    range: Range,
    source: Source,
}

impl Pages {
    fn new(start: u64, size: u64, source: Source) -> Result<Self> {
        if start == 0 {
            return Err(ENOMEM);
        }
        // INVARIANT: The callers have just allocated it.
        Ok(Self {
            range: Range { start, size },
            source,
        })
    }

    /// Allocates `size` bytes (a multiple of 4096) anywhere, on `node` if possible.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn contig(size: u64, node: i32) -> Result<Self> {
        Self::new(
            mk_pages_alloc((size / PAGE) as c_ulong, node),
            size,
            Source::Contig,
        )
    }

    /// Allocates `1 << order` pages below 4 GiB.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn dma32(order: u32) -> Result<Self> {
        let size = PAGE.checked_shl(order).ok_or(EINVAL)?;
        Self::new(mk_pages_alloc_dma32(order), size, Source::Dma32(order))
    }

    /// Allocates pages in [64 KiB, EBDA), which SIPI can reach.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn low(nr_pages: u32) -> Result<Self> {
        let size = u64::from(nr_pages) * PAGE;
        let mut pages = Self::new(realmode_low_alloc(nr_pages), size, Source::Low)?;
        pages.bytes_mut().fill(0);
        Ok(pages)
    }

    /// The physical range.
    pub(crate) fn range(&self) -> Range {
        self.range
    }

    fn ptr(&self) -> *mut u8 {
        mk_phys_to_virt(self.range.start)
    }

    /// The pages as bytes. The caller is sure that no other CPU uses them.
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: By the type invariant the range is mapped and ours; `&mut self` excludes other
        // users in this kernel, and memory.rs hands out no `&mut` while a spawn runs.
        unsafe { core::slice::from_raw_parts_mut(self.ptr(), self.range.size as usize) }
    }

    /// Copies bytes from the physical address `at`, which another CPU may be writing; as many as
    /// lie in these pages, and none where the memory is broken.
    pub(crate) fn read(&self, at: u64, to: &mut [u8]) -> usize {
        let Some(offset) = at.checked_sub(self.range.start) else {
            return 0;
        };
        let left = self.range.size.saturating_sub(offset).min(CHUNK);
        // CAST: At most `CHUNK`.
        let len = (left as usize).min(to.len());
        if len == 0 {
            return 0;
        }
        // SAFETY: `to` has room for `len` bytes, and by the type invariant as many are mapped from
        // `at` on. C makes no reference to them.
        let whole = unsafe { mk_copy_from_phys(to.as_mut_ptr(), at, len as c_uint) };
        if whole {
            len
        } else {
            0
        }
    }

    fn field<T>(&self, offset: usize) -> Option<*mut T> {
        let end = offset.checked_add(size_of::<T>())?;
        (end as u64 <= self.range.size && offset % align_of::<T>() == 0)
            .then(|| self.ptr().wrapping_add(offset).cast())
    }

    /// Where a physical range is mapped that lies in these pages.
    pub(super) fn address(&self, range: Range) -> Option<*mut u8> {
        let offset = range.start.checked_sub(self.range.start)?;
        let inside = offset.checked_add(range.size)? <= self.range.size;
        inside.then(|| self.ptr().wrapping_add(offset as usize))
    }

    /// Reads a word that another CPU may be writing; 0 outside of the range.
    pub(crate) fn read_u32(&self, offset: usize) -> u32 {
        match self.field::<u32>(offset) {
            // SAFETY: `field` has checked bounds and alignment.
            Some(p) => unsafe { p.read_volatile() },
            None => 0,
        }
    }

    /// Writes a word that another CPU may be reading; nothing outside of the range.
    pub(crate) fn write_u32(&self, offset: usize, value: u32) {
        if let Some(p) = self.field::<u32>(offset) {
            // SAFETY: `field` has checked bounds and alignment.
            unsafe { p.write_volatile(value) };
        }
    }

    /// Writes two words, see [`Pages::write_u32`].
    pub(crate) fn write_u64(&self, offset: usize, value: u64) {
        if let Some(p) = self.field::<u64>(offset) {
            // SAFETY: `field` has checked bounds and alignment.
            unsafe { p.write_volatile(value) };
        }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        let Range { start, size } = self.range;
        // SAFETY: By the type invariant, allocated there and owned by `self`.
        unsafe {
            match self.source {
                Source::Contig => mk_pages_free(start, (size / PAGE) as c_ulong),
                Source::Dma32(order) => mk_pages_free_dma32(start, order),
                Source::Low => {
                    self.bytes_mut().fill(0);
                    realmode_low_free(start, (size / PAGE) as c_uint)
                }
            }
        }
    }
}

/// One byte that a spawn writes and a hard interrupt reads: a register in lent memory.
#[derive(Copy, Clone)]
pub(crate) struct Register(NonNull<u8>);

// SAFETY: Only volatile reads of one byte.
unsafe impl Send for Register {}
// SAFETY: Only volatile reads of one byte.
unsafe impl Sync for Register {}

impl Register {
    /// The byte at `phys`, which must lie in `pages`; these outlive the register's user.
    pub(crate) fn new(pages: &Pages, phys: u64) -> Option<Self> {
        let offset = phys.checked_sub(pages.range.start)?;
        NonNull::new(pages.field::<u8>(usize::try_from(offset).ok()?)?).map(Self)
    }

    /// Reads the byte once.
    pub(crate) fn read(self) -> u8 {
        // SAFETY: In the direct map; the owner of the pages stops the reader before it drops them.
        unsafe { self.0.as_ptr().read_volatile() }
    }
}

/// An entry of /proc/iomem.
pub(crate) struct Resource {
    entry: NonNull<bindings::resource>,
    /// Referred to by `entry`; dropped after it.
    _name: CString,
}

// SAFETY: The resource tree has its own lock.
unsafe impl Send for Resource {}
// SAFETY: No shared access.
unsafe impl Sync for Resource {}

impl Resource {
    /// Shows `range` as `name` in /proc/iomem.
    ///
    /// # Errors
    ///
    /// ENOMEM, also when the range conflicts with another entry.
    pub(crate) fn new(name: CString, range: Range) -> Result<Self> {
        // SAFETY: The name lives as long as the entry.
        let entry = unsafe { mk_resource_add(name.as_char_ptr(), range.start, range.size) };
        Ok(Self {
            entry: NonNull::new(entry).ok_or(ENOMEM)?,
            _name: name,
        })
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        // SAFETY: Added by `new`, removed once.
        unsafe { mk_resource_remove(self.entry.as_ptr()) };
    }
}
