// SPDX-License-Identifier: GPL-2.0

//! One side of the channel: sessions and messages.

mod receive;
mod send;

use super::{
    duplex::Sleep,
    handshake::{
        Handshake,
        State, //
    },
    hello::{
        Doorbell,
        Offer,
        Terms,
        Verdict, //
    },
    layout::Region,
    message::{
        Class,
        Violation, //
    },
    shared::Shared, //
};

/// Why a message was not sent or received.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No session: EPIPE when there was one, ENOTCONN.
    NotOpen,
    /// No credit; later there may be: EAGAIN.
    Full,
    /// Longer than messages are, or than the room for it: EMSGSIZE.
    TooLong,
    /// Another message is unfinished: EBUSY.
    Unfinished,
    /// The message that was being received has become void.
    Void,
}

/// What was received: the length of the message, and what it is.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is.
    pub class: Class,
    /// Bytes, at most [`MESSAGE_MAX`].
    pub length: u32,
}

/// A message of which there is a part.
#[derive(Copy, Clone, Debug)]
struct Unfinished {
    class: Class,
    length: usize,
}

/// Words, by offset, that tell whether there may be something to do.
#[derive(Copy, Clone, Debug)]
pub struct Signs {
    /// The next frame is there when this is its stamp.
    pub frame: (usize, u64),
    /// Frames were received by the peer when this is another one.
    pub credit: (usize, u64),
    /// The peer is in another session when this is another one.
    pub session: (usize, u64),
}

impl Signs {
    /// Whether there may be something to do.
    pub fn is_news(&self, memory: &impl Shared) -> bool {
        let is = |(at, word): (usize, u64)| memory.load(at) == word;
        is(self.frame) || !is(self.credit) || !is(self.session)
    }
}

/// One side.
#[derive(Clone, Debug)]
pub struct Link<M> {
    memory: M,
    handshake: Handshake,
    sending: Option<Unfinished>,
    receiving: Option<Unfinished>,
    violations: u32,
    last_violation: Option<Violation>,
}

impl<M: Shared> Link<M> {
    /// Starts as the host. `generation` is at least any that was ever given in this memory.
    pub fn host(memory: M, offer: Offer, generation: u32) -> Option<Self> {
        let region = Region::new(memory.size())?;
        let handshake = Handshake::host(region, offer, generation, &memory);
        Some(Self::new(memory, handshake))
    }

    /// Starts as the spawn. The host is to be rung, if it has a doorbell.
    pub fn spawn(memory: M, offer: Offer) -> Option<Self> {
        let region = Region::new(memory.size())?;
        let handshake = Handshake::spawn(region, offer, &memory);
        Some(Self::new(memory, handshake))
    }

    fn new(memory: M, handshake: Handshake) -> Self {
        Self {
            memory,
            handshake,
            sending: None,
            receiving: None,
            violations: 0,
            last_violation: None,
        }
    }

    /// Looks after the session: called when the doorbell was rung, and when nothing was received.
    /// Whether the peer is to be rung.
    #[must_use]
    pub fn poll(&mut self) -> bool {
        let rung = self.handshake.step(&self.memory);
        if self.handshake.duplex().is_none() {
            self.forget();
        }
        rung
    }

    /// As a spawn, begins anew. The host is to be rung.
    pub fn say_hello(&mut self) {
        self.handshake.say_hello(&self.memory);
        self.forget();
    }

    /// Ends the session. The peer is to be rung.
    pub fn close(&mut self, verdict: Verdict) {
        self.handshake.close(&self.memory, verdict);
        self.forget();
    }

    fn forget(&mut self) {
        self.sending = None;
        self.receiving = None;
    }

    /// What was agreed, while it is open.
    pub fn terms(&self) -> Option<&Terms> {
        match self.handshake.state() {
            State::Open(terms, _) => Some(terms),
            _ => None,
        }
    }

    /// Whether both sides have this feature.
    pub fn knows(&self, feature: u64) -> bool {
        self.terms()
            .is_some_and(|terms| terms.features & feature != 0)
    }

    /// Why it is closed, if it is.
    pub fn verdict(&self) -> Option<Verdict> {
        match self.handshake.state() {
            State::Closed(verdict) => Some(*verdict),
            _ => None,
        }
    }

    /// The number of the session.
    pub fn generation(&self) -> u32 {
        self.handshake.generation()
    }

    /// How often the peer broke a rule, and which one it was.
    pub fn violations(&self) -> (u32, Option<Violation>) {
        (self.violations, self.last_violation)
    }

    /// How to ring the peer, who may name any CPU there is.
    pub fn doorbell(&self) -> Option<Doorbell> {
        self.handshake.peer().doorbell(&self.memory)
    }

    /// Tells the peer of another doorbell.
    pub fn move_doorbell(&mut self, doorbell: Option<Doorbell>) {
        self.handshake.move_doorbell(&self.memory, doorbell);
    }

    /// The memory.
    pub fn memory(&self) -> &M {
        &self.memory
    }

    /// Ends the session because the peer broke a rule, which it is to be rung for.
    #[cold]
    pub fn violated(&mut self, violation: Violation) -> Error {
        self.violations = self.violations.saturating_add(1);
        self.last_violation = Some(violation);
        self.close(Verdict::Violation);
        Error::NotOpen
    }

    /// Bytes of the longest frame, which is sent whole or not at all; 0 without a session.
    pub fn frame_max(&self) -> u32 {
        match self.handshake.state() {
            State::Open(_, duplex) => duplex.producer.frame_max(),
            _ => 0,
        }
    }

    /// What to look for without the link, as an interrupt does that nobody had to send. A word of
    /// the peer's session that came since [`Link::poll`] is news as well.
    pub fn signs(&self) -> Signs {
        let session = self.handshake.sign(&self.memory);
        let (frame, credit) = match self.handshake.state() {
            State::Open(_, duplex) => (
                duplex.consumer.awaited(),
                duplex.producer.credit(&self.memory),
            ),
            // The session says it all.
            _ => ((session.0, !session.1), session),
        };
        Signs {
            frame,
            credit,
            session,
        }
    }

    /// The last generation that was given or agreed on, in a session or in none.
    pub fn last_generation(&self) -> u32 {
        self.handshake.last_generation()
    }

    /// Whether the peer is to be rung for what was sent and received. Asked once after many calls
    /// of [`Link::send`] and [`Link::receive`].
    #[must_use]
    pub fn must_ring(&mut self) -> bool {
        // Who polls spares us the fence.
        self.terms().is_some_and(|terms| terms.peer_sleeps)
            && self
                .handshake
                .duplex()
                .is_some_and(|duplex| duplex.must_ring(&self.memory))
    }

    /// Tells the peer what was received. Whether it is to be rung, for that or for what was sent.
    #[must_use]
    pub fn tell(&mut self) -> bool {
        if let Some(duplex) = self.handshake.duplex() {
            duplex.consumer.tell(&self.memory);
        }
        self.must_ring()
    }

    /// Prepares to sleep until the doorbell rings for a frame, for more room if that is wanted, or
    /// for the session.
    pub fn sleep(&mut self, for_room: bool) -> Sleep {
        let memory = &self.memory;
        match self
            .handshake
            .duplex()
            .map(|duplex| duplex.sleep(memory, for_room))
        {
            Some(Ok(sleep)) => Sleep {
                awake: sleep.awake || self.handshake.is_news(memory),
                ..sleep
            },
            Some(Err(violation)) => {
                self.violated(violation);
                Sleep {
                    ring: true,
                    awake: true,
                }
            }
            None => Sleep {
                ring: false,
                awake: self.handshake.is_news(memory),
            },
        }
    }
}
