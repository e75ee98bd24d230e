// SPDX-License-Identifier: GPL-2.0

//! One end of a channel to another kernel: see Documentation/wire-protocol.rst.
//!
//! Work is done by whoever comes: a thread that reads or writes, or the work queue, called by the
//! doorbell, or by a timer for a peer that cannot ring.

mod port;
mod signs;

pub(crate) use port::{Handle, Port};

use crate::{
    apic::{self, ApicId},
    ffi::{
        doorbell::{Doorbell, Rung},
        shared::SharedMemory,
        spawn,
        work::OwnedQueue, //
    },
    portable::{
        channel::{
            control::Control,
            exchange::{Exchange, Gates},
            heart::Heart,
            hello::{self, Offer, Page, Verdict},
            layout::{Region, Role},
            link::Link,
            message::MESSAGE_MAX,
            shared::Shared,
            status::{Status, NOTICE_MAX}, //
        },
        line::Line,
        name::Name, //
    },
};
use kernel::{
    alloc::KVVec,
    impl_has_work,
    new_mutex,
    new_poll_condvar,
    new_work,
    prelude::*,
    sync::{
        atomic::{
            ordering::{Acquire, Relaxed, Release},
            Atomic, //
        },
        lock::{mutex::MutexBackend, Guard},
        poll::PollCondVar,
        Arc,
        ArcBorrow,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::{self, Delta, Instant, Monotonic},
    workqueue::{Work, WorkItem}, //
};
use signs::Signs;

/// Bytes of the queue behind each port.
const QUEUE: usize = 64 << 10;
/// How long a peer is not heard that broke a rule.
const PENALTY: Delta = Delta::from_millis(1000);
/// How often beats are looked at.
const BEAT_LOOK: Delta = Delta::from_millis(250);
/// What of a longer time between two looks counts.
const BEAT_LATE: Delta = Delta::from_millis(500);
/// Calls of [`Channel::tick`] in that time, at most.
const BEAT_TICKS: u32 = 100;
/// No CPU of the peer's has beats.
const NO_BEATS: u32 = u32::MAX;
/// Beats may be missed so often before a CPU counts as silent.
const BEATS_MISSED: u32 = 3;

/// How often our own beats change.
const BEAT_MS: u32 = 250;

/// A buffer, as the portable code wants it.
pub(crate) struct Bytes(KVVec<u8>);

impl Bytes {
    fn new(len: usize) -> Result<Self> {
        Ok(Self(KVVec::from_elem(0, len, GFP_KERNEL)?))
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl AsMut<[u8]> for Bytes {
    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// What a peer seems to have died of.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Death {
    /// It said so.
    Panic,
    /// Its CPU with this number, of its own counting, gives no beats.
    Silence(u32),
}

/// Whom this end may interrupt.
pub(crate) enum Neighbours {
    /// These CPUs, which were lent to the peer.
    Lent(KVec<ApicId>),
    /// Whatever the host says.
    Host,
}

/// One end, from when the peer exists until it ends.
struct Live {
    exchange: Exchange<SharedMemory, Bytes>,
    neighbours: Neighbours,
    bell: Option<Doorbell>,
    /// Where the peer was told to ring.
    told: Option<hello::Doorbell>,
    status: Status,
    heart: Heart,
    looked: Instant<Monotonic>,
    /// Violations that were logged, and when the last one was.
    violations: u32,
    violated: Option<Instant<Monotonic>>,
}

struct Inner {
    live: Option<Live>,
    gates: Gates<Bytes>,
    /// For the next peer.
    buffer: Option<Bytes>,
    /// Threads that wait for room.
    writers: u32,
    /// The last generation given.
    generation: u32,
    /// Peers that there were.
    lives: u64,
    /// What the last one said of its panic.
    last_words: Line,
}

/// One end.
#[pin_data]
pub(crate) struct Channel {
    name: Name,
    role: Role,
    queue: Arc<OwnedQueue>,
    #[pin]
    inner: Mutex<Inner>,
    /// Woken when anything may have changed.
    #[pin]
    changed: PollCondVar,
    #[pin]
    work: Work<Self>,
    signs: Signs,
    /// How long the peer's most silent CPU has been silent, in ms.
    silence: Atomic<u32>,
    /// From how many ms on that is too long; 0: never.
    patience: Atomic<u32>,
    /// See [`Death`].
    death: Atomic<u32>,
    ticks: Atomic<u32>,
    /// Threads that wait, and serve when they wake.
    waiters: Atomic<u32>,
    /// How long a peer gets for a poweroff, in ms.
    stop_timeout: Atomic<u32>,
    sessions: Atomic<u64>,
    violations: Atomic<u64>,
}

/// The peer exists; dropping it ends all sessions, and nothing looks at the memory any more.
pub(crate) struct Open(Arc<Channel>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Channel {
    /// An end without a peer.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(name: Name, role: Role, queue: Arc<OwnedQueue>) -> Result<Arc<Self>> {
        let empty = || Bytes::new(QUEUE);
        let gates = Gates::new([empty()?, empty()?, empty()?, empty()?]);
        Arc::pin_init(
            pin_init!(Self {
                name,
                role,
                queue,
                inner <- new_mutex!(Inner { live: None, gates, buffer: None, writers: 0, generation: 0, lives: 0, last_words: Line::default() }),
                changed <- new_poll_condvar!("Channel::changed"),
                work <- new_work!("Channel::work"),
                signs: Signs::new(),
                silence: Atomic::new(NO_BEATS),
                patience: Atomic::new(1000),
                death: Atomic::new(0),
                ticks: Atomic::new(0),
                waiters: Atomic::new(0),
                stop_timeout: Atomic::new(10_000),
                sessions: Atomic::new(0),
                violations: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Begins with a peer that will use, or uses, this memory.
    ///
    /// # Errors
    ///
    /// ENOMEM, EINVAL for a size that the protocol does not know.
    pub(crate) fn begin(
        self: &Arc<Self>,
        memory: SharedMemory,
        neighbours: Neighbours,
    ) -> Result<Open> {
        let region = Region::new(memory.size()).ok_or(EINVAL)?;
        // Without a vector the timer does it, later.
        let bell = Doorbell::new(self.name.as_str(), self.clone()).ok();
        let told = bell.as_ref().and_then(Doorbell::address);
        let mut inner = self.inner.lock();
        // A mebibyte, and so kept from one life to the next.
        let buffer = match inner.buffer.take() {
            Some(buffer) => buffer,
            None => Bytes::new(MESSAGE_MAX)?,
        };
        let offer = Offer {
            doorbell: told,
            beat_ms: if self.role == Role::Spawn { BEAT_MS } else { 0 },
            ..Offer::default()
        };
        let link = match self.role {
            Role::Host => Link::host(memory, offer, inner.generation),
            Role::Spawn => Link::spawn(memory, offer),
        };
        let exchange = Exchange::new(link.ok_or(EINVAL)?, buffer, self.role == Role::Spawn);
        inner.gates.begin();
        inner.lives = inner.lives.wrapping_add(1);
        inner.live = Some(Live {
            exchange: exchange.ok_or(EINVAL)?,
            neighbours,
            bell,
            told,
            status: Status::new(&region, self.role.peer()),
            heart: Heart::default(),
            looked: Instant::now(),
            violations: 0,
            violated: None,
        });
        self.death.store(0, Relaxed);
        inner.last_words = Line::default();
        // As a spawn, rings.
        self.turn(&mut inner);
        drop(inner);
        self.changed.notify_all();
        Ok(Open(self.clone()))
    }

    /// Ends all sessions.
    pub(crate) fn end(&self) {
        let mut inner = self.inner.lock();
        let mut live = inner.live.take();
        inner.gates.end();
        if let Some(live) = &mut live {
            // A host's peer is dead, or as good as dead.
            if self.role == Role::Spawn {
                live.exchange.link().close(Verdict::Gone);
                live.ring();
            }
            inner.generation = live.exchange.link().generation().max(inner.generation);
        }
        drop(inner);
        self.signs.forget();
        self.silence.store(NO_BEATS, Relaxed);
        self.changed.notify_all();
        if let Some(Live { exchange, bell, .. }) = live {
            self.inner.lock().buffer = Some(exchange.into_buffer());
            // Waits for the interrupt, which does not wait for the lock.
            drop(bell);
        }
    }

    /// Has [`Channel::serve`] called soon; in any context.
    fn poke(self: &Arc<Self>) {
        // Queued already is as good.
        let _ = self.queue.queue().enqueue(self.clone());
    }

    /// Called at least every 5 ms while there is a peer, in hard interrupt context: looks for what
    /// no doorbell was rung for.
    pub(crate) fn tick(self: &Arc<Self>, memory: &SharedMemory) {
        let beats = self.silence.load(Relaxed) != NO_BEATS;
        let tick = self.ticks.fetch_add(1, Relaxed);
        if (beats && tick % BEAT_TICKS == 0) || self.signs.is_news(memory) {
            self.poke();
        }
    }

    /// What the peer seems to have died of.
    pub(crate) fn death(&self) -> Option<Death> {
        match self.death.load(Acquire) {
            0 => None,
            1 => Some(Death::Panic),
            cpu => Some(Death::Silence(cpu.wrapping_sub(2))),
        }
    }

    /// What it said of its panic.
    pub(crate) fn last_words(&self) -> Line {
        self.inner.lock().last_words
    }

    /// How long the peer's most silent CPU has been silent, in ms.
    pub(crate) fn silence(&self) -> Option<u32> {
        Some(self.silence.load(Relaxed)).filter(|&ms| ms != NO_BEATS)
    }

    /// From how many milliseconds on silence is too long; 0 is never.
    pub(crate) fn patience(&self) -> u32 {
        self.patience.load(Relaxed)
    }

    /// Changes it.
    pub(crate) fn set_patience(&self, ms: u32) {
        self.patience.store(ms, Relaxed);
    }

    /// Sessions and violations that there were.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sessions.load(Relaxed), self.violations.load(Relaxed))
    }

    /// How long a peer gets for a poweroff, in ms.
    pub(crate) fn stop_timeout(&self) -> u32 {
        self.stop_timeout.load(Relaxed)
    }

    /// Changes it.
    pub(crate) fn set_stop_timeout(&self, ms: u32) {
        self.stop_timeout.store(ms, Relaxed);
    }

    /// Asks the peer for a poweroff within `ms` milliseconds. Whether there is somebody to ask.
    pub(crate) fn ask_shutdown(&self, ms: u32) -> bool {
        let mut inner = self.inner.lock();
        self.turn(&mut inner);
        let asked = match &mut inner.live {
            Some(live) if ms > 0 => live.exchange.tell(Control::Shutdown(ms)).is_ok(),
            _ => false,
        };
        self.turn(&mut inner);
        asked
    }

    /// Waits until the peer has ended.
    ///
    /// # Errors
    ///
    /// EINTR on a signal; none when it has not ended within `ms` milliseconds.
    pub(crate) fn wait_for_end(&self, ms: u32) -> Result {
        let mut inner = self.inner.lock();
        let life = inner.lives;
        let mut left = time::msecs_to_jiffies(ms);
        while inner.live.is_some() && inner.lives == life {
            match self.changed.wait_interruptible_timeout(&mut inner, left) {
                CondVarTimeoutResult::Woken { jiffies } => left = jiffies,
                CondVarTimeoutResult::Timeout => break,
                CondVarTimeoutResult::Signal { .. } => return Err(EINTR),
            }
        }
        Ok(())
    }

    /// Answers what the peer wants, and does it where it is the host that asks.
    fn obey(&self, live: &mut Live, request: Control) {
        let errno = match (self.role, request) {
            (Role::Spawn, Control::Shutdown(_) | Control::Reboot(_)) => 0,
            // For terminals, which this end has not.
            (_, Control::Resize(..)) => return,
            _ => EPERM.to_errno().unsigned_abs(),
        };
        // It may be lost: there was no room.
        let _ = live.exchange.tell(Control::Answer(errno));
        match (errno, request) {
            (0, Control::Shutdown(_)) => spawn::poweroff(),
            (0, Control::Reboot(_)) => spawn::reboot(),
            _ => {}
        }
    }

    /// As a spawn, rings the host without a lock.
    pub(crate) fn ring_blindly(&self, memory: &SharedMemory) {
        let region = Region::new(memory.size());
        let bell = region.and_then(|r| Page::new(&r, self.role.peer()).doorbell(memory));
        if let Some(bell) = bell {
            apic::ring_host(bell.apic_id, bell.vector);
        }
    }

    fn serve(self: &Arc<Self>) {
        let again = self.turn(&mut self.inner.lock());
        self.changed.notify_all();
        if again {
            self.poke();
        }
    }

    /// Waits for a change. Whether a signal came first.
    fn wait(&self, inner: &mut Guard<'_, Inner, MutexBackend>) -> bool {
        self.waiters.fetch_add(1, Relaxed);
        let interrupted = self.changed.wait_interruptible(inner);
        self.waiters.fetch_sub(1, Relaxed);
        interrupted
    }

    /// Takes in what has come and sends what is due. Whether there is more to do.
    fn turn(&self, inner: &mut Inner) -> bool {
        let for_room = inner.writers > 0;
        let Some(live) = &mut inner.live else {
            return false;
        };
        live.look_at_beats(self);
        if live.listen(&mut inner.last_words) {
            self.death.store(1, Release);
        }
        if live.violated.is_some_and(|when| when.elapsed() < PENALTY) {
            return false;
        }
        live.move_bell();
        let mut served = live.exchange.serve(&mut inner.gates, for_room);
        if let Some(request) = live.exchange.request() {
            self.obey(live, request);
            served.again = true;
        }
        self.sessions.store(live.exchange.sessions(), Relaxed);
        let link = live.exchange.link();
        let (violations, last) = link.violations();
        if violations != live.violations {
            live.violations = violations;
            live.violated = Some(Instant::now());
            self.violations.fetch_add(1, Relaxed);
            pr_warn!(
                "{}: the peer broke a rule of the channel ({last:?}); not heard for a second\n",
                self.name
            );
        }
        let signs = link.signs();
        served.news |= for_room && self.signs.is_other_credit(&signs);
        self.signs.set(&signs);
        if served.news {
            // Whoever takes it in, it may be for another one, who is not rung for again.
            self.changed.notify_all();
        }
        if served.ring {
            live.ring();
        }
        served.again
    }
}

impl Live {
    /// Rings the peer, if it can be rung.
    fn ring(&mut self) {
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

    /// Whether the peer has panicked, and what it said.
    fn listen(&mut self, words: &mut Line) -> bool {
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
    fn move_bell(&mut self) {
        let now = self.bell.as_ref().and_then(Doorbell::address);
        if now != self.told {
            self.told = now;
            self.exchange.link().move_doorbell(now);
        }
    }

    fn look_at_beats(&mut self, channel: &Channel) {
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
            .store(worst.map_or(NO_BEATS, |(_, ms)| ms), Relaxed);
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

impl_has_work! {
    impl HasWork<Self> for Channel { self.work }
}

impl WorkItem for Channel {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.serve();
    }
}

impl Rung for Channel {
    fn rung(this: ArcBorrow<'_, Self>) {
        if this.waiters.load(Relaxed) > 0 {
            // Who waits serves, and is there sooner than the queue. Should it have gone meanwhile,
            // the next tick sees what it left.
            this.changed.notify_all();
        } else {
            Arc::from(this).poke();
        }
    }
}
