// SPDX-License-Identifier: GPL-2.0

//! The watch over a running instance: the mailbox of its EFI runtime, and its ACPI reset and sleep
//! registers.
//!
//! A kernel with EFI calls ResetSystem() for all of its ends, and then halts. One without writes its
//! reset register, and waits 15 ms before it tries the keyboard controller, which resets the whole
//! machine (`acpi_reboot()`, `native_machine_emergency_restart()` in the kernel). So a
//! hard-interrupt timer looks every 5 ms and stops the CPUs itself.

use crate::{
    apic::ApicId,
    ffi::pages::Register,
    instance::Instance,
    portable::{acpi, efi}, //
};
use kernel::{
    impl_has_hr_timer,
    prelude::*,
    sync::{
        atomic::{
            ordering::{Acquire, Release},
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
            RelativeHardMode, //
        },
        Delta,
        Monotonic, //
    },
};

/// How often the registers are read: three looks within the 15 ms.
const PERIOD: Delta = Delta::from_millis(5);

/// What a spawn has asked for through its registers.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// A reboot, or a panic with `panic=-1`.
    Reset = 1,
    /// A poweroff.
    Poweroff = 2,
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

/// The timer and what it looks at.
#[pin_data]
pub(crate) struct Watch {
    registers: Registers,
    cpus: KVec<ApicId>,
    instance: Arc<Instance>,
    /// 0, or the [`Event`] seen.
    event: Atomic<u32>,
    #[pin]
    timer: HrTimer<Self>,
}

impl Watch {
    /// Prepares the watch; the registers stay mapped while it runs.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new(
        registers: Registers,
        cpus: KVec<ApicId>,
        instance: Arc<Instance>,
    ) -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                registers,
                cpus,
                instance,
                event: Atomic::new(0),
                timer <- HrTimer::new(),
            }),
            GFP_KERNEL,
        )
    }

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
        (self.registers.sleep.read() & acpi::SLEEP_ENABLE != 0).then_some(Event::Poweroff)
    }
}

/// A running watch; dropping it waits for the timer.
pub(crate) struct Handle {
    _timer: ArcHrTimerHandle<Watch>,
    watch: Arc<Watch>,
}

impl Handle {
    /// What was seen, if anything.
    pub(crate) fn event(&self) -> Option<Event> {
        match self.watch.event.load(Acquire) {
            0 => None,
            2 => Some(Event::Poweroff),
            _ => Some(Event::Reset),
        }
    }
}

/// Starts the timer.
pub(crate) fn start(watch: Arc<Watch>) -> Handle {
    Handle {
        _timer: watch.clone().start(PERIOD),
        watch,
    }
}

impl HrTimerCallback for Watch {
    type Pointer<'a> = Arc<Self>;

    fn run(
        this: ArcBorrow<'_, Self>,
        mut context: HrTimerCallbackContext<'_, Self>,
    ) -> HrTimerRestart {
        let Some(event) = this.look() else {
            context.forward_now(PERIOD);
            return HrTimerRestart::Restart;
        };
        for cpu in &this.cpus {
            cpu.send_init();
        }
        this.event.store(event as u32, Release);
        this.instance.seen_stopped();
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Watch {
        mode: RelativeHardMode<Monotonic>, field: self.timer
    }
}
