// SPDX-License-Identifier: GPL-2.0
/*
 * Counts secrets in the memory that a core file shows, as /proc/kcore. A secret is given as the
 * complement of its 32 bytes, in hexadecimal, and is nowhere put together: this program does not
 * find itself.
 *   find_secret FILE COMPLEMENT...     prints a count for each
 */
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LENGTH 32
#define CHUNK 1048576
#define SECRETS 8
#define SEGMENTS 128

static unsigned char chunk[CHUNK], complements[SECRETS][LENGTH];
static long counts[SECRETS];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int is_secret(const unsigned char *at, const unsigned char *complement)
{
	for (int i = 0; i < LENGTH; i++)
		if ((at[i] ^ complement[i]) != 0xff)
			return 0;
	return 1;
}

static void count(int secret, size_t length)
{
	const unsigned char *complement = complements[secret];
	const unsigned char *at = chunk, *end = chunk + length - LENGTH + 1;

	while (at < end && (at = memchr(at, complement[0] ^ 0xff, end - at))) {
		counts[secret] += is_secret(at, complement);
		at++;
	}
}

/* Chunks overlap by less than a secret, so that each one is seen once. */
static void search(int file, off_t offset, unsigned long left, int secrets)
{
	while (left >= LENGTH) {
		ssize_t got = pread(file, chunk, left < CHUNK ? left : CHUNK, offset);

		if (got < LENGTH)
			die("a read");
		for (int i = 0; i < secrets; i++)
			count(i, got);
		offset += got - (LENGTH - 1);
		left -= got - (LENGTH - 1);
	}
}

int main(int argc, char **argv)
{
	int file = argc > 1 ? open(argv[1], O_RDONLY) : -1, secrets = argc - 2;
	Elf64_Phdr segments[SEGMENTS];
	Elf64_Ehdr header;

	if (file < 0 || read(file, &header, sizeof(header)) != sizeof(header))
		die("no core file");
	if (secrets > SECRETS || header.e_phnum > SEGMENTS ||
	    pread(file, segments, header.e_phnum * sizeof(*segments), header.e_phoff) < 0)
		die("too many");
	for (int i = 0; i < secrets; i++)
		for (int byte = 0; byte < LENGTH; byte++)
			if (sscanf(argv[i + 2] + 2 * byte, "%2hhx", &complements[i][byte]) != 1)
				die("not 64 digits");
	/* What is no memory of the machine has no physical address there. */
	for (int i = 0; i < header.e_phnum; i++)
		if (segments[i].p_type == PT_LOAD && ~segments[i].p_paddr)
			search(file, segments[i].p_offset, segments[i].p_filesz, secrets);
	for (int i = 0; i < secrets; i++)
		printf("%ld ", counts[i]);
	printf("end\n");
	return 0;
}
