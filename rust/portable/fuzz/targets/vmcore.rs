// SPDX-License-Identifier: GPL-2.0

//! Any damage to the memory of a spawn kernel, and any text as its note.
#![no_main]

mod input;
#[path = "../../tests/properties/vmcore.rs"]
mod properties;
#[path = "../../tests/vmcore_common/mod.rs"]
mod vmcore_common;

use multikernel_portable::range::Range;
use vmcore_common::{Kind, Spawn, NOTE, SIZE, START};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut input = input::Input(bytes);
    let mut kind = Kind::default();
    let shape = input.byte();
    if shape & 1 != 0 {
        kind.levels = 5;
        kind.direct_map = 0xff2c_e08e_0000_0000;
    }
    let mut spawn = Spawn::new(kind);
    for _ in 0..input.byte() % 64 {
        let text = vec![input.byte(); usize::from(input.byte() % 128)];
        spawn.print(input.number::<6>(), input.byte(), &text);
    }
    for _ in 0..input.byte() % 16 {
        let at = input.number::<3>() as usize % (SIZE - 8);
        if input.byte() % 2 == 0 {
            spawn.bytes[at] = input.byte();
        } else {
            spawn.put(at & !7, input.number::<8>());
        }
    }
    if shape & 2 != 0 {
        let text = input.0.get(..input.0.len().min(4096)).unwrap_or(&[]);
        spawn.note(text);
    }
    let low = Range {
        start: 0x14000,
        size: 0x10000,
    };
    let room = usize::from(shape) << 4;
    properties::check(&spawn, &[low, Spawn::range()], START + NOTE as u64, room);
});
