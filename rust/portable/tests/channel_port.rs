// SPDX-License-Identifier: GPL-2.0

//! Ports: opening, windows, closing.

#[path = "channel/memory.rs"]
mod memory;

use memory::Plain;
use multikernel_portable::channel::{
    control::Control,
    hello::Offer,
    layout::SIZE_MIN,
    link::{Error, Link, Message},
    message::{Class, Violation, MESSAGE_MAX},
    port::{Event, Ports, WINDOW_MAX},
};
use proptest::prelude::*;

struct Side {
    link: Link<Plain>,
    ports: Ports,
}

impl Side {
    fn next(&mut self) -> Option<Result<Event, Violation>> {
        let mut buffer = vec![0; MESSAGE_MAX];
        let message = self.link.receive(&mut buffer).unwrap()?;
        Some(
            self.ports
                .received(message, &buffer[..message.length as usize]),
        )
    }

    fn open(&mut self, number: u16, window: u32) {
        self.ports.open(&mut self.link, number, window).unwrap();
    }

    fn send(&mut self, number: u16, length: usize) -> Result<usize, Error> {
        self.ports.send(&mut self.link, number, &vec![1; length])
    }
}

fn meet() -> (Side, Side) {
    let memory = Plain::new(SIZE_MIN);
    let mut host = Link::host(memory.clone(), Offer::default(), 0).unwrap();
    let mut spawn = Link::spawn(memory, Offer::default()).unwrap();
    while host.poll() | spawn.poll() {}
    let side = |link| Side {
        link,
        ports: Ports::default(),
    };
    (side(host), side(spawn))
}

#[test]
fn bytes_pass_when_both_have_opened() {
    let (mut host, mut spawn) = meet();
    assert_eq!(host.send(7, 1), Err(Error::NotOpen));
    host.open(7, 100);
    assert_eq!(host.send(7, 1), Err(Error::NotOpen));
    assert_eq!(spawn.next(), Some(Ok(Event::Opened(7))));
    assert_eq!(spawn.send(7, 1), Err(Error::NotOpen));
    spawn.open(7, 50);
    assert_eq!(host.next(), Some(Ok(Event::Opened(7))));
    assert_eq!(host.send(7, 51), Err(Error::Full));
    assert_eq!(host.send(7, 50), Ok(50));
    assert_eq!(host.send(7, 1), Err(Error::Full));
    assert_eq!(spawn.next(), Some(Ok(Event::Bytes(7))));
    spawn.ports.widen(&mut spawn.link, 7, 20).unwrap();
    assert_eq!(host.next(), Some(Ok(Event::Room(7))));
    assert_eq!(host.send(7, 20), Ok(20));
    assert_eq!(spawn.next(), Some(Ok(Event::Bytes(7))));
}

#[test]
fn a_port_closes_in_each_direction_and_opens_again() {
    let (mut host, mut spawn) = meet();
    for _ in 0..2 {
        host.open(7, 100);
        spawn.open(7, 100);
        assert_eq!(spawn.next(), Some(Ok(Event::Opened(7))));
        assert_eq!(host.next(), Some(Ok(Event::Opened(7))));
        host.ports.close(&mut host.link, 7, 0).unwrap();
        assert_eq!(host.send(7, 1), Err(Error::NotOpen));
        assert_eq!(
            host.ports.open(&mut host.link, 7, 1),
            Err(Error::Unfinished)
        );
        assert_eq!(spawn.next(), Some(Ok(Event::Closed(7, 0))));
        assert_eq!(spawn.send(7, 100), Ok(100));
        assert_eq!(host.next(), Some(Ok(Event::Bytes(7))));
        host.ports.widen(&mut host.link, 7, 1).unwrap();
        assert_eq!(spawn.next(), Some(Ok(Event::Room(7))));
        assert_eq!(spawn.send(7, 1), Ok(1));
        spawn.ports.close(&mut spawn.link, 7, 32).unwrap();
        assert_eq!(host.next(), Some(Ok(Event::Bytes(7))));
        assert_eq!(host.next(), Some(Ok(Event::Closed(7, 32))));
    }
}

#[test]
fn what_crosses_an_errno_is_dropped() {
    let (mut host, mut spawn) = meet();
    host.open(7, 100);
    spawn.open(7, 100);
    host.next();
    spawn.next();
    host.ports.close(&mut host.link, 7, 32).unwrap();
    assert_eq!(spawn.send(7, 100), Ok(100));
    assert_eq!(host.next(), Some(Ok(Event::Dropped)));
    assert_eq!(spawn.next(), Some(Ok(Event::Closed(7, 32))));
    assert_eq!(spawn.send(7, 1), Err(Error::Full));
}

