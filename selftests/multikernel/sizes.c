// SPDX-License-Identifier: GPL-2.0
/*
 * `memory` of an instance: what is refused is refused soon and keeps nothing.
 */
#include <signal.h>
#include <sys/wait.h>
#include "life.h"

#define MEMORY	CONFIG_DIR "/" NAME "/memory"

TEST_F(life, refused_sizes)
{
	static const struct { const char *text; int error; const char *told; } sizes[] = {
		{ "0", EINVAL, "memory 0" },
		{ "0M", EINVAL, "memory 0" },
		{ "1M", EINVAL, "memory 1048576" },
		{ "3M", EINVAL, "memory 3145728" },
		{ "2097153", EINVAL, "memory 2097153" },
		{ "\n", EINVAL, "size" },
		{ "M", EINVAL, "size" },
		{ "0x", EINVAL, "size" },
		{ "-2M", EINVAL, "character of the size 0x2d" },
		{ "2.5G", EINVAL, "character of the size 0x2e" },
		{ "4m4", EINVAL, "character of the size 0x6d" },
		{ "4MB", EINVAL, "character of the size" },
		{ "4M 4M", EINVAL, "character of the size" },
		{ "16777216T", EINVAL, "size" },
		{ "99999999999999999999", EINVAL, "size" },
		{ "1T", ENOMEM, "memory 1099511627776" },
		{ "0xfffffffffffffe00000", EINVAL, "size" },
		{ "0xffffffffffe00000", ENOMEM, "memory 18446744073707454464" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(sizes[i].error, put(MEMORY, sizes[i].text))
			TH_LOG("size '%s'", sizes[i].text);
		tells_once(_metadata, self->log, sizes[i].told);
		/* What was there stays. */
		EXPECT_STREQ("8M set-aside", get(MEMORY));
		EXPECT_STREQ("8M", column(NAME, "MEMORY"));
	}
}

TEST_F(life, sizes)
{
	static const struct { const char *text, *back; } sizes[] = {
		{ "4194304", "4M" }, { "4096K", "4M" }, { "4m", "4M" }, { "0x400000", "4M" },
		{ " 6M\n", "6M" }, { "0X2m", "2M" }, { "1G", "1G" }, { "1026M", "1026M" },
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		EXPECT_EQ(0, put(MEMORY, sizes[i].text))
			TH_LOG("size '%s'", sizes[i].text);
		EXPECT_STREQ(path_of("%s set-aside", sizes[i].back), get(MEMORY));
		EXPECT_STREQ(sizes[i].back, column(NAME, "MEMORY"));
	}
}

/* The host's own need is respected, and a refusal gives all of it back. */
TEST_F(life, more_than_there_is)
{
	long before = free_memory(), available = kib_of("MemAvailable:");
	double began = now();

	EXPECT_EQ(ENOMEM, put(MEMORY, path_of("%ldM", kib_of("MemTotal:") / 2048 * 2)));
	EXPECT_EQ(ENOMEM, put(MEMORY, path_of("%ldM", available / 2048 * 2)));
	EXPECT_LT(now() - began, patience(5));
	EXPECT_LT(missing_memory(before), SLACK);
	EXPECT_STREQ("8M set-aside", get(MEMORY));
}

/* What is given back is all there again. */
TEST_F(life, given_back)
{
	long before = free_memory();

	EXPECT_EQ(0, put(MEMORY, "1G"));
	EXPECT_LT(kib_of("MemFree:"), before - (900 << 10));
	EXPECT_EQ(0, put(MEMORY, "8M"));
	EXPECT_LT(missing_memory(before), SLACK);
}

static void nothing(int signal) {}

/* Ctrl-C, which is a signal that restarts nothing here. */
TEST_F(life, interrupted)
{
	struct sigaction action = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	long before = free_memory();
	int status, ready[2];
	char byte = 0;
	pid_t child;
	double began;

	ASSERT_EQ(0, pipe(ready));
	child = fork();
	if (!child) {
		sigaction(SIGINT, &action, NULL);
		if (write(ready[1], &byte, 1) != 1)
			_exit(255);
		_exit(put(MEMORY, path_of("%ldM", kib_of("MemAvailable:") * 3 / 4 / 2048 * 2)));
	}
	ASSERT_EQ(1, read(ready[0], &byte, 1));
	/* When it has taken some. */
	while (before - kib_of("MemFree:") < (256 << 10) && !waitpid(child, &status, WNOHANG))
		usleep(10000);
	began = now();
	ASSERT_EQ(0, kill(child, SIGINT));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_LT(now() - began, patience(5));
	EXPECT_EQ(EINTR, WEXITSTATUS(status));
	EXPECT_STREQ("8M set-aside", get(MEMORY));
	EXPECT_LT(missing_memory(before), SLACK);
}

TEST_HARNESS_MAIN
