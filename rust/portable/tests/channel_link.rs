// SPDX-License-Identifier: GPL-2.0

//! Two sides of the channel: meeting, messages, parting, and starting again.

#[path = "channel/memory.rs"]
mod memory;

use memory::Plain;
use multikernel_portable::channel::{
    hello::{Doorbell, Offer, Verdict},
    layout::{Region, Role, SIZE_MIN},
    link::{Error, Link, Message},
    message::{Class, Head, Part, Violation, MESSAGE_MAX},
    ring::Producer,
    status::{Status, NOTICE_MAX},
};
use proptest::prelude::*;
use std::{
    collections::VecDeque,
    sync::atomic::Ordering::Relaxed, //
};

type Side = Link<Plain>;

fn settle(host: &mut Side, spawn: &mut Side) {
    while host.poll() | spawn.poll() {}
}

fn meet_as(host: Offer, spawn: Offer) -> (Side, Side) {
    let memory = Plain::new(SIZE_MIN);
    let mut host = Link::host(memory.clone(), host, 0).unwrap();
    let mut spawn = Link::spawn(memory, spawn).unwrap();
    settle(&mut host, &mut spawn);
    (host, spawn)
}

fn meet() -> (Side, Side) {
    let sides = meet_as(Offer::default(), Offer::default());
    assert!(sides.0.terms().is_some() && sides.1.terms().is_some());
    sides
}

fn port(length: u32) -> Message {
    Message {
        class: Class::Port(1),
        length,
    }
}

#[test]
fn they_meet_whoever_comes_first() {
    let memory = Plain::new(SIZE_MIN);
    let mut spawn = Link::spawn(memory.clone(), Offer::default()).unwrap();
    assert!(!spawn.poll());
    let mut host = Link::host(memory, Offer::default(), 7).unwrap();
    assert_eq!(host.send(Class::Log, b"x"), Err(Error::NotOpen));
    settle(&mut host, &mut spawn);
    assert!(host.terms().is_some() && spawn.terms().is_some());
    assert_eq!((host.generation(), spawn.generation()), (9, 9));
    assert_eq!(host.send(Class::Log, b"x"), Ok(1));
    assert!(spawn.receive(&mut [0; 8]).unwrap().is_some());
}

#[test]
fn they_pair_or_say_why_not() {
    let offer = |oldest, newest, offered, required| Offer {
        oldest,
        newest,
        offered,
        required,
        doorbell: None,
        beat_ms: 250,
    };
    let cases = [
        (offer(1, 1, 0, 0), offer(1, 1, 0, 0), Ok((1, 0))),
        (offer(1, 3, 7, 0), offer(2, 9, 5, 4), Ok((3, 5))),
        (offer(1, 1, 0, 0), offer(2, 2, 0, 0), Err(Verdict::Version)),
        (offer(1, 1, 1, 0), offer(1, 1, 2, 1), Ok((1, 0))),
        (offer(1, 1, 1, 1), offer(1, 1, 2, 0), Err(Verdict::Feature)),
    ];
    for (one, other, expected) in cases {
        for (host, spawn) in [(one, other), (other, one)] {
            let (mut host, mut spawn) = meet_as(host, spawn);
            for side in [&mut host, &mut spawn] {
                let terms = side.terms().map(|terms| (terms.version, terms.features));
                assert_eq!(terms.ok_or(side.verdict()), expected.map_err(Some));
                assert_eq!(side.terms().map_or(250, |terms| terms.peer_beat_ms), 250);
                assert_eq!(side.send(Class::Log, b"").is_ok(), expected.is_ok());
            }
        }
    }
}

#[test]
fn a_hello_that_makes_no_sense_is_refused() {
    for (word, bits) in [(0, 1), (1, 1 << 32), (2, 1 << 16)] {
        for at in [0, SIZE_MIN / 16] {
            let memory = Plain::new(SIZE_MIN);
            let mut host = Link::host(memory.clone(), Offer::default(), 0).unwrap();
            let mut spawn = Link::spawn(memory.clone(), Offer::default()).unwrap();
            memory.words()[at + word].fetch_xor(bits, Relaxed);
            settle(&mut host, &mut spawn);
            assert_eq!(spawn.verdict(), Some(Verdict::Malformed));
            assert_eq!(host.verdict(), Some(Verdict::Malformed));
        }
    }
}

