// SPDX-License-Identifier: GPL-2.0
/*
 * Round trips of messages between two processes, in one kernel or in two, in ticks of the time
 * stamp counter.
 *
 *   pingpong local KIND WAIT SIZE CPU CPU   pipe, unix, eventfd, tcp or vsock, here
 *   pingpong ask NAME WAIT SIZE PATH        a port of another kernel, where it is echoed
 *   pingpong echo PATH                      there: a device, or a Unix socket; without end
 *   pingpong idle NAME SECONDS              what this kernel does in so many seconds, by itself
 *
 * WAIT is sleep or poll, on both sides. Who polls tells the processor so: an emulator then has
 * another one run.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LARGEST	65536
#define COUNT	1000
#define WARM_UP	100

struct side {
	int in, out;
};

static char buffer[LARGEST];
static unsigned long long took[COUNT];

static unsigned long long tsc(void)
{
	unsigned int low, high;

	asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (unsigned long long)high << 32 | low;
}

/* Whether to try again: what is polled has nothing yet. */
static int not_yet(ssize_t got)
{
	if (got >= 0 || errno != EAGAIN)
		return 0;
	asm volatile("pause");
	return 1;
}

static int put(int fd, size_t size)
{
	size_t done = 0;
	ssize_t got;

	for (; done < size; done += got) {
		do {
			got = write(fd, buffer + done, size - done);
		} while (not_yet(got));
		if (got < 0)
			return 0;
	}
	return 1;
}

static ssize_t get(int fd, size_t size)
{
	ssize_t got;

	do {
		got = read(fd, buffer, size);
	} while (not_yet(got));
	return got;
}

static void echo(struct side side)
{
	ssize_t got;

	do {
		got = get(side.in, LARGEST);
	} while (got > 0 && put(side.out, got));
}

static int compare(const void *a, const void *b)
{
	unsigned long long x = *(unsigned long long *)a, y = *(unsigned long long *)b;

	return (x > y) - (x < y);
}

static int ask(struct side side, const char *name, const char *wait, int cpus, size_t size)
{
	unsigned long long began;
	int turn;

	for (turn = -WARM_UP; turn < COUNT; turn++) {
		ssize_t got = 0, done;
		char mark = (turn & 63) + 1;

		/* An eventfd's counter, too. */
		buffer[0] = mark;
		began = tsc();
		if (!put(side.out, size))
			return 0;
		for (done = 0; done < (ssize_t)size; done += got) {
			got = get(side.in, size - done);
			if (got <= 0 || (!done && buffer[0] != mark))
				return 0;
		}
		if (turn >= 0)
			took[turn] = tsc() - began;
	}
	qsort(took, COUNT, sizeof(*took), compare);
	printf("pingpong: %s %s %d %zu %llu %llu\n", name, wait, cpus, size, took[COUNT / 2],
	       took[COUNT * 99 / 100]);
	return 1;
}

static void run_on(int cpu)
{
	cpu_set_t only;

	CPU_ZERO(&only);
	CPU_SET(cpu, &only);
	sched_setaffinity(0, sizeof(only), &only);
}

/* A connection of this kernel with itself, by a port that is free. */
static int connect_here(struct sockaddr *address, socklen_t len, int fds[2])
{
	int listener = socket(address->sa_family, SOCK_STREAM, 0), one = 1, i;

	if (listener < 0 || bind(listener, address, len) || listen(listener, 1) ||
	    getsockname(listener, address, &len))
		return 0;
	fds[0] = socket(address->sa_family, SOCK_STREAM, 0);
	if (connect(fds[0], address, len))
		return 0;
	fds[1] = accept(listener, NULL, NULL);
	for (i = 0; i < 2 && address->sa_family == AF_INET; i++)
		setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fds[1] >= 0;
}

/* Whether the last error is that of a kernel built without the family, or vsock's loopback. */
static int not_built(const char *kind)
{
	return errno == EAFNOSUPPORT || (errno == EADDRNOTAVAIL && !strcmp(kind, "vsock"));
}

/* Both ends: the first one's in and out, the second one's. */
static int open_here(const char *kind, struct side ends[2])
{
	struct sockaddr_in inet = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct sockaddr_vm vm = {
		.svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_LOCAL,
		.svm_port = VMADDR_PORT_ANY,
	};
	int there[2], back[2], done = 0;

	if (!strcmp(kind, "pipe")) {
		done = !pipe(there) && !pipe(back);
	} else if (!strcmp(kind, "eventfd")) {
		there[0] = eventfd(0, 0);
		there[1] = there[0];
		back[0] = eventfd(0, 0);
		back[1] = back[0];
		done = there[0] >= 0 && back[0] >= 0;
	} else {
		if (!strcmp(kind, "unix"))
			done = !socketpair(AF_UNIX, SOCK_STREAM, 0, there);
		else if (!strcmp(kind, "tcp"))
			done = connect_here((struct sockaddr *)&inet, sizeof(inet), there);
		else
			done = connect_here((struct sockaddr *)&vm, sizeof(vm), there);
		back[0] = there[1];
		back[1] = there[0];
	}
	ends[0] = (struct side){ back[0], there[1] };
	ends[1] = (struct side){ there[0], back[1] };
	return done;
}

