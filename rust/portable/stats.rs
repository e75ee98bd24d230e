// SPDX-License-Identifier: GPL-2.0

//! What is counted of an instance, one "key value" line each. Lines are only ever added, at the end.

use core::fmt;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// The counters; none ever wraps.
        #[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
        pub struct Stats {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Stats {
            /// Adds what was counted elsewhere.
            pub fn add(&mut self, more: &Self) {
                $(self.$name.add(more.$name.0);)*
            }
        }

        impl fmt::Display for Stats {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                $(writeln!(f, concat!(stringify!($name), " {}"), self.$name.0)?;)*
                Ok(())
            }
        }
    };
}

/// A number that stays at its largest value.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counter(pub u64);

impl Counter {
    /// Counts one.
    pub fn count(&mut self) {
        self.add(1);
    }

    fn add(&mut self, more: u64) {
        self.0 = self.0.saturating_add(more);
    }
}

counters! {
    /// Starts that reached the kernel.
    starts,
    /// Ends of any kind.
    stops,
    /// Ends by a poweroff.
    poweroffs,
    /// Ends by a reset without a panic, or without a log.
    reboots,
    /// Ends by a panic.
    panics,
    /// Ends by a watchdog of the spawn.
    lockups,
    /// Ends by the host.
    kills,
    /// Starts that did not reach the kernel.
    failed_starts,
    /// Starts by the restart policy.
    restarts,
    /// Deaths after which the restart policy gave up.
    give_ups,
    /// INIT messages of the kill ladder.
    inits,
    /// CPUs that proved to be parked.
    proofs,
    /// CPUs that gave no proof in time.
    missing_proofs,
    /// Times that a CPU and the memory were quarantined.
    quarantines,
    /// Times that parked CPUs did not answer together, and were parked again.
    recalls,
    /// Sessions of the channel that were opened.
    sessions,
    /// Times that the spawn broke a rule of the channel.
    violations,
    /// Times that an agent, or our module in the spawn, was asked to power off.
    asked,
    /// Times that it refused.
    refusals,
    /// Times that the spawn had not powered off in time.
    overdue,
}
