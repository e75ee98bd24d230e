// SPDX-License-Identifier: GPL-2.0

//! Streams on a port, one after the other: when each begins and ends, whoever comes first.

#[path = "channel/memory.rs"]
mod memory;
#[path = "channel/sides.rs"]
mod sides;

use memory::Plain;
use multikernel_portable::channel::{
    exchange::Refusal,
    gate::CONSOLE,
    hello::{Offer, Verdict, STOP},
    link::{Error, Link},
    message::MESSAGE_MAX,
    port::{Event, Ports},
};
use sides::{meet, settle, Side, QUEUE};

#[test]
fn the_last_close_is_an_end_and_the_port_can_be_used_again() {
    let (_, mut host, mut spawn) = meet();
    for _ in 0..3 {
        host.attach(3);
        spawn.attach(3);
        settle(&mut host, &mut spawn);
        host.send(3, b"request").unwrap();
        host.detach(3);
        settle(&mut host, &mut spawn);
        assert_eq!(spawn.take(3).unwrap(), b"request");
        assert_eq!(spawn.take(3).unwrap(), b"");
        // The other direction stays open.
        assert!(!host.gates.is_broken(3) && !host.gates.is_over(3));
        assert_eq!(host.send(3, b"more"), Err(Refusal::Broken));
        spawn.send(3, b"answer").unwrap();
        spawn.detach(3);
        settle(&mut host, &mut spawn);
        host.attach(3);
        assert_eq!(host.take(3).unwrap(), b"answer");
        assert_eq!(host.take(3).unwrap(), b"");
        assert_eq!(host.send(3, b"late"), Err(Refusal::NotConnected));
        host.detach(3);
        settle(&mut host, &mut spawn);
    }
}

#[test]
fn who_comes_after_an_end_waits_for_the_next_stream() {
    let (_, mut host, mut spawn) = meet();
    for _ in 0..3 {
        host.attach(3);
        assert_eq!(host.take(3), None);
        assert_eq!(host.send(3, b"early"), Err(Refusal::NotConnected));
        spawn.attach(3);
        settle(&mut host, &mut spawn);
        spawn.send(3, b"answer").unwrap();
        spawn.detach(3);
        settle(&mut host, &mut spawn);
        assert_eq!(host.take(3).unwrap(), b"answer");
        assert_eq!(host.take(3).unwrap(), b"");
        host.detach(3);
        settle(&mut host, &mut spawn);
    }
}

/// Whichever side has closed first.
#[test]
fn who_opens_next_waits_for_the_next_stream() {
    for host_first in [true, false] {
        let (_, mut host, mut spawn) = meet();
        host.attach(2);
        spawn.attach(2);
        settle(&mut host, &mut spawn);
        host.send(2, b"first").unwrap();
        settle(&mut host, &mut spawn);
        assert_eq!(spawn.take(2).unwrap(), b"first");
        for host_now in [host_first, !host_first] {
            let side = if host_now { &mut host } else { &mut spawn };
            side.detach(2);
            settle(&mut host, &mut spawn);
        }
        host.attach(2);
        assert_eq!(host.take(2), None, "host first: {host_first}");
        assert_eq!(host.send(2, b"early"), Err(Refusal::NotConnected));
        spawn.attach(2);
        settle(&mut host, &mut spawn);
        assert_eq!(host.send(2, b"second"), Ok(6));
    }
}

/// The other side of a host as mk-agent is it.
struct Client {
    link: Link<Plain>,
    ports: Ports,
}

impl Client {
    fn meet(offer: Offer) -> (Self, Side) {
        let (memory, mut host, _) = meet();
        let mut link = Link::spawn(memory, offer).unwrap();
        while link.poll() | host.serve() {}
        let ports = Ports::default();
        (Self { link, ports }, host)
    }

    /// What has come since.
    fn events(&mut self, host: &mut Side) -> Vec<Event> {
        host.serve();
        let mut buffer = vec![0; MESSAGE_MAX];
        let mut events = Vec::new();
        while let Some(message) = self.link.receive(&mut buffer).unwrap() {
            let bytes = &buffer[..message.length as usize];
            events.push(self.ports.received(message, bytes).unwrap());
        }
        assert!(!self.link.tell() || !host.serve());
        events
    }

    /// Opens port 2, and sends this.
    fn open(&mut self, host: &mut Side, bytes: &[u8]) {
        self.ports.open(&mut self.link, 2, 1 << 20).unwrap();
        assert_eq!(self.events(host), [Event::Opened(2)]);
        if !bytes.is_empty() {
            self.send(host, bytes);
        }
    }

    fn send(&mut self, host: &mut Side, bytes: &[u8]) {
        self.ports.send(&mut self.link, 2, bytes).unwrap();
        host.serve();
    }

