// SPDX-License-Identifier: GPL-2.0

//! Beats and last words: they need no ring and no lock, so they work when nothing else does.

use super::{
    hello::Page,
    layout::{
        Region,
        Role,
        BEATS,
        NOTICE, //
    },
    shared::Shared, //
};

/// CPUs that have beats.
pub const CPUS: usize = 64;
/// Bytes of the longest notice.
pub const NOTICE_MAX: usize = 1016;
/// A panic is the only kind of notice.
const PANIC: u64 = 1 << 8;

/// What `owner` tells of itself.
#[derive(Copy, Clone, Debug)]
pub struct Status {
    section: usize,
    page: Page,
}

impl Status {
    /// In its section.
    pub fn new(region: &Region, owner: Role) -> Self {
        Self {
            section: region.section(owner),
            page: Page::new(region, owner),
        }
    }

    fn beat_at(&self, cpu: usize) -> Option<usize> {
        (cpu < CPUS).then(|| self.section.wrapping_add(BEATS).wrapping_add(cpu * 8))
    }

    /// As the owner, says that this CPU makes progress. Nothing for CPUs that have no beats.
    pub fn beat(&self, memory: &impl Shared, cpu: usize) {
        if let Some(at) = self.beat_at(cpu) {
            memory.store(at, memory.load(at).wrapping_add(1).max(1));
        }
    }

    /// As the owner, says that this CPU has no beats from here on: it goes offline.
    pub fn rest(&self, memory: &impl Shared, cpu: usize) {
        if let Some(at) = self.beat_at(cpu) {
            memory.store(at, 0);
        }
    }

    /// A number that changes as long as this CPU makes progress; 0 if it has no beats.
    pub fn beats(&self, memory: &impl Shared, cpu: usize) -> u64 {
        self.beat_at(cpu).map_or(0, |at| memory.load(at))
    }

    /// As the owner, says why it panics, in its present session. A text that is too long is cut.
    pub fn panic(&self, memory: &impl Shared, text: &[u8]) {
        let text = text.get(..NOTICE_MAX).unwrap_or(text);
        let generation = u64::from(self.page.session(memory).generation);
        let at = self.section.wrapping_add(NOTICE);
        memory.write(at.wrapping_add(8), text);
        // ORDERING: release pairs with the acquire in `panicked`.
        memory.store_release(at, generation << 32 | (text.len() as u64) << 16 | PANIC);
    }

    /// Whether the owner says that it panicked, in the session of this generation.
    pub fn has_panicked(&self, memory: &impl Shared, generation: u32) -> bool {
        let word = memory.load(self.section.wrapping_add(NOTICE));
        generation != 0 && word >> 32 == u64::from(generation) && word & 0xff00 == PANIC
    }

    /// Copies what the owner said when it panicked in the session of this generation, if it did.
    /// The text is any bytes.
    pub fn panicked<'a>(
        &self,
        memory: &impl Shared,
        generation: u32,
        text: &'a mut [u8; NOTICE_MAX],
    ) -> Option<&'a [u8]> {
        let at = self.section.wrapping_add(NOTICE);
        // ORDERING: acquire pairs with the release in `panic`.
        let word = memory.load_acquire(at);
        if generation == 0 || word >> 32 != u64::from(generation) || word & 0xff00 != PANIC {
            return None;
        }
        let length = ((word >> 16 & 0xffff) as usize).min(NOTICE_MAX);
        let text = text.get_mut(..length)?;
        memory.read(at.wrapping_add(8), text);
        Some(text)
    }
}
