// SPDX-License-Identifier: GPL-2.0

//! The watch over a running instance: the mailbox of its EFI runtime, its ACPI reset and sleep
//! registers, and what comes through the channel without a doorbell.
//!
//! A kernel with EFI calls ResetSystem() for all of its ends, and then halts. One without writes its
//! reset register, and waits 15 ms before it tries the keyboard controller, which resets the whole
//! machine (`acpi_reboot()`, `native_machine_emergency_restart()` in the kernel). So hard-interrupt
//! timers on two of the host's CPUs look every 5 ms each, in turn, and the first that sees something
//! stops the spawn's CPUs itself: no thread has to run, and one CPU of the host may be late.

use crate::{
    apic::ApicId,
    channel::Death,
    ffi::{pages::Register, shared::SharedMemory, x86},
    instance::Instance,
    portable::{acpi, efi}, //
};
use kernel::{
    cpu::CpuId,
    impl_has_hr_timer,
    prelude::*,
    sync::{
        atomic::{
            ordering::{Acquire, Full, Relaxed},
            Atomic, //
        },
        Arc,
        ArcBorrow, //
    },
    time::{
        hrtimer::{
            ArcHrTimerHandle,
            HrTimer,
            HrTimerCallback,
            HrTimerCallbackContext,
            HrTimerPointer,
            HrTimerRestart,
            RelativePinnedHardMode, //
        },
        Delta,
        Monotonic, //
    },
};

/// How often each timer reads the registers: three looks within the 15 ms.
const PERIOD: Delta = Delta::from_millis(5);
/// When the first and the second timer look first.
const FIRST_LOOK: [Delta; 2] = [PERIOD, Delta::from_micros(7500)];
/// Looks of the second one on the CPU of the first after which another one is tried: a second's.
const CROWDED: u32 = 200;

/// What a spawn has asked for through its registers.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A reboot, or a panic with `panic=-1`.
    Reset = 1,
    /// A poweroff.
    Poweroff = 2,
    /// A CPU gives no beats any more.
    Silence = 3,
    /// It says that it has panicked.
    Panic = 4,
}

/// What a spawn kernel can write to be heard.
pub(crate) struct Registers {
    /// The mailbox of the EFI runtime.
    pub(crate) mailbox: Register,
    /// The ACPI reset register.
    pub(crate) reset: Register,
    /// The ACPI sleep control register.
    pub(crate) sleep: Register,
}

/// What is looked at.
struct Sight {
    registers: Registers,
    cpus: KVec<ApicId>,
    instance: Arc<Instance>,
    shared: SharedMemory,
    /// 0, or the [`Event`] seen.
    event: Atomic<u32>,
    /// The CPU of each timer's last look.
    places: [Atomic<u32>; 2],
    /// Looks of the second one there.
    crowded: Atomic<u32>,
}

/// A timer that looks.
#[pin_data]
struct Eye {
    sight: Arc<Sight>,
    /// Which one of the two.
    number: usize,
    #[pin]
    timer: HrTimer<Self>,
}

impl Sight {
    /// Reads the registers; what they hold is the spawn's word, so any value counts.
    fn look(&self) -> Option<Event> {
        let mailbox = self.registers.mailbox.read();
        if mailbox & efi::RESET_CALLED != 0 {
            return Some(match mailbox & !efi::RESET_CALLED {
                efi::RESET_SHUTDOWN => Event::Poweroff,
                _ => Event::Reset,
            });
        }
        if self.registers.reset.read() != 0 {
            return Some(Event::Reset);
        }
        if self.registers.sleep.read() & acpi::SLEEP_ENABLE != 0 {
            return Some(Event::Poweroff);
        }
        match self.instance.channel.death()? {
            Death::Panic => Some(Event::Panic),
            Death::Silence(_) => Some(Event::Silence),
        }
    }
}

