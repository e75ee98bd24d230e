// SPDX-License-Identifier: GPL-2.0
/*
 * Who loads an image is killed in the middle of it: the instance has the image,
 * or has not, and no memory is lost.
 */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "life.h"

/* Twice what free memory goes up and down by itself. */
#define INITRD_SIZE	(SLACK << 11)
#define KILLS		10
#define TRIES		100

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
	double began, call;
	long before;
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
	began = now();
	ASSERT_EQ(child, waitpid(child, &status, 0));
	call = now() - began;
	ASSERT_EQ(0, status);
	ASSERT_EQ(0, unload(2));

	before = free_memory();
	for (try = 0; try < TRIES && kills < KILLS; try++) {
		child = begin_load(&self->image);
		ASSERT_GT(child, 0);
		usleep(call * 1e5 * (try % 10));
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
	TH_LOG("a load takes %.3f s; %d tries, killed %d times, %d times empty after it",
	       call, try, kills, empty);
	EXPECT_GT(empty, 0);

	EXPECT_LT(missing_memory(before), SLACK);
	ASSERT_EQ(0, load(&self->image));
	EXPECT_STREQ("loaded", state_of(NAME));
}

TEST_HARNESS_MAIN
