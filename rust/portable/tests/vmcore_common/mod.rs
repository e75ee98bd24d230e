// SPDX-License-Identifier: GPL-2.0

//! The memory of a spawn kernel that never ran: page tables, a log, and the note that leads there.

// Each user has its own part of it.
#![allow(dead_code)]

use multikernel_portable::{
    range::Range,
    vmcore::{note::HEAD, space::TEXT, Physical},
};

/// Where its memory begins.
pub const START: u64 = 0x1_4020_0000;
/// Bytes of it, with a log of the usual size.
pub const SIZE: usize = 256 << 10;

// Offsets from the start.
const TABLES: usize = 0x1000;
pub const NOTE: usize = 0x10000;
const RING_POINTER: usize = 0x12000;
pub const RING: usize = 0x12010;
const DESCS: usize = 0x13000;
pub const INFOS: usize = 0x16000;
pub const DATA: usize = 0x20000;

const COMMITTED: u64 = 1 << 62;
const FINALIZED: u64 = 2 << 62;
const DESC_SIZE: usize = 24;
const INFO_SIZE: usize = 88;

/// What differs from kernel to kernel.
#[derive(Copy, Clone, Debug)]
pub struct Kind {
    pub levels: u32,
    /// Virtual address of the physical address 0.
    pub direct_map: u64,
    /// Address of the kernel's first byte, in the text mapping.
    pub text: u64,
    pub count_bits: u32,
    pub size_bits: u32,
    /// Number of the first record.
    pub first: u64,
    /// What is added to a physical address for where the text of the log is mapped, where that is
    /// not the direct map.
    pub log: Option<u64>,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            levels: 4,
            direct_map: 0xffff_9c40_c000_0000,
            text: TEXT + 0x3340_0000,
            count_bits: 5,
            size_bits: 10,
            first: 0x3fff_ffff_ffff_fff0,
            log: None,
        }
    }
}

pub struct Spawn {
    pub kind: Kind,
    pub bytes: Vec<u8>,
    /// The last page table made.
    tables: usize,
    /// Number of the next record, and its place among all text, of which the buffer has the last.
    id: u64,
    place: u64,
}

impl Physical for Spawn {
    fn read(&self, at: u64, to: &mut [u8]) -> bool {
        let rest = at
            .checked_sub(START)
            .and_then(|at| self.bytes.get(usize::try_from(at).ok()?..)?.get(..to.len()));
        rest.map(|from| to.copy_from_slice(from)).is_some()
    }
}

impl Spawn {
    pub fn new(kind: Kind) -> Self {
        let mut spawn = Self {
            kind,
            bytes: vec![0; SIZE.max(DATA + (1 << kind.size_bits))],
            tables: TABLES,
            id: kind.first,
            place: 0,
        };
        spawn.map(kind.direct_map, 0, 3);
        spawn.map(kind.direct_map + START, START, 2);
        spawn.map(kind.text, START, 2);
        // As for a moment at boot.
        spawn.map(START, START, 2);
        let text = spawn.text();
        spawn.note(text.as_bytes());
        spawn.put(RING_POINTER, spawn.symbol(RING));
        spawn.put(RING, kind.count_bits.into());
        spawn.put(RING + 8, spawn.symbol(DESCS));
        spawn.put(RING + 16, spawn.symbol(INFOS));
        spawn.put(RING + 48, kind.size_bits.into());
        let log = kind.log.unwrap_or(kind.direct_map);
        if kind.log.is_some() {
            spawn.map(log.wrapping_add(START), START, 2);
        }
        spawn.put(RING + 56, log.wrapping_add(START + DATA as u64));
        spawn.put(RING + 32, kind.first & !(3 << 62));
        spawn
    }

    pub fn range() -> Range {
        Range {
            start: START,
            size: SIZE as u64,
        }
    }

