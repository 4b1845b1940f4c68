/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which pool an event's port came from, and from which half of it. Pure: what the event itself tells. */
#ifndef PORTTRACE_POOL_KIND_H
#define PORTTRACE_POOL_KIND_H

#include "event.h"

/*
 * Fills in pool and half, of an event with how, outcome, local endpoint and range. The half is that of the local port,
 * and unknown where the kernel makes none (UDP) or may make none (connect with IP_LOCAL_PORT_RANGE, since 6.8), where
 * the range is not known, and where the port lies outside it (it has been changed meanwhile). Where the socket's
 * options are not known (cgroup backend) it is taken to have no range of its own.
 */
void pool_kind_fill(struct event *ev);
/* The range that the kernel picked from: both ends, host order. False if it is not known. */
bool pool_kind_range(const struct event *ev, uint16_t *ret_low, uint16_t *ret_high);
/*
 * How many ports the kernel looks through in the first half, reserved ones among them. Of a range of odd size it
 * leaves out one port or another, each time.
 */
uint32_t pool_kind_first_count(const struct event *ev);
/*
 * Does the event show that no port of its pool's first half was free? With SO_REUSEADDR a bind() goes through both
 * parities of the lower part of the range before it comes to the upper part (inet_csk_find_open_port()), so there, and
 * where that option is not known, only a port of the upper part shows it.
 */
bool pool_kind_is_past_first(const struct event *ev);

#endif
