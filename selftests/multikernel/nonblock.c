// SPDX-License-Identifier: GPL-2.0
/*
 * Somebody at a port who waits in poll(2) only: what that says, and read(2) and write(2)
 * with O_NONBLOCK.
 *   nonblock INSTANCE dead     it has not been started yet
 *   nonblock INSTANCE lives    what comes on its port 2 is sent back, and nobody uses port 3;
 *                              it is killed
 */
#include <poll.h>
#include <sys/wait.h>
#include "multikernel.h"

/* What a peer may send that nobody has read. */
#define WINDOW	65536
/* Of what somebody has read, so much need not have been told to who sends. */
#define UNTOLD	16384

static const char *name;
static long sent;

static void same(const char *what, long got, long wanted)
{
	if (got == wanted)
		return;
	printf("# failed: %s: %ld, not %ld\n", what, got, wanted);
	exit(1);
}

static int open_port(int number)
{
	int fd = open(path_of("/dev/multikernel/%s/port%d", name, number), O_RDWR | O_NONBLOCK);

	same("errno of open(2)", fd < 0 ? errno : 0, 0);
	return fd;
}

/* The negative errno where there is one, as in the next two. */
static long reads(int fd, void *to, size_t length)
{
	ssize_t got = read(fd, to, length);

	return got < 0 ? -errno : got;
}

static long writes(int fd, const void *from, size_t length)
{
	ssize_t got = write(fd, from, length);

	return got < 0 ? -errno : got;
}

/* 0 when nothing has come in time. */
static long polls(int fd, short events, double seconds)
{
	struct pollfd it = { .fd = fd, .events = events };

	return poll(&it, 1, seconds * 1000) < 0 ? -errno : it.revents;
}

/* Says in time whatever it says: O_NONBLOCK is no wait. */
static void says(const char *what, int fd, short events, long of_read, long of_write)
{
	time_t began = time(NULL);
	char byte;

	printf("# %s\n", what);
	same("poll(2)", polls(fd, POLLIN | POLLOUT, 0), events);
	same("read(2)", reads(fd, &byte, 1), of_read);
	same("write(2)", writes(fd, ".", 1), of_write);
	same("waits", time(NULL) - began > patience(5), 0);
}

static unsigned char byte_at(long at)
{
	return at ^ at >> 8 ^ at >> 16;
}

/* Until nobody takes anything for some seconds. */
static void fill(int fd)
{
	unsigned char bytes[4096];
	long got, i, vain = 0;

	do {
		for (i = 0; i < (long)sizeof(bytes); i++)
			bytes[i] = byte_at(sent + i);
		got = writes(fd, bytes, sizeof(bytes));
		if (got > 0)
			sent += got;
		else
			same("write(2)", got, -EAGAIN);
		vain = got > 0 ? 0 : vain + 1;
		same("POLLOUT for nothing", vain > 1000, 0);
	} while (got > 0 || polls(fd, POLLOUT, patience(3)));
	printf("# %ld bytes went\n", sent);
	/* A window of the spawn's and one of the host's; what lies between has bounds. */
	same("too few", sent < 2 * WINDOW - UNTOLD, 0);
	same("too many", sent > 32 * WINDOW, 0);
}

/* What was sent has come back, and not a byte more. */
static int drain(int fd)
{
	unsigned char bytes[4096];
	long at = 0, got, i;

	while (at < sent) {
		same("poll(2) for bytes", polls(fd, POLLIN, patience(30)), POLLIN);
		got = reads(fd, bytes, sizeof(bytes));
		same("read(2) of bytes", got > 0, 1);
		for (i = 0; i < got; i++, at++)
			same("a byte", bytes[i], byte_at(at));
	}
	same("bytes", at, sent);
	return 0;
}

static int die(int fd)
{
	return order(name, "kill");
}

/* Who waits for these events sees them when somebody else has done this, not only in the end. */
static void wakes(int fd, int (*deed)(int fd), short events, long seen)
{
	time_t began = time(NULL);
	pid_t child;
	int status;

	same("poll(2) before", polls(fd, events, 0.5), 0);
	fflush(stdout);
	child = fork();
	if (!child) {
		usleep(500000);
		exit(deed(fd));
	}
	same("poll(2) of who waits", polls(fd, events, patience(60)), seen);
	same("seen in the end only", time(NULL) - began >= patience(60), 0);
	waitpid(child, &status, 0);
	same("the other one", status, 0);
}

static int say_hello(int fd)
{
	same("write(2)", writes(fd, "hello", 5), 5);
	return 0;
}

int main(int argc, char **argv)
{
	char bytes[16];
	int port, other;
	long got;

	if (argc != 3)
		return 2;
	name = argv[1];
	port = open_port(2);
	other = open_port(3);
	if (!strcmp(argv[2], "dead")) {
		says("before a life", port, POLLIN | POLLHUP, 0, -ENOTCONN);
		return 0;
	}
	says("nobody is there", other, 0, -EAGAIN, -ENOTCONN);

	printf("# nothing has come\n");
	same("poll(2)", polls(port, POLLIN | POLLOUT, 0), POLLOUT);
	same("read(2)", reads(port, bytes, 1), -EAGAIN);
	wakes(port, say_hello, POLLIN, POLLIN);
	for (got = 0; got < 5; got += reads(port, bytes + got, sizeof(bytes) - got))
		same("poll(2)", polls(port, POLLIN, patience(30)), POLLIN);
	same("what came", got == 5 && !memcmp(bytes, "hello", 5), 1);
	same("read(2)", reads(port, bytes, 1), -EAGAIN);

	fill(port);
	printf("# full\n");
	same("poll(2)", polls(port, POLLIN | POLLOUT, 0), POLLIN);
	same("write(2)", writes(port, ".", 1), -EAGAIN);
	wakes(port, drain, POLLOUT, POLLOUT);
	same("read(2)", reads(port, bytes, 1), -EAGAIN);

	wakes(port, die, POLLIN, POLLIN | POLLHUP | POLLERR);
	says("cut", port, POLLIN | POLLHUP | POLLERR, -ECONNRESET, -EPIPE);
	says("over", port, POLLIN | POLLHUP | POLLERR, 0, -EPIPE);
	says("nobody was there", other, POLLIN | POLLHUP, 0, -ENOTCONN);
	return 0;
}
