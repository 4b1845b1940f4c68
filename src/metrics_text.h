/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Metrics as lines of text: the families of porttrace, and how a line of one is written. Lines grow in memory; what
 * could not be had for want of it is told once, by metrics_text_end.
 */
#ifndef PORTTRACE_METRICS_TEXT_H
#define PORTTRACE_METRICS_TEXT_H

#include "buf.h"
#include "metrics.h"

enum metrics_family {
	METRICS_RANGE,
	METRICS_RESERVED,
	METRICS_BLOCKED,
	METRICS_POOL_USED,
	METRICS_POOL_CAPACITY,
	METRICS_POOL_HALF,
	METRICS_POOL_STATE,
	METRICS_POOL_FULL_IN,
	METRICS_ASSIGNMENTS,
	METRICS_FAILURES,
	METRICS_SEARCH,
	METRICS_TIME_WAIT,
	METRICS_TW_REUSED,
	METRICS_NAT_FAILED,
	METRICS_DIAGNOSIS,
	METRICS_LOOK,
	METRICS_LOST,
	METRICS_LOST_RING,
	METRICS_EVICTED,
	METRICS_SINK,
	METRICS_SINK_WAITING,
	METRICS_DROPPED,
	METRICS_FAMILY_COUNT,
};

/* What stands in for all that has no series of its own. */
#define METRICS_OTHER "other"

/* The lines of each family, in any order. A cleared one is ready; ended with metrics_lines_free. */
struct metrics_lines {
	struct buf of[METRICS_FAMILY_COUNT];
};

void metrics_lines_clear(struct metrics_lines *lines);
void metrics_lines_free(struct metrics_lines *lines);

/* A line: begin, its labels, end. `suffix` of the family's name: "_bucket", "_sum"; "_total" comes by itself. */
struct buf *metrics_line(struct metrics_lines *lines, enum metrics_family family, const char *suffix);
/* `text`: any bytes, at most `max`; what is no visible character stands as \xNN. An empty one is no label. */
void metrics_label(struct buf *line, const char *name, const char *text, size_t max);
void metrics_label_u64(struct buf *line, const char *name, uint64_t n);
/* "10.0.0.5", "10.0.0.5:80", "[::1]:80" */
void metrics_label_address(struct buf *line, const char *name, const struct endpoint *ep);
void metrics_end(struct buf *line, uint64_t value);
void metrics_end_real(struct buf *line, double value);

/* Appends a family: its head, and its lines of both. */
void metrics_text_family(struct buf *out, enum metrics_family family, enum metrics_dialect dialect,
			 const struct metrics_lines *a, const struct metrics_lines *b);
/* The end of the text. 0, or -ENOMEM if something is missing of it. */
int metrics_text_end(struct buf *out);

#endif