    fn close(&mut self, errno: u32) {
        self.ports.close(&mut self.link, 2, errno).unwrap();
    }
}

/// Its end does not make the host close before somebody there has come.
#[test]
fn a_client_that_ends_first_waits_for_what_it_is_sent() {
    let (mut client, mut host) = Client::meet(Offer::default());
    for _ in 0..3 {
        client.open(&mut host, b"");
        client.close(0);
        assert_eq!(client.events(&mut host), []);
        host.attach(2);
        assert_eq!(host.send(2, b"for you"), Ok(7));
        host.detach(2);
        let events = client.events(&mut host);
        assert_eq!(events, [Event::Bytes(2), Event::Closed(2, 0)]);
    }
}

#[test]
fn the_next_client_waits_for_who_reads_the_first_one() {
    let (mut client, mut host) = Client::meet(Offer::default());
    client.open(&mut host, b"first");
    client.close(0);
    assert_eq!(client.events(&mut host), []);
    let again = client.ports.open(&mut client.link, 2, 1);
    assert_eq!(again, Err(Error::Unfinished));
    for word in ["first", "second"] {
        host.attach(2);
        assert_eq!(host.take(2).unwrap(), word.as_bytes());
        if word == "second" {
            assert_eq!(host.take(2), None);
            break;
        }
        assert_eq!(host.take(2).unwrap(), b"");
        host.detach(2);
        assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
        client.open(&mut host, b"second");
    }
}

/// Clients that are killed wait for nobody.
#[test]
fn an_end_stands_between_two_streams() {
    for one_reader in [true, false] {
        let (mut client, mut host) = Client::meet(Offer::default());
        client.open(&mut host, b"first");
        client.close(32);
        assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
        client.open(&mut host, b"second");
        host.attach(2);
        assert_eq!(host.gates.waiting(2), Some(5));
        assert_eq!(host.take(2).unwrap(), b"first");
        assert_eq!(host.take(2).unwrap(), b"");
        if !one_reader {
            host.detach(2);
            host.attach(2);
        }
        assert_eq!(host.take(2).unwrap(), b"second");
        assert_eq!(host.take(2), None);
        client.close(0);
        assert_eq!(client.events(&mut host), []);
        assert_eq!(host.take(2).unwrap(), b"");
    }
}

/// Who has begun with one gets no bytes of those behind the next.
#[test]
fn the_first_end_is_seen_of_several() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"one");
    let mut first = [0];
    assert_eq!(host.gates.take(2, &mut first), Some(1));
    for word in ["two", "three"] {
        client.close(32);
        assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
        client.open(&mut host, word.as_bytes());
    }
    for word in ["ne", "", "twothree"] {
        assert_eq!(host.take(2).unwrap(), word.as_bytes());
    }
}

/// It could not say that nobody waits there any more, and so has no next client before.
#[test]
fn a_peer_that_knows_no_stop_is_answered_at_once() {
    let offer = Offer {
        offered: 0,
        ..Offer::default()
    };
    let (mut client, mut host) = Client::meet(offer);
    client.open(&mut host, b"");
    client.close(0);
    assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
    host.attach(2);
    assert_eq!(host.send(2, b"early"), Err(Refusal::NotConnected));
    client.open(&mut host, b"");
}

#[test]
fn who_comes_to_a_console_of_the_past_learns_that() {
    let (mut client, mut host) = Client::meet(Offer::default());
    let Client { link, ports } = &mut client;
    ports.open(link, CONSOLE, 1 << 20).unwrap();
    assert_eq!(client.events(&mut host), [Event::Opened(CONSOLE)]);
    let Client { link, ports } = &mut client;
    ports.send(link, CONSOLE, b"words").unwrap();
    host.serve();
    host.gates.end();
    host.attach(CONSOLE);
    assert!(host.gates.is_broken(CONSOLE) && host.gates.is_over(CONSOLE));
}

#[test]
fn a_slow_reader_learns_that_its_stream_is_over() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"first");
    assert_eq!(host.take(2).unwrap(), b"first");
    client.close(32);
    assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
    client.open(&mut host, b"second");
    assert_eq!(host.take(2).unwrap(), b"");
    assert_eq!(host.take(2).unwrap(), b"second");
    // All that was taken is made good.
    for _ in 0..4 {
        client.send(&mut host, &[7; 4000]);
        assert_eq!(host.take(2).unwrap().len(), 4000);
    }
    client.send(&mut host, &[7; 4000]);
    host.take(2);
    assert_eq!(client.events(&mut host), [Event::Room(2)]);
    assert_eq!(client.ports.room(2), Ok(QUEUE as u32));
}

