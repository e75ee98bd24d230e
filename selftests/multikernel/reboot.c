// SPDX-License-Identifier: GPL-2.0
/*
 * reboot(2) with LINUX_REBOOT_CMD_MULTIKERNEL, and what is written to `state`,
 * before anything runs.
 */
#include <sched.h>
#include <sys/wait.h>
#include "life.h"

/* A struct as a newer user space would have it. */
struct newer_args {
	struct boot_args known;
	char more[4096];
};

static int boot(__u32 size, __u32 op, const char *name, char more)
{
	static struct newer_args args;

	memset(&args, 0, sizeof(args));
	args.known = (struct boot_args){ .size = size, .op = op };
	memcpy(args.known.name, name, strlen(name));
	args.more[0] = more;
	return sys_boot(&args);
}

TEST_F(life, argument)
{
	static const char unterminated[] = "a23456789a23456789a23456789a23456789abcd";
	char line[256];

	EXPECT_EQ(EFAULT, sys_boot(NULL));
	EXPECT_EQ(EFAULT, sys_boot((void *)-4096L));
	EXPECT_EQ(EINVAL, boot(0, BOOT_START, NAME, 0));
	EXPECT_EQ(EINVAL, boot(47, BOOT_START, NAME, 0));
	EXPECT_EQ(E2BIG, boot(4097, BOOT_START, NAME, 0));
	EXPECT_EQ(E2BIG, boot(-1, BOOT_START, NAME, 0));
	EXPECT_EQ(E2BIG, boot(64, BOOT_START, NAME, 1));
	EXPECT_EQ(EINVAL, boot(48, 0, NAME, 0));
	EXPECT_EQ(EINVAL, boot(48, 2, NAME, 0));
	ASSERT_EQ(40, strlen(unterminated));
	EXPECT_EQ(EINVAL, boot(48, BOOT_START, unterminated, 0));
	/* All of these are the kernel's own checks. */
	EXPECT_EQ(0, read_log(self->log, line, sizeof(line)));
	/* These get as far as the name: nothing new is asked for, or nothing beyond the size. */
	EXPECT_EQ(ENODATA, boot(64, BOOT_START, NAME, 0));
	EXPECT_EQ(ENODATA, boot(4096, BOOT_START, NAME, 0));
	EXPECT_EQ(ENODATA, boot(48, BOOT_START, NAME, 1));
	EXPECT_STREQ("empty", state_of(NAME));
}

TEST_F(life, argument_ends_at_a_hole)
{
	char *pages = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct boot_args *args = (void *)(pages + 0x1000 - sizeof(*args));

	ASSERT_NE(MAP_FAILED, (void *)pages);
	ASSERT_EQ(0, munmap(pages + 0x1000, 0x1000));
	*args = (struct boot_args){ .size = 48, .op = BOOT_START, .name = NAME };
	EXPECT_EQ(ENODATA, sys_boot(args));
	args->size = 49;
	EXPECT_EQ(EFAULT, sys_boot(args));
	EXPECT_EQ(EFAULT, sys_boot(args + 1));
}

TEST_F(life, wrong_magic)
{
	struct boot_args args = { .size = sizeof(args), .op = BOOT_START, .name = NAME };

	ASSERT_EQ(0, load(&self->image));
	EXPECT_EQ(-1, syscall(SYS_reboot, REBOOT_MAGIC1, REBOOT_MAGIC2 + 1,
			      REBOOT_CMD_MULTIKERNEL, &args));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_STREQ("loaded", state_of(NAME));
}

/* A container has no machine whose kernels it could start. */
TEST_F(life, in_a_pid_namespace)
{
	int status;
	pid_t child;

	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, unshare(CLONE_NEWPID));
	child = fork();
	if (!child)
		_exit(start(NAME));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(EINVAL, WEXITSTATUS(status));
	EXPECT_STREQ("loaded", state_of(NAME));
}

TEST_F(life, no_such_instance)
{
	EXPECT_EQ(ENODEV, start("nobody"));
	tells_once(_metadata, self->log, "nobody");
	EXPECT_EQ(ENODEV, start(""));
	/* Not the beginning of a name. */
	EXPECT_EQ(ENODEV, start("self"));
	EXPECT_EQ(ENODEV, start(NAME "s"));
}

TEST_F(life, no_image)
{
	EXPECT_EQ(ENODATA, start(NAME));
	tells_once(_metadata, self->log, "no image");
	EXPECT_EQ(ENODATA, order(NAME, "start"));
	EXPECT_STREQ("empty", state_of(NAME));
	EXPECT_STREQ("0", column(NAME, "STARTS"));
}

TEST_F(life, nothing_runs)
{
	EXPECT_EQ(ESRCH, order(NAME, "stop"));
	tells_once(_metadata, self->log, "does not run");
	EXPECT_EQ(ESRCH, order(NAME, "kill"));
	EXPECT_EQ(ESRCH, order(NAME, "restart"));
	EXPECT_STREQ("empty", state_of(NAME));
	ASSERT_EQ(0, load(&self->image));
	EXPECT_EQ(ESRCH, order(NAME, "stop"));
	EXPECT_EQ(ESRCH, order(NAME, "kill"));
	EXPECT_EQ(ESRCH, order(NAME, "restart"));
	EXPECT_STREQ("loaded", state_of(NAME));
	EXPECT_STREQ("0", column(NAME, "STARTS"));
}

TEST_F(life, bad_orders)
{
	static const char *const words[] = { "", "go", "START", "start now", "startx", "star" };
	size_t i;

	ASSERT_EQ(0, load(&self->image));
	/* A write of nothing is none: the first is a newline. */
	EXPECT_EQ(EINVAL, order(NAME, "\n"));
	for (i = 1; i < ARRAY_SIZE(words); i++)
		EXPECT_EQ(EINVAL, order(NAME, words[i]));
	EXPECT_STREQ("loaded", state_of(NAME));
	EXPECT_EQ(0, order(NAME, " start\n"));
	EXPECT_STREQ("running", state_of(NAME));
}

TEST_HARNESS_MAIN
