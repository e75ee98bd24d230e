// SPDX-License-Identifier: GPL-2.0

//! The channel as the services here see it.

use crate::raw::Memory;
use multikernel_portable::channel::{
    control::Control,
    link::{Error, Link},
    message::Class,
    port::Ports,
};

/// ECONNREFUSED: nobody has this port.
const REFUSED: u32 = 111;

/// One session, and before and after it none.
pub struct Channel {
    pub link: Link<Memory>,
    pub ports: Ports,
    refusals: Refusals,
}

impl Channel {
    pub fn new(link: Link<Memory>) -> Self {
        Self {
            link,
            ports: Ports::default(),
            refusals: Refusals::default(),
        }
    }

    pub fn is_open(&self) -> bool {
        self.link.terms().is_some()
    }

    /// A new session begins: no port is open.
    pub fn begin(&mut self) {
        self.ports = Ports::default();
        self.refusals = Refusals::default();
    }

    /// Whether it was sent; there may be no room.
    pub fn control(&mut self, control: Control) -> bool {
        self.link.send(Class::Control, &control.encode()).is_ok()
    }

    /// How many bytes may be sent on a port now. One frame at a time, so that no message is ever
    /// unfinished.
    pub fn room(&mut self, number: u16) -> usize {
        let room = self.ports.room(number).unwrap_or(0);
        // CAST: A window is at most 2^30.
        room.min(self.link.frame_max()) as usize
    }

    /// Whether it was closed, or needs not to be.
    pub fn close(&mut self, number: u16, errno: u32) -> bool {
        self.ports.close(&mut self.link, number, errno) != Err(Error::Full)
    }

    /// After a close with 0: nobody takes anything any more. Whether the host was told, or cannot be.
    pub fn stop(&mut self, number: u16, errno: u32) -> bool {
        self.ports.stop(&mut self.link, number, errno) != Err(Error::Full)
    }

    /// The host has opened a port that nobody has here.
    pub fn refuse(&mut self, number: u16) {
        self.refusals.due |= bit(number);
    }

    /// The host has closed such a port: so it is closed for good, or is now.
    pub fn refused(&mut self, number: u16) {
        let bit = bit(number);
        if self.refusals.said & bit == 0 {
            self.refusals.due |= bit;
            self.refusals.heard |= bit;
        }
        self.refusals.said &= !bit;
    }

    /// Sends the refusals that are due, as there is room.
    pub fn send_refusals(&mut self) {
        while self.refusals.due != 0 {
            // CAST: at most 63.
            let number = self.refusals.due.trailing_zeros() as u16;
            if !self.close(number, REFUSED) {
                return;
            }
            let bit = bit(number);
            self.refusals.due &= !bit;
            self.refusals.said |= bit & !self.refusals.heard;
            self.refusals.heard &= !bit;
        }
    }
}

/// Bit n is port n.
#[derive(Default)]
struct Refusals {
    /// To be closed by us.
    due: u64,
    /// Closed by us alone.
    said: u64,
    /// Closed by the host alone.
    heard: u64,
}

/// Numbers of ports are below 64.
fn bit(number: u16) -> u64 {
    1u64.checked_shl(number.into()).unwrap_or(0)
}
