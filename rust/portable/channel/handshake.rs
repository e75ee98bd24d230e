// SPDX-License-Identifier: GPL-2.0

//! How two sides meet, and part. See "Meeting" in Documentation/wire-protocol.rst.

use super::{
    duplex::Duplex,
    hello::{
        Doorbell,
        Offer,
        Page,
        Session,
        Terms,
        Verdict, //
    },
    layout::{
        Region,
        Role, //
    },
    ring::{
        Consumer,
        Producer, //
    },
    shared::Shared, //
};

/// How far two sides are.
#[derive(Clone, Debug)]
pub enum State {
    /// The peer is not there, or has not answered.
    Waiting,
    /// The host has answered, and waits for the spawn to agree.
    Answered(Terms, Duplex),
    /// They talk.
    Open(Terms, Duplex),
    /// They do not, and one of them has said why. A host goes on to look for a new hello; a spawn
    /// says one.
    Closed(Verdict),
}

/// What the peer's session word asks for.
enum Step {
    Lose,
    Answer,
    Accept,
    Agree,
}

/// One side.
#[derive(Clone, Debug)]
pub struct Handshake {
    region: Region,
    role: Role,
    offer: Offer,
    own: Page,
    peer: Page,
    /// What our session word says.
    session: Session,
    /// The last ticket: that a host has answered, or that a spawn has chosen.
    ticket: u32,
    /// The last generation that a host has given.
    generation: u32,
    state: State,
}

impl Handshake {
    /// Says hello as the host. `generation` is at least any that was ever given in this region.
    pub fn host(region: Region, offer: Offer, generation: u32, memory: &impl Shared) -> Self {
        let mut host = Self::new(region, Role::Host, offer);
        host.generation = generation;
        host.ticket = 0;
        host.own.write(memory, &offer);
        let generation = host.next_generation();
        host.set_session(
            memory,
            Session {
                generation,
                ticket: 0,
            },
        );
        host
    }

    /// Says hello as the spawn. The host has a doorbell to be rung, perhaps.
    pub fn spawn(region: Region, offer: Offer, memory: &impl Shared) -> Self {
        let mut spawn = Self::new(region, Role::Spawn, offer);
        // Whoever was here before has told the host a ticket.
        spawn.ticket = spawn.own.session(memory).ticket;
        spawn.say_hello(memory);
        spawn
    }

    fn new(region: Region, role: Role, offer: Offer) -> Self {
        Self {
            region,
            role,
            offer,
            own: Page::new(&region, role),
            peer: Page::new(&region, role.peer()),
            session: Session::default(),
            ticket: 0,
            generation: 0,
            state: State::Waiting,
        }
    }

    /// As a spawn, says hello with a new ticket.
    pub fn say_hello(&mut self, memory: &impl Shared) {
        let known = self.peer.session(memory).ticket;
        let mut tickets = (1..=3).map(|i| self.ticket.wrapping_add(i));
        self.ticket = tickets.find(|&t| t != 0 && t != known).unwrap_or(1);
        self.own.write(memory, &self.offer);
        self.set_session(
            memory,
            Session {
                generation: 0,
                ticket: self.ticket,
            },
        );
        self.state = State::Waiting;
    }

    /// Tells the peer of another doorbell, now and in each hello to come.
    pub fn move_doorbell(&mut self, memory: &impl Shared, doorbell: Option<Doorbell>) {
        self.offer.doorbell = doorbell;
        self.own.set_doorbell(memory, doorbell);
    }

    /// How far it is.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The generation of the session that our word tells.
    pub fn generation(&self) -> u32 {
        self.session.generation
    }

    /// The last generation that this side has given, as a host, or that its word tells.
    pub fn last_generation(&self) -> u32 {
        self.generation.max(self.session.generation)
    }

    /// Both ends, if they are open.
    pub fn duplex(&mut self) -> Option<&mut Duplex> {
        match &mut self.state {
            State::Open(_, duplex) => Some(duplex),
            _ => None,
        }
    }

    /// The peer's hello, for its doorbell.
    pub fn peer(&self) -> &Page {
        &self.peer
    }

    /// The own hello, to change the doorbell.
    pub fn own(&self) -> &Page {
        &self.own
    }

    fn set_session(&mut self, memory: &impl Shared, session: Session) {
        self.own.set_session(memory, session);
        self.session = session;
    }

    fn next_generation(&mut self) -> u32 {
        self.generation = self.generation.wrapping_add(1).max(1);
        self.generation
    }

