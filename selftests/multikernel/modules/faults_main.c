// SPDX-License-Identifier: GPL-2.0
/*
 * What lkdtm has not: ways to go wrong that concern the machine rather than the
 * kernel. Loaded in a spawn kernel with do=WORD; Documentation/fault-matrix.rst
 * has the words. In the host it can be late: see late_ms.
 */
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/nmi.h>

#include <asm/apic.h>

#include "fight.h"
#include "scribble.h"

extern const u8 fight[], fight_end[];

static char *fault = "nothing";
module_param_named(do, fault, charp, 0444);

/* The CPU, by local APIC id, to which flood and init send. */
static unsigned int dest;
module_param(dest, uint, 0444);

/* What a flood sends. */
static unsigned int vector;
module_param(vector, uint, 0444);

/* A flood is one of them each so many milliseconds. */
static unsigned int gap_ms;
module_param(gap_ms, uint, 0444);

/* Where to scribble, or the page below 1 MiB in which to fight. */
static unsigned long addr;
module_param(addr, ulong, 0444);

/* How long to scribble over the channel. */
static unsigned int scribble_ms = 10000;
module_param_named(ms, scribble_ms, uint, 0444);

static void send(u32 icr, u32 apic_id)
{
	unsigned long flags;

	local_irq_save(flags);
	apic->icr_write(icr, apic_id);
	local_irq_restore(flags);
}

static u32 apic_id_of(unsigned int cpu)
{
	return cpu_data(cpu).topo.apicid;
}

/* -- everything hangs, in a handler that nothing interrupts ------------------- */

static int hang_in_nmi(unsigned int cmd, struct pt_regs *regs)
{
	for (;;)
		cpu_relax();
}

static int start_nmi_hang(void)
{
	unsigned int cpu, this = get_cpu();
	int err = register_nmi_handler(NMI_LOCAL, hang_in_nmi, 0, "faults");

	for_each_online_cpu(cpu)
		if (!err && cpu != this)
			send(APIC_DM_NMI, apic_id_of(cpu));
	if (!err)
		send(APIC_DM_NMI, apic_id_of(this));
	put_cpu();
	return err;
}

/* -- memory that is its own --------------------------------------------------- */

/* The firmware area: ACPI, registers, EFI runtime, first page tables, shared region. */
static int scribble_firmware(void)
{
	u8 *area = memremap(addr, SZ_2M, MEMREMAP_WB);

	if (!area)
		return -ENOMEM;
	memset(area, 0xff, SZ_2M);
	return 0;
}

/* What the kernel knows of its own pages. */
static int scribble_pages(void)
{
	memset(vmemmap + PHYS_PFN(addr), 0x5a, SZ_1M);
	return 0;
}

/* -- other CPUs --------------------------------------------------------------- */

static int flood(void *icr)
{
	while (!kthread_should_stop()) {
		int i;

		for (i = 0; i < (gap_ms ? 1 : 1000); i++)
			send((uintptr_t)icr, dest);
		cond_resched();
		if (gap_ms)
			msleep(gap_ms);
	}
	return 0;
}

static int start_flood(u32 icr)
{
	struct task_struct *task = kthread_run(flood, (void *)(uintptr_t)icr, "flood");

	return PTR_ERR_OR_ZERO(task);
}

/* Two CPUs that wake each other. */
static int start_fight(void)
{
	u8 *page = __va(addr);
	unsigned int cpu, this = get_cpu(), n = 0;

	memcpy(page, fight, fight_end - fight);
	*(u32 *)(page + FIGHT_FAR) += addr;
	*(u32 *)(page + FIGHT_GDT_PTR + 2) += addr;
	*(u32 *)(page + FIGHT_PAGE) = PHYS_PFN(addr);
	for_each_online_cpu(cpu)
		if (n < 2)
			((u32 *)(page + FIGHT_CPUS))[n++] = apic_id_of(cpu) << 24;
	for_each_online_cpu(cpu) {
		if (cpu == this)
			continue;
		send(APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT, apic_id_of(cpu));
		send(APIC_INT_LEVELTRIG | APIC_DM_INIT, apic_id_of(cpu));
		send(APIC_DM_STARTUP | PHYS_PFN(addr), apic_id_of(cpu));
	}
	for (;;)
		cpu_relax();
}

/* -- the host ----------------------------------------------------------------- */

/* No interrupt on the writer's CPU for so long. */
static int be_late(const char *value, const struct kernel_param *kp)
{
	unsigned int ms;
	int err = kstrtouint(value, 0, &ms);

	if (err)
		return err;
	local_irq_disable();
	mdelay(ms);
	touch_nmi_watchdog();
	local_irq_enable();
	return 0;
}

static const struct kernel_param_ops late_ops = { .set = be_late };
module_param_cb(late_ms, &late_ops, NULL, 0200);

static int __init faults_init(void)
{
	if (!strcmp(fault, "nmi-hang"))
		return start_nmi_hang();
	if (!strcmp(fault, "scribble-firmware"))
		return scribble_firmware();
	if (!strcmp(fault, "scribble-pages"))
		return scribble_pages();
	if (!strcmp(fault, "flood"))
		return start_flood(APIC_DM_FIXED | vector);
	if (!strcmp(fault, "init"))
		return start_flood(APIC_INT_LEVELTRIG | APIC_INT_ASSERT | APIC_DM_INIT);
	if (!strcmp(fault, "fight"))
		return start_fight();
	if (!strcmp(fault, "scribble-channel"))
		return start_scribble_channel(scribble_ms);
	return strcmp(fault, "nothing") ? -EINVAL : 0;
}
module_init(faults_init);

static void __exit faults_exit(void)
{
}
module_exit(faults_exit);

MODULE_DESCRIPTION("Faults of a spawn kernel for multikernel's tests");
MODULE_LICENSE("GPL");
