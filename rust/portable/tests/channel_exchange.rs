// SPDX-License-Identifier: GPL-2.0

//! Ports with queues: what users of both sides see.

#[path = "channel/memory.rs"]
mod memory;
#[path = "channel/sides.rs"]
#[allow(dead_code, reason = "no stream ends here")]
mod sides;

use memory::Plain;
use multikernel_portable::channel::{
    control::Control,
    echo::{LENGTH_MAX, LOOKS, LOOK_US},
    exchange::{Refusal, Then},
    gate::CONSOLE,
    heart::Heart,
    hello::{Offer, Verdict, ECHO},
    layout::{Region, Role, SIZE_MIN},
    link::Link,
    message::{Class, Violation, MESSAGE_MAX},
    queue::Queue,
    shared::Shared,
    status::Status,
};
use proptest::prelude::*;
use sides::{meet, meet_in, settle, Side, QUEUE};
use std::collections::VecDeque;

#[test]
fn a_port_is_open_when_somebody_in_the_spawn_uses_it() {
    let (_, mut host, mut spawn) = meet();
    host.attach(2);
    settle(&mut host, &mut spawn);
    assert_eq!(host.send(2, b"early"), Err(Refusal::NotConnected));
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    assert_eq!(host.send(2, b"to the spawn"), Ok(12));
    assert_eq!(spawn.send(2, b"to the host"), Ok(11));
    assert_eq!(spawn.take(2), None);
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.take(2).unwrap(), b"to the spawn");
    assert_eq!(host.take(2).unwrap(), b"to the host");
    assert_eq!(host.take(2), None);
}

#[test]
fn a_slow_reader_holds_up_the_writer_of_its_port_only() {
    let (_, mut host, mut spawn) = meet();
    for port in [2, 3] {
        spawn.attach(port);
        host.attach(port);
    }
    settle(&mut host, &mut spawn);
    let mut sent = 0;
    for _ in 0..1000 {
        match spawn.send(2, &[7; 1000]) {
            Ok(n) => sent += n,
            Err(refusal) => assert_eq!(refusal, Refusal::Full),
        }
        settle(&mut host, &mut spawn);
    }
    assert_eq!(sent, QUEUE);
    spawn.send(3, b"through").unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(host.take(3).unwrap(), b"through");
    assert_eq!(host.take(2).unwrap().len(), QUEUE);
    settle(&mut host, &mut spawn);
    assert!(spawn.send(2, &[7; 1000]).is_ok());
}

#[test]
fn who_waits_for_a_slow_reader_can_sleep() {
    let (_, mut host, mut spawn) = meet();
    spawn.attach(2);
    host.attach(2);
    settle(&mut host, &mut spawn);
    while host.send(2, &[7; 1000]).is_ok() {
        settle(&mut host, &mut spawn);
    }
    let served = host.exchange.serve(&mut host.gates, Then::SleepForRoom);
    assert!(!served.again);
    spawn.take(2).unwrap();
    settle(&mut host, &mut spawn);
    assert!(host.send(2, &[7; 1000]).is_ok());
}

#[test]
fn the_console_remembers_the_newest_and_never_stalls() {
    let (_, mut host, mut spawn) = meet();
    spawn.attach(CONSOLE);
    settle(&mut host, &mut spawn);
    let mut sent = 0u64;
    while sent < 3 * QUEUE as u64 {
        let line = format!("line {sent:10}\n");
        sent += spawn.send(CONSOLE, line.as_bytes()).unwrap() as u64;
        settle(&mut host, &mut spawn);
    }
    let (mut at, mut seen) = (0, Vec::new());
    loop {
        let mut part = [0; 1000];
        let (next, copied) = host.gates.look(at, &mut part);
        at = next;
        if copied == 0 {
            break;
        }
        seen.extend_from_slice(&part[..copied]);
    }
    assert_eq!((at, seen.len()), (sent, QUEUE));
    assert!(String::from_utf8(seen)
        .unwrap()
        .ends_with(&format!("line {:10}\n", sent - 16)));
}

