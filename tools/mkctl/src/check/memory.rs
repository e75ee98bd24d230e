// SPDX-License-Identifier: GPL-2.0

//! Memory that can be lent.

use super::Finding;
use crate::host::Host;

/// What each instance takes of the memory that a SIPI can name, see the administrator's guide.
const LOW: std::ops::Range<u64> = 64 << 10..640 << 10;
const LOW_CHUNK: u64 = 64 << 10;
/// The host keeps so much of what it calls available.
const KEEP_KB: u64 = 64 << 10;
/// Too little for the kernel of a distribution with its initrd.
const SMALL_KB: u64 = 512 << 10;

/// A range of /proc/iomem, its end included.
struct Resource<'t> {
    start: u64,
    end: u64,
    name: &'t str,
}

impl<'t> Resource<'t> {
    /// Reads a line as "00001000-0009fbff : System RAM".
    fn parse(line: &'t str) -> Option<Self> {
        let (range, name) = line.split_once(" : ")?;
        let (start, end) = range.trim().split_once('-')?;
        Some(Self {
            start: u64::from_str_radix(start, 16).ok()?,
            end: u64::from_str_radix(end, 16).ok()?,
            name,
        })
    }

    /// Bytes of it that lie in `LOW`.
    fn low(&self) -> u64 {
        let end = self.end.saturating_add(1).min(LOW.end);
        end.saturating_sub(self.start.max(LOW.start))
    }
}

pub fn low(host: &Host) -> Finding {
    let what = "low memory";
    let text = host.read("/proc/iomem").unwrap_or_default();
    let resources: Vec<_> = text.lines().filter_map(Resource::parse).collect();
    if resources.iter().all(|resource| resource.end == 0) {
        let remedy = "run mkctl as root";
        return Finding::warning(what, "/proc/iomem shows you no addresses", remedy);
    }
    let sum = |is_it: fn(&str) -> bool| -> u64 {
        let those = resources.iter().filter(|resource| is_it(resource.name));
        those.map(Resource::low).sum()
    };
    let ram = sum(|name| name == "System RAM");
    let used = sum(|name| name == "Real mode trampoline" || name.starts_with("multikernel "));
    match ram.saturating_sub(used) / LOW_CHUNK {
        0 => Finding::missing(
            what,
            format!(
                "{} KiB free between 64 and 640 KiB",
                ram.saturating_sub(used) >> 10
            ),
            "an instance needs 64 KiB there; remove one",
        ),
        count => Finding::ok(what, format!("room for about {count} more instances")),
    }
}

pub fn spare(host: &Host) -> Finding {
    let what = "memory";
    let text = host.read("/proc/meminfo").unwrap_or_default();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"));
    let available = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let spare = available.unwrap_or(0).saturating_sub(KEEP_KB);
    let text = format!("{} MiB can be lent", spare >> 10);
    match spare {
        SMALL_KB.. => Finding::ok(what, text),
        _ => Finding::warning(
            what,
            text,
            "that is little for a distribution's kernel; free some, or ask early after boot",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Status::*, *};
    use crate::host::tests::Tree;

    fn low_of(iomem: &str) -> Finding {
        low(&Tree::new(&[("/proc/iomem", iomem)]).host)
    }

    #[test]
    fn room_for_instances() {
        let some = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
  00088000-00097fff : multikernel web
  00098000-0009dfff : Real mode trampoline
0009fc00-0009ffff : Reserved
00100000-bffdcfff : System RAM
  01000000-01ffffff : Kernel code
  08000000-27ffffff : multikernel web
";
        let finding = low_of(some);
        assert_eq!(finding.status, Ok);
        // 575 KiB less 64 and 24.
        assert!(finding.text.contains("about 7 more"), "{}", finding.text);
        let full = "00001000-0001ffff : System RAM\n  00010000-0001ffff : multikernel a\n";
        assert_eq!(low_of(full).status, Missing);
        assert_eq!(low_of("00000000-00000000 : System RAM\n").status, Warning);
    }

    #[test]
    fn memory_to_spare() {
        let spare_of = |text| spare(&Tree::new(&[("/proc/meminfo", text)]).host);
        let much = spare_of("MemTotal: 9 kB\nMemAvailable:    1048576 kB\n");
        assert_eq!(
            (much.status, much.text.as_str()),
            (Ok, "960 MiB can be lent")
        );
        assert_eq!(spare_of("MemAvailable: 65537 kB\n").status, Warning);
        assert_eq!(spare_of("").status, Warning);
    }
}
