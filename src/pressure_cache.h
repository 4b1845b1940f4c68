/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a look has found out about each socket, for the next: most sockets are still there then, and to look for the
 * owner of one costs more than all else. By cookie.
 */
#ifndef PORTTRACE_PRESSURE_CACHE_H
#define PORTTRACE_PRESSURE_CACHE_H

#include "pressure_read.h"

struct pressure_cache_slot {
	uint64_t cookie; /* 0 = free */
	uint32_t process; /* in `processes`; 0 = not known */
	uint32_t how; /* enum event_how */
};

/* A cleared one is empty. */
struct pressure_cache {
	struct pressure_cache_slot *slots;
	size_t size; /* power of two; 0 = nothing is remembered */
	struct pressure_process *processes; /* [0]: nobody */
	size_t process_count;
	uint64_t since_ns; /* CLOCK_MONOTONIC: when it was last begun with nothing */
};

/* Takes all sockets of the picture in place of those before; an owner that has exited stays one. 0 or -ENOMEM. */
int pressure_cache_fill(struct pressure_cache *cache, const struct pressure_picture *picture);
/* False: no look has found this socket, or its owner has exited and somebody else may have it open. */
bool pressure_cache_find(const struct pressure_cache *cache, const struct snapshot_socket *sock,
			 struct pressure_memory *ret);
/* Which owners have exited since: before each look. */
void pressure_cache_refresh(struct pressure_cache *cache);
void pressure_cache_clear(struct pressure_cache *cache);

#endif
