// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../metrics.h"
#include "../metrics_file.h"
#include "../metrics_listen.h"
#include "pressure.h"
#include "trace_verdict.h"

#define TRACE_METRICS_EVERY_NS UINT64_C(15000000000)
#define TRACE_METRICS_SHARE 30 /* a look takes at most this part of the time: 3 % */

struct trace_metrics {
	struct metrics *metrics;
	struct metrics_listen *listener; /* NULL = none */
	const char *path; /* NULL = no file */
	uint64_t every_ns, file_ns, look_ns; /* CLOCK_MONOTONIC: the next file, the next look */
	int file_error; /* that was told last */
	struct pressure_session session;
	const struct sockets *ledger;
	struct trace_verdict *verdict; /* NULL: the backend sees why a connect failed */
	struct metrics_self self;
	struct buf texts[METRICS_DIALECT_COUNT];
};

static int trace_metrics_render(struct trace_metrics *tm)
{
	int r = 0;

	metrics_update(tm->metrics, &tm->self);
	for (int d = 0; r == 0 && d < METRICS_DIALECT_COUNT; d++)
		r = metrics_text(tm->metrics, (enum metrics_dialect)d, &tm->texts[d]);
	return r;
}

/* Each error is told once, until the file could be written again. */
static int trace_metrics_write(struct trace_metrics *tm)
{
	int r = metrics_file_write(tm->path, &tm->texts[METRICS_PROMETHEUS]);

	if (r < 0 && r != tm->file_error)
		fprintf(stderr, "porttrace: option '--metrics-file': cannot write %s: %s\n", tm->path,
			r == -ENOTSUP ? "it is there, and no file" : strerror(-r));
	tm->file_error = r;
	return r;
}

static int trace_metrics_listen(struct trace_metrics *tm, const struct trace_options *opts)
{
	char err[METRICS_LISTEN_ERR_SIZE] = "";
	int r = metrics_listen_open(&opts->metrics_listen, &tm->listener, err);

	if (r < 0)
		fprintf(stderr, "porttrace: option '--metrics-listen': port %u: %s\n", opts->metrics_listen.port, err);
	return r;
}

int trace_metrics_open(const struct trace_options *opts, struct trace_metrics **ret)
{
	struct trace_metrics *tm;
	int r;

	*ret = NULL;
	if (!opts->metrics_file && !opts->metrics_listen.port)
		return 0;
	tm = *ret = calloc(1, sizeof(*tm));
	if (!tm)
		return -ENOMEM;
	tm->path = opts->metrics_file;
	tm->every_ns = opts->metrics_every_ns ? opts->metrics_every_ns : TRACE_METRICS_EVERY_NS;
	r = metrics_new(&tm->metrics);
	if (r == 0)
		r = trace_metrics_render(tm);
	if (r == 0 && tm->path)
		r = trace_metrics_write(tm);
	if (r == 0 && opts->metrics_listen.port)
		r = trace_metrics_listen(tm, opts);
	return r;
}

int trace_metrics_begin(struct trace_metrics *tm, const struct sockets *ledger, bool by_cookie)
{
	tm->ledger = ledger;
	tm->session.by_cookie = by_cookie;
	tm->session.patient = true;
	tm->session.no_bpf = by_cookie; /* whoever takes that backend is refused other programs */
	return by_cookie ? trace_verdict_open(ledger, by_cookie, 0, &tm->verdict) : 0;
}

void trace_metrics_event(void *arg, const struct event *ev)
{
	struct trace_metrics *tm = arg;

	if (ev->nothing_sent && tm->verdict) { /* such a failure is rare, and may be one for want of a port */
		struct event copy = *ev;

		trace_verdict_fill(tm->verdict, &copy);
		metrics_event(tm->metrics, &copy);
	} else {
		metrics_event(tm->metrics, ev);
	}
	if (ev->cause == CAUSE_PORT_EXHAUSTED)
		pressure_session_event(&tm->session, ev);
}

void trace_metrics_counted(struct trace_metrics *tm, const struct event *ev, const struct count *rise)
{
	metrics_counted(tm->metrics, ev, rise);
}

bool trace_metrics_is_due(const struct trace_metrics *tm, uint64_t now_ns)
{
	return (tm->path && now_ns >= tm->file_ns) || (tm->listener && metrics_listen_is_wanted(tm->listener));
}

static void trace_metrics_look(struct trace_metrics *tm, uint64_t now_ns)
{
	struct pressure_view view;
	int r;

	tm->session.ledger = tm->ledger;
	r = pressure_session_look(&tm->session, &view);
	tm->session.ledger = NULL;
	tm->look_ns = now_ns + tm->session.took_ns * TRACE_METRICS_SHARE;
	if (r < 0) {
		metrics_look(tm->metrics, NULL, NULL, 0);
		return;
	}
	metrics_look(tm->metrics, view.netns, view.counters, view.count);
	pressure_view_free(&view);
	tm->self.look_ns = tm->session.took_ns;
}

static void trace_metrics_count(struct trace_metrics *tm, uint64_t lost, const struct stats *sinks)
{
	tm->self.events_lost = lost > tm->self.events_lost ? lost : tm->self.events_lost;
	memcpy(tm->self.lost_ring, sinks->lost_ring, sizeof(tm->self.lost_ring));
	tm->self.evicted = tm->ledger ? sockets_evicted_sum(tm->ledger) : 0;
	tm->self.sinks = sinks->sinks;
	tm->self.sink_count = sinks->sink_count;
}

void trace_metrics_tell(struct trace_metrics *tm, uint64_t lost, const struct stats *sinks, uint64_t now_ns)
{
	if (now_ns >= tm->look_ns)
		trace_metrics_look(tm, now_ns);
	trace_metrics_count(tm, lost, sinks);
	if (trace_metrics_render(tm) < 0) /* the text of before stands */
		return;
	if (tm->path && now_ns >= tm->file_ns) {
		trace_metrics_write(tm);
		tm->file_ns = now_ns + tm->every_ns;
	}
	if (tm->listener)
		metrics_listen_publish(tm->listener, tm->texts);
}

void trace_metrics_end(struct trace_metrics *tm, uint64_t lost, const struct stats *sinks)
{
	metrics_look(tm->metrics, NULL, NULL, 0);
	tm->self.look_ns = 0;
	trace_metrics_count(tm, lost, sinks);
	if (tm->path && trace_metrics_render(tm) == 0)
		trace_metrics_write(tm);
}

void trace_metrics_close(struct trace_metrics *tm)
{
	if (!tm)
		return;
	metrics_listen_close(tm->listener);
	trace_verdict_close(tm->verdict);
	pressure_session_close(&tm->session);
	for (int d = 0; d < METRICS_DIALECT_COUNT; d++)
		free(tm->texts[d].data);
	metrics_free(tm->metrics);
	free(tm);
}
