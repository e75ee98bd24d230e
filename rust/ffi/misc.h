/* SPDX-License-Identifier: GPL-2.0 */
/* What file.c and stream.c have in common. */
#ifndef MULTIKERNEL_MISC_H
#define MULTIKERNEL_MISC_H

#include <linux/miscdevice.h>

#include "faces.h"

struct mk_misc {
	struct miscdevice misc;
	const struct mk_misc_ops *ops;
	const void *data;
};

/* file->private_data */
struct mk_open {
	const struct mk_misc_ops *ops;
	const void *data;
};

int mk_misc_open(struct inode *inode, struct file *file);
int mk_misc_release(struct inode *inode, struct file *file);
struct mk_misc *mk_misc_register(struct device *parent, const char *folder, const char *name,
				 umode_t mode, const struct file_operations *fops,
				 const struct mk_misc_ops *ops, const void *data);

#endif
