/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wall: once no port of a pool's first half is free, the kernel looks through that half in vain for each further
 * port, long before an error. A port of the second half shows it. Says it once for each pool, until the pool has
 * fallen below. Pure: no I/O, no clock.
 */
#ifndef PORTTRACE_WALL_H
#define PORTTRACE_WALL_H

#include <stddef.h>

#include "event.h"

/* Of so many pools it is remembered that they have been announced; about 100 bytes each. */
#define WALL_MAX_POOLS 4096

struct wall;

/*
 * 0 or -ENOMEM. Remembers about `limit` pools; for one more, one that has not been used for long is forgotten, and
 * would be announced again. The caller ends *ret with wall_free, which accepts NULL.
 */
int wall_new(size_t limit, struct wall **ret);
void wall_free(struct wall *w);
/*
 * Events in the order in which they happened, with pool and half (pool_kind_fill). Sets ev->wall, and adds words to
 * ev->reason, at the first one that shows its pool's first half full. After ports of the first half in a row, as many
 * as a tenth of the range, the pool counts as fallen below, and will be announced again.
 */
void wall_check(struct wall *w, struct event *ev);

#endif
