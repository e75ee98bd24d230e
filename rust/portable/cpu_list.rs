// SPDX-License-Identifier: GPL-2.0

//! Lists of CPUs, as the kernel writes them: `2-3,5`.

use super::fault::{inval, Result};
use core::fmt;

/// CPU numbers are below this.
pub const MAX_CPUS: usize = 1024;
const WORDS: usize = MAX_CPUS / 64;
const REMEDY: &str = "give a list of CPUs below 1024, as 2-3,5";

/// A set of CPUs.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct CpuSet([u64; WORDS]);

fn place(cpu: u32) -> (usize, u64) {
    (
        usize::try_from(cpu / 64).unwrap_or(usize::MAX),
        1 << (cpu % 64),
    )
}

impl CpuSet {
    /// Reads a list; an empty one is the empty set. White space around it does not count.
    ///
    /// # Errors
    ///
    /// `Inval` for anything but ascending ranges and single numbers below [`MAX_CPUS`].
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut set = Self::default();
        let text = text.trim_ascii();
        if text.is_empty() {
            return Ok(set);
        }
        for part in text.split(|&b| b == b',') {
            let mut ends = part.splitn(2, |&b| b == b'-');
            let first = number(ends.next().unwrap_or(&[]))?;
            let last = ends.next().map_or(Ok(first), number)?;
            if last < first {
                return inval("end of a range of CPUs", last.into(), REMEDY);
            }
            for cpu in first..=last {
                set.insert(cpu);
            }
        }
        Ok(set)
    }

    /// Whether the CPU is in the set.
    pub fn contains(&self, cpu: u32) -> bool {
        let (word, bit) = place(cpu);
        self.0.get(word).is_some_and(|word| word & bit != 0)
    }

    /// Adds a CPU; one beyond [`MAX_CPUS`] is left out.
    pub fn insert(&mut self, cpu: u32) {
        let (word, bit) = place(cpu);
        if let Some(word) = self.0.get_mut(word) {
            *word |= bit;
        }
    }

    /// The CPUs in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        (0..MAX_CPUS as u32).filter(|&cpu| self.contains(cpu))
    }

    /// How many CPUs.
    pub fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// Whether there is no CPU.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|&word| word == 0)
    }

    /// The lowest CPU.
    pub fn first(&self) -> Option<u32> {
        self.iter().next()
    }
}

fn number(digits: &[u8]) -> Result<u32> {
    let mut value: u32 = 0;
    if digits.is_empty() {
        return inval("CPU", 0, REMEDY);
    }
    for &b in digits {
        let Some(digit) = char::from(b).to_digit(10) else {
            return inval("character of the CPU list", b.into(), REMEDY);
        };
        // At most 1023 * 10 + 9.
        value = value * 10 + digit;
        if value >= MAX_CPUS as u32 {
            return inval("CPU", value.into(), REMEDY);
        }
    }
    Ok(value)
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while let Some(next) = cpus.next_if(|&cpu| cpu == last + 1) {
                last = next;
            }
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}
