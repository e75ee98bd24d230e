// SPDX-License-Identifier: GPL-2.0
/*
 * rmdir and rmmod in every state, and what is left afterwards: nothing.
 */
#include "life.h"

static int remove_directory(void)
{
	return rmdir(CONFIG_DIR "/" NAME) ? errno : 0;
}

/* What each instance has below 1 MiB. */
#define LOW_CHUNK (64UL << 10)

/* Lines of /proc/iomem that are ours, and the bytes that they name. */
static int ranges_of(const char *name, unsigned long *bytes)
{
	FILE *iomem = fopen("/proc/iomem", "r");
	char line[256], label[64];
	unsigned long first, last;
	int found = 0;

	*bytes = 0;
	snprintf(label, sizeof(label), " : multikernel %s\n", name);
	while (iomem && fgets(line, sizeof(line), iomem)) {
		if (!strstr(line, label))
			continue;
		if (sscanf(line, " %lx-%lx", &first, &last) == 2)
			*bytes += last - first + 1;
		found++;
	}
	if (iomem)
		fclose(iomem);
	return found;
}

TEST_F(life, in_use)
{
	EXPECT_EQ(EAGAIN, remove_module());

	ASSERT_EQ(0, load(&self->image));
	EXPECT_EQ(EBUSY, remove_directory());
	EXPECT_EQ(EAGAIN, remove_module());

	ASSERT_EQ(0, start(NAME));
	EXPECT_EQ(EBUSY, remove_directory());
	EXPECT_EQ(EAGAIN, remove_module());

	ASSERT_EQ(0, order(NAME, "kill"));
	EXPECT_EQ(EBUSY, remove_directory());
	EXPECT_EQ(EAGAIN, remove_module());

	ASSERT_EQ(0, unload(2));
	EXPECT_EQ(EAGAIN, remove_module());
	EXPECT_EQ(0, remove_directory());
	EXPECT_EQ(-1, access(CLASS_DIR "/" NAME, F_OK));
	EXPECT_STREQ("", column(NAME, "STATE"));
	EXPECT_EQ(0, set_online(2, 1));
	EXPECT_EQ(0, set_online(3, 1));

	EXPECT_EQ(0, remove_module());
	EXPECT_EQ(-1, access(CONFIG_DIR, F_OK));
	EXPECT_EQ(-1, access(CLASS_DIR, F_OK));
	EXPECT_EQ(-1, access(OVERVIEW, F_OK));
	EXPECT_EQ(0, insert_module());
}

/* What is loaded or runs cannot be reconfigured. */
TEST_F(life, configuration_is_fixed)
{
	static const char *const states[] = { "loaded", "running", "killed" };
	size_t i;

	ASSERT_EQ(0, load(&self->image));
	for (i = 0; i < ARRAY_SIZE(states); i++) {
		EXPECT_STREQ(states[i], state_of(NAME));
		self->log = open_log();
		EXPECT_EQ(EBUSY, put(CONFIG_DIR "/" NAME "/cpus", "2"));
		tells_once(_metadata, self->log, "cpus: an image is loaded");
		EXPECT_EQ(EBUSY, put(CONFIG_DIR "/" NAME "/memory", "4M"));
		tells_once(_metadata, self->log, "memory: an image is loaded");
		EXPECT_STREQ("2-3", get(CONFIG_DIR "/" NAME "/cpus"));
		EXPECT_STREQ("8M set-aside", get(CONFIG_DIR "/" NAME "/memory"));
		close(self->log);
		if (i == 0)
			EXPECT_EQ(0, start(NAME));
		if (i == 1)
			EXPECT_EQ(0, order(NAME, "stop"));
	}
}

/* An open file of the configuration keeps neither the instance nor its memory. */
TEST_F(life, open_files)
{
	int cpus = open(CONFIG_DIR "/" NAME "/cpus", O_RDONLY);
	char text[16];

	ASSERT_GE(cpus, 0);
	EXPECT_EQ(4, read(cpus, text, sizeof(text)));
	EXPECT_EQ(0, remove_directory());
	EXPECT_STREQ("", column(NAME, "STATE"));
	EXPECT_EQ(-1, access(CLASS_DIR "/" NAME, F_OK));
	EXPECT_EQ(0, mkdir(CONFIG_DIR "/" NAME, 0755));
	EXPECT_STREQ("", get(CONFIG_DIR "/" NAME "/cpus"));
	close(cpus);
	EXPECT_EQ(0, remove_directory());
	EXPECT_EQ(0, remove_module());
	EXPECT_EQ(0, insert_module());
}

TEST_F(life, iomem)
{
	unsigned long bytes;

	EXPECT_LT(1, ranges_of(NAME, &bytes));
	EXPECT_EQ((8UL << 20) + LOW_CHUNK, bytes);
	EXPECT_EQ(0, put(CONFIG_DIR "/" NAME "/memory", "200M"));
	EXPECT_LT(1, ranges_of(NAME, &bytes));
	EXPECT_EQ((200UL << 20) + LOW_CHUNK, bytes);
	/* No instance of another name. */
	EXPECT_EQ(0, ranges_of("self", &bytes));
	EXPECT_EQ(0, remove_directory());
	EXPECT_EQ(0, ranges_of(NAME, &bytes));
	EXPECT_EQ(NULL, strstr(get("/proc/iomem"), "multikernel"));
}

TEST_HARNESS_MAIN
