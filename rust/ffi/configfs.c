// SPDX-License-Identifier: GPL-2.0
/*
 * The C shim, configfs part: the subsystem `multikernel`, a directory for each
 * instance. The Rust abstraction of configfs has no way from the data of a
 * directory to its config_item, which a dependency needs.
 *
 * Locks: configfs holds su_mutex around make_item() and disconnect_notify(),
 * but not around release() on rmdir, nor around show() and store().
 * live_lock is innermost but for configfs_dirent_lock, so a dependency may be
 * taken and dropped with any mutex held.
 */
#include <linux/capability.h>
#include <linux/configfs.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "faces.h"

struct mk_item {
	struct config_item item;
	const void *data;
	/* On live_items from make_item() until rmdir is certain. */
	struct list_head live;
};

static const struct mk_configfs_ops *mk_ops;

static LIST_HEAD(live_items);
static DEFINE_SPINLOCK(live_lock);

static struct mk_item *to_mk_item(struct config_item *item)
{
	return container_of(item, struct mk_item, item);
}

static ssize_t mk_store(struct config_item *item, enum mk_attribute attribute,
			const char *page, size_t count)
{
	/* The file mode speaks of the opener; this, of the writer. */
	if (!capable(CAP_SYS_BOOT))
		return -EPERM;
	return mk_ops->store(to_mk_item(item)->data, attribute, page, count);
}

#define MK_ATTR(_name)									\
static ssize_t mk_##_name##_show(struct config_item *item, char *page)			\
{											\
	return mk_ops->show(to_mk_item(item)->data, mk_attribute_##_name, page);	\
}											\
											\
static ssize_t mk_##_name##_store(struct config_item *item, const char *page,		\
				  size_t count)						\
{											\
	return mk_store(item, mk_attribute_##_name, page, count);			\
}											\
											\
CONFIGFS_ATTR(mk_, _name)

MK_ATTR(cpus);
MK_ATTR(memory);
MK_ATTR(restart_policy);
MK_ATTR(restart_delay_ms);
MK_ATTR(restart_limit);
MK_ATTR(heartbeat_timeout_ms);
MK_ATTR(stop_timeout_ms);

static struct configfs_attribute *mk_attrs[] = {
	&mk_attr_cpus,
	&mk_attr_memory,
	&mk_attr_restart_policy,
	&mk_attr_restart_delay_ms,
	&mk_attr_restart_limit,
	&mk_attr_heartbeat_timeout_ms,
	&mk_attr_stop_timeout_ms,
	NULL,
};

/*
 * The last reference: nobody is in show() or store(), and nobody will be. On
 * rmdir su_mutex has been dropped by now; when mkdir fails half-way it is held.
 */
static void mk_release(struct config_item *item)
{
	struct mk_item *mki = to_mk_item(item);

	mk_ops->release(mki->data);
	kfree(mki);
}

static const struct configfs_item_operations mk_item_ops = {
	.release = mk_release,
};

static const struct config_item_type mk_item_type = {
	.ct_owner = THIS_MODULE,
	.ct_item_ops = &mk_item_ops,
	.ct_attrs = mk_attrs,
};

static struct config_item *mk_make_item(struct config_group *group, const char *name)
{
	struct mk_item *mki;
	int err;

	if (!capable(CAP_SYS_BOOT))
		return ERR_PTR(-EPERM);

	mki = kzalloc_obj(*mki);
	if (!mki)
		return ERR_PTR(-ENOMEM);
	err = mk_ops->create(name, &mki->data);
	if (err) {
		kfree(mki);
		return ERR_PTR(err);
	}
	config_item_init_type_name(&mki->item, name, &mk_item_type);

	spin_lock(&live_lock);
	list_add(&mki->live, &live_items);
	spin_unlock(&live_lock);

	return &mki->item;
}

/* Before the item leaves its group, which a dependency looks at. */
static void mk_disconnect_notify(struct config_group *group, struct config_item *item)
{
	spin_lock(&live_lock);
	list_del(&to_mk_item(item)->live);
	spin_unlock(&live_lock);
}

static const struct configfs_group_operations mk_group_ops = {
	.make_item = mk_make_item,
	.disconnect_notify = mk_disconnect_notify,
};

static const struct config_item_type mk_group_type = {
	.ct_owner = THIS_MODULE,
	.ct_group_ops = &mk_group_ops,
};

static struct configfs_subsystem mk_subsys = {
	.su_group = {
		.cg_item = {
			.ci_namebuf = "multikernel",
			.ci_type = &mk_group_type,
		},
	},
};

int mk_configfs_register(const struct mk_configfs_ops *ops)
{
	int err;

	if (mk_ops)
		return -EBUSY;
	mk_ops = ops;
	config_group_init(&mk_subsys.su_group);
	mutex_init(&mk_subsys.su_mutex);
	err = configfs_register_subsystem(&mk_subsys);
	if (err)
		mk_ops = NULL;
	return err;
}

/* The caller is module exit, or a failed init: every directory pins the module. */
void mk_configfs_unregister(void)
{
	configfs_unregister_subsystem(&mk_subsys);
	mutex_destroy(&mk_subsys.su_mutex);
	mk_ops = NULL;
}

/*
 * Makes rmdir of the directory that owns @data fail with EBUSY. The item stays
 * until mk_configfs_undepend(), so no reference is needed besides.
 */
struct config_item *mk_configfs_depend(const void *data)
{
	struct config_item *found = ERR_PTR(-ENOENT);
	struct mk_item *mki;
	int err;

	spin_lock(&live_lock);
	list_for_each_entry(mki, &live_items, live) {
		if (mki->data != data)
			continue;
		/*
		 * In mkdir still, between make_item() and its place in the
		 * group? From there on until disconnect_notify() it has one.
		 */
		if (!READ_ONCE(mki->item.ci_group))
			break;
		/*
		 * "Our" subsystem is the target's: it cannot be unregistered
		 * while a directory pins the module, so no inode lock is taken,
		 * only configfs_dirent_lock. -ENOENT if rmdir won.
		 */
		err = configfs_depend_item_unlocked(&mk_subsys, &mki->item);
		found = err ? ERR_PTR(err) : &mki->item;
		break;
	}
	spin_unlock(&live_lock);
	return found;
}

/* After this the item may be gone. */
void mk_configfs_undepend(struct config_item *item)
{
	configfs_undepend_item(item);
}
