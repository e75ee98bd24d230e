// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, stream part: character devices through which bytes go to a peer
 * kernel and come from it: /dev/multikernel/FOLDER/NAME.
 */
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sizes.h>
#include <linux/slab.h>
#include <linux/termios.h>
#include <linux/uaccess.h>

#include "misc.h"

/* So many bytes go by way of the stack. */
#define MK_STREAM_SMALL 128

static const struct mk_stream_ops *ops_of(const struct mk_open *open)
{
	return container_of(open->ops, struct mk_stream_ops, misc);
}

static int mk_stream_open(struct inode *inode, struct file *file)
{
	int ret = mk_misc_open(inode, file);

	return ret ? ret : stream_open(inode, file);
}

/*
 * By way of a buffer of ours, as long as what there is: user memory may stall
 * for as long as its owner likes, and nothing may be locked then.
 */
static ssize_t mk_stream_read(struct file *file, char __user *to, size_t len, loff_t *pos)
{
	struct mk_open *open = file->private_data;
	u8 small[MK_STREAM_SMALL], *buffer;
	ssize_t got = 0;

	/* 0 bytes are taken when another reader was there first. */
	while (len && !got) {
		got = ops_of(open)->wait(open->data, file->f_flags & O_NONBLOCK);
		if (got <= 0)
			break;
		got = min3((size_t)got, len, (size_t)SZ_8K);
		buffer = small;
		if (got > sizeof(small))
			buffer = kmalloc(got, GFP_KERNEL);
		if (!buffer)
			return -ENOMEM;
		memset(buffer, 0, got);
		got = ops_of(open)->take(open->data, buffer, got);
		if (got > 0 && copy_to_user(to, buffer, got))
			got = -EFAULT;
		if (buffer != small)
			kfree(buffer);
	}
	return got;
}

static ssize_t mk_stream_write(struct file *file, const char __user *from, size_t len, loff_t *pos)
{
	struct mk_open *open = file->private_data;
	ssize_t put = 0;
	u8 small[MK_STREAM_SMALL], *buffer = small;
	size_t done = 0;

	if (len > sizeof(small))
		buffer = kvmalloc(min_t(size_t, len, SZ_64K), GFP_KERNEL);
	if (!buffer)
		return -ENOMEM;
	/* Nothing, too, is written: its end counts. */
	do {
		size_t part = min_t(size_t, len - done, SZ_64K);

		put = -EFAULT;
		if (copy_from_user(buffer, from + done, part))
			break;
		put = ops_of(open)->write(open->data, buffer, part, file->f_flags & O_NONBLOCK);
		if (put <= 0)
			break;
		done += put;
	} while (done < len);
	if (buffer != small)
		kvfree(buffer);
	return done ? done : put;
}

static __poll_t mk_stream_poll(struct file *file, poll_table *wait)
{
	struct mk_open *open = file->private_data;

	return (__force __poll_t)ops_of(open)->poll(open->data, file, wait);
}

static long mk_stream_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct mk_open *open = file->private_data;
	struct winsize size;

	if (cmd != TIOCSWINSZ)
		return -ENOTTY;
	if (copy_from_user(&size, (void __user *)arg, sizeof(size)))
		return -EFAULT;
	return ops_of(open)->resize(open->data, size.ws_row, size.ws_col);
}

static const struct file_operations mk_stream_fops = {
	.owner = THIS_MODULE,
	.open = mk_stream_open,
	.release = mk_misc_release,
	.read = mk_stream_read,
	.write = mk_stream_write,
	.poll = mk_stream_poll,
	.unlocked_ioctl = mk_stream_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

struct mk_misc *mk_stream_register(struct device *parent, const char *folder, const char *name,
				   const struct mk_stream_ops *ops, const void *data)
{
	return mk_misc_register(parent, folder, name, 0600, &mk_stream_fops, &ops->misc, data);
}
