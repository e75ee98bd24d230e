// SPDX-License-Identifier: GPL-2.0

//! One side with queues behind its ports: what a kernel has, whose users come and go.

use super::{
    control::Control,
    echo,
    link::{
        Error,
        Link,
        Message, //
    },
    message::{
        Class,
        MESSAGE_MAX, //
    },
    port::{
        Event,
        Ports, //
    },
    queue::Queue,
    shared::Shared, //
};

/// Ports that have a queue: 1 to this. Others are refused.
pub const QUEUES: usize = 4;
/// The port of the console: its queue is a memory of what was said, and never full.
pub const CONSOLE: u16 = 1;
/// The peer is told that it may send more when so many bytes were taken: seldom, since each time is
/// a message, and a doorbell where it sleeps. The rest of the window is enough until then.
const TELL: u32 = 16 << 10;
/// Most messages taken in one go.
const BUDGET: u32 = 64;
const ECONNREFUSED: u32 = 111;

/// Why bytes were not sent.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The peer has never opened that port: ENOTCONN.
    NotConnected,
    /// It did, and takes nothing more: EPIPE.
    Broken,
    /// Later, perhaps: EAGAIN.
    Full,
}

/// What this side does after [`Exchange::serve`].
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Calls it again soon: it needs not to be rung.
    Poll,
    /// Sleeps until there is something to receive.
    Sleep,
    /// Or until there is room.
    SleepForRoom,
}

/// What came of [`Exchange::serve`].
#[derive(Copy, Clone, Debug, Default)]
pub struct Served {
    /// The peer is to be rung.
    pub ring: bool,
    /// There is more to do; others get their turn first.
    pub again: bool,
    /// Something has come that others may wait for.
    pub news: bool,
}

/// A port, with what is to be told to the peer when there is room.
#[derive(Clone, Debug)]
struct Gate<B> {
    queue: Queue<B>,
    /// Files that are open here.
    users: u32,
    /// One of them has sent something.
    wrote: bool,
    /// Both sides were open, in this life.
    met: bool,
    /// The peer sends nothing more.
    ended: bool,
    /// The peer takes nothing more.
    broken: bool,
    open: bool,
    close: bool,
    widen: u32,
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