#[test]
fn a_longest_message_passes_a_smallest_region() {
    let (mut host, mut spawn) = meet();
    let message: Vec<u8> = (0..MESSAGE_MAX).map(|i| ((i * 7) >> 3) as u8).collect();
    let mut buffer = vec![0; MESSAGE_MAX];
    assert_eq!(
        host.send(Class::Log, &[&message[..], b"."].concat()),
        Err(Error::TooLong)
    );
    for _ in 0..3 {
        let mut rest = &message[..];
        let got = loop {
            match host.send(Class::Port(1), rest) {
                Ok(sent) => rest = &rest[sent..],
                Err(error) => assert_eq!(error, Error::Full),
            }
            if !rest.is_empty() {
                assert_eq!(host.send(Class::Log, b"between"), Err(Error::Unfinished));
                assert_eq!(host.send(Class::Port(1), &message), Err(Error::TooLong));
            }
            if let Some(got) = spawn.receive(&mut buffer).unwrap() {
                break got;
            }
        };
        assert!(rest.is_empty() && got == port(MESSAGE_MAX as u32));
        assert!(buffer == message);
        buffer.fill(0);
    }
}

#[test]
fn an_unfinished_message_can_be_made_void() {
    let (mut host, mut spawn) = meet();
    let mut buffer = vec![0; MESSAGE_MAX];
    let sent = host.send(Class::Port(1), &vec![1; MESSAGE_MAX]).unwrap();
    assert!(sent < MESSAGE_MAX);
    assert_eq!(spawn.receive(&mut buffer), Ok(None));
    assert_eq!(host.abort(), Ok(()));
    assert_eq!(host.abort(), Ok(()));
    assert_eq!(host.send(Class::Log, b"next"), Ok(4));
    assert_eq!(spawn.receive(&mut buffer), Err(Error::Void));
    let next = spawn.receive(&mut buffer).unwrap().unwrap();
    assert_eq!((next.class, next.length), (Class::Log, 4));
    assert_eq!(&buffer[..4], b"next");
}

#[test]
fn a_message_too_long_for_the_buffer_stays() {
    let (mut host, mut spawn) = meet();
    host.send(Class::Port(1), &[5; 100]).unwrap();
    assert_eq!(spawn.receive(&mut [0; 99]), Err(Error::TooLong));
    assert_eq!(spawn.receive(&mut [0; 100]), Ok(Some(port(100))));
}

/// Words of the host's first slot behind the stamp, and what they are a violation of.
#[test]
fn a_violation_costs_the_session() {
    let good = 3u64 << 32 | 1 << 48;
    let cases = [
        (good | 4097, Violation::Length),
        (good | u64::from(u32::MAX), Violation::Length),
        (good | 1 << 40, Violation::Length),
        (good | 2 << 40 | 1, Violation::Length),
        (good ^ 3 << 32, Violation::Class),
        (good ^ 7 << 32, Violation::Class),
        (good | 3 << 40, Violation::Flags),
        (good | 0x80 << 40, Violation::Flags),
        (3 << 32, Violation::Port),
        (3 << 32 | 64 << 48, Violation::Port),
        (good ^ 2 << 32, Violation::Port),
    ];
    for (word, violation) in cases {
        let (mut host, mut spawn) = meet();
        host.send(Class::Port(1), b"").unwrap();
        // Number 0xfffffff0 of 128.
        let slot = (SIZE_MIN / 8 + 112 * 64) / 8;
        spawn.memory().words()[slot + 1].store(word, Relaxed);
        assert_eq!(spawn.receive(&mut [0; 64]), Err(Error::NotOpen));
        assert_eq!(spawn.violations(), (1, Some(violation)));
        assert_eq!(spawn.verdict(), Some(Verdict::Violation));
        settle(&mut host, &mut spawn);
        assert_eq!(host.verdict(), Some(Verdict::Violation));
        // Its choice to try again.
        spawn.say_hello();
        settle(&mut host, &mut spawn);
        assert!(host.terms().is_some() && spawn.terms().is_some());
        assert_eq!(spawn.receive(&mut [0; 64]), Ok(None));
    }
}

#[test]
fn frames_of_two_messages_do_not_mix() {
    let cases = [
        (Class::Port(2), 4096, 1, Part::Last),
        (Class::Log, 4096, 1, Part::Last),
        (Class::Log, 4096, 0, Part::Abort),
        (Class::Port(1), MESSAGE_MAX, 1, Part::Last),
        (Class::Port(1), 0, 0, Part::Abort),
    ];
    for (class, before, length, part) in cases {
        let (_, mut spawn) = meet();
        let mut buffer = vec![0; MESSAGE_MAX];
        let ring = Region::new(SIZE_MIN).unwrap().ring(Role::Host);
        let mut liar = Producer::new(ring, spawn.generation());
        let mut push = |class, length, part| {
            let head = Head {
                length: length as u32,
                class,
                part,
            };
            liar.push(spawn.memory(), head, &vec![1; length]).unwrap();
            spawn.receive(&mut buffer)
        };
        for _ in 0..before / 4096 {
            assert_eq!(push(Class::Port(1), 4096, Part::More), Ok(None));
        }
        assert_eq!(push(class, length, part), Err(Error::NotOpen));
        assert_eq!(spawn.violations(), (1, Some(Violation::Message)));
    }
}