    pub fn put(&mut self, offset: usize, value: u64) {
        self.bytes[offset..offset + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn get(&self, offset: usize) -> u64 {
        u64::from_le_bytes(self.bytes[offset..offset + 8].try_into().unwrap())
    }

    fn symbol(&self, offset: usize) -> u64 {
        self.kind.text + offset as u64
    }

    /// Maps an address by a page of this level.
    fn map(&mut self, address: u64, to: u64, page: u32) {
        let mut table = TABLES;
        for level in (page..=self.kind.levels).rev() {
            let entry = table + 8 * (address >> (12 + 9 * (level - 1)) & 511) as usize;
            if level == page {
                self.put(entry, to | 0xe3 | 1 << 63);
            } else if self.get(entry) == 0 {
                self.tables += 4096;
                assert!(self.tables < NOTE);
                table = self.tables;
                self.put(entry, (START + table as u64) | 0x63);
            } else {
                table = (self.get(entry) & 0xf_ffff_ffff_f000) as usize - START as usize;
            }
        }
    }

    /// The text of its note.
    pub fn text(&self) -> String {
        let phys_base = START.wrapping_sub(self.kind.text.wrapping_sub(TEXT));
        format!(
            "OSRELEASE=6.18.0-test\nPAGESIZE=4096\nSYMBOL(prb)={:x}\n\
             OFFSET(printk_ringbuffer.desc_ring)=0\nOFFSET(printk_ringbuffer.text_data_ring)=48\n\
             OFFSET(prb_desc_ring.count_bits)=0\nOFFSET(prb_desc_ring.descs)=8\n\
             OFFSET(prb_desc_ring.infos)=16\nOFFSET(prb_desc_ring.head_id)=24\n\
             OFFSET(prb_desc_ring.tail_id)=32\nSIZE(prb_desc)=24\nOFFSET(prb_desc.state_var)=0\n\
             OFFSET(prb_desc.text_blk_lpos)=8\nOFFSET(prb_data_blk_lpos.begin)=0\n\
             OFFSET(prb_data_blk_lpos.next)=8\nSIZE(printk_info)=88\nOFFSET(printk_info.ts_nsec)=8\n\
             OFFSET(printk_info.text_len)=16\nOFFSET(prb_data_ring.size_bits)=0\n\
             OFFSET(prb_data_ring.data)=8\nNUMBER(phys_base)={}\nSYMBOL(init_top_pgt)={:x}\n\
             NUMBER(pgtable_l5_enabled)={}\nNUMBER(KERNEL_IMAGE_SIZE)=1073741824\n",
            self.symbol(RING_POINTER),
            phys_base as i64,
            self.symbol(TABLES),
            self.kind.levels - 4,
        )
    }

    /// Writes the note with this text.
    pub fn note(&mut self, text: &[u8]) {
        let note = &mut self.bytes[NOTE..NOTE + 8192];
        note[..4].copy_from_slice(&11_u32.to_le_bytes());
        note[4..8].copy_from_slice(&(text.len() as u32).to_le_bytes());
        note[12..HEAD].copy_from_slice(b"VMCOREINFO\0\0");
        note[HEAD..HEAD + text.len()].copy_from_slice(text);
    }

    /// Adds a record as printk does: the oldest ones give way.
    pub fn print(&mut self, nanoseconds: u64, facility: u8, text: &[u8]) {
        let size = 1 << self.kind.size_bits;
        let id = self.id & !(3 << 62);
        let index = (id as usize) & ((1 << self.kind.count_bits) - 1);
        let block = (8 + text.len() as u64).next_multiple_of(8);
        let begin = self.place;
        let mut next = begin + block;
        let mut at = begin % size;
        if begin / size != (next - 1) / size {
            // Does not fit before the end of the buffer: its text is at the start.
            at = 0;
            next = begin.next_multiple_of(size) + block;
        }
        let (begin, next) = if text.is_empty() {
            (1, 1)
        } else {
            (begin, next)
        };
        if !text.is_empty() {
            let to = DATA + at as usize;
            self.put(to, id);
            self.bytes[to + 8..to + 8 + text.len()].copy_from_slice(text);
            self.place = next;
        }
        let (desc, info) = (DESCS + index * DESC_SIZE, INFOS + index * INFO_SIZE);
        self.put(desc, id | if id % 2 == 0 { COMMITTED } else { FINALIZED });
        self.put(desc + 8, begin);
        self.put(desc + 16, next);
        self.put(info + 8, nanoseconds);
        self.put(info + 16, text.len() as u64 | u64::from(facility) << 16);
        self.put(RING + 24, id);
        self.id = self.id.wrapping_add(1);
        self.forget(size);
    }

    /// Moves the tail behind records whose descriptor or text was used again.
    fn forget(&mut self, size: u64) {
        let count = 1 << self.kind.count_bits;
        loop {
            let tail = self.get(RING + 32);
            let desc = DESCS + (tail as usize & (count - 1)) * DESC_SIZE;
            let lost = self.get(desc + 8) != 1 && self.get(desc + 8) + size < self.place;
            let used_again = self.get(desc) << 2 != tail << 2;
            if !lost && !used_again {
                return;
            }
            self.put(RING + 32, (tail + 1) & !(3 << 62));
        }
    }

    /// A record that is not complete: whoever writes it died.
    pub fn leave_open(&mut self) {
        self.print(0, 0, b"half a li");
        let id = self.id.wrapping_sub(1) & !(3 << 62);
        let index = (id as usize) & ((1 << self.kind.count_bits) - 1);
        self.put(DESCS + index * DESC_SIZE, id);
    }
}