#[test]
fn who_waited_learns_that_the_session_is_over() {
    let (_, mut host, mut spawn) = meet();
    host.attach(2);
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    spawn.send(2, b"last words").unwrap();
    settle(&mut host, &mut spawn);
    assert!(!host.gates.is_broken(2));
    spawn.exchange.link().close(Verdict::Gone);
    host.serve();
    assert_eq!(host.send(2, b"x"), Err(Refusal::Broken));
    assert_eq!(host.take(2).unwrap(), b"last words");
    assert_eq!(host.take(2).unwrap(), b"");
    // Another life has nothing of the old one.
    host.gates.begin();
    assert_eq!(host.take(2), None);
    assert_eq!(host.exchange.sessions(), 1);
}

#[test]
fn ports_without_a_queue_are_refused() {
    let (_, mut host, mut spawn) = meet();
    let memory = spawn.exchange.link().memory().clone();
    let mut raw = Link::spawn(memory, Offer::default()).unwrap();
    while raw.poll() | host.serve() {}
    raw.send(
        multikernel_portable::channel::message::Class::Control,
        &Control::Open(63, 1).encode(),
    )
    .unwrap();
    host.serve();
    let mut buffer = vec![0; MESSAGE_MAX];
    let message = raw.receive(&mut buffer).unwrap().unwrap();
    assert_eq!(
        Control::decode(&buffer[..message.length as usize]),
        Ok(Control::Close(63, 111))
    );
    spawn.gates.end();
}

#[test]
fn requests_and_answers_arrive() {
    let (_, mut host, mut spawn) = meet();
    host.exchange.tell(Control::Shutdown(5000)).unwrap();
    // A terminal's size takes no order back, nor does a second one.
    host.exchange.tell(Control::Resize(1, 24 << 16)).unwrap();
    host.exchange.tell(Control::Reboot(7)).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.exchange.request(), Some(Control::Shutdown(5000)));
    assert_eq!(spawn.exchange.request(), None);
    spawn.exchange.tell(Control::Answer(0)).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(host.exchange.answer(), Some(0));
}

#[test]
fn signs_tell_of_frames_credits_and_sessions() {
    let (memory, mut host, mut spawn) = meet();
    let is_news = |side: &mut Side| side.exchange.link().signs().is_news(&memory);
    assert!(!is_news(&mut host) && !is_news(&mut spawn));
    let quiet = host.exchange.link().signs();
    spawn.exchange.tell(Control::Answer(0)).unwrap();
    assert!(quiet.is_news(&memory) && is_news(&mut host));
    settle(&mut host, &mut spawn);
    let quiet = host.exchange.link().signs();
    spawn.exchange.link().close(Verdict::Gone);
    assert!(quiet.is_news(&memory));
    // After the last look, and before these are taken.
    assert!(is_news(&mut host));
    let _ = host.exchange.link().poll();
    assert!(!is_news(&mut host));
    spawn.exchange.link().say_hello();
    assert!(is_news(&mut host));
    // The host's credit for the frame above.
    let quiet = spawn.exchange.link().signs();
    assert!(!quiet.is_news(&memory));
}

#[test]
fn a_silent_cpu_is_told_from_one_that_beats_and_one_that_rests() {
    let memory = Plain::new(SIZE_MIN);
    let region = Region::new(memory.size()).unwrap();
    let status = Status::new(&region, Role::Spawn);
    let mut heart = Heart::default();
    assert_eq!(heart.look(&memory, &status, 250), None);
    status.beat(&memory, 0);
    status.beat(&memory, 5);
    assert_eq!(heart.look(&memory, &status, 250), Some((0, 0)));
    for n in 1..=4 {
        status.beat(&memory, 0);
        assert_eq!(heart.look(&memory, &status, 250), Some((5, 250 * n)));
    }
    status.beat(&memory, 5);
    status.rest(&memory, 5);
    assert_eq!(heart.look(&memory, &status, 250), Some((0, 250)));
}

