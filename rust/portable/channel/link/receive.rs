// SPDX-License-Identifier: GPL-2.0

//! Messages that come, in frames.

use super::{
    super::{
        message::{
            Head,
            Part,
            Violation,
            MESSAGE_MAX, //
        },
        ring::ReceiveError,
        shared::Shared, //
    },
    Error,
    Link,
    Message,
    Unfinished, //
};

/// Most frames taken in one go: parts can be of one byte, and others wait.
const FRAMES_MAX: u32 = 64;

impl<M: Shared> Link<M> {
    /// Receives a message, if one is complete. Until it is, each call gets the same buffer, and takes
    /// so many parts that nobody is held up for long.
    ///
    /// The peer is not told of all that was received before [`Link::tell`] or [`Link::sleep`].
    ///
    /// # Errors
    ///
    /// `TooLong` when it does not fit: it stays, for a larger buffer with the same start. `Void`
    /// when the peer gave up in the middle: what comes next is another message.
    #[inline(always)]
    pub fn receive(&mut self, buffer: &mut [u8]) -> Result<Option<Message>, Error> {
        let mut parts: u32 = 0;
        loop {
            let duplex = self.handshake.duplex().ok_or(Error::NotOpen)?;
            if !duplex.consumer.look(&self.memory) {
                return Ok(None);
            }
            if let Some(message) = self.receive_frame(buffer)? {
                return Ok(Some(message));
            }
            parts = parts.wrapping_add(1);
            if parts == FRAMES_MAX {
                return Ok(None);
            }
        }
    }

    /// Receives a frame that is there: a message if it is the last one of that.
    #[inline(always)]
    fn receive_frame(&mut self, buffer: &mut [u8]) -> Result<Option<Message>, Error> {
        let duplex = self.handshake.duplex().ok_or(Error::NotOpen)?;
        let filled = self.receiving.map_or(0, |message| message.length);
        let room = buffer.get_mut(filled..).unwrap_or(&mut []);
        let head = match duplex.consumer.take(&self.memory, room) {
            Ok(head) => head,
            Err(ReceiveError::TooLong(more))
                if more as usize <= MESSAGE_MAX.saturating_sub(filled) =>
            {
                return Err(Error::TooLong)
            }
            Err(ReceiveError::TooLong(_)) => return Err(self.violated(Violation::Message)),
            Err(ReceiveError::Violation(violation)) => return Err(self.violated(violation)),
        };
        if self.receiving.is_none() && head.part == Part::Last {
            return Ok(Some(Message {
                class: head.class,
                length: head.length,
            }));
        }
        self.join(head)
    }

    /// Takes note of a frame of several that make a message.
    #[cold]
    fn join(&mut self, head: Head) -> Result<Option<Message>, Error> {
        let class = head.class;
        let (before, goes_on) = match self.receiving {
            Some(message) => (message.length, message.class == class),
            None => (0, head.part != Part::Abort),
        };
        let length = before.saturating_add(head.length as usize);
        if !goes_on || length > MESSAGE_MAX {
            return Err(self.violated(Violation::Message));
        }
        self.receiving = None;
        match head.part {
            Part::More => {
                self.receiving = Some(Unfinished { class, length });
                Ok(None)
            }
            Part::Last => Ok(Some(Message {
                class,
                // CAST: At most MESSAGE_MAX.
                length: length as u32,
            })),
            Part::Abort => Err(Error::Void),
        }
    }
}
