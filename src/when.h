/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Moments as people write them. Pure, apart from the time zone. */
#ifndef PORTTRACE_WHEN_H
#define PORTTRACE_WHEN_H

#include <stdbool.h>
#include <stdint.h>

#include "buf.h"

/* As exact as it was written: "12:03:41" is that whole second, "12:03" the minute. CLOCK_REALTIME, both included. */
struct when {
	uint64_t from_ns, to_ns;
};

/*
 * "12:03", "12:03:41", "12:03:41.250" (the last time it was that late), "2026-11-25", "2026-11-25 12:03:41", RFC 3339
 * with Z or an offset, "@1795608221.25" (since the epoch), "5m ago", "-5m", "now". Without a zone it is local time, or
 * UTC with `utc`. 0, or -EINVAL, and *ret untouched.
 */
int when_parse(const char *text, uint64_t now_ns, bool utc, struct when *ret);
/* Appends "2026-11-25 12:03:41.250"; only "12:03:41.250" if that is on the day of day_of_ns (0 = none). */
void when_text(struct buf *b, uint64_t ns, uint64_t day_of_ns, bool utc);
/* Appends "2026-11-25T12:03:41.250000000Z". */
void when_iso(struct buf *b, uint64_t ns);
/* CLOCK_REALTIME, now. */
uint64_t when_now(void);

#endif
