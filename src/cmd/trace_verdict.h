/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An assignment failed for want of a port: looks at its network namespace and says which pool that was, who holds it,
 * and what helps. At most once a second for a pool, and so that looks take a small part of the time. And a call that
 * failed for another reason, which looks like that one: says which.
 */
#ifndef PORTTRACE_CMD_TRACE_VERDICT_H
#define PORTTRACE_CMD_TRACE_VERDICT_H

#include "../event.h"
#include "../sockets.h"

struct trace_verdict;

/*
 * 0 or -ENOMEM. `ledger` is not taken over. words_every_ns: how often the lines for people come for a pool that goes on
 * to be full; 0 = always. The caller ends *ret with trace_verdict_close, which accepts NULL.
 */
int trace_verdict_open(const struct sockets *ledger, bool by_cookie, uint64_t words_every_ns,
		       struct trace_verdict **ret);
/* Gives an event that a rule explains its verdict, valid until the next call. Others are left alone. */
void trace_verdict_fill(struct trace_verdict *v, struct event *ev);
void trace_verdict_close(struct trace_verdict *v);

#endif
