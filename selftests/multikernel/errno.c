// SPDX-License-Identifier: GPL-2.0
/*
 * The errno table of kexec_load(2) with KEXEC_MULTIKERNEL, rows 1 to 5, and
 * that the rows come in their order. Row 6 is in segments.c and images.c, a
 * stalled copy of row 7 in stall.c.
 */
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include "refused.h"

#define ONLINE		CPU_FLAG(1)
#define FREE		CPU_FLAG(4)
#define OWN		CPU_FLAG(2)

static unsigned long with_cpu(unsigned long cpu)
{
	return MULTIKERNEL | ARCH_X86_64 | cpu;
}

/* Row 1 */

TEST_F(load, unknown_flag)
{
	self->image.flags |= 0x8000;
	REFUSED(EINVAL, NULL);
}

TEST_F(load, other_architecture)
{
	self->image.flags = MULTIKERNEL | ARCH_PPC64 | OWN;
	REFUSED(EINVAL, NULL);
}

TEST_F(load, seventeen_segments)
{
	int i;

	for (i = 2; i < 17; i++)
		set_segment(&self->image, i, self->image.kernel, 0x1000,
			    INITRD_LABEL + i * 0x1000UL);
	self->image.nr_segments = 17;
	REFUSED(EINVAL, NULL);
}

TEST_F(load, segment_table_unreadable)
{
	EXPECT_EQ(EFAULT, sys_load(self->image.entry, 2, (void *)0x10, self->image.flags));
	nothing_changed(_metadata, variant->state);
}

/* Row 3 */

TEST_F(load, on_crash)
{
	self->image.flags |= ON_CRASH;
	REFUSED(EINVAL, "flags 0x1");
}

/* Without CONFIG_KEXEC_JUMP the kernel does not know this flag, and says nothing. */
TEST_F(load, preserve_context)
{
	self->image.flags |= PRESERVE_CONTEXT;
	EXPECT_EQ(EINVAL, load(&self->image));
	nothing_changed(_metadata, variant->state);
}

TEST_F(load, high_bits)
{
	self->image.flags |= 1UL << 52;
	REFUSED(EINVAL, "flags above bit 51 0x1");
}

TEST_F(load, highest_bit)
{
	self->image.flags |= 1UL << 63;
	REFUSED(EINVAL, "flags above bit 51 0x800");
}

TEST_F(load, boot_cpu)
{
	self->image.flags = with_cpu(0);
	REFUSED(EINVAL, "CPU 0x0");
}

TEST_F(load, impossible_cpu)
{
	self->image.flags = with_cpu(CPU_FLAG(1000));
	REFUSED(EINVAL, "CPU 0x3e8");
}

TEST_F(load, largest_cpu_number)
{
	self->image.flags = with_cpu(CPU_FLAG(0xfffff));
	REFUSED(EINVAL, "CPU 0xfffff");
}

/* int $0x80 takes 32 bits of each argument; only the kernel can say that it was one. */
TEST_F(load, compat_caller)
{
	struct { __u32 buf, bufsz, mem, memsz; } in = { 0, 0, 0x100000, 0x1000 };
	struct image *low;
	char line[256];
	int status;
	pid_t child;

	low = mmap(NULL, sizeof(in), PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)low);
	memcpy(low, &in, sizeof(in));
	child = fork();
	if (!child) {
		long ret;

		asm volatile("int $0x80" : "=a"(ret)
			     : "a"(283), "b"(0x100200), "c"(1), "d"(low),
			       "S"(MULTIKERNEL | 3UL << 16) : "memory", "r8", "r9", "r10", "r11");
		_exit(-ret);
	}
	ASSERT_EQ(child, waitpid(child, &status, 0));
	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV)
		SKIP(return, "this kernel has no 32-bit system calls");
	EXPECT_EQ(EINVAL, WEXITSTATUS(status));
	/* What is left of the flags names no CPU, which has the same errno. */
	EXPECT_EQ(1, read_log(self->log, line, sizeof(line)));
	EXPECT_TRUE(strstr(line, "a 32-bit caller"))
		TH_LOG("the log has '%s'", line);
	nothing_changed(_metadata, variant->state);
}

