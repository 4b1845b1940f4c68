/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which processes have a socket open: /proc/PID/fd of all that may be looked into. */
#ifndef PORTTRACE_OWNERS_H
#define PORTTRACE_OWNERS_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct owner {
	uint32_t inode; /* of the socket */
	uint32_t pid;
	int fd; /* in that process; the lowest, if it has several */
	char name[EVENT_NAME_SIZE]; /* comm of the thread group leader; any bytes */
};

struct owners {
	struct owner *list; /* by inode, then pid; each pair once */
	size_t count, room;
	size_t hidden; /* processes whose descriptors we may not see */
};

/* Fills in who has one of the `wanted` inodes, sorted upwards, open. `proc` NULL = /proc. 0 or
 * -errno; the caller ends it with owners_free. */
int owners_read(const char *proc, const uint32_t *wanted, size_t wanted_count, struct owners *ret);
void owners_free(struct owners *owners);
/* Whether one process has the socket open: 1, 0, or -errno if that cannot be seen. `proc` NULL = /proc. */
int owners_has(const char *proc, uint32_t pid, uint64_t start_ns, uint32_t inode);
/* The first of the owners of a socket, and how many stand from there on. */
size_t owners_find(const struct owners *owners, uint32_t inode, const struct owner **ret);

#endif
