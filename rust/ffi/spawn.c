// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, spawn part: what the module needs where this kernel is not the
 * host but one beside it.
 */
#include <linux/acpi.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/panic_notifier.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/sched.h>
#include <linux/smpboot.h>
#include <linux/string.h>
#include <linux/unaligned.h>

#include "shim.h"

/* Our table, see "Tables" in Documentation/boot-contract.rst; its checksum is ACPICA's business. */
#define MK_CONTRACT 36
#define MK_SIZE 40
#define MK_START 44
#define MK_END 60

/* Where the region is that this kernel shares with its host; false when it has none. */
bool mk_region_find(u64 *start, u64 *size)
{
	struct acpi_table_header *table;
	const u8 *bytes;
	bool good;

	if (ACPI_FAILURE(acpi_get_table("MKRN", 0, &table)))
		return false;
	bytes = (const u8 *)table;
	good = table->length >= MK_END && get_unaligned_le32(bytes + MK_CONTRACT) == 1 &&
	       get_unaligned_le32(bytes + MK_SIZE) >= MK_END - MK_CONTRACT;
	if (good) {
		*start = get_unaligned_le64(bytes + MK_START);
		*size = get_unaligned_le64(bytes + MK_START + 8);
	}
	acpi_put_table(table);
	return good;
}

/* It is RAM that the memory map calls reserved. */
u8 *mk_region_map(u64 start, u64 size)
{
	return memremap(start, size, MEMREMAP_WB);
}

void mk_region_unmap(u8 *region)
{
	memunmap(region);
}

/*
 * A beat of each CPU: a thread, not a timer, since a CPU that runs nothing but one loop with
 * interrupts on makes no progress either; and real-time, so that busy neighbours do not hold it up.
 */
#define MK_BEAT msecs_to_jiffies(100)

static DEFINE_PER_CPU(struct task_struct *, mk_beats);

/* Set as long as anything below can be called. */
static const struct mk_spawn_ops *mk_ops;
static const void *mk_data;

static void mk_beat_setup(unsigned int cpu)
{
	sched_set_fifo(current);
}

static int mk_beat_due(unsigned int cpu)
{
	return true;
}

static void mk_beat(unsigned int cpu)
{
	mk_ops->beat(mk_data, cpu, true);
	schedule_timeout_interruptible(MK_BEAT);
}

static void mk_beat_park(unsigned int cpu)
{
	mk_ops->beat(mk_data, cpu, false);
}

static void mk_beat_cleanup(unsigned int cpu, bool online)
{
	mk_ops->beat(mk_data, cpu, false);
}

static struct smp_hotplug_thread mk_beat_threads = {
	.store = &mk_beats,
	.setup = mk_beat_setup,
	.thread_should_run = mk_beat_due,
	.thread_fn = mk_beat,
	.park = mk_beat_park,
	.cleanup = mk_beat_cleanup,
	.thread_comm = "multikernel/%u",
};

/*
 * Last of all who want to know: what others print is then in the log, which the host reads. It
 * stops this CPU when it has heard; who goes on gives it 15 ms, see mk_restart().
 */
static int mk_panic(struct notifier_block *nb, unsigned long action, void *text)
{
	mk_ops->panic(mk_data, text, strnlen(text, 1024));
	mdelay(MSEC_PER_SEC);
	return NOTIFY_DONE;
}

static struct notifier_block mk_panic_notifier = { .notifier_call = mk_panic, .priority = INT_MIN };

/* The CPUs stop one after the other: no beats, and nobody who answers. */
static int mk_leave(struct notifier_block *nb, unsigned long action, void *data)
{
	/* Who halts is not gone: its beats end. */
	if (action != SYS_HALT)
		mk_ops->leave(mk_data);
	return NOTIFY_DONE;
}

static struct notifier_block mk_leave_notifier = { .notifier_call = mk_leave };

/*
 * reboot(2), before any other way to reset this machine, which is the host's: where the register
 * has no effect within 15 ms, x86 goes on to the keyboard controller. The host stops this CPU.
 */
static int mk_restart(struct notifier_block *nb, unsigned long mode, void *command)
{
	pr_notice("multikernel: the host is asked for a reset\n");
	local_irq_disable();
	if (ACPI_FAILURE(acpi_reset()))
		return NOTIFY_DONE;
	for (;;)
		halt();
}

static struct notifier_block mk_restart_handler = { .notifier_call = mk_restart, .priority = 255 };

int mk_spawn_register(const struct mk_spawn_ops *ops, const void *data)
{
	int ret;

	mk_ops = ops;
	mk_data = data;
	ret = smpboot_register_percpu_thread(&mk_beat_threads);
	if (ret)
		return ret;
	ret = register_reboot_notifier(&mk_leave_notifier);
	if (ret) {
		smpboot_unregister_percpu_thread(&mk_beat_threads);
		return ret;
	}
	register_restart_handler(&mk_restart_handler);
	atomic_notifier_chain_register(&panic_notifier_list, &mk_panic_notifier);
	return 0;
}

void mk_spawn_unregister(void)
{
	atomic_notifier_chain_unregister(&panic_notifier_list, &mk_panic_notifier);
	unregister_restart_handler(&mk_restart_handler);
	unregister_reboot_notifier(&mk_leave_notifier);
	smpboot_unregister_percpu_thread(&mk_beat_threads);
}

void mk_poweroff(void)
{
	orderly_poweroff(true);
}

void mk_reboot_orderly(void)
{
	orderly_reboot();
}
