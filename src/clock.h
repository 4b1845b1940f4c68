/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PORTTRACE_CLOCK_H
#define PORTTRACE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* What the clock says now, in nanoseconds. */
static inline uint64_t clock_now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

#endif
