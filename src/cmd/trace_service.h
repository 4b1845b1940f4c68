/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace daemon` tells the manager that started it: ready, alive, how many events, reloading, stopping. */
#ifndef PORTTRACE_TRACE_SERVICE_H
#define PORTTRACE_TRACE_SERVICE_H

#include <stddef.h>

#include "../attach.h"
#include "../fanout.h"
#include "../notify.h"

/* All zero: nobody is told anything. */
struct trace_service {
	struct notify notify;
	bool ready;
	uint64_t status_ns; /* CLOCK_MONOTONIC: of the next STATUS= */
	uint64_t reload_ns; /* the same: by then a reload counts as done; 0 = none is under way */
};

/* A manager that cannot be spoken to is told of, once; the run goes on. */
void trace_service_open(struct trace_service *ts);
void trace_service_close(struct trace_service *ts);

/* Everything is seen from now on. */
void trace_service_ready(struct trace_service *ts);
/* SIGHUP came: files are being opened anew. Not told before ready and after stopping. */
void trace_service_reload(struct trace_service *ts, uint64_t now_ns);
/* Each round of the main loop, and while it waits for a sink: a sign of life; the end of a reload.
 * `fanout` NULL = there are no files. */
void trace_service_mind(struct trace_service *ts, struct fanout *fanout, uint64_t now_ns);
bool trace_service_is_due(struct trace_service *ts, uint64_t now_ns);
/* One line: what was seen and lost so far. `lost` without what the sinks lost. */
void trace_service_tell(struct trace_service *ts, enum event_backend backend, uint64_t seen, uint64_t lost,
			struct fanout *fanout);
void trace_service_stopping(struct trace_service *ts);

#endif
