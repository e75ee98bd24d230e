// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, file part: character devices below the class device, which show
 * an instance as bytes: /dev/multikernel/NAME/FILE.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "misc.h"

static const struct mk_file_ops *ops_of(const struct mk_misc_ops *ops)
{
	return container_of(ops, struct mk_file_ops, misc);
}

static int mk_file_open(struct inode *inode, struct file *file)
{
	struct mk_misc *misc = container_of(file->private_data, struct mk_misc, misc);
	const struct mk_file_ops *ops = ops_of(misc->ops);
	int ret;

	if (!capable(ops->capability))
		return -EPERM;
	if (ops->is_memory) {
		ret = security_locked_down(LOCKDOWN_KCORE);
		if (ret)
			return ret;
	}
	return mk_misc_open(inode, file);
}

/*
 * By way of a buffer of ours: user memory may stall for as long as its owner
 * likes, and nothing may be locked then.
 */
static ssize_t mk_file_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct mk_open *open = file->private_data;
	size_t size = min_t(size_t, len, SZ_64K);
	ssize_t got = 0, done = 0;
	u8 *buffer;

	if (!len)
		return 0;
	buffer = kvzalloc(size, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	while (len) {
		got = ops_of(open->ops)->read(open->data, *pos, buffer, min(len, size));
		if (got <= 0)
			break;
		if (copy_to_user(to, buffer, got)) {
			got = -EFAULT;
			break;
		}
		to += got;
		len -= got;
		done += got;
		*pos += got;
		if (signal_pending(current)) {
			got = -EINTR;
			break;
		}
		cond_resched();
	}
	kvfree(buffer);
	return done ? done : got;
}

static loff_t mk_file_llseek(struct file *file, loff_t offset, int whence)
{
	struct mk_open *open = file->private_data;
	s64 size = ops_of(open->ops)->size(open->data);

	if (size < 0)
		return size;
	return fixed_size_llseek(file, offset, whence, size);
}

static const struct file_operations mk_file_fops = {
	.owner = THIS_MODULE,
	.open = mk_file_open,
	.release = mk_misc_release,
	.read = mk_file_read,
	.llseek = mk_file_llseek,
};

struct mk_misc *mk_file_register(struct device *parent, const char *folder, const char *name,
				 const struct mk_file_ops *ops, const void *data)
{
	return mk_misc_register(parent, folder, name, 0400, &mk_file_fops, &ops->misc, data);
}