#[test]
fn what_cannot_be_opened() {
    let (mut host, _) = meet();
    for (number, window) in [(0, 1), (64, 1), (4, 0), (4, WINDOW_MAX + 1)] {
        assert_eq!(
            host.ports.open(&mut host.link, number, window),
            Err(Error::TooLong)
        );
    }
    host.open(63, WINDOW_MAX);
    assert_eq!(host.ports.widen(&mut host.link, 63, 1), Err(Error::TooLong));
}

#[test]
fn what_breaks_a_rule() {
    let open = Control::Open(7, 10).encode();
    let close = Control::Close(7, 0).encode();
    let window = |bytes| Control::Window(7, bytes).encode();
    let cases: [(&[&[u8]], _); 13] = [
        (&[&close, &close], Violation::Window),
        (&[&Control::Open(64, 1).encode()], Violation::Control),
        (&[&open, &open], Violation::Window),
        (&[&Control::Open(7, 0).encode()], Violation::Window),
        (
            &[&Control::Open(7, WINDOW_MAX + 1).encode()],
            Violation::Window,
        ),
        (&[&open, &window(WINDOW_MAX - 9)], Violation::Window),
        (&[&open, &window(u32::MAX)], Violation::Window),
        (&[&open[..7]], Violation::Control),
        (&[&[open, [0; 8]].concat().repeat(4)], Violation::Control),
        (&[&[0; 8]], Violation::Control),
        (&[&Control::Close(0, 0).encode()], Violation::Control),
        (&[&Control::Resize(64, 1).encode()], Violation::Control),
        (&[&[8, 0, 1, 0, 0, 0, 0, 0]], Violation::Control),
    ];
    for (messages, violation) in cases {
        let mut ports = Ports::default();
        let mut received = |bytes: &[u8]| {
            let message = Message {
                class: Class::Control,
                length: bytes.len() as u32,
            };
            ports.received(message, bytes)
        };
        let (last, before) = messages.split_last().unwrap();
        for bytes in before {
            assert!(received(bytes).is_ok());
        }
        assert_eq!(received(last), Err(violation));
    }
    let (mut host, mut spawn) = meet();
    spawn.open(7, 10);
    host.link.send(Class::Control, &window(1)).unwrap();
    assert_eq!(spawn.next(), Some(Ok(Event::Dropped)));
    host.link.send(Class::Port(7), &[0; 11]).unwrap();
    assert_eq!(spawn.next(), Some(Err(Violation::Window)));
}

#[test]
fn requests_are_the_users() {
    let (mut host, mut spawn) = meet();
    for control in [
        Control::Shutdown(5),
        Control::Reboot(0),
        Control::Answer(u32::MAX),
        Control::Resize(1, 24 << 16 | 80),
        Control::EchoRequest(50),
        Control::EchoAnswer(0),
    ] {
        host.link.send(Class::Control, &control.encode()).unwrap();
        assert_eq!(spawn.next(), Some(Ok(Event::Other(control))));
    }
    host.link.send(Class::Log, b"text").unwrap();
    assert_eq!(spawn.next(), Some(Ok(Event::Log)));
    host.link.send(Class::Port(9), b"nobody's").unwrap();
    assert_eq!(spawn.next(), Some(Ok(Event::Dropped)));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Two sides that keep to the rules never break one, whatever crosses.
    #[test]
    fn honest_sides_never_break_a_rule(moves in prop::collection::vec((any::<bool>(), 0..7u8, 1..=3u16, 1..200u32), 1..200)) {
        let (mut host, mut spawn) = meet();
        for (by, what, number, bytes) in moves {
            let side = if by { &mut host } else { &mut spawn };
            match what {
                0 => _ = side.ports.open(&mut side.link, number, bytes),
                1 => _ = side.ports.close(&mut side.link, number, bytes % 2),
                2 => _ = side.ports.widen(&mut side.link, number, bytes),
                3 => _ = side.send(number, bytes as usize),
                4 => _ = side.ports.stop(&mut side.link, number, bytes),
                _ => if let Some(event) = side.next() {
                    prop_assert!(event.is_ok());
                }
            }
        }
    }

    #[test]
    fn control_messages_read_as_written(word: u64) {
        let bytes = word.to_le_bytes();
        if let Ok(control) = Control::decode(&bytes) {
            prop_assert_eq!(control.encode(), bytes);
        }
    }
}
