// SPDX-License-Identifier: GPL-2.0

//! The same attacker, and a victim whose ports have queues and users.

use crate::{
    memory::Plain,
    properties::{Attacked, Script, LONG, PAYLOAD, SIZE},
};
use multikernel_portable::channel::{
    control::Control,
    exchange::{Exchange, Refusal, Then},
    gate::{Gates, QUEUES},
    hello::Offer,
    layout::Role,
    link::Link,
    message::MESSAGE_MAX,
    shared::Shared,
};
use std::{cell::RefCell, rc::Rc};

const QUEUE: usize = 64 << 10;
const THEN: [Then; 3] = [Then::Poll, Then::Sleep, Then::SleepForRoom];

struct Side<M> {
    exchange: Exchange<M, Vec<u8>>,
    gates: Gates<Vec<u8>>,
    wrote: u64,
}

impl<M: Shared> Side<M> {
    fn new(link: Link<M>, eager: bool) -> Self {
        let mut gates = Gates::new([(); QUEUES].map(|()| vec![0; QUEUE]));
        gates.begin();
        for port in 1..=QUEUES as u16 {
            gates.attach(port);
        }
        let exchange = Exchange::new(link, vec![0; MESSAGE_MAX], eager).unwrap();
        Self {
            exchange,
            gates,
            wrote: 0,
        }
    }

    /// Does one thing that users do.
    fn step(&mut self, script: &RefCell<Script<'_>>) {
        let (step, port, length) = {
            let mut script = script.borrow_mut();
            (script.byte(), script.byte() % 6, script.number::<2>())
        };
        let (port, length) = (u16::from(port), length as usize % LONG);
        let (exchange, gates) = (&mut self.exchange, &mut self.gates);
        match step % 16 {
            0..=6 => _ = exchange.serve(gates, THEN[usize::from(step) % THEN.len()]),
            7 | 8 => {
                if let Ok(sent) = exchange.send(gates, port, &mut self.wrote, &PAYLOAD[..length]) {
                    assert!((length.min(1)..=length).contains(&sent));
                }
            }
            9 | 10 => {
                let mut bytes = vec![0; length];
                if let Some(taken) = gates.take(port.max(2), &mut bytes) {
                    assert!(taken <= length);
                    if taken == 0 {
                        gates.pass_end(port.max(2));
                    }
                }
            }
            11 => {
                let at = u64::from(step) << 8;
                let unseen = gates.unseen(at);
                let (next, copied) = gates.look(at, &mut vec![0; length]);
                assert_eq!(copied, length.min(unseen));
                assert_eq!(gates.unseen(next), unseen - copied);
            }
            12 => {
                gates.attach(port);
                exchange.used(gates, port);
            }
            13 => gates.detach(port, self.wrote),
            14 => {
                if let Err(refusal) = exchange.tell(Control::Shutdown(step.into())) {
                    assert_ne!(refusal, Refusal::Broken);
                }
                _ = exchange.request();
                _ = exchange.answer();
            }
            15 if step & 16 != 0 => {
                let mut bytes = vec![step; 16 + length.min(4096)];
                if let Err(refusal) = exchange.ask_back(port.into(), &mut bytes) {
                    assert_ne!(refusal, Refusal::Broken);
                }
                if step & 32 != 0 {
                    exchange.linger(gates, || true);
                }
                _ = exchange.look(gates, 2, || true);
                _ = exchange.returned();
            }
            _ => {
                _ = exchange.link().signs();
                _ = exchange.room(gates, port);
                _ = exchange.link().has_room();
                _ = (gates.waiting(port), gates.is_broken(port));
            }
        }
    }
}

/// Does what an input says, beside an honest peer whose memory is attacked. Nothing panics, loops, or
/// grows; and a new pair of sides is well afterwards.
pub fn check(input: &[u8]) {
    let memory = Plain::new(SIZE);
    let Some((&first, input)) = input.split_first() else {
        return;
    };
    let role = [Role::Spawn, Role::Host][usize::from(first & 1)];
    // Mostly they have met before the attack begins.
    let early = first & 14 == 0;
    let script = Rc::new(RefCell::new(Script(if early { input } else { &[] })));
    let attacked = Attacked::new(&memory, &script, role);
    let (offer, eager) = (Offer::default(), role == Role::Spawn);
    let link = match role {
        Role::Host => Link::host(attacked, offer, 0),
        Role::Spawn => Link::spawn(attacked, offer),
    };
    let mut victim = Side::new(link.unwrap(), eager);
    let link = match role {
        Role::Host => Link::spawn(memory.clone(), offer),
        Role::Spawn => Link::host(memory.clone(), offer, 0),
    };
    let mut peer = Side::new(link.unwrap(), !eager);
    if !early {
        for _ in 0..10 {
            _ = victim.exchange.serve(&mut victim.gates, Then::Sleep);
            _ = peer.exchange.serve(&mut peer.gates, Then::Sleep);
        }
        assert!(victim.exchange.room(&mut victim.gates, 2).unwrap() > 0);
        script.borrow_mut().0 = input;
    }
    while !script.borrow().0.is_empty() {
        victim.step(&script);
        peer.step(&script);
    }

    let generation = victim.exchange.link().generation().wrapping_add(1000);
    let host = Link::host(memory.clone(), offer, generation).unwrap();
    let spawn = Link::spawn(memory, offer).unwrap();
    let (mut host, mut spawn) = (Side::new(host, false), Side::new(spawn, true));
    for _ in 0..10 {
        _ = host.exchange.serve(&mut host.gates, Then::Sleep);
        _ = spawn.exchange.serve(&mut spawn.gates, Then::Sleep);
    }
    assert_eq!(
        host.exchange
            .send(&mut host.gates, 2, &mut host.wrote, b"well"),
        Ok(4)
    );
    _ = spawn.exchange.serve(&mut spawn.gates, Then::Sleep);
    let mut bytes = [0; 5];
    assert_eq!(spawn.gates.take(2, &mut bytes), Some(4));
    assert_eq!(&bytes[..4], b"well");
}
