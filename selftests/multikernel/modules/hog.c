// SPDX-License-Identifier: GPL-2.0
/*
 * Takes its CPU, from kernel threads too: for kernels that we have no module for. RCU's detector
 * sees that if a grace period is going on. So somebody waits for one after the other, and every
 * eight seconds there is a moment for it, should none have been begun when the CPUs were taken.
 */
#include <linux/membarrier.h>
#include <linux/sched.h>
#include <linux/time.h>
#include <linux/time_types.h>
#include <sys/syscall.h>

#define SPELL	8

static long call(long number, long first, const void *second, const void *third)
{
	long result;

	asm volatile("syscall" : "=a"(result)
		     : "a"(number), "D"(first), "S"(second), "d"(third)
		     : "rcx", "r11", "memory");
	return result;
}

static long long seconds(void)
{
	struct __kernel_timespec now;

	call(SYS_clock_gettime, CLOCK_MONOTONIC, &now, 0);
	return now.tv_sec;
}

void _start(void)
{
	struct { int priority; } param = { 99 };
	struct __kernel_timespec moment = { .tv_nsec = 50000000 };
	long long until;

	if (!call(SYS_fork, 0, 0, 0))
		for (;;)
			call(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
	call(SYS_sched_setscheduler, 0, (void *)SCHED_FIFO, &param);
	for (;;) {
		call(SYS_nanosleep, (long)&moment, 0, 0);
		for (until = seconds() + SPELL; seconds() < until;)
			;
	}
}
