// SPDX-License-Identifier: GPL-2.0

//! What comes is taken in, and what is due is sent.

use super::{
    super::{
        control::Control,
        echo,
        gate::{
            Gate,
            Gates,
            CONSOLE, //
        },
        hello::STOP,
        link::{
            Error,
            Message, //
        },
        port::{
            Event,
            Ports, //
        },
        shared::Shared, //
    },
    Exchange,
    Served,
    Then, //
};

/// Most messages taken in one go.
const BUDGET: u32 = 64;
const ECONNREFUSED: u32 = 111;

impl<M: Shared, B: AsRef<[u8]> + AsMut<[u8]>> Exchange<M, B> {
    /// Takes in what has come, sends what is due, and prepares for what is done then. When the peer has broken a
    /// rule since the last time, there is no other session before the next one.
    pub fn serve(&mut self, gates: &mut Gates<B>, then: Then) -> Served {
        let mut served = self.serve_some(gates, then);
        // That ends the session, which the peer sleeps for at any time.
        let (violations, _) = self.link.violations();
        if core::mem::replace(&mut self.violations, violations) != violations {
            served.ring = true;
            served.news |= self.follow(gates);
        }
        served
    }

    fn serve_some(&mut self, gates: &mut Gates<B>, then: Then) -> Served {
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
            if self.link.violations().0 != self.violations {
                return served;
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

    pub(super) fn take(&mut self, gates: &mut Gates<B>, message: Message) {
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
                    if !self.ports.is_open(port) {
                        gate.begin();
                        gate.open = true;
                    }
                    gate.met = true;
                }
                None => self.refuse |= 1u64.checked_shl(u32::from(port)).unwrap_or(0),
            },
            Event::Closed(port, errno) => {
                if let Some(gate) = gates.find(port) {
                    gate.ended = true;
                    gate.broken |= errno != 0;
                    // Who comes while nobody has is in time, and answers when he goes; unless the peer
                    // could not say meanwhile that nobody waits any more.
                    let is_left = gate.users == 0 && (gate.used || !self.link.knows(STOP));
                    gate.close |= is_left || port == CONSOLE || errno != 0;
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
            // For a terminal, which this end has not.
            Event::Other(Control::Resize(..)) => {}
            Event::Other(request) => {
                self.request.get_or_insert(request);
            }
            Event::Room(_) | Event::Dropped | Event::Log => {}
        }
    }

    /// Sends what is due. Whether something is left for want of room.
    fn flush(&mut self, gates: &mut Gates<B>) -> bool {
        if self.link.terms().is_none() {
            return false;
        }
        let mut due = self.flush_refusals();
        for (port, gate) in gates.all() {
            due |= self.flush_open(port, gate);
            due |= self.flush_window(port, gate);
            due |= self.flush_close(port, gate);
        }
        due
    }

    fn flush_refusals(&mut self) -> bool {
        while self.refuse != 0 {
            // CAST: At most 63.
            let port = self.refuse.trailing_zeros() as u16;
            match self.ports.close(&mut self.link, port, ECONNREFUSED) {
                Err(Error::Full | Error::Unfinished) => return true,
                // All lower ones are gone.
                _ => self.refuse &= self.refuse.wrapping_sub(1),
            }
        }
        false
    }

    fn flush_open(&mut self, port: u16, gate: &mut Gate<B>) -> bool {
        let window = match port {
            CONSOLE => gate.queue.room().saturating_add(gate.queue.len()),
            _ => gate.queue.room(),
        };
        // Full of what nobody has read: later.
        if !gate.open || window == 0 {
            return false;
        }
        match self.ports.open(&mut self.link, port, window as u32) {
            Ok(()) => {
                gate.open = false;
                // What was taken is part of this window.
                gate.widen = 0;
                if !self.ports.is_met(port) {
                    gate.begin();
                }
            }
            Err(Error::Full) => return true,
            // When both have closed.
            Err(Error::Unfinished) => {
                let is_ending = gate.close || !self.ports.is_open(port);
                gate.open = gate.users > 0 && is_ending;
            }
            Err(_) => gate.open = false,
        }
        false
    }

    fn flush_window(&mut self, port: u16, gate: &mut Gate<B>) -> bool {
        if gate.must_tell() {
            match self.ports.widen(&mut self.link, port, gate.widen) {
                Err(Error::Full | Error::Unfinished) => return true,
                _ => gate.widen = 0,
            }
        }
        false
    }

    fn flush_close(&mut self, port: u16, gate: &mut Gate<B>) -> bool {
        if !gate.close {
            return false;
        }
        if !self.ports.is_open(port) {
            gate.close = gate.open;
            return false;
        }
        match self.ports.close(&mut self.link, port, 0) {
            Err(Error::Full | Error::Unfinished) => return true,
            _ => {
                gate.close = false;
                gate.closed = true;
            }
        }
        false
    }
}
