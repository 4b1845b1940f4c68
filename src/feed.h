/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A feed is a sink that is given with --sink: it gets lines through a queue, on a thread of its own, so that it hurts
 * nobody, whatever becomes of its other end. One file a feed in feed/, one row in the registry (feed.c).
 *
 *     reader of the ring: event -> event_pack -> feed_log (the queue of all)
 *     thread of the feed:                        feed_log -> event_unpack -> format -> deliver -> tick
 *
 * A feed counts each record once: as delivered, when the other end has it as far as its protocol can tell, or as lost.
 */
#ifndef PORTTRACE_FEED_H
#define PORTTRACE_FEED_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "event.h"
#include "feed_log.h"
#include "stats.h"

#define FEED_ERR_SIZE 256
#define FEED_TROUBLE_SIZE 160
#define FEED_TICK_MS 100

/* Who this run is. All texts outlive the feeds. */
struct feed_run {
	const char *hostname; /* "" = not known */
	const char *id; /* agent.ephemeral_id */
	const char *boot; /* "" = not known */
};

/* ---- formats: what a feed delivers; written on its thread ---- */

struct feed_format {
	size_t state_size;
	size_t max; /* bytes of the longest record */
	void (*init)(void *state, const struct feed_run *run);
	/* Appends one record. False: it does not fit into `max` bytes. */
	bool (*event)(void *state, const struct event *ev, struct buf *out);
	bool (*stats)(void *state, const struct stats *st, struct buf *out);
};

/* JSON Lines, each with its newline: porttrace-json(5). */
extern const struct feed_format feed_json;
/* OTLP logRecord objects: feed/otlp_format.c. */
extern const struct feed_format feed_otlp_records;

/* ---- what a feed tells ---- */

struct feed_status {
	atomic_uint_fast64_t delivered, lost; /* records */
	pthread_mutex_t lock;
	char trouble[FEED_TROUBLE_SIZE]; /* why nothing can be delivered just now; "" = all is well */
};

void feed_delivered(struct feed_status *status, uint64_t records);
void feed_lost(struct feed_status *status, uint64_t records);
/* "cannot write: No space left on device"; NULL = it works again. */
void feed_trouble(struct feed_status *status, const char *text);
/* The same with an errno behind it. */
void feed_trouble_errno(struct feed_status *status, const char *what, int error);

/* ---- the URI of --sink ---- */

#define FEED_PARAMS_MAX 8

/* "scheme:target?name=value&name=value" */
struct feed_uri {
	char text[STATS_NAME_SIZE * 2]; /* what the pointers point into */
	const char *scheme, *target;
	struct {
		const char *name, *value;
		bool used;
	} params[FEED_PARAMS_MAX];
	size_t param_count;
};

/* 0, or -EINVAL with a sentence in `err` (FEED_ERR_SIZE bytes). */
int feed_uri_parse(struct feed_uri *uri, const char *text, char *err);
/* The value of a parameter, "" if it has none; NULL if it is not given. */
const char *feed_uri_param(struct feed_uri *uri, const char *name);
/* "host:port", "[::1]:port" or "host" into host (`size` bytes) and port, as text. 0 or -EINVAL. */
int feed_uri_host(const char *target, const char *default_port, char *host, size_t size, char port[6]);

/* ---- the interface ---- */

struct feed_options {
	struct feed_uri *uri; /* parameters that nobody asked for are refused after open() */
	const struct feed_run *run;
	struct feed_status *status; /* outlives the feed */
};

struct feed_ops {
	const char *scheme; /* "file" */
	const char *form; /* for the help: "file:/path" */
	const struct feed_format *format;
	/*
	 * On the main thread, before the run. 0, or -errno with a sentence in `err`: what was asked for is wrong, or
	 * can never work. What only does not work now (nobody listens) is trouble, and tried again by deliver().
	 */
	int (*open)(const struct feed_options *opts, void **ret_state, char *err);
	/*
	 * Takes records, in their order; they are gone after the call. Returns how many it took: it has counted each of
	 * these, or will. Fewer than all: no more can be taken now; the rest is given again after FEED_TICK_MS. It
	 * waits no longer than FEED_TICK_MS for the other end.
	 */
	size_t (*deliver)(void *state, const struct feed_record *records, size_t count);
	/* NULL, or called at least each FEED_TICK_MS: acknowledgements, timers, what is collected. */
	void (*tick)(void *state);
	/* NULL, or: no more will come. Delivers what was taken, at most until `deadline_ns` (CLOCK_MONOTONIC), and
	 * counts the rest as lost. */
	void (*finish)(void *state, uint64_t deadline_ns);
	/* NULL, or: SIGHUP came; on the feed's thread. */
	void (*reopen)(void *state);
	void (*close)(void *state); /* on the main thread; accepts NULL */
};

extern const struct feed_ops feed_stdout, feed_file, feed_unix, feed_journal, feed_syslog, feed_otlp, feed_kafka;

/* NULL if there is no feed of that scheme. */
const struct feed_ops *feed_find(const char *scheme);
/* Row `i` of the registry, NULL behind the last. */
const struct feed_ops *feed_row(size_t i);

#endif
