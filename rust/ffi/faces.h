/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Prototypes of the C shim, the half that users see: configfs, the class
 * device and its files, /proc/multikernel. Mirrored by configfs.rs, class.rs,
 * misc.rs, file.rs, stream.rs and proc.rs.
 *
 * @data is always an Arc<T> that Rust gave away with Arc::into_raw(); the
 * functions in the tables below know the T. C never looks behind it.
 */
#ifndef MULTIKERNEL_FACES_H
#define MULTIKERNEL_FACES_H

#include <linux/types.h>

struct config_item;
struct device;
struct mk_device;
struct mk_misc;
struct proc_dir_entry;
struct seq_file;

/* The files of a directory; mirrored by Attribute in configfs.rs. */
enum mk_attribute {
	mk_attribute_cpus,
	mk_attribute_memory,
	mk_attribute_restart_policy,
	mk_attribute_restart_delay_ms,
	mk_attribute_restart_limit,
	mk_attribute_heartbeat_timeout_ms,
	mk_attribute_stop_timeout_ms,
};

/* What a directory of the configfs subsystem does; all may sleep. */
struct mk_configfs_ops {
	/* mkdir: on success *data is an Arc that the directory owns. */
	int (*create)(const char *name, const void **data);
	/* The directory is gone: gives its Arc back. */
	void (*release)(const void *data);
	ssize_t (*show)(const void *data, u32 attribute, char *page);
	ssize_t (*store)(const void *data, u32 attribute, const char *text, size_t len);
};

/* What the attributes of a class device do; all may sleep. */
struct mk_device_ops {
	ssize_t (*state_show)(const void *data, char *page);
	ssize_t (*state_store)(const void *data, const char *text, size_t len);
	ssize_t (*reason_show)(const void *data, char *page);
	ssize_t (*stats_show)(const void *data, char *page);
	ssize_t (*ping_show)(const void *data, char *page);
	ssize_t (*ping_store)(const void *data, const char *text, size_t len);
};

/* What every character device does; all may sleep. */
struct mk_misc_ops {
	/* On success *file is an Arc that the open file owns. */
	int (*open)(const void *data, const void **file);
	/* The file is closed: gives its Arc back. */
	void (*release)(const void *file);
};

/* What one below a class device does that shows bytes; all may sleep. */
struct mk_file_ops {
	struct mk_misc_ops misc;
	/* What it takes to open it; it shows memory: nor may the host be locked down. */
	int capability;
	bool is_memory;
	s64 (*size)(const void *file);
	/* At most @len bytes from @pos on; 0 at the end. */
	ssize_t (*read)(const void *file, u64 pos, u8 *to, size_t len);
};

/* What a stream to a peer kernel does; all but poll may sleep. */
struct mk_stream_ops {
	struct mk_misc_ops misc;
	/* How many bytes there are, once there are some; 0 at the end. */
	ssize_t (*wait)(const void *file, bool nonblock);
	/* Takes what there is, without waiting. */
	ssize_t (*take)(const void *file, u8 *to, size_t len);
	ssize_t (*write)(const void *file, const u8 *from, size_t len, bool nonblock);
	/* Of a struct file and a poll_table: Rust has them as void, and kCFI compares types. */
	u32 (*poll)(const void *stream, void *file, void *table);
	int (*resize)(const void *file, u16 rows, u16 columns);
};

/* configfs.c */
int mk_configfs_register(const struct mk_configfs_ops *ops);
void mk_configfs_unregister(void);
struct config_item *mk_configfs_depend(const void *data);
void mk_configfs_undepend(struct config_item *item);

/* class.c */
int mk_class_register(void);
void mk_class_unregister(void);
struct mk_device *mk_device_register(const char *name, const struct mk_device_ops *ops,
				     const void *data);
void mk_device_unregister(struct mk_device *mdev);
void mk_device_changed(struct mk_device *mdev, const char *state, size_t len);
struct device *mk_device_of(struct mk_device *mdev);

/* misc.c, file.c, stream.c */
struct mk_misc *mk_file_register(struct device *parent, const char *folder, const char *name,
				 const struct mk_file_ops *ops, const void *data);
struct mk_misc *mk_stream_register(struct device *parent, const char *folder, const char *name,
				   const struct mk_stream_ops *ops, const void *data);
void mk_misc_unregister(struct mk_misc *misc);

/* proc.c */
struct proc_dir_entry *mk_proc_create(const char *name,
				      int (*show)(struct seq_file *m, void *data));
void mk_proc_remove(struct proc_dir_entry *entry);

#endif
