// SPDX-License-Identifier: GPL-2.0
/*
 * The limits that can only be tightened, the sysctls of kexec_load and lockdown.
 * They last until the next boot, so this program comes last, and only where that
 * is wanted: nothing can be loaded after it. What runs can still be stopped, and
 * given back.
 */
#include "kselftest_harness.h"
#include "image.h"
#include "log.h"

#define LOADS_LEFT	"/proc/sys/kernel/kexec_load_limit_reboot"
#define DISABLED	"/proc/sys/kernel/kexec_load_disabled"
#define LOCKDOWN	"/sys/kernel/security/lockdown"
#define VMCORE		"/dev/multikernel/" NAME "/vmcore"
#define LOG		"/dev/multikernel/" NAME "/log"

/* Whether the log has this since the last call. */
static int kernel_told(int log, const char *text)
{
	char record[1024];
	ssize_t len;
	int told = 0;

	while ((len = read(log, record, sizeof(record) - 1)) > 0) {
		record[len] = '\0';
		told |= !!strstr(record, text);
	}
	return told;
}

static int can_open(const char *path)
{
	int fd = open(path, O_RDONLY);

	return fd < 0 ? errno : close(fd);
}

TEST(no_load_any_more)
{
	const char *why = unfit();
	struct image image;
	char line[256];
	int log;

	if (why)
		SKIP(return, "%s", why);
	if (!getenv("MK_ONEWAY"))
		SKIP(return, "nothing could be loaded before the next boot (MK_ONEWAY)");
	if (access(LOCKDOWN, W_OK))
		SKIP(return, "this kernel has no lockdown");
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));
	make_image(&image, 'A');

	/* Calls that are allowed count, whatever becomes of them. */
	ASSERT_EQ(0, put(LOADS_LEFT, "4"));
	EXPECT_EQ(0, load(&image));
	EXPECT_EQ(0, start(NAME));
	image.entry = 0;
	EXPECT_EQ(EINVAL, load(&image));
	EXPECT_STREQ("2", get(LOADS_LEFT));

	make_image(&image, 'B');
	EXPECT_EQ(0, put(LOCKDOWN, "integrity"));
	log = open_log();
	EXPECT_EQ(EPERM, load(&image));
	EXPECT_TRUE(kernel_told(log, "kexec of unsigned images is restricted"));
	EXPECT_EQ(EPERM, unload(2));

	/* The limit is asked first, so lockdown has no more to say. */
	EXPECT_STREQ("0", get(LOADS_LEFT));
	EXPECT_EQ(EPERM, load(&image));
	EXPECT_EQ(0, put(DISABLED, "1"));
	EXPECT_EQ(EPERM, load(&image));
	/* Before anything is said of the argument. */
	image.flags = -1;
	EXPECT_EQ(EPERM, load(&image));
	EXPECT_EQ(0, read_log(log, line, sizeof(line)));

	EXPECT_STREQ("running", state_of(NAME));
	EXPECT_STREQ("A-selftest", column(NAME, "KERNEL"));
	EXPECT_EQ(EBUSY, order(NAME, "unload"));
	EXPECT_EQ(0, order(NAME, "kill"));
	EXPECT_STREQ("killed", state_of(NAME));

	/* As /proc/kcore: integrity lets it be read. */
	EXPECT_EQ(0, can_open(VMCORE));
	EXPECT_EQ(0, put(LOCKDOWN, "confidentiality"));
	EXPECT_EQ(EPERM, can_open(VMCORE));
	EXPECT_TRUE(kernel_told(log, "/proc/kcore access is restricted"));
	EXPECT_EQ(0, can_open(LOG));

	EXPECT_EQ(0, order(NAME, "unload"));
	EXPECT_STREQ("empty", state_of(NAME));
	EXPECT_EQ(0, rmdir(CONFIG_DIR "/" NAME));
}

TEST_HARNESS_MAIN
