// SPDX-License-Identifier: GPL-2.0

//! The kernel log of a spawn: the ring buffer of printk (kernel/printk/printk_ringbuffer.c), as
//! 6.1 to 7.3 have it.

use super::{
    note::Note,
    panic_line::PanicLine,
    space::Space,
    Physical, //
};

/// Most records looked at, the last ones: as many lines as 256 KiB have at most.
const RECORDS_MAX: u64 = 1 << 14;
/// Records between two pauses.
const RECORDS_BETWEEN: u64 = 256;
/// Most bytes taken of a record: twice PRINTKRB_RECORD_MAX.
const TEXT_MAX: u64 = 2048;
/// No log buffer is larger: LOG_BUF_LEN_MAX.
const SIZE_BITS_MAX: u32 = 31;
const COUNT_BITS_MAX: u32 = 26;
/// Bytes of text copied at a time.
const PART: usize = 256;

/// The state of a descriptor is in the upper two bits of its word, its id in the others.
const STATE_SHIFT: u32 = 62;
const ID_MASK: u64 = (1 << STATE_SHIFT) - 1;
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;

/// Each block begins with the id of its descriptor.
const BLOCK_HEAD: u64 = 8;

/// What was read.
#[derive(Copy, Clone, Default)]
pub struct Log {
    /// Bytes written: whole lines, "[seconds.micros] text".
    pub len: usize,
    /// The last line of a panic, if there is one.
    pub panic: Option<PanicLine>,
}

/// Writes the last lines of the log to `out`, as many as fit.
///
/// Bytes that are neither printable ASCII nor a tab become "\x1b", as in /dev/kmsg. `pause` is called
/// again and again.
pub fn read(
    space: &Space<'_, impl Physical>,
    note: &Note<'_>,
    out: &mut [u8],
    mut pause: impl FnMut(),
) -> Option<Log> {
    let ring = Ring::new(space, note)?;
    let count = ring.head.wrapping_sub(ring.tail) & ID_MASK;
    let skipped = count.saturating_sub(RECORDS_MAX - 1);
    let mut record = |i: u64| {
        if i % RECORDS_BETWEEN == 0 {
            pause();
        }
        ring.record(ring.tail.wrapping_add(i) & ID_MASK)
    };
    // Each byte of a text becomes one or more: what is older than this does not last.
    let mut room = out.len() as u64;
    let mut first = skipped;
    for i in (skipped..=count).rev() {
        if room == 0 {
            first = i.saturating_add(1);
            break;
        }
        room = room.saturating_sub(record(i).map_or(0, |r| r.len.saturating_add(1)));
    }
    let mut tail = Tail {
        out,
        at: 0,
        wrapped: false,
    };
    let mut panic = None;
    for i in skipped..=count {
        let Some(record) = record(i) else {
            continue;
        };
        let found = if i < first {
            ring.panic_line(&record)
        } else {
            ring.print(&record, &mut tail)
        };
        panic = found.or(panic);
    }
    Some(Log {
        len: tail.finish(),
        panic,
    })
}

/// Addresses and sizes of the parts of the ring buffer.
struct Ring<'a, 's, M> {
    space: &'a Space<'s, M>,
    /// Numbers of the oldest and of the newest record.
    tail: u64,
    head: u64,
    /// Less one, both: masks.
    count_mask: u64,
    size_mask: u64,
    descs: u64,
    infos: u64,
    data: u64,
    desc_size: u64,
    info_size: u64,
    /// Within a descriptor.
    state: u64,
    begin: u64,
    next: u64,
    /// Within an info.
    time: u64,
    len: u64,
}

/// One record.
struct Record {
    nanoseconds: u64,
    /// Whether the kernel itself wrote it, and not a program through /dev/kmsg.
    of_kernel: bool,
    /// Virtual address of the text.
    text: u64,
    len: u64,
}

impl<'a, 's, M: Physical> Ring<'a, 's, M> {
    fn new(space: &'a Space<'s, M>, note: &Note<'_>) -> Option<Self> {
        let ring = space.read_u64(note.symbol("prb")?)?;
        let desc_ring = ring.wrapping_add(note.offset("printk_ringbuffer.desc_ring")?);
        let data_ring = ring.wrapping_add(note.offset("printk_ringbuffer.text_data_ring")?);
        let word = |base: u64, name| space.read_u64(base.wrapping_add(note.offset(name)?));
        let mask = |base, name, max| {
            // CAST: The lower half is the number.
            let bits = word(base, name)? as u32;
            (bits <= max).then(|| (1_u64 << bits).wrapping_sub(1))
        };
        let block = note.offset("prb_desc.text_blk_lpos")?;
        Some(Self {
            space,
            tail: word(desc_ring, "prb_desc_ring.tail_id")? & ID_MASK,
            head: word(desc_ring, "prb_desc_ring.head_id")? & ID_MASK,
            count_mask: mask(desc_ring, "prb_desc_ring.count_bits", COUNT_BITS_MAX)?,
            size_mask: mask(data_ring, "prb_data_ring.size_bits", SIZE_BITS_MAX)?,
            descs: word(desc_ring, "prb_desc_ring.descs")?,
            infos: word(desc_ring, "prb_desc_ring.infos")?,
            data: word(data_ring, "prb_data_ring.data")?,
            desc_size: note.size("prb_desc")?,
            info_size: note.size("printk_info")?,
            state: note.offset("prb_desc.state_var")?,
            begin: block.wrapping_add(note.offset("prb_data_blk_lpos.begin")?),
            next: block.wrapping_add(note.offset("prb_data_blk_lpos.next")?),
            time: note.offset("printk_info.ts_nsec")?,
            len: note.offset("printk_info.text_len")?,
        })
    }

