/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calling thread goes before others while it is behind. Among many processes that all compute, a fair share of the
 * processor may be less than it takes to read what they make; what the ring then has no room for is lost.
 */
#ifndef PORTTRACE_HURRY_H
#define PORTTRACE_HURRY_H

#include <stdbool.h>

/* Zeroed: it goes like all others. */
struct hurry {
	bool on;
	bool refused; /* or not wanted: nothing is changed any more */
};

/*
 * Always of the same thread. `on`: with nice value -20, until it is called with false. Nothing is done for a thread
 * that somebody has given a nice value of its own, nor where the right is missing (CAP_SYS_NICE, or RLIMIT_NICE).
 */
void hurry_set(struct hurry *h, bool on);

#endif
