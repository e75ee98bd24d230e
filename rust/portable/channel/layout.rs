// SPDX-License-Identifier: GPL-2.0

//! Where things are in the region.

use super::ring::Ring;

/// A cache line in bytes.
pub const LINE: usize = 64;
/// Bytes of the smallest region.
pub const SIZE_MIN: usize = 64 << 10;
/// Bytes of the largest region.
pub const SIZE_MAX: usize = 64 << 20;

// Offsets in a section.
pub(super) const HELLO: usize = 0;
const CREDITS: usize = 0x80;
const SLEEP: usize = 0x100;
pub(super) const BEATS: usize = 0x200;
pub(super) const NOTICE: usize = 0x400;
const FIELDS_END: usize = 0x800;

const _: () = assert!(FIELDS_END <= SIZE_MIN / 8);

/// Whose section.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The kernel whose memory it was.
    Host,
    /// The kernel beside it, or an agent of ours there.
    Spawn,
}

impl Role {
    /// The other one.
    pub fn peer(self) -> Self {
        match self {
            Self::Host => Self::Spawn,
            Self::Spawn => Self::Host,
        }
    }
}

/// A region whose size is right.
///
/// # Invariants
///
/// `size` is a power of two from [`SIZE_MIN`] to [`SIZE_MAX`].
#[derive(Copy, Clone, Debug)]
pub struct Region {
    size: usize,
}

impl Region {
    /// Takes a size, if it is right.
    pub fn new(size: usize) -> Option<Self> {
        // INVARIANT: checked here.
        (size.is_power_of_two() && (SIZE_MIN..=SIZE_MAX).contains(&size)).then_some(Self { size })
    }

    /// Bytes.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Offset of the section that `owner` writes.
    pub fn section(&self, owner: Role) -> usize {
        match owner {
            Role::Host => 0,
            Role::Spawn => self.size / 2,
        }
    }

    /// The ring that `owner` fills.
    pub fn ring(&self, owner: Role) -> Ring {
        let (half, own) = (self.size / 2, self.section(owner));
        let peer = self.section(owner.peer());
        // OVERFLOW: by the invariant all of this lies within 64 MiB, and so do the counts.
        Ring {
            slots_at: own + half / 4,
            slots: (half / 4 / LINE) as u32,
            data_at: own + half / 2,
            lines: (half / 2 / LINE) as u32,
            credits_at: peer + CREDITS,
            frame_sleep_at: peer + SLEEP,
            credit_sleep_at: own + SLEEP + 8,
        }
    }
}
