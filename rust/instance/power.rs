// SPDX-License-Identifier: GPL-2.0

//! Starts, ends, and what follows them: by hand, by the watch, by the restart policy.

use super::{
    life::{Buried, Phase, Ready, Running},
    Instance,
    Life, //
};
use crate::{
    alarm::Alarm,
    channel::{Death, Neighbours},
    evidence::Findings,
    memory::Memory,
    portable::{
        layout::Layout,
        line::Line,
        restart::{self, Verdict},
        stats::Stats,
        table::{Reason, Release, State}, //
    },
    watch::{Event, Registers, Watch}, //
};
use core::fmt::Write;
use kernel::{
    impl_has_work,
    prelude::*,
    sync::{atomic::ordering::Acquire, Arc, MutexGuard},
    time::{Delta, Instant},
    workqueue::WorkItem, //
};

impl Instance {
    /// Obeys what is written to `state`: start, stop, kill, restart, unload.
    ///
    /// # Errors
    ///
    /// EINVAL for another word; EBUSY when the host goes down, for all but unload;
    /// start: ENODATA without an image, EBUSY when it runs already;
    /// stop, kill and restart: ESRCH when it does not run, and is not about to start again by
    /// itself; EIO when CPUs end in quarantine; unload: EBUSY while it runs or is quarantined.
    pub(crate) fn command(self: &Arc<Self>, text: &[u8]) -> Result {
        let mut life = self.life.lock();
        match text.trim_ascii() {
            // Nobody would call the CPUs away again, and the page in which they park is the next kernel's.
            b"stop" | b"kill" | b"restart" if self.host.down.load(Acquire) != 0 => {
                pr_err!("{}: the host goes down, and has ended it\n", self.name);
                Err(EBUSY)
            }
            b"start" => self.start_by_hand(&mut life),
            b"stop" => self.stop(life),
            b"kill" => self.end(&mut life, Reason::Killed),
            b"restart" => {
                self.stop(life)?;
                self.start_by_hand(&mut self.life.lock())
            }
            b"unload" => {
                drop(life);
                self.unload()
            }
            _ => {
                pr_err!(
                    "{}: state: write start, stop, kill, restart or unload\n",
                    self.name
                );
                Err(EINVAL)
            }
        }
    }

    /// Asks an agent for a poweroff, if there is one, and ends what runs then.
    fn stop(self: &Arc<Self>, mut life: MutexGuard<'_, Life>) -> Result {
        let timeout = self.channel.stop_timeout();
        let asked = match life.phase {
            Phase::Running(_) => self.channel.ask_shutdown(timeout),
            _ => None,
        };
        let Some(asked) = asked else {
            return self.end(&mut life, Reason::Stopped);
        };
        let starts = {
            let stats = &mut self.view.lock().stats;
            stats.asked.count();
            stats.starts.0
        };
        life.stopping = life.stopping.saturating_add(1);
        drop(life);
        let over = self.channel.wait_for_end(asked, timeout);
        let mut life = self.life.lock();
        life.stopping = life.stopping.saturating_sub(1);
        if matches!(life.phase, Phase::Quarantined(_)) {
            pr_err!(
                "{}: stop: it ended in quarantine; write kill to try again\n",
                self.name
            );
            return Err(EIO);
        }
        // It went by itself, or somebody else was faster.
        if !matches!(life.phase, Phase::Running(_)) || self.view.lock().stats.starts.0 != starts {
            return Ok(());
        }
        match over? {
            Some(errno) => {
                self.view.lock().stats.refusals.count();
                pr_warn!("{}: refuses to power off (errno {errno})\n", self.name);
            }
            None => {
                self.view.lock().stats.overdue.count();
                pr_warn!("{}: did not power off within {timeout} ms\n", self.name);
            }
        }
        self.end(&mut life, Reason::Stopped)
    }

    fn start_by_hand(self: &Arc<Self>, life: &mut Life) -> Result {
        let awaited = matches!(&life.phase, Phase::Ready(ready) if ready.alarm.is_some());
        let started = self.start(life);
        let is_ready = matches!(&life.phase, Phase::Ready(ready) if ready.alarm.is_none());
        if started.is_ok() {
            life.row = 0;
        } else if awaited && is_ready {
            // It would have started again by itself, and still does.
            self.start_again(life, Reason::StartFailed, Delta::ZERO);
        }
        started
    }

    fn start(self: &Arc<Self>, life: &mut Life) -> Result {
        self.launch(life).map_err(|(e, is_to_bury)| {
            if is_to_bury {
                // A failure is the quarantine, which is logged.
                let _ = self.end(life, Reason::StartFailed);
            }
            e
        })
    }

