/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Capabilities, of the calling thread: what it has, and how it gives them up. A set is a bit for each CAP_*. */
#ifndef PORTTRACE_RIGHTS_H
#define PORTTRACE_RIGHTS_H

#include <linux/capability.h>
#include <stdint.h>

/* Of Linux 5.8; older headers do not have them. */
#ifndef CAP_PERFMON
#define CAP_PERFMON 38
#define CAP_BPF 39
#endif

#define RIGHTS_BIT(cap) (UINT64_C(1) << (cap))

/* That it may use now, or could at any time. */
uint64_t rights_held(void);

/*
 * Gives up all but `caps`, for good: also what a program that it ran would get (no_new_privs, no inheritable and
 * ambient ones, and where CAP_SETPCAP is held an empty bounding set). Threads that it starts from now on have no more.
 * 0 or -errno; then it may have given up some.
 */
int rights_keep(uint64_t caps);

/*
 * Calls fn(arg) in a thread that has only `caps`, and waits for it; so have the threads that fn starts. What fn
 * returns, or -errno if it could not be called.
 */
int rights_run(uint64_t caps, int (*fn)(void *arg), void *arg);

#endif
