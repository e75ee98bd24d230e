// SPDX-License-Identifier: GPL-2.0

//! The segments of kexec_load(2) with KEXEC_MULTIKERNEL. They are sources: their addresses are
//! labels, which connect the fields of one with the bytes of another, see Documentation/abi.rst.

use super::{
    bzimage::{Header, ENTRY_64, ZERO_PAGE_SIZE},
    fault::{inval, Errno, Fault, Result}, //
};

/// KEXEC_SEGMENT_MAX.
pub const MAX_SEGMENTS: usize = 16;
const PAGE_MASK: u64 = 4095;
/// Most bytes of boot_params, which are copied before it is known that they are right.
pub const BOOT_PARAMS_MAX: u64 = 64 << 10;

/// A segment, without its bytes.
#[derive(Copy, Clone, Debug)]
pub struct Segment {
    /// Label address.
    pub mem: u64,
    /// Bytes at the label.
    pub memsz: u64,
    /// Bytes that the caller gives.
    pub bufsz: u64,
}

/// Which segment is what, by index.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Roles {
    /// The kernel: the 64-bit part of the bzImage, or what that decompresses.
    pub kernel: usize,
    /// Where its entry point is, from its start.
    pub entry: u64,
    /// The zero page and what follows it.
    pub boot_params: usize,
    /// The initrd.
    pub initrd: Option<usize>,
}

/// What a kernel needs to be placed, without its bytes.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Bytes in memory: what was given, and zeroes.
    pub memsz: u64,
    /// Where its entry point is, from its start.
    pub entry: u64,
}

/// What boot_params refers to; texts as (offset, longest) in its segment.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Links {
    /// What the kernel needs.
    pub kernel: Kernel,
    /// The command line.
    pub cmdline: Option<(usize, usize)>,
    /// Bytes of the initrd.
    pub initrd_len: u64,
    /// The release string.
    pub release: Option<(usize, usize)>,
}

/// Checks the segments as such.
///
/// # Errors
///
/// `Inval` for no segment or more than [`MAX_SEGMENTS`], unaligned or empty ones, bufsz above
/// memsz, ones that wrap around or overlap, and an entry outside of all.
pub fn check(entry: u64, segments: &[Segment]) -> Result<()> {
    let count = segments.len();
    if count == 0 || count > MAX_SEGMENTS {
        return inval(
            "segments",
            count as u64,
            "give a kernel, boot_params, perhaps an initrd",
        );
    }
    for (i, segment) in segments.iter().enumerate() {
        let end = end_of(segment)?;
        for other in segments.iter().take(i) {
            if segment.mem < end_of(other)? && other.mem < end {
                return inval("mem of a segment", segment.mem, "segments must not overlap");
            }
        }
    }
    match segments.iter().find_map(|s| offset_in(s, entry)) {
        Some(_) => Ok(()),
        None => inval("entry", entry, "must lie in the kernel's segment"),
    }
}

fn end_of(segment: &Segment) -> Result<u64> {
    if segment.mem & PAGE_MASK != 0 {
        return inval(
            "mem of a segment",
            segment.mem,
            "must be a multiple of 4096",
        );
    }
    if segment.memsz & PAGE_MASK != 0 || segment.memsz == 0 {
        return inval(
            "memsz of a segment",
            segment.memsz,
            "must be a multiple of 4096, not 0",
        );
    }
    if segment.bufsz > segment.memsz {
        return inval("bufsz of a segment", segment.bufsz, "must not exceed memsz");
    }
    match segment.mem.checked_add(segment.memsz) {
        Some(end) => Ok(end),
        None => inval("memsz of a segment", segment.memsz, "must not wrap around"),
    }
}

/// Where `address` is in the segment, if it is.
fn offset_in(segment: &Segment, address: u64) -> Option<u64> {
    address
        .checked_sub(segment.mem)
        .filter(|&offset| offset < segment.memsz)
}