    fn must_tell(&self) -> bool {
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

    fn find(&mut self, port: u16) -> Option<&mut Gate<B>> {
        self.0.get_mut(usize::from(port).checked_sub(1)?)
    }

    fn all(&mut self) -> impl Iterator<Item = (u16, &mut Gate<B>)> {
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

/// One side, with what it was asked.
#[derive(Clone, Debug)]
pub struct Exchange<M, B> {
    link: Link<M>,
    ports: Ports,
    buffer: B,
    /// The session that `ports` are of.
    generation: Option<u32>,
    /// Ports to be refused, bit by number.
    refuse: u64,
    /// As a spawn: ports are opened for those who use them here, not only when the peer does; and
    /// the peer, which is the host, may have us linger.
    eager: bool,
    /// What the peer asks for: shutdown, reboot, a terminal's size.
    request: Option<Control>,
    /// What it answered.
    answer: Option<u32>,
    /// The number in the last message that it returned.
    returned: Option<u64>,
    /// It looks for what is returned, and is likely to ask again soon.
    lingers: bool,
    /// Sessions that were opened.
    sessions: u64,
}

impl<M: Shared, B: AsRef<[u8]> + AsMut<[u8]>> Exchange<M, B> {
    /// Begins with a link, and a buffer of [`MESSAGE_MAX`] bytes. With `eager`, as a spawn, ports are
    /// opened for those who use them on this side; a port that the peer opens is opened in any case.
    /// And the peer may ask for [`Exchange::linger`].
    pub fn new(link: Link<M>, buffer: B, eager: bool) -> Option<Self> {
        (buffer.as_ref().len() >= MESSAGE_MAX).then_some(Self {
            link,
            ports: Ports::default(),
            buffer,
            generation: None,
            refuse: 0,
            eager,
            request: None,
            answer: None,
            returned: None,
            lingers: false,
            sessions: 0,
        })
    }

    /// Gives the buffer back.
    pub fn into_buffer(self) -> B {
        self.buffer
    }

    /// The link.
    pub fn link(&mut self) -> &mut Link<M> {
        &mut self.link
    }

    /// Sessions that there were.
    pub fn sessions(&self) -> u64 {
        self.sessions
    }

    /// What the peer has asked for since the last time.
    pub fn request(&mut self) -> Option<Control> {
        self.request.take()
    }

    /// What it has answered since the last time.
    pub fn answer(&mut self) -> Option<u32> {
        self.answer.take()
    }

    /// Sends a control message that is not about ports.
    ///
    /// # Errors
    ///
    /// NotConnected, Full.
    pub fn tell(&mut self, control: Control) -> Result<(), Refusal> {
        match self.link.send(Class::Control, &control.encode()) {
            Ok(_) => Ok(()),
            Err(Error::Full | Error::Unfinished) => Err(Refusal::Full),
            Err(_) => Err(Refusal::NotConnected),
        }
    }

    /// Bytes that could be sent on a port now.
    ///
    /// # Errors
    ///
    /// NotConnected, Broken.
    pub fn room(&mut self, gates: &mut Gates<B>, port: u16) -> Result<u32, Refusal> {
        let gate = gates.find(port).ok_or(Refusal::NotConnected)?;
        if gate.broken {
            return Err(Refusal::Broken);
        }
        let room = match self.link.terms() {
            Some(_) => self.ports.room(port).ok(),
            None => None,
        };
        room.ok_or(if gate.met {
            Refusal::Broken
        } else {
            Refusal::NotConnected
        })
    }

    /// Sends bytes on a port, as many as fit in one frame.
    ///
    /// # Errors
    ///
    /// Those of [`Exchange::room`], and Full.
    pub fn send(
        &mut self,
        gates: &mut Gates<B>,
        port: u16,
        bytes: &[u8],
    ) -> Result<usize, Refusal> {
        let room = self.room(gates, port)?.min(self.link.frame_max());
        let part = bytes.get(..room as usize).unwrap_or(bytes);
        if part.is_empty() {
            return Err(Refusal::Full);
        }
        match self.ports.send(&mut self.link, port, part) {
            Ok(sent) => {
                if let Some(gate) = gates.find(port) {
                    gate.wrote = true;
                }
                Ok(sent)
            }
            Err(Error::Full | Error::Unfinished) => Err(Refusal::Full),
            Err(_) => Err(Refusal::Broken),
        }
    }

    /// Somebody uses a port on this side.
    pub fn used(&mut self, gates: &mut Gates<B>, port: u16) {
        if let Some(gate) = gates.find(port) {
            gate.open |= self.eager && self.generation.is_some();
        }
    }

    /// Asks for these bytes back. The first 8 are replaced: the asker looks for the answer for so
    /// many microseconds before it sleeps. The next 8 are the number that tells it from others.
    ///
    /// # Errors
    ///
    /// NotConnected, Full.
    pub fn ask_back(&mut self, us: u32, bytes: &mut [u8]) -> Result<(), Refusal> {
        if let Some(word) = bytes.first_chunk_mut() {
            *word = Control::EchoRequest(us).encode();
        }
        match self.link.send(Class::Control, bytes) {
            Ok(_) => Ok(()),
            Err(Error::NotOpen) => Err(Refusal::NotConnected),
            Err(_) => Err(Refusal::Full),
        }
    }

    /// The number in the last message that came back.
    pub fn returned(&self) -> Option<u64> {
        self.returned
    }

    /// Looks so often for a message, and takes it in; what else is due is left to
    /// [`Exchange::serve`]. Whether there was one.
    pub fn look(&mut self, gates: &mut Gates<B>, looks: u32, pause: impl FnMut() -> bool) -> bool {
        let message = echo::look(&mut self.link, self.buffer.as_mut(), looks, pause);
        message.map(|message| self.take(gates, message)).is_some()
    }

    /// Whether [`Exchange::linger`] is worth it, which is for [`Exchange::serve`] to say.
    pub fn lingers(&self) -> bool {
        self.lingers
    }

    /// Returns messages as soon as they come, for a while. Then [`Exchange::serve`] is due.
    pub fn linger(&mut self, gates: &mut Gates<B>, pause: impl FnMut() -> bool) {
        self.lingers = false;
        if let Some(message) = echo::linger(&mut self.link, self.buffer.as_mut(), pause) {
            self.take(gates, message);
        }
    }

    /// Takes in what has come, sends what is due, and prepares for what is done then.
    pub fn serve(&mut self, gates: &mut Gates<B>, then: Then) -> Served {
        let mut served = Served::default();
        for _ in 0..BUDGET {
            match self.link.receive(self.buffer.as_mut()) {
                Ok(Some(message)) => {
                    self.take(gates, message);
                    served.news = true;
                    if self.lingers {
                        served.ring |= self.link.must_ring();
                        break;
                    }
                    continue;
                }
                Err(Error::Void) => continue,
                // Messages are not longer than the buffer.
                Ok(None) | Err(_) => {}
            }
            served.ring |= self.link.poll();
            served.news |= self.follow(gates);
            let due = self.flush(gates);
            if then == Then::Poll && !due {
                served.ring |= self.link.tell();
                return served;
            }
            served.ring |= self.link.must_ring();
            let sleep = self.link.sleep(then == Then::SleepForRoom || due);
            served.ring |= sleep.ring;
            if !sleep.awake {
                return served;
            }
        }
        served.again = true;
        served
    }

    /// Sees whether the session is another one.
    fn follow(&mut self, gates: &mut Gates<B>) -> bool {
        let now = self.link.terms().is_some().then(|| self.link.generation());
        if now == self.generation {
            return false;
        }
        self.generation = now;
        self.ports = Ports::default();
        self.refuse = 0;
        gates.end();
        if now.is_some() {
            self.sessions = self.sessions.saturating_add(1);
            for (_, gate) in gates.all() {
                gate.open = self.eager && gate.users > 0;
            }
        }
        true
    }

    fn take(&mut self, gates: &mut Gates<B>, message: Message) {
        let bytes = self.buffer.as_mut().get_mut(..message.length as usize);
        let bytes = bytes.unwrap_or(&mut []);
        let event = match self.ports.received(message, bytes) {
            Ok(event) => event,
            Err(violation) => {
                let _ = self.link.violated(violation);
                return;
            }
        };
        match event {
            Event::Opened(port) => match gates.find(port) {
                Some(gate) => {
                    gate.open = true;
                    gate.met = true;
                    gate.ended = false;
                    gate.broken = false;
                }
                None => self.refuse |= 1u64.checked_shl(u32::from(port)).unwrap_or(0),
            },
            Event::Closed(port, errno) => {
                if let Some(gate) = gates.find(port) {
                    gate.ended = true;
                    gate.broken |= errno != 0;
                    gate.close |= gate.users == 0 || port == CONSOLE || errno != 0;
                }
            }
            Event::Bytes(port) => {
                if let Some(gate) = gates.find(port) {
                    gate.queue.push(bytes);
                    if port == CONSOLE {
                        gate.widen = gate.widen.saturating_add(message.length);
                    }
                }
            }
            Event::Other(Control::Answer(errno)) => self.answer = Some(errno),
            Event::Other(Control::EchoRequest(us)) => {
                self.lingers |= echo::answer(&mut self.link, us, bytes) && self.eager;
            }
            Event::Other(Control::EchoAnswer(_)) => {
                let number = bytes.get(8..).and_then(|rest| rest.first_chunk());
                self.returned = number.map(|number| u64::from_le_bytes(*number));
            }
            Event::Other(request) => self.request = Some(request),
            Event::Room(_) | Event::Dropped | Event::Log => {}
        }
    }

    /// Sends what is due. Whether something is left for want of room.
    fn flush(&mut self, gates: &mut Gates<B>) -> bool {
        if self.link.terms().is_none() {
            return false;
        }
        let mut due = false;
        while self.refuse != 0 {
            // CAST: At most 63.
            let port = self.refuse.trailing_zeros() as u16;
            match self.ports.close(&mut self.link, port, ECONNREFUSED) {
                Err(Error::Full | Error::Unfinished) => {
                    due = true;
                    break;
                }
                // All lower ones are gone.
                _ => self.refuse &= self.refuse.wrapping_sub(1),
            }
        }
        for (port, gate) in gates.all() {
            if gate.open {
                let window = match port {
                    CONSOLE => gate.queue.room().saturating_add(gate.queue.len()),
                    _ => gate.queue.room(),
                };
                // Full of what nobody has read: later.
                if window > 0 {
                    match self.ports.open(&mut self.link, port, window as u32) {
                        Ok(()) => {
                            gate.open = false;
                            // What was taken is part of this window.
                            gate.widen = 0;
                        }
                        Err(Error::Full) => due = true,
                        Err(_) => gate.open = false,
                    }
                }
            }
            if gate.must_tell() {
                match self.ports.widen(&mut self.link, port, gate.widen) {
                    Err(Error::Full | Error::Unfinished) => due = true,
                    _ => gate.widen = 0,
                }
            }
            if gate.close && !self.ports.is_open(port) {
                gate.close = gate.open;
            } else if gate.close {
                match self.ports.close(&mut self.link, port, 0) {
                    Err(Error::Full | Error::Unfinished) => due = true,
                    _ => {
                        gate.close = false;
                        gate.broken = true;
                    }
                }
            }
        }
        due
    }
}
