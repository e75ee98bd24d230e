// SPDX-License-Identifier: GPL-2.0
/*
 * Who loads an image is killed in the middle of it: the instance has the image,
 * or has not, and no memory is lost.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include "life.h"

/* Far more than free memory goes up and down by itself. */
#define INITRD_SIZE	(64UL << 20)
#define INITRD_KB	((long)(INITRD_SIZE >> 10))
#define KILLS		10
#define TRIES		100

static long microseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static long free_kb(void)
{
	char *line;

	sync();
	put("/proc/sys/vm/drop_caches", "3");
	line = strstr(get("/proc/meminfo"), "MemFree:");
	return line ? atol(line + strlen("MemFree:")) : 0;
}

/* A process that is about to load it. */
static pid_t begin_load(const struct image *image)
{
	int ready[2];
	pid_t child;
	char byte;

	if (pipe(ready))
		return -1;
	child = fork();
	if (!child) {
		if (write(ready[1], "", 1) != 1)
			_exit(EPIPE);
		_exit(load(image));
	}
	if (child > 0 && read(ready[0], &byte, 1) != 1)
		child = -1;
	close(ready[0]);
	close(ready[1]);
	return child;
}

/* At ten moments of the call, in turn. */
TEST_F_TIMEOUT(life, killed_while_it_loads, 240)
{
	int status, kills = 0, empty = 0, try;
	long call, before, end;
	pid_t child;
	void *initrd;

	/* Pages of zeros that take no memory. */
	initrd = mmap(NULL, INITRD_SIZE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, initrd);
	set_segment(&self->image, INITRD, initrd, INITRD_SIZE, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	header_of(&self->image)->ramdisk_size = INITRD_SIZE;
	ASSERT_EQ(0, put(CONFIG_DIR "/" NAME "/memory", "256M"));

	child = begin_load(&self->image);
	call = microseconds();
	ASSERT_EQ(child, waitpid(child, &status, 0));
	call = microseconds() - call;
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, unload(2));

	before = free_kb();
	for (try = 0; try < TRIES && kills < KILLS; try++) {
		child = begin_load(&self->image);
		ASSERT_GT(child, 0);
		usleep(call / 10 * (try % 10));
		kill(child, SIGKILL);
		ASSERT_EQ(child, waitpid(child, &status, 0));
		kills += WIFSIGNALED(status);
		if (!strcmp(state_of(NAME), "empty")) {
			EXPECT_STREQ("-", column(NAME, "KERNEL"));
			empty++;
		} else {
			EXPECT_STREQ("loaded", state_of(NAME));
			EXPECT_EQ(0, unload(2));
		}
	}
	TH_LOG("a load takes %ld us; %d tries, killed %d times, %d times empty after it",
	       call, try, kills, empty);
	EXPECT_GT(empty, 0);

	/* What goes by itself may take a while; what is lost does not come back. */
	end = microseconds() + 30000000;
	while (before - free_kb() > INITRD_KB / 2 && microseconds() < end)
		sleep(1);
	EXPECT_LT(before - free_kb(), INITRD_KB / 2);

	ASSERT_EQ(0, load(&self->image));
	EXPECT_STREQ("loaded", state_of(NAME));
}

TEST_HARNESS_MAIN
