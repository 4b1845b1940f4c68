/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a run tells of itself: what it has seen, given out and lost, by stage. */
#ifndef PORTTRACE_STATS_H
#define PORTTRACE_STATS_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

#define STATS_NAME_SIZE 128
#define STATS_LOSSES (2 * EVENT_KIND_COUNT)

/* One --sink, or the recording. taken = delivered + lost_queue + lost_sink + waiting */
struct stats_sink {
	char name[STATS_NAME_SIZE]; /* as it was given, without parameters: these may be secret */
	uint64_t delivered;
	uint64_t lost_queue; /* records that its queue had no room for */
	uint64_t lost_sink; /* records that it could not deliver, or of which it does not know */
	uint64_t waiting; /* in its queue, or under way */
};

/* seen = emitted + filtered + lost_kernel, once all that was seen has been read. */
struct stats {
	uint64_t time_ns, since_ns; /* CLOCK_REALTIME: now, the start of the run */
	uint64_t sequence; /* of this record, in the same count as the events' */
	uint64_t seen, emitted, filtered;
	uint64_t lost_kernel; /* before porttrace read them */
	uint64_t lost_ring[STATS_LOSSES]; /* of these, for want of room: of each kind, successes and then failures */
	uint64_t evicted; /* sockets that the ledger has forgotten for want of room */
	uint64_t lost_queue, lost_sink; /* over all sinks */
	const struct stats_sink *sinks; /* not owned */
	size_t sink_count;
};

#endif
