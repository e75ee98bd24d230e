// SPDX-License-Identifier: GPL-2.0

//! Two sides with queues behind their ports, and what their users do.

use crate::memory::Plain;
use multikernel_portable::channel::{
    exchange::{Exchange, Refusal, Then},
    gate::Gates,
    hello::{Doorbell, Offer},
    layout::SIZE_MIN,
    link::Link,
    message::MESSAGE_MAX,
};

pub const QUEUE: usize = 64 << 10;

pub struct Side {
    pub exchange: Exchange<Plain, Vec<u8>>,
    pub gates: Gates<Vec<u8>>,
    /// Of the file that is open on each port, or of the last one of several.
    wrote: [u64; 8],
    /// The last end that was taken is that of a stream that was cut.
    pub cut: bool,
}

impl Side {
    pub fn new(link: Link<Plain>, eager: bool) -> Self {
        let exchange = Exchange::new(link, vec![0; MESSAGE_MAX], eager).unwrap();
        let mut gates = Gates::new([(); 4].map(|()| vec![0; QUEUE]));
        gates.begin();
        Self {
            exchange,
            gates,
            wrote: [0; 8],
            cut: false,
        }
    }

    pub fn serve(&mut self) -> bool {
        let served = self.exchange.serve(&mut self.gates, Then::Sleep);
        served.ring || served.again
    }

    pub fn attach(&mut self, port: u16) {
        self.gates.attach(port);
        self.exchange.used(&mut self.gates, port);
        self.wrote[usize::from(port)] = 0;
    }

    pub fn detach(&mut self, port: u16) {
        self.gates.detach(port, self.wrote[usize::from(port)]);
    }

    /// As [`Side::detach`], of another file than the last one.
    pub fn detach_other(&mut self, port: u16) {
        self.gates.detach(port, 0);
    }

    pub fn send(&mut self, port: u16, bytes: &[u8]) -> Result<usize, Refusal> {
        let wrote = &mut self.wrote[usize::from(port)];
        self.exchange.send(&mut self.gates, port, wrote, bytes)
    }

    pub fn take(&mut self, port: u16) -> Option<Vec<u8>> {
        let mut bytes = vec![0; QUEUE];
        let taken = self.gates.take(port, &mut bytes)?;
        bytes.truncate(taken);
        self.cut = taken == 0 && self.gates.pass_end(port);
        Some(bytes)
    }
}

/// A host and a spawn that have met.
pub fn meet() -> (Plain, Side, Side) {
    meet_in(SIZE_MIN)
}

pub fn meet_in(size: usize) -> (Plain, Side, Side) {
    let memory = Plain::new(size);
    let doorbell = Some(Doorbell {
        apic_id: 0,
        vector: 32,
    });
    let offer = Offer {
        doorbell,
        ..Offer::default()
    };
    let host = Link::host(memory.clone(), offer, 0).unwrap();
    let spawn = Link::spawn(memory.clone(), offer).unwrap();
    let (mut host, mut spawn) = (Side::new(host, false), Side::new(spawn, true));
    settle(&mut host, &mut spawn);
    (memory, host, spawn)
}

pub fn settle(host: &mut Side, spawn: &mut Side) {
    let mut quiet = 0;
    for _ in 0..100 {
        quiet = if host.serve() | spawn.serve() {
            0
        } else {
            quiet + 1
        };
        if quiet == 2 {
            return;
        }
    }
    panic!("they never come to rest");
}
