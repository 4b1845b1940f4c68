// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_record.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "../clock.h"
#include "../version.h"

/* What a kill may cost. */
#define TRACE_RECORD_FLUSH_NS UINT64_C(500000000)

int trace_record_open(const char *path, bool force, struct trace_record *ret)
{
	char err[RECORDING_ERR_SIZE] = "";
	int r = path ? recorder_open(path, force, &ret->recorder, err) : 0;

	ret->path = path;
	if (r < 0)
		fprintf(stderr, "porttrace: %s\n", err);
	return r;
}

static int trace_record_fail(const struct trace_record *r, int error)
{
	fprintf(stderr, "porttrace: cannot write the recording %s: %s\n", r->path,
		error == -ETIMEDOUT ? "the disk does not take it" : strerrordesc_np(-error));
	return error;
}

int trace_record_begin(struct trace_record *r, enum event_backend backend, const struct feed_run *run)
{
	struct recording_header header = { .backend = backend,
					   .by_cookie = backend == BACKEND_CGROUP,
					   .start_ns = clock_now_ns(CLOCK_REALTIME),
					   .porttrace = PORTTRACE_VERSION };
	struct utsname name;
	int error;

	if (!r->recorder)
		return 0;
	if (!uname(&name))
		snprintf(header.kernel, sizeof(header.kernel), "%.60s %.60s", name.release, name.machine);
	snprintf(header.hostname, sizeof(header.hostname), "%s", run->hostname);
	snprintf(header.boot_id, sizeof(header.boot_id), "%s", run->boot);
	snprintf(header.run, sizeof(header.run), "%s", run->id);
	error = recorder_begin(r->recorder, &header);
	return error < 0 ? trace_record_fail(r, error) : 0;
}

bool trace_record_batch(struct trace_record *r, uint64_t time_ns, int64_t boot_offset_ns)
{
	uint64_t now_ns;

	if (!r->recorder)
		return false;
	now_ns = clock_now_ns(CLOCK_MONOTONIC);
	if (now_ns - r->flushed_ns >= TRACE_RECORD_FLUSH_NS) {
		recorder_flush(r->recorder);
		r->flushed_ns = now_ns;
	}
	return recorder_batch(r->recorder, time_ns, boot_offset_ns);
}

static struct recorder_stats trace_record_stats(const struct trace_record *r)
{
	struct recorder_stats stats = { 0 };

	if (r->recorder)
		recorder_read_stats(r->recorder, &stats);
	return stats;
}

bool trace_record_has_failed(const struct trace_record *r)
{
	return trace_record_stats(r).error;
}

uint64_t trace_record_events(const struct trace_record *r)
{
	struct recorder_stats stats = trace_record_stats(r);

	return stats.written + stats.waiting;
}

uint64_t trace_record_lost(const struct trace_record *r)
{
	struct recorder_stats stats = trace_record_stats(r);

	return stats.left_out + stats.unwritten;
}

uint64_t trace_record_left_out(const struct trace_record *r)
{
	return trace_record_stats(r).left_out;
}

size_t trace_record_count(const struct trace_record *r, struct stats_sink *ret)
{
	struct recorder_stats stats = trace_record_stats(r);

	if (!r->recorder)
		return 0;
	snprintf(ret->name, sizeof(ret->name), "record:%s", r->path);
	ret->delivered = stats.written;
	ret->lost_queue = stats.left_out;
	ret->lost_sink = stats.unwritten;
	ret->waiting = stats.waiting;
	return 1;
}

void trace_record_tell(struct trace_record *r)
{
	struct recorder_stats stats = trace_record_stats(r);

	if (stats.is_late == r->told_late)
		return;
	r->told_late = stats.is_late;
	if (stats.is_late)
		fprintf(stderr, "porttrace: %s: the disk does not keep up; %llu events wait, others are left out\n",
			r->path, (unsigned long long)stats.waiting);
	else
		fprintf(stderr, "porttrace: %s: recorded again; %llu events left out so far\n", r->path,
			(unsigned long long)stats.left_out);
}

void trace_record_end(struct trace_record *r, struct recording_end *end, uint64_t deadline_ns, bool tell)
{
	struct recorder_stats stats;

	if (!r->recorder)
		return;
	end->time_ns = clock_now_ns(CLOCK_REALTIME);
	recorder_end(r->recorder, end, deadline_ns);
	stats = trace_record_stats(r);
	if (stats.error)
		trace_record_fail(r, stats.error);
	if (tell || stats.error)
		fprintf(stderr, "porttrace: %s: %llu events recorded, %llu unwritten, %llu left out, %llu bytes\n",
			r->path, (unsigned long long)stats.written, (unsigned long long)stats.unwritten,
			(unsigned long long)stats.left_out, (unsigned long long)stats.bytes);
}

void trace_record_close(struct trace_record *r)
{
	recorder_close(r->recorder);
	r->recorder = NULL;
}
