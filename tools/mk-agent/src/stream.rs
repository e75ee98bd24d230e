// SPDX-License-Identifier: GPL-2.0

//! Bytes between a port and a file that does not block.

use crate::channel::Channel;
use rustix::{
    event::PollFlags,
    fd::AsFd,
    io::{read, write, Errno},
};
use std::collections::VecDeque;

/// Bytes that the host may send ahead on a port.
pub const WINDOW: u32 = 64 << 10;
/// The host is told that it may send more when so many bytes were taken.
const TELL: u32 = WINDOW / 4;
/// Frames that are sent in one turn.
const TURN: usize = 8;

/// What a turn has brought.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Bytes were moved.
    Moved,
    /// The file has nothing.
    Empty,
    /// The host takes nothing.
    Full,
    /// The file has come to its end.
    End,
}

pub struct Stream {
    number: u16,
    /// For the file; the window limits it.
    inbox: VecDeque<u8>,
    /// Bytes that the file took, and that the host was not told of.
    taken: u32,
    /// For the host: read, and not sent.
    outbox: Vec<u8>,
    /// To read into. It stays as long as it was needed: zeroing takes longer than what comes at a time.
    buffer: Vec<u8>,
}

impl Stream {
    pub fn new(number: u16) -> Self {
        Self {
            number,
            inbox: VecDeque::new(),
            taken: 0,
            outbox: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Forgets what the host has sent. What it is to be sent stays.
    pub fn reset(&mut self) {
        self.inbox.clear();
        self.taken = 0;
    }

    /// The host has sent this.
    pub fn received(&mut self, bytes: &[u8]) {
        self.inbox.extend(bytes);
    }

    /// Whether the file has taken all that the host has sent.
    pub fn is_written(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Whether all that was read is sent.
    pub fn is_sent(&self) -> bool {
        self.outbox.is_empty()
    }

    /// What to wait for.
    pub fn interest(&self, channel: &mut Channel) -> PollFlags {
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::OUT, !self.inbox.is_empty());
        let may_read = self.outbox.is_empty() && channel.room(self.number) > 0;
        flags.set(PollFlags::IN, may_read);
        flags
    }

    /// Moves bytes from the host to the file.
    pub fn write(&mut self, channel: &mut Channel, file: impl AsFd) -> rustix::io::Result<bool> {
        let mut moved = false;
        while !self.inbox.is_empty() {
            match write(&file, self.inbox.as_slices().0) {
                Ok(count) => {
                    self.inbox.drain(..count);
                    self.took(count);
                    moved = true;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        self.tell(channel);
        Ok(moved)
    }

    /// Takes what the host has sent, for nobody: else it could never end.
    pub fn discard(&mut self, channel: &mut Channel) {
        self.took(self.inbox.len());
        self.inbox.clear();
        self.tell(channel);
    }

    fn took(&mut self, count: usize) {
        // A window at most, in fact.
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(count);
    }

    fn tell(&mut self, channel: &mut Channel) {
        let Channel { link, ports, .. } = channel;
        if self.taken >= TELL && ports.widen(link, self.number, self.taken).is_ok() {
            self.taken = 0;
        }
    }

    /// Moves bytes from the file to the host.
    pub fn read(&mut self, channel: &mut Channel, file: impl AsFd) -> rustix::io::Result<Turn> {
        let mut turn = Turn::Empty;
        for _ in 0..TURN {
            if !self.flush(channel) {
                return Ok(Turn::Full);
            }
            let room = channel.room(self.number);
            if room == 0 {
                return Ok(if turn == Turn::Moved {
                    turn
                } else {
                    Turn::Full
                });
            }
            if self.buffer.len() < room {
                self.buffer.resize(room, 0);
            }
            match read(&file, &mut self.buffer[..room]) {
                Ok(0) => return Ok(Turn::End),
                Ok(count) => {
                    self.outbox.extend(&self.buffer[..count]);
                    turn = Turn::Moved;
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        self.flush(channel);
        Ok(turn)
    }

    /// Sends what was read, if there is room. Whether nothing is left.
    pub fn flush(&mut self, channel: &mut Channel) -> bool {
        let Channel { link, ports, .. } = channel;
        if !self.outbox.is_empty() && ports.send(link, self.number, &self.outbox).is_ok() {
            self.outbox.clear();
        }
        self.outbox.is_empty()
    }
}
