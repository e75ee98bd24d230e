// SPDX-License-Identifier: GPL-2.0

//! Evidence: /dev/multikernel/NAME. See Documentation/ABI/testing/dev-multikernel.

use crate::{
    evidence::{self, Search},
    ffi::{
        file::{File, Shows},
        misc::Open,
        pages, //
    },
    instance::Instance,
    memory::Memory,
    portable::{
        range::Range,
        vmcore::{elf, note::TEXT_MAX, Physical}, //
    },
};
use core::ops::ControlFlow;
use kernel::{
    alloc::KVVec,
    new_mutex,
    prelude::*,
    sync::{Arc, ArcBorrow, Mutex}, //
};

/// An open `log`: the text as it was then.
pub(super) struct Log(KVVec<u8>);

impl Open for Log {
    type Owner = Instance;

    fn open(owner: ArcBorrow<'_, Instance>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self(owner.evidence.text()?), GFP_KERNEL)?)
    }
}

impl File for Log {
    const SHOWS: Shows = Shows::Log;

    fn size(&self) -> Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn read(&self, at: u64, to: &mut [u8]) -> Result<usize> {
        Ok(copy(&self.0, at, to))
    }
}

/// An open `vmcore`: the memory of one life.
#[pin_data]
pub(super) struct Vmcore {
    instance: Arc<Instance>,
    /// Made when it is first needed.
    #[pin]
    core: Mutex<Option<Core>>,
}

/// What the file looks like.
struct Core {
    life: u64,
    headers: KVVec<u8>,
    ranges: KVec<Range>,
}

impl Core {
    /// That of the kernel whose note is at this address, if there is one.
    fn new(memory: &Memory, note: Option<u64>, text: &mut [u8; TEXT_MAX]) -> Result<Self> {
        let mut ranges = KVec::new();
        for range in memory.ram() {
            ranges.push(range, GFP_KERNEL)?;
        }
        let kernel = note.and_then(|at| evidence::kernel_at(memory, at, text));
        let kernel = kernel.as_ref().map(|(space, note)| (space, *note));
        let core = elf::Core::new(&ranges, kernel);
        let mut headers = KVVec::from_elem(0, core.headers_len(), GFP_KERNEL)?;
        core.write(&mut headers).ok_or(EIO)?;
        Ok(Self {
            life: memory.life(),
            headers,
            ranges,
        })
    }

    fn size(&self) -> u64 {
        let memory = self.ranges.iter().map(|range| range.size);
        memory.fold(self.headers.len() as u64, u64::saturating_add)
    }
}

impl Vmcore {
    /// Looks for the kernel, piece by piece: whoever wants to change the instance gets it in between.
    ///
    /// # Errors
    ///
    /// As those of [`Vmcore::with`].
    fn look(&self) -> Result<Core> {
        let mut text = evidence::note_buffer()?;
        let mut search = Search::default();
        let mut life = None;
        loop {
            let core = self.instance.with_memory(|memory| {
                if *life.get_or_insert(memory.life()) != memory.life() {
                    return Err(ENODEV);
                }
                match search.step(memory, &mut text) {
                    ControlFlow::Break(note) => Core::new(memory, note, &mut text).map(Some),
                    ControlFlow::Continue(()) => Ok(None),
                }
            })?;
            if let Some(core) = core {
                return Ok(core);
            }
            if pages::fatal_signal_pending() {
                return Err(EINTR);
            }
        }
    }

    /// Calls `f` with the life's memory.
    ///
    /// # Errors
    ///
    /// ENODEV when the next life has begun, or the memory is gone; ENOMEM; EINTR on a signal that kills.
    fn with<R>(&self, f: impl FnOnce(&Core, &Memory) -> Result<R>) -> Result<R> {
        let mut slot = self.core.lock();
        let core = match slot.take() {
            Some(core) => core,
            None => self.look()?,
        };
        let core = slot.insert(core);
        self.instance.with_memory(|memory| {
            if core.life != memory.life() {
                return Err(ENODEV);
            }
            f(core, memory)
        })
    }
}

impl Open for Vmcore {
    type Owner = Instance;

    fn open(owner: ArcBorrow<'_, Instance>) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self { instance: owner.into(), core <- new_mutex!(None) }),
            GFP_KERNEL,
        )
    }
}

impl File for Vmcore {
    const SHOWS: Shows = Shows::Memory;

    fn size(&self) -> Result<u64> {
        self.with(|core, _| Ok(core.size()))
    }

    fn read(&self, at: u64, to: &mut [u8]) -> Result<usize> {
        self.with(|core, memory| {
            let Some(offset) = at.checked_sub(core.headers.len() as u64) else {
                return Ok(copy(&core.headers, at, to));
            };
            let Some(range) = elf::locate(&core.ranges, offset) else {
                return Ok(0);
            };
            // CAST: At most the length of `to`.
            let len = range.size.min(to.len() as u64) as usize;
            let to = to.get_mut(..len).ok_or(EINVAL)?;
            // Broken memory.
            memory.read(range.start, to).then_some(len).ok_or(EIO)
        })
    }
}

/// Copies what there is from `at` on.
fn copy(from: &[u8], at: u64, to: &mut [u8]) -> usize {
    let rest = usize::try_from(at).ok().and_then(|at| from.get(at..));
    let mut len: usize = 0;
    for (to, from) in to.iter_mut().zip(rest.unwrap_or(&[])) {
        *to = *from;
        len = len.saturating_add(1);
    }
    len
}
