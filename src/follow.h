/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * -p PID --follow where the kernel does not decide it: who descends from these processes, by the parents that events
 * name, and in a live run by /proc. A process whose parents had ended before its first event is not found: the tracing
 * backend, which is told of each fork, finds it.
 */
#ifndef PORTTRACE_FOLLOW_H
#define PORTTRACE_FOLLOW_H

#include "event.h"

struct follow;

/* `proc`: where to look for parents; NULL = events alone tell. 0 or -ENOMEM. The caller ends *ret with follow_free. */
int follow_new(const uint32_t *pids, size_t count, const char *proc, struct follow **ret);
void follow_free(struct follow *fo); /* accepts NULL */
/* Is the event's process one of these or a descendant? Remembers the answer. */
bool follow_has(struct follow *fo, const struct event *ev);

#endif
