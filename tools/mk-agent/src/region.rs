// SPDX-License-Identifier: GPL-2.0

//! Finds and maps the region that the host shares, and tells precisely why it cannot.

use crate::{
    cli::Place,
    error::{Error, Kind, Result},
    log::log,
    raw::Memory,
    signals::status_mask,
    table::{self, Range},
};
use multikernel_portable::channel::layout::Region;
use rustix::{
    fs::{flock, FlockOperation},
    io::Errno,
};
use std::{
    fs::{self, File},
    io,
    path::Path,
};

const TABLE: &str = "/sys/firmware/acpi/tables/MKRN";
const MODULE: &str = "/sys/module/multikernel";
const MEMORY: &str = "/dev/mem";

/// Maps what was named, or what the table tells.
pub fn open(place: Option<&Place>) -> Result<Memory> {
    match place {
        Some(place) => map_file(place),
        None => map_memory(find()?),
    }
}

/// Sees that nobody else speaks for this kernel, who has no lock on the region.
pub fn be_alone() -> Result {
    if Path::new(MODULE).exists() {
        return Err(Error::new(
            Kind::SpokenFor,
            "the module multikernel speaks for this kernel already",
            "Use one of them: rmmod multikernel.",
        ));
    }
    Ok(())
}

/// Asks the table.
fn find() -> Result<Range> {
    be_alone()?;
    let table = fs::read(TABLE).map_err(|e| match Errno::from_io_error(&e) {
        Some(Errno::NOENT) => Error::new(
            Kind::NoTable,
            format!("there is no {TABLE}: this kernel is no spawn of multikernel"),
            "If it is one, mount sysfs on /sys, and boot it without acpi=off.",
        ),
        Some(Errno::ACCESS | Errno::PERM) => Error::new(
            Kind::NotPermitted,
            format!("{TABLE}: {e}"),
            "Run it as root.",
        ),
        _ => Error::new(Kind::Failed, format!("{TABLE}: {e}"), ""),
    })?;
    let damaged = |why| {
        Error::new(
            Kind::Unknown,
            format!("{TABLE} is none that this version understands: {why}"),
            "Use the agent of the host's version.",
        )
    };
    table::parse(&table).map_err(damaged)
}

/// One agent for a region, since each byte has one writer.
fn lock(file: &File) -> Result {
    flock(file, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
        Error::new(
            Kind::Failed,
            "another mk-agent speaks for this kernel",
            "End that one first.",
        )
    })
}

fn checked(offset: u64, size: u64) -> Result<Region> {
    let region = usize::try_from(size).ok().and_then(Region::new);
    let region = region.filter(|_| offset % 4096 == 0 && offset.checked_add(size).is_some());
    region.ok_or_else(|| {
        Error::new(
            Kind::Unknown,
            format!("a region of {size} bytes at {offset:#x} cannot be"),
            "It is a power of two from 64 KiB to 64 MiB, at the start of a page.",
        )
    })
}

fn map_memory(range: Range) -> Result<Memory> {
    let region = checked(range.start, range.size)?;
    log(format_args!(
        "the region has {} KiB at {:#x}",
        range.size >> 10,
        range.start
    ));
    let refused = |step: Step| move |e: io::Error| explain(step, &e, &Kernel::running());
    let file = File::options()
        .read(true)
        .write(true)
        .open(MEMORY)
        .map_err(refused(Step::Open))?;
    lock(&file)?;
    Memory::map(&file, range.start, region).map_err(refused(Step::Map))
}

fn map_file(place: &Place) -> Result<Memory> {
    let name = place.file.display();
    let failed = |e: io::Error| Error::new(Kind::Failed, format!("{name}: {e}"), "");
    let file = File::options().read(true).write(true).open(&place.file);
    let file = file.map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    let (offset, size) = place.part.unwrap_or((0, metadata.len()));
    let region = checked(offset, size)?;
    // OVERFLOW: checked just before.
    if metadata.is_file() && offset + size > metadata.len() {
        let what = format!("{name} has {} bytes only", metadata.len());
        return Err(Error::new(Kind::Failed, what, ""));
    }
    lock(&file)?;
    Memory::map(&file, offset, region).map_err(failed)
}

/// What was refused.
#[derive(Copy, Clone, Debug)]
enum Step {
    Open,
    Map,
}

/// What the kernel says of itself that can be a reason.
struct Kernel {
    /// Whether we have CAP_SYS_RAWIO.
    raw_io: bool,
    /// Whether it is locked down, as far as can be seen.
    locked_down: bool,
}

