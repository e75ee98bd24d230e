// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/multikernel/NAME/vmcore and log: who may open them, where they end, and
 * what becomes of an open one.
 */
#include <elf.h>
#include <linux/capability.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include "life.h"

#define VMCORE	"/dev/multikernel/" NAME "/vmcore"
#define LOG	"/dev/multikernel/" NAME "/log"
#define MARK	"a mark in the kernel of "
#define SIZE	(8L << 20)

static int without_cap(int cap, const char *path)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2], less[2];
	int fd, err;

	if (syscall(SYS_capget, &header, data))
		return errno;
	memcpy(less, data, sizeof(less));
	less[CAP_TO_INDEX(cap)].effective &= ~CAP_TO_MASK(cap);
	if (syscall(SYS_capset, &header, less))
		return errno;
	fd = open(path, O_RDONLY);
	err = fd < 0 ? errno : 0;
	close(fd);
	return syscall(SYS_capset, &header, data) ? errno : err;
}

/* An image that can be found in memory. */
static void make_marked(struct image *image, char letter)
{
	make_image(image, letter);
	snprintf((char *)image->kernel + 0x800, 64, MARK "%c", letter);
}

/* How often the mark is in the file. */
static int marks(int fd, char letter)
{
	static char bytes[(8 << 20) + (1 << 20)];
	char mark[64], *at = bytes;
	ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
	int found = 0;

	snprintf(mark, sizeof(mark), MARK "%c", letter);
	while (len > 0 && (at = memmem(at, bytes + len - at, mark, strlen(mark) + 1))) {
		found++;
		at++;
	}
	return len < 0 ? -errno : found;
}

/* 0, or the errno of a read of one byte. */
static int peek(int fd, off_t at)
{
	char byte;

	return pread(fd, &byte, 1, at) < 0 ? errno : 0;
}

TEST_F(life, needs_privileges)
{
	struct stat st;
	int fd;

	ASSERT_EQ(0, stat(VMCORE, &st));
	EXPECT_EQ(S_IFCHR | 0400, st.st_mode);
	EXPECT_EQ(0, st.st_uid);
	ASSERT_EQ(0, stat(LOG, &st));
	EXPECT_EQ(S_IFCHR | 0400, st.st_mode);
	EXPECT_EQ(EPERM, without_cap(CAP_SYS_ADMIN, VMCORE));
	EXPECT_EQ(0, without_cap(CAP_SYSLOG, VMCORE));
	EXPECT_EQ(EPERM, without_cap(CAP_SYSLOG, LOG));
	EXPECT_EQ(0, without_cap(CAP_SYS_ADMIN, LOG));
	/* Root's file mode does not count, but there is nothing to write to. */
	fd = open(VMCORE, O_RDWR);
	EXPECT_EQ(-1, write(fd, "", 1));
	close(fd);
}

TEST_F(life, ends_where_the_memory_ends)
{
	int fd = open(VMCORE, O_RDONLY);
	static char bytes[3 * 4096];
	char byte;
	off_t end;

	ASSERT_GE(fd, 0);
	end = lseek(fd, 0, SEEK_END);
	/* The low chunk and the headers, too. */
	EXPECT_GT(end, SIZE);
	EXPECT_LT(end, SIZE + (1 << 20));
	EXPECT_EQ(0, read(fd, &byte, 1));
	EXPECT_EQ(1, pread(fd, &byte, 1, end - 1));
	EXPECT_EQ(1, pread(fd, bytes, sizeof(bytes), end - 1));
	EXPECT_EQ(0, pread(fd, &byte, 1, end));
	EXPECT_EQ(0, pread(fd, &byte, 1, end + 4096));
	EXPECT_EQ(0, pread(fd, &byte, 1, 0x7fffffffffff0000));
	EXPECT_EQ(-1, pread(fd, &byte, 1, -4096));
	EXPECT_EQ(-1, lseek(fd, end + 1, SEEK_SET));
	EXPECT_EQ(-1, lseek(fd, -1, SEEK_SET));
	/* Across the headers, the low chunk and the first piece, as one. */
	EXPECT_EQ(64, lseek(fd, 64, SEEK_SET));
	EXPECT_EQ(sizeof(bytes), read(fd, bytes, sizeof(bytes)));
	EXPECT_EQ(64 + sizeof(bytes), lseek(fd, 0, SEEK_CUR));
	EXPECT_EQ(-1, pread(fd, (void *)1, 4096, 0));
	EXPECT_EQ(EFAULT, errno);
	close(fd);
}

