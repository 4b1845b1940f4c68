// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The record: one file, mapped by all processes. It survives SIGKILL and exec, and a write is no system call. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "random.h"

#define MAGIC 0x70747264 /* "dtrp" */

struct shared *shared;
struct state *self;
static size_t size;
static char comm[16];

void die(const char *what)
{
	fprintf(stderr, "random: %d (step %u): %s: %m\n", getpid(), self ? self->index : 0, what);
	_exit(1);
}

static int map(int fd, size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	close(fd);
	if (at == MAP_FAILED)
		return -errno;
	shared = at;
	size = bytes;
	return 0;
}

int record_create(const char *path, uint32_t records)
{
	uint32_t first = (sizeof(struct shared) + 4095) / 4096 * 4096;
	size_t bytes = first + (size_t)records * sizeof(struct rec);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd < 0 || fchmod(fd, 0666) || ftruncate(fd, (off_t)bytes) || map(fd, bytes))
		return -errno;
	shared->magic = MAGIC;
	shared->record_size = sizeof(struct rec);
	shared->first = first;
	shared->capacity = records;
	snprintf(shared->path, sizeof(shared->path), "%s", path);
	return 0;
}

int record_open(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return -errno;
	return map(fd, (size_t)st.st_size);
}

void record_finish(void)
{
	if (truncate(shared->path, (off_t)(shared->first + (size_t)shared->next * sizeof(struct rec))))
		die("truncate");
}

void record_comm(void)
{
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, comm, sizeof(comm) - 1);

	if (n < 0)
		die("/proc/self/comm");
	close(fd);
	comm[n] = '\0';
	comm[strcspn(comm, "\n")] = '\0';
}

struct rec *record_new(enum op op)
{
	uint32_t i = __atomic_fetch_add(&shared->next, 1, __ATOMIC_SEQ_CST);
	struct timespec now;
	struct rec *r;

	if (i >= shared->capacity)
		die("the record is full");
	clock_gettime(CLOCK_REALTIME, &now);
	r = (struct rec *)((char *)shared + shared->first) + i;
	r->op = op;
	r->time_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	r->pid = (uint32_t)getpid();
	r->tid = (uint32_t)syscall(SYS_gettid);
	r->uid = getuid();
	r->lead = self ? (uint32_t)self->lead : 0;
	r->index = self ? self->index : 0;
	memcpy(r->comm, comm, sizeof(r->comm));
	return r;
}
