// SPDX-License-Identifier: GPL-2.0
/*
 * What the benchmarks run inside their machines, built with the kernel's nolibc.
 *
 * As process 1 it is the whole user space of the measured kernel: it tells the time stamp
 * counter, the one clock that all kernels of a machine share, and reboots; with the argument
 * "stay" it idles instead. As any other process it writes "start" to the file in its
 * argument, and tells the counter before and after that.
 */
#include <linux/reboot.h>

static unsigned long long tsc(void)
{
	unsigned int low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (unsigned long long)high << 32 | low;
}

/* Through the kernel's log: it polls the serial port, which has no interrupt in a spawn. */
static void say(const char *event, unsigned long long when)
{
	int kmsg = open("/dev/kmsg", O_WRONLY);
	char line[64];

	/* A write is a line. */
	write(kmsg, line, snprintf(line, sizeof(line), "<0>bench: %s %llu", event, when));
	close(kmsg);
}

int main(int argc, char **argv)
{
	unsigned long long before = tsc(), after;
	int state;

	if (getpid() == 1) {
		say("init", before);
		/* Words that the kernel does not know come before it. */
		while (!strcmp(argv[argc - 1], "stay"))
			sleep(1);
		return reboot(LINUX_REBOOT_CMD_RESTART);
	}
	state = argc > 1 ? open(argv[1], O_WRONLY) : -1;
	say("ready", tsc());
	before = tsc();
	if (write(state, "start", 5) != 5) {
		perror("start");
		return 1;
	}
	after = tsc();
	say("start", before);
	say("entry", after);
	return 0;
}
