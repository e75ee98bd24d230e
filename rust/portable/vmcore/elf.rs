// SPDX-License-Identifier: GPL-2.0

//! An ELF core file of a spawn's memory: its headers, and where each byte of it is.
//!
//! The file holds the note, if there is one, and each range of memory once. The program headers
//! show a range at its addresses in the direct map, and what of it the kernel's text mapping
//! reaches there, too. Without a note nobody knows these; the addresses are the physical ones then.

use super::{
    super::range::Range,
    note::{Note, HEAD},
    space::{Space, TEXT},
    Physical,
    PAGE, //
};

/// Sizes of the structures of the ELF specification.
const EHDR: u64 = 64;
const PHDR: u64 = 56;

const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;
/// PF_R | PF_W | PF_X, as kexec says of memory.
const FLAGS: u32 = 7;
const EM_X86_64: u16 = 62;
const ET_CORE: u16 = 4;

/// What the headers are made of.
pub struct Core<'a> {
    /// By ascending address.
    ranges: &'a [Range],
    note: Option<Note<'a>>,
    /// Virtual address of the physical address 0.
    direct_map: u64,
    /// The text mapping, see [`Space::text`].
    text: (u64, u64),
}

impl<'a> Core<'a> {
    /// Describes `ranges`, with the addresses that a note's kernel has.
    pub fn new(ranges: &'a [Range], kernel: Option<(&Space<'_, impl Physical>, Note<'a>)>) -> Self {
        let known = kernel.and_then(|(space, note)| {
            let direct_map = space.direct_map(note.at)?;
            Some((direct_map, space.text(), note))
        });
        match known {
            Some((direct_map, text, note)) => Self {
                ranges,
                note: Some(note),
                direct_map,
                text,
            },
            None => Self {
                ranges,
                note: None,
                direct_map: 0,
                text: (0, 0),
            },
        }
    }

    /// The part of the text mapping that shows `range`: the virtual address, and the physical range.
    fn text_of(&self, range: &Range) -> Option<(u64, Range)> {
        let (base, size) = self.text;
        // CAST: The base may be below 0.
        let base = i128::from(base as i64);
        let start = i128::from(range.start).max(base);
        let end = i128::from(range.end()?).min(base.checked_add(i128::from(size))?);
        let part = Range {
            start: u64::try_from(start).ok()?,
            size: u64::try_from(end.checked_sub(start)?).ok()?,
        };
        let offset = u64::try_from(start.checked_sub(base)?).ok()?;
        (part.size > 0).then_some((TEXT.wrapping_add(offset), part))
    }

    /// Program headers.
    fn count(&self) -> u64 {
        let texts = self.ranges.iter().filter_map(|range| self.text_of(range));
        (self.note.iter().count() + texts.count() + self.ranges.len()) as u64
    }

    fn note_offset(&self) -> u64 {
        EHDR + self.count() * PHDR
    }

    fn note_len(&self) -> u64 {
        // The text is padded to a multiple of 4.
        self.note.map_or(0, |note| {
            (HEAD + note.text.len().next_multiple_of(4)) as u64
        })
    }

    /// Bytes of all headers and the note; the memory comes behind them.
    pub fn headers_len(&self) -> usize {
        (self.note_offset() + self.note_len()).next_multiple_of(PAGE) as usize
    }

    /// Writes the headers to `out`, which is all zero and of their length; `None` when it is not.
    pub fn write(&self, out: &mut [u8]) -> Option<()> {
        let mut offset = self.headers_len() as u64;
        if out.len() as u64 != offset {
            return None;
        }
        let mut out = Writer { out, at: 0 };
        out.put(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0")?;
        out.put(&ET_CORE.to_le_bytes())?;
        out.put(&EM_X86_64.to_le_bytes())?;
        out.put(&1_u32.to_le_bytes())?;
        for address in [0, EHDR, 0] {
            out.put(&u64::to_le_bytes(address))?;
        }
        out.put(&[0; 4])?;
        for half in [EHDR as u16, PHDR as u16, self.count() as u16, 0, 0, 0] {
            out.put(&half.to_le_bytes())?;
        }
        if self.note.is_some() {
            let note = Range {
                start: 0,
                size: self.note_len(),
            };
            out.program(PT_NOTE, self.note_offset(), 0, &note)?;
        }
        for range in self.ranges {
            if let Some((address, part)) = self.text_of(range) {
                let within = part.start.checked_sub(range.start)?;
                out.program(PT_LOAD, offset.checked_add(within)?, address, &part)?;
            }
            let address = self.direct_map.checked_add(range.start)?;
            out.program(PT_LOAD, offset, address, range)?;
            offset = offset.checked_add(range.size)?;
        }
        if let Some(note) = self.note {
            out.put(&11_u32.to_le_bytes())?;
            out.put(&(note.text.len() as u32).to_le_bytes())?;
            out.put(b"\0\0\0\0VMCOREINFO\0\0")?;
            out.put(note.text)?;
        }
        Some(())
    }
}

/// Where the byte at `offset` behind the headers is: the rest of a range of memory, from there on.
pub fn locate(ranges: &[Range], offset: u64) -> Option<Range> {
    let mut left = offset;
    for range in ranges {
        if let Some(behind) = left.checked_sub(range.size) {
            left = behind;
            continue;
        }
        return Some(Range {
            start: range.start.checked_add(left)?,
            size: range.size.checked_sub(left)?,
        });
    }
    None
}

/// Writes one thing after the other.
struct Writer<'a> {
    out: &'a mut [u8],
    at: usize,
}

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.at.checked_add(bytes.len())?;
        for (to, from) in self.out.get_mut(self.at..end)?.iter_mut().zip(bytes) {
            *to = *from;
        }
        self.at = end;
        Some(())
    }

    /// A program header; a note has no address.
    fn program(&mut self, kind: u32, offset: u64, address: u64, range: &Range) -> Option<()> {
        let flags = if kind == PT_NOTE { 0 } else { FLAGS };
        self.put(&kind.to_le_bytes())?;
        self.put(&flags.to_le_bytes())?;
        for field in [offset, address, range.start, range.size, range.size, 0] {
            self.put(&u64::to_le_bytes(field))?;
        }
        Some(())
    }
}