proptest! {
    /// Against a plain list of bytes.
    #[test]
    fn a_queue_keeps_the_newest(
        capacity in 1usize..50,
        steps in proptest::collection::vec((any::<bool>(), 0usize..70), 0..100),
    ) {
        let mut queue = Queue::new(vec![0; capacity]);
        let mut model = VecDeque::new();
        let mut number = 0u8;
        for (push, length) in steps {
            if push {
                let bytes: Vec<u8> = (0..length).map(|i| number.wrapping_add(i as u8)).collect();
                number = number.wrapping_add(length as u8);
                queue.push(&bytes);
                model.extend(bytes);
                while model.len() > capacity {
                    model.pop_front();
                }
            } else {
                let mut bytes = vec![0; length];
                let taken = queue.take(&mut bytes);
                let expected: Vec<u8> = model.drain(..length.min(model.len())).collect();
                prop_assert_eq!(&bytes[..taken], &expected[..]);
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.room(), capacity - model.len());
        }
    }
}

#[test]
fn who_reads_a_little_at_a_time_sends_no_windows() {
    let (_, mut host, mut spawn) = meet();
    host.attach(2);
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    // Many times the window passes, and it never closes.
    let mut rung = 0;
    for _ in 0..5000 {
        host.send(2, &[7; 64]).unwrap();
        settle(&mut host, &mut spawn);
        assert_eq!(spawn.take(2).unwrap().len(), 64);
        rung += u32::from(spawn.serve());
    }
    assert!(rung <= 5000 * 64 / (16 << 10) + 1, "{rung} times");
}

#[test]
fn who_polls_is_not_rung() {
    let (_, mut host, mut spawn) = meet();
    host.attach(2);
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    let poll = |side: &mut Side| side.exchange.serve(&mut side.gates, Then::Poll).ring;
    for turn in 0..1000 {
        host.send(2, b"there").unwrap();
        // For the first one they had asked, before they began to poll.
        assert!(!poll(&mut host) || turn == 0);
        poll(&mut spawn);
        assert_eq!(spawn.take(2).unwrap(), b"there");
        spawn.send(2, b"back").unwrap();
        assert!(!poll(&mut spawn) || turn == 0);
        poll(&mut host);
        assert_eq!(host.take(2).unwrap(), b"back");
    }
    // Who sleeps is.
    assert!(!spawn.serve());
    host.send(2, b"again").unwrap();
    assert!(poll(&mut host));
}

/// Asks for bytes with this number back.
fn ask_back(side: &mut Side, us: u32, number: u64, length: usize) -> Result<(), Refusal> {
    let mut bytes: Vec<u8> = (0..length).map(|i| i as u8).collect();
    bytes[8..16].copy_from_slice(&number.to_le_bytes());
    side.exchange.ask_back(us, &mut bytes)
}

#[test]
fn what_is_asked_back_is_returned() {
    let (_, mut host, mut spawn) = meet_in(1 << 20);
    for (number, length) in [(1, 16), (2, 72), (3, LENGTH_MAX)] {
        ask_back(&mut host, 0, number, length).unwrap();
        assert_ne!(host.exchange.returned(), Some(number));
        settle(&mut host, &mut spawn);
        assert_eq!(host.exchange.returned(), Some(number));
        ask_back(&mut spawn, 0, number, length).unwrap();
        settle(&mut host, &mut spawn);
        assert_eq!(spawn.exchange.returned(), Some(number));
    }
    assert_eq!(host.exchange.link().violations().0, 0);
}

