// SPDX-License-Identifier: GPL-2.0

//! The phases of an instance. Each owns what it needs, and a transition consumes the phase it
//! leaves: what runs has no `start`, and what is not loaded has nothing to run.

use crate::{
    alarm::Alarm,
    apic::ApicId,
    channel,
    cpu::{Claim, Lease},
    ffi::{configfs::Dependency, x86},
    image::{report, Image, Size},
    memory::Memory,
    portable::{
        cpu_list::CpuSet,
        firmware::{self, Machine},
        layout::Layout,
        name::Name,
        range::Range,
        stats::Stats, //
    },
    trampoline::{Target, Trampoline},
    watch::{self, Event, Watch}, //
};
use kernel::prelude::*;

/// How often CPUs are parked that wake one another meanwhile.
const ATTEMPTS: u32 = 5;

/// The present phase.
pub(super) enum Phase {
    /// No image; perhaps memory.
    Empty(Option<Memory>),
    /// An image, all CPUs claimed and parked or in the host's idle loop. Loaded, or dead.
    Ready(KBox<Ready>),
    /// CPUs run foreign code.
    Running(Running),
    /// Some CPU gave no proof that it stopped: it and the memory stay locked away.
    Quarantined(Running),
    /// Only under the lock, in the middle of a transition.
    Moving,
}

/// Everything that a start needs. It is passed on from phase to phase, and large for a stack.
pub(super) struct Ready {
    pub(super) image: Image,
    pub(super) boot_cpu: u32,
    pub(super) lease: Lease,
    pub(super) memory: Memory,
    /// Set when it starts again by itself.
    pub(super) alarm: Option<Alarm>,
    /// Keeps the configuration directory in place.
    pub(super) _hold: Dependency,
}

/// What became of a burial.
pub(super) enum Buried {
    /// All CPUs are parked.
    Ready(KBox<Ready>),
    /// The last CPUs of a quarantine are parked; others were given back before.
    Free(Memory),
    /// These CPUs gave no proof.
    Unproven(Running, CpuSet),
}

/// A started instance.
pub(super) struct Running {
    /// First: its timers look at the memory, and so does the channel.
    watch: Option<watch::Running>,
    channel: Option<channel::Open>,
    ready: KBox<Ready>,
}

impl Phase {
    /// The memory, if there is any.
    pub(super) fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Empty(memory) => memory.as_ref(),
            Self::Ready(ready) => Some(&ready.memory),
            Self::Running(running) | Self::Quarantined(running) => Some(&running.ready.memory),
            Self::Moving => None,
        }
    }

    /// Whether an image of this size could be loaded now.
    ///
    /// # Errors
    ///
    /// EBUSY when quarantined, E2BIG when it is too large.
    pub(super) fn room_for(&self, name: &Name, size: &Size) -> Result {
        let memory = match self {
            Self::Empty(memory) => memory.as_ref(),
            Self::Ready(ready) => Some(&ready.memory),
            Self::Running(running) => Some(&running.ready.memory),
            Self::Quarantined(_) | Self::Moving => {
                pr_err!("{name}: quarantined; write kill to its state to try again\n");
                return Err(EBUSY);
            }
        };
        let Some(memory) = memory else {
            pr_err!("{name}: memory: none set aside; write a size to it first\n");
            return Err(E2BIG);
        };
        fit(name, size, memory).map(|_| ())
    }
}

/// Where an image of this size would go in `memory`.
fn fit(name: &Name, size: &Size, memory: &Memory) -> Result<Layout> {
    Layout::new(&memory.map(), &size.header, &size.kernel, size.initrd)
        .map_err(|fault| report(name, fault))
}

impl Ready {
    /// Writes the image to the instance's memory and starts its boot CPU there; `turn` chooses the
    /// CPUs that watch, and `prepare` makes the watch, and what opens the channel.
    ///
    /// # Errors
    ///
    /// What is left to bury, or `Ok` as it was, and EBUSY when a CPU has come online, E2BIG when the
    /// image does not fit, ENOMEM, ETIMEDOUT when the CPU never reached the trampoline.
    pub(super) fn start<Open: FnOnce() -> Result<channel::Open>>(
        mut ready: KBox<Self>,
        name: &Name,
        trampoline: &Trampoline,
        turn: u32,
        prepare: impl FnOnce(&Self, &Layout) -> Result<(Watch, Open)>,
    ) -> Result<Running, (Result<KBox<Self>, Running>, Error)> {
        ready.alarm = None;
        let (boot, target, watch, channel) = match ready.place(name, prepare) {
            Ok(placed) => placed,
            Err(e) => return Err((Ok(ready), e)),
        };
        ready.lease.mark_running();
        let running = Running {
            watch: Some(watch.start(turn)),
            channel: Some(channel),
            ready,
        };
        let Err(e) = trampoline.launch(boot, target) else {
            return Ok(running);
        };
        pr_err!("{name}: the boot CPU did not reach the trampoline within a second\n");
        Err((Err(running), e))
    }

