// SPDX-License-Identifier: GPL-2.0

//! Messages that go, in frames.

use super::{
    super::{
        message::{
            Class,
            Head,
            Part,
            MESSAGE_MAX, //
        },
        ring::SendError,
        shared::Shared, //
    },
    Error,
    Link,
    Unfinished, //
};

impl<M: Shared> Link<M> {
    /// Sends a message, or as much of it as there is room for: the number of bytes. The rest is
    /// sent by further calls before anything else is, or [`Link::abort`] makes it void.
    ///
    /// # Errors
    ///
    /// `Full` when nothing was sent.
    #[inline]
    pub fn send(&mut self, class: Class, bytes: &[u8]) -> Result<usize, Error> {
        if self.sending.is_none() && bytes.len() <= self.frame_max() as usize {
            return self.push(class, Part::Last, bytes).map(|()| bytes.len());
        }
        self.send_parts(class, bytes)
    }

    #[cold]
    fn send_parts(&mut self, class: Class, bytes: &[u8]) -> Result<usize, Error> {
        let before = match self.sending {
            Some(sending) if sending.class != class => return Err(Error::Unfinished),
            Some(sending) => sending.length,
            None => 0,
        };
        if bytes.len() > MESSAGE_MAX.saturating_sub(before) {
            return Err(Error::TooLong);
        }
        let mut sent = 0;
        loop {
            let rest = bytes.get(sent..).unwrap_or(&[]);
            let longest = self.frame_max() as usize;
            let (frame, part) = match rest.get(..longest) {
                Some(first) if rest.len() > longest => (first, Part::More),
                _ => (rest, Part::Last),
            };
            match self.push(class, part, frame) {
                Ok(()) => {}
                Err(Error::Full) if sent > 0 => return Ok(sent),
                Err(error) => return Err(error),
            }
            sent = sent.saturating_add(frame.len());
            if part == Part::Last {
                self.sending = None;
                return Ok(sent);
            }
            let length = before.saturating_add(sent);
            self.sending = Some(Unfinished { class, length });
        }
    }

    /// Sends a frame.
    fn push(&mut self, class: Class, part: Part, frame: &[u8]) -> Result<(), Error> {
        let duplex = self.handshake.duplex().ok_or(Error::NotOpen)?;
        let head = Head {
            // CAST: One that does not fit is refused, as it is not as long as this says.
            length: frame.len() as u32,
            class,
            part,
        };
        match duplex.producer.push(&self.memory, head, frame) {
            Ok(()) => Ok(()),
            Err(SendError::Full) => Err(Error::Full),
            Err(SendError::TooLong) => Err(Error::TooLong),
            Err(SendError::Violation(violation)) => Err(self.violated(violation)),
        }
    }

    /// Whether there is room for a frame, however long.
    pub fn has_room(&mut self) -> bool {
        let Some(duplex) = self.handshake.duplex() else {
            return false;
        };
        match duplex.producer.can_push(&self.memory) {
            Ok(can) => can,
            Err(violation) => {
                self.violated(violation);
                false
            }
        }
    }

    /// Makes an unfinished message void.
    pub fn abort(&mut self) -> Result<(), Error> {
        if let Some(Unfinished { class, .. }) = self.sending {
            self.push(class, Part::Abort, &[])?;
            self.sending = None;
        }
        Ok(())
    }
}
