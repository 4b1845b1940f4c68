// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "fanout.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "clock.h"
#include "event_pack.h"

#define FANOUT_PACKED (16 * 1024) /* bytes that a feed takes from its queue at once */
#define FANOUT_ROOM (32 * 1024) /* bytes that it is given to deliver at once */
#define FANOUT_RECORDS 64
#define FANOUT_PATIENCE_S 2 /* after the end of the run, for sinks that hang; for those that come one more */
#define FANOUT_PAUSE_MS 10
#define FANOUT_STACK (256 * 1024)

struct fanout_feed {
	char name[STATS_NAME_SIZE]; /* as it was given, without parameters once it is open */
	const struct feed_ops *ops;
	void *state;
	struct feed_uri uri;
	struct feed_status status;
	struct feed_log *log; /* the queue: packed events, for all feeds the same */
	int reader; /* its place in the log */
	void *format; /* state of its format */
	pthread_t thread;
	bool running;
	atomic_uint_fast64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = the run goes on */
	atomic_uint reopen, reopened; /* times that it was asked for, and done */
	struct event_unpacked unpacked;
	struct feed_record taken[FANOUT_RECORDS], records[FANOUT_RECORDS]; /* packed, formatted */
	char packed[FANOUT_PACKED];
	char room[FANOUT_ROOM];
};

struct fanout {
	struct feed_log *log;
	struct fanout_feed *feeds[FANOUT_FEEDS_MAX];
	size_t feed_count;
	bool block;
	bool (*is_pressed)(void *arg);
	void *pressed_arg;
	const volatile sig_atomic_t *alarms;
	struct feed_run run;
	char packed[EVENT_PACK_MAX];
};

/* ---- the thread of a feed ---- */

static bool fanout_is_late(struct fanout_feed *feed)
{
	uint64_t deadline_ns = atomic_load(&feed->deadline_ns);

	return deadline_ns && clock_now_ns(CLOCK_MONOTONIC) >= deadline_ns;
}

static void fanout_tick(struct fanout_feed *feed)
{
	unsigned int asked = atomic_load(&feed->reopen);

	if (asked != atomic_load(&feed->reopened)) {
		if (feed->ops->reopen)
			feed->ops->reopen(feed->state);
		atomic_store(&feed->reopened, asked);
	}
	if (feed->ops->tick)
		feed->ops->tick(feed->state);
}

