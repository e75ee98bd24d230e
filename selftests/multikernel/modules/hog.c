// SPDX-License-Identifier: GPL-2.0
/* Takes its CPU for ever, from kernel threads too: for kernels that we have no module for. */
#include <linux/sched.h>
#include <sys/syscall.h>

void _start(void)
{
	struct { int priority; } param = { 99 };
	long result;

	asm volatile("syscall" : "=a"(result)
		     : "a"(SYS_sched_setscheduler), "D"(0), "S"(SCHED_FIFO), "d"(&param)
		     : "rcx", "r11", "memory");
	for (;;)
		;
}
