/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What metrics.c keeps, for metrics_look.c. */
#ifndef PORTTRACE_METRICS_TABLE_H
#define PORTTRACE_METRICS_TABLE_H

#include "metrics_text.h"

#define METRICS_OTHERS_MAX 512 /* places for what METRICS_SETS_MAX left out: half of them do for all but errno */
#define METRICS_SLOTS 4096
#define METRICS_BUCKETS COUNT_BUCKETS /* of a histogram, without the last, which has all */

enum metrics_what { METRICS_ASSIGNED, METRICS_FAILED, METRICS_SEARCHED };
enum metrics_op { METRICS_OP_BIND, METRICS_OP_LISTEN, METRICS_OP_CONNECT, METRICS_OP_AUTOBIND };

/* A set of labels; compared as bytes. */
struct metrics_key {
	uint32_t netns; /* 0 = not known */
	uint8_t what, proto, op;
	uint8_t detail; /* enum event_half of METRICS_ASSIGNED, enum event_cause of METRICS_FAILED */
	uint16_t error; /* errno */
	uint8_t is_other; /* all processes, namespaces and containers that have no place of their own */
	uint8_t unused[5];
	char comm[EVENT_NAME_SIZE]; /* any bytes, not always ended */
	char container[EVENT_ID_SIZE];
};

struct metrics_entry {
	struct metrics_key key;
	uint64_t count;
	uint64_t sum_ns, buckets[METRICS_BUCKETS]; /* METRICS_SEARCHED only; each bucket without those below */
};

struct metrics {
	struct metrics_entry entries[METRICS_SETS_MAX + METRICS_OTHERS_MAX];
	size_t count;
	uint16_t slots[METRICS_SLOTS]; /* 1 + place of an entry, by hash */
	uint64_t dropped;
	struct metrics_lines counted, looked; /* of events and ourselves; of the last look */
};

/* The container that all events of a namespace came from; "" = there are several, or none. */
const char *metrics_container(const struct metrics *m, uint32_t netns);

#endif
