// SPDX-License-Identifier: GPL-2.0

//! A ring of frames from one producer to one consumer.
//!
//! Each side knows by itself where the next frame goes, and that place is all it looks at. A slot
//! is full when its stamp says so: there is no index that a peer could damage.

use super::{
    layout::LINE,
    message::{
        Head,
        Violation,
        INLINE_MAX, //
    },
    shared::Shared, //
};

const HEAD: usize = 8;
const PAYLOAD: usize = 16;

/// Where a ring is. Sizes are powers of two.
#[derive(Copy, Clone, Debug)]
pub struct Ring {
    /// Offset of the slots, which the producer writes.
    pub slots_at: usize,
    /// How many slots.
    pub slots: u32,
    /// Offset of the data, which the producer writes.
    pub data_at: usize,
    /// How many lines of data, at least 4.
    pub lines: u32,
    /// Offset of the credits, which the consumer writes.
    pub credits_at: usize,
    /// Offset of the word that tells for which frame the consumer sleeps.
    pub frame_sleep_at: usize,
    /// Offset of the word that tells for which credit the producer sleeps.
    pub credit_sleep_at: usize,
}

impl Ring {
    /// Bytes of the longest frame.
    pub fn frame_max(&self) -> u32 {
        self.lines.wrapping_mul(LINE as u32) / 4
    }

    fn slot(&self, frame: u32) -> usize {
        let index = frame & self.slots.wrapping_sub(1);
        self.slots_at.wrapping_add(index as usize * LINE)
    }

    /// Offset of the data at `line`, and how many bytes there are from there to the end; what is
    /// longer goes on at the start.
    fn data(&self, line: u32) -> (usize, usize) {
        let start = (line & self.lines.wrapping_sub(1)) as usize * LINE;
        let room = (self.lines as usize * LINE).wrapping_sub(start);
        (self.data_at.wrapping_add(start), room)
    }
}

/// Lines of data that a frame of this length takes.
fn lines(length: u32) -> u32 {
    if length as usize <= INLINE_MAX {
        0
    } else {
        // No frame is so long that this wraps.
        length.wrapping_add(LINE as u32 - 1) / LINE as u32
    }
}

/// A number with the generation that it counts in.
fn stamp(generation: u32, number: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(number)
}

/// The number, if it counts in this generation.
fn number(word: u64, generation: u32) -> Option<u32> {
    ((word >> 32) as u32 == generation).then_some(word as u32)
}

/// Whether someone who sleeps for `number` is to be woken now that `from` has become `to`.
fn passed(number: u32, from: u32, to: u32) -> bool {
    to.wrapping_sub(number).wrapping_sub(1) < to.wrapping_sub(from)
}

/// The first number of a session: soon before the numbers wrap, so that they do in every test.
const FIRST: u32 = 0xffff_fff0;

/// Frames and lines of data.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
struct Count {
    frames: u32,
    lines: u32,
}

impl Count {
    const START: Self = Self {
        frames: FIRST,
        lines: FIRST,
    };

    fn since(self, earlier: Self) -> Self {
        Self {
            frames: self.frames.wrapping_sub(earlier.frames),
            lines: self.lines.wrapping_sub(earlier.lines),
        }
    }

    fn plus(self, lines: u32) -> Self {
        Self {
            frames: self.frames.wrapping_add(1),
            lines: self.lines.wrapping_add(lines),
        }
    }
}

/// Why a frame was not sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum SendError {
    /// No credit; later there may be.
    Full,
    /// Longer than frames are.
    TooLong,
    /// The peer broke a rule.
    Violation(Violation),
}

/// The end that sends.
#[derive(Clone, Debug)]
pub struct Producer {
    ring: Ring,
    generation: u32,
    sent: Count,
    credits: Count,
    /// Frames sent when the consumer's sleep was looked at last.
    looked: u32,
}

impl Producer {
    /// Begins a session.
    pub fn new(ring: Ring, generation: u32) -> Self {
        Self {
            ring,
            generation,
            sent: Count::START,
            credits: Count::START,
            looked: FIRST,
        }
    }

    /// Bytes of the longest frame.
    pub fn frame_max(&self) -> u32 {
        self.ring.frame_max()
    }

    fn has_room(&self, lines: u32) -> bool {
        let away = self.sent.since(self.credits);
        away.frames < self.ring.slots
            && away
                .lines
                .checked_add(lines)
                .is_some_and(|sum| sum <= self.ring.lines)
    }

