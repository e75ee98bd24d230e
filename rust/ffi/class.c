// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, class device part: /sys/class/multikernel/NAME.
 *
 * The struct device is the driver core's (device_create), so a reference that
 * somebody keeps to it needs neither our data nor our code once it is
 * unregistered. Attribute callbacks do: sysfs waits for them to leave, and
 * starts none afterwards, before mk_device_unregister() returns. A callback
 * must therefore never unregister its own device.
 */
#include <linux/capability.h>
#include <linux/device.h>
#include <linux/kdev_t.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "faces.h"

struct mk_device {
	struct device *dev;
	const struct mk_device_ops *ops;
	const void *data;
};

static ssize_t state_show(struct device *dev, struct device_attribute *attr, char *page)
{
	struct mk_device *mdev = dev_get_drvdata(dev);

	return mdev->ops->state_show(mdev->data, page);
}

static ssize_t state_store(struct device *dev, struct device_attribute *attr,
			   const char *text, size_t len)
{
	struct mk_device *mdev = dev_get_drvdata(dev);

	/* The file mode speaks of the opener; this, of the writer. */
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	return mdev->ops->state_store(mdev->data, text, len);
}
static DEVICE_ATTR_RW(state);

static ssize_t reason_show(struct device *dev, struct device_attribute *attr, char *page)
{
	struct mk_device *mdev = dev_get_drvdata(dev);
	ssize_t len = mdev->ops->reason_show(mdev->data, page);
	char *gap;

	/* What follows the word may be of the spawn's kernel log. */
	if (len > 0 && !ns_capable_noaudit(&init_user_ns, CAP_SYSLOG)) {
		gap = memchr(page, ' ', len);
		if (gap) {
			*gap = '\n';
			len = gap + 1 - page;
		}
	}
	return len;
}
static DEVICE_ATTR_RO(reason);

static ssize_t stats_show(struct device *dev, struct device_attribute *attr, char *page)
{
	struct mk_device *mdev = dev_get_drvdata(dev);

	return mdev->ops->stats_show(mdev->data, page);
}
static DEVICE_ATTR_RO(stats);

static ssize_t ping_show(struct device *dev, struct device_attribute *attr, char *page)
{
	struct mk_device *mdev = dev_get_drvdata(dev);

	return mdev->ops->ping_show(mdev->data, page);
}

static ssize_t ping_store(struct device *dev, struct device_attribute *attr,
			  const char *text, size_t len)
{
	struct mk_device *mdev = dev_get_drvdata(dev);

	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	return mdev->ops->ping_store(mdev->data, text, len);
}
static DEVICE_ATTR_ADMIN_RW(ping);

static struct attribute *mk_device_attrs[] = {
	&dev_attr_state.attr,
	&dev_attr_reason.attr,
	&dev_attr_stats.attr,
	&dev_attr_ping.attr,
	NULL,
};
ATTRIBUTE_GROUPS(mk_device);

/* For every uevent, those of `udevadm trigger` too. */
static int mk_uevent(const struct device *dev, struct kobj_uevent_env *env)
{
	return add_uevent_var(env, "MULTIKERNEL_NAME=%s", dev_name(dev));
}

/* Not of ours: somebody may hold its directory for longer than there is a module. */
static struct class *mk_class;

int mk_class_register(void)
{
	struct class *class = class_create("multikernel");

	if (IS_ERR(class))
		return PTR_ERR(class);
	class->dev_uevent = mk_uevent;
	mk_class = class;
	return 0;
}

void mk_class_unregister(void)
{
	class_destroy(mk_class);
	mk_class = NULL;
}

struct mk_device *mk_device_register(const char *name, const struct mk_device_ops *ops,
				     const void *data)
{
	struct mk_device *mdev;
	struct device *dev;

	if (!mk_class)
		return ERR_PTR(-ENODEV);
	mdev = kzalloc_obj(*mdev);
	if (!mdev)
		return ERR_PTR(-ENOMEM);
	mdev->ops = ops;
	mdev->data = data;
	/* Callbacks may come before this returns; they do not use mdev->dev. */
	dev = device_create_with_groups(mk_class, NULL, MKDEV(0, 0), mdev,
					mk_device_groups, "%s", name);
	if (IS_ERR(dev)) {
		kfree(mdev);
		return ERR_CAST(dev);
	}
	mdev->dev = dev;
	return mdev;
}

void mk_device_unregister(struct mk_device *mdev)
{
	device_unregister(mdev->dev);
	kfree(mdev);
}

/* Wakes those who poll `state`, and tells udev. Sleeps. */
void mk_device_changed(struct mk_device *mdev, const char *state, size_t len)
{
	char text[48];
	char *envp[2] = { text, NULL };

	snprintf(text, sizeof(text), "MULTIKERNEL_STATE=%.*s", (int)min_t(size_t, len, 24), state);
	sysfs_notify(&mdev->dev->kobj, NULL, "state");
	/* Nobody can do anything about a lost uevent. */
	kobject_uevent_env(&mdev->dev->kobj, KOBJ_CHANGE, envp);
}

struct device *mk_device_of(struct mk_device *mdev)
{
	return mdev->dev;
}