    /// Which step there is to take, given the peer's session word.
    fn next(&self, theirs: Session) -> Option<Step> {
        let greets = theirs.generation == 0 && ![0, self.ticket].contains(&theirs.ticket);
        match (&self.state, self.role) {
            (State::Open(..), _) => (theirs != self.session).then_some(Step::Lose),
            (_, Role::Host) if greets => Some(Step::Answer),
            (State::Answered(..), _) => (theirs == self.session).then_some(Step::Agree),
            (State::Waiting, Role::Spawn) => {
                let answers = theirs.generation != 0 && theirs.ticket == self.ticket;
                answers.then_some(Step::Accept)
            }
            (State::Waiting | State::Closed(_), _) => None,
        }
    }

    /// Whether there is a step to take.
    pub fn is_news(&self, memory: &impl Shared) -> bool {
        self.next(self.peer.session(memory)).is_some()
    }

    /// Where the peer's session word is, and what it is; another one if there is a step to take.
    pub fn sign(&self, memory: &impl Shared) -> (usize, u64) {
        let (at, word) = self.peer.session_word(memory);
        match self.next(Session::decode(word)) {
            Some(_) => (at, !word),
            None => (at, word),
        }
    }

    /// Takes one step, if there is one. Whether the peer is to be rung; until it is not, there may
    /// be another one.
    #[must_use]
    pub fn step(&mut self, memory: &impl Shared) -> bool {
        let theirs = self.peer.session(memory);
        match self.next(theirs) {
            Some(Step::Lose) => self.lose(memory),
            Some(Step::Answer) => self.answer(memory, theirs),
            Some(Step::Accept) => self.accept(memory, theirs),
            Some(Step::Agree) => self.agree(memory),
            None => false,
        }
    }

    /// The peer is in another session, or in none.
    fn lose(&mut self, memory: &impl Shared) -> bool {
        let verdict = self.peer.verdict(memory);
        self.close(memory, verdict.unwrap_or(Verdict::Gone));
        true
    }

    /// As the host, answers a hello.
    fn answer(&mut self, memory: &impl Shared, theirs: Session) -> bool {
        let Some(offer) = self.peer.read(memory, theirs) else {
            return false;
        };
        self.ticket = theirs.ticket;
        let terms = offer.and_then(|offer| self.offer.agree(&offer));
        let generation = self.next_generation();
        self.state = self.meet(memory, generation, terms, State::Answered);
        self.set_session(
            memory,
            Session {
                generation,
                ticket: self.ticket,
            },
        );
        true
    }

    /// As the spawn, takes the host's answer for its own.
    fn accept(&mut self, memory: &impl Shared, theirs: Session) -> bool {
        let Some(offer) = self.peer.read(memory, theirs) else {
            return false;
        };
        let terms = offer.and_then(|offer| self.offer.agree(&offer));
        self.state = self.meet(memory, theirs.generation, terms, State::Open);
        self.set_session(memory, theirs);
        true
    }

    /// As the host, sees that the spawn agrees, or does not.
    fn agree(&mut self, memory: &impl Shared) -> bool {
        let state = core::mem::replace(&mut self.state, State::Waiting);
        self.state = match (state, self.peer.verdict(memory)) {
            (_, Some(verdict)) => State::Closed(verdict),
            (State::Answered(terms, duplex), None) => State::Open(terms, duplex),
            (state, None) => state,
        };
        false
    }

    /// Prepares for what the next session word announces.
    fn meet(
        &self,
        memory: &impl Shared,
        generation: u32,
        terms: Result<Terms, Verdict>,
        met: impl FnOnce(Terms, Duplex) -> State,
    ) -> State {
        self.own
            .set_verdict(memory, terms.err(), self.offer.beat_ms);
        match terms {
            Err(verdict) => State::Closed(verdict),
            Ok(terms) => {
                let duplex = Duplex {
                    producer: Producer::new(self.region.ring(self.role), generation),
                    consumer: Consumer::new(self.region.ring(self.role.peer()), generation, memory),
                };
                met(terms, duplex)
            }
        }
    }

    /// Leaves the session. The peer is to be rung.
    pub fn close(&mut self, memory: &impl Shared, verdict: Verdict) {
        self.own
            .set_verdict(memory, Some(verdict), self.offer.beat_ms);
        let generation = 0;
        self.set_session(
            memory,
            Session {
                generation,
                ticket: self.ticket,
            },
        );
        self.state = State::Closed(verdict);
    }
}
