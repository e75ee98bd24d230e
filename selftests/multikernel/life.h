/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An instance with 2 CPUs and 8 MiB, and an image for it that is not loaded yet.
 */
#ifndef LIFE_H
#define LIFE_H

#include "kselftest_harness.h"
#include "image.h"
#include "log.h"

FIXTURE(life)
{
	struct image image;
	int log;
};

FIXTURE_SETUP(life)
{
	const char *why = unfit();

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));
	make_image(&self->image, 'A');
	self->log = open_log();
}

FIXTURE_TEARDOWN(life)
{
	EXPECT_EQ(0, destroy(NAME));
}

static inline void tells_once(struct __test_metadata *_metadata, int log, const char *text)
{
	char line[256];

	EXPECT_EQ(1, read_log(log, line, sizeof(line)));
	EXPECT_NE(NULL, strstr(line, text))
		TH_LOG("the log has '%s', not '%s'", line, text);
}

#endif
