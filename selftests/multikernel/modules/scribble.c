// SPDX-License-Identifier: GPL-2.0
/*
 * A hostile end of the channel (Documentation/wire-protocol.rst): writes what it likes over its own
 * section of the region, words that make no sense as well as those that nearly do, and rings the
 * host without pause.
 */
#include <linux/acpi.h>
#include <linux/delay.h>
#include <linux/io.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/random.h>

#include <asm/apic.h>

#include "scribble.h"

#define MAGIC		0x4c4e4e4148434b4dull
#define ROLE_SPAWN	2
#define SESSION		0x38
#define CREDITS		0x80
#define SLEEP		0x100
#define FIRST		0xfffffff0u

/* Of the table MKRN: Documentation/boot-contract.rst. */
struct mkrn {
	struct acpi_table_header header;
	u32 version;
	u32 size;
	u64 region;
	u64 region_size;
} __packed;

struct hello {
	u64 magic;
	u16 newest;
	u16 oldest;
	u32 role;
	u64 size;
	u64 offered;
	u64 required;
	u32 apic_id;
	u32 vector;
	u32 verdict;
	u32 beat_ms;
};

static struct {
	void *host;
	void *own;
	u64 size;
	unsigned long until;
} channel;

static bool over(void)
{
	return time_after(jiffies, channel.until);
}

/* A word of our section; x86 keeps the order. */
static void put(u64 at, u64 value)
{
	WRITE_ONCE(*(u64 *)(channel.own + at), value);
}

/* Whatever, wherever. */
static void scribble(void)
{
	int i;

	for (i = 0; i < 1000; i++)
		put(get_random_u32_below(channel.size / 2) & ~7u, get_random_u64());
}

/* A session is agreed on; the generation, or 0 when the host does not answer. */
static u32 meet(void)
{
	struct hello hello = {
		.magic = MAGIC, .newest = 1, .oldest = 1, .role = ROLE_SPAWN, .size = channel.size,
		.offered = 1, .beat_ms = 100,
	};
	u32 ticket = get_random_u32() | 1;
	int i;

	put(SESSION, 0);
	memcpy(channel.own, &hello, sizeof(hello));
	put(SESSION, ticket);
	for (i = 0; i < 500 && !over(); i++) {
		u64 answer = READ_ONCE(*(u64 *)(channel.host + SESSION));

		if (answer >> 32 && (u32)answer == ticket) {
			put(SESSION, answer);
			return answer >> 32;
		}
		usleep_range(1000, 2000);
	}
	return 0;
}

/* What slots, credits and sleeping might look like. */
static void pretend(u32 generation)
{
	u64 slots = channel.size / 8, stamp = (u64)generation << 32;
	u32 i;

	for (i = 0; i < 64; i++) {
		u64 slot = slots + (FIRST + i) % (channel.size / 512) * 64;

		/* Length, class, flags, port: of what nearly is a frame. */
		put(slot + 8, get_random_u64() & 0x000703070000003full);
		put(slot, stamp | (FIRST + i));
	}
	for (i = 0; i < 16; i += 8) {
		put(CREDITS + i, stamp | (FIRST + get_random_u32_below(64)));
		put(SLEEP + i, stamp | (FIRST + get_random_u32_below(64)));
	}
}

static int scribbler(void *unused)
{
	while (!over()) {
		u32 generation = meet();

		if (generation)
			pretend(generation);
		usleep_range(5000, 10000);
		scribble();
		cond_resched();
	}
	pr_crit("scribble: done\n");
	return 0;
}

static int ringer(void *unused)
{
	struct hello *host = channel.host;

	while (!over()) {
		unsigned long flags;
		int i;

		for (i = 0; i < 100; i++) {
			local_irq_save(flags);
			apic->icr_write(APIC_DM_FIXED | (READ_ONCE(host->vector) & 0xff),
					READ_ONCE(host->apic_id));
			local_irq_restore(flags);
		}
		cond_resched();
	}
	return 0;
}

int start_scribble_channel(unsigned int ms)
{
	struct acpi_table_header *header;
	struct mkrn *table;

	if (ACPI_FAILURE(acpi_get_table("MKRN", 1, &header)))
		return -ENODEV;
	table = (struct mkrn *)header;
	channel.size = table->region_size;
	channel.host = memremap(table->region, channel.size, MEMREMAP_WB);
	if (!channel.host)
		return -ENOMEM;
	channel.own = channel.host + channel.size / 2;
	channel.until = jiffies + msecs_to_jiffies(ms);
	return PTR_ERR_OR_ZERO(kthread_run(scribbler, NULL, "scribbler")) ?:
	       PTR_ERR_OR_ZERO(kthread_run(ringer, NULL, "ringer"));
}
