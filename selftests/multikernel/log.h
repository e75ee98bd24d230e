/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the module says in the kernel log.
 */
#ifndef LOG_H
#define LOG_H

#include "multikernel.h"

/* The log from now on. */
static inline int open_log(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	lseek(fd, 0, SEEK_END);
	return fd;
}

/* Counts the module's lines since the last call; the last of them goes to `line`. */
static inline int read_log(int fd, char *line, size_t size)
{
	char record[1024], *text;
	ssize_t len;
	int lines = 0;

	line[0] = '\0';
	while ((len = read(fd, record, sizeof(record) - 1)) > 0 || (len < 0 && errno == EPIPE)) {
		if (len < 0)
			continue;
		record[len] = '\0';
		text = strchr(record, ';');
		if (!text || strncmp(text + 1, "multikernel: ", 13))
			continue;
		snprintf(line, size, "%.*s", (int)strcspn(text + 14, "\n"), text + 14);
		lines++;
	}
	return lines;
}

#endif
