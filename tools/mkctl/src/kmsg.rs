// SPDX-License-Identifier: GPL-2.0

//! The kernel log: an errno says too little, and the module logs one line for each.

use crate::host::Host;
use std::{
    fs::File,
    io::{ErrorKind, Read, Seek, SeekFrom},
    os::unix::fs::OpenOptionsExt,
};

/// A place in the kernel log; none where it must not be read.
pub struct Mark(Option<File>);

/// A record is no longer than this (CONSOLE_EXT_LOG_MAX of the kernel).
const RECORD_MAX: usize = 8192;

impl Mark {
    fn open(host: &Host) -> Option<File> {
        // CAST: The same bits in libc's type.
        let flags = rustix::fs::OFlags::NONBLOCK.bits() as i32;
        let mut options = File::options();
        options.read(true).custom_flags(flags);
        options.open(host.path("/dev/kmsg")).ok()
    }

    /// The log's beginning.
    pub fn start(host: &Host) -> Self {
        Self(Self::open(host))
    }

    /// The log's present end.
    pub fn now(host: &Host) -> Self {
        let mut file = Self::open(host);
        Self(file.take_if(|file| file.seek(SeekFrom::End(0)).is_ok()))
    }

    /// The records from here on.
    pub fn records(self) -> Vec<Record> {
        let mut records = Vec::new();
        let Some(mut file) = self.0 else {
            return records;
        };
        let mut buffer = [0; RECORD_MAX];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => return records,
                Ok(len) => records.extend(Record::parse(&buffer[..len])),
                // The oldest were overwritten meanwhile.
                Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
                Err(_) => return records,
            }
        }
    }

    /// What the module complained of last from here on.
    pub fn complaint(self) -> Option<String> {
        let is_one =
            |record: &Record| record.level <= 3 && record.text.starts_with("multikernel: ");
        let last = self.records().into_iter().rfind(is_one)?;
        Some(format!("kernel log: {}", last.text))
    }
}

/// One record.
pub struct Record {
    /// 3 is an error.
    level: u8,
    pub text: String,
}

impl Record {
    /// Reads "priority,sequence,time,flags;text", of which further lines are about devices.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let record = String::from_utf8_lossy(bytes);
        let (head, text) = record.lines().next()?.split_once(';')?;
        let priority: u32 = head.split(',').next()?.parse().ok()?;
        Some(Self {
            // CAST: Three bits.
            level: (priority & 7) as u8,
            text: text.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records() {
        let record =
            Record::parse(b"11,339,5140900,-;multikernel: web: cpus 0; no\n SUBSYSTEM=x\n");
        let record = record.unwrap();
        assert_eq!(record.level, 3);
        assert_eq!(record.text, "multikernel: web: cpus 0; no");
        for bad in [&b""[..], b"x,1;y", b"6,1,2,-"] {
            assert!(Record::parse(bad).is_none());
        }
    }
}
