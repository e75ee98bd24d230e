// SPDX-License-Identifier: GPL-2.0

//! The channel between two kernels: see Documentation/wire-protocol.rst.
//!
//! From the bottom up: [`shared`] is the memory, [`layout`] where things are in it, [`message`] what
//! frames say, [`ring`] moves frames one way, [`duplex`] is two rings with their doorbells,
//! [`hello`] what a side says of itself, [`handshake`] how two meet and part, [`link`] one side with
//! its messages; [`control`] and [`port`] are what some of these mean, [`echo`] returns some at once;
//! [`exchange`] has [`queue`]s for the users of ports. [`status`] is apart, and [`heart`] reads it.

pub mod control;
pub mod duplex;
pub mod echo;
pub mod exchange;
pub mod gate;
pub mod handshake;
pub mod heart;
pub mod hello;
pub mod layout;
pub mod link;
pub mod message;
pub mod port;
pub mod queue;
pub mod ring;
pub mod shared;
pub mod status;
