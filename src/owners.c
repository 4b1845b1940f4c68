// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "owners.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "cleanup.h"
#include "parse.h"
#include "proc.h"

/* From so many sockets on, several threads look for their owners. */
#define OWNERS_MANY 5000
#define OWNERS_MAX_SHARES 8

static int owners_compare_inode(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int owners_compare_process(const struct owner *a, const struct owner *b)
{
	if (a->inode != b->inode)
		return a->inode < b->inode ? -1 : 1;
	return (a->pid > b->pid) - (a->pid < b->pid);
}

static int owners_compare(const void *a, const void *b)
{
	const struct owner *x = a, *y = b;
	int r = owners_compare_process(x, y);

	return r ? r : (x->fd > y->fd) - (x->fd < y->fd);
}

static int owners_add(struct owners *owners, uint32_t inode, uint32_t pid, int fd)
{
	if (owners->count == owners->room) {
		size_t room = owners->room ? 2 * owners->room : 64;
		struct owner *grown = reallocarray(owners->list, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		owners->list = grown;
		owners->room = room;
	}
	owners->list[owners->count++] = (struct owner){ .inode = inode, .pid = pid, .fd = fd };
	return 0;
}

/* "socket:[4711]"; by hand, as there may be 100,000 of them. */
static bool owners_link_inode(int fd_dir, const char *fd_name, uint32_t *ret)
{
	static const char start[] = "socket:[";
	char text[64];
	ssize_t n = readlinkat(fd_dir, fd_name, text, sizeof(text) - 1);
	uint32_t inode = 0;

	if (n <= (ssize_t)sizeof(start) || memcmp(text, start, sizeof(start) - 1))
		return false;
	for (ssize_t i = sizeof(start) - 1; i < n && text[i] >= '0' && text[i] <= '9'; i++)
		inode = inode * 10 + (uint32_t)(text[i] - '0');
	*ret = inode;
	return true;
}

static int owners_read_fds(struct owners *owners, DIR *fds, uint32_t pid, const uint32_t *wanted,
			   size_t wanted_count)
{
	struct dirent *entry;
	uint32_t inode;
	int r = 0;

	while (!r && (entry = readdir(fds)))
		if (owners_link_inode(dirfd(fds), entry->d_name, &inode) &&
		    bsearch(&inode, wanted, wanted_count, sizeof(*wanted), owners_compare_inode))
			r = owners_add(owners, inode, pid, atoi(entry->d_name));
	return r;
}

static void owners_name(int dir_fd, struct owner *first, const struct owner *end)
{
	char name[EVENT_NAME_SIZE + 1];
	ssize_t n = first < end ? proc_read(dir_fd, "comm", name, sizeof(name)) : 0;

	if (n <= 0)
		return;
	name[strcspn(name, "\n")] = '\0';
	for (; first < end; first++)
		memcpy(first->name, name, strnlen(name, sizeof(first->name) - 1));
}

/* The descriptors of a process: *ret is the caller's to close. 0 or -errno. */
static int owners_open_fds(int dir_fd, DIR **ret)
{
	_close_ int fd = openat(dir_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*ret = fd < 0 ? NULL : fdopendir(fd);
	if (!*ret)
		return -errno;
	TAKE_FD(fd);
	return 0;
}

static int owners_read_process(struct owners *owners, const char *proc, uint32_t pid,
			       const uint32_t *wanted, size_t wanted_count)
{
	_close_ int dir_fd = proc_open(proc, pid, 0);
	_closedir_ DIR *fds = NULL;
	size_t before = owners->count;
	int r;

	if (dir_fd < 0)
		return 0;
	r = owners_open_fds(dir_fd, &fds);
	if (r < 0) {
		owners->hidden += r == -EACCES || r == -EPERM;
		return 0;
	}
	r = owners_read_fds(owners, fds, pid, wanted, wanted_count);
	owners_name(dir_fd, owners->list + before, owners->list + owners->count);
	return r;
}

/* A process may have one socket open several times. */
static void owners_sort(struct owners *owners)
{
	size_t kept = 0;

	if (!owners->count)
		return;
	qsort(owners->list, owners->count, sizeof(*owners->list), owners_compare);
	for (size_t i = 1; i < owners->count; i++)
		if (owners_compare_process(&owners->list[kept], &owners->list[i]))
			owners->list[++kept] = owners->list[i];
	owners->count = kept + 1;
}

/* A share of the processes, and what was found there. */
struct owners_share {
	const char *proc;
	const uint32_t *wanted;
	size_t wanted_count;
	unsigned int number, shares; /* each process whose place in /proc leaves this remainder */
	struct owners owners;
	int err;
	pthread_t thread;
	bool started;
};

static void *owners_read_share(void *arg)
{
	struct owners_share *share = arg;
	_closedir_ DIR *dir = opendir(share->proc);
	struct dirent *entry;
	unsigned int place = 0;
	uint32_t pid;

	share->err = dir ? 0 : -errno;
	while (!share->err && share->wanted_count && (entry = readdir(dir)))
		if (!parse_u32(entry->d_name, 1, UINT32_MAX, &pid) && place++ % share->shares == share->number)
			share->err = owners_read_process(&share->owners, share->proc, pid, share->wanted,
							 share->wanted_count);
	return NULL;
}

/* The first share is the caller's own; one whose thread cannot be started too. Signals are for the main loop. */
static void owners_read_shares(struct owners_share *shares, unsigned int count)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 1; i < count; i++)
		shares[i].started = !pthread_create(&shares[i].thread, NULL, owners_read_share, &shares[i]);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (unsigned int i = 0; i < count; i++)
		if (!shares[i].started)
			owners_read_share(&shares[i]);
	for (unsigned int i = 1; i < count; i++)
		if (shares[i].started)
			pthread_join(shares[i].thread, NULL);
}

static int owners_append(struct owners *owners, struct owners *more)
{
	size_t count = owners->count + more->count;
	struct owner *grown = count ? reallocarray(owners->list, count, sizeof(*grown)) : NULL;

	if (count && !grown)
		return -ENOMEM;
	if (more->count)
		memcpy(grown + owners->count, more->list, more->count * sizeof(*grown));
	if (count) {
		owners->list = grown;
		owners->count = owners->room = count;
	}
	owners->hidden += more->hidden;
	return 0;
}

static unsigned int owners_share_count(size_t wanted_count)
{
	long cpus = wanted_count < OWNERS_MANY ? 1 : sysconf(_SC_NPROCESSORS_ONLN);

	return cpus < 1 ? 1 : cpus > OWNERS_MAX_SHARES ? OWNERS_MAX_SHARES : (unsigned int)cpus;
}

int owners_read(const char *proc, const uint32_t *wanted, size_t wanted_count, struct owners *ret)
{
	struct owners_share shares[OWNERS_MAX_SHARES] = { 0 };
	unsigned int count = owners_share_count(wanted_count);
	struct owners owners = { 0 };
	int r = 0;

	for (unsigned int i = 0; i < count; i++)
		shares[i] = (struct owners_share){ .proc = proc ? proc : "/proc",
						   .wanted = wanted,
						   .wanted_count = wanted_count,
						   .number = i,
						   .shares = count };
	owners_read_shares(shares, count);
	for (unsigned int i = 0; i < count; i++) {
		if (r == 0)
			r = shares[i].err ? shares[i].err : owners_append(&owners, &shares[i].owners);
		owners_free(&shares[i].owners);
	}
	if (r < 0) {
		owners_free(&owners);
		return r;
	}
	owners_sort(&owners);
	*ret = owners;
	return 0;
}

int owners_has(const char *proc, uint32_t pid, uint64_t start_ns, uint32_t inode)
{
	_close_ int dir_fd = proc_open(proc ? proc : "/proc", pid, start_ns);
	_closedir_ DIR *fds = NULL;
	struct dirent *entry;
	uint32_t found;
	int r = dir_fd < 0 ? dir_fd : owners_open_fds(dir_fd, &fds);

	while (r == 0 && (entry = readdir(fds)))
		r = owners_link_inode(dirfd(fds), entry->d_name, &found) && found == inode;
	return r == -ESRCH ? 0 : r;
}

void owners_free(struct owners *owners)
{
	free(owners->list);
	*owners = (struct owners){ 0 };
}

size_t owners_find(const struct owners *owners, uint32_t inode, const struct owner **ret)
{
	size_t low = 0, high = owners->count, end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (owners->list[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (end = low; end < owners->count && owners->list[end].inode == inode; end++)
		;
	*ret = owners->list + low;
	return end - low;
}