    /// Finds a record, if it was completed.
    fn record(&self, id: u64) -> Option<Record> {
        let index = id & self.count_mask;
        let desc = self.descs.wrapping_add(index.wrapping_mul(self.desc_size));
        let info = self.infos.wrapping_add(index.wrapping_mul(self.info_size));
        let word = |base: u64, offset| self.space.read_u64(base.wrapping_add(offset));
        let state = word(desc, self.state)?;
        if state & ID_MASK != id || !matches!(state >> STATE_SHIFT, COMMITTED | FINALIZED) {
            return None;
        }
        let nanoseconds = word(info, self.time)?;
        // u16 text_len, u8 facility.
        let mut lens = [0; 3];
        if !self.space.read(info.wrapping_add(self.len), &mut lens) {
            return None;
        }
        let [len0, len1, facility] = lens;
        let begin = word(desc, self.begin)?;
        let (text, room) = if begin & 1 == 1 {
            // A record without text.
            (self.data, 0)
        } else {
            self.block(
                begin & self.size_mask,
                word(desc, self.next)? & self.size_mask,
            )?
        };
        Some(Record {
            nanoseconds,
            of_kernel: facility == 0,
            text,
            len: u64::from(u16::from_le_bytes([len0, len1]))
                .min(room)
                .min(TEXT_MAX),
        })
    }

    /// The text in a block: where it is, and how many bytes there can be.
    fn block(&self, begin: u64, next: u64) -> Option<(u64, u64)> {
        let (begin, end) = match next {
            // Ends with the buffer.
            0 => (begin, self.size_mask.wrapping_add(1)),
            // Did not fit behind the one before it.
            _ if next < begin => (0, next),
            _ => (begin, next),
        };
        let begin = begin.wrapping_add(BLOCK_HEAD);
        Some((self.data.wrapping_add(begin), end.checked_sub(begin)?))
    }

    /// Its line of a panic.
    fn panic_line(&self, record: &Record) -> Option<PanicLine> {
        let mut part = [0; PART];
        // CAST: At most PART.
        let bytes = part.get_mut(..record.len.min(PART as u64) as usize)?;
        (record.of_kernel && self.space.read(record.text, bytes)).then(|| PanicLine::new(bytes))?
    }

    /// Prints a record, each of its lines with the time. Returns its line of a panic.
    fn print(&self, record: &Record, out: &mut Tail<'_>) -> Option<PanicLine> {
        let mut part = [0; PART];
        let mut panic = None;
        let mut done: u64 = 0;
        out.time(record.nanoseconds);
        while done < record.len {
            let left = record.len.saturating_sub(done).min(PART as u64);
            // CAST: At most PART.
            let Some(bytes) = part.get_mut(..left as usize) else {
                break;
            };
            if !self.space.read(record.text.wrapping_add(done), bytes) {
                break;
            }
            if done == 0 && record.of_kernel {
                panic = PanicLine::new(bytes);
            }
            for &byte in bytes.iter() {
                match byte {
                    b'\n' => {
                        out.push(b"\n");
                        out.time(record.nanoseconds);
                    }
                    b'\t' | b' '..=b'~' => out.push(&[byte]),
                    _ => out.push(&[b'\\', b'x', hex(byte >> 4), hex(byte & 15)]),
                }
            }
            done = done.saturating_add(left);
        }
        out.push(b"\n");
        panic
    }
}

fn hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => nibble.wrapping_add(b'0'),
        _ => nibble.wrapping_add(b'a' - 10),
    }
}

/// Keeps the last bytes of what is pushed.
struct Tail<'a> {
    out: &'a mut [u8],
    /// Where the next byte goes.
    at: usize,
    /// Whether there are older bytes from there on.
    wrapped: bool,
}

impl Tail<'_> {
    fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if self.at == self.out.len() {
                (self.at, self.wrapped) = (0, true);
            }
            if let Some(to) = self.out.get_mut(self.at) {
                *to = byte;
                self.at = self.at.saturating_add(1);
            }
        }
    }

    /// Begins a line with "[seconds.micros] ", the seconds at least five wide, as the kernel does.
    fn time(&mut self, nanoseconds: u64) {
        let micros = nanoseconds / 1000;
        self.push(b"[");
        self.decimal(micros / 1_000_000, 5, b' ');
        self.push(b".");
        self.decimal(micros % 1_000_000, 6, b'0');
        self.push(b"] ");
    }

    fn decimal(&mut self, value: u64, width: usize, fill: u8) {
        let mut digits = [fill; 20];
        let mut left = value;
        let mut used: usize = 0;
        for digit in digits.iter_mut().rev() {
            // CAST: One digit.
            *digit = b'0'.wrapping_add((left % 10) as u8);
            left /= 10;
            used = used.saturating_add(1);
            if left == 0 {
                break;
            }
        }
        let from = digits.len().saturating_sub(used.max(width));
        self.push(digits.get(from..).unwrap_or(&[]));
    }

    /// Puts the oldest byte first, drops the line that begins before it, and returns what is left.
    fn finish(self) -> usize {
        if !self.wrapped {
            return self.at;
        }
        // PANIC: `at` is at most the length.
        self.out.rotate_left(self.at);
        let cut = self.out.iter().position(|b| *b == b'\n');
        let cut = cut.map_or(self.out.len(), |at| at.saturating_add(1));
        // PANIC: `cut` is at most the length.
        self.out.copy_within(cut.., 0);
        self.out.len().saturating_sub(cut)
    }
}
