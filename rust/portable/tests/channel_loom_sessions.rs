// SPDX-License-Identifier: GPL-2.0

//! Two sides that meet, and a spawn that dies at any of its stores and starts again, by loom.

#[path = "channel/loom_memory.rs"]
mod loom_memory;

use loom::thread;
use loom_memory::Modelled;
use multikernel_portable::channel::{
    hello::{Offer, Verdict},
    layout::{Region, Role, SIZE_MIN},
    link::Link,
    message::Class, //
};
use std::ops::Range;

type Side = Link<Modelled>;

/// The words that these models touch: hello, credits, sleep, and the first slots of a session.
fn words() -> Vec<Range<usize>> {
    let region = Region::new(SIZE_MIN).unwrap();
    let section = |role| {
        let start = region.section(role);
        let slots = region.ring(role).slots_at + 112 * 64;
        [0..0x40, 0x80..0x90, 0x100..0x110]
            .map(|fields| start + fields.start..start + fields.end)
            .into_iter()
            .chain((0..2).map(move |i| slots + i * 64..slots + i * 64 + 24))
    };
    section(Role::Host).chain(section(Role::Spawn)).collect()
}

fn memories() -> (Modelled, Modelled) {
    let memory = Modelled::new(&words());
    let half = SIZE_MIN / 2;
    (memory.view().owned(0..half), memory.owned(half..2 * half))
}

fn receive(side: &mut Side) -> Option<u64> {
    let mut bytes = [0; 8];
    let message = side.receive(&mut bytes).ok()??;
    assert_eq!((message.class, message.length), (Class::Log, 8));
    Some(u64::from_le_bytes(bytes))
}

fn settle(host: &mut Side, spawn: &mut Side) {
    while host.poll() | spawn.poll() {}
    assert!(host.terms().is_some() && spawn.terms().is_some());
    assert_eq!(host.generation(), spawn.generation());
}

fn check(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Says so by each of its words.
fn offer(who: u64) -> Offer {
    Offer {
        offered: who,
        beat_ms: who as u32,
        ..Offer::default()
    }
}

/// What the host believes of its peer: the words of one hello, never of two.
fn peer_of(host: &Side) -> Option<u64> {
    let terms = host.terms()?;
    assert_eq!(terms.features, u64::from(terms.peer_beat_ms), "torn");
    Some(terms.features)
}

/// What a spawn does in its life here: two polls at most, then a message, if they have met.
fn live(memory: Modelled, who: u64) -> Side {
    let mut spawn = Link::spawn(memory, offer(who)).unwrap();
    for _ in 0..2 {
        let _ = spawn.poll();
    }
    let _ = spawn.send(Class::Log, &who.to_le_bytes());
    spawn
}

#[test]
fn they_meet_and_talk() {
    check(3, || {
        let (memory, spawns) = memories();
        let spawn = thread::spawn(move || live(spawns, 1));
        let mut host = Link::host(memory, offer(3), 0).unwrap();
        let mut got = None;
        for _ in 0..3 {
            let _ = host.poll();
            got = got.or(receive(&mut host));
        }
        let mut spawn = spawn.join().unwrap();
        let sent = spawn.terms().is_some();
        settle(&mut host, &mut spawn);
        assert_eq!(peer_of(&host), Some(1));
        assert_eq!(got.or(receive(&mut host)), sent.then_some(1));
        host.send(Class::Log, &4u64.to_le_bytes()).unwrap();
        assert_eq!(receive(&mut spawn), Some(4));
    });
}

/// Each word of a spawn's is taken for its own: nothing of the first one's for the second one's,
/// whenever it died and whatever the host was doing.
#[test]
fn a_spawn_may_die_anywhere_and_start_again() {
    // A session, a hello, the session; a verdict, credits, the session; a frame and its stamp.
    for stores in 0..=16 {
        check(2, move || {
            let (memory, spawns) = memories();
            let mut host = Link::host(memory, offer(3), 0).unwrap();
            let _ = host.poll();
            let spawn = thread::spawn(move || {
                let first = live(spawns.view_with_stores(stores), 1);
                live(first.memory().view(), 2)
            });
            for _ in 0..3 {
                let _ = host.poll();
                let peer = peer_of(&host);
                let got = receive(&mut host);
                assert!(got.is_none() || got == peer, "{got:?} from {peer:?}");
            }
            let mut spawn = spawn.join().unwrap();
            settle(&mut host, &mut spawn);
            assert_eq!(peer_of(&host), Some(2));
            let got = receive(&mut host);
            assert!(matches!(got, None | Some(2)), "{got:?}");
            host.send(Class::Log, &4u64.to_le_bytes()).unwrap();
            assert_eq!(receive(&mut spawn), Some(4));
        });
    }
}

/// A host that starts again with other features: a spawn never takes a mixture for its hello.
#[test]
fn a_host_may_start_again() {
    check(2, || {
        let (hosts, memory) = memories();
        let host = thread::spawn(move || {
            let mut first = Link::host(hosts, offer(1), 0).unwrap();
            let _ = first.poll();
            let again = first.memory().view();
            let mut second = Link::host(again, offer(2), first.generation()).unwrap();
            let _ = second.poll();
            second
        });
        let mut spawn = Link::spawn(memory, offer(3)).unwrap();
        for _ in 0..2 {
            let _ = spawn.poll();
            assert!(matches!(peer_of(&spawn), None | Some(1 | 2)));
            assert!(matches!(spawn.verdict(), None | Some(Verdict::Gone)));
        }
        let mut host = host.join().unwrap();
        while host.poll() | spawn.poll() {}
        if spawn.verdict().is_some() {
            spawn.say_hello();
        }
        settle(&mut host, &mut spawn);
        assert_eq!(peer_of(&spawn), Some(2));
    });
}
