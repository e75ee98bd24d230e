// SPDX-License-Identifier: GPL-2.0

//! A host-owned image: what kexec_load(2) gave us, copied and checked, ready for any start.

use crate::{
    ffi::{hooks::Segment, pages::fatal_signal_pending},
    portable::{
        bzimage::Header,
        cmdline,
        fault::{self, Fault},
        layout,
        name::Name,
        segments::{self, Kernel, Links},
        table::Release, //
    },
    spare::{self, Promise},
};
use kernel::{
    alloc::KVVec,
    prelude::*, //
};

/// A setup header ends before this offset of the zero page; its magic is within.
const PEEK: usize = 0x300;
/// Between two looks for a fatal signal.
const CHUNK: usize = 1 << 20;
/// Where the magic "HdrS" of the boot protocol is (Documentation/arch/x86/boot.rst).
const MAGIC: core::ops::Range<usize> = 0x202..0x206;

/// A kernel with its command line and initrd. Never written to after it was made.
pub(crate) struct Image {
    /// The image's setup header.
    pub(crate) header: Header,
    /// The kernel: the 64-bit part of the bzImage, or what that decompresses.
    pub(crate) kernel: KVVec<u8>,
    /// How it is placed.
    pub(crate) needs: Kernel,
    /// May be empty.
    pub(crate) initrd: KVVec<u8>,
    boot_params: KVVec<u8>,
    cmdline: core::ops::Range<usize>,
    /// What the kernel calls itself.
    pub(crate) release: Release,
}

/// What decides whether an image fits into an instance.
pub(crate) struct Size {
    pub(crate) header: Header,
    pub(crate) kernel: Kernel,
    /// Bytes of the initrd.
    pub(crate) initrd: u64,
}

impl Image {
    /// Copies an image from the caller's memory, which may take as long as that memory pleases:
    /// no lock may be held. Only what has `room` is copied.
    ///
    /// # Errors
    ///
    /// Row 6 of the errno table (EINVAL, E2BIG, ENOEXEC), then row 7 (EFAULT, ENOMEM, EINTR).
    pub(crate) fn stage(
        name: &Name,
        entry: u64,
        user: &[Segment],
        room: impl FnOnce(&Size) -> Result,
    ) -> Result<Self> {
        let log = |fault| report(name, fault);
        let mut segs = KVec::with_capacity(user.len(), GFP_KERNEL)?;
        for s in user {
            let seg = segments::Segment {
                mem: s.mem as u64,
                memsz: s.memsz as u64,
                bufsz: s.bufsz as u64,
            };
            segs.push(seg, GFP_KERNEL)?;
        }
        segments::check(entry, &segs).map_err(log)?;

        let mut is_boot_params = KVec::with_capacity(user.len(), GFP_KERNEL)?;
        for s in user {
            is_boot_params.push(copy(name, s, PEEK)?.get(MAGIC) == Some(b"HdrS"), GFP_KERNEL)?;
        }
        let roles = segments::assign(entry, &segs, |i| is_boot_params.get(i) == Some(&true))
            .map_err(log)?;
        let part =
            |i: usize, len: usize| user.get(i).ok_or(EINVAL).and_then(|s| copy(name, s, len));
        let take = |i: usize| part(i, user.get(i).map_or(0, |s| s.bufsz));
        let boot_params = take(roles.boot_params)?;
        let header = Header::from_zero_page(&boot_params).map_err(log)?;
        let links = segments::check_links(&header, &segs, &roles).map_err(log)?;
        room(&Size {
            header,
            kernel: links.kernel,
            initrd: links.initrd_len,
        })?;
        let kernel_len = user.get(roles.kernel).map_or(0, |s| s.bufsz as u64);
        room_for_both(name, kernel_len.saturating_add(links.initrd_len))?;
        let kernel = take(roles.kernel)?;
        let initrd_len = usize::try_from(links.initrd_len)?;
        // Not what its segment has besides: nobody has asked for room for that.
        let initrd = roles
            .initrd
            .map_or(Ok(KVVec::new()), |i| part(i, initrd_len))?;
        let text = |place: Option<(usize, usize)>| text_at(&boot_params, place);
        let Links {
            kernel: needs,
            cmdline,
            release,
            ..
        } = links;
        let release = Release::new(boot_params.get(text(release)).unwrap_or(&[]));
        let cmdline = text(cmdline);
        try_cmdline(
            name,
            boot_params.get(cmdline.clone()).unwrap_or(&[]),
            &header,
        )?;
        Ok(Self {
            header,
            kernel,
            needs,
            initrd,
            boot_params,
            cmdline,
            release,
        })
    }

