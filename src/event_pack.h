/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An event, or what a run tells of itself, as bytes that stand for themselves: what the queue of the sinks holds. Most
 * of a struct event is 0, so of each only the words are kept that are not. For this process only, and this build.
 */
#ifndef PORTTRACE_EVENT_PACK_H
#define PORTTRACE_EVENT_PACK_H

#include "buf.h"
#include "event.h"
#include "stats.h"

#define EVENT_PACK_USUAL 640 /* bytes of a usual event, with a command line and a container */
#define EVENT_PACK_MAX (8 * 1024) /* no more fits into a line of JSON Lines, either */

/*
 * Appends; observed_ns is what it will have then. What tells of more than one process (owners), and a verdict's lines
 * for people, are left out. Names of services stay where they are: formats know them by their address, and they are
 * there as long as the run (event.h). False: it does not fit.
 */
bool event_pack(const struct event *ev, uint64_t observed_ns, struct buf *b);
bool event_pack_stats(const struct stats *st, struct buf *b);

/* Room for what was packed: the pointers of `event` and `stats` point into it, and into the bytes. */
struct event_unpacked {
	struct event event;
	struct event_who who;
	struct event_verdict verdict;
	struct stats stats;
	struct stats_sink sinks[16];
};

void event_unpack(const char *bytes, struct event_unpacked *ret);
void event_unpack_stats(const char *bytes, struct event_unpacked *ret);

#endif
