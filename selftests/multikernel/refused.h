/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A load that is refused: the errno, one line in the kernel log with field,
 * value and remedy, and nothing else. Every test runs on an instance that is
 * empty and again on one that has an image.
 */
#ifndef REFUSED_H
#define REFUSED_H

#include "kselftest_harness.h"
#include "image.h"
#include "log.h"

FIXTURE(load)
{
	struct image image;
	int log;
};

FIXTURE_VARIANT(load)
{
	const char *state;
};

FIXTURE_VARIANT_ADD(load, when_empty) { .state = "empty" };
FIXTURE_VARIANT_ADD(load, when_loaded) { .state = "loaded" };

FIXTURE_SETUP(load)
{
	const char *why = unfit();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));
	make_image(&self->image, 'A');
	if (!strcmp(variant->state, "loaded"))
		ASSERT_EQ(0, load(&self->image));
	ASSERT_STREQ(variant->state, state_of(NAME));
	/* What the tests spoil would be something else than what is loaded. */
	make_image(&self->image, 'B');
	self->log = open_log();
}

FIXTURE_TEARDOWN(load)
{
	EXPECT_EQ(0, destroy(NAME));
}

static inline void nothing_changed(struct __test_metadata *_metadata, const char *was)
{
	EXPECT_STREQ(was, state_of(NAME));
	EXPECT_STREQ(was, column(NAME, "STATE"));
	EXPECT_STREQ("8M", column(NAME, "MEMORY"));
	EXPECT_STREQ("2-3", column(NAME, "CPUS"));
	EXPECT_STREQ("0", column(NAME, "STARTS"));
	EXPECT_STREQ("-", column(NAME, "REASON"));
	if (!strcmp(was, "loaded")) {
		EXPECT_STREQ("A-selftest", column(NAME, "KERNEL"));
		EXPECT_EQ(EBUSY, set_online(3, 1));
		EXPECT_EQ(0, start(NAME));
		EXPECT_STREQ("running", state_of(NAME));
	} else {
		EXPECT_STREQ("-", column(NAME, "KERNEL"));
		EXPECT_EQ(0, set_online(3, 1));
	}
}

/* `told` is the field with its value, or NULL for a check of the kernel's own. */
static inline void refused(struct __test_metadata *_metadata, const struct image *image, int log,
			   const char *was, int error, const char *told)
{
	char line[256], *seen;
	int lines;

	EXPECT_EQ(error, load(image));
	lines = read_log(log, line, sizeof(line));
	EXPECT_EQ(told ? 1 : 0, lines);
	if (told) {
		/* A remedy follows. */
		seen = strstr(line, told);
		EXPECT_TRUE(seen && strpbrk(seen + strlen(told), ":;"))
			TH_LOG("the log has '%s', not '%s'", line, told);
	}
	nothing_changed(_metadata, was);
}

#define REFUSED(error, told) \
	refused(_metadata, &self->image, self->log, variant->state, error, told)

#endif
