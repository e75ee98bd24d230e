// SPDX-License-Identifier: GPL-2.0

//! What a dead spawn kernel leaves behind: its log, with the line of its panic.
//!
//! The memory itself stays, too, until the next start; the log outlives it.

use crate::{
    ffi::pages,
    memory::Memory,
    portable::{
        line::Line,
        table::{Reason, State},
        vmcore::{
            log,
            note::{self, Note},
            panic_line::PanicLine,
            space::Space, //
        },
    },
};
use core::ops::ControlFlow;
use kernel::{
    alloc::KVVec,
    fmt::Write,
    new_mutex,
    prelude::*,
    str::Formatter,
    sync::Mutex, //
};

/// Most bytes kept of a log.
const LOG_MAX: usize = 256 << 10;
/// How many logs are kept.
const LIVES_MAX: usize = 4;
/// Most notes looked at: more are there only to waste the host's time, of which each may take 40 us.
const NOTES_MAX: usize = 1 << 14;
/// Most notes looked at in one step.
const NOTES_IN_A_STEP: usize = 1 << 10;
/// Room for the line before each log.
const HEADER_MAX: usize = 160;

/// How far the search is for the note of the kernel that some memory is of.
#[derive(Default)]
pub(crate) struct Search {
    piece: usize,
    /// Where it goes on in that, if not at the start.
    from: u64,
    notes: usize,
}

impl Search {
    /// Looks through the next piece, or a part of it where many notes are. Breaks off with the note's
    /// address, or when there is none.
    pub(crate) fn step(
        &mut self,
        memory: &Memory,
        text: &mut [u8; note::TEXT_MAX],
    ) -> ControlFlow<Option<u64>> {
        let mut is_it = false;
        let mut notes = 0usize;
        let found = memory.find_note(self.piece, self.from, |at| {
            notes = notes.saturating_add(1);
            is_it = kernel_at(memory, at, text).is_some();
            is_it || notes >= NOTES_IN_A_STEP
        });
        self.notes = self.notes.saturating_add(notes);
        match found {
            Some(_) if is_it => return ControlFlow::Break(found),
            Some(at) => self.from = at.saturating_add(1),
            None => {
                self.piece = self.piece.saturating_add(1);
                self.from = 0;
            }
        }
        if self.notes >= NOTES_MAX || self.piece >= memory.pieces() {
            return ControlFlow::Break(None);
        }
        ControlFlow::Continue(())
    }
}

/// The note at this address, and the addresses of its kernel.
pub(crate) fn kernel_at<'m, 't>(
    memory: &'m Memory,
    at: u64,
    text: &'t mut [u8; note::TEXT_MAX],
) -> Option<(Space<'m, Memory>, Note<'t>)> {
    let note = Note::read(memory, at, text)?;
    Some((Space::new(memory, &note)?, note))
}

/// Finds the note of the kernel that this memory is of, and its addresses.
fn kernel_of<'m, 't>(
    memory: &'m Memory,
    text: &'t mut [u8; note::TEXT_MAX],
) -> Option<(Space<'m, Memory>, Note<'t>)> {
    let mut search = Search::default();
    loop {
        if let ControlFlow::Break(at) = search.step(memory, text) {
            return kernel_at(memory, at?, text);
        }
    }
}

/// A buffer for the text of a note, larger than a stack likes.
pub(crate) fn note_buffer() -> Result<KBox<[u8; note::TEXT_MAX]>> {
    KBox::init(pin_init::init_zeroed(), GFP_KERNEL)
}

/// What was found in the memory of a dead spawn.
#[derive(Default)]
pub(crate) struct Findings {
    text: KVVec<u8>,
    panic: Option<PanicLine>,
}

impl Findings {
    /// Looks for the log. There is none of a kernel that died before it had made its note, or that
    /// has overwritten it.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn of(memory: &Memory) -> Result<Self> {
        let mut buffer = note_buffer()?;
        let mut text = KVVec::from_elem(0, LOG_MAX, GFP_KERNEL)?;
        let found = kernel_of(memory, &mut buffer)
            .and_then(|(space, note)| {
                log::read(&space, &note, &mut text, || {
                    pages::cond_resched();
                })
            })
            .unwrap_or_default();
        // Most logs are shorter.
        let mut exact = KVVec::with_capacity(found.len, GFP_KERNEL)?;
        exact.extend_from_slice(text.get(..found.len).unwrap_or(&[]), GFP_KERNEL)?;
        Ok(Self {
            text: exact,
            panic: found.panic,
        })
    }

    /// What is known now of a life that seemed to have ended for `reason`, and its last words: to
    /// ask for a reset is how a kernel ends that panics, too.
    pub(crate) fn refine(&self, reason: Reason) -> (Reason, Line) {
        if reason == Reason::Poweroff {
            return (reason, Line::default());
        }
        let line = self.panic.map_or(Line::default(), |panic| panic.0);
        let reason = match (reason, &self.panic) {
            (Reason::Reset | Reason::Panic, Some(panic)) if panic.is_lockup() => Reason::Lockup,
            (Reason::Reset, Some(_)) => Reason::Panic,
            (Reason::Reset, None) if !self.text.is_empty() => Reason::Reboot,
            _ => reason,
        };
        (reason, line)
    }
}

/// The log of one life.
struct Kept {
    life: u64,
    state: State,
    reason: Reason,
    text: KVVec<u8>,
}

/// The logs of an instance's last lives.
#[pin_data]
pub(crate) struct Evidence {
    #[pin]
    kept: Mutex<KVec<Kept>>,
}

impl Evidence {
    /// None yet.
    pub(crate) fn new() -> impl PinInit<Self> {
        pin_init!(Self { kept <- new_mutex!(KVec::new()) })
    }

    /// Keeps the log of a life that ended in this state for this reason. The oldest gives way.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn keep(&self, life: u64, state: State, reason: Reason, found: Findings) -> Result {
        let mut kept = self.kept.lock();
        if kept.len() >= LIVES_MAX {
            let _oldest = kept.remove(0);
        }
        let text = found.text;
        kept.push(
            Kept {
                life,
                state,
                reason,
                text,
            },
            GFP_KERNEL,
        )?;
        Ok(())
    }

    /// All kept logs, oldest first, each below a line that says whose it is.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn text(&self) -> Result<KVVec<u8>> {
        let kept = self.kept.lock();
        let mut all = KVVec::new();
        for log in kept.iter() {
            let mut header = [0; HEADER_MAX];
            let mut out = Formatter::new(&mut header);
            let Kept {
                life,
                state,
                reason,
                text,
            } = log;
            writeln!(
                out,
                "=== life {life}: {state}, reason {reason}, {} bytes",
                text.len()
            )?;
            let len = out.bytes_written();
            all.extend_from_slice(header.get(..len).unwrap_or(&[]), GFP_KERNEL)?;
            all.extend_from_slice(text, GFP_KERNEL)?;
        }
        Ok(all)
    }
}
