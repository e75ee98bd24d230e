// SPDX-License-Identifier: GPL-2.0

//! One end of a channel to another kernel: see Documentation/wire-protocol.rst.
//!
//! Work is done by whoever comes: a thread that reads or writes, that of a spawn's doorbell, or the work
//! queue, called by a host's doorbell, or by a timer for a peer that cannot ring.

mod live;
mod orders;
mod ping;
mod port;
mod signs;

pub(crate) use live::Neighbours;
pub(crate) use orders::Death;
pub(crate) use port::{Handle, Port};

use crate::{
    ffi::{
        doorbell::{Doorbell, Rung},
        pages::relax,
        shared::SharedMemory,
        work::OwnedQueue, //
    },
    portable::{
        channel::{
            exchange::{Exchange, Served, Then},
            gate::Gates,
            heart::Heart,
            hello::{Offer, Verdict},
            layout::{Region, Role},
            link::Link,
            message::MESSAGE_MAX,
            shared::Shared,
            status::Status, //
        },
        line::Line,
        name::Name,
        ping::Times, //
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
            ordering::{Relaxed, Release},
            Atomic, //
        },
        lock::{mutex::MutexBackend, Guard},
        poll::PollCondVar,
        Arc,
        ArcBorrow,
        CondVarTimeoutResult,
        Mutex, //
    },
    time::{
        self,
        Delta,
        Instant,
        Monotonic, //
    },
    workqueue::{Work, WorkItem}, //
};
use live::Live;
use signs::Signs;

/// Bytes of the queue behind each port.
const QUEUE: usize = 64 << 10;
/// How long a peer is not heard that broke a rule.
const PENALTY: Delta = Delta::from_millis(1000);
/// Turns after a peer's death in which all is taken that it has left: a region has no more slots.
const LAST_TURNS: u32 = 64;
/// A host looks at beats in one of so many calls of [`Channel::tick`]: each 100 ms, if all come.
const BEAT_TICKS: u32 = 40;
/// The peer has promised no beats.
const NO_BEATS: u32 = u32::MAX;

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

