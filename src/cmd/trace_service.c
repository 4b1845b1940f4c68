// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_service.h"

#include <stdio.h>
#include <string.h>

#define TRACE_SERVICE_STATUS_NS (UINT64_C(10) * 1000000000)
#define TRACE_SERVICE_RELOAD_NS (UINT64_C(2) * 1000000000) /* a sink that hangs opens its file later */

static void trace_service_fail(int error)
{
	fprintf(stderr, "porttrace: cannot speak to $NOTIFY_SOCKET: %s\n", strerror(-error));
}

void trace_service_open(struct trace_service *ts)
{
	int r = notify_open(&ts->notify);

	if (r < 0)
		trace_service_fail(r);
}

void trace_service_close(struct trace_service *ts)
{
	notify_close(&ts->notify);
}

void trace_service_ready(struct trace_service *ts)
{
	int r = notify_send(&ts->notify, "READY=1");

	ts->ready = true;
	if (r < 0)
		trace_service_fail(r);
}

void trace_service_reload(struct trace_service *ts, uint64_t now_ns)
{
	if (!ts->ready)
		return;
	ts->reload_ns = now_ns + TRACE_SERVICE_RELOAD_NS;
	notify_reloading(&ts->notify);
}

void trace_service_mind(struct trace_service *ts, struct fanout *fanout, uint64_t now_ns)
{
	notify_sign(&ts->notify, now_ns);
	if (!ts->reload_ns || (fanout && !fanout_has_reopened(fanout) && now_ns < ts->reload_ns))
		return;
	ts->reload_ns = 0;
	notify_send(&ts->notify, "READY=1");
}

bool trace_service_is_due(struct trace_service *ts, uint64_t now_ns)
{
	if (!ts->notify.open || !ts->ready || now_ns < ts->status_ns)
		return false;
	ts->status_ns = now_ns + TRACE_SERVICE_STATUS_NS;
	return true;
}

void trace_service_tell(struct trace_service *ts, enum event_backend backend, uint64_t seen, uint64_t lost,
			struct fanout *fanout)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	size_t n = fanout ? fanout_count(fanout, sinks) : 0, ill = 0;
	char text[256], trouble[FEED_TROUBLE_SIZE], beside[64] = "";

	for (size_t i = 0; i < n; i++) {
		fanout_trouble(fanout, i, trouble);
		ill += trouble[0] != '\0';
		lost += sinks[i].lost_queue + sinks[i].lost_sink;
	}
	if (n)
		snprintf(beside, sizeof(beside), "; %zu of %zu sinks work", n - ill, n);
	snprintf(text, sizeof(text), "STATUS=%s backend: %llu events seen, %llu lost%s", event_backend_names[backend],
		 (unsigned long long)seen, (unsigned long long)lost, beside);
	notify_send(&ts->notify, text);
}

void trace_service_stopping(struct trace_service *ts)
{
	ts->ready = false;
	ts->reload_ns = 0;
	notify_send(&ts->notify, "STOPPING=1");
}
