// SPDX-License-Identifier: GPL-2.0

//! Bytes that were received and not read yet, or that are remembered.

/// A ring of bytes, numbered from the first one that was ever put in.
///
/// # Invariants
///
/// `start <= end`, and their distance is at most the length of the buffer.
#[derive(Clone, Debug)]
pub struct Queue<B> {
    buffer: B,
    start: u64,
    end: u64,
}

impl<B: AsRef<[u8]> + AsMut<[u8]>> Queue<B> {
    /// An empty one with this buffer.
    pub fn new(buffer: B) -> Self {
        Self {
            buffer,
            start: 0,
            end: 0,
        }
    }

    /// Number of the oldest byte.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Number of the byte that comes next.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes in it.
    pub fn len(&self) -> usize {
        // CAST: By the invariant at most a buffer's length.
        self.end.saturating_sub(self.start) as usize
    }

    /// Bytes from number `at` on, or from the oldest one if that is later.
    pub fn behind(&self, at: u64) -> usize {
        // CAST: By the invariant at most a buffer's length.
        self.end.saturating_sub(at.max(self.start)) as usize
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Bytes that it could take without losing one.
    pub fn room(&self) -> usize {
        self.buffer.as_ref().len().saturating_sub(self.len())
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.start = self.end;
    }

    /// Puts bytes in. The oldest ones go where there is no room.
    pub fn push(&mut self, bytes: &[u8]) {
        let capacity = self.buffer.as_ref().len();
        let lost = bytes.len().saturating_sub(capacity);
        let (_, kept) = bytes.split_at_checked(lost).unwrap_or((&[], bytes));
        let from = self.end.saturating_add(lost as u64);
        let split = position(from, capacity).unwrap_or(0);
        if let Some((front, back)) = self.buffer.as_mut().split_at_mut_checked(split) {
            let done = fill(back, kept);
            fill(front, kept.get(done..).unwrap_or(&[]));
        }
        self.end = self.end.saturating_add(bytes.len() as u64);
        let oldest = self.end.saturating_sub(capacity as u64);
        // INVARIANT: Not further back than the buffer is long.
        self.start = self.start.max(oldest);
    }

    /// Copies bytes from number `at` on, or from the oldest one if that is later: the number behind
    /// the last one copied, and how many there were.
    pub fn copy(&self, at: u64, to: &mut [u8]) -> (u64, usize) {
        let capacity = self.buffer.as_ref().len();
        let at = at.max(self.start);
        // CAST: By the invariant at most a buffer's length.
        let len = to.len().min(self.end.saturating_sub(at) as usize);
        let to = to.get_mut(..len).unwrap_or(&mut []);
        let split = position(at, capacity).unwrap_or(0);
        let parts = self.buffer.as_ref().split_at_checked(split);
        let (front, back) = parts.unwrap_or((&[], &[]));
        let first = fill(to, back);
        let second = fill(to.get_mut(first..).unwrap_or(&mut []), front);
        let copied = first.saturating_add(second);
        (at.saturating_add(copied as u64), copied)
    }

    /// Takes the oldest bytes out.
    pub fn take(&mut self, to: &mut [u8]) -> usize {
        let (next, copied) = self.copy(self.start, to);
        // INVARIANT: `copy` goes to `end` at most.
        self.start = next;
        copied
    }
}

/// Copies as many bytes as there are in the shorter one.
fn fill(to: &mut [u8], from: &[u8]) -> usize {
    let len = to.len().min(from.len());
    if let (Some(to), Some(from)) = (to.get_mut(..len), from.get(..len)) {
        to.copy_from_slice(from);
    }
    len
}

fn position(number: u64, capacity: usize) -> Option<usize> {
    usize::try_from(number.checked_rem(capacity as u64)?).ok()
}
