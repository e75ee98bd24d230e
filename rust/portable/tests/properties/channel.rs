// SPDX-License-Identifier: GPL-2.0

//! A peer that may write any word of the region between any two accesses.

use crate::memory::Plain;
use multikernel_portable::channel::{
    hello::Offer,
    layout::{Region, Role, SIZE_MIN},
    link::{Error, Link},
    message::{Class, MESSAGE_MAX},
    shared::Shared,
    status::{Status, NOTICE_MAX}, //
};
use std::{
    cell::RefCell,
    collections::HashSet,
    ops::Range,
    rc::Rc,
    sync::atomic::Ordering::Relaxed, //
};

pub const SIZE: usize = SIZE_MIN;
/// Longer than what is sent whole into the smallest region.
pub const LONG: usize = 40_000;
pub static PAYLOAD: [u8; LONG] = [7; LONG];

/// What happens, by bytes of the input; nothing does behind their end.
pub struct Script<'a>(pub &'a [u8]);

impl Script<'_> {
    pub fn byte(&mut self) -> u8 {
        self.number::<1>() as u8
    }

    pub fn number<const LEN: usize>(&mut self) -> u64 {
        let mut bytes = [0; 8];
        for byte in &mut bytes[..LEN] {
            if let Some((first, rest)) = self.0.split_first() {
                (*byte, self.0) = (*first, rest);
            }
        }
        u64::from_le_bytes(bytes)
    }
}

/// The region as the victim has it.
#[derive(Clone)]
pub struct Attacked<'a> {
    memory: Plain,
    script: Rc<RefCell<Script<'a>>>,
    /// The only place that the victim may write to.
    own: Range<usize>,
    /// Slots and data that the victim has read since it looked for a frame.
    seen: Rc<RefCell<HashSet<usize>>>,
}

impl<'a> Attacked<'a> {
    /// Whose victim has this role.
    pub fn new(memory: &Plain, script: &Rc<RefCell<Script<'a>>>, role: Role) -> Self {
        let start = Region::new(SIZE).unwrap().section(role);
        Self {
            memory: memory.clone(),
            script: script.clone(),
            own: start..start + SIZE / 2,
            seen: Rc::default(),
        }
    }

    /// Before an access to a word: the attacker writes it, or another one, or neither.
    fn attack(&self, at: usize) {
        let mut script = self.script.borrow_mut();
        let word = &self.memory.words()[at / 8];
        match script.byte() {
            0xf0 => word.store(script.number::<8>(), Relaxed),
            0xf1 => word.store(script.number::<2>(), Relaxed),
            // A length, a class, a stamp that is nearly right.
            0xf2..=0xf7 => {
                let bit = script.byte() % 64;
                let _ = word.fetch_xor(1 << bit, Relaxed);
            }
            0xf8 => {
                let _ = word.fetch_add(script.number::<1>(), Relaxed);
            }
            0xf9 => {
                let other = script.number::<2>() as usize % (SIZE / 8);
                self.memory.words()[other].store(script.number::<8>(), Relaxed);
            }
            0xfa => {
                // What is elsewhere, an old slot for example.
                let other = script.number::<2>() as usize % (SIZE / 8);
                word.store(self.memory.words()[other].load(Relaxed), Relaxed);
            }
            _ => {}
        }
    }

    /// Reads of what the peer sends are for once.
    fn once(&self, at: usize) {
        if at % (SIZE / 2) >= SIZE / 8 && !self.own.contains(&at) {
            assert!(self.seen.borrow_mut().insert(at), "read twice: {at:#x}");
        }
    }

    fn may_write(&self, at: usize, length: usize) {
        assert!(
            length == 0 || self.own.contains(&at) && self.own.contains(&(at + length - 1)),
            "wrote {length} bytes at {at:#x}"
        );
    }
}

