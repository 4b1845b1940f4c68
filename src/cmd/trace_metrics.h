/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The metrics of a run, in a file and over HTTP. Events are counted as they come. The look at the pools of ports, which
 * costs, is made when the file is due or somebody asks, at most once a second and in a small part of the time.
 */
#ifndef PORTTRACE_CMD_TRACE_METRICS_H
#define PORTTRACE_CMD_TRACE_METRICS_H

#include "../sockets.h"
#include "../stats.h"
#include "porttrace/count.h"
#include "trace_options.h"

struct trace_metrics;

/*
 * Opens what the options name: *ret is NULL if they name nothing. Tells on stderr what fails, and returns -errno. The
 * caller ends *ret with trace_metrics_close, which accepts NULL.
 */
int trace_metrics_open(const struct trace_options *opts, struct trace_metrics **ret);
/* `ledger` is not taken over. `by_cookie`: of the cgroup backend. 0 or -ENOMEM. */
int trace_metrics_begin(struct trace_metrics *tm, const struct sockets *ledger, bool by_cookie);
/* One event; `arg` is a struct trace_metrics. */
void trace_metrics_event(void *arg, const struct event *ev);
/* Many that the kernel counted. */
void trace_metrics_counted(struct trace_metrics *tm, const struct event *ev, const struct count *rise);
bool trace_metrics_is_due(const struct trace_metrics *tm, uint64_t now_ns);
/* Looks, and tells; `lost`: events so far; `sinks`: how each stands. */
void trace_metrics_tell(struct trace_metrics *tm, uint64_t lost, const struct stats *sinks, uint64_t now_ns);
/* The last numbers, without the pools: nobody looks after them any more. */
void trace_metrics_end(struct trace_metrics *tm, uint64_t lost, const struct stats *sinks);
void trace_metrics_close(struct trace_metrics *tm);

#endif
