// SPDX-License-Identifier: GPL-2.0

//! Placing an image in an instance's memory, beside a plain copy of as many bytes: the best of
//! several rounds each, in turns. Fails below half of the plain copy's speed.

use multikernel_portable::{pieces, range::Range};
use std::{
    hint::black_box,
    process::ExitCode,
    time::{Duration, Instant}, //
};

const IMAGE: usize = 64 << 20;
/// As in rust/memory.rs: the smallest piece that it takes.
const PIECE: usize = 4 << 20;
const START: u64 = 1 << 30;
const ROUNDS: usize = 15;

fn timed(work: impl FnOnce()) -> Duration {
    let began = Instant::now();
    work();
    began.elapsed()
}

fn main() -> ExitCode {
    let image: Vec<u8> = (0..IMAGE).map(|i| i as u8).collect();
    // A piece more than the image has bytes, which it begins in the middle of.
    let mut memory = vec![1u8; IMAGE + PIECE];
    let to = Range {
        start: START + PIECE as u64 / 2,
        size: IMAGE as u64,
    };
    let (mut copied, mut placed) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        copied = copied.min(timed(|| {
            black_box(&mut memory[PIECE / 2..][..IMAGE]).copy_from_slice(black_box(&image));
        }));
        memory.fill(0);
        placed = placed.min(timed(|| {
            let pieces = memory.chunks_mut(PIECE).enumerate().map(|(i, bytes)| {
                let start = START + (i * PIECE) as u64;
                let size = bytes.len() as u64;
                (Range { start, size }, bytes)
            });
            assert!(pieces::fill(pieces, &to, black_box(&image)));
        }));
        assert!(memory[PIECE / 2..][..IMAGE] == image);
    }
    let speed = |time: Duration| IMAGE as f64 / time.as_secs_f64() / 1e9;
    let ratio = speed(placed) / speed(copied);
    println!(
        "placing {} MiB: {:.1} GB/s, plain copy: {:.1} GB/s, ratio {ratio:.2}",
        IMAGE >> 20,
        speed(placed),
        speed(copied)
    );
    if ratio >= 0.5 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
