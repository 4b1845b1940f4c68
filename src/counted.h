/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events that the kernel counted instead of telling them: what is new since they were read before, as the event that
 * each would have been. Pure.
 */
#ifndef PORTTRACE_COUNTED_H
#define PORTTRACE_COUNTED_H

#include "decode.h"
#include "event.h"
#include "porttrace/count.h"

struct counted;

/* 0 or -ENOMEM. The caller ends *ret with counted_free, which accepts NULL. */
int counted_new(struct counted **ret);
void counted_free(struct counted *c);
/*
 * `sum`: all that was ever counted of the key. False if that is known already; else the event, with what an assignment
 * has (its port is any), and what came to it.
 */
bool counted_rise(struct counted *c, const struct decode *dec, const struct count_key *key, const struct count *sum,
		  struct event *ret, struct count *ret_rise);

#endif
