// SPDX-License-Identifier: GPL-2.0

//! When to look again: nobody rings.

use std::time::{Duration, Instant};

/// So long after something has happened there is no sleep at all: an answer comes soon.
const AWAKE: Duration = Duration::from_micros(100);
/// The first sleep after that; each one is twice as long as the last.
const FIRST: Duration = Duration::from_micros(50);

pub struct Idle {
    active: Instant,
    next: Duration,
    longest: Duration,
}

impl Idle {
    pub fn new(longest: Duration) -> Self {
        Self {
            active: Instant::now(),
            next: FIRST,
            longest,
        }
    }

    /// Something has happened.
    pub fn active(&mut self) {
        self.active = Instant::now();
        self.next = FIRST;
    }

    /// How long to sleep, if nothing else wakes.
    pub fn next(&mut self) -> Duration {
        if self.active.elapsed() < AWAKE {
            return Duration::ZERO;
        }
        let next = self.next.min(self.longest);
        self.next = next * 2;
        next
    }
}

/// Waits that get longer.
pub struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
    due: Option<Instant>,
}

impl Backoff {
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: first,
            due: None,
        }
    }

    /// What was tried lasted so long before it failed; whether it is time to try again. Asked until
    /// it is.
    pub fn is_over(&mut self, lasted: Duration) -> bool {
        let now = Instant::now();
        let due = *self.due.get_or_insert_with(|| {
            if lasted > self.longest {
                self.next = self.first;
            }
            let due = now + self.next;
            self.next = (self.next * 2).min(self.longest);
            due
        });
        if now < due {
            return false;
        }
        self.due = None;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeps_get_longer() {
        let mut idle = Idle::new(Duration::from_millis(10));
        idle.active = Instant::now() - AWAKE;
        let sleeps: Vec<_> = (0..12).map(|_| idle.next().as_micros()).collect();
        assert_eq!(sleeps[..3], [50, 100, 200]);
        assert_eq!(sleeps[9..], [10_000; 3]);
        idle.active();
        assert_eq!(idle.next(), Duration::ZERO);
    }

    #[test]
    fn waits_get_longer_and_short_again() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(1), ms(4));
        for wait in [1, 2, 4, 4] {
            assert!(!backoff.is_over(ms(0)));
            assert!(backoff.due.unwrap() > Instant::now() + ms(wait) / 2);
            std::thread::sleep(ms(wait));
            assert!(backoff.is_over(ms(0)));
        }
        assert!(!backoff.is_over(ms(5)));
        assert!(backoff.due.unwrap() < Instant::now() + ms(1));
    }
}
