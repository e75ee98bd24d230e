// SPDX-License-Identifier: GPL-2.0
/*
 * Both ends of many deaths.
 *
 * As process 1 it is the user space of a spawn kernel: it loads the module where there is one,
 * tells the time stamp counter, the one clock that all kernels of a machine share, and dies by the
 * last word of its command line.
 * As any other process, deaths FOLDER LIVES [CPU], it starts the instance so often, waits until
 * it is dead, and tells when poll(2), its uevent and /proc/multikernel said so, the state and the
 * reason. The table is read when one of the others has spoken. With a CPU it starts it there, and
 * then keeps that CPU from all interrupts for a second (modules/faults.c).
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DEADLINE_MS 120000 /* an emulator on a busy machine takes its time for a life */
#define HANG_AFTER 500000000ULL /* ticks of a nanosecond, as QEMU counts them */
#define LATE	"/sys/module/faults/parameters/late_ms"

static unsigned long long tsc(void)
{
	unsigned int low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (unsigned long long)high << 32 | low;
}

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY), len = strlen(text);
	int done = write(fd, text, len) == len;

	close(fd);
	return done;
}

/* A module, if it is there. */
static void load(const char *path)
{
	int module = open(path, O_RDONLY);

	if (module >= 0 && syscall(SYS_finit_module, module, "", 0))
		pause(); /* a life that does not end is seen */
}

static int die(const char *how)
{
	int kmsg = open("/dev/kmsg", O_WRONLY), digit;
	char line[] = "<0>0123456789abcdef\n"; /* without its end it waits for more */
	unsigned long long now;

	load("/multikernel.ko");
	if (!strcmp(how, "hang")) {
		load("/faults.ko");
		mount("sysfs", "/sys", "sysfs", 0, NULL);
		sleep(1); /* it has promised beats by now */
	}
	now = tsc();
	if (!strcmp(how, "hang"))
		now += HANG_AFTER; /* there is time to print it */
	for (digit = 0; digit < 16; digit++)
		line[3 + digit] = "0123456789abcdef"[now >> (60 - 4 * digit) & 15];
	if (write(kmsg, line, sizeof(line) - 1) < 0)
		return 1;
	if (!strcmp(how, "poweroff"))
		return reboot(RB_POWER_OFF);
	if (!strcmp(how, "reboot"))
		return reboot(RB_AUTOBOOT);
	if (!strcmp(how, "hang")) {
		usleep(HANG_AFTER / 2000);
		while (tsc() < now)
			;
		return put(LATE, "60000");
	}
	return 0; /* "Attempted to kill init!" */
}

static char *get(const char *folder, const char *file, char *text, int size)
{
	char path[128];
	int fd, len;

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	fd = open(path, O_RDONLY);
	len = read(fd, text, size - 1);
	close(fd);
	text[len > 0 ? len : 0] = '\0';
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	return text;
}

static int alive(const char *state)
{
	return !strcmp(state, "running") || !strcmp(state, "starting");
}

/* Whether the table, which has no other instance, tells of a death. */
static int shown_dead(void)
{
	char table[1024];

	get("/proc", "multikernel", table, sizeof(table));
	return *table && !strstr(table, " running ") && !strstr(table, " starting ");
}

/* A life; what it says of it is one line on the console. */
static int live(const char *folder, int late)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	struct pollfd watched[2] = { { .events = POLLPRI }, { .events = POLLIN } };
	unsigned long long polled = 0, event = 0, shown = 0;
	char path[128], state[32], reason[64], message[2048];

	watched[1].fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT);
	if (bind(watched[1].fd, (struct sockaddr *)&address, sizeof(address)))
		return 0;
	snprintf(path, sizeof(path), "%s/state", folder);
	if (!put(path, "start"))
		return 0;
	if (late && !put(LATE, "1000"))
		return 0;
	watched[0].fd = open(path, O_RDONLY);
	for (;;) {
		int len = pread(watched[0].fd, state, sizeof(state) - 1, 0);

		state[len > 0 ? len - 1 : 0] = '\0';
		if (!polled && !alive(state))
			polled = tsc();
		if (!shown && (polled || event) && shown_dead())
			shown = tsc();
		if (polled && event && shown)
			break;
		if (poll(watched, 2, DEADLINE_MS) <= 0)
			break;
		while (recv(watched[1].fd, message, sizeof(message), MSG_DONTWAIT) > 0)
			if (!alive(get(folder, "state", state, sizeof(state))) && !event)
				event = tsc();
	}
	close(watched[0].fd);
	close(watched[1].fd);
	printf("death: %016llx %016llx %016llx %s %s\n", polled, event, shown, state,
	       get(folder, "reason", reason, sizeof(reason)));
	return polled != 0;
}

int main(int argc, char **argv)
{
	cpu_set_t cpus;
	int life;

	if (getpid() == 1)
		return die(argv[argc - 1]);
	if (argc > 3) {
		CPU_ZERO(&cpus);
		CPU_SET(atoi(argv[3]), &cpus);
		sched_setaffinity(0, sizeof(cpus), &cpus);
	}
	for (life = 0; life < atoi(argv[2]); life++)
		if (!live(argv[1], argc > 3))
			return 1;
	return 0;
}