#[test]
fn what_is_returned_is_the_same_but_for_its_kind() {
    let (_, mut host, mut spawn) = meet_in(1 << 20);
    ask_back(&mut host, 7, 9, LENGTH_MAX).unwrap();
    spawn.serve();
    let mut bytes = vec![0; MESSAGE_MAX];
    let message = host.exchange.link().receive(&mut bytes).unwrap().unwrap();
    assert_eq!(
        (message.class, message.length as usize),
        (Class::Control, LENGTH_MAX)
    );
    assert_eq!(bytes[..8], Control::EchoAnswer(7).encode());
    assert_eq!(bytes[8..16], 9u64.to_le_bytes());
    let rest = bytes[16..LENGTH_MAX].iter().enumerate();
    assert!(rest.clone().all(|(i, &byte)| byte == (i + 16) as u8));
}

#[test]
fn a_spawn_lingers_for_an_asker_that_looks_and_a_host_does_not() {
    let (_, mut host, mut spawn) = meet();
    ask_back(&mut host, LOOK_US, 1, 72).unwrap();
    assert!(host.exchange.link().must_ring());
    assert!(spawn.serve() && spawn.exchange.lingers());
    // It does not ask for a doorbell once more.
    assert!(host.exchange.look(&mut host.gates, 1, || false));
    host.exchange.tell(Control::Answer(0)).unwrap();
    assert!(!host.exchange.link().must_ring());
    assert!(spawn.exchange.look(&mut spawn.gates, 1, || false));
    // The next ones are returned without another call, and what is for others is not lost.
    let mut asked = 1;
    spawn.exchange.linger(&mut spawn.gates, || {
        asked += 1;
        match asked {
            2..=5 => ask_back(&mut host, LOOK_US, asked, 72).unwrap(),
            6 => host.exchange.tell(Control::Shutdown(5)).unwrap(),
            _ => {}
        }
        true
    });
    assert_eq!(asked, 6);
    assert!(!spawn.exchange.lingers());
    assert_eq!(spawn.exchange.request(), Some(Control::Shutdown(5)));
    assert!(host.exchange.look(&mut host.gates, 1, || false));
    settle(&mut host, &mut spawn);
    assert_eq!(host.exchange.returned(), Some(5));
    // One that sleeps costs nobody a look.
    ask_back(&mut host, 0, 6, 72).unwrap();
    settle(&mut host, &mut spawn);
    assert!(!spawn.exchange.lingers());
    ask_back(&mut spawn, LOOK_US, 7, 72).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.exchange.returned(), Some(7));
    assert!(!host.exchange.lingers());
}

#[test]
fn who_lingers_returns_one_for_an_asker_that_sleeps_too() {
    let (_, mut host, mut spawn) = meet();
    let mut asked = 0;
    spawn.exchange.linger(&mut spawn.gates, || {
        asked += 1;
        ask_back(&mut host, 0, asked, 72).unwrap();
        true
    });
    assert_eq!((asked, spawn.exchange.returned()), (1, None));
    assert!(host.exchange.look(&mut host.gates, 1, || false));
    assert_eq!(host.exchange.returned(), Some(1));
    // Once.
    assert!(!host.exchange.look(&mut host.gates, 1, || false));
}

#[test]
fn who_lingers_gives_up() {
    let (_, mut host, mut spawn) = meet();
    let mut pauses = 0;
    spawn.exchange.linger(&mut spawn.gates, || {
        pauses += 1;
        true
    });
    assert_eq!(pauses, LOOKS);
    // One that always has another request gets its answers, and others their turn.
    let mut asked = 0;
    spawn.exchange.linger(&mut spawn.gates, || {
        asked += 1;
        _ = host.exchange.look(&mut host.gates, 1, || false);
        ask_back(&mut host, LOOK_US, asked, 72).unwrap();
        true
    });
    assert!((100..1000).contains(&asked));
}

