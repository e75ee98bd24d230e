// SPDX-License-Identifier: GPL-2.0

//! An alarm for an instance that starts again later, by itself.

use crate::instance::Instance;
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

/// The clock.
#[pin_data]
struct Clock {
    instance: Arc<Instance>,
    rang: Atomic<u32>,
    #[pin]
    timer: HrTimer<Self>,
}

/// An alarm that is set; dropping it switches it off, and waits for it.
pub(crate) struct Alarm {
    _timer: ArcHrTimerHandle<Clock>,
    clock: Arc<Clock>,
}

impl Alarm {
    /// Wakes the instance in `ms` milliseconds.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn set(instance: Arc<Instance>, ms: u32) -> Result<Self> {
        let clock = Arc::pin_init(
            pin_init!(Clock {
                instance,
                rang: Atomic::new(0),
                timer <- HrTimer::new(),
            }),
            GFP_KERNEL,
        )?;
        Ok(Self {
            _timer: clock.clone().start(Delta::from_millis(ms.into())),
            clock,
        })
    }

    /// Whether the time has come.
    pub(crate) fn rang(&self) -> bool {
        self.clock.rang.load(Acquire) != 0
    }
}

impl HrTimerCallback for Clock {
    type Pointer<'a> = Arc<Self>;

    fn run(this: ArcBorrow<'_, Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        this.rang.store(1, Release);
        this.instance.wake();
        HrTimerRestart::NoRestart
    }
}

impl_has_hr_timer! {
    impl HasHrTimer<Self> for Clock {
        mode: RelativeHardMode<Monotonic>, field: self.timer
    }
}