    /// Fills the instance's memory for a start. What can fail comes before that: as long as nothing
    /// has begun, the memory still tells of the last life.
    fn place<Open: FnOnce() -> Result<channel::Open>>(
        &mut self,
        name: &Name,
        prepare: impl FnOnce(&Self, &Layout) -> Result<(Watch, Open)>,
    ) -> Result<(ApicId, Target, Watch, channel::Open)> {
        if let Some(claim) = self
            .lease
            .claims()
            .iter()
            .find(|c| x86::cpu_online(c.cpu()))
        {
            pr_err!(
                "{name}: CPU {} is online; take it offline first\n",
                claim.cpu()
            );
            return Err(EBUSY);
        }
        let layout = fit(name, &self.image.size(), &self.memory)?;
        let x2apic = x86::x2apic();
        let unwatched = |e: Error| {
            pr_err!("{name}: start: it could not be watched ({e:?}); try again\n");
            e
        };
        let Some(phantom) = firmware::phantom(x86::apic_id_in_use, x2apic) else {
            pr_err!("{name}: start: there is no free APIC id, of which a spawn needs one\n");
            return Err(ERANGE);
        };
        let claims = self.lease.claims().len();
        let mut apic_ids =
            KVec::with_capacity(claims, GFP_KERNEL).map_err(|e| unwatched(e.into()))?;
        // The boot CPU's first.
        for turn in [true, false] {
            for claim in self.lease.claims() {
                if (claim.cpu() == self.boot_cpu) == turn {
                    apic_ids.push(claim.apic().as_u32(), GFP_KERNEL)?;
                }
            }
        }
        let is_boot = |claim: &&Claim| claim.cpu() == self.boot_cpu;
        let boot = self
            .lease
            .claims()
            .iter()
            .find(is_boot)
            .ok_or(EINVAL)?
            .apic();
        let (watch, open) = prepare(self, &layout).map_err(unwatched)?;

        self.memory.begin_life();
        let (map, firmware, low) = self.memory.firmware_mut(layout.firmware)?;
        let machine = Machine {
            memory: map,
            apic_ids: &apic_ids,
            x2apic,
            tsc_khz: x86::tsc_khz(),
        };
        firmware::build(
            &machine,
            phantom,
            &layout,
            &self.image.header,
            self.image.cmdline(),
            self.image.initrd.len() as u64,
            firmware,
            low,
        )
        .map_err(|fault| report(name, fault))?;
        // A kernel takes it that what follows its bytes is zero; there may be those of its last run.
        let kernel = Range {
            start: layout.kernel.start,
            size: self.image.needs.memsz,
        };
        self.memory.fill(kernel, &self.image.kernel)?;
        if let Some(initrd) = layout.initrd {
            self.memory.fill(initrd, &self.image.initrd)?;
        }
        let target = Target {
            cr3: u32::try_from(self.memory.map().low_pages.start)?,
            entry: layout.entry,
            rsi: layout.boot_params,
        };
        // Last: it writes to the firmware area. It takes memory for the first life only.
        let channel = open().map_err(unwatched)?;
        Ok((boot, target, watch, channel))
    }
}

fn send_inits(lease: &Lease, stats: &mut Stats) {
    for claim in lease.claims() {
        claim.apic().send_init();
        stats.inits.count();
    }
}

impl Running {
    /// What the watch has seen of this run.
    pub(super) fn event(&self) -> Option<Event> {
        self.watch.as_ref().and_then(|watch| watch.event())
    }

    /// See [`watch::Running::spread`].
    pub(super) fn spread(&mut self) {
        if let Some(watch) = &mut self.watch {
            watch.spread();
        }
    }

    /// Replaces the image for the next start.
    pub(super) fn replace_image(&mut self, image: Image, boot_cpu: u32) {
        self.ready.image = image;
        self.ready.boot_cpu = boot_cpu;
    }

    /// Stops every CPU and proves it: INIT to all twice, since a CPU that still runs may wake a
    /// sibling after the first, then each into the parking loop, which answers; there they are
    /// called together, and all of it is done again when one of them has been woken meanwhile.
    /// CPUs that proved to be parked, and answered, are given back when others gave no proof.
    pub(super) fn bury(
        mut self,
        name: &Name,
        trampoline: &Trampoline,
        stats: &mut Stats,
    ) -> Buried {
        // At once: nobody watches from here on, and what the channel takes depends on the peer.
        send_inits(&self.ready.lease, stats);
        self.watch = None;
        self.channel = None;
        let lease = &mut self.ready.lease;
        let mut unproven = CpuSet::default();
        for _ in 0..ATTEMPTS {
            unproven = CpuSet::default();
            for _ in 0..2 {
                send_inits(lease, stats);
            }
            let together = trampoline.park(lease.claims(), Claim::apic, |claim, proof| {
                if proof.is_ok() {
                    stats.proofs.count();
                } else {
                    stats.missing_proofs.count();
                    unproven.insert(claim.cpu());
                    pr_err!(
                        "{name}: CPU {} gives no proof that it stopped\n",
                        claim.cpu()
                    );
                }
            });
            if together {
                break;
            }
            // Any of them may have been woken since its proof, by one that gave none for example.
            let hopeless = !unproven.is_empty();
            stats.recalls.count();
            for claim in lease.claims() {
                unproven.insert(claim.cpu());
            }
            if hopeless {
                break;
            }
        }
        lease.parked_but(&unproven);
        if !unproven.is_empty() {
            lease.keep(&unproven);
            return Buried::Unproven(self, unproven);
        }
        if lease.is_whole() {
            Buried::Ready(self.ready)
        } else {
            Buried::Free(KBox::into_inner(self.ready).memory)
        }
    }
}
