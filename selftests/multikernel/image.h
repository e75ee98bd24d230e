/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An image that is complete but for a kernel.
 */
#ifndef IMAGE_H
#define IMAGE_H

#include <asm/bootparam.h>
#include "multikernel.h"

#define ENTRY_64	0x200
#define KERNEL_LABEL	0x100000UL
#define PARAMS_LABEL	0x200000UL
#define INITRD_LABEL	0x300000UL

struct segment {
	const void *buf;
	size_t bufsz;
	unsigned long mem;
	size_t memsz;
};

enum { KERNEL, PARAMS, INITRD, SEGMENTS_MAX = 17 };

struct image {
	_Alignas(4096) unsigned char kernel[0x1000];
	_Alignas(4096) unsigned char params[0x2000];
	struct segment segment[SEGMENTS_MAX];
	unsigned long nr_segments;
	unsigned long entry;
	unsigned long flags;
};

static inline struct setup_header *header_of(struct image *image)
{
	return &((struct boot_params *)image->params)->hdr;
}

static inline void set_segment(struct image *image, int i, const void *buf, size_t size,
			       unsigned long label)
{
	image->segment[i] = (struct segment){ buf, size, label, (size + 0xfff) & ~0xfffUL };
}

/* A good image for the boot CPU 2; its kernel says one letter on ttyS1 and halts. */
static inline void make_image(struct image *image, char letter)
{
	const unsigned char code[] = {
		0x66, 0xba, 0xf8, 0x02,	/* mov $0x2f8, %dx */
		0xb0, letter,		/* mov $letter, %al */
		0xee,			/* out %al, %dx */
		0xfa,			/* cli */
		0xf4, 0xeb, 0xfd,	/* 1: hlt; jmp 1b */
	};
	struct setup_header *header = header_of(image);

	memset(image, 0, sizeof(*image));
	memcpy(image->kernel + ENTRY_64, code, sizeof(code));
	header->boot_flag = 0xaa55;
	header->jump = 0x66eb;
	memcpy(&header->header, "HdrS", 4);
	header->version = 0x20f;
	header->kernel_version = 0x1000 - 0x200;
	header->kernel_alignment = 0x200000;
	header->relocatable_kernel = 1;
	header->min_alignment = 21;
	header->xloadflags = XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G;
	header->cmdline_size = 2047;
	header->payload_offset = 0x400;
	header->payload_length = 0x100;
	header->init_size = 0x10000;
	header->cmd_line_ptr = PARAMS_LABEL + 0x1100;
	snprintf((char *)image->params + 0x1000, 0x100, "%c-selftest", letter);
	snprintf((char *)image->params + 0x1100, 0x100, "quiet");

	set_segment(image, KERNEL, image->kernel, sizeof(image->kernel), KERNEL_LABEL);
	set_segment(image, PARAMS, image->params, sizeof(image->params), PARAMS_LABEL);
	image->nr_segments = 2;
	image->entry = KERNEL_LABEL + ENTRY_64;
	image->flags = MULTIKERNEL | ARCH_X86_64 | CPU_FLAG(2);
}

static inline int load(const struct image *image)
{
	return sys_load(image->entry, image->nr_segments, image->segment, image->flags);
}

#endif
