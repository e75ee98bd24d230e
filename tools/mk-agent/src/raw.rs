// SPDX-License-Identifier: GPL-2.0

//! All the unsafe code: mapped memory, a scheduler's class, and what a child begins with.

#![allow(unsafe_code, reason = "here it belongs")]

use multikernel_portable::channel::{layout::Region, shared::Shared};
use rustix::{
    fs::{open, Mode, OFlags},
    mm::{mmap, MapFlags, ProtFlags},
    process::{ioctl_tiocsctty, setsid},
};
use std::{
    fs::File,
    io,
    os::unix::process::CommandExt,
    process::Command,
    ptr, slice,
    sync::atomic::{
        fence, AtomicU64,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
    },
};

/// The region that the host can write at any time. It stays mapped.
#[derive(Copy, Clone)]
pub struct Memory {
    region: Region,
    words: &'static [AtomicU64],
}

impl Memory {
    /// Maps a region of this size. A file that gets shorter later ends the process.
    pub fn map(file: &File, offset: u64, region: Region) -> io::Result<Self> {
        let size = region.size();
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: Where it is mapped is the kernel's choice, so nothing is unmapped by this.
        let at = unsafe {
            mmap(
                ptr::null_mut(),
                size,
                protection,
                MapFlags::SHARED,
                file,
                offset,
            )?
        };
        // SAFETY:
        // - The mapping has `size` bytes, a multiple of 8, can be read and written, begins with a
        //   page and is never unmapped.
        // - Others write there, as atomics may be.
        let words = unsafe { slice::from_raw_parts(at.cast(), size / size_of::<AtomicU64>()) };
        Ok(Self { region, words })
    }

    /// Where things are in it.
    pub fn region(&self) -> Region {
        self.region
    }

    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.words.get(at / size_of::<AtomicU64>())
    }

    fn words(&self, at: usize) -> &[AtomicU64] {
        self.words.get(at / size_of::<AtomicU64>()..).unwrap_or(&[])
    }
}

impl Shared for Memory {
    fn size(&self) -> usize {
        self.region.size()
    }

    fn load(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Relaxed))
    }

    fn load_acquire(&self, at: usize) -> u64 {
        self.word(at).map_or(0, |word| word.load(Acquire))
    }

    fn store(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Relaxed);
        }
    }

    fn store_release(&self, at: usize, value: u64) {
        if let Some(word) = self.word(at) {
            word.store(value, Release);
        }
    }

    fn full_fence(&self) {
        fence(SeqCst);
    }

    fn prefetch(&self, _at: usize) {}

    fn read(&self, at: usize, to: &mut [u8]) {
        let words = self.words(at);
        let last = words.get(to.len() / 8);
        let (whole, rest) = to.split_at_mut(to.len() / 8 * 8);
        for (to, word) in whole.chunks_exact_mut(8).zip(words) {
            to.copy_from_slice(&word.load(Relaxed).to_le_bytes());
        }
        if let (false, Some(word)) = (rest.is_empty(), last) {
            rest.copy_from_slice(&word.load(Relaxed).to_le_bytes()[..rest.len()]);
        }
    }

    fn write(&self, at: usize, from: &[u8]) {
        let words = self.words(at);
        let whole = from.chunks_exact(8);
        let rest = whole.remainder();
        for (from, word) in whole.zip(words) {
            let mut bytes = [0; 8];
            bytes.copy_from_slice(from);
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
        if let (false, Some(word)) = (rest.is_empty(), words.get(from.len() / 8)) {
            // What follows the last byte is ours, too.
            let mut bytes = word.load(Relaxed).to_le_bytes();
            bytes[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
    }
}

/// Puts this thread before all that are not real-time ones.
pub fn run_first() -> io::Result<()> {
    let parameters = libc::sched_param { sched_priority: 1 };
    // SAFETY: `parameters` is there until it returns; 0 is this thread.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &parameters) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Makes the command's standard input, a terminal, that of a session of its own.
pub fn lead_session(command: &mut Command) {
    let lead = || {
        setsid()?;
        ioctl_tiocsctty(rustix::stdio::stdin())?;
        Ok(())
    };
    // SAFETY: Between fork and exec there are two system calls, and no allocation or lock.
    unsafe { command.pre_exec(lead) };
}

/// Lets the command be killed when memory is short, which the agent is not to be.
pub fn may_be_killed(command: &mut Command) {
    let may = || {
        // Without /proc there is nothing to take back.
        if let Ok(file) = open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty()) {
            _ = rustix::io::write(&file, b"0");
        }
        Ok(())
    };
    // SAFETY: Between fork and exec there are three system calls, and no allocation or lock.
    unsafe { command.pre_exec(may) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_may_be_killed_whatever_its_parent_is() {
        let mut child = Command::new("cat");
        child.arg("/proc/self/oom_score_adj");
        let protected = || {
            let file = open(c"/proc/self/oom_score_adj", OFlags::WRONLY, Mode::empty())?;
            rustix::io::write(&file, b"500")?;
            Ok(())
        };
        // SAFETY: As for `may_be_killed`.
        unsafe { child.pre_exec(protected) };
        let said = |child: &mut Command| child.output().unwrap().stdout;
        assert_eq!(said(&mut child), b"500\n");
        may_be_killed(&mut child);
        assert_eq!(said(&mut child), b"0\n");
    }
}
