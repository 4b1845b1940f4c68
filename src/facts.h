/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What was looked up outside for one event: the process, its user and container, the namespace's ports, who is in the
 * way, what a look at the pool found. A recording keeps them beside the raw record, and gives them back in their place.
 */
#ifndef PORTTRACE_FACTS_H
#define PORTTRACE_FACTS_H

#include "event.h"

/* Of the process: as in struct event. */
struct facts_process {
	uint64_t start_real_ns; /* CLOCK_REALTIME; 0 = unknown, or what decode makes of the record */
	uint32_t parent_pid;
	uint32_t name_is_leader; /* bool */
	char name[EVENT_NAME_SIZE];
	struct event_who who;
};

/* Of the namespace, where the backend does not tell it. */
struct facts_truth {
	uint32_t netns_inum;
	uint16_t range_low, range_high, unprivileged_start;
};

struct facts {
	const struct facts_process *process; /* NULL = nothing is known */
	bool start_is_decoded; /* process_start_real_ns is what decode makes of the record */
	bool has_truth; /* of `truth` and the two below; else the record has it, or nobody */
	struct facts_truth truth;
	bool local_reserved, remote_reserved;
	const char *local_service, *remote_service; /* NULL = none. Stay as long as whoever gave them */
	bool has_holder, has_verdict;
	bool inferred; /* the look showed that no port was left, which the event could not tell */
	struct holder holder;
	struct event_verdict verdict; /* text and json stay until the next event */
	uint32_t pool_used, pool_capacity; /* capacity 0 = not known */
};

/* Words of an event that only a look shows to be for want of a port. */
#define FACTS_INFERRED "no free port in the ephemeral range (inferred: all ports to this destination are taken)"

#endif
