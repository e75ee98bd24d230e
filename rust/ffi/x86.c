// SPDX-License-Identifier: GPL-2.0
/* The C shim, processor half: local APIC, CPU masks, features. */
#include <linux/cc_platform.h>
#include <linux/compat.h>
#include <linux/cpufeature.h>
#include <linux/cpumask.h>
#include <linux/processor.h>
#include <linux/sched/isolation.h>
#include <linux/smp.h>
#include <linux/topology.h>

#include <asm/apic.h>
#include <asm/cpuid/api.h>
#include <asm/msr-index.h>
#include <asm/tsc.h>

#include "shim.h"

/* Why this machine cannot lend CPUs, or NULL. */
const char *mk_unsupported(void)
{
	if (cc_platform_has(CC_ATTR_MEM_ENCRYPT) ||
	    cc_platform_has(CC_ATTR_GUEST_MEM_ENCRYPT))
		return "memory encryption is active; boot the host with mem_encrypt=off";
	if (!boot_cpu_has(X86_FEATURE_APIC) || !apic)
		return "there is no local APIC; boot the host without nolapic";
	if (apic->wakeup_secondary_cpu || apic->wakeup_secondary_cpu_64)
		return "CPUs of this platform are not woken by INIT and SIPI; use other hardware";
	return NULL;
}

bool mk_x2apic(void)
{
	return x2apic_enabled();
}

bool mk_huge_pages(void)
{
	return boot_cpu_has(X86_FEATURE_GBPAGES);
}

/* Whether timers may run on a CPU that is isolated from the kernel's noise otherwise. */
bool mk_for_timers(unsigned int cpu)
{
	return housekeeping_test_cpu(cpu, HK_TYPE_TIMER);
}

/*
 * A spawn sees no interrupt remapping. On bare metal it therefore leaves
 * x2APIC mode (try_to_enable_x2apic()), and with it the ids above 254.
 */
bool mk_wide_apic_ids(void)
{
	return x2apic_enabled() && boot_cpu_has(X86_FEATURE_HYPERVISOR);
}

/* A possible CPU may be absent, and then has no APIC. */
bool mk_cpu_has_apic(unsigned int cpu)
{
	return per_cpu(x86_cpu_to_apicid, cpu) != BAD_APICID;
}

u32 mk_apic_id(unsigned int cpu)
{
	return per_cpu(x86_cpu_to_apicid, cpu);
}

bool mk_apic_id_in_use(u32 apic_id)
{
	unsigned int cpu;

	for_each_possible_cpu(cpu)
		if (per_cpu(x86_cpu_to_apicid, cpu) == apic_id)
			return true;
	return false;
}

bool mk_cpu_possible(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_possible(cpu);
}

bool mk_cpu_online(unsigned int cpu)
{
	return cpu < nr_cpu_ids && cpu_online(cpu);
}

/* Does another thread of this core stay with the host? Unknown of a CPU that was never online. */
bool mk_cpu_shares_core(unsigned int cpu)
{
	unsigned int core = cpu_data(cpu).topo.logical_core_id, other;

	if (!cpu_data(cpu).initialized)
		return false;
	for_each_online_cpu(other)
		if (cpu_data(other).topo.logical_core_id == core)
			return true;
	return false;
}

/* xAPIC: the delivery status bit, at most a few microseconds. */
static void mk_icr_wait(void)
{
	unsigned int spins = 0;

	if (x2apic_enabled())
		return;
	while ((apic->read(APIC_ICR) & APIC_ICR_BUSY) && spins++ < 100000)
		cpu_relax();
}

void mk_icr_write(u32 icr, u32 apic_id)
{
	unsigned long flags;

	/* x2APIC: writing the ICR does not wait for earlier stores (SDM vol. 3, 12.12.3). */
	weak_wrmsr_fence();
	local_irq_save(flags);
	/* Whom we interrupt may have sent one, which the host does not wait for. */
	mk_icr_wait();
	apic->icr_write(icr, apic_id);
	mk_icr_wait();
	local_irq_restore(flags);
}

u32 mk_tsc_khz(void)
{
	return tsc_khz;
}

/* MSRs with which a CPU writes to memory or interrupts by itself. */
u32 mk_trace_msrs(u32 *msrs, u32 len)
{
	u32 n = 0;

	if (boot_cpu_has(X86_FEATURE_INTEL_PT) && n < len)
		msrs[n++] = MSR_IA32_RTIT_CTL;
	/* Version 1 of the counters has none for all. */
	if (boot_cpu_has(X86_FEATURE_ARCH_PERFMON) && (cpuid_eax(0xa) & 0xff) > 1 && n < len)
		msrs[n++] = MSR_CORE_PERF_GLOBAL_CTRL;
	if (n < len)
		msrs[n++] = MSR_IA32_DEBUGCTLMSR;
	return n;
}

u32 mk_cr4_mce(void)
{
	return boot_cpu_has(X86_FEATURE_MCE) ? X86_CR4_MCE : 0;
}

bool mk_in_compat_syscall(void)
{
	return in_compat_syscall();
}