impl Kernel {
    fn running() -> Self {
        const CAP_SYS_RAWIO: u32 = 17;
        let lockdown = fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
        let caps = status_mask("CapEff:");
        Self {
            // Unknown is permitted: then it is said to be something else.
            raw_io: caps.is_none_or(|caps| caps >> CAP_SYS_RAWIO & 1 != 0),
            locked_down: lockdown.contains("[integrity]") || lockdown.contains("[confidentiality]"),
        }
    }
}

fn explain(step: Step, error: &io::Error, kernel: &Kernel) -> Error {
    let errno = Errno::from_io_error(error);
    let (kind, why, remedy) = match (step, errno) {
        (Step::Open, Some(Errno::NOENT | Errno::NXIO | Errno::NODEV)) if !Path::new("/dev/null").exists() => (
            Kind::Failed,
            "/dev is empty",
            "mount -t devtmpfs dev /dev",
        ),
        (Step::Open, Some(Errno::NOENT | Errno::NXIO | Errno::NODEV)) => (
            Kind::Forbidden,
            "this kernel has no /dev/mem: CONFIG_DEVMEM is off",
            "Use a kernel with CONFIG_DEVMEM=y.",
        ),
        (_, Some(Errno::PERM)) if kernel.locked_down => (
            Kind::Forbidden,
            "this kernel is locked down (/sys/kernel/security/lockdown)",
            "Boot it without lockdown=; Secure Boot, which turns it on, a spawn kernel does not see.",
        ),
        (Step::Open, Some(Errno::ACCESS)) | (_, Some(Errno::PERM)) if !kernel.raw_io => (
            Kind::NotPermitted,
            "this process has no CAP_SYS_RAWIO",
            "Run it as root of the initial user namespace, outside of containers.",
        ),
        (Step::Open, Some(Errno::ACCESS)) => (
            Kind::NotPermitted,
            "the mode of /dev/mem, or a security module, forbids it",
            "Run it as root.",
        ),
        (Step::Open, Some(Errno::PERM)) => (
            Kind::Forbidden,
            "this kernel is locked down, or a security module or the devices cgroup forbids it",
            "Boot it without lockdown=, or run it outside of containers.",
        ),
        (Step::Map, Some(Errno::PERM | Errno::INVAL | Errno::AGAIN)) => (
            Kind::Forbidden,
            "this kernel (CONFIG_STRICT_DEVMEM, CONFIG_IO_STRICT_DEVMEM) takes the region for memory that is in use",
            "It is to be 'Reserved' in /proc/iomem: give no memmap= or mem= for it; a driver that has claimed it must go.",
        ),
        _ => (Kind::Failed, "this is not expected", ""),
    };
    let call = match step {
        Step::Open => "open of /dev/mem",
        Step::Map => "mmap of /dev/mem",
    };
    Error::new(kind, format!("{call}: {error}: {why}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked() {
        assert!(checked(0x1000, 1 << 18).is_ok());
        for (offset, size) in [
            (0, 0),
            (0, 1 << 15),
            (0, 3 << 16),
            (8, 1 << 16),
            (0, 1 << 27),
            (!0xfff, 1 << 16),
            (0, u64::MAX),
        ] {
            assert!(checked(offset, size).is_err(), "{offset:#x} {size:#x}");
        }
    }

    #[test]
    fn each_refusal_has_its_reason() {
        let told = |step, errno: Errno, raw_io, locked_down| {
            let kernel = Kernel {
                raw_io,
                locked_down,
            };
            let error = explain(step, &errno.into(), &kernel);
            (error.kind, error.to_string())
        };
        for (step, errno, raw_io, locked_down, kind, text) in [
            (
                Step::Open,
                Errno::NOENT,
                true,
                false,
                Kind::Forbidden,
                "CONFIG_DEVMEM is off",
            ),
            (
                Step::Open,
                Errno::PERM,
                false,
                false,
                Kind::NotPermitted,
                "CAP_SYS_RAWIO",
            ),
            (
                Step::Open,
                Errno::ACCESS,
                false,
                false,
                Kind::NotPermitted,
                "CAP_SYS_RAWIO",
            ),
            (
                Step::Open,
                Errno::PERM,
                true,
                true,
                Kind::Forbidden,
                "is locked down (/sys",
            ),
            (
                Step::Open,
                Errno::PERM,
                true,
                false,
                Kind::Forbidden,
                "devices cgroup",
            ),
            (
                Step::Map,
                Errno::PERM,
                true,
                false,
                Kind::Forbidden,
                "CONFIG_STRICT_DEVMEM",
            ),
            (
                Step::Map,
                Errno::NOMEM,
                true,
                false,
                Kind::Failed,
                "not expected",
            ),
        ] {
            let (found, said) = told(step, errno, raw_io, locked_down);
            assert_eq!(found, kind, "{said}");
            assert!(said.contains(text), "{said}");
        }
    }
}
