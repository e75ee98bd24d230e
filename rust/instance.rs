// SPDX-License-Identifier: GPL-2.0

//! An instance: a name, CPUs, memory, an image, a state. The only place where parts meet.

mod life;
pub(crate) mod registry;

use crate::{
    apic::ApicId,
    cpu::Lease,
    evidence::{Evidence, Findings},
    ffi::{class, configfs::Dependency, pages, work::OwnedQueue, x86},
    image::{report, Image, Size},
    memory::Memory,
    portable::{
        cpu_list::CpuSet,
        name::Name,
        size,
        table::{Reason, Release, Row, State},
        vmcore::panic_line::PanicLine, //
    },
    trampoline::Trampoline,
    watch::{Event, Registers, Watch}, //
};
use core::fmt;
use kernel::{
    impl_has_work,
    new_mutex,
    new_spinlock,
    new_work,
    prelude::*,
    sync::{
        atomic::{
            ordering::Acquire,
            Atomic, //
        },
        Arc,
        Mutex,
        SpinLock, //
    },
    time::{Instant, Monotonic},
    workqueue::{Work, WorkItem}, //
};
use life::{Phase, Ready};

/// What all instances share.
#[pin_data]
pub(crate) struct Host {
    #[pin]
    trampoline: Trampoline,
    queue: OwnedQueue,
    /// 1 from when the host goes down: nothing starts any more.
    down: Atomic<u32>,
}

impl Host {
    /// Takes the low pages and makes the work queue.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let trampoline = Trampoline::new()?;
        let queue = OwnedQueue::new(c"multikernel")?;
        Arc::pin_init(
            try_pin_init!(Self { trampoline <- trampoline, queue, down: Atomic::new(0) }),
            GFP_KERNEL,
        )
    }
}

/// One instance.
#[pin_data]
pub(crate) struct Instance {
    id: u32,
    name: Name,
    host: Arc<Host>,
    /// Configuration and life; held through a whole transition.
    #[pin]
    life: Mutex<Life>,
    /// What readers see; never held for long.
    #[pin]
    view: SpinLock<View>,
    #[pin]
    pub(crate) device: class::Slot,
    #[pin]
    pub(crate) evidence: Evidence,
    #[pin]
    work: Work<Self>,
}

struct Life {
    cpus: CpuSet,
    phase: Phase,
}

struct View {
    state: State,
    reason: Reason,
    /// The line of the panic that it ended with, or empty.
    panic: PanicLine,
    cpus: CpuSet,
    memory: u64,
    release: Release,
    since: Instant<Monotonic>,
    starts: u64,
    stops: u64,
}

/// Counters of an instance, one "key value" line each.
pub(crate) struct Stats {
    starts: u64,
    stops: u64,
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "starts {}\nstops {}", self.starts, self.stops)
    }
}

/// A word, and the line of a panic if there was one.
pub(crate) struct Why {
    reason: Reason,
    panic: PanicLine,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.panic.as_str() {
            "" => write!(f, "{}", self.reason),
            line => write!(f, "{} {line}", self.reason),
        }
    }
}

