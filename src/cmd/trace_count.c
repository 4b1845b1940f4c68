// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_count.h"

#include <stdio.h>
#include <string.h>

_Static_assert(RAW_LOSSES == STATS_LOSSES, "a kind of record is a kind of event");

uint64_t trace_count_lost(const struct trace_count *tc, const struct attach_loss *loss)
{
	return attach_lost(loss) + tc->pipeline->damaged + tc->pipeline->unwritten +
	       (tc->record ? trace_record_lost(tc->record) : 0);
}

bool trace_count_has_lost(const struct trace_count *tc)
{
	struct attach_loss loss;

	return attach_read_loss(tc->attach, &loss) < 0 || trace_count_lost(tc, &loss) + loss.leftover ||
	       trace_sinks_lost(tc->sinks);
}

int trace_count_stats(const struct trace_count *tc, struct stats *ret)
{
	struct attach_loss loss;
	int r = attach_read_loss(tc->attach, &loss);

	if (r < 0)
		return r;
	ret->emitted = tc->pipeline->emitted;
	ret->seen = attach_seen(&loss);
	ret->filtered = loss.counters.filtered + tc->pipeline->filtered;
	ret->lost_kernel = attach_lost(&loss) + loss.leftover + tc->pipeline->damaged;
	ret->evicted = sockets_evicted_sum(tc->pipeline->sockets);
	trace_count_kinds(&loss, ret);
	return 0;
}

void trace_count_kinds(const struct attach_loss *loss, struct stats *ret)
{
	for (size_t i = 0; i < STATS_LOSSES; i++)
		ret->lost_ring[i] = loss->counters.lost[i];
}

/* ---- the closing line ---- */

void trace_count_tell_kinds(const struct raw_counters *counters)
{
	bool any = false;

	for (size_t i = 0; i < RAW_LOSSES; i++) {
		if (!counters->lost[i])
			continue;
		fprintf(stderr, "%s%llu %s%s", any ? ", " : "", (unsigned long long)counters->lost[i],
			event_kind_names[i / 2], i % 2 ? " failed" : "");
		any = true;
	}
}

void trace_count_tell_evicted(const struct sockets *ledger)
{
	struct sockets_evictions evicted = sockets_evicted(ledger);

	if (evicted.closed + evicted.open)
		fprintf(stderr, "porttrace: ledger: %llu sockets forgotten for want of room (open %llu, closed %llu): "
				"--max-sockets\n",
			(unsigned long long)(evicted.closed + evicted.open), (unsigned long long)evicted.open,
			(unsigned long long)evicted.closed);
}

/* Where: the parts of what the closing line calls lost. */
static void trace_count_places(const struct trace_count *tc, const struct attach_loss *loss)
{
	uint64_t left_out = tc->record ? trace_record_left_out(tc->record) : 0;
	uint64_t unwritten = tc->pipeline->unwritten + (tc->record ? trace_record_lost(tc->record) - left_out : 0);

	fprintf(stderr, " (ring full %llu", (unsigned long long)loss->counters.lost_ring);
	if (loss->counters.lost_ring) {
		fprintf(stderr, ": ");
		trace_count_tell_kinds(&loss->counters);
		fprintf(stderr, ";");
	} else {
		fprintf(stderr, ",");
	}
	fprintf(stderr, " programs skipped by the kernel %llu, half seen %llu, damaged %llu, ",
		(unsigned long long)loss->missed_runs,
		(unsigned long long)(loss->counters.lost_state + loss->leftover),
		(unsigned long long)tc->pipeline->damaged);
	if (left_out)
		fprintf(stderr, "left out %llu, ", (unsigned long long)left_out);
	fprintf(stderr, "unwritten %llu)", (unsigned long long)unwritten);
}

static void trace_count_tell_filtered(const struct trace_count *tc, const struct attach_loss *loss, uint64_t shown)
{
	const struct pipeline *p = tc->pipeline;
	uint64_t filtered = tc->record ? pipeline_records(p) - p->damaged - shown - trace_record_lost(tc->record) :
					 p->filtered;

	fprintf(stderr, "; %llu filtered (kernel %llu, porttrace %llu)",
		(unsigned long long)(loss->counters.filtered + filtered),
		(unsigned long long)loss->counters.filtered, (unsigned long long)filtered);
}

static void trace_count_tell_skipped(const struct attach *at)
{
	for (size_t i = 0; i < at->program_count; i++)
		if (at->programs[i].missed)
			fprintf(stderr, "porttrace: the kernel skipped %s (%s) %llu times\n", at->programs[i].name,
				at->programs[i].target, (unsigned long long)at->programs[i].missed);
}

void trace_count_tell(const struct trace_count *tc)
{
	uint64_t lost, shown = tc->record ? trace_record_events(tc->record) : tc->pipeline->shown;
	struct attach_loss loss;

	if (attach_read_loss(tc->attach, &loss) < 0)
		return;
	lost = trace_count_lost(tc, &loss) + loss.leftover;
	fprintf(stderr, "%llu events %s, %llu seen, %llu lost", (unsigned long long)shown,
		tc->record ? "recorded" : "shown", (unsigned long long)attach_seen(&loss), (unsigned long long)lost);
	if (lost)
		trace_count_places(tc, &loss);
	if (loss.counters.counted)
		fprintf(stderr, ", %llu counted in the kernel", (unsigned long long)loss.counters.counted);
	if (tc->verbose)
		trace_count_tell_filtered(tc, &loss, shown);
	fprintf(stderr, "\n");
	trace_count_tell_evicted(tc->pipeline->sockets);
	trace_sinks_count(tc->sinks);
	if (tc->verbose)
		trace_count_tell_skipped(tc->attach);
}
