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

#define FANOUT_ROOM (64 * 1024) /* bytes that a feed takes from its queue at once */
#define FANOUT_RECORDS 256
#define FANOUT_PATIENCE_S 2 /* of a blocked reader, after the end of the run: what it has can reach other sinks */
#define FANOUT_PAUSE_MS 10
#define FANOUT_STACK (256 * 1024)

/* One format, and the queue of all feeds that want it. */
struct fanout_format {
	const struct feed_format *format;
	void *state;
	char *line;
	struct feed_log *log;
};

struct fanout_feed {
	char name[STATS_NAME_SIZE]; /* as it was given, without parameters once it is open */
	const struct feed_ops *ops;
	void *state;
	struct feed_uri uri;
	struct feed_status status;
	struct fanout_format *format;
	int reader; /* its place in the log */
	pthread_t thread;
	bool running;
	atomic_uint_fast64_t deadline_ns; /* CLOCK_MONOTONIC; 0 = the run goes on */
	atomic_uint reopen, reopened; /* times that it was asked for, and done */
	struct feed_record records[FANOUT_RECORDS];
	char room[FANOUT_ROOM];
};

struct fanout {
	struct fanout_format formats[FANOUT_FEEDS_MAX];
	size_t format_count;
	struct fanout_feed *feeds[FANOUT_FEEDS_MAX];
	size_t feed_count;
	size_t queue;
	bool block;
	bool (*is_pressed)(void *arg);
	void *pressed_arg;
	const volatile sig_atomic_t *alarms;
	struct feed_run run;
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
		if (done < count)
			fanout_tick(feed);
		if (!took)
			fanout_rest(begin_ns);
	}
	feed_lost(&feed->status, count - done);
}

static void *fanout_main(void *arg)
{
	struct fanout_feed *feed = arg;
	int n;

	pthread_setname_np(pthread_self(), "porttrace-sink");
	while ((n = feed_log_take(feed->format->log, feed->reader, feed->room, sizeof(feed->room), feed->records,
				  FANOUT_RECORDS, FEED_TICK_MS)) >= 0) {
		if (n)
			fanout_deliver(feed, (size_t)n);
		fanout_tick(feed);
	}
	if (feed->ops->finish)
		feed->ops->finish(feed->state, atomic_load(&feed->deadline_ns));
	return NULL;
}

/* ---- opening ---- */

static int fanout_format(struct fanout *f, const struct feed_format *format, struct fanout_format **ret)
{
	struct fanout_format *ff = f->formats;
	size_t usual = format->usual ? format->usual : FEED_LOG_RECORD_BYTES;
	int r;

	while (ff < f->formats + f->format_count && ff->format != format)
		ff++;
	*ret = ff;
	if (ff < f->formats + f->format_count)
		return 0;
	*ff = (struct fanout_format){ .format = format };
	ff->state = calloc(1, format->state_size);
	ff->line = malloc(format->max);
	r = ff->state && ff->line ? feed_log_new(f->queue, usual, &ff->log) : -ENOMEM;
	if (r == 0)
		format->init(ff->state, &f->run);
	f->format_count++;
	return r;
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
	r = fanout_format(f, feed->ops->format, &feed->format);
	if (r == 0)
		r = feed->reader = feed_log_join(feed->format->log);
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
		f->queue = opts->queue ? opts->queue : FANOUT_QUEUE;
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
 * long as the ring has room; with block for any sink, whatever the ring has.
 */
static void fanout_append(struct fanout *f, struct fanout_format *ff, const struct feed_record *rec)
{
	bool waits = true;

	while (waits && !feed_log_append(ff->log, rec, f->block ? UINT_MAX : FEED_TICK_MS)) {
		feed_log_wait(ff->log, FANOUT_PAUSE_MS);
		waits = (!f->is_pressed(f->pressed_arg) || f->block) && *f->alarms < FANOUT_PATIENCE_S;
	}
	if (!waits)
		feed_log_append(ff->log, rec, 0);
}

/* In each format: an event, or statistics. One that does not fit is lost by all, and counted. */
static void fanout_put(struct fanout *f, struct feed_record *rec, const struct event *ev, const struct stats *st)
{
	for (size_t i = 0; i < f->format_count; i++) {
		struct fanout_format *ff = &f->formats[i];
		struct buf line = { .data = ff->line, .size = ff->format->max };
		bool fits = ev ? ff->format->event(ff->state, ev, &line) : ff->format->stats(ff->state, st, &line);

		rec->data = ff->line;
		rec->size = fits ? (uint32_t)line.len : UINT32_MAX;
		fanout_append(f, ff, rec);
	}
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
	for (size_t i = 0; i < f->format_count; i++)
		feed_log_wake(f->formats[i].log);
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
	for (size_t i = 0; i < f->format_count; i++)
		if (f->formats[i].log)
			feed_log_end(f->formats[i].log);
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
		free(f->feeds[i]);
	}
	for (size_t i = 0; i < f->format_count; i++) {
		feed_log_free(f->formats[i].log);
		free(f->formats[i].state);
		free(f->formats[i].line);
	}
	free(f);
}

/* ---- accounts ---- */

/* What a feed has taken, and has not counted yet, is under way; after the end it is lost. */
static void fanout_account(struct fanout_feed *feed, struct stats_sink *ret)
{
	bool over = atomic_load(&feed->deadline_ns) != 0;
	uint64_t taken;

	memcpy(ret->name, feed->name, sizeof(ret->name));
	feed_log_count(feed->format->log, feed->reader, &ret->waiting, &taken, &ret->lost_queue);
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