static int local(const char *kind, const char *wait, size_t size, int cpu, int other)
{
	struct side ends[2];
	int flags = wait[0] == 'p' ? O_NONBLOCK : 0, done;
	pid_t child;

	if (!open_here(kind, ends)) {
		printf("pingpong: %s %s: %s\n", not_built(kind) ? "no" : "failed", kind,
		       strerror(errno));
		return 1;
	}
	for (done = 0; done < 2; done++) {
		fcntl(ends[done].in, F_SETFL, flags);
		fcntl(ends[done].out, F_SETFL, flags);
	}
	child = fork();
	if (!child) {
		run_on(other);
		echo(ends[1]);
		return 0;
	}
	run_on(cpu);
	done = ask(ends[0], kind, wait, 1 + (cpu != other), size);
	kill(child, SIGKILL);
	/* What it holds is free when the next one asks for it. */
	waitpid(child, NULL, 0);
	return !done;
}

static int open_port(const char *path, int flags)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat status;
	int fd;

	if (stat(path, &status))
		return -1;
	if (!S_ISSOCK(status.st_mode))
		return open(path, O_RDWR | flags);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Both sides run where the doorbell is. The first byte tells the other one how to wait. */
static int ask_port(const char *name, const char *wait, size_t size, const char *path)
{
	int fd = open_port(path, 0), done;

	run_on(0);
	/* Nobody listens yet. */
	while (write(fd, wait, 1) < 0) {
		if (errno != ENOTCONN && errno != EPIPE) {
			perror(path);
			return 1;
		}
		usleep(10000);
	}
	get(fd, 1);
	if (wait[0] == 'p')
		fcntl(fd, F_SETFL, O_NONBLOCK);
	done = ask((struct side){ fd, fd }, name, wait, 2, size);
	if (!done)
		perror(path);
	return !done;
}

static void echo_port(const char *path)
{
	signal(SIGPIPE, SIG_IGN);
	run_on(0);
	for (;;) {
		int fd = open_port(path, 0);
		ssize_t got = fd < 0 ? 0 : get(fd, 1);

		if (got > 0 && put(fd, got)) {
			if (buffer[0] == 'p')
				fcntl(fd, F_SETFL, O_NONBLOCK);
			echo((struct side){ fd, fd });
		}
		close(fd);
		usleep(20000);
	}
}

/* What all other tasks have run, in ns, and from /proc/stat the context switches and interrupts. */
static void look(unsigned long long now[3])
{
	DIR *folder = opendir("/proc");
	FILE *stat = fopen("/proc/stat", "r");
	struct dirent *entry;
	struct timespec ran;
	clockid_t clock;
	char line[65536];

	memset(now, 0, 3 * sizeof(*now));
	while ((entry = readdir(folder))) {
		pid_t pid = atoi(entry->d_name);

		if (isdigit(entry->d_name[0]) && pid != getpid() &&
		    !clock_getcpuclockid(pid, &clock) && !clock_gettime(clock, &ran))
			now[0] += ran.tv_sec * 1000000000ull + ran.tv_nsec;
	}
	while (fgets(line, sizeof(line), stat)) {
		if (!strncmp(line, "ctxt ", 5))
			now[1] = strtoull(line + 5, NULL, 10);
		if (!strncmp(line, "intr ", 5))
			now[2] = strtoull(line + 5, NULL, 10);
	}
	closedir(folder);
	fclose(stat);
}

static void be_idle(const char *name, unsigned int seconds)
{
	unsigned long long before[3], after[3];

	look(before);
	sleep(seconds);
	look(after);
	printf("pingpong: idle %s %llu %llu %llu\n", name, (after[0] - before[0]) / seconds,
	       (after[1] - before[1]) / seconds, (after[2] - before[2]) / seconds);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	setlinebuf(stdout);
	if (!strcmp(what, "local") && argc == 7)
		return local(argv[2], argv[3], atoi(argv[4]), atoi(argv[5]), atoi(argv[6]));
	if (!strcmp(what, "ask") && argc == 6)
		return ask_port(argv[2], argv[3], atoi(argv[4]), argv[5]);
	if (!strcmp(what, "echo") && argc == 3)
		echo_port(argv[2]);
	if (!strcmp(what, "idle") && argc == 4)
		return be_idle(argv[2], atoi(argv[3])), 0;
	fprintf(stderr, "pingpong: see the head of pingpong.c\n");
	return 2;
}
