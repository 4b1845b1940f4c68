/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 6. sink: where events go. One file a sink in sink/, one row in the registry (sink.c). */
#ifndef PORTTRACE_SINK_H
#define PORTTRACE_SINK_H

#include <stddef.h>

#include "event.h"
#include "stats.h"

struct sink_options {
	int fd; /* where to write; not owned, not closed */
	bool wide; /* table: room for IPv6 addresses */
	bool color;
	bool header; /* table: print the header line */
	bool utc; /* table: time of day in UTC, not local */
	const char *hostname; /* JSON host.name; NULL = none */
	const char *run, *boot; /* JSON agent.ephemeral_id, host.boot.id; NULL = none */
};

/* All functions return 0 or -errno; -EPIPE = the reader has gone. */
struct sink_ops {
	const char *name;
	int (*open)(const struct sink_options *opts, void **ret_state);
	/* May buffer. On failure the event was not taken; after -EINTR look at the stop flag, then give it again. */
	int (*event)(void *state, const struct event *ev);
	int (*stats)(void *state, const struct stats *st); /* like event(); NULL = not shown */
	int (*flush)(void *state); /* writes out what is buffered; called after each batch */
	size_t (*pending)(const void *state); /* events taken that are not written out whole */
	void (*close)(void *state); /* frees without flushing; accepts NULL */
};

extern const struct sink_ops sink_table, sink_json, sink_none;

/* NULL if there is no sink of that name. */
const struct sink_ops *sink_find(const char *name);

#endif
