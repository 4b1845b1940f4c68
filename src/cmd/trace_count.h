/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many events a run has seen, shown and lost, and where: the closing line, and the records about the run itself. */
#ifndef PORTTRACE_CMD_TRACE_COUNT_H
#define PORTTRACE_CMD_TRACE_COUNT_H

#include "../attach.h"
#include "../pipeline.h"
#include "trace_record.h"
#include "trace_sinks.h"

/* Who has counted what. All pointers: not owned, NULL only where it says so. */
struct trace_count {
	struct attach *attach;
	const struct pipeline *pipeline;
	/* Of a run that shows nothing, the recording is what the closing line counts; else NULL: it is one more sink */
	const struct trace_record *record;
	struct trace_sinks *sinks;
	bool verbose;
};

/* Lost before they were shown; without what has begun and may still be told, and without what the sinks lost. */
uint64_t trace_count_lost(const struct trace_count *tc, const struct attach_loss *loss);
/* In the kernel, on the way, or by a sink; true also if it cannot be found out. */
bool trace_count_has_lost(const struct trace_count *tc);
/* Fills in what the run has seen, given out and lost until now, but for what the sinks know. 0 or -errno. */
int trace_count_stats(const struct trace_count *tc, struct stats *ret);
/* Of these only what the ring had no room for, by kind. */
void trace_count_kinds(const struct attach_loss *loss, struct stats *ret);
/* On stderr: the closing line, and a line a sink. With `verbose` also the programs that the kernel skipped. */
void trace_count_tell(const struct trace_count *tc);
/* On stderr: how many sockets the ledger has forgotten for want of room. Nothing if there are none. */
void trace_count_tell_evicted(const struct sockets *ledger);
/* On stderr: the events that the ring had no room for, as "80 close, 2 connect failed". Nothing if there are none. */
void trace_count_tell_kinds(const struct raw_counters *counters);

#endif
