// SPDX-License-Identifier: GPL-2.0
/*
 * What an instance refuses while it runs, and its CPUs from load to unload. The
 * kernel that runs here only halts.
 */
#include "life.h"

TEST_F(life, start_twice)
{
	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, start(NAME));
	self->log = open_log();
	EXPECT_EQ(EBUSY, start(NAME));
	tells_once(_metadata, self->log, "runs already");
	EXPECT_EQ(EBUSY, order(NAME, "start"));
	EXPECT_STREQ("running", state_of(NAME));
	EXPECT_STREQ("1", column(NAME, "STARTS"));
}

TEST_F(life, unload)
{
	EXPECT_EQ(0, unload(2));
	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, start(NAME));
	self->log = open_log();
	EXPECT_EQ(EBUSY, unload(2));
	tells_once(_metadata, self->log, "it runs");
	EXPECT_STREQ("running", state_of(NAME));
	ASSERT_EQ(0, order(NAME, "kill"));
	EXPECT_STREQ("killed", state_of(NAME));
	/* By any of its CPUs. */
	EXPECT_EQ(0, unload(3));
	EXPECT_STREQ("empty", state_of(NAME));
	EXPECT_STREQ("-", column(NAME, "KERNEL"));
	EXPECT_STREQ("1", column(NAME, "STARTS"));
	EXPECT_EQ(ENODATA, start(NAME));
}

/* The letters that kernels said since the test began. */
static char *letters(off_t from, const char *expected)
{
	static char text[64];
	int fd = open(getenv("MK_SPAWN_TTY"), O_RDONLY), tries;
	ssize_t len;

	/* It is another machine's file to write. A letter too many comes at once, too. */
	for (tries = 0; tries < 50; tries++) {
		usleep(200000);
		len = pread(fd, text, sizeof(text) - 1, from);
		text[len > 0 ? len : 0] = '\0';
		if (!strcmp(text, expected))
			break;
	}
	close(fd);
	return text;
}

TEST_F(life, load_is_for_the_next_start)
{
	struct stat tty;

	if (!getenv("MK_SPAWN_TTY"))
		SKIP(return, "nobody hears spawn kernels here (MK_SPAWN_TTY)");
	ASSERT_EQ(0, stat(getenv("MK_SPAWN_TTY"), &tty));
	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, start(NAME));
	EXPECT_STREQ("A", letters(tty.st_size, "A"));
	make_image(&self->image, 'B');
	EXPECT_EQ(0, load(&self->image));
	EXPECT_STREQ("running", state_of(NAME));
	EXPECT_STREQ("1", column(NAME, "STARTS"));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
	/* A bad one is not kept. */
	self->image.entry = 0;
	EXPECT_EQ(EINVAL, load(&self->image));
	header_of(&self->image)->init_size = 8 << 20;
	self->image.entry = KERNEL_LABEL + ENTRY_64;
	EXPECT_EQ(E2BIG, load(&self->image));
	EXPECT_STREQ("A", letters(tty.st_size, "A"));
	EXPECT_EQ(0, order(NAME, "kill"));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
	EXPECT_EQ(0, start(NAME));
	EXPECT_STREQ("AB", letters(tty.st_size, "AB"));
	EXPECT_EQ(0, order(NAME, "restart"));
	EXPECT_STREQ("ABB", letters(tty.st_size, "ABB"));
	EXPECT_STREQ("3", column(NAME, "STARTS"));
}

/* None of its CPUs comes online from load to unload, so no start meets an online one. */
TEST_F(life, veto)
{
	int cpu;

	EXPECT_EQ(0, set_online(3, 1));
	EXPECT_EQ(0, set_online(3, 0));
	ASSERT_EQ(0, load(&self->image));
	for (cpu = 2; cpu < 4; cpu++) {
		EXPECT_EQ(EBUSY, set_online(cpu, 1));
		EXPECT_FALSE(is_online(cpu));
	}
	ASSERT_EQ(0, start(NAME));
	for (cpu = 2; cpu < 4; cpu++) {
		EXPECT_EQ(EBUSY, set_online(cpu, 1));
		EXPECT_FALSE(is_online(cpu));
	}
	ASSERT_EQ(0, order(NAME, "stop"));
	EXPECT_EQ(EBUSY, set_online(2, 1));
	/* Others are free to come and go. */
	EXPECT_EQ(0, set_online(4, 0));
	EXPECT_EQ(0, set_online(4, 1));
	EXPECT_EQ(0, start(NAME));
	ASSERT_EQ(0, order(NAME, "kill"));
	ASSERT_EQ(0, unload(2));
	for (cpu = 2; cpu < 4; cpu++) {
		EXPECT_EQ(0, set_online(cpu, 1));
		EXPECT_TRUE(is_online(cpu));
	}
}

TEST_HARNESS_MAIN
