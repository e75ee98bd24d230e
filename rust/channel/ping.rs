// SPDX-License-Identifier: GPL-2.0

//! How long a message takes to the peer and back: neither end needs a user for it.

use super::{
    port::errno,
    Channel,
    Inner, //
};
use crate::{
    ffi::pages::relax,
    portable::{
        channel::{
            echo::{LOOKS, LOOK_US},
            hello::ECHO, //
        },
        ping::{Order, Times, Wait}, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::ordering::Relaxed,
        Arc, //
    },
    time::{Delta, Instant, Monotonic}, //
};

/// How long an answer may take, in milliseconds.
const DEADLINE_MS: u32 = 1000;
/// Looks after which a peer that looks as well would have answered: this one is to be rung.
const LOOKS_BEFORE_RINGING: u32 = 32;
/// For how long other messages are taken in meanwhile: others wait for the lock.
const OTHERS: Delta = Delta::from_micros(500);
/// Before the bytes: the control word.
const WORD: usize = 8;

impl Channel {
    /// Does what is written to the attribute `ping`.
    ///
    /// # Errors
    ///
    /// EINVAL, EBUSY when it is done already, ENOTCONN without a session, EOPNOTSUPP when the peer
    /// does not answer, ETIMEDOUT when it has not answered in time, EAGAIN when it takes nothing,
    /// EINTR, ENOMEM.
    pub(crate) fn ping(self: &Arc<Self>, text: &[u8]) -> Result {
        let result = self.ping_once(text);
        let why = match result {
            Err(e) if e == EINVAL => {
                "write COUNT (1 to 1000), BYTES (8 to 4096), and sleep, wake or poll"
            }
            Err(e) if e == EBUSY => "one is being done already",
            Err(e) if e == ENOTCONN => {
                "there is no session: the spawn needs mk-agent or this module"
            }
            Err(e) if e == EOPNOTSUPP => {
                "the peer cannot answer: it needs a newer end of the channel"
            }
            Err(e) if e == ETIMEDOUT => "no answer within a second",
            Err(e) if e == EAGAIN => "the peer takes no message; try again",
            _ => return result,
        };
        pr_err!("{}: ping: {why}\n", self.name);
        result
    }

    fn ping_once(self: &Arc<Self>, text: &[u8]) -> Result {
        let order = Order::parse(text);
        {
            let mut inner = self.inner.lock();
            if inner.pings {
                return Err(EBUSY);
            }
            inner.pinged = None;
            inner.pings = order.is_some();
        }
        let times = self.measure(order.ok_or(EINVAL)?);
        let mut inner = self.inner.lock();
        inner.pings = false;
        inner.pinged = times?;
        Ok(())
    }

    /// What came of the last one.
    pub(crate) fn pinged(&self) -> Option<Times> {
        self.inner.lock().pinged
    }

    fn measure(self: &Arc<Self>, order: Order) -> Result<Option<Times>> {
        let mut bytes = KVec::from_elem(0u8, order.bytes.saturating_add(WORD), GFP_KERNEL)?;
        let mut took = KVec::with_capacity(order.count, GFP_KERNEL)?;
        let mut last = Instant::<Monotonic>::now();
        for _ in 0..order.count {
            self.trip(order.wait, &mut bytes, last)?;
            let now = Instant::now();
            took.push(
                u64::try_from((now - last).as_nanos()).unwrap_or(0),
                GFP_KERNEL,
            )?;
            last = now;
        }
        Ok(Times::new(order, &mut took))
    }

    /// One round trip, which begins now.
    fn trip(self: &Arc<Self>, wait: Wait, bytes: &mut [u8], began: Instant<Monotonic>) -> Result {
        let mut inner = self.inner.lock();
        inner.asked = inner.asked.wrapping_add(1);
        let number = inner.asked;
        if let Some(place) = bytes
            .get_mut(WORD..)
            .and_then(|rest| rest.first_chunk_mut())
        {
            *place = number.to_le_bytes();
        }
        let life = inner.lives;
        let live = inner.live.as_mut().ok_or(ENOTCONN)?;
        let session = live.exchange.sessions();
        if live.exchange.link().terms().is_some() && !live.exchange.link().knows(ECHO) {
            return Err(EOPNOTSUPP);
        }
        let us = match wait {
            Wait::Poll => LOOK_US,
            Wait::Sleep | Wait::Wake => 0,
        };
        live.exchange.ask_back(us, bytes).map_err(errno)?;
        if wait == Wait::Wake {
            live.ring_if_asleep();
        }
        if (wait != Wait::Sleep || live.is_deaf()) && self.look_for(&mut inner, number) {
            return Ok(());
        }
        let mut over = None;
        loop {
            if self.turn_before_waiting(&mut inner) {
                self.poke();
            }
            let exchange = &inner.live.as_ref().ok_or(ENOTCONN)?.exchange;
            if (inner.lives, exchange.sessions()) != (life, session) {
                return Err(ENOTCONN);
            }
            if exchange.returned() == Some(number) {
                return Ok(());
            }
            if let Some(e) = over {
                return Err(e);
            }
            self.waiters.fetch_add(1, Relaxed);
            let is_time_left = self.wait_until(&mut inner, began, DEADLINE_MS);
            self.waiters.fetch_sub(1, Relaxed);
            // A last look follows: the doorbell may have woken us, and nobody else.
            over = match is_time_left {
                Ok(true) => None,
                Ok(false) => Some(ETIMEDOUT),
                Err(e) => Some(e),
            };
        }
    }

    /// Looks for an answer, and rings only if the peer seems to sleep. Whether it is there.
    fn look_for(&self, inner: &mut Inner, number: u64) -> bool {
        let Some(live) = &mut inner.live else {
            return false;
        };
        let mut others = None;
        for looks in [LOOKS_BEFORE_RINGING, LOOKS] {
            while live.exchange.look(&mut inner.gates, looks, relax) {
                if live.exchange.returned() == Some(number) {
                    return true;
                }
                // Another message, which others may wait for.
                self.changed.notify_all();
                if others
                    .get_or_insert_with(Instant::<Monotonic>::now)
                    .elapsed()
                    > OTHERS
                {
                    break;
                }
            }
            live.ring_if_asleep();
        }
        false
    }
}
