/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The network namespaces as sock_diag and /proc tell them, for pressure.h: without BPF where that cannot be loaded. */
#ifndef PORTTRACE_PRESSURE_READ_H
#define PORTTRACE_PRESSURE_READ_H

#include "pressure.h"
#include "snapshot.h"

/* What is remembered of a socket that no process has open any more, or of how it came by its port. */
struct pressure_memory {
	uint32_t pid; /* 0 = not known */
	char name[PRESSURE_NAME_SIZE];
	enum event_how how; /* HOW_NONE = not known */
};

struct pressure_read_options {
	uint32_t netns_inum; /* only this network namespace; 0 = all that can be found */
	/* bucket_read(), which takes libbpf; NULL = leave out the bind buckets: bucket_error is -ECANCELED then. */
	int (*read_buckets)(struct pool_state *s, uint16_t low, uint16_t high);
	/* Whether the owner of an open socket can be recalled, and need not be looked for in /proc. NULL = of none. */
	bool (*has_owner)(void *arg, const struct snapshot_socket *sock);
	/* Fills in what is remembered of a socket; false = nothing. NULL = nobody remembers. */
	bool (*recall)(void *arg, const struct snapshot_socket *sock, struct pressure_memory *ret);
	/* Of a recording: gives the snapshot. This machine is not looked at then; NULL = it is. */
	int (*take)(void *arg, struct snapshot *ret);
	void *arg;
};

/* All namespaces that have a socket, at one moment. */
struct pressure_picture {
	struct pressure_input *inputs;
	size_t count;
	struct snapshot snap;
	struct pool_state *pools; /* of the inputs */
	uint32_t **process;
	struct pressure_process *processes;
	size_t process_count, process_room;
};

/* 0 or -errno as snapshot_take. The caller ends *ret with pressure_read_free. */
int pressure_read(const struct pressure_read_options *opts, struct pressure_picture *ret);
void pressure_read_free(struct pressure_picture *picture);

#endif