/// Who came too early for the end of a stream does not get it later, for its own.
#[test]
fn a_waiting_reader_gets_no_end_of_a_stream_before() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"");
    client.close(32);
    client.events(&mut host);
    client.open(&mut host, b"second");
    assert_eq!(host.take(2).unwrap(), b"second");
}

/// `mkctl recv web 2 >answer & mkctl send web 2 question`.
#[test]
fn a_reader_does_not_keep_the_end_from_the_other_side() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"");
    host.attach(2);
    host.send(2, b"question").unwrap();
    host.detach(2);
    let events = client.events(&mut host);
    assert_eq!(events, [Event::Bytes(2), Event::Closed(2, 0)]);
    assert!(!host.gates.is_broken(2));
    client.send(&mut host, b"answer");
    client.close(0);
    assert_eq!(client.events(&mut host), []);
    assert_eq!(host.take(2).unwrap(), b"answer");
    assert_eq!(host.take(2).unwrap(), b"");
    host.detach_other(2);
    client.events(&mut host);
    client.open(&mut host, b"next");
}

/// A file counts in the streams that it wrote to.
#[test]
fn the_end_is_told_when_the_last_writer_goes() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"");
    host.send(2, b"a").unwrap();
    host.attach(2);
    host.send(2, b"b").unwrap();
    host.send(2, b"c").unwrap();
    host.detach(2);
    assert_eq!(client.events(&mut host), [Event::Bytes(2); 3]);
    client.close(32);
    assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
    client.open(&mut host, b"");
    host.attach(2);
    host.send(2, b"d").unwrap();
    host.detach_other(2);
    assert_eq!(client.events(&mut host), [Event::Bytes(2)]);
    host.detach(2);
    assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
}

#[test]
fn an_empty_file_is_a_stream_as_well() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    assert_eq!(host.send(2, b""), Err(Refusal::NotConnected));
    client.open(&mut host, b"");
    assert_eq!(host.send(2, b""), Ok(0));
    host.detach(2);
    assert_eq!(client.events(&mut host), [Event::Closed(2, 0)]);
}

/// What nobody has read stays, and is in nobody's way.
#[test]
fn who_sends_need_not_read_what_is_left() {
    let (mut client, mut host) = Client::meet(Offer::default());
    client.open(&mut host, b"old");
    client.close(32);
    client.events(&mut host);
    host.attach(2);
    assert_eq!(host.send(2, b"early"), Err(Refusal::NotConnected));
    assert!(!host.gates.is_over(2));
    client.open(&mut host, b"");
    assert_eq!(host.send(2, b"now"), Ok(3));
    host.detach(2);
    let events = client.events(&mut host);
    assert_eq!(events, [Event::Bytes(2), Event::Closed(2, 0)]);
    host.attach(2);
    assert_eq!(host.take(2).unwrap(), b"old");
    assert_eq!(host.take(2).unwrap(), b"");
}

#[test]
fn a_client_that_dies_behind_its_end_takes_nothing_more() {
    let (mut client, mut host) = Client::meet(Offer::default());
    for _ in 0..2 {
        host.attach(2);
        client.open(&mut host, b"all");
        client.close(0);
        assert_eq!(client.events(&mut host), []);
        assert_eq!(host.send(2, b"more"), Ok(4));
        client.ports.stop(&mut client.link, 2, 32).unwrap();
        // It is said once.
        let again = client.ports.stop(&mut client.link, 2, 32);
        assert_eq!(again, Err(Error::NotOpen));
        host.serve();
        assert_eq!(host.send(2, b"and more"), Err(Refusal::Broken));
        assert!(host.gates.is_broken(2) && host.gates.is_over(2));
        assert_eq!(host.take(2).unwrap(), b"all");
        assert_eq!(host.take(2).unwrap(), b"");
        let events = client.events(&mut host);
        assert_eq!(events, [Event::Dropped, Event::Closed(2, 0)]);
        host.detach(2);
    }
}

/// It crosses the other side's end, after which there is no stream that it could be about.
#[test]
fn a_late_stop_says_nothing() {
    let (mut client, mut host) = Client::meet(Offer::default());
    for _ in 0..2 {
        host.attach(2);
        client.open(&mut host, b"");
        client.close(0);
        host.serve();
        host.send(2, b"all").unwrap();
        host.detach(2);
        host.serve();
        client.ports.stop(&mut client.link, 2, 32).unwrap();
        let events = client.events(&mut host);
        assert_eq!(events, [Event::Dropped, Event::Closed(2, 0)]);
        host.attach(2);
        assert_eq!(host.take(2), None);
        assert!(!host.gates.is_broken(2));
        host.detach(2);
    }
    assert_eq!(host.exchange.link().violations().0, 0);
}

