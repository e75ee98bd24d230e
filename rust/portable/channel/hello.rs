// SPDX-License-Identifier: GPL-2.0

//! What a side says of itself, and whether two sides can talk.

use super::{
    layout::{
        Region,
        Role,
        HELLO, //
    },
    shared::Shared, //
};

/// "MKCHANNL".
const MAGIC: u64 = u64::from_le_bytes(*b"MKCHANNL");
/// The version that this code speaks.
pub const VERSION: u16 = 1;
/// A feature: messages are returned, see [`super::echo`].
pub const ECHO: u64 = 1 << 0;
/// A feature: who has closed a port can tell that it takes nothing more either.
pub const STOP: u64 = 1 << 1;

// Offsets in the hello, see Documentation/wire-protocol.rst.
const SIZE: usize = 0x10;
const OFFERED: usize = 0x18;
const REQUIRED: usize = 0x20;
const DOORBELL: usize = 0x28;
const VERDICT: usize = 0x30;
pub(super) const SESSION: usize = 0x38;

/// Why a side does not talk.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No common version.
    Version,
    /// A required feature is missing.
    Feature,
    /// The hello cannot be understood.
    Malformed,
    /// The peer broke a rule.
    Violation,
    /// It left, or started again.
    Gone,
}

impl Verdict {
    fn encode(verdict: Option<Self>) -> u32 {
        match verdict {
            None => 0,
            Some(Self::Version) => 1,
            Some(Self::Feature) => 2,
            Some(Self::Malformed) => 3,
            Some(Self::Violation) => 4,
            Some(Self::Gone) => 5,
        }
    }

    fn decode(word: u32) -> Option<Self> {
        match word {
            0 => None,
            1 => Some(Self::Version),
            2 => Some(Self::Feature),
            4 => Some(Self::Violation),
            5 => Some(Self::Gone),
            _ => Some(Self::Malformed),
        }
    }
}

/// How the owner is interrupted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Doorbell {
    /// APIC id of the CPU. A peer's is to be checked against the CPUs that it has.
    pub apic_id: u32,
    /// Vector from 32 on.
    pub vector: u8,
}

impl Doorbell {
    fn encode(doorbell: Option<Self>) -> u64 {
        doorbell.map_or(0, |d| u64::from(d.apic_id) | u64::from(d.vector) << 32)
    }

    /// Takes a word as in the hello.
    pub fn decode(word: u64) -> Option<Self> {
        let vector = u8::try_from(word >> 32).ok().filter(|&v| v >= 32)?;
        let apic_id = word as u32;
        Some(Self { apic_id, vector })
    }
}

/// What a side can do and wants.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Newest version that it speaks.
    pub newest: u16,
    /// Oldest version that it speaks.
    pub oldest: u16,
    /// Features that it has.
    pub offered: u64,
    /// Features that it cannot do without.
    pub required: u64,
    /// How to interrupt it; it polls otherwise.
    pub doorbell: Option<Doorbell>,
    /// Its beats change at least so often; 0 if there are none.
    pub beat_ms: u32,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            newest: VERSION,
            oldest: VERSION,
            offered: ECHO | STOP,
            required: 0,
            doorbell: None,
            beat_ms: 0,
        }
    }
}

/// What two sides agreed on.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The version of the session.
    pub version: u16,
    /// Features that both have.
    pub features: u64,
    /// How often the peer's beats change, in milliseconds; 0 if there are none.
    pub peer_beat_ms: u32,
    /// The peer has a doorbell; otherwise it polls.
    pub peer_sleeps: bool,
}

impl Offer {
    /// Decides whether the two can talk. The other side comes to the same result.
    pub fn agree(&self, peer: &Self) -> Result<Terms, Verdict> {
        let version = self.newest.min(peer.newest);
        if version < self.oldest.max(peer.oldest) {
            return Err(Verdict::Version);
        }
        if (self.required & !peer.offered) | (peer.required & !self.offered) != 0 {
            return Err(Verdict::Feature);
        }
        Ok(Terms {
            version,
            features: self.offered & peer.offered,
            peer_beat_ms: peer.beat_ms,
            peer_sleeps: peer.doorbell.is_some(),
        })
    }
}

/// A session word: which session its writer is in.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Given by the host; 0 in none.
    pub generation: u32,
    /// Chosen by the spawn; 0 in none.
    pub ticket: u32,
}