struct Inner {
    live: Option<Live>,
    gates: Gates<Bytes>,
    /// For the next peer.
    buffer: Option<Bytes>,
    /// Threads that wait for room.
    writers: u32,
    /// Open files that poll(2) or the like has waited for.
    watched: u32,
    /// A thread reads again and again, and needs no doorbell.
    polling: bool,
    /// It has, since [`Channel::serve_once`] looked.
    polled: bool,
    /// Threads that look again and again before they wait.
    eager: u32,
    /// The last generation given.
    generation: u32,
    /// Peers that there were.
    lives: u64,
    /// [`Channel::ping`] is being done; what came of the last one; the number in its last message.
    pings: bool,
    pinged: Option<Times>,
    asked: u64,
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
    /// As a spawn, a session is over, and a new one is due after a while.
    parted: Atomic<bool>,
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
                inner <- new_mutex!(Inner { live: None, gates, buffer: None, writers: 0, watched: 0, polling: false, polled: false, eager: 0, pings: false, pinged: None, asked: 0, generation: 0, lives: 0, last_words: Line::default() }),
                changed <- new_poll_condvar!("Channel::changed"),
                work <- new_work!("Channel::work"),
                signs: Signs::new(),
                silence: Atomic::new(NO_BEATS),
                patience: Atomic::new(750),
                parted: Atomic::new(false),
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
        let bell = Doorbell::new(self.name.as_str(), self.trusts(), self.clone()).ok();
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
            tick: 0,
            sessions: 0,
            violations: 0,
            violated: None,
            parted: None,
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
        if self.role == Role::Host {
            for _ in 0..LAST_TURNS {
                self.turn(&mut inner);
            }
        }
        let mut live = inner.live.take();
        inner.gates.end();
        if let Some(live) = &mut live {
            // A host's peer is dead, or as good as dead.
            if self.role == Role::Spawn {
                live.exchange.link().close(Verdict::Gone);
                live.ring();
            }
            inner.generation = live.exchange.link().last_generation().max(inner.generation);
        }
        drop(inner);
        self.signs.forget();
        self.silence.store(NO_BEATS, Relaxed);
        self.changed.notify_all();
        if let Some(Live { exchange, bell, .. }) = live {
            self.inner.lock().buffer = Some(exchange.into_buffer());
            // Waits for the interrupt, and its thread, which takes the lock.
            drop(bell);
        }
    }

    /// Has [`Channel::serve_once`] called soon; in any context.
    fn poke(self: &Arc<Self>) {
        // Queued already is as good.
        let _ = self.queue.queue().enqueue(self.clone());
    }

    /// Called by a host every 5 ms or more often, in hard interrupt context, by a spawn with its own
    /// beats: looks for what no doorbell was rung for.
    pub(crate) fn tick(self: &Arc<Self>, memory: &SharedMemory) {
        let beats = self.silence.load(Relaxed) != NO_BEATS;
        let tick = self.ticks.fetch_add(1, Relaxed);
        if (beats && tick % BEAT_TICKS == 0)
            || self.parted.load(Relaxed)
            || self.signs.is_news(memory)
        {
            self.poke();
        }
    }

    /// Whether the peer rings for a thread of the doorbell: a spawn's host, which owns the machine.
    fn trusts(&self) -> bool {
        self.role == Role::Spawn
    }

    fn serve_once(self: &Arc<Self>) {
        let mut guard = self.inner.lock();
        let inner = &mut *guard;
        inner.polling &= core::mem::take(&mut inner.polled);
        let mut again = self.turn_silently(inner, false).again;
        match &mut inner.live {
            Some(live) if live.exchange.lingers() => {
                // The lock is held: others wait for as long.
                live.exchange.linger(&mut inner.gates, relax);
                again = true;
            }
            _ => {}
        }
        drop(guard);
        self.changed.notify_all();
        if again {
            self.poke();
        }
    }

    /// Waits for a change, until so many milliseconds after `began` at most; a peer that has us woken all
    /// the time changes nothing about that. Whether there was time left.
    ///
    /// # Errors
    ///
    /// EINTR on a signal.
    fn wait_until(
        &self,
        inner: &mut Guard<'_, Inner, MutexBackend>,
        began: Instant<Monotonic>,
        ms: u32,
    ) -> Result<bool> {
        let passed = u32::try_from(began.elapsed().as_millis()).unwrap_or(u32::MAX);
        let left = ms.saturating_sub(passed);
        if left == 0 {
            return Ok(false);
        }
        let left = time::msecs_to_jiffies(left);
        match self.changed.wait_interruptible_timeout(inner, left) {
            CondVarTimeoutResult::Woken { .. } => Ok(true),
            CondVarTimeoutResult::Timeout => Ok(false),
            CondVarTimeoutResult::Signal { .. } => Err(EINTR),
        }
    }

    /// Waits for a change. Whether a signal came first.
    fn wait(&self, inner: &mut Guard<'_, Inner, MutexBackend>) -> bool {
        self.waiters.fetch_add(1, Relaxed);
        let interrupted = self.changed.wait_interruptible(inner);
        self.waiters.fetch_sub(1, Relaxed);
        interrupted
    }

    /// As [`Channel::turn`], for who waits next: the peer rings for what comes, whoever looks for it
    /// eagerly, too.
    fn turn_before_waiting(&self, inner: &mut Inner) -> bool {
        self.turn_and(inner, true)
    }

    /// Takes in what has come and sends what is due. Whether there is more to do.
    fn turn(&self, inner: &mut Inner) -> bool {
        self.turn_and(inner, false)
    }

    /// As [`Channel::turn`], and perhaps who does it waits then.
    fn turn_and(&self, inner: &mut Inner, waits: bool) -> bool {
        let served = self.turn_silently(inner, waits);
        if served.news {
            // Whoever takes it in, it may be for another one, who is not rung for again.
            self.changed.notify_all();
        }
        served.again
    }

    /// As [`Channel::turn_and`], and others are told of news by the caller.
    fn turn_silently(&self, inner: &mut Inner, waits: bool) -> Served {
        let then = if inner.writers > 0 {
            Then::SleepForRoom
        } else if (inner.polling || inner.eager > 0)
            && inner.watched == 0
            && !waits
            && self.waiters.load(Relaxed) == 0
        {
            Then::Poll
        } else {
            Then::Sleep
        };
        let Some(live) = &mut inner.live else {
            return Served::default();
        };
        let tick = self.ticks.load(Relaxed);
        if core::mem::replace(&mut live.tick, tick) != tick {
            // Now and then is enough for these.
            live.look_at_beats(self);
            live.move_bell();
        }
        if live.listen(&mut inner.last_words) {
            self.death.store(1, Release);
        }
        if live.violated.is_some_and(|when| when.elapsed() < PENALTY) {
            return Served::default();
        }
        let hello = self.role == Role::Spawn && live.come_back();
        let mut served = live.exchange.serve(&mut inner.gates, then);
        served.ring |= hello;
        let parted = self.role == Role::Spawn && live.is_parted();
        self.parted.store(parted, Relaxed);
        if let Some(request) = live.exchange.request() {
            self.obey(live, request);
            served.again = true;
        }
        let sessions = live.exchange.sessions();
        let new = sessions.saturating_sub(core::mem::replace(&mut live.sessions, sessions));
        if new > 0 {
            self.sessions.fetch_add(new, Relaxed);
            live.expect_beats(self);
        }
        let link = live.exchange.link();
        let (violations, last) = link.violations();
        if violations != live.violations {
            let new = violations.saturating_sub(live.violations);
            live.violations = violations;
            live.violated = Some(Instant::now());
            self.violations.fetch_add(new.into(), Relaxed);
            pr_warn!(
                "{}: the peer broke a rule of the channel ({last:?}); not heard for a second\n",
                self.name
            );
        }
        let signs = link.signs();
        let is_awaited = then == Then::SleepForRoom || inner.watched > 0;
        served.news |= is_awaited && self.signs.is_other_credit(&signs);
        self.signs.set(&signs);
        if served.ring {
            live.ring();
        }
        served
    }
}

impl_has_work! {
    impl HasWork<Self> for Channel { self.work }
}

impl WorkItem for Channel {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        this.serve_once();
    }
}

impl Rung for Channel {
    fn rung(this: ArcBorrow<'_, Self>) -> bool {
        if this.waiters.load(Relaxed) > 0 {
            // Who waits serves, and is there sooner than others. Should it have gone meanwhile, or count
            // itself already and not sleep yet, the next tick sees what it left.
            this.changed.notify_all();
            return false;
        }
        if !this.trusts() {
            Arc::from(this).poke();
        }
        this.trusts()
    }

    fn serve(this: ArcBorrow<'_, Self>) {
        Self::serve_once(&this.into());
    }
}
