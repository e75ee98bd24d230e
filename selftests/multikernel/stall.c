// SPDX-License-Identifier: GPL-2.0
/*
 * A load whose memory stalls: the caller's own pages are behind userfaultfd, and
 * nobody serves them. It must hold up nothing but itself, and end when killed.
 */
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "image.h"

#define OTHER	"other"

FIXTURE(stall)
{
	struct image image;
	char *pages;
	int uffd;
	pid_t child;
};

static int load_in_child(void *image)
{
	return load(image);
}

FIXTURE_SETUP(stall)
{
	static _Alignas(16) char stack[0x4000];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct pollfd poll_uffd = { .events = POLLIN };
	const char *why = unfit();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(OTHER));
	ASSERT_EQ(0, destroy(NAME));
	self->uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (self->uffd < 0)
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_API, &api));
	self->pages = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)self->pages);
	/* The first page is there, the second is not. */
	memset(self->pages, 0, 0x1000);
	reg.range.start = (unsigned long)self->pages + 0x1000;
	reg.range.len = 0x1000;
	ASSERT_EQ(0, ioctl(self->uffd, UFFDIO_REGISTER, &reg));

	ASSERT_EQ(0, create(NAME, "2", "8M"));
	make_image(&self->image, 'A');
	ASSERT_EQ(0, load(&self->image));
	make_image(&self->image, 'B');
	memcpy(self->pages, self->image.kernel, 0x1000);
	set_segment(&self->image, KERNEL, self->pages, 0x2000, KERNEL_LABEL);

	/* In our memory, where userfaultfd stalls it, and yet a process that can be killed. */
	self->child = clone(load_in_child, stack + sizeof(stack), CLONE_VM | SIGCHLD,
			    &self->image);
	ASSERT_GT(self->child, 0);
	poll_uffd.fd = self->uffd;
	ASSERT_EQ(1, poll(&poll_uffd, 1, 10000))
		TH_LOG("nobody has read the page");
}

FIXTURE_TEARDOWN(stall)
{
	kill(self->child, SIGKILL);
	waitpid(self->child, NULL, 0);
	EXPECT_EQ(0, destroy(OTHER));
	EXPECT_EQ(0, destroy(NAME));
}

/* Serves the page; returns what the load returned. */
static int finish(int uffd, char *page, pid_t child)
{
	struct uffdio_zeropage zero = { .range = { (unsigned long)page, 0x1000 } };
	int status;

	if (ioctl(uffd, UFFDIO_ZEROPAGE, &zero))
		return -errno;
	waitpid(child, &status, 0);
	return WEXITSTATUS(status);
}

TEST_F(stall, goes_on_when_served)
{
	EXPECT_STREQ("A-selftest", column(NAME, "KERNEL"));
	EXPECT_EQ(0, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("loaded", state_of(NAME));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
}

TEST_F(stall, ends_when_killed)
{
	int i, status;

	ASSERT_EQ(0, kill(self->child, SIGKILL));
	for (i = 0; i < 1000 && !waitpid(self->child, &status, WNOHANG); i++)
		usleep(10000);
	EXPECT_LT(i, 1000)
		TH_LOG("it still stalls ten seconds after SIGKILL");
	EXPECT_TRUE(WIFSIGNALED(status));
	EXPECT_STREQ("loaded", state_of(NAME));
	EXPECT_STREQ("A-selftest", column(NAME, "KERNEL"));
	EXPECT_EQ(0, start(NAME));
}

TEST_F(stall, holds_up_nobody)
{
	struct image image;

	/* The harness ends a test that waits. */
	EXPECT_STREQ("loaded", column(NAME, "STATE"));
	make_image(&image, 'C');
	EXPECT_EQ(0, load(&image));
	EXPECT_STREQ("C-selftest", column(NAME, "KERNEL"));
	EXPECT_EQ(0, start(NAME));
	EXPECT_EQ(0, order(NAME, "kill"));
	EXPECT_EQ(0, create(OTHER, "3", "8M"));
	image.flags = MULTIKERNEL | ARCH_X86_64 | CPU_FLAG(3);
	EXPECT_EQ(0, load(&image));
	EXPECT_EQ(0, start(OTHER));
	EXPECT_STREQ("running", state_of(OTHER));
	EXPECT_EQ(0, destroy(OTHER));
	EXPECT_EQ(0, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
}

/* The module stays as long as somebody is in it, though no instance is left. */
TEST_F(stall, pins_the_module)
{
	EXPECT_EQ(EAGAIN, remove_module());
	EXPECT_EQ(0, destroy(NAME));
	EXPECT_EQ(EAGAIN, remove_module());
	EXPECT_EQ(ENODEV, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_EQ(0, remove_module());
	EXPECT_EQ(0, insert_module());
}

TEST_F(stall, loses_its_cpu)
{
	ASSERT_EQ(0, unload(2));
	ASSERT_EQ(0, put(CONFIG_DIR "/" NAME "/cpus", "3"));
	EXPECT_EQ(ENODEV, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("empty", state_of(NAME));
}

TEST_F(stall, finds_its_cpu_online)
{
	ASSERT_EQ(0, unload(2));
	ASSERT_EQ(0, set_online(2, 1));
	EXPECT_EQ(EBUSY, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("empty", state_of(NAME));
	EXPECT_TRUE(is_online(2));
}

TEST_F(stall, finds_less_memory)
{
	ASSERT_EQ(0, unload(2));
	ASSERT_EQ(0, put(CONFIG_DIR "/" NAME "/memory", "2M"));
	EXPECT_EQ(E2BIG, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("empty", state_of(NAME));
	EXPECT_EQ(0, set_online(2, 1));
}

TEST_F(stall, finds_it_running)
{
	ASSERT_EQ(0, start(NAME));
	EXPECT_EQ(0, finish(self->uffd, self->pages + 0x1000, self->child));
	EXPECT_STREQ("running", state_of(NAME));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
}

TEST_HARNESS_MAIN
