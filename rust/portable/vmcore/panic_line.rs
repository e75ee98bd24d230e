// SPDX-License-Identifier: GPL-2.0

//! The line in which a kernel says why it gives up.

use super::super::line::Line;

/// What `panic()` puts first.
const PREFIX: &[u8] = b"Kernel panic - not syncing: ";

/// What panics of a kernel's own watchdogs say next (6.1 to 7.3): kernel/watchdog.c, and its
/// hard-lockup detector, kernel/rcu/tree_stall.h, kernel/hung_task.c, kernel/workqueue.c.
const WATCHDOGS: [&[u8]; 5] = [
    b"softlockup: ",
    b"Hard LOCKUP",
    b"RCU Stall",
    b"hung_task: ",
    b"workqueue: ",
];

/// The line of a panic.
#[derive(Copy, Clone)]
pub struct PanicLine(pub Line);

impl PanicLine {
    /// Takes the first line of what a kernel printed, if it is that of a panic.
    pub fn new(text: &[u8]) -> Option<Self> {
        let line = text.split(|b| *b == b'\n').next()?;
        line.starts_with(PREFIX).then(|| Self(Line::new(line)))
    }

    /// Whether one of the kernel's own watchdogs has found it hanging.
    pub fn is_lockup(&self) -> bool {
        let cause = self
            .0
            .as_str()
            .as_bytes()
            .get(PREFIX.len()..)
            .unwrap_or(&[]);
        WATCHDOGS.iter().any(|words| cause.starts_with(words))
    }
}
