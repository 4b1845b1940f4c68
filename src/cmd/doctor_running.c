// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "doctor_running.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../cleanup.h"
#include "../clock.h"
#include "../json_out.h"

#define DOCTOR_RUNNING_LINE_MAX 256

/* ---- looking ---- */

void doctor_running_read(struct doctor_running *ret)
{
	struct timespec second = { .tv_sec = 1 };
	_close_ int measure_fd = -1;
	uint64_t begin_ns;

	ret->before_count = running_read("/proc", ret->before);
	ret->error = ret->before_count < 0 ? ret->before_count : 0;
	if (ret->before_count <= 0)
		return;
	measure_fd = running_measure();
	ret->stats_error = measure_fd < 0 ? measure_fd : 0;
	/* anew: what was measured before is not ours */
	ret->before_count = running_read("/proc", ret->before);
	begin_ns = clock_now_ns(CLOCK_MONOTONIC);
	nanosleep(&second, NULL);
	ret->count = running_read("/proc", ret->now);
	ret->seconds = (double)(clock_now_ns(CLOCK_MONOTONIC) - begin_ns) / 1e9;
	if (ret->before_count < 0 || ret->count < 0)
		ret->error = ret->count < 0 ? ret->count : ret->before_count;
}

/* What it was a second ago; NULL = it was not there. */
static const struct running *doctor_running_before(const struct doctor_running *running, uint32_t pid)
{
	for (int i = 0; i < running->before_count; i++)
		if (running->before[i].pid == pid)
			return &running->before[i];
	return NULL;
}

static const struct running_program *doctor_running_program(const struct running *run, uint32_t id)
{
	for (size_t i = 0; i < run->program_count; i++)
		if (run->programs[i].id == id)
			return &run->programs[i];
	return NULL;
}

static double doctor_running_part(double part, double of)
{
	return of > 0 ? part / of : 0;
}

/* One process, in the second. */
struct doctor_running_cost {
	double events, events_s, cpu_percent, us_event;
};

static struct doctor_running_cost
doctor_running_cost(const struct doctor_running *running, const struct running *before, const struct running *now)
{
	double cpu_ns = (double)(now->cpu_ns - before->cpu_ns), events = (double)(now->events - before->events);

	return (struct doctor_running_cost){
		.events = events,
		.events_s = doctor_running_part(events, running->seconds),
		.cpu_percent = doctor_running_part(cpu_ns / 1e7, running->seconds),
		.us_event = doctor_running_part(cpu_ns / 1e3, events),
	};
}

__attribute__((format(printf, 2, 3))) static void doctor_running_print(struct buf *b, const char *format, ...)
{
	char line[DOCTOR_RUNNING_LINE_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	buf_str(b, line);
}

/* ---- for people ---- */

static void doctor_running_text_program(struct buf *b, const struct running_program *before,
					const struct running_program *now, double events)
{
	double runs = (double)(now->runs - before->runs), ns = (double)(now->run_ns - before->run_ns);

	if (runs > 0)
		doctor_running_print(b, "    %-16s %10.0f %8.2f %8.0f %8.0f\n", now->name, runs,
				     doctor_running_part(runs, events), ns / runs, doctor_running_part(ns, events));
}

static void doctor_running_text_one(struct buf *b, const struct doctor_running *running, const struct running *before,
				    const struct running *now)
{
	struct doctor_running_cost cost = doctor_running_cost(running, before, now);

	doctor_running_print(b, "  process %u: %.0f events a second, %llu in all; lost %llu\n", now->pid, cost.events_s,
			     (unsigned long long)now->events, (unsigned long long)now->lost);
	doctor_running_print(b, "    reader %.2f %% of a processor, %.2f us an event\n", cost.cpu_percent,
			     cost.us_event);
	doctor_running_print(b, "    ring at most %llu of %llu bytes\n", (unsigned long long)now->ring_most,
			     (unsigned long long)now->ring_bytes);
	if (running->stats_error || !cost.events)
		return;
	doctor_running_print(b, "    %-16s %10s %8s %8s %8s\n", "PROGRAM", "RUNS", "/EVENT", "NS/RUN", "NS/EVENT");
	for (size_t i = 0; i < now->program_count; i++) {
		const struct running_program *was = doctor_running_program(before, now->programs[i].id);

		if (was)
			doctor_running_text_program(b, was, &now->programs[i], cost.events);
	}
}

void doctor_running_text(struct report *out, const struct doctor_running *running)
{
	struct buf *b = &out->b;

	if (running->error)
		doctor_running_print(b, "\nWhat running porttraces cost is not known: %s\n",
				     strerrordesc_np(-running->error));
	if (running->error || !running->count)
		return;
	doctor_running_print(b, "\nRunning porttraces, and what they cost in %.1f s\n", running->seconds);
	for (int i = 0; i < running->count; i++) {
		const struct running *before = doctor_running_before(running, running->now[i].pid);

		if (before)
			doctor_running_text_one(b, running, before, &running->now[i]);
		report_flush(out);
	}
	if (running->stats_error)
		doctor_running_print(b, "  the kernel does not measure programs: %s\n",
				     strerrordesc_np(-running->stats_error));
}

/* ---- for programs ---- */

static void doctor_running_json_programs(struct buf *b, const struct running *before, const struct running *now)
{
	bool first_program = true;

	buf_lit(b, ",\"programs\":[");
	for (size_t i = 0; i < now->program_count; i++) {
		const struct running_program *p = &now->programs[i], *was = doctor_running_program(before, p->id);
		bool first = true;

		if (!was || p->runs == was->runs)
			continue;
		json_comma(b, &first_program);
		buf_char(b, '{');
		json_member_text(b, &first, "name", p->name, sizeof(p->name));
		json_member_u64(b, &first, "runs", p->runs - was->runs);
		json_member_u64(b, &first, "run_ns", p->run_ns - was->run_ns);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

static void doctor_running_json_one(struct buf *b, const struct running *before, const struct running *now)
{
	bool first = true;

	buf_char(b, '{');
	json_member_u64(b, &first, "pid", now->pid);
	json_member_u64(b, &first, "events", now->events - before->events);
	json_member_u64(b, &first, "events_total", now->events);
	json_member_u64(b, &first, "lost_total", now->lost);
	json_member_u64(b, &first, "reader_cpu_ns", now->cpu_ns - before->cpu_ns);
	json_member_u64(b, &first, "ring_most_bytes", now->ring_most);
	json_member_u64(b, &first, "ring_bytes", now->ring_bytes);
	doctor_running_json_programs(b, before, now);
	buf_char(b, '}');
}

void doctor_running_json(struct report *out, const struct doctor_running *running)
{
	struct buf *b = &out->b;
	bool first = true;

	if (running->error)
		return; /* not known */
	buf_lit(b, ",\"running\":{\"measured_ns\":");
	buf_u64(b, (uint64_t)(running->seconds * 1e9));
	buf_lit(b, ",\"processes\":[");
	for (int i = 0; i < running->count; i++) {
		const struct running *before = doctor_running_before(running, running->now[i].pid);

		if (!before)
			continue;
		json_comma(b, &first);
		doctor_running_json_one(b, before, &running->now[i]);
		report_flush(out);
	}
	buf_lit(b, "]}");
}
