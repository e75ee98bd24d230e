// SPDX-License-Identifier: GPL-2.0

//! Queues behind ports, whose users come and go. They outlive sessions, with what they hold.

use super::queue::Queue;

/// Ports that have a queue: 1 to this. Others are refused.
pub const QUEUES: usize = 4;
/// The port of the console: its queue is a memory of what was said, and never full.
pub const CONSOLE: u16 = 1;
/// The peer is told that it may send more when so many bytes were taken: seldom, since each time is
/// a message, and a doorbell where it sleeps. The rest of the window is enough until then.
const TELL: u32 = 16 << 10;

/// A port, with what is to be told to the peer when there is room.
#[derive(Clone, Debug)]
pub(super) struct Gate<B> {
    pub(super) queue: Queue<B>,
    /// Files that are open here.
    pub(super) users: u32,
    /// One of them has sent something.
    pub(super) wrote: bool,
    /// Both sides were open, in this life.
    pub(super) met: bool,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// The peer takes nothing more.
    pub(super) broken: bool,
    pub(super) open: bool,
    pub(super) close: bool,
    pub(super) widen: u32,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Gate<B> {
    fn new(buffer: B) -> Self {
        Self {
            queue: Queue::new(buffer),
            users: 0,
            wrote: false,
            met: false,
            ended: false,
            broken: false,
            open: false,
            close: false,
            widen: 0,
        }
    }

    pub(super) fn must_tell(&self) -> bool {
        self.widen >= TELL
    }

    /// The session is over.
    fn lose(&mut self) {
        self.ended |= self.met;
        self.broken |= self.met;
        self.open = false;
        self.close = false;
        self.widen = 0;
    }
}

/// The queues, which outlive a session and a life of the peer.
#[derive(Clone, Debug)]
pub struct Gates<B>([Gate<B>; QUEUES]);

impl<B: AsRef<[u8]> + AsMut<[u8]>> Gates<B> {
    /// Makes them of these buffers.
    pub fn new(buffers: [B; QUEUES]) -> Self {
        Self(buffers.map(Gate::new))
    }

    pub(super) fn find(&mut self, port: u16) -> Option<&mut Gate<B>> {
        self.0.get_mut(usize::from(port).checked_sub(1)?)
    }

    pub(super) fn all(&mut self) -> impl Iterator<Item = (u16, &mut Gate<B>)> {
        (1..).zip(self.0.iter_mut())
    }

    /// Forgets what the last life said.
    pub fn begin(&mut self) {
        for (_, gate) in self.all() {
            gate.queue.clear();
            gate.wrote = false;
            gate.met = false;
            gate.ended = false;
            gate.broken = false;
        }
    }

    /// The life is over: what was received can still be read.
    pub fn end(&mut self) {
        self.all().for_each(|(_, gate)| gate.lose());
    }

    /// A file was opened on this port. The first one is for the next stream, where one has ended on
    /// both sides and all of it was read.
    pub fn attach(&mut self, port: u16) {
        if let Some(gate) = self.find(port) {
            if gate.users == 0 && gate.ended && gate.broken && gate.queue.is_empty() {
                gate.met = false;
                gate.ended = false;
                gate.broken = false;
            }
            gate.users = gate.users.saturating_add(1);
        }
    }

    /// It was closed. After the last one the peer is told that there is nothing more, if there was
    /// something, or if it has said so itself.
    pub fn detach(&mut self, port: u16) {
        if let Some(gate) = self.find(port) {
            gate.users = gate.users.saturating_sub(1);
            if gate.users == 0 && port != CONSOLE && (gate.wrote || gate.ended) {
                gate.close = !gate.broken;
                gate.wrote = false;
            }
        }
    }

    /// Takes bytes out of a queue, each for one reader. Nothing when there is none yet.
    pub fn take(&mut self, port: u16, to: &mut [u8]) -> Option<usize> {
        let gate = self.find(port)?;
        let taken = gate.queue.take(to);
        if !gate.ended {
            gate.widen = gate.widen.saturating_add(taken as u32);
        }
        (taken > 0 || gate.ended).then_some(taken)
    }

    /// Whether the peer is to be told that there is room.
    pub fn must_tell(&mut self, port: u16) -> bool {
        self.find(port).is_some_and(|gate| gate.must_tell())
    }

    /// Copies bytes of the console from `at` on, for each reader: where to go on, and how many.
    pub fn look(&mut self, at: u64, to: &mut [u8]) -> (u64, usize) {
        self.find(CONSOLE)
            .map_or((at, 0), |gate| gate.queue.copy(at, to))
    }

    /// How many bytes of the console there are from `at` on.
    pub fn unseen(&mut self, at: u64) -> usize {
        self.find(CONSOLE).map_or(0, |gate| gate.queue.behind(at))
    }

    /// How many bytes wait on a port; 0 when its end does.
    pub fn waiting(&mut self, port: u16) -> Option<usize> {
        let gate = self.find(port)?;
        (gate.ended || !gate.queue.is_empty()).then(|| gate.queue.len())
    }

    /// Whether the peer takes nothing more.
    pub fn is_broken(&mut self, port: u16) -> bool {
        self.find(port).is_some_and(|gate| gate.broken)
    }

    /// Whether nothing goes either way any more.
    pub fn is_over(&mut self, port: u16) -> bool {
        self.find(port)
            .is_some_and(|gate| gate.broken && gate.ended)
    }
}
