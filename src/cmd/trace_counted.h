/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A run that nobody reads the events of: what the kernel counts of them goes to the metrics. */
#ifndef PORTTRACE_CMD_TRACE_COUNTED_H
#define PORTTRACE_CMD_TRACE_COUNTED_H

#include "../attach.h"
#include "../counted.h"
#include "../pipeline.h"
#include "trace_metrics.h"

/* A cleared one counts nothing. Ended with trace_counted_close. */
struct trace_counted {
	struct counted *counted; /* NULL: events are read */
	const struct attach *attach; /* these three: not owned */
	struct pipeline *pipeline;
	struct trace_metrics *metrics;
	uint32_t sets; /* how many had been named */
};

/* Has the kernel count. */
void trace_counted_configure(struct bpf_config *config);
/* 0 or -ENOMEM. */
int trace_counted_open(const struct attach *at, struct pipeline *p, struct trace_metrics *tm,
		       struct trace_counted *ret);
/* Are there keys whose container should be looked up while it is there? */
bool trace_counted_has_new(const struct trace_counted *tc);
/* Adds what came since the last time. */
void trace_counted_read(struct trace_counted *tc);
void trace_counted_close(struct trace_counted *tc);

#endif
