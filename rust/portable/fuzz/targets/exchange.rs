// SPDX-License-Identifier: GPL-2.0

//! The same hostile peer, against ports with queues and users.
#![no_main]

#[path = "../../tests/properties/exchange.rs"]
mod exchange;
#[path = "../../tests/channel/memory.rs"]
mod memory;
#[path = "../../tests/properties/channel.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| exchange::check(input));
