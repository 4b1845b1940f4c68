/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A program that finds no port tries again, thousands of times a second. Of failures for want of a port that are alike
 * (namespace, process, call, addresses, errno) one passes each second and stands for those before it. Pure: no I/O, no
 * clock.
 */
#ifndef PORTTRACE_STORM_H
#define PORTTRACE_STORM_H

#include "event.h"

struct storm;

/* 0 or -ENOMEM. The caller ends *ret with storm_free, which accepts NULL. */
int storm_new(struct storm **ret);
void storm_free(struct storm *s);
/*
 * Takes an event in: true = it is held back, and will be counted by one that passes. Of one that passes `repeats` is
 * set, if it stands for more than itself. Too many storms at a time: more events pass.
 */
bool storm_hold(struct storm *s, struct event *ev);
/*
 * One that stands for what has been held back for a second by now (CLOCK_REALTIME; UINT64_MAX: for however long).
 * False: none. To be called until then, now and then, and at the end.
 */
bool storm_take(struct storm *s, uint64_t now_ns, struct event *ret);

#endif
