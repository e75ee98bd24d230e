// SPDX-License-Identifier: GPL-2.0

//! Two processors for ourselves, and their clock.

use std::{
    fs,
    mem::size_of,
    sync::LazyLock,
    time::{Duration, Instant}, //
};

/// Binds this thread to a processor, where no other one disturbs it, if that is permitted.
pub fn bind(cpu: usize) -> bool {
    // SAFETY: the structures are plain numbers, and as large as we say.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpu, &mut set);
        assert_eq!(
            libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set),
            0,
            "no CPU {cpu}"
        );
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO,
            &libc::sched_param { sched_priority: 1 },
        ) == 0
    }
}

/// Time stamps, which are the same on all processors of today.
pub fn now() -> u64 {
    // SAFETY: all x86-64 processors have it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

static NS_PER_TICK: LazyLock<f64> = LazyLock::new(|| {
    let (began, ticks) = (Instant::now(), now());
    std::thread::sleep(Duration::from_millis(200));
    began.elapsed().as_nanos() as f64 / (now() - ticks) as f64
});

pub fn ns(ticks: u64) -> f64 {
    ticks as f64 * *NS_PER_TICK
}

fn line(file: &str, key: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(key));
    value
        .map_or("unknown", |value| {
            value.trim_start_matches([' ', '\t', ':'])
        })
        .trim()
        .into()
}

/// What it was measured on, as members of a JSON object.
pub fn description(cpus: [usize; 2], alone: bool) -> String {
    let flags = line("/proc/cpuinfo", "flags");
    // Of the last 1, 5 and 15 minutes; then come the numbers of threads.
    let load = line("/proc/loadavg", "");
    let load = load.split(' ').take(3).collect::<Vec<_>>().join(" ");
    let members = [
        ("processor", line("/proc/cpuinfo", "model name")),
        ("kernel", line("/proc/sys/kernel/osrelease", "")),
        (
            "virtual",
            (if flags.contains(" hypervisor") {
                "yes"
            } else {
                "no"
            })
            .into(),
        ),
        ("load", load),
        (
            "scheduling",
            (if alone { "SCHED_FIFO" } else { "SCHED_OTHER" }).into(),
        ),
        ("cpus", format!("{} and {}", cpus[0], cpus[1])),
    ];
    members
        .map(|(name, value)| format!("\"{name}\": \"{}\"", value.replace(['"', '\\'], "")))
        .join(", ")
}
