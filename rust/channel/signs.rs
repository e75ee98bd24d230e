// SPDX-License-Identifier: GPL-2.0

//! What the timer looks for, without the channel's lock.

use crate::portable::channel::{
    link,
    shared::Shared, //
};
use kernel::sync::atomic::{ordering::Relaxed, Atomic};

/// Behind every region, where all words are 0.
const NOWHERE: usize = usize::MAX - 7;

/// Offsets and words, see [`link::Signs`]. Who reads them while they are written sees news where
/// there are none, or sees none once.
pub(super) struct Signs([(Atomic<u64>, Atomic<u64>); 3]);

impl Signs {
    /// None.
    pub(super) const fn new() -> Self {
        Self([const { (Atomic::new(0), Atomic::new(0)) }; 3])
    }

    /// Looks for these from now on.
    pub(super) fn set(&self, signs: &link::Signs) {
        let all = [signs.frame, signs.credit, signs.session];
        for ((at, word), (new_at, new_word)) in self.0.iter().zip(all) {
            at.store(new_at as u64, Relaxed);
            word.store(new_word, Relaxed);
        }
    }

    /// Whether the peer has received more than these say.
    pub(super) fn is_other_credit(&self, signs: &link::Signs) -> bool {
        let [_, (_, word), _] = &self.0;
        word.load(Relaxed) != signs.credit.1
    }

    /// Looks for nothing.
    pub(super) fn forget(&self) {
        self.set(&link::Signs {
            frame: (NOWHERE, 1),
            credit: (NOWHERE, 0),
            session: (NOWHERE, 0),
        });
    }

    /// Whether there may be something to do.
    pub(super) fn is_news(&self, memory: &impl Shared) -> bool {
        let [frame, credit, session] = [0, 1, 2].map(|i| {
            self.0.get(i).map_or((0, 0), |(at, word)| {
                // CAST: An offset in the region.
                (at.load(Relaxed) as usize, word.load(Relaxed))
            })
        });
        link::Signs {
            frame,
            credit,
            session,
        }
        .is_news(memory)
    }
}
