// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_sinks.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../clock.h"

#define TRACE_SINKS_STATS_NS (UINT64_C(60) * 1000000000)

int trace_sinks_open(struct trace_sinks *ts, const struct fanout_options *opts, uint64_t stats_ns)
{
	char err[FEED_ERR_SIZE] = "";
	int r;

	ts->since_ns = clock_now_ns(CLOCK_REALTIME);
	ts->every_ns = stats_ns || !opts->uri_count ? stats_ns : TRACE_SINKS_STATS_NS;
	ts->next_ns = clock_now_ns(CLOCK_MONOTONIC) + ts->every_ns;
	r = opts->uri_count ? fanout_open(opts, &ts->fanout, err) : 0;
	if (r < 0)
		fprintf(stderr, "porttrace: option '--sink': %s\n", err);
	return r;
}

bool trace_sinks_have_stdout(const struct trace_sink_list *sinks)
{
	for (size_t i = 0; i < sinks->count; i++)
		if (!strncmp(sinks->uris[i], "stdout:", strlen("stdout:")))
			return true;
	return false;
}

void trace_sinks_close(struct trace_sinks *ts)
{
	fanout_close(ts->fanout);
	ts->fanout = NULL;
}

bool trace_sinks_is_due(struct trace_sinks *ts, uint64_t now_ns)
{
	if (!ts->every_ns || now_ns < ts->next_ns)
		return false;
	ts->next_ns = now_ns + ts->every_ns;
	return true;
}

void trace_sinks_stats(struct trace_sinks *ts, struct stats *st, struct stats_sink *sinks)
{
	st->since_ns = ts->since_ns;
	st->sinks = sinks;
	st->sink_count = ts->fanout ? fanout_count(ts->fanout, sinks) : 0;
	if (ts->record)
		st->sink_count += trace_record_count(ts->record, sinks + st->sink_count);
	for (size_t i = 0; i < st->sink_count; i++) {
		st->lost_queue += sinks[i].lost_queue;
		st->lost_sink += sinks[i].lost_sink;
	}
}

uint64_t trace_sinks_lost(struct trace_sinks *ts)
{
	struct stats_sink sinks[TRACE_SINKS_PLACES];
	struct stats st = { 0 };

	trace_sinks_stats(ts, &st, sinks);
	return st.lost_queue + st.lost_sink;
}

void trace_sinks_tell(struct trace_sinks *ts)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	char now[FEED_TROUBLE_SIZE];

	if (ts->record)
		trace_record_tell(ts->record);
	for (size_t i = 0; ts->fanout && fanout_trouble(ts->fanout, i, now); i++) {
		if (!strcmp(now, ts->told[i]))
			continue;
		memcpy(ts->told[i], now, sizeof(now));
		fanout_count(ts->fanout, sinks);
		if (now[0])
			fprintf(stderr, "porttrace: sink %s: %s; %llu records wait\n", sinks[i].name, now,
				(unsigned long long)sinks[i].waiting);
		else
			fprintf(stderr, "porttrace: sink %s: works again; %llu records lost so far\n", sinks[i].name,
				(unsigned long long)(sinks[i].lost_queue + sinks[i].lost_sink));
	}
}

void trace_sinks_count(struct trace_sinks *ts)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	size_t n = ts->fanout ? fanout_count(ts->fanout, sinks) : 0;

	for (size_t i = 0; i < n; i++) {
		const struct stats_sink *s = &sinks[i];

		fprintf(stderr, "porttrace: sink %s: %llu delivered, %llu lost (queue %llu, sink %llu)", s->name,
			(unsigned long long)s->delivered, (unsigned long long)(s->lost_queue + s->lost_sink),
			(unsigned long long)s->lost_queue, (unsigned long long)s->lost_sink);
		if (s->waiting)
			fprintf(stderr, ", %llu waiting", (unsigned long long)s->waiting);
		fprintf(stderr, "\n");
	}
}
