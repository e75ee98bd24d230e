// SPDX-License-Identifier: GPL-2.0

//! What carries messages from one thread to another and back: ours, and other crates'.
//!
//! All do the same work: bytes are copied from the sender's buffer, and into the receiver's. Byte
//! rings have as much room as our data area, queues as many places as we have slots.

use multikernel_portable::channel::{
    echo,
    hello::{Doorbell, Offer},
    link::{Error, Link},
    message::Class, //
};
use multikernel_region::Region;
use ringbuf::traits::{Consumer as _, Producer as _, Split as _};
use std::{
    io::{Read as _, Write as _},
    sync::Mutex, //
};

pub const REGION: usize = 1 << 20;
const BYTES: usize = REGION / 4;
const PLACES: usize = REGION / 8 / 64;
/// So often is looked for a message before anything else is due, as the module does.
const LOOKS: u32 = 32;
/// What is passed by value, not in a box or as bytes.
const SMALL: usize = 64;
type Small = [u8; SMALL];

/// What a thread has.
pub trait End {
    fn send(&mut self, bytes: &[u8]);
    fn receive(&mut self, to: &mut [u8]);
}

/// Two threads take an end each.
pub trait Transport: Sync {
    fn end(&self, side: usize) -> Box<dyn End + '_>;
}

/// Ends that are made in a pair.
pub struct Pair<E>(Mutex<[Option<E>; 2]>);

impl<E> Pair<E> {
    fn of(one: E, other: E) -> Self {
        Self(Mutex::new([Some(one), Some(other)]))
    }
}

impl<E: End + Send> Transport for Pair<E> {
    fn end(&self, side: usize) -> Box<dyn End + '_> {
        Box::new(
            self.0.lock().unwrap()[side]
                .take()
                .expect("once for each side"),
        )
    }
}

/// The channel, as it would be used: with looks after the session, and, where sides have a doorbell,
/// at who sleeps.
pub fn channel(doorbell: Option<Doorbell>) -> Pair<Link<Region>> {
    let region = Region::new(REGION);
    let offer = Offer {
        doorbell,
        ..Offer::default()
    };
    let mut host = Link::host(region.clone(), offer, 0).unwrap();
    let mut spawn = Link::spawn(region, offer).unwrap();
    while host.poll() | spawn.poll() {}
    Pair::of(host, spawn)
}

impl End for Link<Region> {
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match Link::send(self, Class::Port(1), bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(Error::Full) => assert!(!self.poll()),
                Err(error) => panic!("{error:?}"),
            }
            assert!(!self.must_ring());
        }
    }

    fn receive(&mut self, to: &mut [u8]) {
        while echo::look(self, to, LOOKS, || true).is_none() {
            assert!(!self.tell() && !self.poll());
            assert_eq!((self.verdict(), self.violations().0), (None, 0));
        }
    }
}

/// Fails with what has no room, or gives nothing.
macro_rules! spin {
    ($attempt:expr) => {
        while !$attempt {}
    };
}

pub fn rtrb(length: usize) -> Box<dyn Transport> {
    if length == SMALL {
        let ((a, b), (c, d)) = (rtrb::RingBuffer::new(PLACES), rtrb::RingBuffer::new(PLACES));
        return Box::new(Pair::of(RtrbSmall(a, d), RtrbSmall(c, b)));
    }
    let ((a, b), (c, d)) = (rtrb::RingBuffer::new(BYTES), rtrb::RingBuffer::new(BYTES));
    Box::new(Pair::of(RtrbBytes(a, d), RtrbBytes(c, b)))
}

struct RtrbSmall(rtrb::Producer<Small>, rtrb::Consumer<Small>);

impl End for RtrbSmall {
    fn send(&mut self, bytes: &[u8]) {
        let bytes: Small = bytes.try_into().unwrap();
        spin!(self.0.push(bytes).is_ok());
    }

    fn receive(&mut self, to: &mut [u8]) {
        spin!(self.1.pop().map(|bytes| to.copy_from_slice(&bytes)).is_ok());
    }
}

struct RtrbBytes(rtrb::Producer<u8>, rtrb::Consumer<u8>);

impl End for RtrbBytes {
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let sent = self.0.write(bytes).unwrap_or(0);
            bytes = &bytes[sent..];
        }
    }

    fn receive(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let got = self.1.read(to).unwrap_or(0);
            to = &mut to[got..];
        }
    }
}

pub fn ringbuf(length: usize) -> Box<dyn Transport> {
    if length == SMALL {
        let ((a, b), (c, d)) = (
            ringbuf::HeapRb::new(PLACES).split(),
            ringbuf::HeapRb::new(PLACES).split(),
        );
        return Box::new(Pair::of(RingbufSmall(a, d), RingbufSmall(c, b)));
    }
    let ((a, b), (c, d)) = (
        ringbuf::HeapRb::new(BYTES).split(),
        ringbuf::HeapRb::new(BYTES).split(),
    );
    Box::new(Pair::of(RingbufBytes(a, d), RingbufBytes(c, b)))
}

struct RingbufSmall(ringbuf::HeapProd<Small>, ringbuf::HeapCons<Small>);

impl End for RingbufSmall {
    fn send(&mut self, bytes: &[u8]) {
        let bytes: Small = bytes.try_into().unwrap();
        spin!(self.0.try_push(bytes).is_ok());
    }

    fn receive(&mut self, to: &mut [u8]) {
        spin!(self
            .1
            .try_pop()
            .map(|bytes| to.copy_from_slice(&bytes))
            .is_some());
    }
}

struct RingbufBytes(ringbuf::HeapProd<u8>, ringbuf::HeapCons<u8>);

impl End for RingbufBytes {
    fn send(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let sent = self.0.push_slice(bytes);
            bytes = &bytes[sent..];
        }
    }

    fn receive(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let got = self.1.pop_slice(to);
            to = &mut to[got..];
        }
    }
}
