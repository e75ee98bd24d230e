/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the C programs here share: the files of an instance and the system calls.
 *
 * Functions that can fail return 0 or an errno. Their instances have the CPUs
 * 2 and 3; CPU 1 stays online, and CPU 4 belongs to nobody.
 */
#ifndef MULTIKERNEL_H
#define MULTIKERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define CONFIG_DIR	"/sys/kernel/config/multikernel"
#define CLASS_DIR	"/sys/class/multikernel"
#define OVERVIEW	"/proc/multikernel"
#define NAME		"selftest"

/* Of include/uapi/linux/{kexec,reboot}.h, which the build machine may lack. */
#define ON_CRASH		0x1UL
#define PRESERVE_CONTEXT	0x2UL
#define MULTIKERNEL		0x10UL
#define ARCH_X86_64		(62UL << 16)
#define ARCH_PPC64		(21UL << 16)
#define CPU_FLAG(cpu)		((unsigned long)(cpu) << 32)

#define REBOOT_MAGIC1		0xfee1dead
#define REBOOT_MAGIC2		0x28121969
#define REBOOT_CMD_MULTIKERNEL	0x4D4B4C49
#define BOOT_START		1

struct boot_args {
	__u32 size;
	__u32 op;
	char name[40];
};

/* A test that hangs ends sooner or later; one on a slow machine is not to end sooner. */
#ifdef TEST_TIMEOUT_DEFAULT
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	180
#endif

/* A deadline in seconds, on kernels that check a lot, too. */
static inline double patience(double seconds)
{
	const char *factor = getenv("MK_SLOW");

	return seconds * (factor ? atof(factor) : 1);
}

/* -- files ---------------------------------------------------------------- */

/* One write(2). */
static inline int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);
	int err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		err = errno;
	close(fd);
	return err;
}

/* The file's text, without the newline at its end; "" when it cannot be read. */
static inline char *get(const char *path)
{
	static char text[8][8192];
	static int turn;
	char *buf = text[turn++ % 8];
	int fd = open(path, O_RDONLY);
	ssize_t len, all = 0;

	while (fd >= 0 && (len = read(fd, buf + all, sizeof(text[0]) - 1 - all)) > 0)
		all += len;
	if (fd >= 0)
		close(fd);
	if (all && buf[all - 1] == '\n')
		all--;
	buf[all] = '\0';
	return buf;
}

/* In KiB: "MemFree:" and the like. */
static inline long kib_of(const char *key)
{
	char *at = strstr(get("/proc/meminfo"), key);

	return at ? atol(at + strlen(key)) : -1;
}

static inline double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* In KiB, without what the host only remembers. */
static inline long free_memory(void)
{
	sync();
	put("/proc/sys/vm/drop_caches", "3");
	return kib_of("MemFree:");
}

/* What the host's own work moves, and the free pages of each CPU, which do not count; in KiB. */
#define SLACK	(32L << 10)

/* KiB that are missing since there were so many. What is on its way back gets time to come. */
static inline long missing_memory(long before)
{
	double end = now() + 15;
	long missing;

	while ((missing = before - free_memory()) >= SLACK && now() < end)
		usleep(500000);
	return missing;
}

static inline char *path_of(const char *format, ...)
{
	static char path[8][256];
	static int turn;
	char *buf = path[turn++ % 8];
	va_list args;

	va_start(args, format);
	vsnprintf(buf, sizeof(path[0]), format, args);
	va_end(args);
	return buf;
}

static inline int set_online(int cpu, int online)
{
	return put(path_of("/sys/devices/system/cpu/cpu%d/online", cpu), online ? "1" : "0");
}

static inline int is_online(int cpu)
{
	return get(path_of("/sys/devices/system/cpu/cpu%d/online", cpu))[0] == '1';
}

/* -- an instance ---------------------------------------------------------- */

static inline int order(const char *name, const char *word)
{
	return put(path_of(CLASS_DIR "/%s/state", name), word);
}

static inline char *state_of(const char *name)
{
	return get(path_of(CLASS_DIR "/%s/state", name));
}

