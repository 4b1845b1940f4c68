/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The capabilities that `porttrace daemon` keeps when its programs are attached: each with what it is for. */
#ifndef PORTTRACE_DAEMON_RIGHTS_H
#define PORTTRACE_DAEMON_RIGHTS_H

#include <stdbool.h>
#include <stddef.h>

#include "../attach.h"
#include "trace_options.h"

enum daemon_when {
	DAEMON_ALWAYS,
	DAEMON_COUNTERS, /* where the kernel lets nobody else read BPF maps: found by trying */
	DAEMON_BUCKETS, /* its metrics look at the bind buckets */
	DAEMON_ELSEWHERE, /* a file that it writes is in a directory that is not its own: found by trying */
	DAEMON_LOW_PORT, /* it serves metrics at a port below 1024 */
	DAEMON_WHEN_COUNT,
};

struct daemon_right {
	int cap;
	const char *name;
	enum daemon_when when;
	const char *effect;
};

/* Row `i`, NULL behind the last. A capability that is kept for two reasons has two. */
const struct daemon_right *daemon_right(size_t i);
/* "" = always; else "with ...". */
extern const char *const daemon_when_words[DAEMON_WHEN_COUNT];

/*
 * Calls fn(arg) with no more rights than are kept: what it opens can be opened again later, and the threads that it
 * starts have no more. What fn returns, or -errno if it was not called.
 */
int daemon_rights_run(const struct trace_options *opts, int (*fn)(void *arg), void *arg);

/* The calling thread gives up the rest. Tells what is kept with --verbose, and what could not be given up. */
void daemon_rights_drop(const struct trace_options *opts, struct attach *at);

#endif
