// SPDX-License-Identifier: GPL-2.0
/*
 * 50 readers of everything, while instances come, change and go: what each reads
 * is of one moment and makes sense. 10 seconds.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include "kselftest_harness.h"
#include "image.h"

#define HEADER	"ID NAME STATE CPUS MEMORY KERNEL SECONDS STARTS REASON SILENCE"
#define READERS	50
#define SECONDS	10

static int among(const char *word, const char *const *words)
{
	for (; *words; words++)
		if (!strcmp(*words, word))
			return 1;
	return 0;
}

static const char *const states[] = { "empty", "loaded", "starting", "running", "killed", NULL };
static const char *const reasons[] = { "-", "killed", "stopped", NULL };

/* What is wrong with a line of the overview, or NULL. */
static const char *flaw_in(const char *line, long *last_id)
{
	char name[64], state[32], cpus[64], memory[32], release[64], reason[32], silence[32], more;
	double seconds;
	long id, starts;
	int has_image, fields;

	fields = sscanf(line, "%ld %63s %31s %63s %31s %63s %lf %ld %31s %31s %c", &id, name, state,
			cpus, memory, release, &seconds, &starts, reason, silence, &more);
	if (fields != 10 || strcmp(silence, "-"))
		return "columns";
	if (id <= *last_id)
		return "order of the ids";
	*last_id = id;
	if (strcmp(name, "first") && strcmp(name, "second"))
		return "name";
	if (!among(state, states))
		return "state";
	if (!among(reason, reasons))
		return "reason";
	has_image = !!strcmp(state, "empty");
	if (has_image != !!strcmp(release, "-"))
		return "kernel in this state";
	if (has_image && strcmp(memory, "8M"))
		return "memory in this state";
	if (has_image && strcmp(cpus, !strcmp(name, "first") ? "2" : "3"))
		return "CPUs in this state";
	if (!strcmp(state, "running") && (starts < 1 || strcmp(reason, "-")))
		return "starts or reason in this state";
	if (!strcmp(state, "killed") && !strcmp(reason, "-"))
		return "no reason to be killed";
	return NULL;
}

static void read_overview(void)
{
	char *text = get(OVERVIEW), *lines, *line = strtok_r(text, "\n", &lines);
	const char *flaw;
	long last_id = 0;

	if (!line || strcmp(line, HEADER)) {
		printf("# header: '%s'\n", line ?: "");
		_exit(1);
	}
	while ((line = strtok_r(NULL, "\n", &lines))) {
		flaw = flaw_in(line, &last_id);
		if (flaw) {
			printf("# %s: '%s'\n", flaw, line);
			fflush(stdout);
			_exit(1);
		}
	}
}

/* An attribute is whole, or its instance is not there. */
static void read_attributes(const char *name)
{
	char *state = state_of(name), *stats = get(path_of(CLASS_DIR "/%s/stats", name));
	char *reason = get(path_of(CLASS_DIR "/%s/reason", name));
	char *memory = get(path_of(CONFIG_DIR "/%s/memory", name));
	char *cpus = get(path_of(CONFIG_DIR "/%s/cpus", name));
	char *ping = get(path_of(CLASS_DIR "/%s/ping", name));
	long starts, stops;

	if ((*state && !among(state, states)) || (*reason && !among(reason, reasons)) ||
	    (*stats && sscanf(stats, "starts %ld stops %ld", &starts, &stops) != 2) ||
	    (*ping && strcmp(ping, "-")) ||
	    (*memory && strcmp(memory, "0 none") && strcmp(memory, "8M set-aside")) ||
	    (*cpus && strcmp(cpus, !strcmp(name, "first") ? "2" : "3"))) {
		printf("# %s: '%s' '%s' '%s' '%s' '%s' '%s'\n", name, state, reason, stats, ping,
		       memory, cpus);
		fflush(stdout);
		_exit(1);
	}
}

static void reader(void)
{
	/* A test that fails leaves none behind. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		read_overview();
		read_attributes("first");
		read_attributes("second");
		/* So that the instances get to live. */
		usleep(20000);
	}
}

/* One life of an instance. */
static int live(const char *name, const char *cpu, struct image *image)
{
	int err = mkdir(path_of(CONFIG_DIR "/%s", name), 0755) ? errno : 0;

	err = err ?: put(path_of(CONFIG_DIR "/%s/cpus", name), cpu);
	err = err ?: put(path_of(CONFIG_DIR "/%s/memory", name), "8M");
	err = err ?: load(image);
	err = err ?: load(image);
	err = err ?: start(name);
	err = err ?: order(name, "kill");
	err = err ?: order(name, "start");
	err = err ?: order(name, "stop");
	err = err ?: unload(atoi(cpu));
	return err ?: rmdir(path_of(CONFIG_DIR "/%s", name)) ? err ?: errno : 0;
}

TEST(fifty_readers)
{
	pid_t children[READERS];
	const char *why = unfit();
	struct image images[2];
	/* Fifty keep a kernel that checks a lot from all else. */
	int readers = READERS / patience(1);
	int i, status, lives = 0;
	time_t end;

	if (why)
		SKIP(return, "%s", why);
	ASSERT_EQ(0, insert_module());
	ASSERT_EQ(0, destroy(NAME));
	ASSERT_EQ(0, set_online(2, 0));
	ASSERT_EQ(0, set_online(3, 0));
	make_image(&images[0], 'A');
	make_image(&images[1], 'B');
	images[1].flags = MULTIKERNEL | ARCH_X86_64 | CPU_FLAG(3);
	fflush(stdout);
	for (i = 0; i < readers; i++) {
		children[i] = fork();
		if (!children[i])
			reader();
	}
	for (end = time(NULL) + SECONDS; time(NULL) < end; lives++) {
		ASSERT_EQ(0, live("first", "2", &images[0]));
		ASSERT_EQ(0, live("second", "3", &images[1]));
	}
	for (i = 0; i < readers; i++) {
		kill(children[i], SIGKILL);
		waitpid(children[i], &status, 0);
		EXPECT_TRUE(WIFSIGNALED(status));
	}
	EXPECT_GT(lives, 0);
	EXPECT_EQ(0, set_online(2, 1));
	EXPECT_EQ(0, set_online(3, 1));
}

TEST_HARNESS_MAIN
