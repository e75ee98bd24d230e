// SPDX-License-Identifier: GPL-2.0

//! An instance: a name, CPUs, memory, an image, a state. The only place where parts meet.

mod life;
mod power;
pub(crate) mod registry;

use crate::{
    apic::ApicId,
    channel::Channel,
    cpu::Lease,
    evidence::Evidence,
    ffi::{class, configfs::Dependency, pages, work::OwnedQueue, x86},
    image::{report, Image, Size},
    memory::Memory,
    portable::{
        channel::layout::Role,
        cpu_list::CpuSet,
        line::Line,
        name::Name,
        restart::Restart,
        size,
        stats::Stats,
        table::{Reason, Release, Row, State}, //
    },
    trampoline::Trampoline, //
};
use kernel::{
    new_mutex,
    new_spinlock,
    new_work,
    prelude::*,
    sync::{
        atomic::{ordering::Acquire, Atomic},
        Arc,
        Mutex,
        SpinLock, //
    },
    time::{Instant, Monotonic},
    workqueue::Work, //
};
use life::{Phase, Ready};

/// What all instances share.
#[pin_data]
pub(crate) struct Host {
    #[pin]
    trampoline: Trampoline,
    /// For instances: what has died is buried before others go on.
    queue: OwnedQueue,
    /// For channels: a peer that always has something to say takes no more than a thread's share.
    channels: Arc<OwnedQueue>,
    /// 1 from when the host goes down: nothing starts any more.
    down: Atomic<u32>,
}

