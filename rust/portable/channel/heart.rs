// SPDX-License-Identifier: GPL-2.0

//! Whether a peer's CPUs make progress, told from their beats.

use super::{
    shared::Shared,
    status::{
        Status,
        CPUS, //
    },
};

/// What was seen of the beats.
#[derive(Clone, Debug)]
pub struct Heart {
    last: [u64; CPUS],
    /// For how many milliseconds the number has been the last one.
    silent: [u32; CPUS],
}

impl Default for Heart {
    fn default() -> Self {
        Self {
            last: [0; CPUS],
            silent: [0; CPUS],
        }
    }
}

impl Heart {
    /// Looks at the beats, `passed` milliseconds after the last look. The CPU that has been silent
    /// for longest, and for how many milliseconds; nothing when no CPU has beats.
    pub fn look(
        &mut self,
        memory: &impl Shared,
        status: &Status,
        passed: u32,
    ) -> Option<(usize, u32)> {
        let mut worst: Option<(usize, u32)> = None;
        for (cpu, (last, silent)) in self.last.iter_mut().zip(&mut self.silent).enumerate() {
            let now = status.beats(memory, cpu);
            *silent = if now == *last && now != 0 {
                silent.saturating_add(passed)
            } else {
                0
            };
            *last = now;
            if now != 0 && worst.is_none_or(|(_, most)| *silent > most) {
                worst = Some((cpu, *silent));
            }
        }
        worst
    }
}
