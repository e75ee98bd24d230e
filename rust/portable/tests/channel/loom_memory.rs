// SPDX-License-Identifier: GPL-2.0

//! A region whose every access is a step that loom tries in all orders that its memory model has.

use loom::sync::atomic::{
    fence,
    AtomicU64,
    Ordering::{self, Acquire, Relaxed, Release, SeqCst}, //
};
use multikernel_portable::channel::shared::Shared;
use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    ops::Range,
    sync::Arc, //
};

type Words = HashMap<usize, AtomicU64>;

/// One side's view; the side dies after some stores, if told to.
pub struct Modelled {
    words: Arc<Words>,
    stores_left: Cell<usize>,
    /// What only this side writes, and what it wrote there. Loom forgets who has loaded a word when
    /// a thread loads and then stores it, and would leave out most orders.
    own: Range<usize>,
    written: RefCell<HashMap<usize, u64>>,
}

// Each test uses its own part of it.
#[allow(dead_code)]
impl Modelled {
    /// Has the words in these ranges of offsets only: each costs time.
    pub fn new(ranges: &[Range<usize>]) -> Self {
        let offsets = ranges.iter().flat_map(|range| range.clone().step_by(8));
        Self {
            words: Arc::new(offsets.map(|at| (at, AtomicU64::new(0))).collect()),
            stores_left: Cell::new(usize::MAX),
            own: 0..0,
            written: RefCell::default(),
        }
    }

    /// The same memory for another side.
    pub fn view(&self) -> Self {
        self.view_with_stores(usize::MAX)
    }

    /// The same memory for a side that dies after so many stores.
    pub fn view_with_stores(&self, stores: usize) -> Self {
        Self {
            words: self.words.clone(),
            stores_left: Cell::new(stores),
            own: self.own.clone(),
            written: self.written.clone(),
        }
    }

    /// For the side that alone writes here.
    pub fn owned(mut self, own: Range<usize>) -> Self {
        self.own = own;
        self
    }

    fn get(&self, at: usize, order: Ordering) -> u64 {
        if self.own.contains(&at) {
            return self.written.borrow().get(&at).copied().unwrap_or(0);
        }
        self.words[&at].load(order)
    }

    fn put(&self, at: usize, word: u64, order: Ordering) {
        if let Some(left) = self.stores_left.get().checked_sub(1) {
            self.stores_left.set(left);
            self.written.borrow_mut().insert(at, word);
            self.words[&at].store(word, order);
        }
    }
}

impl Shared for Modelled {
    fn size(&self) -> usize {
        1 << 16
    }

    fn load(&self, at: usize) -> u64 {
        self.get(at, Relaxed)
    }

    fn load_acquire(&self, at: usize) -> u64 {
        self.get(at, Acquire)
    }

    fn store(&self, at: usize, word: u64) {
        self.put(at, word, Relaxed);
    }

    fn store_release(&self, at: usize, word: u64) {
        self.put(at, word, Release);
    }

    fn full_fence(&self) {
        fence(SeqCst);
    }

    fn prefetch(&self, _at: usize) {}

    fn read(&self, at: usize, to: &mut [u8]) {
        for (i, to) in to.chunks_mut(8).enumerate() {
            to.copy_from_slice(&self.load(at + 8 * i).to_le_bytes()[..to.len()]);
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        for (i, from) in from.chunks(8).enumerate() {
            let mut bytes = [0; 8];
            bytes[..from.len()].copy_from_slice(from);
            self.store(at + 8 * i, u64::from_le_bytes(bytes));
        }
    }
}
