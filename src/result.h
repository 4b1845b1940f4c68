/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How an event ended, in words for people. */
#ifndef PORTTRACE_RESULT_H
#define PORTTRACE_RESULT_H

#include "buf.h"
#include "event.h"

/*
 * Appends "ok 1.2ms", "EADDRINUSE in use by nginx (pid 977), listener", "ECONNRESET after 1.2s, sent 12 got 3.4k": one
 * line without control characters. `wide`: with the pool that a port came from, where there is something to say of it.
 */
void result_text(struct buf *b, const struct event *ev, bool wide);

#endif
