// SPDX-License-Identifier: GPL-2.0

//! An end while its peer exists: whom it rings, what it hears.

use super::{
    Channel,
    NO_BEATS,
    PENALTY, //
};
use crate::{
    apic::{self, ApicId},
    channel::Bytes,
    ffi::{
        doorbell::Doorbell,
        shared::SharedMemory, //
    },
    portable::{
        channel::{
            exchange::Exchange,
            heart::Heart,
            hello::{self, Verdict},
            status::{Status, NOTICE_MAX}, //
        },
        line::Line, //
    },
};
use kernel::{
    prelude::*,
    sync::atomic::ordering::{Relaxed, Release},
    time::{Delta, Instant, Monotonic}, //
};

/// How often beats are looked at, at most; less than the time from one tick for them to the next,
/// which comes a little early as often as late.
const BEAT_LOOK: Delta = Delta::from_millis(90);
/// What of a longer time between two looks counts.
const BEAT_LATE: Delta = Delta::from_millis(200);
/// Beats may be missed so often before a CPU counts as silent.
const BEATS_MISSED: u32 = 3;

/// Whom this end may interrupt.
pub(crate) enum Neighbours {
    /// These CPUs, which were lent to the peer.
    Lent(KVec<ApicId>),
    /// Whatever the host says.
    Host,
}

/// One end, from when the peer exists until it ends.
pub(super) struct Live {
    pub(super) exchange: Exchange<SharedMemory, Bytes>,
    pub(super) neighbours: Neighbours,
    pub(super) bell: Option<Doorbell>,
    /// Where the peer was told to ring.
    pub(super) told: Option<hello::Doorbell>,
    pub(super) status: Status,
    pub(super) heart: Heart,
    pub(super) looked: Instant<Monotonic>,
    /// The last one of [`Channel::tick`] that was seen.
    pub(super) tick: u32,
    /// Sessions that were counted.
    pub(super) sessions: u64,
    /// Violations that were logged, and when the last one was.
    pub(super) violations: u32,
    pub(super) violated: Option<Instant<Monotonic>>,
    /// As a spawn, since when it is known to have parted.
    pub(super) parted: Option<Instant<Monotonic>>,
}

impl Live {
    /// Rings the peer, if it can be rung.
    pub(super) fn ring(&mut self) {
        let Some(bell) = self.exchange.link().doorbell() else {
            return;
        };
        match &self.neighbours {
            Neighbours::Lent(cpus) => {
                if let Some(cpu) = cpus.iter().find(|cpu| cpu.as_u32() == bell.apic_id) {
                    cpu.ring(bell.vector);
                }
            }
            Neighbours::Host => apic::ring_host(bell.apic_id, bell.vector),
        }
    }

    /// Whether there is a session with a peer that has no interrupts: an agent.
    pub(super) fn is_deaf(&mut self) -> bool {
        let terms = self.exchange.link().terms();
        terms.is_some_and(|terms| !terms.peer_sleeps)
    }

    /// Whether a session has ended, whoever was to blame, and there could be another one.
    pub(super) fn is_parted(&mut self) -> bool {
        match self.exchange.link().verdict() {
            None | Some(Verdict::Version | Verdict::Feature) => false,
            Some(_) => true,
        }
    }

    /// As a spawn, says hello again some time after that. Whether it did.
    pub(super) fn come_back(&mut self) -> bool {
        if !self.is_parted() {
            self.parted = None;
            return false;
        }
        let since = *self.parted.get_or_insert_with(Instant::now);
        let due = since.elapsed() >= PENALTY;
        if due {
            self.parted = None;
            self.exchange.link().say_hello();
        }
        due
    }

    /// Rings the peer if it sleeps for what was sent.
    pub(super) fn ring_if_asleep(&mut self) {
        if self.exchange.link().must_ring() {
            self.ring();
        }
    }

    /// Whether the peer has panicked, and what it said.
    pub(super) fn listen(&mut self, words: &mut Line) -> bool {
        let link = self.exchange.link();
        let generation = link.generation();
        let memory = link.memory();
        if !self.status.has_panicked(memory, generation) {
            return false;
        }
        let mut text = [0; NOTICE_MAX];
        let text = self.status.panicked(memory, generation, &mut text);
        *words = Line::new(text.unwrap_or(&[]));
        true
    }

    /// Tells the peer where to ring, if that has changed: a CPU of ours went offline.
    pub(super) fn move_bell(&mut self) {
        let now = self.bell.as_ref().and_then(Doorbell::address);
        if now != self.told {
            self.told = now;
            self.exchange.link().move_doorbell(now);
        }
    }

    /// A session has begun, perhaps with another peer: what was seen of beats is void, and who has
    /// promised some is looked at from now on, whether it has anything else to say or not.
    pub(super) fn expect_beats(&mut self, channel: &Channel) {
        self.heart = Heart::default();
        let terms = self.exchange.link().terms();
        let silence = match terms {
            Some(terms) if terms.peer_beat_ms > 0 => 0,
            _ => NO_BEATS,
        };
        channel.silence.store(silence, Relaxed);
    }

    /// Takes note of CPUs that give no beats, now and then.
    pub(super) fn look_at_beats(&mut self, channel: &Channel) {
        let passed = self.looked.elapsed();
        if passed < BEAT_LOOK {
            return;
        }
        self.looked = Instant::now();
        let link = self.exchange.link();
        let period = link.terms().map_or(0, |terms| terms.peer_beat_ms);
        if period == 0 {
            channel.silence.store(NO_BEATS, Relaxed);
            return;
        }
        // Where this thread, or the whole machine, stood still, the peer is not to blame.
        let passed = passed.min(BEAT_LATE);
        let passed = u32::try_from(passed.as_millis()).unwrap_or(0);
        let worst = self.heart.look(link.memory(), &self.status, passed);
        channel
            .silence
            .store(worst.map_or(0, |(_, ms)| ms), Relaxed);
        let limit = match channel.patience() {
            0 => return,
            ms => ms.max(period.saturating_mul(BEATS_MISSED)),
        };
        if let Some((cpu, ms)) = worst {
            if ms >= limit {
                channel.death.store((cpu as u32).saturating_add(2), Release);
            }
        }
    }
}
