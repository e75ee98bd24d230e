// SPDX-License-Identifier: GPL-2.0

//! The note VMCOREINFO, in which a kernel tells tools where its parts are.
//!
//! Linux puts it at the start of a page (`alloc_pages_exact()` in
//! `crash_save_vmcoreinfo_init()`; seen with 6.1, 6.12, 6.18 and 7.3), in the format of an ELF note.

use super::Physical;

/// Most bytes of its text: VMCOREINFO_BYTES.
pub const TEXT_MAX: usize = 4096;
/// Bytes of the header and the name, which is padded to a multiple of 4.
pub const HEAD: usize = 24;

const NAME: &[u8; 12] = b"VMCOREINFO\0\0";
/// The kernel counts the NUL.
const NAME_LEN: u32 = 11;

/// A checked copy of a note.
#[derive(Copy, Clone, Debug)]
pub struct Note<'a> {
    /// Its physical address.
    pub at: u64,
    /// Lines of printable ASCII, "KEY=value" or "KIND(name)=value".
    pub text: &'a [u8],
}

impl<'a> Note<'a> {
    /// Copies the note at the page start `at` to `text`, if there is one.
    pub fn read(memory: &impl Physical, at: u64, text: &'a mut [u8; TEXT_MAX]) -> Option<Note<'a>> {
        let mut head = [0; HEAD];
        if !memory.read(at, &mut head) {
            return None;
        }
        let len = usize::try_from(text_len(&head)?).ok()?;
        let text = text.get_mut(..len)?;
        if !memory.read(at.checked_add(HEAD as u64)?, text) {
            return None;
        }
        let printable = |b: &u8| matches!(*b, b'\n' | b' '..=b'~');
        (text.starts_with(b"OSRELEASE=") && text.iter().all(printable)).then_some(Self { at, text })
    }

    /// The value of the first line that begins with `kind`, `name` in brackets, and '='.
    fn value(&self, kind: &str, name: &str) -> Option<&'a str> {
        let value = self.text.split(|b| *b == b'\n').find_map(|line| {
            line.strip_prefix(kind.as_bytes())?
                .strip_prefix(b"(")?
                .strip_prefix(name.as_bytes())?
                .strip_prefix(b")=")
        })?;
        core::str::from_utf8(value).ok()
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Option<u64> {
        u64::from_str_radix(self.value("SYMBOL", name)?, 16).ok()
    }

    /// A number, as the bits of 64.
    pub fn number(&self, name: &str) -> Option<u64> {
        let number: i64 = self.value("NUMBER", name)?.parse().ok()?;
        // CAST: For its bits.
        Some(number as u64)
    }

    /// The offset of a member, as "struct.member".
    pub fn offset(&self, name: &str) -> Option<u64> {
        self.value("OFFSET", name)?.parse().ok()
    }

    /// The size of a structure.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.value("SIZE", name)?.parse().ok()
    }
}

/// Whether a page begins as a note does.
pub fn begins(memory: &impl Physical, at: u64) -> bool {
    let mut head = [0; HEAD];
    memory.read(at, &mut head) && text_len(&head).is_some()
}

/// The length of the text behind a header, if it is that of a note.
fn text_len(head: &[u8]) -> Option<u32> {
    let field = |at: usize| {
        let bytes = head.get(at..)?.first_chunk()?;
        Some(u32::from_le_bytes(*bytes))
    };
    let is_note = field(0)? == NAME_LEN && field(8)? == 0 && head.get(12..HEAD)? == NAME;
    field(4).filter(|_| is_note)
}
