// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_cost.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "../cleanup.h"
#include "../clock.h"
#include "trace_count.h"

static uint64_t trace_cost_us(const struct timeval *time)
{
	return (uint64_t)time->tv_sec * 1000000 + (uint64_t)time->tv_usec;
}

/* Of all threads: those of the sinks are porttrace's cost, too. */
static void trace_cost_used(uint64_t *ret_user_us, uint64_t *ret_system_us)
{
	struct rusage usage = { 0 };

	getrusage(RUSAGE_SELF, &usage);
	*ret_user_us = trace_cost_us(&usage.ru_utime);
	*ret_system_us = trace_cost_us(&usage.ru_stime);
}

/* The kernel measures all programs, whoever wants it: as long as we trace, or this is no word about the whole of it. */
static bool trace_cost_is_measured(void)
{
	_fclose_ FILE *f = fopen("/proc/sys/kernel/bpf_stats_enabled", "re");

	return f && fgetc(f) == '1';
}

void trace_cost_begin(struct trace_cost *cost, struct attach *at)
{
	if (cost->wanted)
		cost->error = attach_measure_runs(at);
	cost->measured = cost->wanted ? !cost->error : trace_cost_is_measured();
	cost->begin_ns = clock_now_ns(CLOCK_MONOTONIC);
	trace_cost_used(&cost->begin_user_us, &cost->begin_system_us);
}

static double trace_cost_part(double part, double of)
{
	return of > 0 ? part / of : 0;
}

static void trace_cost_tell_own(const struct trace_cost *cost, uint64_t events)
{
	double seconds = (double)(clock_now_ns(CLOCK_MONOTONIC) - cost->begin_ns) / 1e9;
	uint64_t user_us, system_us;
	double used_us;

	trace_cost_used(&user_us, &system_us);
	user_us -= cost->begin_user_us;
	system_us -= cost->begin_system_us;
	used_us = (double)(user_us + system_us);
	fprintf(stderr, "porttrace: cost: %llu events in %.3f s, %.0f a second\n", (unsigned long long)events,
		seconds, trace_cost_part((double)events, seconds));
	fprintf(stderr, "porttrace: cost: reader %.3f s user, %.3f s system: %.2f us an event, %.2f %% of a processor"
			"\n",
		(double)user_us / 1e6, (double)system_us / 1e6, trace_cost_part(used_us, (double)events),
		trace_cost_part(used_us / 1e4, seconds));
}

/* ---- in the kernel ---- */

static void trace_cost_tell_program(const struct attach_program *p, uint64_t events)
{
	if (!p->runs)
		return;
	fprintf(stderr, "%-24s %-28s %12llu %8.2f %8.0f %8.0f\n", p->name, p->target, (unsigned long long)p->runs,
		trace_cost_part((double)p->runs, (double)events),
		trace_cost_part((double)p->run_ns, (double)p->runs),
		trace_cost_part((double)p->run_ns, (double)events));
}

static void trace_cost_tell_programs(const struct attach *at, uint64_t events)
{
	uint64_t runs = 0, run_ns = 0;

	fprintf(stderr, "%-24s %-28s %12s %8s %8s %8s\n", "PROGRAM", "AT", "RUNS", "/EVENT", "NS/RUN", "NS/EVENT");
	for (size_t i = 0; i < at->program_count; i++) {
		trace_cost_tell_program(&at->programs[i], events);
		runs += at->programs[i].runs;
		run_ns += at->programs[i].run_ns;
	}
	fprintf(stderr, "porttrace: cost: kernel %.0f ns an event in %.2f runs of programs (two readings of the clock "
			"a run are in it)\n",
		trace_cost_part((double)run_ns, (double)events), trace_cost_part((double)runs, (double)events));
}

void trace_cost_tell(const struct trace_cost *cost, struct attach *at, uint64_t ring_most, uint64_t ring_size)
{
	struct attach_loss loss;
	uint64_t events;

	if (attach_read_loss(at, &loss) < 0)
		return;
	events = attach_seen(&loss);
	if (cost->wanted && cost->error)
		fprintf(stderr, "porttrace: cost: the kernel does not measure its programs: %s\n",
			cost->error == -EPERM ? "that takes root (CAP_SYS_ADMIN)" : strerror(-cost->error));
	else if (cost->measured)
		trace_cost_tell_programs(at, events);
	else
		fprintf(stderr, "porttrace: cost: of each program with --cost, or by porttrace doctor meanwhile\n");
	trace_cost_tell_own(cost, events);
	fprintf(stderr, "porttrace: cost: ring at most %llu of %llu bytes (%.1f %%)\n", (unsigned long long)ring_most,
		(unsigned long long)ring_size, trace_cost_part(100.0 * (double)ring_most, (double)ring_size));
	fprintf(stderr, "porttrace: cost: lost in the kernel %llu", (unsigned long long)attach_lost(&loss));
	if (loss.counters.lost_ring) {
		fprintf(stderr, ": ring full ");
		trace_count_tell_kinds(&loss.counters);
	}
	fprintf(stderr, "\n");
}
