// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "metrics_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "visible.h"

#define METRICS_LINE_MAX 2048 /* a container's id and a name, each byte escaped, and numbers */
#define METRICS_LABEL_MAX 512

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM };

static const struct metrics_head {
	const char *name; /* of a counter: without "_total" */
	enum metrics_type type;
	const char *unit; /* the name ends with it; NULL = none */
	const char *help;
} metrics_heads[METRICS_FAMILY_COUNT] = {
	[METRICS_RANGE] = { "porttrace_ephemeral_range_ports", METRICS_GAUGE, "ports",
			    "Ports that the kernel may pick in a network namespace: its range without reserved ones." },
	[METRICS_RESERVED] = { "porttrace_ephemeral_reserved_ports", METRICS_GAUGE, "ports",
			       "Ports of the range that ip_local_reserved_ports keeps." },
	[METRICS_BLOCKED] = { "porttrace_ephemeral_blocked_ports", METRICS_GAUGE, "ports",
			      "Ports of the range that a bind keeps from every connect, by reason." },
	[METRICS_POOL_USED] = { "porttrace_pool_used_ports", METRICS_GAUGE, "ports",
				"Ports of a pool that are taken, TIME_WAIT included." },
	[METRICS_POOL_CAPACITY] = { "porttrace_pool_capacity_ports", METRICS_GAUGE, "ports",
				    "Ports of a pool that are taken or free." },
	[METRICS_POOL_HALF] = { "porttrace_pool_first_half_used_ratio", METRICS_GAUGE, "ratio",
				"Part of a pool's first half that is taken: at 1 each search costs many times more." },
	[METRICS_POOL_STATE] = { "porttrace_pool_state_ports", METRICS_GAUGE, "ports",
				 "Ports of a pool by the state of their sockets; a state without any is left out." },
	[METRICS_POOL_FULL_IN] = { "porttrace_pool_seconds_to_full", METRICS_GAUGE, NULL,
				   "Seconds until a pool has no port left if all goes on as it does; else absent." },
	[METRICS_ASSIGNMENTS] = { "porttrace_port_assignments", METRICS_COUNTER, NULL,
				  "Local ports that sockets got, and from which half of the range." },
	[METRICS_FAILURES] = { "porttrace_port_assign_failures", METRICS_COUNTER, NULL,
			       "Calls that got no local port, by errno and cause." },
	[METRICS_SEARCH] = { "porttrace_port_search_seconds", METRICS_HISTOGRAM, "seconds",
			     "How long the kernel looked for a port, also in vain." },
	[METRICS_TIME_WAIT] = { "porttrace_time_wait_ports", METRICS_GAUGE, "ports",
				"Ports in TIME_WAIT, once for each connection, by the process that had it." },
	[METRICS_TW_REUSED] = { "porttrace_time_wait_reused", METRICS_COUNTER, NULL,
				"TIME_WAITs that connect took over (TWRecycled of the kernel)." },
	[METRICS_NAT_FAILED] = { "porttrace_conntrack_insert_failed", METRICS_COUNTER, NULL,
				 "Connections that conntrack could not take, as for want of a port of the NAT." },
	[METRICS_DIAGNOSIS] = { "porttrace_diagnosis", METRICS_GAUGE, NULL,
				"1 for each rule that holds now; 'porttrace why' says what helps." },
	[METRICS_LOOK] = { "porttrace_reconcile_seconds", METRICS_GAUGE, "seconds",
			   "How long the last look at the kernel's sockets took." },
	[METRICS_LOST] = { "porttrace_events_lost", METRICS_COUNTER, NULL,
			   "Events that porttrace did not see, or could not write." },
	[METRICS_LOST_RING] = { "porttrace_events_lost_ring", METRICS_COUNTER, NULL,
				"Of the events lost: those that the ring buffer had no room for, by kind and result." },
	[METRICS_EVICTED] = { "porttrace_ledger_evicted", METRICS_COUNTER, NULL,
			      "Sockets that porttrace has forgotten for want of room (--max-sockets)." },
	[METRICS_SINK] = { "porttrace_sink_records", METRICS_COUNTER, NULL,
			   "Records that a sink delivered, or that were lost on the way: by its queue, by itself." },
	[METRICS_SINK_WAITING] = { "porttrace_sink_waiting_records", METRICS_GAUGE, "records",
				   "Records that wait in the queue of a sink, or are under way." },
	[METRICS_DROPPED] = { "porttrace_pools_dropped", METRICS_COUNTER, NULL,
			      "Times that a pool or a set of labels had no series of its own, for want of room." },
};

/* ---- lines ---- */

void metrics_lines_clear(struct metrics_lines *lines)
{
	for (int f = 0; f < METRICS_FAMILY_COUNT; f++) {
		lines->of[f].len = 0;
		lines->of[f].overflow = false;
	}
}

void metrics_lines_free(struct metrics_lines *lines)
{
	for (int f = 0; f < METRICS_FAMILY_COUNT; f++)
		free(lines->of[f].data);
	*lines = (struct metrics_lines){ 0 };
}