/* Row 4 */

TEST_F(load, cpu_online)
{
	/* Once it is claimed it cannot be. */
	if (!strcmp(variant->state, "loaded")) {
		EXPECT_EQ(EBUSY, set_online(2, 1));
		return;
	}
	ASSERT_EQ(0, set_online(2, 1));
	REFUSED(EBUSY, "CPU 2");
}

TEST_F(load, other_cpu_online)
{
	if (!strcmp(variant->state, "loaded")) {
		EXPECT_EQ(EBUSY, set_online(3, 1));
		return;
	}
	ASSERT_EQ(0, set_online(3, 1));
	REFUSED(EBUSY, "CPU 3");
}

/* Row 5 */

TEST_F(load, no_instance)
{
	ASSERT_EQ(0, set_online(4, 0));
	self->image.flags = with_cpu(FREE);
	REFUSED(ENODEV, "CPU 4");
}

TEST_F(load, no_instance_to_unload)
{
	self->image.flags = with_cpu(FREE);
	self->image.nr_segments = 0;
	REFUSED(ENODEV, "CPU 4");
}

/* A call that breaks several rows gets the errno of the first. */

TEST_F(load, order_of_rows)
{
	static const struct {
		unsigned long flags;
		unsigned long label;
		int buffer;
		int error;
	} calls[] = {
		/* unknown flag, then row 3, 4, 6, 7 */
		{ 0x8000 | ON_CRASH | ONLINE, 1, 0, EINVAL },
		/* 3 before 4: online */
		{ ON_CRASH | ONLINE, PARAMS_LABEL, 1, EINVAL },
		{ 1UL << 52 | ONLINE, PARAMS_LABEL, 1, EINVAL },
		/* 3 before 5: in no instance */
		{ ON_CRASH | FREE, PARAMS_LABEL, 1, EINVAL },
		/* 4 before 5: online and in no instance */
		{ ONLINE, PARAMS_LABEL, 1, EBUSY },
		/* 4 before 6 and 7 */
		{ ONLINE, 1, 1, EBUSY },
		{ ONLINE, PARAMS_LABEL, 0, EBUSY },
		/* 5 before 6 and 7 */
		{ FREE, 1, 1, ENODEV },
		{ FREE, PARAMS_LABEL, 0, ENODEV },
		/* 6 before 7 */
		{ OWN, 1, 0, EINVAL },
		{ OWN, PARAMS_LABEL, 0, EFAULT },
	};
	size_t i;

	ASSERT_EQ(0, set_online(4, 0));
	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		make_image(&self->image, 'B');
		self->image.flags = with_cpu(0) | calls[i].flags;
		self->image.segment[PARAMS].mem = calls[i].label;
		if (!calls[i].buffer)
			self->image.segment[PARAMS].buf = (void *)0x10;
		EXPECT_EQ(calls[i].error, load(&self->image))
			TH_LOG("call %zu", i);
	}
	nothing_changed(_metadata, variant->state);
}

/* Row 2 */

TEST(module_not_loaded)
{
	const char *why = unfit();
	struct boot_args args = { .size = sizeof(args), .op = BOOT_START, .name = NAME };
	struct image image;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, remove_module());
	make_image(&image, 'A');
	EXPECT_EQ(EOPNOTSUPP, load(&image));
	EXPECT_EQ(EOPNOTSUPP, unload(2));
	EXPECT_EQ(EOPNOTSUPP, sys_boot(&args));
	/* Before row 3 and 7, behind row 1. */
	image.flags |= ON_CRASH;
	EXPECT_EQ(EOPNOTSUPP, load(&image));
	image.flags |= 0x8000;
	EXPECT_EQ(EINVAL, load(&image));
	EXPECT_EQ(0, insert_module());
}

TEST_HARNESS_MAIN
