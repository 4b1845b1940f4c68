/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The sinks of a run (--sink), what they tell on stderr, and the records about the run itself (--stats). */
#ifndef PORTTRACE_CMD_TRACE_SINKS_H
#define PORTTRACE_CMD_TRACE_SINKS_H

#include "../fanout.h"
#include "trace_options.h"
#include "trace_record.h"

#define TRACE_SINKS_PLACES (FANOUT_FEEDS_MAX + 1) /* with the recording */

struct trace_sinks {
	struct fanout *fanout; /* NULL = none */
	struct trace_record *record; /* counts as one more; NULL = none. Not owned */
	uint64_t since_ns; /* CLOCK_REALTIME: the start of the run */
	uint64_t every_ns, next_ns; /* CLOCK_MONOTONIC: records about the run; every 0 = none */
	char told[FANOUT_FEEDS_MAX][FEED_TROUBLE_SIZE]; /* trouble that stderr has been told of */
};

/*
 * Opens what the options name, perhaps nothing; stats_ns: 0 = the default. Tells on stderr what fails, and returns
 * -errno. Threads are started: what forks does so before.
 */
int trace_sinks_open(struct trace_sinks *ts, const struct fanout_options *opts, uint64_t stats_ns);
void trace_sinks_close(struct trace_sinks *ts);
/* Whether one of them is standard output: it takes the place of the table. */
bool trace_sinks_have_stdout(const struct trace_sink_list *sinks);

/* Is a record about the run due? Then the next is due every_ns later. */
bool trace_sinks_is_due(struct trace_sinks *ts, uint64_t now_ns);
/* Fills in what the sinks know: how each stands, and the sums. `sinks` has TRACE_SINKS_PLACES places. */
void trace_sinks_stats(struct trace_sinks *ts, struct stats *st, struct stats_sink *sinks);
/* Tells on stderr of trouble that has come or gone, of the recording too. */
void trace_sinks_tell(struct trace_sinks *ts);
/* A line a sink on stderr: delivered and lost. */
void trace_sinks_count(struct trace_sinks *ts);
/* Records lost by all sinks. */
uint64_t trace_sinks_lost(struct trace_sinks *ts);

#endif
