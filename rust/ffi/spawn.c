// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, spawn part: what the module needs where this kernel is not the
 * host but one beside it.
 */
#include <linux/acpi.h>
#include <linux/cpuhotplug.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/irqflags.h>
#include <linux/panic_notifier.h>
#include <linux/percpu.h>
#include <linux/reboot.h>
#include <linux/string.h>
#include <linux/unaligned.h>
#include <linux/workqueue.h>

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
 * A beat of each CPU: work, not a timer, since a CPU that runs nothing but one
 * loop with interrupts on makes no progress either.
 */
#define MK_BEAT msecs_to_jiffies(100)

static DEFINE_PER_CPU(struct delayed_work, mk_beats);

/* Set as long as anything below can be called. */
static const struct mk_spawn_ops *mk_ops;
static const void *mk_data;

static void mk_beat(struct work_struct *work)
{
	unsigned int cpu = raw_smp_processor_id();

	mk_ops->beat(mk_data, cpu, true);
	queue_delayed_work_on(cpu, system_highpri_wq, to_delayed_work(work), MK_BEAT);
}

static int mk_beat_online(unsigned int cpu)
{
	struct delayed_work *beat = per_cpu_ptr(&mk_beats, cpu);

	INIT_DELAYED_WORK(beat, mk_beat);
	mk_ops->beat(mk_data, cpu, true);
	queue_delayed_work_on(cpu, system_highpri_wq, beat, MK_BEAT);
	return 0;
}

static int mk_beat_offline(unsigned int cpu)
{
	cancel_delayed_work_sync(per_cpu_ptr(&mk_beats, cpu));
	mk_ops->beat(mk_data, cpu, false);
	return 0;
}

static int mk_beat_state;

/*
 * Last of all who want to know: what others print is then in the log, which the host reads. It stops
 * this CPU when it has heard; who goes on gives it 15 ms, see mk_restart().
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
	mk_ops->leave(mk_data);
	return NOTIFY_DONE;
}

static struct notifier_block mk_leave_notifier = { .notifier_call = mk_leave };

/*
 * Before any other way to reset this machine, which is the host's: where the register has no effect
 * within 15 ms, x86 goes on to the keyboard controller. The host stops this CPU.
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
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "multikernel:beat", mk_beat_online,
				mk_beat_offline);
	if (ret < 0)
		return ret;
	mk_beat_state = ret;
	ret = register_reboot_notifier(&mk_leave_notifier);
	if (ret) {
		cpuhp_remove_state(mk_beat_state);
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
	cpuhp_remove_state(mk_beat_state);
}

void mk_poweroff(void)
{
	orderly_poweroff(true);
}

void mk_reboot_orderly(void)
{
	orderly_reboot();
}
