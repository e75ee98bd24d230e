// SPDX-License-Identifier: GPL-2.0

//! Two threads that send each other messages of all lengths, and sleep when there is nothing to do:
//! all arrive, whole and in order. Under ThreadSanitizer, no byte is written while it is read.

use multikernel_portable::channel::{
    hello::Offer,
    link::{Error, Link},
    message::Class, //
};
use multikernel_region::Region;
use std::{
    sync::atomic::{
        AtomicBool,
        Ordering::{AcqRel, Release}, //
    },
    thread::{self, Thread},
    time::{Duration, Instant}, //
};

const MESSAGES: u64 = 20_000;
const LONGEST: usize = 70_000;
/// Of a sleep that nobody ends.
const DEADLINE: Duration = Duration::from_secs(20);

/// Length and contents of a message.
fn message(number: u64) -> Vec<u8> {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let length = match number % 64 {
        0 => mixed as usize % LONGEST,
        n if n % 8 == 0 => mixed as usize % 4000,
        _ => mixed as usize % 100,
    };
    (0..length)
        .map(|i| (number as usize + (i >> 3)) as u8)
        .collect()
}

/// A thread to wake, and whether it was.
struct Doorbell<'a>(&'a AtomicBool, Thread);

impl Doorbell<'_> {
    fn ring(&self) {
        self.0.store(true, Release);
        self.1.unpark();
    }
}

fn sleep(rung: &AtomicBool) {
    let began = Instant::now();
    while !rung.swap(false, AcqRel) {
        assert!(began.elapsed() < DEADLINE, "a wake-up was lost");
        thread::park_timeout(DEADLINE);
    }
}

/// Sends and receives all of them; how often it rang.
fn talk(mut link: Link<Region>, peer: &Doorbell<'_>, rung: &AtomicBool) -> u64 {
    let mut buffer = vec![0; LONGEST];
    let (mut sent, mut part, mut received) = (0, 0, 0);
    let mut sending = message(0);
    let mut rings = 0;
    while sent < MESSAGES || received < MESSAGES {
        let mut idle = true;
        if sent < MESSAGES {
            match link.send(Class::Port(1), &sending[part..]) {
                Ok(length) => {
                    idle = false;
                    part += length;
                    if part == sending.len() {
                        (sent, part) = (sent + 1, 0);
                        sending = message(sent);
                    }
                }
                Err(error) => assert_eq!(error, Error::Full),
            }
        }
        while let Some(got) = link.receive(&mut buffer).expect("a session") {
            assert!(
                buffer[..got.length as usize] == message(received),
                "message {received}"
            );
            received += 1;
            idle = false;
        }
        let mut wanted = link.must_ring();
        if idle {
            let sleep = link.sleep(sent < MESSAGES);
            wanted |= sleep.ring;
            idle = !sleep.awake;
        }
        if wanted {
            rings += 1;
            peer.ring();
        }
        if idle && (sent < MESSAGES || received < MESSAGES) {
            sleep(rung);
        }
    }
    // The last credits, which the other one may sleep for.
    if link.sleep(false).ring {
        peer.ring();
    }
    rings
}

fn main() {
    let region = Region::new(64 << 10);
    let mut host = Link::host(region.clone(), Offer::default(), 0).expect("a size that is right");
    let mut spawn = Link::spawn(region.clone(), Offer::default()).expect("a size that is right");
    while host.poll() | spawn.poll() {}
    let bells = [AtomicBool::new(false), AtomicBool::new(false)];
    let main = thread::current();
    thread::scope(|scope| {
        let other = scope.spawn(|| talk(spawn, &Doorbell(&bells[0], main), &bells[1]));
        let rings = talk(
            host,
            &Doorbell(&bells[1], other.thread().clone()),
            &bells[0],
        );
        let others = other.join().expect("the other thread is well");
        println!("{MESSAGES} messages each way, {rings} and {others} doorbells");
    });
    // Freed here, where ThreadSanitizer knows that the other thread has ended.
    drop(region);
}