#[test]
fn a_message_of_small_parts_is_taken_a_few_at_a_time() {
    let (_, mut spawn) = meet();
    let ring = Region::new(SIZE_MIN).unwrap().ring(Role::Host);
    let mut peer = Producer::new(ring, spawn.generation());
    let parts = ring.slots;
    for n in 1..=parts {
        let head = Head {
            length: 1,
            class: Class::Log,
            part: [Part::More, Part::Last][usize::from(n == parts)],
        };
        peer.push(spawn.memory(), head, b"x").unwrap();
    }
    let message = Message {
        class: Class::Log,
        length: parts,
    };
    let mut buffer = [0; 1024];
    assert_eq!(spawn.receive(&mut buffer), Ok(None));
    assert_eq!(spawn.receive(&mut buffer), Ok(Some(message)));
}

#[test]
fn who_sleeps_is_rung_for_frames_and_sessions() {
    let doorbell = Some(Doorbell {
        apic_id: 0,
        vector: 32,
    });
    let sleeper = Offer {
        doorbell,
        ..Offer::default()
    };
    let (mut host, mut spawn) = meet_as(sleeper, Offer::default());
    spawn.send(Class::Log, b"busy").unwrap();
    assert!(!spawn.must_ring(), "the host does not sleep");
    assert!(host.sleep(false).awake);
    host.receive(&mut [0; 8]).unwrap();
    assert!(!host.sleep(false).awake);
    spawn.send(Class::Log, b"1").unwrap();
    spawn.send(Class::Log, b"2").unwrap();
    assert!(spawn.must_ring());
    assert!(!spawn.must_ring());
    spawn.send(Class::Log, b"3").unwrap();
    assert!(!spawn.must_ring(), "it was rung for the first");
    while host.receive(&mut [0; 8]).unwrap().is_some() {}
    assert!(!host.sleep(false).awake);
    spawn.close(Verdict::Gone);
    assert!(host.sleep(false).awake);
    settle(&mut host, &mut spawn);
    assert_eq!(host.verdict(), Some(Verdict::Gone));
    assert!(!host.sleep(true).awake);
}

/// What is on the way when a session ends has a number that no later one gets.
#[test]
fn generations_outlive_their_sessions() {
    let (mut host, mut spawn) = meet();
    let generation = host.generation();
    spawn.close(Verdict::Gone);
    settle(&mut host, &mut spawn);
    assert!(host.last_generation() >= generation);
}

#[test]
fn who_has_no_doorbell_is_not_rung_for_frames() {
    let (mut host, mut spawn) = meet();
    assert!(!host.sleep(false).awake);
    spawn.send(Class::Log, b"1").unwrap();
    assert!(!spawn.must_ring());
}

#[test]
fn a_doorbell_moves_and_nonsense_is_none() {
    let (mut host, mut spawn) = meet();
    assert_eq!(host.doorbell(), None);
    for (apic_id, vector) in [(3, 32), (u32::MAX, 255)] {
        let doorbell = Some(Doorbell { apic_id, vector });
        spawn.move_doorbell(doorbell);
        assert_eq!(host.doorbell(), doorbell);
        // Also for the sessions that follow.
        spawn.close(Verdict::Gone);
        settle(&mut host, &mut spawn);
        spawn.say_hello();
        settle(&mut host, &mut spawn);
        assert_eq!(host.doorbell(), doorbell);
    }
    for word in [31 << 32, 256 << 32, u64::MAX] {
        spawn.memory().words()[SIZE_MIN / 16 + 5].store(word, Relaxed);
        assert_eq!(host.doorbell(), None);
    }
}

#[test]
fn beats_and_last_words_need_no_ring() {
    let (host, spawn) = meet();
    let status = Status::new(&Region::new(SIZE_MIN).unwrap(), Role::Spawn);
    let mut text = [0; NOTICE_MAX];
    let memory = host.memory();
    assert_eq!(status.beats(memory, 63), 0);
    status.beat(memory, 63);
    status.beat(memory, 64);
    assert_eq!(status.beats(memory, 63), 1);
    assert_eq!(status.beats(memory, 0), 0);
    assert_eq!(status.beats(memory, 64), 0);

    let generation = spawn.generation();
    assert_eq!(status.panicked(memory, generation, &mut text), None);
    status.panic(memory, b"Kernel panic - not syncing: Fatal exception");
    let said = status.panicked(memory, generation, &mut text);
    assert_eq!(
        said,
        Some(&b"Kernel panic - not syncing: Fatal exception"[..])
    );
    assert_eq!(status.panicked(memory, generation + 1, &mut text), None);
    status.panic(memory, &[b'x'; 2000]);
    assert_eq!(
        status.panicked(memory, generation, &mut text),
        Some(&[b'x'; NOTICE_MAX][..])
    );
    // A length that is too long is cut.
    memory.words()[SIZE_MIN / 16 + 0x400 / 8].fetch_or(0xffff << 16, Relaxed);
    assert_eq!(
        status
            .panicked(memory, generation, &mut text)
            .unwrap()
            .len(),
        NOTICE_MAX
    );
}

