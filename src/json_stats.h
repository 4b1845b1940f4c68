/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PORTTRACE_JSON_STATS_H
#define PORTTRACE_JSON_STATS_H

#include "buf.h"
#include "stats.h"

/* A member of "stats", a comma before it: what the ring had no room for, by kind; nothing if it had. */
void json_stats_lost_ring(struct buf *b, const struct stats *st);

#endif
