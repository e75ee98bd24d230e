// SPDX-License-Identifier: GPL-2.0
/*
 * Preloaded into kexec: every system call that is not known to be harmless is trapped by seccomp,
 * written to a log, and faked or done in a false root. Unlike a wrapper of library functions this
 * cannot be passed by: a kexec with a bug does not reboot the machine that tests it.
 *
 * Environment:
 *   FAKE_WORK    folder whose files are real: images, the log, the segments that were loaded
 *   FAKE_ROOT    folder in it that stands for / for every other path
 *   FAKE_ERRORS  "kexec_load=0,16 write:cpus=22": the errno of the first, second... call by name
 *
 * FAKE_WORK/log gets a line for each call, fields separated by tabs: name, arguments, result.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdarg.h>
#include <ucontext.h>
#include <unistd.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define KEXEC_MULTIKERNEL_REBOOT	0x4D4B4C49
#define INSTANCES			"/sys/kernel/config/multikernel/"
#define DEVICES				"/sys/class/multikernel/"
#define PATH_SIZE			1024
#define MAX_FD				64

/* The one place from which system calls pass the filter. */
long raw_syscall(long nr, long a, long b, long c, long d, long e, long f);
extern const char raw_syscall_end[];
asm(".text\n"
    "raw_syscall:\n"
    "	mov %rdi, %rax\n"
    "	mov %rsi, %rdi\n"
    "	mov %rdx, %rsi\n"
    "	mov %rcx, %rdx\n"
    "	mov %r8, %r10\n"
    "	mov %r9, %r8\n"
    "	mov 8(%rsp), %r9\n"
    "	syscall\n"
    "raw_syscall_end:\n"
    "	ret\n");

/* A segment as kexec_load(2) takes it. */
struct segment {
	const void *buf;
	size_t bufsz;
	unsigned long mem;
	size_t memsz;
};

/* Calls that take a path: which argument it is. */
static const struct path_call { int nr; const char *name; int path; } path_calls[] = {
	{ SYS_open, "open", 0 },	  { SYS_openat, "open", 1 },
	{ SYS_access, "access", 0 },	  { SYS_faccessat, "access", 1 },
	{ SYS_stat, "stat", 0 },	  { SYS_lstat, "stat", 0 },
	{ SYS_newfstatat, "stat", 1 },	  { SYS_statx, "stat", 1 },
	{ SYS_readlink, "readlink", 0 },  { SYS_mkdir, "mkdir", 0 },
	{ SYS_rmdir, "rmdir", 0 },	  { SYS_unlink, "unlink", 0 },
};

static const int harmless[] = {
	SYS_read, SYS_pread64, SYS_close, SYS_fstat, SYS_lseek, SYS_getdents64, SYS_fcntl, SYS_mmap,
	SYS_mprotect, SYS_munmap, SYS_brk, SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigreturn,
	SYS_exit, SYS_exit_group, SYS_futex, SYS_uname, SYS_memfd_create,
	SYS_prlimit64, SYS_sched_getaffinity,
};

static const char *work, *root, *errors;
static int log_fd = -1;
static int dumps;
/* What a descriptor was opened for writing as: the path, "" if it was not. */
static char written[MAX_FD][PATH_SIZE];

static long call(long nr, long a, long b, long c, long d)
{
	return raw_syscall(nr, a, b, c, d, 0, 0);
}

static void record(const char *format, ...)
{
	char line[4 * PATH_SIZE];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (len >= (int)sizeof(line))
		len = sizeof(line) - 1;
	call(SYS_write, log_fd, (long)line, len, 0);
}

/* What a string may hold must not look like the log's own tabs and lines. */
static const char *quoted(const char *text, size_t len)
{
	static char out[3 * PATH_SIZE];
	size_t at = 0;

	for (; len && at < sizeof(out) - 5; text++, len--) {
		if (*text >= ' ' && *text <= '~' && *text != '\\')
			out[at++] = *text;
		else
			at += sprintf(out + at, "\\x%02x", (unsigned char)*text);
	}
	out[at] = '\0';
	return out;
}

/* The errno that FAKE_ERRORS holds for this call of the name, 0 for success. */
static int wanted_error(const char *name)
{
	static struct { char name[32]; int calls; } seen[16];
	const char *found = errors;
	size_t len = strlen(name);
	int turn = 0, i;

	while ((found = strstr(found, name))) {
		if ((found == errors || found[-1] == ' ') && found[len] == '=')
			break;
		found += len;
	}
	if (!found)
		return 0;
	for (i = 0; i < 16; i++) {
		if (!seen[i].name[0])
			snprintf(seen[i].name, sizeof(seen[i].name), "%s", name);
		if (!strcmp(seen[i].name, name)) {
			turn = seen[i].calls++;
			break;
		}
	}
	for (found += len + 1; turn; turn--, found++) {
		found += strcspn(found, ", ");
		if (*found != ',')
			return 0;
	}
	return atoi(found);
}

