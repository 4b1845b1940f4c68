/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All feeds of a run (--sink): each event is queued once, and formatted and delivered by a thread a feed. */
#ifndef PORTTRACE_FANOUT_H
#define PORTTRACE_FANOUT_H

#include <signal.h>

#include "feed.h"

#define FANOUT_FEEDS_MAX FEED_LOG_READERS_MAX
#define FANOUT_QUEUE 4096 /* records, unless asked for otherwise */

struct fanout_options {
	const char *const *uris;
	size_t uri_count;
	size_t queue; /* records that may wait for a feed; 0 = FANOUT_QUEUE */
	bool block; /* the reader waits for a full queue; else the feed loses its oldest records */
	const volatile sig_atomic_t *alarms; /* seconds since the end of the run: a waiting reader gives up then */
	/* Has the reader of the ring no time to wait for sinks that keep up? Asked while it waits; also with `block` */
	bool (*is_pressed)(void *arg);
	void *pressed_arg;
	struct feed_run run;
};

struct fanout;

/* Opens all and starts their threads. 0, or -errno with a sentence in `err` (FEED_ERR_SIZE bytes). */
int fanout_open(const struct fanout_options *opts, struct fanout **ret, char *err);
/* Ends the threads without waiting for what is queued, if fanout_finish has not. Accepts NULL. */
void fanout_close(struct fanout *f);

/* To every queue. Waits for a full one: with `block`, or while is_pressed() is false and its sink keeps up. */
void fanout_event(struct fanout *f, const struct event *ev);
void fanout_stats(struct fanout *f, const struct stats *st);
/* Tells the threads that there is something: once a batch. */
void fanout_flush(struct fanout *f);
/* Files are opened anew, by their threads. */
void fanout_reopen(struct fanout *f);
/* Have all done what fanout_reopen asked for? */
bool fanout_has_reopened(struct fanout *f);
/* No more will come: delivers what can be until `deadline_ns` (CLOCK_MONOTONIC). What is left is lost. */
void fanout_finish(struct fanout *f, uint64_t deadline_ns);

/* How each stands, in the order in which they were given: number of feeds. After fanout_finish nothing is waiting. */
size_t fanout_count(struct fanout *f, struct stats_sink ret[FANOUT_FEEDS_MAX]);
/* What troubles feed `i` now, "" if nothing does. False: there is no such feed. */
bool fanout_trouble(struct fanout *f, size_t i, char ret[FEED_TROUBLE_SIZE]);

#endif