impl Session {
    /// What its word says.
    pub fn decode(word: u64) -> Self {
        Self {
            generation: (word >> 32) as u32,
            ticket: word as u32,
        }
    }

    /// Its word.
    pub fn encode(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.ticket)
    }
}

/// The hello in one section.
#[derive(Copy, Clone, Debug)]
pub struct Page {
    at: usize,
    size: u64,
    role: u64,
}

impl Page {
    /// That of `owner`.
    pub fn new(region: &Region, owner: Role) -> Self {
        Self {
            at: region.section(owner).wrapping_add(HELLO),
            size: region.size() as u64,
            role: match owner {
                Role::Host => 1,
                Role::Spawn => 2,
            },
        }
    }

    fn at(&self, field: usize) -> usize {
        self.at.wrapping_add(field)
    }

    /// Where the session word is, and what it is.
    pub fn session_word(&self, memory: &impl Shared) -> (usize, u64) {
        let at = self.at(SESSION);
        (at, memory.load(at))
    }

    /// Reads the session word, and lets what its writer wrote before be seen.
    pub fn session(&self, memory: &impl Shared) -> Session {
        // ORDERING: acquire pairs with the release in `set_session`.
        Session::decode(memory.load_acquire(self.at(SESSION)))
    }

    /// Writes the session word after all else.
    pub fn set_session(&self, memory: &impl Shared, session: Session) {
        // ORDERING: release pairs with the acquire in `session`.
        memory.store_release(self.at(SESSION), session.encode());
    }

    /// Writes the verdict, which shows with the next session word.
    pub fn set_verdict(&self, memory: &impl Shared, verdict: Option<Verdict>, beat_ms: u32) {
        let word = u64::from(Verdict::encode(verdict)) | u64::from(beat_ms) << 32;
        memory.store(self.at(VERDICT), word);
    }

    /// Why the owner does not talk, if it does not.
    pub fn verdict(&self, memory: &impl Shared) -> Option<Verdict> {
        Verdict::decode(memory.load(self.at(VERDICT)) as u32)
    }

    /// Changes how the owner is interrupted.
    pub fn set_doorbell(&self, memory: &impl Shared, doorbell: Option<Doorbell>) {
        memory.store(self.at(DOORBELL), Doorbell::encode(doorbell));
    }

    /// How the owner is interrupted; read before each time, since it changes.
    pub fn doorbell(&self, memory: &impl Shared) -> Option<Doorbell> {
        Doorbell::decode(memory.load(self.at(DOORBELL)))
    }

    /// Writes all but the session word, which is 0 meanwhile.
    pub fn write(&self, memory: &impl Shared, offer: &Offer) {
        self.set_session(memory, Session::default());
        // ORDERING: the word before what follows. Pairs with the fence in `read`.
        memory.full_fence();
        let versions = u64::from(offer.newest) | u64::from(offer.oldest) << 16;
        memory.store(self.at(0), MAGIC);
        memory.store(self.at(8), versions | self.role << 32);
        memory.store(self.at(SIZE), self.size);
        memory.store(self.at(OFFERED), offer.offered);
        memory.store(self.at(REQUIRED), offer.required);
        self.set_doorbell(memory, offer.doorbell);
        self.set_verdict(memory, None, offer.beat_ms);
    }

    /// Reads what was written before `session` was, and is in force still: nothing if it is not.
    pub fn read(&self, memory: &impl Shared, session: Session) -> Option<Result<Offer, Verdict>> {
        let [magic, versions, size, offered, required, doorbell, verdict] =
            [0, 8, SIZE, OFFERED, REQUIRED, DOORBELL, VERDICT]
                .map(|field| memory.load(self.at(field)));
        // ORDERING: what was read before the second look at the word. Pairs with the fence in
        // `write`.
        memory.full_fence();
        if self.session(memory) != session {
            return None;
        }
        if let Some(verdict) = Verdict::decode(verdict as u32) {
            return Some(Err(verdict));
        }
        if magic != MAGIC || versions >> 32 != self.role || size != self.size {
            return Some(Err(Verdict::Malformed));
        }
        Some(Ok(Offer {
            newest: versions as u16,
            oldest: (versions >> 16) as u16,
            offered,
            required,
            doorbell: Doorbell::decode(doorbell),
            beat_ms: (verdict >> 32) as u32,
        }))
    }
}
