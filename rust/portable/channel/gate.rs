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

/// Where a stream ends, and whether it was cut there.
#[derive(Copy, Clone, Debug)]
struct End {
    at: u64,
    cut: bool,
}

/// A port, with what is to be told to the peer when there is room.
#[derive(Clone, Debug)]
pub(super) struct Gate<B> {
    pub(super) queue: Queue<B>,
    /// Files that are open here.
    pub(super) users: u32,
    /// The number of the stream, from 1 on: another one begins when a side opens the port.
    stream: u64,
    /// Files that have sent something in this stream, and are open.
    writers: u32,
    /// There was a file while this stream was.
    pub(super) used: bool,
    /// Somebody has read of this stream, and not to its end.
    reads: bool,
    /// Where an older stream ends, of which not all was read.
    mark: Option<End>,
    /// The peer has opened the port.
    pub(super) met: bool,
    /// The peer sends nothing more.
    pub(super) ended: bool,
    /// It has not said so: the session was over first.
    cut: bool,
    /// The peer takes nothing more.
    pub(super) broken: bool,
    /// This side sends nothing more.
    pub(super) closed: bool,
    pub(super) open: bool,
    pub(super) close: bool,
    pub(super) widen: u32,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Gate<B> {
    fn new(buffer: B) -> Self {
        Self {
            queue: Queue::new(buffer),
            users: 0,
            stream: 1,
            writers: 0,
            used: false,
            reads: false,
            mark: None,
            met: false,
            ended: false,
            cut: false,
            broken: false,
            closed: false,
            open: false,
            close: false,
            widen: 0,
        }
    }

    pub(super) fn must_tell(&self) -> bool {
        self.widen >= TELL
    }

    /// A side has opened the port, and the other one had not.
    pub(super) fn begin(&mut self) {
        if self.ended && (self.reads || !self.queue.is_empty()) {
            // Of several that wait the first end counts: somebody may have begun to read that one.
            let (at, cut) = (self.queue.end(), self.cut);
            self.mark.get_or_insert(End { at, cut });
        }
        self.stream = self.stream.wrapping_add(1);
        self.writers = 0;
        self.used = self.users > 0;
        self.reads = false;
        self.met = false;
        self.ended = false;
        self.cut = false;
        self.broken = false;
        self.closed = false;
        self.close = false;
    }

    /// A file has sent something; `wrote` is the last stream in which it had.
    pub(super) fn count(&mut self, wrote: &mut u64) {
        if core::mem::replace(wrote, self.stream) != self.stream {
            self.writers = self.writers.saturating_add(1);
        }
    }

    /// How many bytes can be read; 0 when an end comes first.
    fn waiting(&self) -> Option<usize> {
        match self.mark {
            // CAST: Not more than are in the queue.
            Some(mark) => Some(mark.at.saturating_sub(self.queue.start()) as usize),
            None => (self.ended || !self.queue.is_empty()).then(|| self.queue.len()),
        }
    }

    fn is_over(&self) -> bool {
        (self.broken || self.closed) && self.ended
    }

    /// The session is over.
    fn lose(&mut self) {
        self.cut |= self.met && !self.ended;
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
            // Who is in the middle of a stream of that life learns how it has ended.
            let cut = match gate.mark {
                Some(end) => end.cut || end.at > gate.queue.start(),
                None => gate.cut || !gate.queue.is_empty(),
            };
            let reads = gate.reads;
            gate.queue.clear();
            gate.ended = false;
            gate.begin();
            let at = gate.queue.start();
            gate.mark = reads.then_some(End { at, cut });
        }
    }

    /// The life is over: what was received can still be read.
    pub fn end(&mut self) {
        self.all().for_each(|(_, gate)| gate.lose());
    }

    /// A file was opened on this port. The first one is for the next stream, where one is over on both
    /// sides, after what is left to be read of that.
    pub fn attach(&mut self, port: u16) {
        if let Some(gate) = self.find(port) {
            if gate.users == 0 {
                gate.mark = gate.mark.filter(|mark| mark.at > gate.queue.start());
                // A console's queue is no stream's. What was left of one is no longer met.
                if (gate.is_over() || !gate.met) && port != CONSOLE {
                    gate.met = false;
                    gate.ended = !gate.queue.is_empty();
                    gate.cut &= gate.ended;
                    gate.broken = false;
                    gate.closed = false;
                }
            }
            gate.users = gate.users.saturating_add(1);
            gate.used = true;
        }
    }

    /// It was closed; `wrote` is the last stream in which it has sent something, or 0. After the last
    /// one that has, the peer is told that there is nothing more; and after the last one of all, if
    /// the peer has said so itself.
    pub fn detach(&mut self, port: u16, wrote: u64) {
        if let Some(gate) = self.find(port) {
            let mut close = false;
            gate.users = gate.users.saturating_sub(1);
            if wrote == gate.stream {
                gate.writers = gate.writers.saturating_sub(1);
                close |= gate.writers == 0;
            }
            if gate.users == 0 {
                gate.reads = false;
                close |= gate.ended;
            }
            gate.close |= close && port != CONSOLE;
        }
    }

    /// Takes bytes out of a queue, each for one reader. Nothing when there is none yet, 0 at an end.
    pub fn take(&mut self, port: u16, to: &mut [u8]) -> Option<usize> {
        let gate = self.find(port)?;
        let there = gate.waiting()?.min(to.len());
        let taken = gate.queue.take(to.get_mut(..there).unwrap_or(&mut []));
        gate.reads |= taken > 0;
        if !gate.ended {
            gate.widen = gate.widen.saturating_add(taken as u32);
        }
        Some(taken)
    }

    /// A reader is told of the end that [`Gates::waiting`] saw. Whether the stream was cut there, which
    /// is told once.
    pub fn pass_end(&mut self, port: u16) -> bool {
        let Some(gate) = self.find(port) else {
            return false;
        };
        gate.reads = false;
        match gate.mark.take() {
            Some(end) => end.cut,
            None => core::mem::take(&mut gate.cut),
        }
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
        self.find(port)?.waiting()
    }

    /// Whether the peer takes nothing more.
    pub fn is_broken(&mut self, port: u16) -> bool {
        self.find(port).is_some_and(|gate| gate.broken)
    }

    /// Whether nothing goes either way any more.
    pub fn is_over(&mut self, port: u16) -> bool {
        self.find(port).is_some_and(|gate| gate.is_over())
    }
}