#[derive(Clone, Debug)]
enum Move {
    Poll(bool),
    Send(bool, usize),
    Receive(bool),
    Restart(bool),
    Close(bool),
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let step = prop_oneof![
        10 => any::<bool>().prop_map(Move::Poll),
        8 => (any::<bool>(), prop_oneof![0..60usize, 0..9000usize]).prop_map(|(by, n)| Move::Send(by, n)),
        8 => any::<bool>().prop_map(Move::Receive),
        1 => any::<bool>().prop_map(Move::Restart),
        1 => any::<bool>().prop_map(Move::Close),
    ];
    prop::collection::vec(step, 1..150)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Sides that start again at any moment: what arrives was sent in that session, in order and
    /// whole, and in the end they talk.
    #[test]
    fn restarts_void_what_was_sent_and_nothing_else(moves in moves()) {
        let memory = Plain::new(SIZE_MIN);
        let mut sides = [
            Link::host(memory.clone(), Offer::default(), 0).unwrap(),
            Link::spawn(memory.clone(), Offer::default()).unwrap(),
        ];
        let mut hosts_generation = 0;
        // What each side sent, with its generation.
        let mut sent: [VecDeque<(u32, Vec<u8>)>; 2] = Default::default();
        let mut byte = 0u8;
        let mut buffer = vec![0; MESSAGE_MAX];
        for step in moves {
            match step {
                Move::Poll(by) => {
                    let side = &mut sides[usize::from(by)];
                    let _ = side.poll();
                    if by && side.verdict().is_some() {
                        side.say_hello();
                    }
                }
                Move::Send(by, length) => {
                    let side = &mut sides[usize::from(by)];
                    byte = byte.wrapping_add(1);
                    let message: Vec<u8> = (0..length).map(|i| byte ^ (i >> 3) as u8).collect();
                    match side.send(Class::Port(1), &message) {
                        Ok(n) if n == length => {
                            sent[usize::from(by)].push_back((side.generation(), message));
                        }
                        Ok(_) if side.abort().is_ok() => {}
                        Ok(_) => side.close(Verdict::Gone),
                        Err(error) => prop_assert!(matches!(error, Error::Full | Error::NotOpen)),
                    }
                }
                Move::Receive(by) => {
                    let side = &mut sides[usize::from(by)];
                    if let Ok(Some(message)) = side.receive(&mut buffer) {
                        let queue = &mut sent[usize::from(!by)];
                        let expected = std::iter::from_fn(|| queue.pop_front())
                            .find(|(generation, _)| *generation == side.generation());
                        prop_assert_eq!(message.class, Class::Port(1));
                        prop_assert_eq!(expected.unwrap().1, &buffer[..message.length as usize]);
                    }
                }
                Move::Restart(false) => {
                    hosts_generation = hosts_generation.max(sides[0].generation()) + 100;
                    sides[0] = Link::host(memory.clone(), Offer::default(), hosts_generation).unwrap();
                }
                Move::Restart(true) => {
                    sides[1] = Link::spawn(memory.clone(), Offer::default()).unwrap();
                }
                Move::Close(by) => sides[usize::from(by)].close(Verdict::Gone),
            }
        }
        let [mut host, mut spawn] = sides;
        for _ in 0..4 {
            settle(&mut host, &mut spawn);
            if spawn.verdict().is_some() || host.verdict().is_some() {
                spawn.say_hello();
            }
        }
        prop_assert!(host.terms().is_some() && spawn.terms().is_some());
        prop_assert_eq!(host.generation(), spawn.generation());
        prop_assert_eq!(host.violations().0 + spawn.violations().0, 0);
    }

    /// Both sides decide alike.
    #[test]
    fn terms_are_the_same_for_both(versions: [u8; 4], features: [u8; 4]) {
        let [a, b, c, d] = versions.map(|v| u16::from(v % 4));
        let [e, f, g, h] = features.map(|v| u64::from(v % 8));
        let offer = |newest, oldest, offered, required| Offer { newest, oldest, offered, required, ..Offer::default() };
        let (one, other) = (offer(a, b, e, f & e), offer(c, d, g, h & g));
        let terms = one.agree(&other);
        prop_assert_eq!(terms, other.agree(&one));
        if let Ok(terms) = terms {
            prop_assert!((b..=a).contains(&terms.version) && (d..=c).contains(&terms.version));
            prop_assert_eq!(terms.features, e & g);
        }
    }
}
