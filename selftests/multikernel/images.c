// SPDX-License-Identifier: GPL-2.0
/*
 * Row 6 of the errno table, second half: what the setup header says, and
 * whether the image fits into the instance.
 */
#include "refused.h"

/* ENOEXEC */

TEST_F(load, no_bzimage)
{
	header_of(&self->image)->boot_flag = 0;
	REFUSED(ENOEXEC, "magic of the setup header");
}

TEST_F(load, old_boot_protocol)
{
	header_of(&self->image)->version = 0x20b;
	REFUSED(ENOEXEC, "boot protocol 0x20b");
}

TEST_F(load, only_32_bit)
{
	header_of(&self->image)->xloadflags &= ~XLF_KERNEL_64;
	REFUSED(ENOEXEC, "xloadflags 0x2");
}

TEST_F(load, not_relocatable)
{
	header_of(&self->image)->relocatable_kernel = 0;
	REFUSED(ENOEXEC, "relocatable_kernel 0x0");
}

TEST_F(load, odd_alignment)
{
	header_of(&self->image)->kernel_alignment = 0x300000;
	REFUSED(ENOEXEC, "kernel_alignment 0x300000");
}

TEST_F(load, no_alignment)
{
	header_of(&self->image)->kernel_alignment = 0;
	REFUSED(ENOEXEC, "kernel_alignment 0x0");
}

TEST_F(load, no_init_size)
{
	header_of(&self->image)->init_size = 0;
	REFUSED(ENOEXEC, "init_size 0x0");
}

TEST_F(load, truncated)
{
	header_of(&self->image)->payload_length = 0x1000;
	REFUSED(ENOEXEC, "length of the kernel 0x1000");
}

TEST_F(load, shorter_than_its_entry)
{
	self->image.segment[KERNEL].bufsz = ENTRY_64;
	REFUSED(ENOEXEC, "length of the kernel 0x200");
}

TEST_F(load, payload_wraps_around)
{
	header_of(&self->image)->payload_offset = -1U;
	header_of(&self->image)->payload_length = -1U;
	REFUSED(ENOEXEC, "length of the kernel 0x1000");
}

TEST_F(load, longer_than_it_says)
{
	header_of(&self->image)->init_size = 0xfff;
	REFUSED(ENOEXEC, "length of the kernel 0x1000");
}

TEST_F(load, boot_params_cut_off)
{
	self->image.segment[PARAMS].bufsz = 0x280;
	REFUSED(ENOEXEC, "length of boot_params 0x280");
}

/* E2BIG: 8 MiB is what the instance has, of which 1 MiB is for the firmware. */

TEST_F(load, kernel_larger_than_the_instance)
{
	header_of(&self->image)->init_size = 8 << 20;
	REFUSED(E2BIG, "image 0xa00000");
}

TEST_F(load, initrd_larger_than_the_instance)
{
	size_t size = 8 << 20;
	void *initrd = mmap(NULL, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, initrd);
	set_segment(&self->image, INITRD, initrd, size, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	header_of(&self->image)->ramdisk_size = size;
	REFUSED(E2BIG, "image 0xa10000");
}

/* What is behind it in its segment is neither read nor kept. */
TEST_F(load, initrd_shorter_than_its_segment)
{
	char *initrd = mmap(NULL, 0x2000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, initrd);
	ASSERT_EQ(0, munmap(initrd + 0x1000, 0x1000));
	set_segment(&self->image, INITRD, initrd, 0x2000, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	header_of(&self->image)->ramdisk_size = 0x1000;
	EXPECT_EQ(0, load(&self->image));
	EXPECT_STREQ("B-selftest", column(NAME, "KERNEL"));
}

/* They are copied before it is known that they are right. */
TEST_F(load, too_much_boot_params)
{
	self->image.segment[PARAMS].bufsz = 65536 + 4096;
	self->image.segment[PARAMS].memsz = 65536 + 4096;
	REFUSED(E2BIG, "bufsz of boot_params 0x11000");
}

/* Ours are added to it. */
TEST_F(load, command_line_too_long)
{
	char *text = (char *)self->image.params + 0x1100;

	memset(text, 'x', 2000);
	REFUSED(E2BIG, "longest command line 0x7ff");
}

/* It would swallow ours. */
TEST_F(load, command_line_with_an_open_quote)
{
	snprintf((char *)self->image.params + 0x1100, 0x100, "a=\"b c");
	REFUSED(EINVAL, "quotes in the command line 0x1");
}

/* Row 6 before row 7: what does not fit is not read, but for its head, nor is its command line. */
TEST_F(load, too_large_and_unreadable)
{
	size_t size = 1UL << 40;

	set_segment(&self->image, INITRD, self->image.params + 0x1000, size, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	((struct boot_params *)self->image.params)->ext_ramdisk_size = size >> 32;
	snprintf((char *)self->image.params + 0x1100, 0x100, "a=\"b c");
	REFUSED(E2BIG, "image 0x10000210000");
}

/* An instance without memory has room for nothing. */
TEST(no_memory_set_aside)
{
	const char *why = unfit();
	struct image image;
	char line[256];
	int log;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, mkdir(CONFIG_DIR "/" NAME, 0755));
	EXPECT_EQ(0, put(CONFIG_DIR "/" NAME "/cpus", "2"));
	EXPECT_EQ(0, set_online(2, 0));
	make_image(&image, 'A');
	log = open_log();
	EXPECT_EQ(E2BIG, load(&image));
	EXPECT_EQ(1, read_log(log, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, "memory"));
	EXPECT_STREQ("empty", state_of(NAME));
	/* The CPU is not claimed. */
	EXPECT_EQ(0, set_online(2, 1));
	EXPECT_EQ(0, destroy(NAME));
}

TEST_HARNESS_MAIN
