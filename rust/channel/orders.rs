// SPDX-License-Identifier: GPL-2.0

//! What is known of the peer, what it is asked, and what it asks.

use super::{
    live::Live,
    Channel,
    NO_BEATS, //
};
use crate::{
    apic,
    ffi::{
        shared::SharedMemory,
        spawn, //
    },
    portable::{
        channel::{
            control::Control,
            hello::Page,
            layout::{Region, Role},
            shared::Shared, //
        },
        line::Line, //
    },
};
use kernel::{
    bindings,
    prelude::*,
    sync::atomic::ordering::{Acquire, Relaxed},
    time::Instant, //
};

/// What an agent takes to end the spawn by itself, its sync(2) included, in ms.
const LAST_MS: u32 = 600;
/// What a peer answers that does already what it is asked for.
const EALREADY: u32 = bindings::EALREADY;

/// What a peer seems to have died of.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Death {
    /// It said so.
    Panic,
    /// Its CPU with this number, of its own counting, gives no beats.
    Silence(u32),
}

/// The peer that was asked for something, by its number.
pub(crate) struct Asked(u64);

impl Channel {
    /// What the peer seems to have died of.
    pub(crate) fn death(&self) -> Option<Death> {
        match self.death.load(Acquire) {
            0 => None,
            1 => Some(Death::Panic),
            cpu => Some(Death::Silence(cpu.wrapping_sub(2))),
        }
    }

    /// What it said of its panic.
    pub(crate) fn last_words(&self) -> Line {
        self.inner.lock().last_words
    }

    /// How long the peer's most silent CPU has been silent, in ms.
    pub(crate) fn silence(&self) -> Option<u32> {
        Some(self.silence.load(Relaxed)).filter(|&ms| ms != NO_BEATS)
    }

    /// From how many milliseconds on silence is too long; 0 is never.
    pub(crate) fn patience(&self) -> u32 {
        self.patience.load(Relaxed)
    }

    /// Changes it.
    pub(crate) fn set_patience(&self, ms: u32) {
        self.patience.store(ms, Relaxed);
    }

    /// Sessions and violations that there were.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (self.sessions.load(Relaxed), self.violations.load(Relaxed))
    }

    /// How long a peer gets for a poweroff, in ms.
    pub(crate) fn stop_timeout(&self) -> u32 {
        self.stop_timeout.load(Relaxed)
    }

    /// Changes it.
    pub(crate) fn set_stop_timeout(&self, ms: u32) {
        self.stop_timeout.store(ms, Relaxed);
    }

    /// Asks the peer for a poweroff within `ms` milliseconds. Which one was asked, if there is one. It is
    /// told less, so that what it does when its time is up comes before what we do.
    pub(crate) fn ask_shutdown(&self, ms: u32) -> Option<Asked> {
        let mut inner = self.inner.lock();
        self.turn(&mut inner);
        let asked = match &mut inner.live {
            Some(live) if ms > 0 => {
                // Not an old one.
                let _ = live.exchange.answer();
                let last = (ms / 4).max(LAST_MS.min(ms / 2));
                let told = ms.saturating_sub(last);
                live.exchange.tell(Control::Shutdown(told)).is_ok()
            }
            _ => false,
        };
        self.turn(&mut inner);
        asked.then_some(Asked(inner.lives))
    }

    /// Waits until the peer that was asked has ended, or says that it will not: its errno.
    ///
    /// # Errors
    ///
    /// EINTR on a signal; none when it has not ended within `ms` milliseconds.
    pub(crate) fn wait_for_end(&self, asked: Asked, ms: u32) -> Result<Option<u32>> {
        let began = Instant::now();
        let mut inner = self.inner.lock();
        while inner.lives == asked.0 {
            let Some(live) = &mut inner.live else {
                break;
            };
            match live.exchange.answer() {
                // It is at it, if because another one has asked before.
                None | Some(0 | EALREADY) => {}
                Some(errno) => return Ok(Some(errno)),
            }
            if !self.wait_until(&mut inner, began, ms)? {
                break;
            }
        }
        Ok(None)
    }

    /// Answers what the peer wants, and does it where it is the host that asks.
    pub(super) fn obey(&self, live: &mut Live, request: Control) {
        let errno = match (self.role, request) {
            (Role::Spawn, Control::Shutdown(_) | Control::Reboot(_)) => 0,
            _ => EPERM.to_errno().unsigned_abs(),
        };
        // It may be lost: there was no room.
        let _ = live.exchange.tell(Control::Answer(errno));
        match (errno, request) {
            (0, Control::Shutdown(_)) => spawn::poweroff(),
            (0, Control::Reboot(_)) => spawn::reboot(),
            _ => {}
        }
    }

    /// As a spawn, rings the host without a lock.
    pub(crate) fn ring_blindly(&self, memory: &SharedMemory) {
        let region = Region::new(memory.size());
        let bell = region.and_then(|r| Page::new(&r, self.role.peer()).doorbell(memory));
        if let Some(bell) = bell {
            apic::ring_host(bell.apic_id, bell.vector);
        }
    }
}
