/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Metrics of events and of the pools of ports, for Prometheus. Pure: no I/O, no clock. Events are counted in a table of
 * fixed size; looks at the pools replace one another. What has no room there is summed as "other", and counted.
 */
#ifndef PORTTRACE_METRICS_H
#define PORTTRACE_METRICS_H

#include "buf.h"
#include "event.h"
#include "porttrace/count.h"
#include "pressure.h"
#include "rule.h"
#include "stats.h"

#define METRICS_POOLS_MAX 50 /* with addresses, those with the highest part in use */
#define METRICS_NETNS_MAX 256
#define METRICS_SETS_MAX 1024 /* of labels that events are counted by */

/* The two differ in how a counter is declared, and neither reader takes the other's. */
enum metrics_dialect {
	METRICS_PROMETHEUS, /* text format 0.0.4; also what node_exporter's textfile collector reads */
	METRICS_OPENMETRICS, /* 1.0.0 */
	METRICS_DIALECT_COUNT,
};

/* Of the tracer itself. */
struct metrics_self {
	uint64_t events_lost;
	uint64_t lost_ring[STATS_LOSSES]; /* of these: see struct stats */
	uint64_t evicted; /* sockets that the ledger has forgotten for want of room */
	uint64_t look_ns; /* how long the last look took; 0 = there was none */
	const struct stats_sink *sinks; /* not owned */
	size_t sink_count;
};

struct metrics;

/* 0 or -ENOMEM. The caller ends *ret with metrics_free, which accepts NULL. */
int metrics_new(struct metrics **ret);
void metrics_free(struct metrics *m);
/* Counts what an event tells of ports. Allocates nothing. */
void metrics_event(struct metrics *m, const struct event *ev);
/* The same of many at once that are alike: an assignment, and how often it came. */
void metrics_counted(struct metrics *m, const struct event *ev, const struct count *count);
/* What a look at `count` namespaces found, instead of the one before; 0 = nothing is known of pools any more. */
int metrics_look(struct metrics *m, const struct pressure_netns *netns, const struct rule_counters *counters,
		 size_t count);
/* Writes the numbers of now; `self` NULL = of a look alone, without events. metrics_text gives them out. */
void metrics_update(struct metrics *m, const struct metrics_self *self);
/* The whole text, in a buffer that grows: cleared, or of the call before. Its data is the caller's. 0 or -ENOMEM. */
int metrics_text(const struct metrics *m, enum metrics_dialect dialect, struct buf *ret);

#endif
