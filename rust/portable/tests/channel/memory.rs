// SPDX-License-Identifier: GPL-2.0

//! A region in plain memory.

use multikernel_portable::channel::shared::Shared;
use std::sync::{
    atomic::{
        fence,
        AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst}, //
    },
    Arc,
};

#[derive(Clone)]
pub struct Plain(Arc<[AtomicU64]>);

// Each test and fuzzer uses its own part of it.
#[allow(dead_code)]
impl Plain {
    pub fn new(size: usize) -> Self {
        Self((0..size / 8).map(|_| AtomicU64::new(0)).collect())
    }

    /// As a peer sees it who keeps to no rule.
    pub fn words(&self) -> &[AtomicU64] {
        &self.0
    }
}

impl Shared for Plain {
    fn size(&self) -> usize {
        self.0.len() * 8
    }

    fn load(&self, at: usize) -> u64 {
        self.0[at / 8].load(Relaxed)
    }

    fn load_acquire(&self, at: usize) -> u64 {
        self.0[at / 8].load(Acquire)
    }

    fn store(&self, at: usize, word: u64) {
        self.0[at / 8].store(word, Relaxed);
    }

    fn store_release(&self, at: usize, word: u64) {
        self.0[at / 8].store(word, Release);
    }

    fn full_fence(&self) {
        fence(SeqCst);
    }

    fn prefetch(&self, _at: usize) {}

    fn read(&self, at: usize, to: &mut [u8]) {
        for (word, to) in self.0[at / 8..].iter().zip(to.chunks_mut(8)) {
            to.copy_from_slice(&word.load(Relaxed).to_le_bytes()[..to.len()]);
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        for (word, from) in self.0[at / 8..].iter().zip(from.chunks(8)) {
            let mut bytes = word.load(Relaxed).to_le_bytes();
            bytes[..from.len()].copy_from_slice(from);
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
    }
}
