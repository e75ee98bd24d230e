// SPDX-License-Identifier: GPL-2.0

//! A hostile peer, at random; the fuzzer of the same name aims better.

#[path = "properties/exchange.rs"]
mod exchange;
#[path = "channel/memory.rs"]
mod memory;
#[path = "properties/channel.rs"]
mod properties;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn a_hostile_peer_costs_its_session_only(input in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => 0xe0..0xff_u8], 0..600)) {
        properties::check(&input);
    }

    #[test]
    fn it_costs_the_users_of_ports_no_more(input in prop::collection::vec(prop_oneof![3 => any::<u8>(), 1 => 0xe0..0xff_u8], 0..600)) {
        exchange::check(&input);
    }
}