/* Where a path really is, in a buffer of the caller. */
static const char *real_path(const char *path, char *buffer)
{
	if (path[0] != '/' || !strncmp(path, work, strlen(work)))
		return path;
	snprintf(buffer, PATH_SIZE, "%s%s", root, path);
	return buffer;
}

static void dump(const void *data, size_t size)
{
	char path[PATH_SIZE];
	long fd, done;

	snprintf(path, sizeof(path), "%s/dump%d", work, dumps++);
	fd = call(SYS_open, (long)path, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0);
	while (size && (done = call(SYS_write, fd, (long)data, size, 0)) > 0) {
		data = (const char *)data + done;
		size -= done;
	}
	/* Unreadable memory shows as a dump that is too short. */
	call(SYS_close, fd, 0, 0, 0);
}

static void put_file(const char *folder, const char *name, const char *text)
{
	char path[PATH_SIZE];
	long fd;

	snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
	fd = call(SYS_open, (long)path, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0);
	call(SYS_write, fd, (long)text, strlen(text), 0);
	call(SYS_close, fd, 0, 0, 0);
}

static void remove_file(const char *folder, const char *name)
{
	char path[PATH_SIZE];

	snprintf(path, sizeof(path), "%s%s/%s", root, folder, name);
	call(SYS_unlink, (long)path, 0, 0, 0);
}

/* mkdir and rmdir in configfs make and remove the attributes and the device too. */
static void instance_files(const char *path, int present)
{
	char device[PATH_SIZE], real[PATH_SIZE];

	snprintf(device, sizeof(device), DEVICES "%s", path + strlen(INSTANCES));
	real_path(device, real);
	if (present) {
		put_file(path, "cpus", "\n");
		put_file(path, "memory", "0 none\n");
		call(SYS_mkdir, (long)real, 0700, 0, 0);
		put_file(device, "state", "empty\n");
	} else {
		remove_file(path, "cpus");
		remove_file(path, "memory");
		remove_file(device, "state");
		call(SYS_rmdir, (long)real, 0, 0, 0);
	}
}

