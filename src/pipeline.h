/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of an event through user space, on one screen (pipeline.c):
 *
 *     capture -> decode -> enrich -> sockets -> history -> filter -> wall -+-> storm -> sink    (standard output)
 *                                                                          +-> fanout -> feeds  (--sink)
 */
#ifndef PORTTRACE_PIPELINE_H
#define PORTTRACE_PIPELINE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "enrich.h"
#include "fanout.h"
#include "filter.h"
#include "history.h"
#include "recording.h"
#include "sink.h"
#include "sockets.h"
#include "storm.h"
#include "wall.h"

struct pipeline {
	struct decode decode;
	struct sockets *sockets; /* all pointers: not owned */
	struct enrich *enrich;
	const struct filter *filter;
	uint32_t whole_kinds; /* filter_whole_kinds() of it; 0 = it is asked of each event */
	const struct sink_ops *sink;
	void *sink_state;
	const volatile sig_atomic_t *alarms; /* one a second, from the end of the run on */
	sig_atomic_t alarms_noted; /* of those, the last that interrupted a write */
	uint64_t written; /* events that the output had taken by then */
	bool track; /* keep the ledger: closes are among the records, else it would never forget */
	struct history *history; /* not owned; NULL = none is kept */
	struct recorder *recorder; /* not owned; NULL = nothing is recorded */
	uint64_t adopted; /* sockets of snapshots that were told to the history */
	void (*watch)(void *arg, const struct event *ev); /* sees each event after the ledger; NULL = nobody */
	void *watch_arg;
	void (*explain)(void *arg, struct event *ev); /* adds to what is shown; NULL = nobody does */
	void *explain_arg;
	struct wall *wall; /* not owned; NULL = full halves are not announced */
	struct storm *storm; /* not owned; NULL = each failure is shown */
	struct fanout *fanout; /* not owned; NULL = no --sink */
	uint64_t limit; /* stop after so many shown; 0 = no limit */

	/* -errno once the output has failed, -EINTR if the run ended while it took nothing: no more is written */
	int output_error;

	uint64_t sequence; /* of the last record given out */
	uint64_t emitted; /* events given out, to all sinks alike */
	bool stats_unwritten; /* the last line that the sink holds is not of an event */
	uint64_t held; /* by the storm, now: each of these will be shown, as one of many */
	/* every record ends as exactly one of: */
	uint64_t shown;
	uint64_t filtered;
	uint64_t damaged; /* not a record of ours */
	uint64_t unwritten; /* the output failed, or took nothing when the run was ended */
};

/* One record (a capture_fn; arg is a struct pipeline). Always 0: after output_error records are still counted. */
int pipeline_record(void *arg, const void *record, size_t size);
/* One socket that was there before the first event (a capture_socket_fn): it is remembered, not shown. */
void pipeline_socket(void *arg, struct event *ev, uint64_t until_ns);
/* Records so far. */
static inline uint64_t pipeline_records(const struct pipeline *p)
{
	return p->shown + p->filtered + p->damaged + p->unwritten + p->held;
}
/* Shows what has been held back as one of many (CLOCK_REALTIME; UINT64_MAX: no more will come). */
void pipeline_tell_storms(struct pipeline *p, uint64_t now_ns);
/* Gives out a record about the run itself; its sequence is filled in. */
void pipeline_stats(struct pipeline *p, struct stats *st);
/* Writes out what the sink holds. Sets output_error. */
void pipeline_flush(struct pipeline *p);
/* After the last record: what the sink could not write out becomes unwritten. */
void pipeline_settle(struct pipeline *p);

#endif