impl Sight {
    /// Notes where this timer is. Whether it is the second one, and has been with the first for so long
    /// that it is to be moved, now, so that they still look in turn: a timer goes on elsewhere when its CPU
    /// goes offline.
    fn is_crowded(&self, number: usize, cpu: u32) -> bool {
        if let Some(place) = self.places.get(number) {
            place.store(cpu, Relaxed);
        }
        let [first, _] = &self.places;
        number == 1
            && first.load(Relaxed) == cpu
            && self.crowded.fetch_add(1, Relaxed) % CROWDED == CROWDED - 1
    }
}

/// A watch that is ready to run.
pub(crate) struct Watch {
    sight: Arc<Sight>,
    eyes: [Arc<Eye>; 2],
}

impl Watch {
    /// Prepares the watch; registers and shared memory stay mapped while it runs.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(
        registers: Registers,
        cpus: KVec<ApicId>,
        instance: Arc<Instance>,
        shared: SharedMemory,
    ) -> Result<Self> {
        let sight = Arc::new(
            Sight {
                registers,
                cpus,
                instance,
                shared,
                event: Atomic::new(0),
                places: [Atomic::new(u32::MAX), Atomic::new(u32::MAX)],
                crowded: Atomic::new(0),
            },
            GFP_KERNEL,
        )?;
        let eye = |number| {
            let sight = sight.clone();
            let eye = pin_init!(Eye { sight, number, timer <- HrTimer::new() });
            Arc::pin_init(eye, GFP_KERNEL)
        };
        Ok(Self {
            eyes: [eye(0)?, eye(1)?],
            sight,
        })
    }

    /// Starts a timer on each of two CPUs of the host, different ones for `turn`s that follow one
    /// another. Where the host has only one, both run there; and where one of the two goes offline,
    /// its timer moves, to be moved again by [`Running::spread`].
    pub(crate) fn start(self, turn: u32) -> Running {
        let mut timers = [None, None];
        let looks = self.eyes.iter().zip(FIRST_LOOK);
        for ((number, timer), (eye, first)) in (0..).zip(&mut timers).zip(looks) {
            let cpu = x86::nth_online(turn.wrapping_add(number));
            x86::run_on(cpu, || *timer = Some(eye.clone().start(first)));
        }
        Running {
            timers,
            watch: self,
            turn,
        }
    }
}

/// A running watch; dropping it waits for the timers.
pub(crate) struct Running {
    timers: [Option<ArcHrTimerHandle<Eye>>; 2],
    watch: Watch,
    turn: u32,
}

impl Running {
    /// What was seen, if anything.
    pub(crate) fn event(&self) -> Option<Event> {
        match self.watch.sight.event.load(Acquire) {
            0 => None,
            2 => Some(Event::Poweroff),
            3 => Some(Event::Silence),
            4 => Some(Event::Panic),
            _ => Some(Event::Reset),
        }
    }

    /// Moves the second timer away from the CPU of the first, if it is there and the host has another
    /// one. The first goes on looking meanwhile.
    pub(crate) fn spread(&mut self) {
        let [first, second] = &self.watch.sight.places;
        let crowded = first.load(Relaxed);
        if second.load(Relaxed) != crowded {
            return;
        }
        let mut places = (0..2).map(|next| x86::nth_online(self.turn.wrapping_add(next)));
        let free = places.find(|&cpu| cpu != crowded);
        let ([_, timer], [_, eye]) = (&mut self.timers, &self.watch.eyes);
        if let Some(cpu) = free {
            // Waits for a look that is going on.
            *timer = None;
            x86::run_on(cpu, || *timer = Some(eye.clone().start(PERIOD)));
        }
    }
}

impl HrTimerCallback for Eye {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let sight = &this.sight;
        let Some(event) = sight.look() else {
            sight.instance.channel.tick(&sight.shared);
            if sight.is_crowded(this.number, CpuId::current().as_u32()) {
                sight.instance.wake();
            }
            context.forward_now(PERIOD);
            return HrTimerRestart::Restart;
        };
        // The other timer may have seen it at the same moment.
        if sight.event.cmpxchg(0, event as u32, Full).is_ok() {
            for cpu in &sight.cpus {
                cpu.send_init();
            }
            sight.instance.wake();
        }
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Eye {
        mode: RelativePinnedHardMode<Monotonic>, field: self.timer
    }
}