/* A feed that takes nothing, and says so at once, is asked again after a rest. */
static void fanout_rest(uint64_t since_ns)
{
	uint64_t end_ns = since_ns + FEED_TICK_MS * UINT64_C(1000000);
	struct timespec end = { (time_t)(end_ns / 1000000000), (long)(end_ns % 1000000000) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

static void fanout_deliver(struct fanout_feed *feed, size_t count)
{
	size_t done = 0;

	while (done < count && !fanout_is_late(feed)) {
		uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC);
		size_t took = feed->ops->deliver(feed->state, feed->records + done, count - done);

		done += took;
		if (took)
			feed_log_came(feed->log, feed->reader);
		if (done < count)
			fanout_tick(feed);
		if (!took)
			fanout_rest(begin_ns);
	}
	feed_lost(&feed->status, count - done);
}

/* One packed record in the feed's format. False: it does not fit into what the format has for one. */
static bool fanout_format(struct fanout_feed *feed, const struct feed_record *rec, struct buf *line)
{
	const struct feed_format *format = feed->ops->format;

	if (rec->kind == EVENT_KIND_COUNT) {
		event_unpack_stats(rec->data, &feed->unpacked);
		return format->stats(feed->format, &feed->unpacked.stats, line);
	}
	event_unpack(rec->data, &feed->unpacked);
	return format->event(feed->format, &feed->unpacked.event, line);
}

/* Those of `count` that the room has place for: number of packed records. *ret_count: of formatted ones; one that does
 * not fit is lost. */
static size_t fanout_fill(struct fanout_feed *feed, const struct feed_record *packed, size_t count, size_t *ret_count)
{
	size_t max = feed->ops->format->max, used = 0, done = 0, n = 0;

	for (; done < count && sizeof(feed->room) - used >= max; done++) {
		struct buf line = { .data = feed->room + used, .size = max };

		if (!fanout_format(feed, &packed[done], &line)) {
			feed_lost(&feed->status, 1);
			continue;
		}
		feed->records[n] = packed[done];
		feed->records[n].data = line.data;
		feed->records[n++].size = (uint32_t)line.len;
		used += line.len;
	}
	*ret_count = n;
	return done;
}

/* Of one who comes back when all is over, the names of the events may have gone. */
static void fanout_pass(struct fanout_feed *feed, size_t count)
{
	size_t done = 0, n;

	while (done < count && !fanout_is_late(feed)) {
		done += fanout_fill(feed, feed->taken + done, count - done, &n);
		fanout_deliver(feed, n);
	}
	feed_lost(&feed->status, count - done);
}

static void *fanout_main(void *arg)
{
	struct fanout_feed *feed = arg;
	int n;

	pthread_setname_np(pthread_self(), "porttrace-sink");
	while ((n = feed_log_take(feed->log, feed->reader, feed->packed, sizeof(feed->packed), feed->taken,
				  FANOUT_RECORDS, FEED_TICK_MS)) >= 0) {
		fanout_pass(feed, (size_t)n);
		fanout_tick(feed);
	}
	if (feed->ops->finish)
		feed->ops->finish(feed->state, atomic_load(&feed->deadline_ns));
	return NULL;
}

/* ---- opening ---- */

static int fanout_open_format(struct fanout_feed *feed, const struct feed_run *run)
{
	const struct feed_format *format = feed->ops->format;

	feed->format = calloc(1, format->state_size);
	if (!feed->format)
		return -ENOMEM;
	format->init(feed->format, run);
	return 0;
}

static int fanout_unknown(const struct feed_uri *uri, char *err)
{
	struct buf b = { .data = err, .size = FEED_ERR_SIZE - 1 };

	buf_str(&b, "unknown sink '");
	buf_bytes(&b, uri->scheme, strnlen(uri->scheme, 32));
	buf_str(&b, ":'; there are");
	for (size_t i = 0; feed_row(i); i++) {
		buf_str(&b, i ? ", " : " ");
		buf_str(&b, feed_row(i)->form);
	}
	err[b.len] = '\0';
	return -EINVAL;
}

static int fanout_check_params(const struct feed_uri *uri, char *err)
{
	for (size_t i = 0; i < uri->param_count; i++)
		if (!uri->params[i].used) {
			snprintf(err, FEED_ERR_SIZE, "unknown parameter '%.64s' of %s:", uri->params[i].name,
				 uri->scheme);
			return -EINVAL;
		}
	return 0;
}

static int fanout_open_feed(struct fanout *f, struct fanout_feed *feed, char *err)
{
	struct feed_options opts = { .uri = &feed->uri, .run = &f->run, .status = &feed->status };
	int r = feed_uri_parse(&feed->uri, feed->name, err);

	if (r < 0)
		return r;
	feed->name[strcspn(feed->name, "?")] = '\0';
	feed->ops = feed_find(feed->uri.scheme);
	if (!feed->ops)
		return fanout_unknown(&feed->uri, err);
	feed->log = f->log;
	r = fanout_open_format(feed, &f->run);
	if (r == 0)
		r = feed->reader = feed_log_join(f->log);
	if (r >= 0)
		r = feed->ops->open(&opts, &feed->state, err);
	return r < 0 ? r : fanout_check_params(&feed->uri, err);
}

static int fanout_add(struct fanout *f, const char *uri, char *err)
{
	struct fanout_feed *feed;

	if (strlen(uri) >= STATS_NAME_SIZE || f->feed_count == FANOUT_FEEDS_MAX) {
		snprintf(err, FEED_ERR_SIZE, "%s", f->feed_count == FANOUT_FEEDS_MAX ? "too many sinks" : "too long");
		return -EINVAL;
	}
	feed = calloc(1, sizeof(*feed));
	if (!feed)
		return -ENOMEM;
	strcpy(feed->name, uri);
	pthread_mutex_init(&feed->status.lock, NULL);
	f->feeds[f->feed_count++] = feed;
	return fanout_open_feed(f, feed, err);
}

/* Signals are the main thread's. */
static int fanout_start(struct fanout *f)
{
	pthread_attr_t attr;
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, FANOUT_STACK);
	for (size_t i = 0; r == 0 && i < f->feed_count; i++) {
		r = -pthread_create(&f->feeds[i]->thread, &attr, fanout_main, f->feeds[i]);
		f->feeds[i]->running = r == 0;
	}
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return r;
}

