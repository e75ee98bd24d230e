// SPDX-License-Identifier: GPL-2.0

//! The rings in every order that two processors can have: by loom, up to three preemptions.
//!
//! Who meets whom, and in which model:
//!
//! | one processor             | the other one             | model                                      |
//! |---------------------------|---------------------------|--------------------------------------------|
//! | `push`                    | `pop`                     | `inline_frames_pass`                       |
//! | `push` of data            | `pop`                     | `frames_with_data_pass`                    |
//! | `push` for want of slots  | `pop`, which tells        | both of these                              |
//! | `push` for want of lines  | `pop`, which tells        | `lines_are_written_again`                  |
//! | `push` across the end     | `pop`, which tells        | `a_frame_goes_on_at_the_start`             |
//! | `push`, `must_ring`       | `pop`, `sleep`            | `no_wake_up_for_a_frame_is_lost`           |
//! | `push`, `sleep`           | `pop`, `must_ring`        | `no_wake_up_for_room_is_lost`              |
//! | `push`, death             | `pop`, the next session   | `a_producer_may_die_anywhere_in_...`       |
//! | hellos, a message         | the same, a life later    | in `channel_loom_sessions.rs`              |
#![allow(
    clippy::single_range_in_vec_init,
    reason = "memory is made of ranges, and one is enough here"
)]

#[path = "channel/loom_memory.rs"]
mod loom_memory;

use loom::thread;
use loom_memory::Modelled;
use multikernel_portable::channel::{
    duplex::Duplex,
    layout::LINE,
    message::{Class, Head, Part},
    ring::{Consumer, Producer, Ring},
};

/// Bytes of a frame that takes a line of data, and is as short as it can be.
const LONG: usize = 49;
/// The same of two lines.
const LONGER: usize = 65;

fn ring(at: usize) -> Ring {
    Ring {
        slots_at: at,
        slots: 2,
        data_at: at + 128,
        lines: 4,
        credits_at: at + 384,
        frame_sleep_at: at + 400,
        credit_sleep_at: at + 408,
    }
}
const RING_SIZE: usize = 416;

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn head(length: usize) -> Head {
    Head {
        length: length as u32,
        class: Class::Log,
        part: Part::Last,
    }
}

fn push(producer: &mut Producer, memory: &Modelled, byte: u8, length: usize) -> bool {
    producer
        .push(memory, head(length), &vec![byte; length])
        .is_ok()
}

/// The byte that all of a frame consists of.
fn pop(consumer: &mut Consumer, memory: &Modelled, length: usize) -> Option<u8> {
    let mut to = [0; 128];
    let got = consumer.pop(memory, &mut to).unwrap()?;
    assert_eq!(got, head(length));
    assert!(to[..length].iter().all(|&byte| byte == to[0]), "torn");
    Some(to[0])
}

/// More frames than slots: in order, whole, and a place is written again only when it was read.
fn frames_pass(length: usize) {
    check(move || {
        let memory = Modelled::new(&[0..RING_SIZE]);
        let mut consumer = Consumer::new(ring(0), 1, &memory);
        let view = memory.view();
        let sender = thread::spawn(move || {
            let mut producer = Producer::new(ring(0), 1);
            (1..=3)
                .take_while(|&byte| push(&mut producer, &view, byte, length))
                .count()
        });
        let mut got = Vec::new();
        for _ in 0..2 {
            got.extend(pop(&mut consumer, &memory, length));
        }
        let sent = sender.join().unwrap();
        assert!(sent >= 2);
        got.extend(std::iter::from_fn(|| pop(&mut consumer, &memory, length)));
        assert!(got.iter().copied().eq(1..=sent as u8));
    });
}

#[test]
fn inline_frames_pass() {
    frames_pass(8);
}

#[test]
fn frames_with_data_pass() {
    frames_pass(LONG);
}

/// Frames that leave slots, but not enough lines for the next ones: those come when there is credit,
/// and no line is written before it was read.
fn lines_run_out(lines: u32, lengths: &'static [usize], next: &'static [usize]) {
    let data = lines as usize * LINE;
    let ring = Ring {
        slots_at: 0,
        slots: 2 * lines,
        data_at: 0x1000,
        lines,
        credits_at: 0x1000 + data,
        frame_sleep_at: 0x1000 + data + 16,
        credit_sleep_at: 0x1000 + data + 24,
    };
    check(move || {
        // Of the slots, what frames with data need, and who looks for one more.
        let slots = (0..=lengths.len() + next.len()).map(|i| i * LINE..i * LINE + 16);
        let ranges: Vec<_> = slots.chain([0x1000..0x1000 + data + 32]).collect();
        let memory = Modelled::new(&ranges);
        let mut consumer = Consumer::new(ring, 1, &memory);
        let mut producer = Producer::new(ring, 1);
        for (byte, &length) in (1..).zip(lengths) {
            assert!(push(&mut producer, &memory, byte, length));
        }
        assert!(!push(&mut producer, &memory, 0, next[0]), "lent twice");
        let first = 1 + lengths.len() as u8;
        let view = memory.view();
        let sender = thread::spawn(move || {
            let frames = (first..).zip(next);
            let sent =
                frames.take_while(|&(byte, &length)| push(&mut producer, &view, byte, length));
            (sent.count(), producer)
        });
        let all: Vec<_> = lengths.iter().chain(next).collect();
        let pop_next = |consumer: &mut Consumer, at: usize| {
            let got = pop(consumer, &memory, *all[at]);
            assert_eq!(got, Some(at as u8 + 1));
        };
        // So many that credit is told.
        for at in 0..2 {
            pop_next(&mut consumer, at);
        }
        let (sent, mut producer) = sender.join().unwrap();
        // Now there is credit for all.
        for (at, &length) in next.iter().enumerate().skip(sent) {
            assert!(push(&mut producer, &memory, first + at as u8, length));
        }
        for at in 2..all.len() {
            pop_next(&mut consumer, at);
        }
        let mut to = [];
        assert_eq!(consumer.pop(&memory, &mut to), Ok(None));
    });
}

