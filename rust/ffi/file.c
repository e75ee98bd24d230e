// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, file part: character devices below the class device, which show
 * an instance as bytes: /dev/multikernel/NAME/FILE.
 *
 * They are misc devices: misc_open() excludes misc_deregister(), so no open
 * finds its device gone. What an open file needs afterwards is its own.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/security.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "faces.h"

struct mk_file {
	struct miscdevice misc;
	const struct mk_file_ops *ops;
	const void *data;
};

struct mk_open_file {
	const struct mk_file_ops *ops;
	const void *data;
};

/* Called with a mutex held that all misc devices share: the work comes with the first use. */
static int mk_file_open(struct inode *inode, struct file *file)
{
	struct mk_file *mfile = container_of(file->private_data, struct mk_file, misc);
	const struct mk_file_ops *ops = mfile->ops;
	struct mk_open_file *open;
	int ret;

	if (!capable(ops->capability))
		return -EPERM;
	if (ops->is_memory) {
		ret = security_locked_down(LOCKDOWN_KCORE);
		if (ret)
			return ret;
	}
	open = kzalloc_obj(*open);
	if (!open)
		return -ENOMEM;
	open->ops = ops;
	ret = ops->open(mfile->data, &open->data);
	if (ret) {
		kfree(open);
		return ret;
	}
	file->private_data = open;
	return 0;
}

static int mk_file_release(struct inode *inode, struct file *file)
{
	struct mk_open_file *open = file->private_data;

	open->ops->release(open->data);
	kfree(open);
	return 0;
}

/*
 * By way of a buffer of ours: user memory may stall for as long as its owner
 * likes, and nothing may be locked then.
 */
static ssize_t mk_file_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct mk_open_file *open = file->private_data;
	size_t size = min_t(size_t, len, SZ_64K);
	ssize_t got = 0, done = 0;
	u8 *buffer;

	if (!len)
		return 0;
	buffer = kvzalloc(size, GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	while (len) {
		got = open->ops->read(open->data, *pos, buffer, min(len, size));
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
	struct mk_open_file *open = file->private_data;
	s64 size = open->ops->size(open->data);

	if (size < 0)
		return size;
	return fixed_size_llseek(file, offset, whence, size);
}

static const struct file_operations mk_file_fops = {
	.owner = THIS_MODULE,
	.open = mk_file_open,
	.release = mk_file_release,
	.read = mk_file_read,
	.llseek = mk_file_llseek,
};

struct mk_file *mk_file_register(struct mk_device *mdev, const char *name,
				 const struct mk_file_ops *ops, const void *data)
{
	struct device *parent = mk_device_of(mdev);
	struct mk_file *mfile;
	int ret = -ENOMEM;

	mfile = kzalloc_obj(*mfile);
	if (!mfile)
		return ERR_PTR(-ENOMEM);
	mfile->ops = ops;
	mfile->data = data;
	mfile->misc.minor = MISC_DYNAMIC_MINOR;
	mfile->misc.fops = &mk_file_fops;
	mfile->misc.parent = parent;
	mfile->misc.mode = 0400;
	/* The slashes become folders in /dev, and '!' in sysfs. */
	mfile->misc.name = kasprintf(GFP_KERNEL, "multikernel/%s/%s", dev_name(parent), name);
	if (!mfile->misc.name)
		goto free;
	ret = misc_register(&mfile->misc);
	if (!ret)
		return mfile;
	kfree(mfile->misc.name);
free:
	kfree(mfile);
	return ERR_PTR(ret);
}

void mk_file_unregister(struct mk_file *mfile)
{
	misc_deregister(&mfile->misc);
	kfree(mfile->misc.name);
	kfree(mfile);
}
