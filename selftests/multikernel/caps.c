// SPDX-License-Identifier: GPL-2.0
/*
 * Root without CAP_SYS_BOOT reads everything and changes nothing, whoever opened
 * the file.
 */
#include <linux/capability.h>
#include "kselftest_harness.h"
#include "image.h"

static int drop_cap(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return errno;
	data[0].effective &= ~(1U << CAP_SYS_BOOT);
	return syscall(SYS_capset, &header, data) ? errno : 0;
}

static int take_cap(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return errno;
	data[0].effective = data[0].permitted;
	return syscall(SYS_capset, &header, data) ? errno : 0;
}

FIXTURE(caps)
{
	struct image image;
	int cpus, memory, state, ping;
};

FIXTURE_VARIANT(caps)
{
	const char *state;
};

FIXTURE_VARIANT_ADD(caps, empty) { .state = "empty" };
FIXTURE_VARIANT_ADD(caps, loaded) { .state = "loaded" };
FIXTURE_VARIANT_ADD(caps, running) { .state = "running" };

FIXTURE_SETUP(caps)
{
	const char *why = unfit();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));
	make_image(&self->image, 'A');
	if (strcmp(variant->state, "empty"))
		ASSERT_EQ(0, load(&self->image));
	if (!strcmp(variant->state, "running"))
		ASSERT_EQ(0, start(NAME));
	self->cpus = open(CONFIG_DIR "/" NAME "/cpus", O_WRONLY);
	self->memory = open(CONFIG_DIR "/" NAME "/memory", O_WRONLY);
	self->state = open(CLASS_DIR "/" NAME "/state", O_WRONLY);
	ASSERT_GE(self->state, 0);
	self->ping = open(CLASS_DIR "/" NAME "/ping", O_WRONLY);
	ASSERT_GE(self->ping, 0);
	ASSERT_EQ(0, drop_cap());
}

FIXTURE_TEARDOWN(caps)
{
	EXPECT_STREQ(variant->state, state_of(NAME));
	EXPECT_STREQ("2-3", get(CONFIG_DIR "/" NAME "/cpus"));
	EXPECT_STREQ("8M set-aside", get(CONFIG_DIR "/" NAME "/memory"));
	EXPECT_EQ(0, take_cap());
	EXPECT_EQ(0, destroy(NAME));
}

static int put_fd(int fd, const char *text)
{
	return pwrite(fd, text, strlen(text), 0) < 0 ? errno : 0;
}

TEST_F(caps, system_calls)
{
	EXPECT_EQ(EPERM, load(&self->image));
	EXPECT_EQ(EPERM, unload(2));
	EXPECT_EQ(EPERM, start(NAME));
	/* Before anything is said of the argument. */
	self->image.flags = -1;
	EXPECT_EQ(EPERM, load(&self->image));
	EXPECT_EQ(EPERM, sys_boot(NULL));
}

TEST_F(caps, configuration)
{
	static const char *const files[] = {
		"restart_policy", "restart_delay_ms", "restart_limit", "heartbeat_timeout_ms",
		"stop_timeout_ms",
	};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(files); i++) {
		char *was = get(path_of(CONFIG_DIR "/" NAME "/%s", files[i]));

		EXPECT_EQ(EPERM, put(path_of(CONFIG_DIR "/" NAME "/%s", files[i]),
				     i ? "1" : "always"));
		EXPECT_STREQ(was, get(path_of(CONFIG_DIR "/" NAME "/%s", files[i])));
	}
	EXPECT_EQ(EPERM, put(CONFIG_DIR "/" NAME "/cpus", "2"));
	EXPECT_EQ(EPERM, put(CONFIG_DIR "/" NAME "/cpus", "\n"));
	EXPECT_EQ(EPERM, put(CONFIG_DIR "/" NAME "/cpus", "bad"));
	EXPECT_EQ(EPERM, put(CONFIG_DIR "/" NAME "/memory", "4M"));
	EXPECT_EQ(EPERM, put(CONFIG_DIR "/" NAME "/memory", "bad"));
	EXPECT_EQ(-1, mkdir(CONFIG_DIR "/new", 0755));
	EXPECT_EQ(EPERM, errno);
	EXPECT_EQ(-1, mkdir(CONFIG_DIR "/.bad", 0755));
	EXPECT_EQ(EPERM, errno);
}

TEST_F(caps, orders)
{
	static const char *const words[] = { "start", "stop", "kill", "restart", "unload", "bad" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(words); i++)
		EXPECT_EQ(EPERM, order(NAME, words[i]));
	EXPECT_EQ(EPERM, put(CLASS_DIR "/" NAME "/ping", "1"));
	EXPECT_EQ(EPERM, put(CLASS_DIR "/" NAME "/ping", "bad"));
}

/* What counts is who writes, not who opened. */
TEST_F(caps, opened_by_somebody_mightier)
{
	EXPECT_EQ(EPERM, put_fd(self->cpus, "2"));
	EXPECT_EQ(EPERM, put_fd(self->memory, "4M"));
	EXPECT_EQ(EPERM, put_fd(self->state, "start"));
	EXPECT_EQ(EPERM, put_fd(self->state, "kill"));
	EXPECT_EQ(EPERM, put_fd(self->ping, "1"));
}

TEST_F(caps, reads)
{
	EXPECT_STREQ(variant->state, column(NAME, "STATE"));
	EXPECT_STREQ("-", get(CLASS_DIR "/" NAME "/reason"));
	EXPECT_NE(NULL, strstr(get(CLASS_DIR "/" NAME "/stats"), "stops 0"));
	EXPECT_STREQ("-", get(CLASS_DIR "/" NAME "/ping"));
}

TEST_HARNESS_MAIN
