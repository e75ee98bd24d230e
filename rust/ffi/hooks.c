// SPDX-License-Identifier: GPL-2.0
/* The C shim, hooks half: what the kernel calls, handed on to Rust. */
#include <linux/cpuhotplug.h>
#include <linux/kexec.h>
#include <linux/module.h>

#include "shim.h"

/* rust/ffi/hooks.rs reads the segments by this layout. */
static_assert(offsetof(struct kexec_segment, buf) == 0);
static_assert(offsetof(struct kexec_segment, bufsz) == 8);
static_assert(offsetof(struct kexec_segment, mem) == 16);
static_assert(offsetof(struct kexec_segment, memsz) == 24);
static_assert(sizeof(struct kexec_segment) == 32);

static int mk_load(unsigned long entry, unsigned long nr_segments,
		   struct kexec_segment *segments, unsigned long flags)
{
	return mk_rust_load(entry, nr_segments, segments, flags);
}

static int mk_start(const char *name)
{
	return mk_rust_start(name);
}

static void mk_crash_stop(void)
{
	mk_rust_crash_stop();
}

static const struct multikernel_ops mk_ops = {
	.owner = THIS_MODULE,
	.load = mk_load,
	.start = mk_start,
	.crash_stop = mk_crash_stop,
};

int mk_hooks_register(void)
{
	return multikernel_register(&mk_ops);
}

void mk_hooks_unregister(void)
{
	multikernel_unregister(&mk_ops);
}

static int mk_cpu_starting(unsigned int cpu)
{
	return mk_rust_cpu_starting(cpu);
}

int mk_hotplug_register(void)
{
	return cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "multikernel:lent",
					 mk_cpu_starting, NULL);
}

void mk_hotplug_unregister(int state)
{
	cpuhp_remove_state_nocalls(state);
}