#[test]
fn who_does_not_know_stop_is_not_told() {
    let offered = Offer::default().offered & !STOP;
    let (mut client, mut host) = Client::meet(Offer {
        offered,
        ..Offer::default()
    });
    client.open(&mut host, b"");
    client.close(0);
    let stop = client.ports.stop(&mut client.link, 2, 32);
    assert_eq!(stop, Err(Error::NotOpen));
}

/// The first one's last words are read by who comes second, who then has a stream of its own.
#[test]
fn who_opens_in_a_spawn_before_both_have_closed() {
    let (_, mut host, mut spawn) = meet();
    host.attach(2);
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    spawn.send(2, b"question").unwrap();
    spawn.detach(2);
    spawn.attach(2);
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.send(2, b"early"), Err(Refusal::Broken));
    assert_eq!(host.take(2).unwrap(), b"question");
    assert_eq!(host.take(2).unwrap(), b"");
    host.send(2, b"answer").unwrap();
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.take(2).unwrap(), b"answer");
    host.detach(2);
    settle(&mut host, &mut spawn);
    assert_eq!(spawn.take(2).unwrap(), b"");
    assert_eq!(spawn.take(2), None);
    host.attach(2);
    assert_eq!(spawn.send(2, b"next"), Ok(4));
    settle(&mut host, &mut spawn);
    assert_eq!(host.take(2).unwrap(), b"next");
}

#[test]
fn a_full_ring_has_no_room_whatever_the_port_has() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"");
    assert!(host.exchange.link().has_room());
    while host.send(2, &[7; 1000]).is_ok() {}
    assert!(host.exchange.room(&mut host.gates, 2).unwrap() > 1000);
    assert!(!host.exchange.link().has_room());
    client.events(&mut host);
    assert!(host.exchange.link().has_room());
}

/// The peer's kernel died, or its agent ended, before it had said that there is no more.
#[test]
fn a_stream_that_is_cut_does_not_end_as_others_do() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"half");
    client.link.close(Verdict::Gone);
    host.serve();
    assert_eq!(host.take(2).unwrap(), b"half");
    assert_eq!((host.take(2).unwrap(), host.cut), (vec![], true));
    // Once.
    assert_eq!((host.take(2).unwrap(), host.cut), (vec![], false));

    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"whole");
    client.close(0);
    client.link.close(Verdict::Gone);
    host.serve();
    assert_eq!(host.take(2).unwrap(), b"whole");
    assert_eq!((host.take(2).unwrap(), host.cut), (vec![], false));
}

/// The next agent is there before anybody has looked.
#[test]
fn the_next_session_does_not_hide_the_cut() {
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"half");
    assert_eq!(host.take(2).unwrap(), b"half");
    client.link.close(Verdict::Gone);
    host.serve();
    client.ports = Ports::default();
    client.link.say_hello();
    while client.link.poll() | host.serve() {}
    client.open(&mut host, b"other");
    assert_eq!((host.take(2).unwrap(), host.cut), (vec![], true));
    assert_eq!(host.take(2).unwrap(), b"other");
}

/// Nor does the next life, in which nothing of the last one is left.
#[test]
fn the_next_life_does_not_hide_the_cut() {
    for (bytes, closes, cut) in [(4, false, true), (2, true, true), (4, true, false)] {
        let (mut client, mut host) = Client::meet(Offer::default());
        host.attach(2);
        client.open(&mut host, b"half");
        let mut to = vec![0; bytes];
        assert_eq!(host.gates.take(2, &mut to), Some(bytes));
        if closes {
            client.close(0);
            client.events(&mut host);
        }
        host.gates.end();
        host.gates.begin();
        assert_eq!((host.take(2).unwrap(), host.cut), (vec![], cut));
        assert_eq!(host.take(2), None);
    }
    // Who has not begun to read has missed nothing.
    let (mut client, mut host) = Client::meet(Offer::default());
    host.attach(2);
    client.open(&mut host, b"half");
    host.gates.end();
    host.gates.begin();
    assert_eq!(host.take(2), None);
}

/// What is left of a stream that was cut is read by who comes later; and who comes when nothing is left waits
/// for the next one.
#[test]
fn who_comes_after_a_cut() {
    let (mut client, mut host) = Client::meet(Offer::default());
    client.open(&mut host, b"half");
    client.link.close(Verdict::Gone);
    host.serve();
    host.attach(2);
    assert_eq!(host.take(2).unwrap(), b"half");
    assert_eq!((host.take(2).unwrap(), host.cut), (vec![], true));
    host.detach(2);
    host.attach(2);
    assert_eq!(host.take(2), None);
}
