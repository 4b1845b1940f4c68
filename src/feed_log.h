/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The bounded queue between the reader of the ring and the threads of the sinks: one log of records, and a place in it
 * for each sink, so that ten sinks need the memory of one. Who is too slow loses the oldest of what waits for it, and
 * it is counted; nobody else notices.
 */
#ifndef PORTTRACE_FEED_LOG_H
#define PORTTRACE_FEED_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One record as a sink gets it. */
struct feed_record {
	uint64_t time_ns; /* CLOCK_REALTIME, of the event */
	uint64_t sequence; /* of the run: event.sequence */
	uint8_t kind; /* enum event_kind; EVENT_KIND_COUNT = what the run tells of itself */
	bool failed; /* an event that failed */
	uint32_t size; /* bytes of data */
	const char *data; /* as the sink's format made it, in the log as event_pack() did; not NUL terminated */
};

#define FEED_LOG_READERS_MAX 16

struct feed_log;

/* Room for `records` records of `bytes` each. 0 or -ENOMEM. */
int feed_log_new(size_t records, size_t bytes, struct feed_log **ret);
void feed_log_free(struct feed_log *log); /* when no thread uses it any more; accepts NULL */

/* A place at the end of the log: its number, or -ENOSPC. Before the first append. */
int feed_log_join(struct feed_log *log);

/*
 * Appends a record, which is copied. A reader that has not come so far loses its oldest records; all lose a record that
 * is longer than the log. False: nothing was done, as a reader would lose something that has come for more in the last
 * `came_ms` milliseconds (0: do it all the same; UINT_MAX: any reader).
 */
bool feed_log_append(struct feed_log *log, const struct feed_record *record, unsigned int came_ms);
/* After feed_log_append was false: waits until a reader takes something, at most `ms` milliseconds. */
void feed_log_wait(struct feed_log *log, unsigned int ms);
/* Tells waiting readers that there is something: once for many records. */
void feed_log_wake(struct feed_log *log);
/* No more will come. */
void feed_log_end(struct feed_log *log);

/*
 * Moves the next records of `reader`, at most `max`, into `room` (`size` bytes, enough for the
 * longest record), and describes them in `ret`; waits for the first at most `ms` milliseconds. Number of records,
 * or -ENODATA: there are none, and none will come.
 */
int feed_log_take(struct feed_log *log, int reader, char *room, size_t size, struct feed_record *ret, size_t max,
		  unsigned int ms);

/* `reader` is at work on what it took: it counts as having come for more. */
void feed_log_came(struct feed_log *log, int reader);

/* Of `reader`, since the start: records that wait for it, that it took, that it lost. */
void feed_log_count(struct feed_log *log, int reader, uint64_t *ret_waiting, uint64_t *ret_taken, uint64_t *ret_lost);

#endif