static long do_path_call(const struct path_call *which, long *arg)
{
	char real[PATH_SIZE];
	const char *path = (const char *)arg[which->path];
	int is_open = !strcmp(which->name, "open");
	int instance = !strncmp(path, INSTANCES, strlen(INSTANCES));
	long flags = is_open ? arg[which->path + 1] : 0;
	long result;

	if (!path[0])	/* fstat(3) */
		return call(which->nr, arg[0], arg[1], arg[2], arg[3]);
	result = -wanted_error(flags & O_ACCMODE ? "open-to-write" : which->name);
	if (!result) {
		if (instance && which->nr == SYS_rmdir)
			instance_files(path, 0);
		arg[which->path] = (long)real_path(path, real);
		result = raw_syscall(which->nr, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
		if (instance && which->nr == SYS_mkdir && !result)
			instance_files(path, 1);
	}
	if (is_open && result >= 0 && result < MAX_FD) {
		written[result][0] = '\0';
		if (flags & O_ACCMODE)
			snprintf(written[result], PATH_SIZE, "%s", path);
	}
	record("%s\t%s\t%#lx\t%ld\n", which->name, quoted(path, strlen(path)), flags,
	       is_open && result >= 0 ? 0 : result);
	return result;
}

static long do_write(long fd, const char *data, size_t size)
{
	const char *path = fd >= 0 && fd < MAX_FD ? written[fd] : "";
	char name[64];
	int error;

	if (!path[0])
		return call(SYS_write, fd, (long)data, size, 0);
	snprintf(name, sizeof(name), "write:%s", strrchr(path, '/') + 1);
	error = wanted_error(name);
	record("write\t%s\t%s\t%d\n", path, quoted(data, size), -error);
	if (error)
		return -error;
	call(SYS_ftruncate, fd, 0, 0, 0);
	call(SYS_write, fd, (long)data, size, 0);
	/* As the module shows it. */
	if (!strcmp(name, "write:memory"))
		call(SYS_write, fd, (long)" set-aside\n", 11, 0);
	return size;
}

static long do_kexec_load(long entry, long count, const struct segment *segments, long flags)
{
	int error = wanted_error("kexec_load");
	long i;

	record("kexec_load\t%#lx\t%ld\t%#lx\t%d\n", entry, count, flags, -error);
	for (i = 0; i < count; i++) {
		record("segment\tdump%d\t%#zx\t%#lx\t%#zx\n", dumps, segments[i].bufsz,
		       segments[i].mem, segments[i].memsz);
		dump(segments[i].buf, segments[i].bufsz);
	}
	return -error;
}

static long do_reboot(long magic1, long magic2, long cmd, const void *arg)
{
	int error = wanted_error("reboot");

	record("reboot\t%#x\t%#x\t%#x\t%d\n", (int)magic1, (int)magic2, (int)cmd, -error);
	if ((int)cmd == KEXEC_MULTIKERNEL_REBOOT) {
		record("argument\tdump%d\n", dumps);
		dump(arg, 48);
	}
	return -error;
}

static long do_execve(const char *path, char *const *argv)
{
	record("execve\t%s", path);
	for (; *argv; argv++)
		record("\t%s", quoted(*argv, strlen(*argv)));
	record("\n");
	return -ENOENT;
}

static long fake(int nr, long *arg)
{
	size_t i;
	int error;

	for (i = 0; i < sizeof(path_calls) / sizeof(path_calls[0]); i++)
		if (path_calls[i].nr == nr)
			return do_path_call(&path_calls[i], arg);
	switch (nr) {
	case SYS_write:
		return do_write(arg[0], (const char *)arg[1], arg[2]);
	case SYS_kexec_load:
		return do_kexec_load(arg[0], arg[1], (const struct segment *)arg[2], arg[3]);
	case SYS_kexec_file_load:
		error = wanted_error("kexec_file_load");
		/* The descriptors by their kind only: -1 or a file. */
		record("kexec_file_load\t%d\t%d\t%s\t%#lx\t%d\n", (int)arg[0] < 0, (int)arg[1] < 0,
		       arg[2] ? quoted((const char *)arg[3], arg[2]) : "", arg[4], -error);
		return -error;
	case SYS_reboot:
		return do_reboot(arg[0], arg[1], arg[2], (const void *)arg[3]);
	case SYS_execve:
		return do_execve((const char *)arg[0], (char *const *)arg[1]);
	case SYS_getrandom:
		/* So that two runs can be compared. */
		memset((void *)arg[0], 0x5a, arg[1]);
		return arg[1];
	case SYS_sync:
		record("sync\n");
		return 0;
	case SYS_socket:
		/* How interfaces are found and downed. */
		record("socket\t%ld\t%ld\n", arg[0], arg[1]);
		return -EPERM;
	case SYS_ioctl:
		record("ioctl\t%#lx\n", arg[1]);
		return -ENOTTY;
	}
	record("unexpected\t%d\n", nr);
	return -ENOSYS;
}

static void on_trap(int signal, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	long arg[6] = { regs[REG_RDI], regs[REG_RSI], regs[REG_RDX],
			regs[REG_R10], regs[REG_R8],  regs[REG_R9] };

	(void)signal;
	regs[REG_RAX] = fake(info->si_syscall, arg);
}

static int install_filter(void)
{
	enum { HARMLESS = sizeof(harmless) / sizeof(harmless[0]) };
	unsigned long pass = (unsigned long)raw_syscall_end;
	struct sock_filter filter[16 + 2 * HARMLESS];
	struct sock_fprog program = { 0, filter };
	struct sigaction action = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };
	int n = 0, i;

#define LOAD(field) filter[n++] = (struct sock_filter) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
#define SKIP_UNLESS(value, count) filter[n++] = (struct sock_filter) \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, count)
#define RETURN(what) filter[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, what)
	LOAD(arch);
	filter[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	RETURN(SECCOMP_RET_KILL_PROCESS);
	LOAD(instruction_pointer);
	SKIP_UNLESS((unsigned int)pass, 3);
	filter[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer) + 4);
	SKIP_UNLESS((unsigned int)(pass >> 32), 1);
	RETURN(SECCOMP_RET_ALLOW);
	LOAD(nr);
	for (i = 0; i < HARMLESS; i++) {
		SKIP_UNLESS(harmless[i], 1);
		RETURN(SECCOMP_RET_ALLOW);
	}
	RETURN(SECCOMP_RET_TRAP);
	program.len = n;

	if (sigaction(SIGSYS, &action, NULL) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

__attribute__((constructor)) static void begin(void)
{
	char path[PATH_SIZE];

	work = getenv("FAKE_WORK");
	root = getenv("FAKE_ROOT");
	errors = getenv("FAKE_ERRORS");
	if (!work || !root || !errors)
		_exit(99);
	snprintf(path, sizeof(path), "%s/log", work);
	log_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	/* Out of the way of kexec's own. */
	log_fd = fcntl(log_fd, F_DUPFD_CLOEXEC, 500);
	if (log_fd < 0 || install_filter()) {
		perror("the system calls cannot be trapped");
		_exit(99);
	}
	record("begin\n");
}