/// Finds out which segment is what; they have passed [`check`].
///
/// # Errors
///
/// `Inval` when no or two segments are boot_params, the entry is not in one of the others, or
/// something is left over; `TooBig` for more boot_params than anybody needs.
pub fn assign(
    entry: u64,
    segments: &[Segment],
    is_boot_params: impl Fn(usize) -> bool,
) -> Result<Roles> {
    let mut boot_params = (0..segments.len()).filter(|&i| is_boot_params(i));
    let (Some(zero_page), None) = (boot_params.next(), boot_params.next()) else {
        let found = (0..segments.len()).filter(|&i| is_boot_params(i)).count();
        return inval(
            "boot_params segments",
            found as u64,
            "give exactly one, with HdrS at 0x202",
        );
    };
    if let Some(segment) = segments
        .get(zero_page)
        .filter(|s| s.bufsz > BOOT_PARAMS_MAX)
    {
        return Err(Fault {
            errno: Errno::TooBig,
            field: "bufsz of boot_params",
            value: segment.bufsz,
            remedy: "give the zero page, a command line and a release, 64K at most",
        });
    }
    let offset = |i: usize| segments.get(i).and_then(|s| offset_in(s, entry));
    let mut rest = (0..segments.len()).filter(|&i| i != zero_page);
    let kernel = rest.clone().find_map(|i| Some((i, offset(i)?)));
    let other = rest.find(|&i| offset(i).is_none());
    let Some((kernel, offset)) = kernel else {
        return inval("entry", entry, "must lie in the kernel's segment");
    };
    if segments.len() > 2 + usize::from(other.is_some()) {
        return inval("segments", segments.len() as u64, "give one initrd at most");
    }
    Ok(Roles {
        kernel,
        entry: offset,
        boot_params: zero_page,
        initrd: other,
    })
}

/// Follows the addresses in boot_params.
///
/// # Errors
///
/// `Inval` for an entry that is not the kernel's, a command line outside of the boot_params
/// segment, or an initrd that is not the one given; `NoExec` for a kernel that is shorter than its
/// payload, or longer than it says.
pub fn check_links(header: &Header, segments: &[Segment], roles: &Roles) -> Result<Links> {
    let at = |i: usize| match segments.get(i) {
        Some(segment) => Ok(*segment),
        None => inval("segments", i as u64, "give all of them"),
    };
    let boot_params = at(roles.boot_params)?;
    let kernel = at(roles.kernel)?;
    let no_exec = |field, value, remedy| {
        Err(Fault {
            errno: Errno::NoExec,
            field,
            value,
            remedy,
        })
    };
    if kernel.bufsz < header.payload_end() || kernel.bufsz > header.init_size() {
        return no_exec(
            "length of the kernel",
            kernel.bufsz,
            "give a bzImage that is not cut off",
        );
    }
    if roles.entry >= kernel.bufsz {
        return inval(
            "entry",
            roles.entry,
            "must not lie behind the kernel's bytes",
        );
    }
    if !header.is_flat() && roles.entry != ENTRY_64 {
        return inval(
            "entry",
            roles.entry,
            "must be 0x200 behind the start of a bzImage's kernel",
        );
    }

    // The text at an offset, behind the zero page.
    let text = |offset: Option<u64>| {
        let offset = offset.filter(|&o| o >= ZERO_PAGE_SIZE as u64)?;
        let longest = boot_params
            .bufsz
            .checked_sub(offset)
            .filter(|&len| len > 0)?;
        Some((
            usize::try_from(offset).ok()?,
            usize::try_from(longest).ok()?,
        ))
    };
    let pointer = header.cmd_line_ptr();
    let cmdline = text(pointer.checked_sub(boot_params.mem));
    if pointer != 0 && cmdline.is_none() {
        return inval(
            "cmd_line_ptr",
            pointer,
            "must lie in boot_params, behind the zero page",
        );
    }
    let release = match header.kernel_version() {
        0 => None,
        offset => text(Some(u64::from(offset) + 0x200)),
    };

    let (image, size) = (header.ramdisk_image(), header.ramdisk_size());
    match roles.initrd.map(at).transpose()? {
        Some(initrd) if image != initrd.mem || size == 0 || size > initrd.bufsz => inval(
            "ramdisk_image",
            image,
            "must name the initrd's segment, and ramdisk_size fit in",
        ),
        None if size != 0 => inval("ramdisk_size", size, "give the initrd as a segment"),
        _ => {
            let kernel = Kernel {
                memsz: kernel.memsz,
                entry: roles.entry,
            };
            Ok(Links {
                kernel,
                cmdline,
                initrd_len: size,
                release,
            })
        }
    }
}