/* Without a note of a kernel: physical addresses. */
TEST_F(life, has_elf_headers)
{
	int fd = open(VMCORE, O_RDONLY);
	Elf64_Phdr program[2];
	Elf64_Ehdr header;

	ASSERT_EQ(sizeof(header), pread(fd, &header, sizeof(header), 0));
	EXPECT_EQ(0, memcmp(header.e_ident, ELFMAG, SELFMAG));
	EXPECT_EQ(ET_CORE, header.e_type);
	EXPECT_EQ(EM_X86_64, header.e_machine);
	ASSERT_EQ(2, header.e_phnum);
	ASSERT_EQ(sizeof(program), pread(fd, program, sizeof(program), header.e_phoff));
	EXPECT_EQ(PT_LOAD, program[0].p_type);
	EXPECT_LT(program[0].p_paddr, 1 << 20);
	EXPECT_EQ(program[0].p_paddr, program[0].p_vaddr);
	EXPECT_EQ(SIZE, program[1].p_memsz);
	EXPECT_EQ(program[1].p_paddr, program[1].p_vaddr);
	EXPECT_EQ(lseek(fd, 0, SEEK_END), program[1].p_offset + program[1].p_filesz);
	close(fd);
}

TEST_F(life, shows_the_memory_of_the_living_and_the_dead)
{
	int fd;

	make_marked(&self->image, 'A');
	ASSERT_EQ(0, load(&self->image));
	fd = open(VMCORE, O_RDONLY);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(0, marks(fd, 'A'));
	ASSERT_EQ(0, start(NAME));
	/* This file shows what was before. */
	EXPECT_EQ(ENODEV, peek(fd, 0));
	close(fd);
	fd = open(VMCORE, O_RDONLY);
	EXPECT_EQ(1, marks(fd, 'A'));
	EXPECT_EQ(0, order(NAME, "kill"));
	EXPECT_EQ(1, marks(fd, 'A'));
	EXPECT_EQ(0, unload(2));
	EXPECT_EQ(1, marks(fd, 'A'));
	close(fd);
}

TEST_F(life, shows_one_life_only)
{
	int first, second;

	make_marked(&self->image, 'A');
	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, start(NAME));
	first = open(VMCORE, O_RDONLY);
	EXPECT_EQ(1, marks(first, 'A'));
	make_marked(&self->image, 'B');
	ASSERT_EQ(0, load(&self->image));
	EXPECT_EQ(1, marks(first, 'A'));
	ASSERT_EQ(0, order(NAME, "restart"));
	EXPECT_EQ(-ENODEV, marks(first, 'A'));
	EXPECT_EQ(-1, lseek(first, 0, SEEK_END));
	EXPECT_EQ(ENODEV, errno);
	second = open(VMCORE, O_RDONLY);
	EXPECT_EQ(1, marks(second, 'B'));
	EXPECT_EQ(-ENODEV, marks(first, 'B'));
	close(first);
	close(second);
}

TEST_F(life, shows_no_memory_that_was_replaced)
{
	int fd = open(VMCORE, O_RDONLY);

	EXPECT_EQ(0, peek(fd, 0));
	ASSERT_EQ(0, put(CONFIG_DIR "/" NAME "/memory", "8M"));
	EXPECT_EQ(ENODEV, peek(fd, 0));
	EXPECT_EQ(ENODEV, peek(fd, SIZE));
	close(fd);
}

TEST_F(life, outlives_its_instance)
{
	int vmcore = open(VMCORE, O_RDONLY), unread = open(VMCORE, O_RDONLY);
	int log = open(LOG, O_RDONLY);

	EXPECT_EQ(0, peek(vmcore, 0));
	ASSERT_EQ(0, rmdir(CONFIG_DIR "/" NAME));
	EXPECT_EQ(-1, access(VMCORE, F_OK));
	/* The memory does not wait for them. */
	EXPECT_EQ(NULL, strstr(get("/proc/iomem"), "multikernel"));
	EXPECT_EQ(ENODEV, peek(vmcore, 0));
	EXPECT_EQ(ENODEV, peek(unread, 0));
	EXPECT_EQ(0, peek(log, 0));
	/* Another of this name is another. */
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));
	EXPECT_EQ(ENODEV, peek(vmcore, 0));
	EXPECT_EQ(ENODEV, peek(unread, 0));
	ASSERT_EQ(0, destroy(NAME));
	EXPECT_EQ(EAGAIN, remove_module());
	close(vmcore);
	close(unread);
	close(log);
	EXPECT_EQ(0, remove_module());
	EXPECT_EQ(0, insert_module());
}

