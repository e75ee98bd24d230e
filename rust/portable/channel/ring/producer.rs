// SPDX-License-Identifier: GPL-2.0

//! The end that sends.

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
