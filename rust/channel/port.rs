// SPDX-License-Identifier: GPL-2.0

//! A port as its users have it: files that are open on it.

use super::{
    live::Live,
    Channel,
    Inner, //
};
use crate::{
    ffi::{
        misc::Open,
        pages::relax,
        stream::Stream, //
    },
    portable::channel::{
        control::Control,
        exchange::Refusal,
        gate::CONSOLE, //
    }, //
};
use kernel::{
    bindings,
    fs::File,
    prelude::*,
    sync::{
        atomic::{ordering::Relaxed, Atomic},
        poll::PollTable,
        Arc,
        ArcBorrow, //
    },
    time::{Delta, Instant, Monotonic}, //
};

/// A port, to be opened.
pub(crate) struct Port {
    /// Of this end.
    pub(crate) channel: Arc<Channel>,
    /// Its number.
    pub(crate) number: u16,
}

/// An open file.
pub(crate) struct Handle {
    channel: Arc<Channel>,
    number: u16,
    /// On the console: the byte to be read next.
    at: Atomic<u64>,
    /// The last stream that it has sent something in.
    wrote: Atomic<u64>,
    /// poll(2) or the like has waited for it, and may do so at any time.
    watched: Atomic<bool>,
    /// The last wait was so short that it is worth looking again and again before the next one.
    eager: Atomic<bool>,
}

/// How long that is: two interrupts and the switches that they spare take about as long.
const EAGER: Delta = Delta::from_micros(50);
/// The same for a peer that neither rings nor is rung: who sleeps is woken by a timer only.
const EAGER_FOR_DEAF: Delta = Delta::from_micros(200);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut inner = self.channel.inner.lock();
        inner.gates.detach(self.number, self.wrote.load(Relaxed));
        inner.polling = false;
        if self.watched.load(Relaxed) {
            inner.watched = inner.watched.saturating_sub(1);
        }
        self.turn(&mut inner);
    }
}

impl Handle {
    /// As [`Channel::turn`]; what is left over, the queue does.
    fn turn(&self, inner: &mut Inner) {
        if self.channel.turn(inner) {
            self.channel.poke();
        }
    }

    /// How many bytes there are; 0 when nothing will come.
    fn waiting(&self, inner: &mut Inner) -> Option<usize> {
        let waiting = if self.number == CONSOLE {
            Some(inner.gates.unseen(self.at.load(Relaxed))).filter(|&more| more > 0)
        } else {
            inner.gates.waiting(self.number)
        };
        waiting.or(inner.live.is_none().then_some(0))
    }

    /// As [`Handle::waiting`], after a look at the peer if need be: an end may be over.
    fn look(&self, inner: &mut Inner) -> Option<usize> {
        match self.waiting(inner) {
            Some(waiting) if waiting > 0 => Some(waiting),
            _ => {
                self.turn(inner);
                self.waiting(inner)
            }
        }
    }

    /// Looks again and again, as long as a peer takes that answers at once: then neither side rings.
    fn look_eagerly(&self) -> Option<usize> {
        let mut guard = self.channel.inner.lock();
        let patience = if guard.live.as_mut().is_some_and(Live::is_deaf) {
            EAGER_FOR_DEAF
        } else if self.eager.load(Relaxed) {
            EAGER
        } else {
            return None;
        };
        let some = |inner: &mut Inner| self.waiting(inner).filter(|&waiting| waiting > 0);
        let began = Instant::<Monotonic>::now();
        guard.eager = guard.eager.saturating_add(1);
        let waiting = loop {
            let inner = &mut *guard;
            if let Some(waiting) = some(inner) {
                break Some(waiting);
            }
            let Some(live) = &mut inner.live else {
                break None;
            };
            // Nothing but a message; what else is due is left to the queue.
            if live.exchange.look(&mut inner.gates, 1, || false) {
                if let Some(waiting) = some(inner) {
                    break Some(waiting);
                }
                // It was for somebody else.
                self.channel.changed.notify_all();
                self.channel.poke();
            }
            if inner.watched > 0 {
                break None;
            }
            // Others have their turn, and who sends them ever more keeps nobody here.
            drop(guard);
            let go_on = relax() && began.elapsed() < patience;
            guard = self.channel.inner.lock();
            if !go_on {
                break None;
            }
        };
        guard.eager = guard.eager.saturating_sub(1);
        if waiting.is_some() {
            // And so it will be the next time: the queue need not ask for a doorbell meanwhile.
            guard.polling = true;
            guard.polled = true;
        }
        waiting
    }

    fn send(&self, inner: &mut Inner, from: &[u8]) -> Result<usize, Refusal> {
        match &mut inner.live {
            Some(live) => {
                let mut wrote = self.wrote.load(Relaxed);
                let exchange = &mut live.exchange;
                let sent = exchange.send(&mut inner.gates, self.number, &mut wrote, from);
                self.wrote.store(wrote, Relaxed);
                sent
            }
            None if inner.gates.is_broken(self.number) => Err(Refusal::Broken),
            None => Err(Refusal::NotConnected),
        }
    }

    /// Whether bytes can be sent; nothing when there is no room in the ring, whatever the peer takes.
    fn can_send(&self, inner: &mut Inner) -> Option<bool> {
        let Some(live) = &mut inner.live else {
            return Some(false);
        };
        let room = live.exchange.room(&mut inner.gates, self.number);
        let takes = room.is_ok_and(|room| room > 0);
        (!takes || live.exchange.link().has_room()).then_some(takes)
    }
}