TEST_F(life, without_memory)
{
	int fd;

	ASSERT_EQ(0, rmdir(CONFIG_DIR "/" NAME));
	ASSERT_EQ(0, mkdir(CONFIG_DIR "/" NAME, 0755));
	fd = open(VMCORE, O_RDONLY);
	ASSERT_GE(fd, 0);
	EXPECT_EQ(ENODEV, peek(fd, 0));
	ASSERT_EQ(0, put(CONFIG_DIR "/" NAME "/memory", "8M"));
	EXPECT_EQ(0, peek(fd, 0));
	close(fd);
}

/* A kernel that never said anything leaves a line all the same. */
TEST_F(life, keeps_four_logs)
{
	char *log, *line, *lines;
	int life;

	ASSERT_EQ(0, load(&self->image));
	EXPECT_STREQ("", get(LOG));
	for (life = 1; life <= 6; life++) {
		ASSERT_EQ(0, start(NAME));
		ASSERT_EQ(0, order(NAME, life % 2 ? "kill" : "stop"));
	}
	log = get(LOG);
	for (life = 3, line = strtok_r(log, "\n", &lines); life <= 6;
	     life++, line = strtok_r(NULL, "\n", &lines)) {
		ASSERT_NE(NULL, line);
		EXPECT_STREQ(path_of("=== life %d: killed, reason %s, 0 bytes", life,
				     life % 2 ? "killed" : "stopped"), line);
	}
	EXPECT_EQ(NULL, line);
}

struct reader {
	int fd;
	char *to;
};

static int read_in_child(void *data)
{
	struct reader *reader = data;

	return read(reader->fd, reader->to, 4096) == 4096 ? 0 : 1;
}

/* The reader's page is behind userfaultfd, and nobody serves it. */
TEST_F(life, stalled_reader_holds_up_nobody)
{
	static _Alignas(16) char stack[0x4000];
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { };
	struct reader reader;
	struct pollfd stalled = { .events = POLLIN };
	pid_t child;
	int status;

	stalled.fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	if (stalled.fd < 0)
		SKIP(return, "this kernel has no userfaultfd");
	ASSERT_EQ(0, ioctl(stalled.fd, UFFDIO_API, &api));
	reader.to = mmap(NULL, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, (void *)reader.to);
	reg.range.start = (unsigned long)reader.to;
	reg.range.len = 0x1000;
	ASSERT_EQ(0, ioctl(stalled.fd, UFFDIO_REGISTER, &reg));
	ASSERT_EQ(0, load(&self->image));
	ASSERT_EQ(0, start(NAME));
	reader.fd = open(VMCORE, O_RDONLY);
	child = clone(read_in_child, stack + sizeof(stack), CLONE_VM | CLONE_FILES | SIGCHLD,
		      &reader);
	ASSERT_GT(child, 0);
	ASSERT_EQ(1, poll(&stalled, 1, 10000))
		TH_LOG("nobody has written to the page");

	/* The harness ends a test that waits. */
	EXPECT_EQ(0, peek(reader.fd, 4096));
	EXPECT_EQ(0, order(NAME, "restart"));
	EXPECT_EQ(0, order(NAME, "kill"));
	EXPECT_EQ(0, unload(2));
	EXPECT_EQ(0, rmdir(CONFIG_DIR "/" NAME));
	EXPECT_EQ(NULL, strstr(get("/proc/iomem"), "multikernel"));
	ASSERT_EQ(0, create(NAME, "2-3", "8M"));

	zero.range = reg.range;
	EXPECT_EQ(0, ioctl(stalled.fd, UFFDIO_ZEROPAGE, &zero));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, WEXITSTATUS(status));
	close(reader.fd);
}

TEST_HARNESS_MAIN