impl Instance {
    fn new(id: u32, name: Name, host: Arc<Host>) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                name,
                host,
                life <- new_mutex!(Life { cpus: CpuSet::default(), phase: Phase::Empty(None) }),
                view <- new_spinlock!(View {
                    state: State::Empty,
                    reason: Reason::None,
                    panic: PanicLine::default(),
                    cpus: CpuSet::default(),
                    memory: 0,
                    release: Release::default(),
                    since: Instant::now(),
                    starts: 0,
                    stops: 0,
                }),
                device <- class::Slot::new(),
                evidence <- Evidence::new(),
                work <- new_work!("Instance::work"),
            }),
            GFP_KERNEL,
        )
    }

    /// The name, as configured.
    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    /// The CPUs, as configured.
    pub(crate) fn cpus(&self) -> CpuSet {
        self.view.lock().cpus
    }

    /// Bytes of memory set aside.
    pub(crate) fn memory(&self) -> u64 {
        self.view.lock().memory
    }

    /// One line of /proc/multikernel.
    pub(crate) fn row(&self) -> Row {
        let view = self.view.lock();
        Row {
            id: self.id,
            name: self.name,
            state: view.state,
            cpus: view.cpus,
            memory: view.memory,
            release: view.release,
            age_ms: u64::try_from(view.since.elapsed().as_millis()).unwrap_or(0),
            starts: view.starts,
            reason: view.reason,
        }
    }

    /// Why it is in its state.
    pub(crate) fn reason(&self) -> Why {
        let view = self.view.lock();
        Why {
            reason: view.reason,
            panic: view.panic,
        }
    }

    /// Calls `f` with its memory, which keeps what it has meanwhile.
    ///
    /// # Errors
    ///
    /// ENODEV when it has none.
    pub(crate) fn with_memory<R>(&self, f: impl FnOnce(&Memory) -> Result<R>) -> Result<R> {
        let life = self.life.lock();
        life.phase.memory().ok_or(ENODEV).and_then(f)
    }

    /// The counters.
    pub(crate) fn stats(&self) -> Stats {
        let view = self.view.lock();
        Stats {
            starts: view.starts,
            stops: view.stops,
        }
    }

    fn enter(&self, state: State, reason: Reason) {
        self.enter_with(state, reason, |_| {});
    }

    /// Enters a state and changes what goes with it, so that readers see both or neither.
    fn enter_with(&self, state: State, reason: Reason, change: impl FnOnce(&mut View)) {
        {
            let mut view = self.view.lock();
            view.panic = PanicLine::default();
            change(&mut view);
            view.state = state;
            view.reason = reason;
            view.since = Instant::now();
            match state {
                State::Running => view.starts = view.starts.saturating_add(1),
                State::Stopped => view.stops = view.stops.saturating_add(1),
                _ => {}
            }
        }
        self.device.changed(state.as_str());
        pr_info!("{}: {state}, reason {reason}\n", self.name);
    }

    /// Sets the CPUs from a list as "2-3,5".
    ///
    /// # Errors
    ///
    /// EINVAL for a bad list, the boot CPU or one that does not exist; EBUSY for a CPU of another
    /// instance, or while an image is loaded.
    pub(crate) fn set_cpus(&self, text: &[u8]) -> Result {
        let cpus = CpuSet::parse(text).map_err(|fault| report(&self.name, fault))?;
        for cpu in cpus.iter() {
            if let Err(e) = ApicId::of_cpu(cpu) {
                let why = match cpu {
                    0 => "the host's boot CPU is never lent; choose others",
                    _ if e == ERANGE => "its APIC id is above 254, which no spawn kernel can use here; choose others",
                    _ => "no such CPU; see /sys/devices/system/cpu/possible",
                };
                pr_err!("{}: cpus {cpu}: {why}\n", self.name);
                return Err(e);
            }
        }
        let mut life = self.life.lock();
        if !matches!(life.phase, Phase::Empty(_)) {
            pr_err!("{}: cpus: an image is loaded; unload it first\n", self.name);
            return Err(EBUSY);
        }
        registry::reserve(self, &cpus, || self.view.lock().cpus = cpus)?;
        life.cpus = cpus;
        Ok(())
    }

    /// Sets memory aside: a size as "512M". What was set aside before is given back.
    ///
    /// # Errors
    ///
    /// EINVAL for a bad size, EBUSY while an image is loaded, and those of [`Memory::new`].
    pub(crate) fn set_memory(&self, text: &[u8]) -> Result {
        let size = size::parse(text).map_err(|fault| report(&self.name, fault))?;
        let mut life = self.life.lock();
        if !matches!(life.phase, Phase::Empty(_)) {
            pr_err!(
                "{}: memory: an image is loaded; unload it first\n",
                self.name
            );
            return Err(EBUSY);
        }
        let node = pages::node_of(life.cpus.first().unwrap_or(0));
        let memory = Memory::new(&self.name, size, node)?;
        self.view.lock().memory = memory.size();
        life.phase = Phase::Empty(Some(memory));
        Ok(())
    }

    /// Whether an image of this size could be loaded now; [`Instance::install`] asks again.
    ///
    /// # Errors
    ///
    /// EBUSY when quarantined, E2BIG when it is too large.
    pub(crate) fn room_for(&self, size: &Size) -> Result {
        self.life.lock().phase.room_for(&self.name, size)
    }

    /// Installs an image, claiming the CPUs; `boot_cpu` is one of them.
    ///
    /// # Errors
    ///
    /// EBUSY when a CPU is online or an instance is quarantined, E2BIG when the image does not
    /// fit; nothing has changed then.
    pub(crate) fn install(&self, image: Image, boot_cpu: u32, hold: Dependency) -> Result {
        let name = &self.name;
        let release = image.release;
        let mut life = self.life.lock();
        let cpus = life.cpus;
        // Checked by the caller, but not under the lock.
        if !cpus.contains(boot_cpu) {
            pr_err!("{name}: CPU {boot_cpu}: taken away meanwhile; write it to cpus again\n");
            return Err(ENODEV);
        }
        life.phase.room_for(name, &image.size())?;
        match &mut life.phase {
            Phase::Empty(memory) => {
                let lease = Lease::new(&cpus).map_err(|(cpu, e)| {
                    pr_err!("{name}: CPU {cpu} cannot be claimed; take it offline first\n");
                    e
                })?;
                warn_of_siblings(name, &cpus);
                let Some(memory) = memory.take() else {
                    return Err(EINVAL);
                };
                life.phase = Phase::Ready(Ready {
                    image,
                    boot_cpu,
                    lease,
                    memory,
                    _hold: hold,
                });
                self.enter_with(State::Loaded, Reason::None, |view| view.release = release);
            }
            Phase::Ready(ready) => {
                ready.image = image;
                ready.boot_cpu = boot_cpu;
                self.enter_with(State::Loaded, Reason::None, |view| view.release = release);
            }
            Phase::Running(running) => {
                running.replace_image(image, boot_cpu);
                self.view.lock().release = release;
            }
            Phase::Quarantined(_) | Phase::Moving => return Err(EBUSY),
        }
        Ok(())
    }

    /// Drops the image and gives the CPUs back.
    ///
    /// # Errors
    ///
    /// EBUSY while it runs or is quarantined.
    pub(crate) fn unload(&self) -> Result {
        let mut life = self.life.lock();
        match core::mem::replace(&mut life.phase, Phase::Moving) {
            Phase::Ready(ready) => {
                life.phase = Phase::Empty(Some(ready.memory));
                let none = Release::default();
                self.enter_with(State::Empty, Reason::None, |view| view.release = none);
                Ok(())
            }
            phase @ Phase::Empty(_) => {
                life.phase = phase;
                Ok(())
            }
            phase => {
                life.phase = phase;
                pr_err!(
                    "{}: it runs, or is quarantined; kill it before the image is unloaded\n",
                    self.name
                );
                Err(EBUSY)
            }
        }
    }

    /// Obeys what is written to `state`: start, stop, kill, restart.
    ///
    /// # Errors
    ///
    /// EINVAL for another word; start: ENODATA without an image, EBUSY when it runs already;
    /// stop, kill and restart: ESRCH when it does not run; EIO when CPUs end in quarantine.
    pub(crate) fn command(self: &Arc<Self>, text: &[u8]) -> Result {
        let mut life = self.life.lock();
        match text.trim_ascii() {
            b"start" => self.start(&mut life),
            // No agent to ask yet: the ladder begins with INIT.
            b"stop" => self.bury(&mut life, Reason::Stopped),
            b"kill" => self.bury(&mut life, Reason::Killed),
            b"restart" => {
                self.bury(&mut life, Reason::Stopped)?;
                self.start(&mut life)
            }
            _ => {
                pr_err!("{}: state: write start, stop, kill or restart\n", self.name);
                Err(EINVAL)
            }
        }
    }

    fn start(self: &Arc<Self>, life: &mut Life) -> Result {
        // ORDERING: Under the lock that `host_down` takes after the store: it sees what starts.
        if self.host.down.load(Acquire) != 0 {
            pr_err!("{}: start: the host goes down\n", self.name);
            return Err(EBUSY);
        }
        let ready = match core::mem::replace(&mut life.phase, Phase::Moving) {
            Phase::Ready(ready) => ready,
            phase => {
                let (why, e) = match phase {
                    Phase::Empty(_) => ("no image; load one with kexec first", ENODATA),
                    Phase::Running(_) => ("it runs already; stop it first", EBUSY),
                    _ => ("quarantined; write kill to try again", EBUSY),
                };
                life.phase = phase;
                pr_err!("{}: start: {why}\n", self.name);
                return Err(e);
            }
        };
        self.enter(State::Starting, Reason::None);
        let watch = |ready: &Ready, layout: &crate::portable::layout::Layout| {
            let mut cpus = KVec::with_capacity(ready.lease.claims().len(), GFP_KERNEL)?;
            for claim in ready.lease.claims() {
                cpus.push(claim.apic(), GFP_KERNEL)?;
            }
            let registers = Registers {
                mailbox: ready.memory.register(layout.mailbox)?,
                reset: ready.memory.register(layout.reset_reg)?,
                sleep: ready.memory.register(layout.sleep_reg)?,
            };
            Watch::new(registers, cpus, self.clone())
        };
        match ready.start(&self.name, &self.host.trampoline, watch) {
            Ok(running) => {
                life.phase = Phase::Running(running);
                self.enter(State::Running, Reason::None);
                Ok(())
            }
            Err((phase, e)) => {
                let state = match phase {
                    Phase::Quarantined(_) => State::Quarantined,
                    _ => State::Stopped,
                };
                life.phase = phase;
                self.enter(state, Reason::StartFailed);
                Err(e)
            }
        }
    }

    fn bury(&self, life: &mut Life, reason: Reason) -> Result {
        let running = match core::mem::replace(&mut life.phase, Phase::Moving) {
            Phase::Running(running) | Phase::Quarantined(running) => running,
            phase => {
                life.phase = phase;
                pr_err!("{}: it does not run\n", self.name);
                return Err(ESRCH);
            }
        };
        match running.bury(&self.name, &self.host.trampoline) {
            Ok(ready) => {
                let panic = self.examine(&ready.memory, State::Stopped, reason);
                life.phase = Phase::Ready(ready);
                self.enter_with(State::Stopped, reason, |view| view.panic = panic);
                Ok(())
            }
            Err(running) => {
                life.phase = Phase::Quarantined(running);
                self.enter(State::Quarantined, reason);
                Err(EIO)
            }
        }
    }

    /// Keeps the log of the life that has just ended; returns the line of its panic, or nothing.
    fn examine(&self, memory: &Memory, state: State, reason: Reason) -> PanicLine {
        if reason == Reason::HostDown {
            // Nobody will read it.
            return PanicLine::default();
        }
        let life = self.view.lock().starts;
        let kept = Findings::of(memory).and_then(|found| {
            let panic = found.panic;
            self.evidence.keep(life, state, reason, found)?;
            Ok(panic)
        });
        match kept {
            Ok(panic) => panic.unwrap_or_default(),
            Err(e) => {
                pr_err!(
                    "{}: the log of life {life} could not be kept: {e:?}\n",
                    self.name
                );
                PanicLine::default()
            }
        }
    }

    /// The watch has stopped the CPUs; called in hard interrupt context.
    pub(crate) fn seen_stopped(self: &Arc<Self>) {
        // Queued already is as good.
        let _ = self.host.queue.queue().enqueue(self.clone());
    }
}

