// SPDX-License-Identifier: GPL-2.0

//! Round trips and streams between two threads on two processors, all kinds in turns, and the
//! medians of the repeats as JSON on stdout. Beside them, what the processors can do at best.
//!     bench-channel [CPU CPU]

mod machine;
mod queues;
mod transport;

use machine::{bind, now, ns};
use multikernel_portable::channel::hello::Doorbell;
use std::{
    env,
    hint::black_box,
    sync::{
        atomic::{AtomicU64, Ordering::*},
        Barrier,
    },
    thread,
    time::Duration,
};
use transport::Transport;

const REPEATS: usize = 5;
const TRIP_SIZES: [usize; 2] = [64, 4096];
const TRIPS: usize = 30_000;
const STREAM_SIZES: [usize; 8] = [
    64,
    256,
    1 << 10,
    4 << 10,
    16 << 10,
    64 << 10,
    256 << 10,
    1 << 20,
];
/// Bytes and messages of one stream: short, so that nobody has to be kept away for long.
const STREAM_BYTES: usize = 256 << 20;
const STREAM_MESSAGES: usize = 400_000;

type Kind = (&'static str, fn(usize) -> Box<dyn Transport>);
const KINDS: [Kind; 7] = [
    ("multikernel", |_| Box::new(transport::channel(None))),
    ("multikernel, doorbells", |_| {
        Box::new(transport::channel(Some(Doorbell {
            apic_id: 0,
            vector: 32,
        })))
    }),
    ("rtrb", transport::rtrb),
    ("ringbuf", transport::ringbuf),
    ("crossbeam-queue", queues::array_queue),
    ("crossbeam-channel", queues::crossbeam_channel),
    ("iceoryx2", queues::iceoryx2),
];

/// Runs one function on each processor, at the same time.
fn both<T: Send>(
    cpus: [usize; 2],
    one: impl FnOnce(&Barrier) -> T + Send,
    other: impl FnOnce(&Barrier) + Send,
) -> T {
    let barrier = Barrier::new(2);
    thread::sleep(Duration::from_millis(20));
    thread::scope(|scope| {
        let barrier = &barrier;
        scope.spawn(move || {
            bind(cpus[1]);
            other(barrier);
        });
        scope
            .spawn(move || {
                bind(cpus[0]);
                one(barrier)
            })
            .join()
            .unwrap()
    })
}

fn sorted(mut samples: Vec<f64>) -> Vec<f64> {
    samples.sort_by(f64::total_cmp);
    samples
}

/// Median and 99th percentile of the time of `trip`, in ns.
fn trips(mut trip: impl FnMut(u64)) -> (f64, f64) {
    let samples = (1..=TRIPS as u64).map(|i| {
        let began = now();
        trip(i);
        ns(now() - began)
    });
    let samples = sorted(samples.collect());
    (samples[TRIPS / 2], samples[TRIPS * 99 / 100])
}

#[repr(align(128))]
struct Line(AtomicU64);

/// The floor: one line that goes to the other processor and back, or one each way.
fn ping_pong(cpus: [usize; 2], there: &Line, back: &Line) -> (f64, f64) {
    let wait = |line: &Line, value| while line.0.load(Acquire) != value {};
    both(
        cpus,
        |barrier| {
            barrier.wait();
            trips(|i| {
                there.0.store(2 * i - 1, Release);
                wait(back, 2 * i);
            })
        },
        |barrier| {
            barrier.wait();
            for i in 1..=TRIPS as u64 {
                wait(there, 2 * i - 1);
                back.0.store(2 * i, Release);
            }
        },
    )
}

fn floor(cpus: [usize; 2]) -> (f64, f64) {
    let line = || Line(AtomicU64::new(0));
    let (one, (there, back)) = (line(), (line(), line()));
    let ways = [ping_pong(cpus, &one, &one), ping_pong(cpus, &there, &back)];
    if ways[0].0 < ways[1].0 {
        ways[0]
    } else {
        ways[1]
    }
}

fn round_trip(cpus: [usize; 2], transport: &dyn Transport, length: usize) -> (f64, f64) {
    both(
        cpus,
        |barrier| {
            let mut end = transport.end(0);
            let (from, mut to) = (vec![1; length], vec![0; length]);
            barrier.wait();
            let times = trips(|_| {
                end.send(black_box(&from));
                end.receive(black_box(&mut to));
            });
            assert!(from == to);
            barrier.wait();
            times
        },
        |barrier| {
            let mut end = transport.end(1);
            let mut bytes = vec![0; length];
            barrier.wait();
            for _ in 0..TRIPS {
                end.receive(black_box(&mut bytes));
                end.send(black_box(&bytes));
            }
            barrier.wait();
        },
    )
}

/// Messages in a second.
fn stream(cpus: [usize; 2], transport: &dyn Transport, length: usize) -> f64 {
    let messages = (STREAM_BYTES / length).min(STREAM_MESSAGES);
    both(
        cpus,
        |barrier| {
            let mut end = transport.end(0);
            let bytes = vec![1; length];
            barrier.wait();
            let began = now();
            for _ in 0..messages {
                end.send(black_box(&bytes));
            }
            barrier.wait();
            messages as f64 / ns(now() - began) * 1e9
        },
        |barrier| {
            let mut end = transport.end(1);
            let mut bytes = vec![0; length];
            barrier.wait();
            for _ in 0..messages {
                end.receive(black_box(&mut bytes));
            }
            barrier.wait();
            assert!(bytes.iter().all(|&byte| byte == 1));
        },
    )
}

/// The ceiling: copies of so many bytes in a second by one processor, within its caches.
fn copies(cpus: [usize; 2], length: usize) -> f64 {
    let copies = (STREAM_BYTES / length).min(STREAM_MESSAGES);
    let copy = |barrier: &Barrier| {
        let (from, mut to) = (vec![1u8; length], vec![0; length]);
        barrier.wait();
        let began = now();
        for _ in 0..copies {
            black_box(&mut to).copy_from_slice(black_box(&from));
        }
        copies as f64 / ns(now() - began) * 1e9
    };
    both(cpus, copy, |barrier| _ = barrier.wait())
}

fn median(samples: Vec<f64>) -> f64 {
    sorted(samples)[REPEATS / 2]
}

fn main() {
    let given: Vec<usize> = env::args()
        .skip(1)
        .map(|cpu| cpu.parse().expect("a CPU"))
        .collect();
    let cpus = given.try_into().unwrap_or([0, 1]);
    let alone = thread::spawn(move || bind(cpus[0])).join().unwrap();
    ns(0);
    let mut rows = Vec::new();
    let mut row = |kind: &str, what: &str, size: usize, samples: Vec<(f64, f64)>| {
        let (first, second) = samples.into_iter().unzip();
        let (first, second) = (median(first), median(second));
        rows.push(format!("    {{\"kind\": \"{kind}\", \"what\": \"{what}\", \"size\": {size}, \"median\": {first:.1}, \"other\": {second:.1}}}"));
    };
    for size in TRIP_SIZES {
        let mut samples = vec![Vec::new(); KINDS.len() + 1];
        for _ in 0..REPEATS {
            samples[KINDS.len()].push(floor(cpus));
            for (samples, (_, make)) in samples.iter_mut().zip(KINDS) {
                samples.push(round_trip(cpus, &*make(size), size));
            }
        }
        let names = KINDS.map(|kind| kind.0).into_iter().chain(["cache line"]);
        for (samples, name) in samples.into_iter().zip(names) {
            row(name, "round trip ns", size, samples);
        }
    }
    for size in STREAM_SIZES {
        let mut samples = vec![Vec::new(); KINDS.len() + 1];
        let speed = |messages: f64| (messages, messages * size as f64 / 1e6);
        for _ in 0..REPEATS {
            samples[KINDS.len()].push(speed(copies(cpus, size)));
            for (samples, (_, make)) in samples.iter_mut().zip(KINDS) {
                samples.push(speed(stream(cpus, &*make(size), size)));
            }
        }
        let names = KINDS.map(|kind| kind.0).into_iter().chain(["memcpy"]);
        for (samples, name) in samples.into_iter().zip(names) {
            row(name, "messages/s", size, samples);
        }
    }
    println!(
        "{{\n  {},\n  \"repeats\": {REPEATS},\n  \"rows\": [\n{}\n  ]\n}}",
        machine::description(cpus, alone),
        rows.join(",\n")
    );
}
