// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, what the character devices of file.c and stream.c share:
 * /dev/multikernel/FOLDER/NAME.
 *
 * They are misc devices: misc_open() excludes misc_deregister(), so no open
 * finds its device gone. What an open file needs afterwards is its own.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/slab.h>

#include "misc.h"

/* Called with a mutex held that all misc devices share: the work comes with the first use. */
int mk_misc_open(struct inode *inode, struct file *file)
{
	struct mk_misc *misc = container_of(file->private_data, struct mk_misc, misc);
	struct mk_open *open = kzalloc_obj(*open);
	int ret;

	if (!open)
		return -ENOMEM;
	open->ops = misc->ops;
	ret = open->ops->open(misc->data, &open->data);
	if (ret) {
		kfree(open);
		return ret;
	}
	file->private_data = open;
	return 0;
}

int mk_misc_release(struct inode *inode, struct file *file)
{
	struct mk_open *open = file->private_data;

	open->ops->release(open->data);
	kfree(open);
	return 0;
}

struct mk_misc *mk_misc_register(struct device *parent, const char *folder, const char *name,
				 umode_t mode, const struct file_operations *fops,
				 const struct mk_misc_ops *ops, const void *data)
{
	struct mk_misc *misc = kzalloc_obj(*misc);
	int ret = -ENOMEM;

	if (!misc)
		return ERR_PTR(-ENOMEM);
	misc->ops = ops;
	misc->data = data;
	misc->misc.minor = MISC_DYNAMIC_MINOR;
	misc->misc.fops = fops;
	misc->misc.parent = parent;
	misc->misc.mode = mode;
	/* The slashes become folders in /dev, and '!' in sysfs. */
	misc->misc.name = kasprintf(GFP_KERNEL, "multikernel/%s/%s", folder, name);
	if (!misc->misc.name)
		goto free;
	ret = misc_register(&misc->misc);
	if (!ret)
		return misc;
	kfree(misc->misc.name);
free:
	kfree(misc);
	return ERR_PTR(ret);
}

void mk_misc_unregister(struct mk_misc *misc)
{
	misc_deregister(&misc->misc);
	kfree(misc->misc.name);
	kfree(misc);
}
