// SPDX-License-Identifier: GPL-2.0

//! Beats: a thread on each CPU says that the CPU makes progress.

use crate::{
    log::log,
    raw::{self, Memory},
};
use multikernel_portable::{
    channel::{
        layout::Role,
        status::{Status, CPUS},
    },
    cpu_list::CpuSet as List,
};
use rustix::thread::{sched_getcpu, sched_setaffinity, CpuSet};
use std::{
    collections::BTreeMap,
    fs,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How often a thread says so.
const BEAT: Duration = Duration::from_millis(100);
/// What the host is told: real-time threads are not held up by others.
const PROMISE_MS: u32 = 250;
/// What it is told when they are ordinary ones, which a busy CPU lets wait.
const ORDINARY_PROMISE_MS: u32 = 2000;
/// How often we look for CPUs that have come.
const LOOK: Duration = Duration::from_secs(1);
const STACK: usize = 64 << 10;

pub struct Heart {
    memory: Memory,
    status: Status,
    threads: BTreeMap<usize, JoinHandle<()>>,
    looked: Option<Instant>,
    promise_ms: u32,
}

impl Heart {
    pub fn new(memory: Memory) -> Self {
        let first = thread::spawn(|| {
            raw::run_first().map_err(|e| log(format_args!("no real-time threads: {e}")))
        });
        let promise_ms = match first.join() {
            Ok(Ok(())) => PROMISE_MS,
            _ => ORDINARY_PROMISE_MS,
        };
        let status = Status::new(&memory.region(), Role::Spawn);
        // Another agent was here before, perhaps.
        (0..CPUS).for_each(|cpu| status.rest(&memory, cpu));
        Self {
            memory,
            status,
            threads: BTreeMap::new(),
            looked: None,
            promise_ms,
        }
    }

    /// How often the beats of a CPU change at least, in milliseconds.
    pub fn promise_ms(&self) -> u32 {
        self.promise_ms
    }

    /// Once in a while, starts threads on CPUs that have none.
    pub fn tend(&mut self) {
        if self.looked.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        self.threads.retain(|_, thread| !thread.is_finished());
        for cpu in online().into_iter().filter(|&cpu| cpu < CPUS) {
            if !self.threads.contains_key(&cpu) {
                let (memory, status) = (self.memory, self.status);
                let thread = thread::Builder::new()
                    .name(format!("beat/{cpu}"))
                    .stack_size(STACK)
                    .spawn(move || beat(memory, status, cpu));
                if let Ok(thread) = thread {
                    self.threads.insert(cpu, thread);
                }
            }
        }
    }
}

fn online() -> Vec<usize> {
    let text = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let list = List::parse(text.trim().as_bytes()).unwrap_or_default();
    list.iter().filter_map(|cpu| cpu.try_into().ok()).collect()
}

/// Until the CPU goes offline: then the kernel moves us to another one.
fn beat(memory: Memory, status: Status, cpu: usize) {
    let mut only = CpuSet::new();
    only.set(cpu);
    if sched_setaffinity(None, &only).is_err() {
        return;
    }
    _ = raw::run_first();
    while sched_getcpu() == cpu {
        status.beat(&memory, cpu);
        thread::sleep(BEAT);
    }
    status.rest(&memory, cpu);
}