#[test]
fn what_does_not_fit_in_a_frame_is_not_returned() {
    let (_, mut host, mut spawn) = meet();
    assert!(host.exchange.link().frame_max() < LENGTH_MAX as u32);
    ask_back(&mut host, 0, 1, LENGTH_MAX).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(host.exchange.returned(), None);
    ask_back(&mut host, 0, 2, 72).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(host.exchange.returned(), Some(2));
    assert_eq!(spawn.exchange.link().violations().0, 0);
}

#[test]
fn nothing_is_returned_without_the_feature() {
    let memory = Plain::new(SIZE_MIN);
    let old = Offer {
        offered: 0,
        ..Offer::default()
    };
    let host = Link::host(memory.clone(), Offer::default(), 0).unwrap();
    let spawn = Link::spawn(memory.clone(), old).unwrap();
    let (mut host, mut spawn) = (Side::new(host, false), Side::new(spawn, true));
    settle(&mut host, &mut spawn);
    assert!(!host.exchange.link().knows(ECHO));
    ask_back(&mut spawn, 0, 1, 16).unwrap();
    host.serve();
    let violations = host.exchange.link().violations();
    assert_eq!(violations, (1, Some(Violation::Control)));
}

/// The session is over, for which nobody says that it sleeps.
#[test]
fn who_breaks_a_rule_is_rung() {
    let (memory, mut host, mut spawn) = meet();
    ask_back(&mut spawn, 0, 1, 16).unwrap();
    spawn.serve();
    let stamp = host.exchange.link().signs().frame.0;
    memory.store(stamp + 8, u64::MAX);
    let served = host.exchange.serve(&mut host.gates, Then::Sleep);
    assert_eq!(host.exchange.link().violations().0, 1);
    assert!(served.ring);
    let served = host.exchange.serve(&mut host.gates, Then::Sleep);
    assert!(!served.ring);
}

/// Nor before whoever serves had his say.
#[test]
fn who_breaks_a_rule_has_no_other_session_at_once() {
    let (memory, mut host, mut spawn) = meet();
    let is_met_again = |host: &mut Side, spawn: &mut Side| {
        let before = host.exchange.link().last_generation();
        spawn.exchange.link().say_hello();
        host.exchange.serve(&mut host.gates, Then::Sleep);
        host.exchange.link().last_generation() != before
    };
    ask_back(&mut spawn, 0, 1, 16).unwrap();
    spawn.serve();
    let stamp = host.exchange.link().signs().frame.0;
    memory.store(stamp + 8, u64::MAX);
    assert!(!is_met_again(&mut host, &mut spawn));
    assert!(is_met_again(&mut host, &mut spawn));
    settle(&mut host, &mut spawn);
    // What is found while nobody serves is the same.
    _ = host.exchange.link().violated(Violation::Control);
    assert!(!is_met_again(&mut host, &mut spawn));
    assert!(is_met_again(&mut host, &mut spawn));
    assert_eq!(host.exchange.link().violations().0, 2);
}

#[test]
fn a_request_that_is_too_long_breaks_a_rule() {
    let (_, mut host, mut spawn) = meet();
    ask_back(&mut spawn, 0, 1, 4105).unwrap();
    host.serve();
    let violations = host.exchange.link().violations();
    assert_eq!(violations, (1, Some(Violation::Control)));
}

#[test]
fn an_answer_without_room_is_dropped() {
    let (_, mut host, mut spawn) = meet();
    // The spawn's ring is full, and so is, soon, the host's.
    while spawn.exchange.tell(Control::Answer(0)).is_ok() {}
    let mut asked = 0;
    while ask_back(&mut host, 0, asked, 72).is_ok() {
        asked += 1;
    }
    assert_eq!(ask_back(&mut host, 0, 0, 72), Err(Refusal::Full));
    settle(&mut host, &mut spawn);
    ask_back(&mut host, 0, 1 << 40, 72).unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(host.exchange.returned(), Some(1 << 40));
    assert_eq!(spawn.exchange.link().violations().0, 0);
}
