/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which pools there are: each client socket belongs to the one that its port was taken from. */
#ifndef PORTTRACE_PRESSURE_FIND_H
#define PORTTRACE_PRESSURE_FIND_H

#include "pressure.h"

struct pressure_found {
	struct pool_key key;
	uint64_t id;
	uint32_t sockets;
};

/* The sockets' pools. */
struct pressure_pools {
	struct pressure_found *list; /* in the order in which they were found */
	size_t count, room;
	uint32_t *of; /* of each socket: 1 + its place in the list; 0 = it takes from no pool */
	uint32_t *table; /* by id: 1 + place */
	size_t mask;
};

/* 0 or -ENOMEM. The caller ends *ret with pressure_find_free. */
int pressure_find(const struct pressure_input *in, struct pressure_pools *ret);
void pressure_find_free(struct pressure_pools *pools);

#endif
