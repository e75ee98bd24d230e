// SPDX-License-Identifier: GPL-2.0

//! Lent CPUs: who has them, and the veto that keeps the host away from them.

use crate::{
    apic::ApicId,
    ffi::x86::{self, BroadcastInhibit, HotplugReadLock},
    portable::cpu_list::{CpuSet, MAX_CPUS}, //
};
use kernel::{
    prelude::*,
    sync::atomic::{
        ordering::{Acquire, Full, Relaxed, Release},
        Atomic, //
    },
    time::{delay::udelay, Delta}, //
};

/// For each logical CPU: 0, or the APIC id + 1 while it is claimed. The hotplug veto reads nothing
/// else.
static CLAIMED: [Atomic<u32>; MAX_CPUS] = [const { Atomic::new(0) }; MAX_CPUS];

/// For each logical CPU: 1 while it may be running foreign code.
static RUNNING: [Atomic<u32>; MAX_CPUS] = [const { Atomic::new(0) }; MAX_CPUS];

/// For each logical CPU: 1 from its parking until the host has taken it online.
static PARKED: [Atomic<u32>; MAX_CPUS] = [const { Atomic::new(0) }; MAX_CPUS];

fn slot(table: &'static [Atomic<u32>; MAX_CPUS], cpu: u32) -> Result<&'static Atomic<u32>> {
    table.get(usize::try_from(cpu)?).ok_or(EINVAL)
}

/// One CPU that the host has lent. Dropping it lets the host use the CPU again.
pub(crate) struct Claim {
    cpu: u32,
    apic: ApicId,
}

impl Claim {
    /// Claims an offline CPU.
    ///
    /// # Errors
    ///
    /// EBUSY when it is online or claimed already, or the host suspends; see [`ApicId::of_cpu`] for
    /// the rest.
    fn new(cpu: u32) -> Result<Self> {
        let apic = ApicId::of_cpu(cpu)?;
        let _no_hotplug = HotplugReadLock::new();
        // ORDERING: Full, so that the test for offline comes after the claim: the veto is
        // asked by a CPU coming up before it counts as online. Pairs with `veto`.
        slot(&CLAIMED, cpu)?
            .cmpxchg(0, apic.as_u32().wrapping_add(1), Full)
            .map_err(|_| EBUSY)?;
        let claim = Self { cpu, apic };
        // ORDERING: After the claim, see `suspend`.
        if SUSPENDING.load(Acquire) != 0 || x86::cpu_online(cpu) {
            return Err(EBUSY);
        }
        Ok(claim)
    }

    /// Logical number in the host.
    pub(crate) fn cpu(&self) -> u32 {
        self.cpu
    }

    /// Local APIC id.
    pub(crate) fn apic(&self) -> ApicId {
        self.apic
    }

    /// It runs our code, until the host takes it online.
    fn parked(&self) {
        if let (Ok(running), Ok(parked)) = (slot(&RUNNING, self.cpu), slot(&PARKED, self.cpu)) {
            parked.store(1, Release);
            running.store(0, Release);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Ok(slot) = slot(&CLAIMED, self.cpu) {
            // ORDERING: What was done to the CPU happened before the host may have it.
            slot.store(0, Release);
        }
    }
}

/// All CPUs of an instance. Dropping it lets the host have them back.
pub(crate) struct Lease {
    claims: KVec<Claim>,
    whole: bool,
    /// After the claims: broadcasts reach a CPU until its claim is gone.
    _inhibit: BroadcastInhibit,
}

impl Lease {
    /// Claims every CPU of `cpus`.
    ///
    /// # Errors
    ///
    /// The CPU that could not be had, with the error of [`Claim::new`]; nothing stays claimed.
    pub(crate) fn new(cpus: &CpuSet) -> Result<Self, (u32, Error)> {
        let at = |cpu| move |e: Error| (cpu, e);
        let inhibit = BroadcastInhibit::new();
        let mut claims = KVec::with_capacity(cpus.len(), GFP_KERNEL).map_err(|e| (0, e.into()))?;
        for cpu in cpus.iter() {
            let claim = Claim::new(cpu).map_err(at(cpu))?;
            claims
                .push(claim, GFP_KERNEL)
                .map_err(|e| (cpu, e.into()))?;
        }
        Ok(Self {
            claims,
            whole: true,
            _inhibit: inhibit,
        })
    }

    /// The claims, by CPU number.
    pub(crate) fn claims(&self) -> &[Claim] {
        &self.claims
    }

    /// Marks every CPU as running foreign code, for the crash stop.
    pub(crate) fn mark_running(&self) {
        for claim in self.claims() {
            if let Ok(slot) = slot(&RUNNING, claim.cpu) {
                slot.store(1, Release);
            }
        }
    }

    /// Notes that all CPUs are parked but these.
    pub(crate) fn parked_but(&self, unproven: &CpuSet) {
        for claim in self.claims() {
            if !unproven.contains(claim.cpu) {
                claim.parked();
            }
        }
    }

    /// Lets the host have all CPUs but these.
    pub(crate) fn keep(&mut self, cpus: &CpuSet) {
        let before = self.claims.len();
        self.claims.retain(|claim| cpus.contains(claim.cpu));
        self.whole &= self.claims.len() == before;
    }

    /// Whether it still has every CPU that it was made with.
    pub(crate) fn is_whole(&self) -> bool {
        self.whole
    }
}

/// Keeps a claimed CPU offline: the hotplug callback, EBUSY for such a CPU.
pub(crate) fn veto(cpu: u32) -> Result {
    // A CPU beyond the tables can never be lent.
    let Ok(claimed) = slot(&CLAIMED, cpu) else {
        return Ok(());
    };
    match claimed.load(Acquire) {
        0 => Ok(()),
        _ => Err(EBUSY),
    }
}

/// The host has taken a CPU online, which has left our page for that. Only now: where something else
/// fails on the way it may be there still.
pub(crate) fn left(cpu: u32) {
    if let Ok(slot) = slot(&PARKED, cpu) {
        slot.store(0, Release);
    }
}

/// Sends CPUs that are parked, or gave no proof of it, and are not online again, to where they need no
/// page of ours: after an INIT they wait for a SIPI. Which ones were parked.
pub(crate) fn unpark() -> CpuSet {
    let _no_hotplug = HotplugReadLock::new();
    let mut parked = CpuSet::default();
    (1..MAX_CPUS as u32)
        .filter(|&cpu| is_parked(cpu))
        .for_each(|cpu| parked.insert(cpu));
    init_lent();
    parked
}

/// Whether a CPU is in our page, and not on its way to the host.
fn is_parked(cpu: u32) -> bool {
    is_set(&PARKED, cpu) && !x86::cpu_online(cpu)
}

fn is_set(table: &'static [Atomic<u32>; MAX_CPUS], cpu: u32) -> bool {
    matches!(slot(table, cpu), Ok(slot) if slot.load(Acquire) != 0)
}

/// Whether any CPU is lent now.
pub(crate) fn any_claimed() -> bool {
    CLAIMED.iter().any(|slot| slot.load(Acquire) != 0)
}

/// 1 while the host suspends, which it is about to for a while before all programs stand still.
static SUSPENDING: Atomic<u32> = Atomic::new(0);

/// The host suspends: until [`suspended`] no CPU is lent.
///
/// # Errors
///
/// EBUSY when one is; nothing has changed then.
pub(crate) fn suspend() -> Result {
    // ORDERING: Full, so that the look at the claims comes after it; pairs with `Claim::new`.
    SUSPENDING.xchg(1, Full);
    if any_claimed() {
        suspended();
        return Err(EBUSY);
    }
    Ok(())
}

/// That is over.
pub(crate) fn suspended() {
    SUSPENDING.store(0, Release);
}

/// Not 0: the host is crashing.
static CRASHING: Atomic<u32> = Atomic::new(0);

/// Whether the host is crashing: nothing is started any more.
pub(crate) fn crashing() -> bool {
    CRASHING.load(Relaxed) != 0
}

/// Stops every CPU that may be running foreign code, and takes those that are parked out of our
/// page, which is the crash kernel's to use: the host is crashing, so no lock is taken.
pub(crate) fn crash_stop() {
    CRASHING.store(1, Relaxed);
    init_lent();
    // Again: a CPU that still ran may have woken a sibling after the first round, and one of the
    // host's may have been about to start one.
    udelay(Delta::from_micros(1000));
    init_lent();
}

fn init_lent() {
    let lent = |&cpu: &u32| is_set(&RUNNING, cpu) || is_parked(cpu);
    for cpu in (1..MAX_CPUS as u32).filter(lent) {
        if let Ok(apic) = ApicId::of_cpu(cpu) {
            apic.send_init();
        }
    }
}

#[kunit_tests(multikernel_cpu)]
mod tests {
    use super::*;

    /// The boot CPU is never lent, and an online CPU cannot be claimed; neither stays vetoed.
    #[test]
    fn refused_claims_leave_no_veto() {
        assert!(matches!(Claim::new(0), Err(e) if e == EINVAL));
        assert!(veto(0).is_ok());
        if x86::cpu_online(1) {
            assert!(matches!(Claim::new(1), Err(e) if e == EBUSY));
            assert!(veto(1).is_ok());
        }
        assert!(!any_claimed());
    }

    /// A number beyond all tables is an error, not an access.
    #[test]
    fn impossible_cpu_is_refused() {
        assert!(Claim::new(MAX_CPUS as u32).is_err());
        // Nothing keeps the host from it.
        assert!(veto(u32::MAX).is_ok());
    }
}