static void metrics_grow(struct buf *b, size_t room)
{
	size_t size = b->size ? b->size : METRICS_LINE_MAX;
	char *grown;

	if (b->size - b->len >= room)
		return;
	while (size - b->len < room)
		size *= 2;
	grown = realloc(b->data, size);
	if (!grown) {
		b->overflow = true;
		return;
	}
	b->data = grown;
	b->size = size;
}

static void metrics_name(struct buf *b, const struct metrics_head *head, bool total)
{
	buf_str(b, head->name);
	buf_str(b, total && head->type == METRICS_COUNTER ? "_total" : "");
}

struct buf *metrics_line(struct metrics_lines *lines, enum metrics_family family, const char *suffix)
{
	struct buf *b = &lines->of[family];

	metrics_grow(b, METRICS_LINE_MAX);
	metrics_name(b, &metrics_heads[family], true);
	buf_str(b, suffix);
	buf_char(b, '{');
	return b;
}

static void metrics_label_begin(struct buf *line, const char *name)
{
	if (line->len && line->data[line->len - 1] != '{')
		buf_char(line, ',');
	buf_str(line, name);
	buf_lit(line, "=\"");
}

/* A backslash of the text itself is told as one, so that no two texts look the same. */
static void metrics_visible(struct buf *b, const char *text, size_t max)
{
	size_t n = strnlen(text, max);

	while (n) {
		const char *slash = memchr(text, '\\', n);
		size_t run = slash ? (size_t)(slash - text) : n;

		visible_text(b, text, run);
		if (slash)
			buf_lit(b, "\\x5c");
		text += run + !!slash;
		n -= run + !!slash;
	}
}

void metrics_label(struct buf *line, const char *name, const char *text, size_t max)
{
	char visible[METRICS_LABEL_MAX];
	struct buf b = { .data = visible, .size = sizeof(visible) };

	if (!text[0])
		return;
	metrics_visible(&b, text, max);
	metrics_label_begin(line, name);
	for (size_t i = 0; i < b.len; i++) {
		if (visible[i] == '\\' || visible[i] == '"')
			buf_char(line, '\\');
		buf_char(line, visible[i]);
	}
	buf_char(line, '"');
}

void metrics_label_u64(struct buf *line, const char *name, uint64_t n)
{
	metrics_label_begin(line, name);
	buf_u64(line, n);
	buf_char(line, '"');
}

void metrics_label_address(struct buf *line, const char *name, const struct endpoint *ep)
{
	bool bracket = ep->port && ep->ip_version == 6;

	metrics_label_begin(line, name);
	buf_str(line, bracket ? "[" : "");
	buf_ip(line, ep->addr, ep->ip_version);
	buf_str(line, bracket ? "]" : "");
	if (ep->port) {
		buf_char(line, ':');
		buf_u64(line, ep->port);
	}
	buf_char(line, '"');
}

static void metrics_end_labels(struct buf *line)
{
	if (line->len && line->data[line->len - 1] == '{')
		line->len--;
	else
		buf_char(line, '}');
	buf_char(line, ' ');
}

void metrics_end(struct buf *line, uint64_t value)
{
	metrics_end_labels(line);
	buf_u64(line, value);
	buf_char(line, '\n');
}

void metrics_end_real(struct buf *line, double value)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", value);
	metrics_end_labels(line);
	buf_str(line, text);
	buf_char(line, '\n');
}

/* ---- the text ---- */

static void metrics_head_line(struct buf *out, const char *word, enum metrics_family family,
			      enum metrics_dialect dialect, const char *what)
{
	buf_lit(out, "# ");
	buf_str(out, word);
	buf_char(out, ' ');
	metrics_name(out, &metrics_heads[family], dialect == METRICS_PROMETHEUS);
	buf_char(out, ' ');
	buf_str(out, what);
	buf_char(out, '\n');
}

void metrics_text_family(struct buf *out, enum metrics_family family, enum metrics_dialect dialect,
			 const struct metrics_lines *a, const struct metrics_lines *b)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	const struct metrics_head *head = &metrics_heads[family];
	const struct buf *parts[] = { &a->of[family], &b->of[family] };

	metrics_grow(out, METRICS_LINE_MAX + parts[0]->len + parts[1]->len);
	if (!parts[0]->len && !parts[1]->len)
		return;
	metrics_head_line(out, "HELP", family, dialect, head->help);
	metrics_head_line(out, "TYPE", family, dialect, types[head->type]);
	if (head->unit)
		metrics_head_line(out, "UNIT", family, dialect, head->unit);
	for (int i = 0; i < 2; i++) {
		buf_bytes(out, parts[i]->data, parts[i]->len);
		out->overflow |= parts[i]->overflow;
	}
}

int metrics_text_end(struct buf *out)
{
	metrics_grow(out, METRICS_LINE_MAX);
	buf_lit(out, "# EOF\n");
	return out->overflow ? -ENOMEM : 0;
}
