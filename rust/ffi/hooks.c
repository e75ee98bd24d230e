// SPDX-License-Identifier: GPL-2.0
/* The C shim, hooks half: what the kernel calls, handed on to Rust. */
#include <linux/cpuhotplug.h>
#include <linux/kexec.h>
#include <linux/module.h>
#include <linux/reboot.h>
#include <linux/suspend.h>
#include <linux/syscore_ops.h>

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

/* Reboot, poweroff, halt and kexec of the host: no spawn outlives it. */
static int mk_reboot(struct notifier_block *nb, unsigned long action, void *data)
{
	mk_rust_host_down();
	return NOTIFY_DONE;
}

static struct notifier_block mk_reboot_notifier = { .notifier_call = mk_reboot };

#ifdef CONFIG_PM_SLEEP
/* Lent CPUs cannot be brought over a suspend, nor can memory over a hibernation. */
static int mk_pm(struct notifier_block *nb, unsigned long action, void *data)
{
	switch (action) {
	case PM_SUSPEND_PREPARE:
		return notifier_from_errno(mk_rust_suspend());
	case PM_POST_SUSPEND:
		mk_rust_suspended();
		return NOTIFY_DONE;
	case PM_HIBERNATION_PREPARE:
	case PM_RESTORE_PREPARE:
		return notifier_from_errno(mk_rust_may_hibernate());
	case PM_POST_HIBERNATION:
	case PM_POST_RESTORE:
		mk_rust_hibernated();
		return NOTIFY_DONE;
	default:
		return NOTIFY_DONE;
	}
}

static struct notifier_block mk_pm_notifier = { .notifier_call = mk_pm };
#else
static struct notifier_block mk_pm_notifier;
#endif

/* What no notifier is told of: a kexec that preserves the context. */
static int mk_suspend(void *data)
{
	return mk_rust_may_suspend();
}

static const struct syscore_ops mk_syscore_ops = { .suspend = mk_suspend };
static struct syscore mk_syscore = { .ops = &mk_syscore_ops };

int mk_hooks_register(void)
{
	int ret = multikernel_register(&mk_ops);

	if (ret)
		return ret;
	ret = register_pm_notifier(&mk_pm_notifier);
	if (ret)
		goto out_ops;
	ret = register_reboot_notifier(&mk_reboot_notifier);
	if (ret)
		goto out_pm;
	register_syscore(&mk_syscore);
	return 0;
out_pm:
	unregister_pm_notifier(&mk_pm_notifier);
out_ops:
	multikernel_unregister(&mk_ops);
	return ret;
}

void mk_hooks_unregister(void)
{
	unregister_syscore(&mk_syscore);
	unregister_reboot_notifier(&mk_reboot_notifier);
	unregister_pm_notifier(&mk_pm_notifier);
	multikernel_unregister(&mk_ops);
}

static int mk_cpu_starting(unsigned int cpu)
{
	return mk_rust_cpu_starting(cpu);
}

static int mk_cpu_online_now(unsigned int cpu)
{
	mk_rust_cpu_online(cpu);
	return 0;
}

/* Before a CPU goes online, and when it is. */
static int mk_starting_state, mk_online_state;

int mk_hotplug_register(void)
{
	mk_starting_state = cpuhp_setup_state_nocalls(CPUHP_BP_PREPARE_DYN, "multikernel:lent",
						      mk_cpu_starting, NULL);
	if (mk_starting_state < 0)
		return mk_starting_state;
	mk_online_state = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "multikernel:online",
						    mk_cpu_online_now, NULL);
	if (mk_online_state < 0) {
		cpuhp_remove_state_nocalls(mk_starting_state);
		return mk_online_state;
	}
	return 0;
}

void mk_hotplug_unregister(void)
{
	cpuhp_remove_state_nocalls(mk_online_state);
	cpuhp_remove_state_nocalls(mk_starting_state);
}
