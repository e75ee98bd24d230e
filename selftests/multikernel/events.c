// SPDX-License-Identifier: GPL-2.0
/*
 * Who waits for an instance to change is told: poll(2) on `state`, and uevents.
 */
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>
#include "life.h"

/* Opened and read, as poll(2) on sysfs wants it. */
static struct pollfd watch_state(const char *file)
{
	struct pollfd watched = { .events = POLLPRI };
	char text[64];

	watched.fd = open(path_of(CLASS_DIR "/" NAME "/%s", file), O_RDONLY);
	if (read(watched.fd, text, sizeof(text)) < 0)
		text[0] = '\0';
	return watched;
}

static char *reread(int fd)
{
	static char text[64];
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	text[len > 0 ? len : 0] = '\0';
	return text;
}

TEST_F(life, poll_wakes_on_each_change)
{
	struct pollfd watched = watch_state("state");

	EXPECT_EQ(0, poll(&watched, 1, 100));
	ASSERT_EQ(0, load(&self->image));
	EXPECT_EQ(1, poll(&watched, 1, 1000));
	EXPECT_EQ(POLLPRI | POLLERR, watched.revents | POLLERR);
	EXPECT_STREQ("loaded\n", reread(watched.fd));
	EXPECT_EQ(0, poll(&watched, 1, 100));
	ASSERT_EQ(0, start(NAME));
	EXPECT_EQ(1, poll(&watched, 1, 1000));
	EXPECT_STREQ("running\n", reread(watched.fd));
	EXPECT_EQ(0, poll(&watched, 1, 100));
	ASSERT_EQ(0, order(NAME, "kill"));
	EXPECT_EQ(1, poll(&watched, 1, 1000));
	EXPECT_STREQ("killed\n", reread(watched.fd));
	ASSERT_EQ(0, unload(2));
	EXPECT_EQ(1, poll(&watched, 1, 1000));
	EXPECT_STREQ("empty\n", reread(watched.fd));
	close(watched.fd);
}

/* A refusal is no change. */
TEST_F(life, poll_sleeps_through_refusals)
{
	struct pollfd watched = watch_state("state");

	EXPECT_EQ(ENODATA, start(NAME));
	EXPECT_EQ(ESRCH, order(NAME, "kill"));
	self->image.entry = 0;
	EXPECT_EQ(EINVAL, load(&self->image));
	EXPECT_EQ(0, poll(&watched, 1, 100));
	close(watched.fd);
}

/* Whoever still has the file of a removed instance gets an error, no more. */
TEST_F(life, file_outlives_the_instance)
{
	struct pollfd watched = watch_state("state");
	char text[8];

	EXPECT_EQ(0, destroy(NAME));
	EXPECT_EQ(-1, pread(watched.fd, text, sizeof(text), 0));
	EXPECT_EQ(ENODEV, errno);
	close(watched.fd);
}

static int open_uevents(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
			NETLINK_KOBJECT_UEVENT);

	if (fd >= 0 && bind(fd, (void *)&address, sizeof(address)))
		return -1;
	return fd;
}

/* The next uevent of our instance as "ACTION NAME STATE"; "" when none comes. */
static char *next_uevent(int fd)
{
	static char told[128];
	struct pollfd socket = { .fd = fd, .events = POLLIN };
	char text[4096], *field, *action, *name, *state;
	ssize_t len;

	while (poll(&socket, 1, 1000) == 1) {
		len = recv(fd, text, sizeof(text) - 1, 0);
		if (len < 0)
			continue;
		text[len] = '\0';
		action = "-";
		name = "-";
		state = "-";
		for (field = text; field < text + len; field += strlen(field) + 1) {
			if (!strncmp(field, "ACTION=", 7))
				action = field + 7;
			if (!strncmp(field, "MULTIKERNEL_NAME=", 17))
				name = field + 17;
			if (!strncmp(field, "MULTIKERNEL_STATE=", 18))
				state = field + 18;
		}
		if (strcmp(name, NAME))
			continue;
		snprintf(told, sizeof(told), "%s %s %s", action, name, state);
		return told;
	}
	return "";
}

TEST_F(life, uevents)
{
	int fd = open_uevents();

	ASSERT_GE(fd, 0);
	ASSERT_EQ(0, load(&self->image));
	EXPECT_STREQ("change " NAME " loaded", next_uevent(fd));
	ASSERT_EQ(0, start(NAME));
	EXPECT_STREQ("change " NAME " starting", next_uevent(fd));
	EXPECT_STREQ("change " NAME " running", next_uevent(fd));
	ASSERT_EQ(0, order(NAME, "kill"));
	EXPECT_STREQ("change " NAME " killed", next_uevent(fd));
	ASSERT_EQ(0, unload(2));
	EXPECT_STREQ("change " NAME " empty", next_uevent(fd));
	/* One that somebody asks for is no change of state. */
	EXPECT_EQ(0, put(CLASS_DIR "/" NAME "/uevent", "change"));
	EXPECT_STREQ("change " NAME " -", next_uevent(fd));
	EXPECT_EQ(0, destroy(NAME));
	EXPECT_STREQ("remove " NAME " -", next_uevent(fd));
	EXPECT_EQ(0, mkdir(CONFIG_DIR "/" NAME, 0755));
	EXPECT_STREQ("add " NAME " -", next_uevent(fd));
	close(fd);
}

TEST_HARNESS_MAIN
