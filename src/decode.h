/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 3. decode: raw record -> struct event. The only place that checks size, magic, version and clocks. Pure. */
#ifndef PORTTRACE_DECODE_H
#define PORTTRACE_DECODE_H

#include <stddef.h>
#include <stdint.h>

#include "event.h"

struct decode {
	enum event_backend backend;
	int64_t boot_offset_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME */
};

/* Takes the clocks' difference anew; call it before each batch, so that events follow a set clock. */
void decode_sync_clock(struct decode *dec);
/* 0 and a whole event, or -EBADMSG (not a record of this version) with *ret untouched. */
int decode_event(const struct decode *dec, const void *record, size_t size, struct event *ret);
/* Is the record about a process, not an event? Then decode_process is for it: 0 or -EBADMSG with *ret untouched. */
bool decode_is_process(const void *record, size_t size);
int decode_process(const void *record, size_t size, struct process_facts *ret);

#endif