impl Shared for Attacked<'_> {
    fn size(&self) -> usize {
        SIZE
    }

    fn load(&self, at: usize) -> u64 {
        self.once(at);
        self.attack(at);
        self.memory.load(at)
    }

    fn load_acquire(&self, at: usize) -> u64 {
        self.seen.borrow_mut().clear();
        self.attack(at);
        self.memory.load_acquire(at)
    }

    fn store(&self, at: usize, word: u64) {
        self.may_write(at, 8);
        self.memory.store(at, word);
    }

    fn store_release(&self, at: usize, word: u64) {
        self.may_write(at, 8);
        self.memory.store_release(at, word);
    }

    fn full_fence(&self) {}

    fn prefetch(&self, at: usize) {
        assert!(at < SIZE);
    }

    fn read(&self, at: usize, to: &mut [u8]) {
        assert!(at + to.len() <= SIZE);
        for at in (at..at + to.len()).step_by(8) {
            self.once(at);
        }
        self.attack(at.min(SIZE - 8));
        self.memory.read(at, to);
    }

    fn write(&self, at: usize, from: &[u8]) {
        self.may_write(at, from.len());
        self.memory.write(at, from);
    }
}

fn allowed<T>(result: Result<T, Error>) {
    if let Err(error) = result {
        assert!(!matches!(error, Error::Unfinished), "{error:?}");
    }
}

/// Does what an input says: the victim does everything that a side can do, beside an honest peer
/// whose memory is attacked. Then both start again, and are well.
pub fn check(input: &[u8]) {
    let memory = Plain::new(SIZE);
    let script = Rc::new(RefCell::new(Script(input)));
    let victim_is_host = script.borrow_mut().byte() % 2 == 0;
    let role = [Role::Spawn, Role::Host][usize::from(victim_is_host)];
    let attacked = Attacked::new(&memory, &script, role);
    let mut victim = match role {
        Role::Host => Link::host(attacked.clone(), Offer::default(), 0),
        Role::Spawn => Link::spawn(attacked.clone(), Offer::default()),
    }
    .unwrap();
    let mut peer = match role {
        Role::Host => Link::spawn(memory.clone(), Offer::default()),
        Role::Spawn => Link::host(memory.clone(), Offer::default(), 0),
    }
    .unwrap();
    let status = Status::new(&Region::new(SIZE).unwrap(), role.peer());
    let mut buffer = vec![0; MESSAGE_MAX];
    while !script.borrow().0.is_empty() {
        let step = script.borrow_mut().byte();
        let length = match step & 0x40 {
            0 => usize::from(step & 63),
            _ => script.borrow_mut().number::<2>() as usize % LONG,
        };
        match step % 16 {
            0 | 1 => _ = victim.poll(),
            2 | 3 => _ = peer.poll(),
            4 => allowed(victim.send(Class::Log, &PAYLOAD[..length])),
            5 => allowed(victim.abort()),
            6 | 7 => {
                if let Ok(Some(message)) = victim.receive(&mut buffer) {
                    assert!(message.length as usize <= MESSAGE_MAX);
                    assert_ne!(message.class, Class::Port(0));
                }
            }
            8 => _ = victim.receive(&mut buffer[..length]),
            9 => _ = victim.sleep(step & 0x80 != 0),
            10 => _ = victim.must_ring(),
            11 => _ = peer.send(Class::Port(1 + u16::from(step) % 63), &PAYLOAD[..length]),
            12 => _ = peer.receive(&mut buffer),
            13 => match role {
                Role::Host => peer.say_hello(),
                Role::Spawn => victim.say_hello(),
            },
            14 => {
                if let Some(doorbell) = victim.doorbell() {
                    assert!(doorbell.vector >= 32);
                }
                let text = &mut [0; NOTICE_MAX];
                _ = status.panicked(&attacked, victim.generation(), text);
            }
            _ => _ = peer.abort(),
        }
    }

    // The attacker is gone, what it left is there still.
    let generation = victim
        .generation()
        .max(peer.generation())
        .wrapping_add(1000);
    let mut host = Link::host(memory.clone(), Offer::default(), generation).unwrap();
    let mut spawn = Link::spawn(memory, Offer::default()).unwrap();
    while host.poll() | spawn.poll() {}
    for _ in 0..2 {
        assert_eq!(host.send(Class::Log, &PAYLOAD[..100]), Ok(100));
        let got = spawn.receive(&mut buffer).unwrap().unwrap();
        assert_eq!(
            (got.class, &buffer[..got.length as usize]),
            (Class::Log, &PAYLOAD[..100])
        );
        std::mem::swap(&mut host, &mut spawn);
    }
}