    /// Starts it, or tells why not, and whether there is something to bury, which takes as much of the
    /// stack: not on top of this.
    #[inline(never)]
    fn launch(self: &Arc<Self>, life: &mut Life) -> Result<(), (Error, bool)> {
        // ORDERING: Under the lock that `host_down` takes after the store: it sees what starts.
        if self.host.down.load(Acquire) != 0 {
            pr_err!("{}: start: the host goes down\n", self.name);
            return Err((EBUSY, false));
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
                return Err((e, false));
            }
        };
        let before = {
            let view = self.view.lock();
            (view.state, view.reason, view.detail)
        };
        self.enter(State::Starting, Reason::None);
        let watch = |ready: &Ready, layout: &Layout| {
            let apic_ids = || {
                let mut ids = KVec::with_capacity(ready.lease.claims().len(), GFP_KERNEL)?;
                for claim in ready.lease.claims() {
                    ids.push(claim.apic(), GFP_KERNEL)?;
                }
                Ok::<_, Error>(ids)
            };
            let registers = Registers {
                mailbox: ready.memory.register(layout.mailbox)?,
                reset: ready.memory.register(layout.reset_reg)?,
                sleep: ready.memory.register(layout.sleep_reg)?,
            };
            let shared = ready.memory.shared(layout.shared)?;
            let watch = Watch::new(registers, apic_ids()?, self.clone(), shared)?;
            let neighbours = Neighbours::Lent(apic_ids()?);
            Ok((watch, move || self.channel.begin(shared, neighbours)))
        };
        match Ready::start(ready, &self.name, &self.host.trampoline, self.id, watch) {
            Ok(running) => {
                life.phase = Phase::Running(running);
                life.started = Instant::now();
                self.enter_with(State::Running, Reason::None, |view| {
                    view.stats.starts.count()
                });
                Ok(())
            }
            Err((Ok(ready), e)) => {
                life.phase = Phase::Ready(ready);
                let (state, reason, detail) = before;
                self.enter_with(state, reason, |view| {
                    view.detail = detail;
                    view.stats.failed_starts.count();
                });
                Err((e, false))
            }
            Err((Err(running), e)) => {
                life.phase = Phase::Running(running);
                Err((e, true))
            }
        }
    }

    fn enter_dead(&self, reason: Reason, detail: Line, ladder: &Stats) {
        self.enter_with(reason.ends_in(), reason, |view| {
            let stats = &mut view.stats;
            view.detail = detail;
            stats.add(ladder);
            count_end(stats, reason);
        });
    }

    /// Ends what runs, is quarantined, or is about to start again by itself.
    fn end(&self, life: &mut Life, reason: Reason) -> Result {
        match core::mem::replace(&mut life.phase, Phase::Moving) {
            Phase::Running(running) | Phase::Quarantined(running) => {
                self.bury(life, running, reason)
            }
            Phase::Ready(mut ready) if ready.alarm.is_some() => {
                ready.alarm = None;
                life.phase = Phase::Ready(ready);
                self.enter(State::Killed, reason);
                Ok(())
            }
            phase => {
                life.phase = phase;
                pr_err!("{}: it does not run\n", self.name);
                Err(ESRCH)
            }
        }
    }

    fn bury(&self, life: &mut Life, running: Running, reason: Reason) -> Result {
        let mut ladder = Stats::default();
        match running.bury(&self.name, &self.host.trampoline, &mut ladder) {
            Buried::Ready(ready) => {
                let (reason, detail) = self.explain(&ready.memory, reason);
                let detail = self.hearsay(reason, detail);
                life.phase = Phase::Ready(ready);
                self.enter_dead(reason, detail, &ladder);
                Ok(())
            }
            Buried::Free(memory) => {
                let (reason, detail) = self.explain(&memory, reason);
                life.phase = Phase::Empty(Some(memory));
                self.enter_with(State::Empty, reason, |view| {
                    view.detail = detail;
                    view.release = Release::default();
                    view.stats.add(&ladder);
                    count_end(&mut view.stats, reason);
                });
                Ok(())
            }
            Buried::Unproven(running, cpus) => {
                life.phase = Phase::Quarantined(running);
                ladder.quarantines.count();
                self.enter_with(State::Quarantined, reason, |view| {
                    // It takes whatever is written.
                    let _ = write!(view.detail, "no proof that it stopped from CPU {cpus}");
                    view.stats.add(&ladder);
                    if reason == Reason::StartFailed {
                        view.stats.failed_starts.count();
                    }
                });
                Err(EIO)
            }
        }
    }

    /// Keeps the log of the life that has just ended, and asks it why.
    fn explain(&self, memory: &Memory, reason: Reason) -> (Reason, Line) {
        let (life, before) = {
            let view = self.view.lock();
            (view.stats.starts.0, view.reason)
        };
        // Nobody will read it, or there was no life (a start that failed, and what came of it in quarantine):
        // a log of none would take another one's place.
        if reason == Reason::HostDown || [reason, before].contains(&Reason::StartFailed) {
            return (reason, Line::default());
        }
        let kept = Findings::of(memory).and_then(|found| {
            let why = found.refine(reason);
            self.evidence.keep(life, why.0.ends_in(), why.0, found)?;
            Ok(why)
        });
        kept.unwrap_or_else(|e| {
            pr_err!(
                "{}: the log of life {life} could not be kept: {e:?}\n",
                self.name
            );
            (reason, Line::default())
        })
    }

    /// What the channel knows of a death for this reason, if nothing else is known.
    fn hearsay(&self, reason: Reason, detail: Line) -> Line {
        let mut line = detail;
        match (reason, self.channel.death()) {
            _ if !line.is_empty() => {}
            (Reason::Lockup, Some(Death::Silence(cpu))) => {
                // It takes whatever is written.
                let _ = write!(line, "no beat of its CPU {cpu}");
            }
            (Reason::Panic, Some(Death::Panic)) => line = self.channel.last_words(),
            _ => {}
        }
        line
    }

    /// Lets it start again by itself, if that is how it is restarted, after a life as long as this.
    fn start_again(self: &Arc<Self>, life: &mut Life, reason: Reason, lived: Delta) {
        if life.stopping > 0 {
            return;
        }
        let Phase::Ready(ready) = &mut life.phase else {
            return;
        };
        let name = &self.name;
        // What has not even started has not lived for long.
        if reason != Reason::StartFailed && lived >= Delta::from_millis(restart::STEADY) {
            life.row = 0;
        }
        match self.restart().after(reason, life.row) {
            Verdict::Stay => {}
            Verdict::GiveUp => {
                pr_err!(
                    "{name}: started {} times in a row: it stays dead\n",
                    life.row
                );
                self.view.lock().stats.give_ups.count();
            }
            Verdict::In(ms) => match Alarm::set(self.clone(), ms) {
                Ok(alarm) => {
                    life.row = life.row.saturating_add(1);
                    ready.alarm = Some(alarm);
                    pr_info!("{name}: starts again in {ms} ms\n");
                }
                Err(e) => pr_err!("{name}: it stays dead, there is no alarm for it: {e:?}\n"),
            },
        }
    }

    /// The watch has stopped the CPUs, or is to be spread, or the time for another start has come; called
    /// in hard interrupt context.
    pub(crate) fn wake(self: &Arc<Self>) {
        // Queued already is as good.
        let _ = self.host.queue.queue().enqueue(self.clone());
    }

    /// The host goes down: stops the spawn, if one runs.
    pub(crate) fn host_down(&self) {
        let mut life = self.life.lock();
        let quiet = match &life.phase {
            Phase::Running(_) | Phase::Quarantined(_) => false,
            Phase::Ready(ready) => ready.alarm.is_none(),
            Phase::Empty(_) | Phase::Moving => true,
        };
        if !quiet {
            // A failure is the quarantine, which is logged; the host goes down all the same.
            let _ = self.end(&mut life, Reason::HostDown);
        }
    }
}