#[test]
fn lines_are_written_again() {
    lines_run_out(4, &[LONG; 4], &[LONG; 2]);
}

/// One line is left at the end of the data, and the frame takes two.
#[test]
fn a_frame_goes_on_at_the_start() {
    lines_run_out(8, &[LONG, LONGER, LONGER, LONGER], &[LONGER]);
}

/// Whoever sleeps for a frame is rung, or has seen it.
#[test]
fn no_wake_up_for_a_frame_is_lost() {
    check(|| {
        let memory = Modelled::new(&[0..2 * RING_SIZE]);
        let duplex = |memory: &Modelled, mine, other| Duplex {
            producer: Producer::new(ring(mine), 1),
            consumer: Consumer::new(ring(other), 1, memory),
        };
        let mut receiver = duplex(&memory, 0, RING_SIZE);
        let mut sender = duplex(&memory, RING_SIZE, 0);
        let view = memory.view();
        let sender = thread::spawn(move || {
            (1..=2)
                .filter(|&byte| {
                    push(&mut sender.producer, &view, byte, 0);
                    sender.must_ring(&view)
                })
                .count()
        });
        let mut got = 0;
        let mut rung = 0;
        loop {
            let mut to = [];
            while receiver.consumer.pop(&memory, &mut to).unwrap().is_some() {
                got += 1;
            }
            if !receiver.sleep(&memory, false).unwrap().awake {
                break;
            }
        }
        rung += sender.join().unwrap();
        assert!(got == 2 || rung > 0, "asleep with {got} of 2");
        assert!(rung <= 2);
    });
}

/// Whoever sleeps for room is rung, or has seen it.
#[test]
fn no_wake_up_for_room_is_lost() {
    check(|| {
        let memory = Modelled::new(&[0..2 * RING_SIZE]);
        let mut sender = Duplex {
            producer: Producer::new(ring(0), 1),
            consumer: Consumer::new(ring(RING_SIZE), 1, &memory),
        };
        let mut receiver = Duplex {
            producer: Producer::new(ring(RING_SIZE), 1),
            consumer: Consumer::new(ring(0), 1, &memory),
        };
        for byte in 1..=2 {
            assert!(push(&mut sender.producer, &memory, byte, 0));
        }
        let view = memory.view();
        let receiver = thread::spawn(move || {
            let mut to = [];
            while receiver.consumer.pop(&view, &mut to).unwrap().is_some() {}
            receiver.must_ring(&view)
        });
        let sent = push(&mut sender.producer, &memory, 3, 0);
        let asleep = !sent && !sender.sleep(&memory, true).unwrap().awake;
        let rung = receiver.join().unwrap();
        assert!(sent || !asleep || rung, "asleep, and there is room");
    });
}

/// A producer that dies at any of its stores: what was sent before arrives whole, nothing else
/// does, and the next session works.
fn death(length: usize, stores: usize) {
    check(move || {
        let memory = Modelled::new(&[0..RING_SIZE]);
        let mut consumer = Consumer::new(ring(0), 1, &memory);
        let view = memory.view_with_stores(stores);
        let sender = thread::spawn(move || {
            let mut producer = Producer::new(ring(0), 1);
            for byte in 1..=2 {
                push(&mut producer, &view, byte, length);
            }
        });
        let mut got = Vec::new();
        got.extend(pop(&mut consumer, &memory, length));
        sender.join().unwrap();
        got.extend(std::iter::from_fn(|| pop(&mut consumer, &memory, length)));
        let each = length.div_ceil(8) + 2;
        assert!(got.iter().copied().eq(1..=(stores / each) as u8));

        let mut consumer = Consumer::new(ring(0), 2, &memory);
        assert_eq!(pop(&mut consumer, &memory, length), None);
        let mut producer = Producer::new(ring(0), 2);
        assert!(push(&mut producer, &memory, 9, length));
        assert_eq!(pop(&mut consumer, &memory, length), Some(9));
    });
}

#[test]
fn a_producer_may_die_anywhere_in_an_inline_frame() {
    for stores in 0..=6 {
        death(8, stores);
    }
}

#[test]
fn a_producer_may_die_anywhere_in_a_frame_with_data() {
    for stores in 0..=18 {
        death(LONG, stores);
    }
}