    /// What it needs room for.
    pub(crate) fn size(&self) -> Size {
        Size {
            header: self.header,
            kernel: self.needs,
            initrd: self.initrd.len() as u64,
        }
    }

    /// The command line that the caller gave, without its NUL.
    pub(crate) fn cmdline(&self) -> &[u8] {
        self.boot_params.get(self.cmdline.clone()).unwrap_or(&[])
    }
}

/// Whether the host can keep a copy of so many bytes; each segment asks again.
fn room_for_both(name: &Name, bytes: u64) -> Result {
    let spare = spare::spare();
    if bytes > spare {
        return Err(too_much(name, "kernel and initrd", bytes, spare));
    }
    Ok(())
}

/// Tells that the host cannot keep a copy of that.
fn too_much(name: &Name, what: &str, bytes: u64, spare: u64) -> Error {
    pr_err!(
        "{name}: bufsz of {what} {bytes}: the host has {spare} bytes to spare for a copy; load less\n"
    );
    ENOMEM
}

/// Whether ours can be added to this command line, as a start will do. Our longest ones, so that no
/// start is refused what the load was not.
fn try_cmdline(name: &Name, user: &[u8], header: &Header) -> Result {
    let mut scratch = KVec::from_elem(0, layout::CMDLINE_SIZE as usize, GFP_KERNEL)?;
    let longest = cmdline::Params {
        tsc_khz: u32::MAX,
        phantom_apic: u32::MAX,
        reset: cmdline::Reset::Acpi,
    };
    cmdline::compose(user, &longest, &mut scratch, header.cmdline_size())
        .map_err(|fault| report(name, fault))?;
    Ok(())
}

/// Finds the NUL-terminated text at (offset, longest).
fn text_at(bytes: &[u8], place: Option<(usize, usize)>) -> core::ops::Range<usize> {
    let Some((start, longest)) = place else {
        return 0..0;
    };
    let field = bytes.get(start..).unwrap_or(&[]);
    let len = field.iter().take(longest).take_while(|&&b| b != 0).count();
    start..start.saturating_add(len)
}

/// Copies up to `len` bytes of a segment.
fn copy(name: &Name, segment: &Segment, len: usize) -> Result<KVVec<u8>> {
    let len = len.min(segment.bufsz);
    let promise =
        Promise::new(len as u64).map_err(|spare| too_much(name, "a segment", len as u64, spare))?;
    let mut bytes = KVVec::with_capacity(len, GFP_KERNEL | __GFP_NOWARN).inspect_err(|_| {
        pr_err!(
            "{name}: bufsz of a segment {len:#x}: no memory to keep it; load a smaller image\n"
        );
    })?;
    // Not while the caller's memory is read, which may take for ever.
    drop(promise);
    while bytes.len() < len {
        if fatal_signal_pending() {
            return Err(EINTR);
        }
        let chunk = CHUNK.min(len - bytes.len());
        segment
            .user(bytes.len(), chunk)
            .read_all(&mut bytes, GFP_KERNEL)
            .map_err(|e| {
                // A killed process is what makes a fault in a stalled mapping give up.
                if fatal_signal_pending() {
                    return EINTR;
                }
                let at = segment.address();
                pr_err!("{name}: buf of a segment {at:#x}: cannot be read; give mapped memory\n");
                e
            })?;
    }
    Ok(bytes)
}

/// Logs a fault and returns its errno.
pub(crate) fn report(name: &Name, fault: Fault) -> Error {
    pr_err!("{name}: {fault}\n");
    match fault.errno {
        fault::Errno::Inval => EINVAL,
        fault::Errno::NoExec => ENOEXEC,
        fault::Errno::TooBig => E2BIG,
        fault::Errno::Busy => EBUSY,
        fault::Errno::NoMem => ENOMEM,
        fault::Errno::NoDev => ENODEV,
        fault::Errno::Range => ERANGE,
    }
}