impl_has_work! {
    impl HasWork<Self> for Instance { self.work }
}

impl WorkItem for Instance {
    type Pointer = Arc<Self>;

    fn run(this: Arc<Self>) {
        // Not after the burial, which takes long where there is much memory.
        let died = Instant::now();
        let mut life = this.life.lock();
        let lived = died - life.started;
        // It may have been stopped, and even started again, in between.
        let reason = match &mut life.phase {
            Phase::Running(running) => match running.event() {
                None => return running.spread(),
                Some(Event::Reset) => Reason::Reset,
                Some(Event::Poweroff) => Reason::Poweroff,
                Some(Event::Silence) => Reason::Lockup,
                Some(Event::Panic) => Reason::Panic,
            },
            Phase::Ready(ready) if ready.alarm.as_ref().is_some_and(Alarm::rang) => {
                this.view.lock().stats.restarts.count();
                match this.start(&mut life) {
                    Ok(()) => return,
                    Err(_) => Reason::StartFailed,
                }
            }
            _ => return,
        };
        // A failure is the quarantine, which is logged.
        if reason != Reason::StartFailed && this.end(&mut life, reason).is_err() {
            return;
        }
        this.start_again(&mut life, reason, lived);
    }
}

/// Counts the end of a life for this reason.
fn count_end(stats: &mut Stats, reason: Reason) {
    stats.stops.count();
    match reason {
        Reason::Poweroff => stats.poweroffs.count(),
        Reason::Reboot | Reason::Reset => stats.reboots.count(),
        Reason::Panic => stats.panics.count(),
        Reason::Lockup => stats.lockups.count(),
        Reason::StartFailed => stats.failed_starts.count(),
        Reason::None | Reason::Killed | Reason::Stopped | Reason::HostDown => stats.kills.count(),
    }
}
