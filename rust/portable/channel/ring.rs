// SPDX-License-Identifier: GPL-2.0

//! A ring of frames from one producer to one consumer.
//!
//! Each side knows by itself where the next frame goes, and that place is all it looks at. A slot
//! is full when its stamp says so: there is no index that a peer could damage.

mod consumer;
mod producer;

pub use consumer::{Consumer, ReceiveError};
pub use producer::{Producer, SendError};

use super::{
    layout::LINE,
    message::INLINE_MAX, //
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
