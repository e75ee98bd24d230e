// SPDX-License-Identifier: GPL-2.0

//! Processor facts and the interrupt command register, from `rust/ffi/x86.c` and the series.

use crate::portable::cpu_list::MAX_CPUS;
use kernel::{
    bindings,
    prelude::*,
    str::CStr, //
};

unsafe extern "C" {
    static mk_trampoline: u8;
    static mk_trampoline_end: u8;
    static mk_trampoline_park: u32;
    safe fn mk_unsupported() -> *const c_char;
    fn mk_trace_msrs(msrs: *mut u32, len: u32) -> u32;

    /// Whether the local APICs of this machine are in x2APIC mode.
    #[link_name = "mk_x2apic"]
    pub(crate) safe fn x2apic() -> bool;
    /// Whether there are pages of 1 GiB (CPUID 80000001H:EDX[26]).
    #[link_name = "mk_huge_pages"]
    pub(crate) safe fn huge_pages() -> bool;
    safe fn mk_for_timers(cpu: c_uint) -> bool;
    /// Whether a spawn kernel can use APIC ids above 254 on this machine.
    #[link_name = "mk_wide_apic_ids"]
    pub(crate) safe fn wide_apic_ids() -> bool;
    safe fn mk_cpu_has_apic(cpu: c_uint) -> bool;
    /// Local APIC id of a possible CPU.
    #[link_name = "mk_apic_id"]
    safe fn mk_apic_id(cpu: c_uint) -> u32;
    safe fn mk_apic_id_in_use(apic_id: u32) -> bool;
    /// Whether the host could ever use this CPU.
    #[link_name = "mk_cpu_possible"]
    pub(crate) safe fn cpu_possible(cpu: c_uint) -> bool;
    /// Whether the host uses this CPU now.
    #[link_name = "mk_cpu_online"]
    pub(crate) safe fn cpu_online(cpu: c_uint) -> bool;
    safe fn mk_cpu_shares_core(cpu: c_uint) -> bool;
    /// Writes the interrupt command register: `icr` as in SDM vol. 3, 12.6.1, to one APIC id.
    #[link_name = "mk_icr_write"]
    pub(crate) safe fn icr_write(icr: u32, apic_id: u32);
    /// Frequency of the time-stamp counter in kHz, as the host has calibrated it.
    #[link_name = "mk_tsc_khz"]
    pub(crate) safe fn tsc_khz() -> u32;
    /// CR4.MCE, or 0 on a CPU without machine checks.
    #[link_name = "mk_cr4_mce"]
    pub(crate) safe fn cr4_mce() -> u32;
    /// Whether the caller is a 32-bit process.
    #[link_name = "mk_in_compat_syscall"]
    pub(crate) safe fn in_compat_syscall() -> bool;
    safe fn x86_cpus_lent_inc();
    safe fn x86_cpus_lent_dec();
    safe fn cpus_read_lock();
    safe fn cpus_read_unlock();
}

/// Says why this machine cannot lend CPUs, if it cannot.
pub(crate) fn unsupported() -> Option<&'static CStr> {
    let why = mk_unsupported();
    // SAFETY: `mk_unsupported` returns NULL or a string literal.
    (!why.is_null()).then(|| unsafe { CStr::from_char_ptr(why) })
}

/// Returns the local APIC id of a CPU, if the machine has that CPU.
pub(crate) fn apic_id(cpu: u32) -> Option<u32> {
    (cpu_possible(cpu) && mk_cpu_has_apic(cpu)).then(|| mk_apic_id(cpu))
}

/// Whether a possible CPU has this local APIC id.
pub(crate) fn apic_id_in_use(apic_id: u32) -> bool {
    mk_apic_id_in_use(apic_id)
}

/// Whether an online CPU shares the core of `cpu`.
pub(crate) fn shares_core_with_host(cpu: u32) -> bool {
    cpu_possible(cpu) && mk_cpu_shares_core(cpu)
}

/// The trampoline as assembled, see `asm/trampoline.S`.
pub(crate) fn trampoline() -> &'static [u8] {
    let start = &raw const mk_trampoline;
    let end = &raw const mk_trampoline_end;
    // SAFETY: Both symbols delimit one object in read-only data, in this order.
    // CAST: So the offset is not negative.
    unsafe { core::slice::from_raw_parts(start, end.offset_from(start) as usize) }
}

/// Offset of the parking loop in [`trampoline`].
pub(crate) fn trampoline_park() -> u32 {
    // SAFETY: A constant in read-only data.
    unsafe { mk_trampoline_park }
}

/// MSRs through which a CPU writes memory or raises interrupts by itself; unused entries are 0.
pub(crate) fn trace_msrs() -> [u32; 4] {
    let mut msrs = [0; 4];
    // SAFETY: At most four entries are written.
    unsafe { mk_trace_msrs(msrs.as_mut_ptr(), 4) };
    msrs
}

/// No CPU goes online or offline while this guard lives.
pub(crate) struct HotplugReadLock(());

impl HotplugReadLock {
    /// Waits for a hotplug operation under way.
    pub(crate) fn new() -> Self {
        cpus_read_lock();
        Self(())
    }
}

impl Drop for HotplugReadLock {
    fn drop(&mut self) {
        cpus_read_unlock();
    }
}

/// While one of these lives, the host sends no shorthand broadcasts and loads no microcode.
pub(crate) struct BroadcastInhibit(());

impl BroadcastInhibit {
    /// Must not be called under [`HotplugReadLock`].
    pub(crate) fn new() -> Self {
        x86_cpus_lent_inc();
        Self(())
    }
}

impl Drop for BroadcastInhibit {
    fn drop(&mut self) {
        x86_cpus_lent_dec();
    }
}

/// The `n`th CPU that the host uses now and does not keep free of its own work (`nohz_full=`),
/// counted around; 0 when none can be told.
pub(crate) fn nth_online(n: u32) -> u32 {
    let _no_hotplug = HotplugReadLock::new();
    let online = || (0..MAX_CPUS as u32).filter(|&cpu| cpu_online(cpu) && mk_for_timers(cpu));
    let count = online().count();
    let n = n.checked_rem(count as u32).unwrap_or(0);
    online().nth(n as usize).unwrap_or(0)
}

/// Calls `f` on a CPU, in hard interrupt context; where that cannot be, here and now.
pub(crate) fn run_on(cpu: u32, f: impl FnOnce() + Send) {
    /// # Safety
    ///
    /// `f` points to an `Option<F>` that nobody else uses during the call.
    unsafe extern "C" fn call<F: FnOnce()>(f: *mut c_void) {
        // SAFETY: By the function's contract.
        let f = unsafe { &mut *f.cast::<Option<F>>() };
        if let Some(f) = f.take() {
            f();
        }
    }

    fn caller<F: FnOnce()>(_: &Option<F>) -> unsafe extern "C" fn(*mut c_void) {
        call::<F>
    }

    let mut f = Some(f);
    let call = caller(&f);
    // SAFETY: It returns when `call` has, and passes it the option.
    unsafe {
        bindings::smp_call_function_single(cpu as c_int, Some(call), (&raw mut f).cast(), true);
    }
    // The CPU is not online any more.
    if let Some(f) = f {
        f();
    }
}