    /// Takes the consumer's word for what it has received, if it can be true.
    #[cold]
    fn update(&mut self, memory: &impl Shared) -> Result<(), Violation> {
        let at = self.ring.credits_at;
        // ORDERING: acquire pairs with the release in `Consumer::tell`: the consumer's copying was
        // over before the place is written again.
        let frames = number(memory.load_acquire(at), self.generation);
        let lines = number(memory.load_acquire(at.wrapping_add(8)), self.generation);
        let told = Count {
            frames: frames.unwrap_or(self.credits.frames),
            lines: lines.unwrap_or(self.credits.lines),
        };
        let (new, away) = (told.since(self.credits), self.sent.since(self.credits));
        if new.frames > away.frames || new.lines > away.lines {
            return Err(Violation::Credit);
        }
        self.credits = told;
        Ok(())
    }

    fn finds_room(&mut self, memory: &impl Shared, lines: u32) -> Result<bool, Violation> {
        if self.has_room(lines) {
            return Ok(true);
        }
        self.update(memory)?;
        Ok(self.has_room(lines))
    }

    /// Whether there is room for the longest frame.
    pub fn can_push(&mut self, memory: &impl Shared) -> Result<bool, Violation> {
        self.finds_room(memory, lines(self.frame_max()))
    }

    /// Sends a frame; the length in `head` is that of `payload`.
    pub fn push(
        &mut self,
        memory: &impl Shared,
        head: Head,
        payload: &[u8],
    ) -> Result<(), SendError> {
        if head.length > self.ring.frame_max() || head.length as usize != payload.len() {
            return Err(SendError::TooLong);
        }
        let lines = lines(head.length);
        if !self
            .finds_room(memory, lines)
            .map_err(SendError::Violation)?
        {
            return Err(SendError::Full);
        }
        let slot = self.ring.slot(self.sent.frames);
        let word = head.encode();
        if lines == 0 {
            memory.write(slot.wrapping_add(PAYLOAD), payload);
        } else {
            let (at, room) = self.ring.data(self.sent.lines);
            match payload.split_at_checked(room) {
                Some((first, second)) => {
                    memory.write(at, first);
                    memory.write(self.ring.data_at, second);
                }
                None => memory.write(at, payload),
            }
        }
        memory.store(slot.wrapping_add(HEAD), word);
        // ORDERING: release pairs with the acquire in `Consumer::pop`: who sees the stamp sees the
        // frame.
        memory.store_release(slot, stamp(self.generation, self.sent.frames));
        self.sent = self.sent.plus(lines);
        Ok(())
    }

    /// Where the consumer tells of frames, and what it tells.
    pub fn credit(&self, memory: &impl Shared) -> (usize, u64) {
        (self.ring.credits_at, memory.load(self.ring.credits_at))
    }

    /// Whether frames were sent since the consumer's sleep was looked at.
    pub fn has_news(&self) -> bool {
        self.looked != self.sent.frames
    }

    /// Whether the consumer sleeps for what was sent since the last time.
    ///
    /// A full fence goes before.
    pub fn must_ring(&mut self, memory: &impl Shared) -> bool {
        // ORDERING: the fence pairs with the one between `Consumer::sleep` and
        // `Consumer::has_frame`: one of the two sees what the other wrote before it.
        let word = memory.load(self.ring.frame_sleep_at);
        let from = core::mem::replace(&mut self.looked, self.sent.frames);
        number(word, self.generation).is_some_and(|frame| passed(frame, from, self.sent.frames))
    }

    /// Tells the consumer to ring when it has received half of what is on the way; the frame whose
    /// credit is waited for. Nothing when nothing is on the way.
    ///
    /// A full fence follows, and then [`Producer::has_credit`].
    pub fn sleep(&mut self, memory: &impl Shared) -> Option<u32> {
        let away = self.sent.since(self.credits).frames;
        let frame = self.credits.frames.wrapping_add(away.checked_sub(1)? / 2);
        memory.store(self.ring.credit_sleep_at, stamp(self.generation, frame));
        Some(frame)
    }

    /// Whether the credit of this frame, which was on the way, is there.
    pub fn has_credit(&mut self, memory: &impl Shared, frame: u32) -> Result<bool, Violation> {
        let before = self.credits.frames;
        // ORDERING: see `Consumer::must_ring`.
        self.update(memory)?;
        Ok(passed(frame, before, self.credits.frames))
    }
}

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
    pub(super) fn take(
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
