// SPDX-License-Identifier: GPL-2.0

//! Reads numbers from the fuzzer's bytes; there are zeros behind their end.

// Each target uses its own part of it.
#![allow(dead_code)]

pub struct Input<'a>(pub &'a [u8]);

impl Input<'_> {
    pub fn number<const LEN: usize>(&mut self) -> u64 {
        let mut bytes = [0; 8];
        for byte in &mut bytes[..LEN] {
            if let Some((first, rest)) = self.0.split_first() {
                (*byte, self.0) = (*first, rest);
            }
        }
        u64::from_le_bytes(bytes)
    }

    pub fn byte(&mut self) -> u8 {
        self.number::<1>() as u8
    }

    /// A multiple of 4096, small, large, or anything at all.
    pub fn address(&mut self) -> u64 {
        match self.byte() % 8 {
            0..=3 => self.number::<1>() << 12,
            4 | 5 => self.number::<3>() << 12,
            6 => self.number::<6>() << 12,
            _ => self.number::<8>(),
        }
    }

    /// Overwrites bytes of a zero page, as long as there is input.
    pub fn damage(&mut self, page: &mut [u8]) {
        while !self.0.is_empty() {
            // The upper halves of three addresses, or the setup header.
            let at = match self.byte() {
                at @ 0..12 => 0xc0 + usize::from(at),
                at => 0x1f1 - 12 + usize::from(at),
            };
            page[at] = self.byte();
        }
    }
}
