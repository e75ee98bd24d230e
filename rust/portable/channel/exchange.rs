// SPDX-License-Identifier: GPL-2.0

//! One side with queues behind its ports.

mod serve;

use super::{
    control::Control,
    echo,
    gate::Gates,
    link::{
        Error,
        Link, //
    },
    message::{
        Class,
        MESSAGE_MAX, //
    },
    port::Ports,
    shared::Shared, //
};

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
    /// Violations for which the peer was rung.
    violations: u32,
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
            violations: 0,
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

    /// Bytes that the peer takes on a port now.
    ///
    /// # Errors
    ///
    /// NotConnected, Broken.
    pub fn room(&mut self, gates: &mut Gates<B>, port: u16) -> Result<u32, Refusal> {
        let gate = gates.find(port).ok_or(Refusal::NotConnected)?;
        if gate.broken || gate.closed {
            return Err(Refusal::Broken);
        }
        let room = match self.link.terms() {
            Some(_) => self.ports.room(port).ok(),
            None => None,
        };
        room.ok_or(if gate.met && !gate.open {
            Refusal::Broken
        } else {
            Refusal::NotConnected
        })
    }

    /// Sends bytes on a port, as many as fit in one frame. None is enough for an end to be told. In
    /// `wrote`, 0 at first, there is what [`Gates::detach`] wants to know of the file.
    ///
    /// # Errors
    ///
    /// Those of [`Exchange::room`], and Full.
    pub fn send(
        &mut self,
        gates: &mut Gates<B>,
        port: u16,
        wrote: &mut u64,
        bytes: &[u8],
    ) -> Result<usize, Refusal> {
        let room = self.room(gates, port)?.min(self.link.frame_max());
        let part = bytes.get(..room as usize).unwrap_or(bytes);
        let sent = match part {
            [] if bytes.is_empty() => Ok(0),
            [] => Err(Error::Full),
            part => self.ports.send(&mut self.link, port, part),
        };
        match sent {
            Ok(sent) => {
                if let Some(gate) = gates.find(port) {
                    gate.count(wrote);
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
}
