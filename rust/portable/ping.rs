// SPDX-License-Identifier: GPL-2.0

//! What is asked of a round trip to a peer kernel, and what is said of it.

use core::fmt;

/// Most round trips in one go.
pub const COUNT_MAX: usize = 1000;
/// Fewest and most bytes of one.
const BYTES: core::ops::RangeInclusive<usize> = 8..=4096;

/// Who sleeps while a message is on its way.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Who asks, and perhaps who answers.
    Sleep,
    /// Who answers, perhaps; who asks looks for the answer first.
    Wake,
    /// Nobody, for a while.
    Poll,
}

impl Wait {
    const ALL: [Self; 3] = [Self::Sleep, Self::Wake, Self::Poll];

    /// The word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sleep => "sleep",
            Self::Wake => "wake",
            Self::Poll => "poll",
        }
    }
}

/// Round trips, one after the other.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// How many, at most [`COUNT_MAX`].
    pub count: usize,
    /// Bytes that come back, 8 to 4096.
    pub bytes: usize,
    /// What both sides do meanwhile.
    pub wait: Wait,
}

impl Order {
    /// Reads `COUNT BYTES WAIT`, of which words may be missing from the end.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut words = text
            .split(|byte| byte.is_ascii_whitespace())
            .filter(|word| !word.is_empty());
        let mut number = |default| match words.next() {
            Some(word) => core::str::from_utf8(word).ok()?.parse().ok(),
            None => Some(default),
        };
        let order = Self {
            count: number(10)?,
            bytes: number(64)?,
            wait: match words.next() {
                None => Wait::Sleep,
                Some(word) => Wait::ALL
                    .into_iter()
                    .find(|wait| wait.word().as_bytes() == word)?,
            },
        };
        let right = (1..=COUNT_MAX).contains(&order.count)
            && BYTES.contains(&order.bytes)
            && words.next().is_none();
        right.then_some(order)
    }
}

/// How long they took, in nanoseconds.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Times {
    order: Order,
    median: u64,
    p99: u64,
    max: u64,
}

impl Times {
    /// Sorts what was measured; nothing when that is nothing.
    pub fn new(order: Order, took: &mut [u64]) -> Option<Self> {
        for end in 1..=took.len() {
            place_last(took.get_mut(..end).unwrap_or(&mut []));
        }
        let at = |percent: usize| {
            let index = took.len().saturating_mul(percent) / 100;
            took.get(index).or(took.last()).copied()
        };
        Some(Self {
            order,
            median: at(50)?,
            p99: at(99)?,
            max: at(100)?,
        })
    }
}

/// Moves the last one to its place among the others, which are sorted. (objtool does not understand
/// the sorting functions of `core`.)
fn place_last(took: &mut [u64]) {
    if let Some((last, sorted)) = took.split_last() {
        let place = sorted.partition_point(|other| other <= last);
        took.get_mut(place..).unwrap_or(&mut []).rotate_right(1);
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Order { count, bytes, wait } = self.order;
        let wait = wait.word();
        let Self {
            median, p99, max, ..
        } = self;
        write!(f, "{count} {bytes} {wait} {median} {p99} {max}")
    }
}

#[cfg(test)]
mod tests {
    extern crate alloc;
    use super::*;
    use alloc::string::ToString;

    fn order(count: usize, bytes: usize, wait: Wait) -> Option<Order> {
        Some(Order { count, bytes, wait })
    }

    #[test]
    fn words_may_be_missing() {
        assert_eq!(Order::parse(b""), order(10, 64, Wait::Sleep));
        assert_eq!(Order::parse(b"3"), order(3, 64, Wait::Sleep));
        assert_eq!(
            Order::parse(b" 1000\t4096 "),
            order(1000, 4096, Wait::Sleep)
        );
        assert_eq!(Order::parse(b"1 8 sleep"), order(1, 8, Wait::Sleep));
        assert_eq!(Order::parse(b"1 8 wake"), order(1, 8, Wait::Wake));
        assert_eq!(Order::parse(b"1 8 poll"), order(1, 8, Wait::Poll));
    }

    #[test]
    fn bad_words_are_refused() {
        for text in [
            "0",
            "1001",
            "1 7",
            "1 4097",
            "-1",
            "1 64 spin",
            "1 64 poll 1",
            "poll",
            "1,64",
            "99999999999999999999",
        ] {
            assert_eq!(Order::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(Order::parse(b"1 \xff"), None);
    }

    #[test]
    fn times_are_sorted() {
        let order = Order::parse(b"100 8 poll").unwrap();
        let mut took: [u64; 100] = core::array::from_fn(|i| 100 - i as u64);
        let times = Times::new(order, &mut took).unwrap();
        assert_eq!(times.to_string(), "100 8 poll 51 100 100");
        let times = Times::new(order, &mut [7]).unwrap();
        assert_eq!(times.to_string(), "100 8 poll 7 7 7");
        assert_eq!(Times::new(order, &mut []), None);
    }
}
