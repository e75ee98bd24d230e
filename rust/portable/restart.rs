// SPDX-License-Identifier: GPL-2.0

//! What follows a death: another start by itself, later each time, or not.

use super::{
    fault::{inval, Errno, Fault, Result},
    table::{words, Reason},
};

words! {
    /// Which deaths are followed by a start.
    Policy {
        /// None.
        Never = "never",
        /// All but a poweroff.
        OnFailure = "on-failure",
        /// All.
        Always = "always",
    }
}

impl Policy {
    /// Reads the word of a policy.
    ///
    /// # Errors
    ///
    /// `Inval`, with the length as value.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let all = [Self::Never, Self::OnFailure, Self::Always];
        all.into_iter()
            .find(|policy| policy.as_str().as_bytes() == text)
            .ok_or(Fault {
                errno: Errno::Inval,
                field: "length of restart_policy",
                value: text.len() as u64,
                remedy: "write never, on-failure or always",
            })
    }
}

/// Longest time before a start, in milliseconds.
pub const DELAY_MAX: u32 = 60_000;
/// A life of this many milliseconds is no failure to start: the count begins anew.
pub const STEADY: i64 = 60_000;

/// How an instance is restarted.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Restart {
    /// Which deaths are followed by a start.
    pub policy: Policy,
    /// Milliseconds before the first start in a row; each further one waits twice as long.
    pub delay_ms: u32,
    /// Starts in a row after which it stays dead.
    pub limit: u32,
}

impl Default for Restart {
    fn default() -> Self {
        Self {
            policy: Policy::Never,
            delay_ms: 1000,
            limit: 5,
        }
    }
}

/// What to do about a death.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It stays dead.
    Stay,
    /// It stays dead, since it died so often.
    GiveUp,
    /// It starts again in so many milliseconds.
    In(u32),
}

impl Restart {
    /// What to do after a death for `reason`, when `row` automatic starts in a row preceded it.
    pub fn after(&self, reason: Reason, row: u32) -> Verdict {
        let wanted = match reason {
            // Somebody wants it dead.
            Reason::None | Reason::Killed | Reason::Stopped | Reason::HostDown => false,
            Reason::Poweroff => self.policy == Policy::Always,
            Reason::Reboot
            | Reason::Reset
            | Reason::Panic
            | Reason::Lockup
            | Reason::StartFailed => self.policy != Policy::Never,
        };
        if !wanted {
            return Verdict::Stay;
        }
        if row >= self.limit {
            return Verdict::GiveUp;
        }
        let factor = 1u32.checked_shl(row).unwrap_or(u32::MAX);
        Verdict::In(self.delay_ms.saturating_mul(factor).min(DELAY_MAX))
    }
}

/// Reads a decimal number of at most `max`.
///
/// # Errors
///
/// `Inval`, with the number, or the character that is no digit, as value.
pub fn number(field: &'static str, text: &[u8], max: u32) -> Result<u32> {
    let remedy = "write a smaller number, in decimal digits";
    if text.is_empty() {
        return inval(field, 0, remedy);
    }
    let mut value: u64 = 0;
    for &b in text {
        if !b.is_ascii_digit() {
            return inval(field, b.into(), remedy);
        }
        value = value.saturating_mul(10).saturating_add(u64::from(b & 0xf));
    }
    match u32::try_from(value) {
        Ok(small) if small <= max => Ok(small),
        _ => inval(field, value, remedy),
    }
}
