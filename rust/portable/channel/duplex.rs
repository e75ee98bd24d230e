// SPDX-License-Identifier: GPL-2.0

//! Both rings of a session, and when to ring or to sleep.

use super::{
    message::Violation,
    ring::{
        Consumer,
        Producer, //
    },
    shared::Shared, //
};

/// What there is to do before going to sleep.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Sleep {
    /// Ring the peer.
    pub ring: bool,
    /// Do not sleep: what was waited for is there.
    pub awake: bool,
}

/// Both ends that a side has.
#[derive(Clone, Debug)]
pub struct Duplex {
    /// Sends.
    pub producer: Producer,
    /// Receives.
    pub consumer: Consumer,
}

impl Duplex {
    /// Whether the peer is to be rung. Called after sending, and after receiving; once for many
    /// frames will do.
    #[must_use]
    pub fn must_ring(&mut self, memory: &impl Shared) -> bool {
        if !self.producer.has_news() && !self.consumer.has_news() {
            return false;
        }
        // ORDERING: stamps and credits before the peer's sleep. Pairs with the fence in `sleep`.
        memory.full_fence();
        let frames = self.producer.must_ring(memory);
        let credits = self.consumer.must_ring(memory);
        frames || credits
    }

    /// Prepares to sleep until there is a frame, or, with `for_room`, until there is more room.
    pub fn sleep(&mut self, memory: &impl Shared, for_room: bool) -> Result<Sleep, Violation> {
        self.consumer.tell(memory);
        self.consumer.sleep(memory);
        let credit = if for_room {
            self.producer.sleep(memory)
        } else {
            None
        };
        // ORDERING: what is waited for before the look whether it is there. Pairs with the fence in
        // the peer's `must_ring`.
        memory.full_fence();
        let room = match credit {
            Some(frame) => self.producer.has_credit(memory, frame)?,
            // With nothing on the way it is not the ring that is short of room.
            None => false,
        };
        Ok(Sleep {
            awake: self.consumer.has_frame(memory) || room,
            ring: self.must_ring(memory),
        })
    }
}
