/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The recording that a run makes: porttrace record. Tells its messages itself. */
#ifndef PORTTRACE_CMD_TRACE_RECORD_H
#define PORTTRACE_CMD_TRACE_RECORD_H

#include "../feed.h"
#include "../recording.h"

/* A cleared one records nothing: then all of these do nothing. */
struct trace_record {
	struct recorder *recorder;
	const char *path;
	uint64_t flushed_ns; /* CLOCK_MONOTONIC */
	bool told_late; /* stderr has been told that the disk does not keep up */
};

/* 0, or -errno with the message told. */
int trace_record_open(const char *path, bool force, struct trace_record *ret);
/* Empties the file and writes who, where and when; `run` tells this run from all others. 0, or -errno, told. */
int trace_record_begin(struct trace_record *r, enum event_backend backend, const struct feed_run *run);
/*
 * Before each batch of events (CLOCK_REALTIME): what has been recorded for half a second goes to the file. True: events
 * were left out, and now there is room again: what is there now is to be told again.
 */
bool trace_record_batch(struct trace_record *r, uint64_t time_ns, int64_t boot_offset_ns);
bool trace_record_has_failed(const struct trace_record *r);
/* Events that are in the file, or on the way to it; and that are not though they came. */
uint64_t trace_record_events(const struct trace_record *r);
uint64_t trace_record_lost(const struct trace_record *r);
uint64_t trace_record_left_out(const struct trace_record *r);
/* How it stands, as a sink: lost_queue is what was left out. Places filled in: 0 if nothing is recorded. */
size_t trace_record_count(const struct trace_record *r, struct stats_sink *ret);
/* Tells on stderr of a disk that does not keep up, and that it does again. */
void trace_record_tell(struct trace_record *r);
/*
 * The last block, written until deadline_ns (CLOCK_MONOTONIC). Tells what is in the file if that is wanted, and always
 * what is not.
 */
void trace_record_end(struct trace_record *r, struct recording_end *end, uint64_t deadline_ns, bool tell);
void trace_record_close(struct trace_record *r);

#endif