/// The errno of a refusal.
pub(super) fn errno(refusal: Refusal) -> Error {
    match refusal {
        Refusal::NotConnected => ENOTCONN,
        Refusal::Broken => EPIPE,
        Refusal::Full => EAGAIN,
    }
}

impl Open for Handle {
    type Owner = Port;

    fn open(owner: ArcBorrow<'_, Port>) -> Result<Arc<Self>> {
        let (channel, number) = (owner.channel.clone(), owner.number);
        channel.inner.lock().gates.attach(number);
        let handle = Self {
            channel,
            number,
            at: Atomic::new(0),
            wrote: Atomic::new(0),
            watched: Atomic::new(false),
            eager: Atomic::new(false),
        };
        let handle = Arc::new(handle, GFP_KERNEL)?;
        let mut inner = handle.channel.inner.lock();
        let inner = &mut *inner;
        if let Some(live) = &mut inner.live {
            live.exchange.used(&mut inner.gates, number);
        }
        // The peer is told by the queue: whoever opens a misc device waits for us.
        handle.channel.poke();
        Ok(handle.clone())
    }
}

impl Stream for Handle {
    fn wait(&self, nonblock: bool) -> Result<usize> {
        if !nonblock {
            if let Some(waiting) = self.look_eagerly() {
                return Ok(waiting);
            }
        }
        let mut inner = self.channel.inner.lock();
        inner.polling &= nonblock;
        loop {
            if let Some(waiting) = self.look(&mut inner) {
                let is_stream = self.number != CONSOLE;
                if waiting == 0 && inner.gates.pass_end(self.number) && is_stream {
                    return Err(ECONNRESET);
                }
                return Ok(waiting);
            }
            if nonblock {
                inner.polling = true;
                inner.polled = true;
                return Err(EAGAIN);
            }
            // Then nobody has asked the peer to ring; another file may have begun that meanwhile.
            if inner.eager > 0 || inner.polling {
                if self.channel.turn_before_waiting(&mut inner) {
                    self.channel.poke();
                }
                if self.waiting(&mut inner).is_some() {
                    continue;
                }
            }
            let began = Instant::<Monotonic>::now();
            let interrupted = self.channel.wait(&mut inner);
            // The doorbell woke us, and nobody else.
            self.turn(&mut inner);
            if interrupted {
                return Err(ERESTARTSYS);
            }
            self.eager.store(began.elapsed() < EAGER, Relaxed);
        }
    }

    fn take(&self, to: &mut [u8]) -> usize {
        let mut inner = self.channel.inner.lock();
        if self.number == CONSOLE {
            let (next, copied) = inner.gates.look(self.at.load(Relaxed), to);
            self.at.store(next, Relaxed);
            return copied;
        }
        let taken = inner.gates.take(self.number, to).unwrap_or(0);
        if inner.gates.must_tell(self.number) {
            // There is room now, which the peer may wait for.
            self.turn(&mut inner);
        }
        taken
    }

    fn write(&self, from: &[u8], nonblock: bool) -> Result<usize> {
        let mut inner = self.channel.inner.lock();
        let mut looked = false;
        let mut waiting = false;
        let result = loop {
            match self.send(&mut inner, from) {
                Ok(sent) => {
                    if let Some(live) = &mut inner.live {
                        live.ring_if_asleep();
                    }
                    break Ok(sent);
                }
                // What we know of the peer may be old.
                Err(_) if !looked => {}
                Err(Refusal::Full) if !nonblock => {
                    if !core::mem::replace(&mut waiting, true) {
                        // Once more: now the peer is told to ring when there is room.
                        inner.writers = inner.writers.saturating_add(1);
                    } else if self.channel.wait(&mut inner) {
                        break Err(ERESTARTSYS);
                    }
                }
                Err(refusal) => break Err(errno(refusal)),
            }
            self.turn(&mut inner);
            looked = true;
        };
        if waiting {
            inner.writers = inner.writers.saturating_sub(1);
            // The doorbell may have woken us, and nobody else.
            self.turn(&mut inner);
        }
        result
    }

    fn poll(&self, file: &File, table: PollTable<'_>) -> u32 {
        table.register_wait(file, &self.channel.changed);
        let mut inner = self.channel.inner.lock();
        if !self.watched.xchg(true, Relaxed) {
            inner.watched = inner.watched.saturating_add(1);
        }
        self.turn(&mut inner);
        let inner = &mut *inner;
        let mut mask = 0;
        if self.waiting(inner).is_some() {
            mask |= bindings::POLLIN | bindings::POLLRDNORM;
        }
        let can_send = self.can_send(inner).or_else(|| {
            // The peer is told to ring when there is.
            inner.writers = inner.writers.saturating_add(1);
            self.turn(inner);
            inner.writers = inner.writers.saturating_sub(1);
            self.can_send(inner)
        });
        if can_send == Some(true) {
            mask |= bindings::POLLOUT | bindings::POLLWRNORM;
        }
        if inner.live.is_none() || inner.gates.is_over(self.number) {
            mask |= bindings::POLLHUP;
        }
        if inner.gates.is_broken(self.number) {
            mask |= bindings::POLLERR;
        }
        mask
    }

    fn resize(&self, rows: u16, columns: u16) -> Result {
        let mut inner = self.channel.inner.lock();
        let live = inner.live.as_mut().ok_or(ENOTCONN)?;
        let size = u32::from(rows) << 16 | u32::from(columns);
        let told = live.exchange.tell(Control::Resize(self.number, size));
        told.map_err(errno)?;
        self.turn(&mut inner);
        Ok(())
    }
}
