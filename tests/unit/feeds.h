/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Feeds for the unit tests: opened by their URI, given events, and asked what they count. */
#ifndef PORTTRACE_TESTS_FEEDS_H
#define PORTTRACE_TESTS_FEEDS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../../src/feed.h"

struct feeds {
	const struct feed_ops *ops;
	void *state;
	struct feed_uri uri;
	struct feed_status status;
	struct feed_run run;
	char err[FEED_ERR_SIZE];
};

/* What open() returned. */
static inline int feeds_open(struct feeds *f, const char *uri)
{
	struct feed_options opts = { .uri = &f->uri, .run = &f->run, .status = &f->status };
	int r;

	memset(f, 0, sizeof(*f));
	f->run = (struct feed_run){ .hostname = "web-1", .id = "00112233445566778899aabbccddeeff", .boot = "" };
	pthread_mutex_init(&f->status.lock, NULL);
	r = feed_uri_parse(&f->uri, uri, f->err);
	if (r < 0)
		return r;
	f->ops = feed_find(f->uri.scheme);
	return f->ops ? f->ops->open(&opts, &f->state, f->err) : -ENOENT;
}

static inline void feeds_close(struct feeds *f)
{
	if (f->ops)
		f->ops->close(f->state);
	pthread_mutex_destroy(&f->status.lock);
}

/* The record of an event, in the format of the feed; its bytes are to be freed. */
static inline struct feed_record feeds_record(const struct feed_format *format, const struct event *ev)
{
	static const struct feed_run run = { "web-1", "00112233445566778899aabbccddeeff", "" };
	bool failed = ev->outcome == OUTCOME_FAILURE;
	struct feed_record rec = { ev->time_ns, ev->sequence, (uint8_t)ev->kind, failed, 0, NULL };
	struct buf b = { .data = malloc(format->max), .size = format->max };
	void *state = calloc(1, format->state_size);

	format->init(state, &run);
	if (!format->event(state, ev, &b))
		abort();
	free(state);
	rec.data = b.data;
	rec.size = (uint32_t)b.len;
	return rec;
}

/* Gives `rec` until it is taken; false: never, in about ten seconds. */
static inline bool feeds_give(struct feeds *f, const struct feed_record *rec)
{
	for (int i = 0; i < 100; i++) {
		struct timespec rest = { 0, FEED_TICK_MS * 1000000L };

		if (f->ops->deliver(f->state, rec, 1))
			return true;
		if (f->ops->tick)
			f->ops->tick(f->state);
		nanosleep(&rest, NULL);
	}
	return false;
}

static inline unsigned long feeds_delivered(struct feeds *f)
{
	return (unsigned long)atomic_load(&f->status.delivered);
}

static inline unsigned long feeds_lost(struct feeds *f)
{
	return (unsigned long)atomic_load(&f->status.lost);
}

#endif