int fanout_open(const struct fanout_options *opts, struct fanout **ret, char *err)
{
	struct fanout *f = calloc(1, sizeof(*f));
	char why[FEED_ERR_SIZE] = "";
	int r = f ? 0 : -ENOMEM;

	if (f) {
		r = feed_log_new(opts->queue ? opts->queue : FANOUT_QUEUE, EVENT_PACK_USUAL, &f->log);
		f->block = opts->block;
		f->alarms = opts->alarms;
		f->is_pressed = opts->is_pressed;
		f->pressed_arg = opts->pressed_arg;
		f->run = opts->run;
	}
	for (size_t i = 0; r == 0 && i < opts->uri_count; i++) {
		r = fanout_add(f, opts->uris[i], why);
		if (r < 0)
			snprintf(err, FEED_ERR_SIZE, "%.64s: %.180s", opts->uris[i], why[0] ? why : strerror(-r));
	}
	if (r == 0) {
		r = fanout_start(f);
		if (r < 0)
			snprintf(err, FEED_ERR_SIZE, "cannot start a thread: %s", strerror(-r));
	}
	if (r < 0)
		fanout_close(f);
	else
		*ret = f;
	return r;
}

/* ---- records ---- */

/*
 * What is read from the ring at once may be more than a queue holds: the reader waits for a sink that keeps coming as
 * long as the ring has room; with block for any sink, whatever the ring has. After the end of the run not for ever.
 */
static void fanout_append(struct fanout *f, const struct feed_record *rec)
{
	while (*f->alarms < FANOUT_PATIENCE_S + 1 && (f->block || !f->is_pressed(f->pressed_arg))) {
		bool hung_too = f->block && *f->alarms < FANOUT_PATIENCE_S;

		if (feed_log_append(f->log, rec, hung_too ? UINT_MAX : FEED_TICK_MS))
			return;
		feed_log_wait(f->log, FANOUT_PAUSE_MS);
	}
	feed_log_append(f->log, rec, 0);
}

/* One that does not fit is lost by all, and counted. */
static void fanout_put(struct fanout *f, struct feed_record *rec, const struct event *ev, const struct stats *st)
{
	struct buf b = { .data = f->packed, .size = sizeof(f->packed) };
	bool fits = st ? event_pack_stats(st, &b) : event_pack(ev, clock_now_ns(CLOCK_REALTIME), &b);

	rec->data = f->packed;
	rec->size = fits ? (uint32_t)b.len : UINT32_MAX;
	fanout_append(f, rec);
}

void fanout_event(struct fanout *f, const struct event *ev)
{
	struct feed_record rec = {
		.time_ns = ev->time_ns,
		.sequence = ev->sequence,
		.kind = (uint8_t)ev->kind,
		.failed = ev->outcome == OUTCOME_FAILURE,
	};

	fanout_put(f, &rec, ev, NULL);
}

