// SPDX-License-Identifier: GPL-2.0

//! A ring against a queue.

#[path = "channel/memory.rs"]
mod memory;

use memory::Plain;
use multikernel_portable::channel::{
    duplex::Duplex,
    layout::{Region, Role, SIZE_MAX, SIZE_MIN},
    message::{Class, Head, Part, Violation},
    ring::{Consumer, Producer, ReceiveError, Ring, SendError},
};
use proptest::prelude::*;
use std::collections::VecDeque;

/// As few slots and lines as there can be.
const SMALL: Ring = Ring {
    slots_at: 0,
    slots: 4,
    data_at: 256,
    lines: 8,
    credits_at: 768,
    frame_sleep_at: 784,
    credit_sleep_at: 792,
};
const SMALL_SIZE: usize = 800;

fn head(length: usize) -> Head {
    Head {
        length: length as u32,
        class: Class::Port(7),
        part: Part::Last,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Receive,
    Tell,
    /// The peer starts again: what is on the way is void.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0..=132usize).prop_map(Step::Send),
        4 => Just(Step::Receive),
        1 => Just(Step::Tell),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// What is sent arrives once, in order, whole; what is refused had no room.
    #[test]
    fn a_ring_is_a_queue(steps in steps()) {
        let memory = Plain::new(SMALL_SIZE);
        let mut generation = 1;
        let mut producer = Producer::new(SMALL, generation);
        let mut consumer = Consumer::new(SMALL, generation, &memory);
        let mut queue: VecDeque<Vec<u8>> = VecDeque::new();
        let mut byte = 0u8;
        for step in steps {
            match step {
                Step::Send(length) => {
                    byte = byte.wrapping_add(1);
                    let payload: Vec<u8> = (0..length).map(|i| byte ^ i as u8).collect();
                    match producer.push(&memory, head(length), &payload) {
                        Ok(()) => {
                            prop_assert!(length <= 128);
                            queue.push_back(payload);
                        }
                        Err(SendError::TooLong) => prop_assert!(length > 128),
                        Err(error) => {
                            prop_assert_eq!(error, SendError::Full);
                            // The consumer tells of each frame: a quarter of the slots is one.
                            let away: usize = queue.iter().filter(|p| p.len() > 48).map(|p| p.len().div_ceil(64)).sum();
                            let need = if length > 48 { length.div_ceil(64) } else { 0 };
                            prop_assert!(queue.len() == 4 || away + need > 8);
                        }
                    }
                }
                Step::Receive => {
                    let mut to = [0; 128];
                    let got = consumer.pop(&memory, &mut to).unwrap();
                    let want = queue.pop_front();
                    prop_assert_eq!(got, want.as_ref().map(|payload| head(payload.len())));
                    if let Some(payload) = want {
                        prop_assert_eq!(&to[..payload.len()], &payload[..]);
                    }
                }
                Step::Tell => consumer.tell(&memory),
                Step::Restart => {
                    generation += 1;
                    consumer = Consumer::new(SMALL, generation, &memory);
                    producer = Producer::new(SMALL, generation);
                    queue.clear();
                }
            }
        }
    }

    /// A busy pair, and one that sleeps whenever it may: everything arrives all the same, and a
    /// sleeper is rung.
    #[test]
    fn sleepers_are_woken(moves in prop::collection::vec((any::<bool>(), any::<bool>(), 0..130usize), 1..200)) {
        let region = Region::new(SIZE_MIN).unwrap();
        let memory = Plain::new(SIZE_MIN);
        let mut sides = [Role::Host, Role::Spawn].map(|role| Duplex {
            producer: Producer::new(region.ring(role), 5),
            consumer: Consumer::new(region.ring(role.peer()), 5, &memory),
        });
        let mut asleep = [false; 2];
        for (side, sends, length) in moves {
            let (me, peer) = (usize::from(side), usize::from(!side));
            if asleep[me] {
                let mut to = [0; 4096];
                prop_assert_eq!(sides[me].consumer.pop(&memory, &mut to), Ok(None));
                continue;
            }
            if sends {
                let sent = sides[me].producer.push(&memory, head(length), &vec![1; length]);
                prop_assert!(sent.is_ok() || sent == Err(SendError::Full));
                if sides[me].must_ring(&memory) {
                    asleep[peer] = false;
                }
                prop_assert!(!asleep[peer] || sent.is_err());
            } else {
                let mut to = [0; 4096];
                while sides[me].consumer.pop(&memory, &mut to).unwrap().is_some() {}
                let sleep = sides[me].sleep(&memory, false).unwrap();
                prop_assert!(!sleep.awake);
                asleep[me] = true;
                if sleep.ring {
                    asleep[peer] = false;
                }
            }
        }
    }

    /// A consumer that only receives, and never tells by itself, keeps no producer waiting.
    #[test]
    fn whoever_has_received_all_has_told_enough(
        lengths in prop::collection::vec(0..=SIZE_MIN / 16, 1..400),
    ) {
        let ring = Region::new(SIZE_MIN).unwrap().ring(Role::Host);
        let longest = ring.frame_max() as usize;
        let memory = Plain::new(SIZE_MIN);
        let mut producer = Producer::new(ring, 1);
        let mut consumer = Consumer::new(ring, 1, &memory);
        let (payload, mut to) = (vec![7; longest], vec![0; longest]);
        for length in lengths.into_iter().map(|length| length.min(longest)) {
            let sent = producer.push(&memory, head(length), &payload[..length]);
            prop_assert_eq!(sent, Ok(()));
            prop_assert_eq!(consumer.pop(&memory, &mut to), Ok(Some(head(length))));
            prop_assert_eq!(consumer.pop(&memory, &mut to), Ok(None));
        }
    }
}

#[test]
fn a_frame_too_long_for_the_reader_stays() {
    let memory = Plain::new(SMALL_SIZE);
    let mut producer = Producer::new(SMALL, 1);
    let mut consumer = Consumer::new(SMALL, 1, &memory);
    producer.push(&memory, head(3), b"abc").unwrap();
    let mut to = [0; 3];
    assert_eq!(
        consumer.pop(&memory, &mut to[..2]),
        Err(ReceiveError::TooLong(3))
    );
    assert_eq!(consumer.pop(&memory, &mut to), Ok(Some(head(3))));
    assert_eq!(&to, b"abc");
}

#[test]
fn a_producer_sleeps_until_half_is_received() {
    let memory = Plain::new(SMALL_SIZE);
    let mut producer = Producer::new(SMALL, 1);
    let mut consumer = Consumer::new(SMALL, 1, &memory);
    for _ in 0..4 {
        producer.push(&memory, head(0), &[]).unwrap();
    }
    assert_eq!(producer.push(&memory, head(0), &[]), Err(SendError::Full));
    let frame = producer.sleep(&memory).unwrap();
    assert_eq!(producer.has_credit(&memory, frame), Ok(false));
    consumer.pop(&memory, &mut []).unwrap();
    assert!(!consumer.must_ring(&memory));
    consumer.pop(&memory, &mut []).unwrap();
    assert!(consumer.must_ring(&memory));
    assert!(!consumer.must_ring(&memory));
    assert_eq!(producer.has_credit(&memory, frame), Ok(true));
    for _ in 0..2 {
        producer.push(&memory, head(0), &[]).unwrap();
    }
}

#[test]
fn credits_that_cannot_be_are_a_violation() {
    for (frames, lines) in [(1, 0), (0, 1), (-1, 0), (0, -1i64)] {
        let memory = Plain::new(SMALL_SIZE);
        let mut producer = Producer::new(SMALL, 1);
        Consumer::new(SMALL, 1, &memory);
        let words = &memory.words()[SMALL.credits_at / 8..];
        for (word, by) in words.iter().zip([frames, lines]) {
            word.fetch_add(by as u64, std::sync::atomic::Ordering::Relaxed);
        }
        for _ in 0..4 {
            producer.push(&memory, head(0), &[]).unwrap();
        }
        let error = producer.push(&memory, head(0), &[]);
        if frames == 1 {
            // One of the four may well have been received.
            assert_eq!(error, Ok(()));
        } else {
            assert_eq!(error, Err(SendError::Violation(Violation::Credit)));
        }
    }
}

#[test]
fn rings_and_fields_of_all_regions_are_apart() {
    let mut size = SIZE_MIN;
    while size <= SIZE_MAX {
        let region = Region::new(size).unwrap();
        assert!(Region::new(size + 1).is_none() && Region::new(size - 64).is_none());
        for role in [Role::Host, Role::Spawn] {
            let own = region.section(role);
            let peer = region.section(role.peer());
            let ring = region.ring(role);
            assert_eq!(ring.slots_at, own + size / 8);
            assert_eq!(ring.slots as usize * 64, size / 8);
            assert_eq!(ring.data_at, own + size / 4);
            assert_eq!(ring.lines as usize * 64, size / 4);
            assert_eq!(ring.credits_at, peer + 0x80);
            assert_eq!(ring.frame_sleep_at, peer + 0x100);
            assert_eq!(ring.credit_sleep_at, own + 0x108);
            assert_eq!(ring.frame_max() as usize, size / 16);
        }
        size *= 2;
    }
    assert!(Region::new(size).is_none() && Region::new(SIZE_MIN / 2).is_none());
}
