// SPDX-License-Identifier: GPL-2.0
/* The C shim, procfs part: a file that one function fills at each read. */
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#include "faces.h"

struct proc_dir_entry *mk_proc_create(const char *name,
				      int (*show)(struct seq_file *m, void *data))
{
	return proc_create_single_data(name, 0444, NULL, show, NULL);
}

/* Returns when nobody is in show() any more; files still open read nothing. */
void mk_proc_remove(struct proc_dir_entry *entry)
{
	proc_remove(entry);
}