void fanout_stats(struct fanout *f, const struct stats *st)
{
	struct feed_record rec = { .time_ns = st->time_ns, .sequence = st->sequence, .kind = EVENT_KIND_COUNT };

	fanout_put(f, &rec, NULL, st);
}

void fanout_flush(struct fanout *f)
{
	feed_log_wake(f->log);
}

void fanout_reopen(struct fanout *f)
{
	for (size_t i = 0; i < f->feed_count; i++)
		atomic_fetch_add(&f->feeds[i]->reopen, 1);
}

bool fanout_has_reopened(struct fanout *f)
{
	for (size_t i = 0; i < f->feed_count; i++)
		if (atomic_load(&f->feeds[i]->reopened) != atomic_load(&f->feeds[i]->reopen))
			return false;
	return true;
}

/* ---- the end ---- */

/* A thread that the kernel does not let go (a hung disk) is left behind: the process ends soon. */
static void fanout_join(struct fanout_feed *feed, uint64_t deadline_ns)
{
	uint64_t grace_ns = deadline_ns + FEED_TICK_MS * UINT64_C(3000000);
	struct timespec until = { (time_t)(grace_ns / 1000000000), (long)(grace_ns % 1000000000) };

	if (feed->running && !pthread_clockjoin_np(feed->thread, NULL, CLOCK_MONOTONIC, &until))
		feed->running = false;
}

void fanout_finish(struct fanout *f, uint64_t deadline_ns)
{
	for (size_t i = 0; i < f->feed_count; i++)
		atomic_store(&f->feeds[i]->deadline_ns, deadline_ns);
	if (f->log)
		feed_log_end(f->log);
	for (size_t i = 0; i < f->feed_count; i++)
		fanout_join(f->feeds[i], deadline_ns);
}

/* What a thread that was left behind may still use stays. */
void fanout_close(struct fanout *f)
{
	bool left = false;

	if (!f)
		return;
	fanout_finish(f, clock_now_ns(CLOCK_MONOTONIC));
	for (size_t i = 0; i < f->feed_count; i++)
		left |= f->feeds[i]->running;
	if (left)
		return;
	for (size_t i = 0; i < f->feed_count; i++) {
		if (f->feeds[i]->ops)
			f->feeds[i]->ops->close(f->feeds[i]->state);
		pthread_mutex_destroy(&f->feeds[i]->status.lock);
		free(f->feeds[i]->format);
		free(f->feeds[i]);
	}
	feed_log_free(f->log);
	free(f);
}

/* ---- accounts ---- */

/* What a feed has taken, and has not counted yet, is under way; after the end it is lost. */
static void fanout_account(struct fanout_feed *feed, struct stats_sink *ret)
{
	bool over = atomic_load(&feed->deadline_ns) != 0;
	uint64_t taken;

	memcpy(ret->name, feed->name, sizeof(ret->name));
	feed_log_count(feed->log, feed->reader, &ret->waiting, &taken, &ret->lost_queue);
	ret->lost_sink = atomic_load(&feed->status.lost);
	ret->delivered = atomic_load(&feed->status.delivered);
	if (!over) {
		ret->waiting += taken - ret->delivered - ret->lost_sink;
		return;
	}
	ret->lost_queue += ret->waiting;
	ret->lost_sink = taken - ret->delivered;
	ret->waiting = 0;
}

size_t fanout_count(struct fanout *f, struct stats_sink ret[FANOUT_FEEDS_MAX])
{
	for (size_t i = 0; i < f->feed_count; i++)
		fanout_account(f->feeds[i], &ret[i]);
	return f->feed_count;
}

bool fanout_trouble(struct fanout *f, size_t i, char ret[FEED_TROUBLE_SIZE])
{
	struct feed_status *status = i < f->feed_count ? &f->feeds[i]->status : NULL;

	if (!status)
		return false;
	pthread_mutex_lock(&status->lock);
	memcpy(ret, status->trouble, FEED_TROUBLE_SIZE);
	pthread_mutex_unlock(&status->lock);
	return true;
}
