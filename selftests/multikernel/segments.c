// SPDX-License-Identifier: GPL-2.0
/*
 * Row 6 of the errno table, first half: the segments as such and how they refer
 * to each other; and row 7, buffers that cannot be read.
 */
#include "refused.h"

TEST_F(load, label_unaligned)
{
	self->image.segment[PARAMS].mem += 0x800;
	REFUSED(EINVAL, "mem of a segment 0x200800");
}

TEST_F(load, memsz_unaligned)
{
	self->image.segment[KERNEL].memsz = 0x1800;
	REFUSED(EINVAL, "memsz of a segment 0x1800");
}

TEST_F(load, memsz_zero)
{
	self->image.segment[KERNEL].bufsz = 0;
	self->image.segment[KERNEL].memsz = 0;
	REFUSED(EINVAL, "memsz of a segment 0x0");
}

TEST_F(load, bufsz_above_memsz)
{
	self->image.segment[KERNEL].bufsz = 0x1001;
	REFUSED(EINVAL, "bufsz of a segment 0x1001");
}

TEST_F(load, segments_overlap)
{
	self->image.segment[PARAMS].mem = KERNEL_LABEL;
	REFUSED(EINVAL, "mem of a segment 0x100000");
}

TEST_F(load, one_segment_within_another)
{
	self->image.segment[KERNEL].memsz = 0x200000;
	REFUSED(EINVAL, "mem of a segment 0x200000");
}

TEST_F(load, segment_wraps_around)
{
	self->image.segment[PARAMS].mem = ~0xfffUL;
	REFUSED(EINVAL, "memsz of a segment 0x2000");
}

TEST_F(load, entry_outside)
{
	self->image.entry = 0x400000;
	REFUSED(EINVAL, "entry 0x400000");
}

TEST_F(load, entry_in_boot_params)
{
	self->image.entry = PARAMS_LABEL + ENTRY_64;
	REFUSED(EINVAL, "entry 0x200200");
}

TEST_F(load, entry_not_that_of_the_kernel)
{
	self->image.entry += 2;
	REFUSED(EINVAL, "entry 0x202");
}

TEST_F(load, no_boot_params)
{
	header_of(&self->image)->header = 0;
	REFUSED(EINVAL, "boot_params segments 0x0");
}

TEST_F(load, two_boot_params)
{
	set_segment(&self->image, INITRD, self->image.params, 0x2000, INITRD_LABEL);
	self->image.nr_segments = 3;
	REFUSED(EINVAL, "boot_params segments 0x2");
}

TEST_F(load, no_kernel)
{
	self->image.segment[KERNEL] = self->image.segment[PARAMS];
	self->image.nr_segments = 1;
	REFUSED(EINVAL, "entry 0x100200");
}

TEST_F(load, fourth_segment)
{
	set_segment(&self->image, INITRD, self->image.kernel, 0x1000, INITRD_LABEL);
	set_segment(&self->image, INITRD + 1, self->image.kernel, 0x1000, INITRD_LABEL + 0x1000);
	self->image.nr_segments = 4;
	REFUSED(EINVAL, "segments 0x4");
}

TEST_F(load, sixteen_segments)
{
	int i;

	for (i = 2; i < 16; i++)
		set_segment(&self->image, i, self->image.kernel, 0x1000,
			    INITRD_LABEL + i * 0x1000UL);
	self->image.nr_segments = 16;
	REFUSED(EINVAL, "segments 0x10");
}

TEST_F(load, initrd_without_a_name)
{
	set_segment(&self->image, INITRD, self->image.kernel, 0x1000, INITRD_LABEL);
	self->image.nr_segments = 3;
	REFUSED(EINVAL, "ramdisk_image 0x0");
}

TEST_F(load, initrd_elsewhere)
{
	set_segment(&self->image, INITRD, self->image.kernel, 0x1000, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL + 0x1000;
	header_of(&self->image)->ramdisk_size = 0x1000;
	REFUSED(EINVAL, "ramdisk_image 0x301000");
}

TEST_F(load, initrd_longer_than_its_segment)
{
	set_segment(&self->image, INITRD, self->image.kernel, 0x1000, INITRD_LABEL);
	self->image.nr_segments = 3;
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	header_of(&self->image)->ramdisk_size = 0x1001;
	REFUSED(EINVAL, "ramdisk_image 0x300000");
}

TEST_F(load, initrd_missing)
{
	header_of(&self->image)->ramdisk_image = INITRD_LABEL;
	header_of(&self->image)->ramdisk_size = 0x1000;
	REFUSED(EINVAL, "ramdisk_size 0x1000");
}

TEST_F(load, command_line_outside)
{
	header_of(&self->image)->cmd_line_ptr = INITRD_LABEL;
	REFUSED(EINVAL, "cmd_line_ptr 0x300000");
}

TEST_F(load, command_line_in_the_zero_page)
{
	header_of(&self->image)->cmd_line_ptr = PARAMS_LABEL + 0x200;
	REFUSED(EINVAL, "cmd_line_ptr 0x200200");
}

/* Row 7 */

TEST_F(load, kernel_unreadable)
{
	self->image.segment[KERNEL].buf = (void *)0x10;
	REFUSED(EFAULT, "buf of a segment 0x10");
}

TEST_F(load, boot_params_end_unreadable)
{
	char *page = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ASSERT_NE(MAP_FAILED, (void *)page);
	memcpy(page, self->image.params, 0x1000);
	ASSERT_EQ(0, munmap(page + 0x1000, 0x1000));
	self->image.segment[PARAMS].buf = page;
	REFUSED(EFAULT, "buf of a segment");
}

TEST_F(load, kernel_address)
{
	self->image.segment[KERNEL].buf = (void *)0xffffffff81000000UL;
	REFUSED(EFAULT, "buf of a segment 0xffffffff81000000");
}

TEST_F(load, buffer_wraps_around)
{
	self->image.segment[KERNEL].buf = (void *)-0x800UL;
	REFUSED(EFAULT, "buf of a segment");
}

/* More than there is memory, and not there: whichever is noticed first, in good time. */
TEST_F(load, absurd_size)
{
	self->image.segment[KERNEL].bufsz = 1UL << 46;
	self->image.segment[KERNEL].memsz = 1UL << 46;
	self->image.segment[KERNEL].mem = 1UL << 46;
	self->image.entry = (1UL << 46) + ENTRY_64;
	REFUSED(ENOEXEC, "length of the kernel 0x400000000000");
}

TEST_HARNESS_MAIN