impl Host {
    /// Takes the low pages and makes the work queues.
    ///
    /// # Errors
    ///
    /// ENOMEM.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let trampoline = Trampoline::new()?;
        let queue = OwnedQueue::urgent(c"multikernel")?;
        let channels = Arc::new(OwnedQueue::new(c"multikernel-talk")?, GFP_KERNEL)?;
        Arc::pin_init(
            try_pin_init!(Self { trampoline <- trampoline, queue, channels, down: Atomic::new(0) }),
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
    pub(crate) channel: Arc<Channel>,
    #[pin]
    work: Work<Self>,
}

struct Life {
    cpus: CpuSet,
    phase: Phase,
    /// When it last came to run.
    started: Instant<Monotonic>,
    /// Automatic starts since somebody started it, or since a life that was long enough.
    row: u32,
    /// How many wait for its end: it stays dead then.
    stopping: u32,
}

struct View {
    state: State,
    reason: Reason,
    /// What there is to tell besides, as the panic line.
    detail: Line,
    cpus: CpuSet,
    memory: u64,
    release: Release,
    since: Instant<Monotonic>,
    restart: Restart,
    stats: Stats,
}

impl Instance {
    fn new(id: u32, name: Name, host: Arc<Host>) -> Result<Arc<Self>> {
        let channel = Channel::new(name, Role::Host, host.channels.clone())?;
        Arc::pin_init(
            try_pin_init!(Self {
                id,
                name,
                host,
                life <- new_mutex!(Life {
                    cpus: CpuSet::default(),
                    phase: Phase::Empty(None),
                    started: Instant::now(),
                    row: 0,
                    stopping: 0,
                }),
                view <- new_spinlock!(View {
                    state: State::Empty,
                    reason: Reason::None,
                    detail: Line::default(),
                    cpus: CpuSet::default(),
                    memory: 0,
                    release: Release::default(),
                    since: Instant::now(),
                    restart: Restart::default(),
                    stats: Stats::default(),
                }),
                device <- class::Slot::new(),
                evidence <- Evidence::new(),
                channel,
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
            starts: view.stats.starts.0,
            reason: view.reason,
            silence_ms: self.channel.silence(),
        }
    }

    /// Whether memory is set aside for it.
    pub(crate) fn has_memory(&self) -> bool {
        self.view.lock().memory != 0
    }

    /// Why it is in its state, and what there is to tell besides.
    pub(crate) fn reason(&self) -> (Reason, Line) {
        let view = self.view.lock();
        (view.reason, view.detail)
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
        let mut stats = self.view.lock().stats;
        (stats.sessions.0, stats.violations.0) = self.channel.counts();
        stats
    }

    /// How it is restarted.
    pub(crate) fn restart(&self) -> Restart {
        self.view.lock().restart
    }

    /// Changes how it is restarted, from the next death on.
    pub(crate) fn set_restart(&self, change: impl FnOnce(&mut Restart)) {
        change(&mut self.view.lock().restart);
    }

    fn enter(&self, state: State, reason: Reason) {
        self.enter_with(state, reason, |_| {});
    }

    /// Enters a state and changes what goes with it, so that readers see both or neither.
    fn enter_with(&self, state: State, reason: Reason, change: impl FnOnce(&mut View)) {
        let detail = {
            let mut view = self.view.lock();
            view.state = state;
            view.reason = reason;
            view.detail = Line::default();
            view.since = Instant::now();
            change(&mut view);
            view.detail
        };
        self.device.changed(state.as_str());
        let gap = if detail.is_empty() { "" } else { ": " };
        pr_info!("{}: {state}, reason {reason}{gap}{detail}\n", self.name);
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
    /// EINVAL for a bad size, EBUSY while an image is loaded or the host hibernates, and those of
    /// [`Memory::new`]; nothing has changed then.
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
        self.not_hibernating(size)?;
        let node = pages::node_of(life.cpus.first().unwrap_or(0));
        // Who takes the host down waits for us, and sends no signal.
        let go_on = || match self.host.down.load(Acquire) {
            0 => Ok(()),
            _ => {
                pr_err!("{}: memory {size}: the host goes down\n", self.name);
                Err(EBUSY)
            }
        };
        let memory = Memory::new(&self.name, size, node, go_on)?;
        let before = core::mem::replace(&mut self.view.lock().memory, memory.size());
        // Again, now that it can be seen: either we see the hibernation, or that sees the memory.
        if let Err(e) = self.not_hibernating(size) {
            drop(memory);
            self.view.lock().memory = before;
            return Err(e);
        }
        life.phase = Phase::Empty(Some(memory));
        Ok(())
    }

    fn not_hibernating(&self, size: u64) -> Result {
        if registry::hibernates() {
            pr_err!(
                "{}: memory {size}: the host hibernates; write it when that is over\n",
                self.name
            );
            return Err(EBUSY);
        }
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
                    let why = match e {
                        ENOMEM => return e,
                        EINVAL => "the machine has it no longer; write other cpus",
                        _ if x86::cpu_online(cpu) => "take it offline first",
                        _ => "another has it, or the host suspends",
                    };
                    pr_err!("{name}: CPU {cpu} cannot be claimed; {why}\n");
                    e
                })?;
                warn_of_siblings(name, &cpus);
                // Before the memory is taken out: nothing has changed when it fails.
                let room = KBox::new_uninit(GFP_KERNEL)?;
                let Some(memory) = memory.take() else {
                    return Err(EINVAL);
                };
                life.phase = Phase::Ready(room.write(Ready {
                    image,
                    boot_cpu,
                    lease,
                    memory,
                    alarm: None,
                    _hold: hold,
                }));
                self.enter_with(State::Loaded, Reason::None, |view| view.release = release);
            }
            Phase::Ready(ready) => {
                ready.image = image;
                ready.boot_cpu = boot_cpu;
                ready.alarm = None;
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
                let Ready {
                    image,
                    boot_cpu: _,
                    lease,
                    memory,
                    alarm,
                    _hold: hold,
                } = KBox::into_inner(ready);
                // Who hears that it is empty can take the CPUs online, and remove it.
                drop((image, lease, alarm, hold));
                life.phase = Phase::Empty(Some(memory));
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
}

/// Threads of one core share caches and buffers, and some MSRs.
fn warn_of_siblings(name: &Name, cpus: &CpuSet) {
    for cpu in cpus.iter().filter(|&cpu| x86::shares_core_with_host(cpu)) {
        pr_warn!("{name}: CPU {cpu} shares its core with the host (L1TF, MDS, core MSRs)\n");
    }
}
