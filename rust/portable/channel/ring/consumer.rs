// SPDX-License-Identifier: GPL-2.0

//! The end that receives.

use super::{
    super::{
        message::{
            Head,
            Violation, //
        },
        shared::Shared, //
    },
    lines,
    number,
    passed,
    stamp,
    Count,
    Ring,
    FIRST,
    HEAD,
    PAYLOAD, //
};

/// Why a frame was not received.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum ReceiveError {
    /// It has so many bytes, more than there is room for.
    TooLong(u32),
    /// The peer broke a rule.
    Violation(Violation),
}

/// The end that receives.
#[derive(Clone, Debug)]
pub struct Consumer {
    ring: Ring,
    generation: u32,
    received: Count,
    /// Where the stamp of the next frame will be, and which: kept, as who polls looks often.
    awaited: (usize, u64),
    told: Count,
    /// Frames told when the producer's sleep was looked at last.
    looked: u32,
}

impl Consumer {
    /// Begins a session. The producer may send as soon as it knows the generation.
    pub fn new(ring: Ring, generation: u32, memory: &impl Shared) -> Self {
        let consumer = Self {
            ring,
            generation,
            received: Count::START,
            awaited: Self::await_frame(&ring, generation, Count::START),
            told: Count::START,
            looked: FIRST,
        };
        consumer.write_credits(memory);
        consumer
    }

    fn write_credits(&self, memory: &impl Shared) {
        let (at, count) = (self.ring.credits_at, self.received);
        // ORDERING: release pairs with the acquire in `Producer::update`.
        memory.store_release(at.wrapping_add(8), stamp(self.generation, count.lines));
        memory.store_release(at, stamp(self.generation, count.frames));
    }

    /// Tells the producer what was received, unless it knows. [`Consumer::pop`] does so at times.
    pub fn tell(&mut self, memory: &impl Shared) {
        if self.told != self.received {
            self.write_credits(memory);
            self.told = self.received;
        }
    }

    fn await_frame(ring: &Ring, generation: u32, received: Count) -> (usize, u64) {
        let frame = received.frames;
        (ring.slot(frame), stamp(generation, frame))
    }

    /// Where the stamp of the next frame will be, and which.
    pub fn awaited(&self) -> (usize, u64) {
        self.awaited
    }

    /// Whether the next frame is there.
    pub fn has_frame(&self, memory: &impl Shared) -> bool {
        // ORDERING: acquire pairs with the release in `Producer::push`.
        let (at, stamp) = self.awaited;
        memory.load_acquire(at) == stamp
    }

    /// Whether the next frame is there, for those who look for it again and again.
    #[inline]
    pub fn look(&self, memory: &impl Shared) -> bool {
        let there = self.has_frame(memory);
        if !there {
            // So that data come together with their stamp, not one after the other.
            memory.prefetch(self.ring.data(self.received.lines).0);
        }
        there
    }

    /// Receives a frame into the start of `to`, if one is there.
    ///
    /// One that is too long for `to` stays where it is.
    pub fn pop(
        &mut self,
        memory: &impl Shared,
        to: &mut [u8],
    ) -> Result<Option<Head>, ReceiveError> {
        if !self.look(memory) {
            return Ok(None);
        }
        self.take(memory, to).map(Some)
    }

    /// Receives the frame that [`Consumer::look`] has seen.
    #[inline(always)]
    pub(in super::super) fn take(
        &mut self,
        memory: &impl Shared,
        to: &mut [u8],
    ) -> Result<Head, ReceiveError> {
        let (slot, _) = self.awaited;
        // The peer may change it from here on: this copy counts.
        let head = Head::decode(memory.load(slot.wrapping_add(HEAD)), self.ring.frame_max())
            .map_err(ReceiveError::Violation)?;
        let Some(to) = to.get_mut(..head.length as usize) else {
            return Err(ReceiveError::TooLong(head.length));
        };
        let lines = lines(head.length);
        if lines == 0 {
            memory.read(slot.wrapping_add(PAYLOAD), to);
        } else {
            let (at, room) = self.ring.data(self.received.lines);
            if room >= to.len() {
                memory.read(at, to);
            } else if let Some((first, second)) = to.split_at_mut_checked(room) {
                memory.read(at, first);
                memory.read(self.ring.data_at, second);
            }
        }
        self.received = self.received.plus(lines);
        self.awaited = Self::await_frame(&self.ring, self.generation, self.received);
        let untold = self.received.since(self.told);
        if untold.frames >= self.ring.slots / 4 || untold.lines >= self.ring.lines / 4 {
            self.tell(memory);
        }
        Ok(head)
    }

    /// Whether the producer was told something since its sleep was looked at.
    pub fn has_news(&self) -> bool {
        self.looked != self.told.frames
    }

    /// Whether the producer sleeps for what it was told since the last time.
    ///
    /// A full fence goes before.
    pub fn must_ring(&mut self, memory: &impl Shared) -> bool {
        // ORDERING: the fence pairs with the one between `Producer::sleep` and
        // `Producer::has_credit`.
        let word = memory.load(self.ring.credit_sleep_at);
        let from = core::mem::replace(&mut self.looked, self.told.frames);
        number(word, self.generation).is_some_and(|frame| passed(frame, from, self.told.frames))
    }

    /// Tells the producer to ring when the next frame is there.
    ///
    /// A full fence follows, and then [`Consumer::has_frame`].
    pub fn sleep(&mut self, memory: &impl Shared) {
        let word = stamp(self.generation, self.received.frames);
        memory.store(self.ring.frame_sleep_at, word);
    }
}