impl Instance {
    /// The host goes down: stops the spawn, if one runs.
    pub(crate) fn host_down(&self) {
        let mut life = self.life.lock();
        if matches!(life.phase, Phase::Running(_) | Phase::Quarantined(_)) {
            // A failure is the quarantine, which is logged; the host goes down all the same.
            let _ = self.bury(&mut life, Reason::HostDown);
        }
    }
}

impl_has_work! {
    impl HasWork<Self> for Instance { self.work }
}

impl WorkItem for Instance {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        let mut life = this.life.lock();
        // It may have been stopped, and even started again, in between.
        let Phase::Running(running) = &life.phase else {
            return;
        };
        let reason = match running.event() {
            None => return,
            Some(Event::Reset) => Reason::Reset,
            Some(Event::Poweroff) => Reason::Poweroff,
        };
        // A failure is the quarantine, which is logged.
        let _ = this.bury(&mut life, reason);
    }
}

/// Threads of one core share caches and buffers, and some MSRs.
fn warn_of_siblings(name: &Name, cpus: &CpuSet) {
    for cpu in cpus.iter().filter(|&cpu| x86::shares_core_with_host(cpu)) {
        pr_warn!("{name}: CPU {cpu} shares its core with the host (L1TF, MDS, core MSRs)\n");
    }
}