/* The instance's column of the overview; "" when there is none. */
static inline char *column(const char *name, const char *wanted)
{
	static char value[128];
	char *text = get(OVERVIEW), *line, *word, *lines, *words;
	int at = 0, n, ours;

	value[0] = '\0';
	for (line = strtok_r(text, "\n", &lines); line; line = strtok_r(NULL, "\n", &lines)) {
		ours = 0;
		n = 1;
		for (word = strtok_r(line, " ", &words); word;
		     word = strtok_r(NULL, " ", &words), n++) {
			if (!strcmp(word, wanted) && !at)
				at = n;
			ours |= n == 2 && !strcmp(word, name);
			if (n == at && ours)
				snprintf(value, sizeof(value), "%s", word);
		}
	}
	return value;
}

static inline int sys_load(unsigned long entry, unsigned long nr, const void *segments,
			   unsigned long flags)
{
	return syscall(SYS_kexec_load, entry, nr, segments, flags) ? errno : 0;
}

static inline int unload(int cpu)
{
	return sys_load(0, 0, NULL, MULTIKERNEL | ARCH_X86_64 | CPU_FLAG(cpu));
}

static inline int sys_boot(const void *args)
{
	return syscall(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2, REBOOT_CMD_MULTIKERNEL, args) ?
	       errno : 0;
}

static inline int start(const char *name)
{
	struct boot_args args = { .size = sizeof(args), .op = BOOT_START };

	snprintf(args.name, sizeof(args.name), "%s", name);
	return sys_boot(&args);
}

/* Makes an empty instance; its CPUs go offline. */
static inline int create(const char *name, const char *cpus, const char *memory)
{
	int cpu, err;

	if (mkdir(path_of(CONFIG_DIR "/%s", name), 0755))
		return errno;
	err = put(path_of(CONFIG_DIR "/%s/cpus", name), cpus);
	if (!err)
		err = put(path_of(CONFIG_DIR "/%s/memory", name), memory);
	/* The lists that are used here are "2-3", "2" and "3". */
	for (cpu = cpus[0] - '0'; !err && cpu <= cpus[strlen(cpus) - 1] - '0'; cpu++)
		err = set_online(cpu, 0);
	return err;
}

/* Whatever it is in, or when it is gone already. Its CPUs must come back; others may be in use. */
static inline int destroy(const char *name)
{
	char *cpus = get(path_of(CONFIG_DIR "/%s/cpus", name));
	int cpu, failed, err = 0;

	if (!access(path_of(CONFIG_DIR "/%s", name), F_OK)) {
		order(name, "kill");
		if (cpus[0])
			err = unload(atoi(cpus));
		if (rmdir(path_of(CONFIG_DIR "/%s", name)))
			err = errno;
	}
	for (cpu = 2; cpu < 5; cpu++) {
		failed = set_online(cpu, 1);
		if (strchr(cpus, '0' + cpu))
			err = failed ?: err;
	}
	return err;
}

/* -- the module ----------------------------------------------------------- */

static inline int remove_module(void)
{
	return syscall(SYS_delete_module, "multikernel", O_NONBLOCK) ? errno : 0;
}

static inline int insert_module(void)
{
	const char *path = getenv("MK_MODULE");
	int fd, err;

	if (!access("/sys/module/multikernel", F_OK))
		return 0;
	if (!path)
		return system("modprobe multikernel") ? ENOENT : 0;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno;
	err = syscall(SYS_finit_module, fd, "", 0) ? errno : 0;
	close(fd);
	return err;
}

/* Why the tests cannot run here, or NULL. */
static inline const char *unfit(void)
{
	if (geteuid())
		return "needs root";
	/* The first thing that the series does with this command is to read its argument. */
	if (!getenv("MK_SERIES") && sys_boot(NULL) != EFAULT)
		return "this kernel lacks the multikernel series";
	if (access("/sys/devices/system/cpu/cpu4", F_OK))
		return "this machine has fewer than 5 CPUs";
	return NULL;
}

#endif
