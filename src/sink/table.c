// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Aligned columns for people. 132 characters hold an IPv4 event; a longer value is never cut but
 * pushes what follows, and the next column with room to spare brings the line back into step. "-"
 * is absent; in an address that was asked for, "*" is "any".
 */
#include "../sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../human.h"
#include "../result.h"
#include "../visible.h"
#include "output.h"

#define TABLE_LINE_MAX 4096
#define TABLE_VERDICT_MAX 16384
#define TABLE_SERVICE_MAX 64

#define TABLE_CELLS_SLOTS 256 /* a byte of a hash */

/* What was written last time of some neighbouring cells, with the spaces up to the cell behind them. */
struct table_cells {
	uint64_t facts[3]; /* all that decides them */
	size_t len; /* bytes, each a column; 0 = nothing yet */
	char text[48];
};

struct table {
	struct output out;
	bool wide, color, utc;
	bool time_known;
	uint64_t second_ns; /* what time_text says, since the epoch */
	char time_text[8]; /* "12:03:41" */
	struct table_cells who[TABLE_CELLS_SLOTS]; /* EVENT to PROCESS */
	struct table_cells what[TABLE_CELLS_SLOTS]; /* CLASS to HOW */
};

/* One line being written. */
struct table_line {
	struct table *t;
	struct buf *b;
	size_t from; /* where it begins in `b` */
	size_t end; /* columns of the cells so far, with the spaces between them */
	size_t invisible; /* bytes so far that take no place on the screen */
};

/* ---- cells ---- */

static void table_text(struct table_line *line, const char *text, size_t max)
{
	if (!strnlen(text, max))
		buf_char(line->b, '-');
	line->invisible += visible_text(line->b, text, max);
}

/* One of our own. */
static void table_word(struct table_line *line, const char *word)
{
	buf_str(line->b, word[0] ? word : "-");
}

static void table_number(struct table_line *line, uint64_t v)
{
	if (v)
		buf_u64(line->b, v);
	else
		buf_char(line->b, '-');
}

/* What a failed event wanted: "0.0.0.0:443", "10.0.0.5:*" (any port), "*:*". */
static void table_requested(struct table_line *line, const struct endpoint *ip,
			    const struct endpoint *wanted, const struct port_facts *facts)
{
	if (ip->ip_version)
		human_ip(line->b, ip);
	else
		buf_char(line->b, '*');
	buf_char(line->b, ':');
	if (!wanted->has_port || !wanted->port) {
		buf_char(line->b, '*');
		return;
	}
	buf_u64(line->b, wanted->port);
	if (facts->ephemeral)
		buf_lit(line->b, " e");
}

/* Does it show where the socket is, and not what was asked for? */
static bool table_is_local(const struct event *ev)
{
	return ev->outcome == OUTCOME_SUCCESS || !ev->has_requested || (ev->kind != EVENT_BIND && ev->local.has_port);
}

static void table_local(struct table_line *line, const struct event *ev)
{
	bool bind = ev->kind == EVENT_BIND;

	if (table_is_local(ev))
		human_endpoint(line->b, &ev->local, &ev->local_facts);
	else
		table_requested(line, bind || !ev->local.ip_version ? &ev->requested : &ev->local,
				&ev->requested, &ev->local_facts);
}

/* ---- columns ---- */

static void table_time_set(struct table *t, uint64_t second)
{
	struct buf b = { .data = t->time_text, .size = sizeof(t->time_text) };
	time_t when = (time_t)second;
	struct tm tm = { 0 };

	if (t->utc)
		gmtime_r(&when, &tm);
	else
		localtime_r(&when, &tm);
	buf_u64_padded(&b, (uint64_t)tm.tm_hour, 2);
	buf_char(&b, ':');
	buf_u64_padded(&b, (uint64_t)tm.tm_min, 2);
	buf_char(&b, ':');
	buf_u64_padded(&b, (uint64_t)tm.tm_sec, 2);
	t->second_ns = second * 1000000000;
	t->time_known = true;
}

#define TABLE_TIME_LEN 12 /* "12:03:41.123" */

static char *table_put_time(struct table *t, char *to, const struct event *ev)
{
	uint64_t rest_ns = ev->time_ns - t->second_ns;

	if (!t->time_known || rest_ns >= 1000000000) {
		table_time_set(t, ev->time_ns / 1000000000);
		rest_ns = ev->time_ns - t->second_ns;
	}
	memcpy(to, t->time_text, sizeof(t->time_text));
	to[sizeof(t->time_text)] = '.';
	return buf_put_milli(to + sizeof(t->time_text) + 1, (uint32_t)rest_ns / 1000000);
}

static void table_cell_time(struct table_line *line, const struct event *ev)
{
	char *to = buf_room(line->b, TABLE_TIME_LEN);

	if (to)
		table_put_time(line->t, to, ev);
}

static const struct port_facts *table_service_side(const struct event *ev)
{
	return event_service_is_remote(ev) ? &ev->remote_facts : &ev->local_facts;
}

static void table_cell_event(struct table_line *line, const struct event *ev)
{
	buf_str(line->b, event_kind_names[ev->kind]);
}

static void table_cell_proto(struct table_line *line, const struct event *ev)
{
	buf_str(line->b, event_proto_names[ev->proto]);
}

static void table_cell_pid(struct table_line *line, const struct event *ev)
{
	table_number(line, ev->pid);
}

static void table_cell_process(struct table_line *line, const struct event *ev)
{
	table_text(line, ev->name, sizeof(ev->name));
}

static void table_cell_local(struct table_line *line, const struct event *ev)
{
	table_local(line, ev);
}

static void table_cell_remote(struct table_line *line, const struct event *ev)
{
	human_endpoint(line->b, &ev->remote, &ev->remote_facts);
}

static void table_cell_class(struct table_line *line, const struct event *ev)
{
	table_word(line, port_class_names[table_service_side(ev)->class]);
}

static void table_cell_service(struct table_line *line, const struct event *ev)
{
	const char *service = table_service_side(ev)->service;

	table_text(line, service ? service : "", TABLE_SERVICE_MAX);
}

static void table_cell_how(struct table_line *line, const struct event *ev)
{
	table_word(line, event_how_names[ev->how]);
}

static void table_cell_result(struct table_line *line, const struct event *ev)
{
	bool red = line->t->color && ev->outcome == OUTCOME_FAILURE;

	if (red)
		buf_lit(line->b, "\033[31m");
	result_text(line->b, ev, line->t->wide);
	if (red)
		buf_lit(line->b, "\033[0m");
}

static const struct table_column {
	const char *name;
	size_t width, wide_width; /* without the space that follows */
	void (*cell)(struct table_line *line, const struct event *ev);
} table_columns[] = {
	{ "TIME", 12, 12, table_cell_time },	   { "EVENT", 7, 7, table_cell_event },
	{ "PROTO", 5, 5, table_cell_proto },	   { "PID", 7, 7, table_cell_pid },
	{ "PROCESS", 11, 15, table_cell_process }, { "LOCAL", 19, 49, table_cell_local },
	{ "REMOTE", 19, 49, table_cell_remote },   { "CLASS", 10, 10, table_cell_class },
	{ "SERVICE", 8, 15, table_cell_service },  { "HOW", 9, 9, table_cell_how },
	{ "RESULT", 0, 0, table_cell_result },
};
#define TABLE_COLUMN_COUNT (sizeof(table_columns) / sizeof(table_columns[0]))
/* Places in it. */
enum { TABLE_TIME, TABLE_EVENT, TABLE_LOCAL = 5, TABLE_REMOTE, TABLE_CLASS, TABLE_RESULT = TABLE_COLUMN_COUNT - 1 };

/* A cell of an event, or with NULL of the header, and the spaces behind it. Inline: most columns are known here. */
static inline void table_column_write(struct table_line *line, size_t column, const struct event *ev)
{
	const struct table_column *col = &table_columns[column];

	if (ev)
		col->cell(line, ev);
	else
		buf_str(line->b, col->name);
	if (column == TABLE_RESULT)
		return;
	line->end += (line->t->wide ? col->wide_width : col->width) + 1;
	buf_char(line->b, ' ');
	buf_pad(line->b, line->from, line->end + line->invisible);
}

static void table_columns_write(struct table_line *line, size_t column, size_t end, const struct event *ev)
{
	for (; column < end; column++)
		table_column_write(line, column, ev);
}

/* The same, and keeps what was written, unless a longer cell has pushed the line: then they stand otherwise. */
static void table_columns_keep(struct table_line *line, size_t column, size_t end, const struct event *ev,
			       struct table_cells *cells, const uint64_t facts[3])
{
	size_t from = line->b->len;
	bool in_step = from - line->from == line->end;

	table_columns_write(line, column, end, ev);
	if (!in_step || line->b->overflow || line->b->len - line->from != line->end ||
	    line->b->len - from > sizeof(cells->text))
		return;
	memcpy(cells->facts, facts, sizeof(cells->facts));
	cells->len = line->b->len - from;
	memset(cells->text, ' ', sizeof(cells->text));
	memcpy(cells->text, line->b->data + from, cells->len);
}

static inline struct table_cells *table_slot(struct table_cells slots[TABLE_CELLS_SLOTS], const uint64_t facts[3])
{
	return &slots[((facts[0] ^ facts[1] * 31 ^ facts[2] * 127) * 0x9e3779b97f4a7c15ull) >> 56];
}

static inline bool table_is_kept(const struct table_cells *cells, const uint64_t facts[3])
{
	return cells->len && cells->facts[0] == facts[0] && cells->facts[1] == facts[1] && cells->facts[2] == facts[2];
}

/* All that decides the cells from EVENT to PROCESS, and those from CLASS to HOW. */
static inline void table_facts(const struct event *ev, uint64_t who[3], uint64_t what[3])
{
	const struct port_facts *side = table_service_side(ev);

	who[0] = (uint64_t)ev->pid << 32 | (uint64_t)ev->kind << 8 | ev->proto;
	memcpy(&who[1], ev->name, sizeof(ev->name));
	what[0] = side->class;
	what[1] = ev->how;
	what[2] = (uintptr_t)side->service;
}

/* ---- most lines: every cell fits, and those of the process and the service have been written before ---- */

#define TABLE_SPACES "                                                                " /* 64 */

/* Begins at `to`, and ends where the next begins; more than that is written. NULL if the endpoint is none of the usual
 * ones, or does not fit. */
static inline char *table_put_endpoint(char *to, const struct endpoint *ep, const struct port_facts *facts,
				       size_t width)
{
	char *end;

	if (ep->ip_version && ep->has_port) {
		end = human_put_endpoint(to, ep, facts);
	} else if (!ep->ip_version && !ep->has_port) {
		*to = '-';
		end = to + 1;
	} else {
		return NULL;
	}
	memcpy(end, TABLE_SPACES, sizeof(TABLE_SPACES) - 1);
	return (size_t)(end - to) <= width ? to + width + 1 : NULL;
}

/* Always as many bytes, which is a few moves. */
static inline char *table_put_cells(char *to, const struct table_cells *cells)
{
	memcpy(to, cells->text, sizeof(cells->text));
	return to + cells->len;
}

/* All but the result. False, and nothing is written, if it is not such a line. */
static bool table_usual(struct table *t, struct buf *b, const struct event *ev, const struct table_cells *who,
			const struct table_cells *what)
{
	size_t width = t->wide ? table_columns[TABLE_LOCAL].wide_width : table_columns[TABLE_LOCAL].width;
	char *to = buf_ahead(b, TABLE_LINE_MAX / 2);

	if (!to || !table_is_local(ev))
		return false;
	to = table_put_time(t, to, ev);
	*to++ = ' ';
	to = table_put_cells(to, who);
	to = table_put_endpoint(to, &ev->local, &ev->local_facts, width);
	if (to)
		to = table_put_endpoint(to, &ev->remote, &ev->remote_facts, width);
	if (!to)
		return false;
	buf_took(b, table_put_cells(to, what));
	return true;
}

static void table_line(struct buf *b, struct table *t, const struct event *ev)
{
	struct table_line line = { .t = t, .b = b, .from = b->len };
	uint64_t who_facts[3], what_facts[3];
	struct table_cells *who, *what;

	table_facts(ev, who_facts, what_facts);
	who = table_slot(t->who, who_facts);
	what = table_slot(t->what, what_facts);
	if (!table_is_kept(who, who_facts) || !table_is_kept(what, what_facts) || !table_usual(t, b, ev, who, what)) {
		table_column_write(&line, TABLE_TIME, ev);
		table_columns_keep(&line, TABLE_EVENT, TABLE_LOCAL, ev, who, who_facts);
		table_columns_write(&line, TABLE_LOCAL, TABLE_CLASS, ev);
		table_columns_keep(&line, TABLE_CLASS, TABLE_RESULT, ev, what, what_facts);
	}
	table_cell_result(&line, ev);
}

static void table_header_line(struct buf *b, struct table *t)
{
	struct table_line line = { .t = t, .b = b, .from = b->len };

	table_columns_write(&line, 0, TABLE_COLUMN_COUNT, NULL);
}

/* ---- the sink ---- */

static int table_header(struct table *t)
{
	struct buf line;
	struct buf text;
	int err;

	output_line(&t->out, TABLE_LINE_MAX, &line);
	if (t->color)
		buf_lit(&line, "\033[1m");
	text = (struct buf){ .data = line.data + line.len, .size = line.size - line.len };
	table_header_line(&text, t);
	line.len += text.len;
	if (t->color)
		buf_lit(&line, "\033[0m");
	buf_char(&line, '\n');
	output_commit(&t->out, &line);
	err = output_flush(&t->out);
	return err == -EINTR ? 0 : err;
}

static int table_open(const struct sink_options *opts, void **ret_state)
{
	struct table *t = calloc(1, sizeof(*t));
	int err;

	if (!t)
		return -ENOMEM;
	output_init(&t->out, opts->fd);
	t->wide = opts->wide;
	t->color = opts->color;
	t->utc = opts->utc;
	err = opts->header ? table_header(t) : 0;
	if (err)
		free(t);
	else
		*ret_state = t;
	return err;
}

/* Below the line, a little to the right. */
static void table_verdict(struct buf *b, const struct event *ev)
{
	const struct event_verdict *verdict = ev->verdict;
	const char *line = verdict->text, *end = line + verdict->text_len, *next;

	for (; line < end; line = next) {
		next = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
		buf_lit(b, "    ");
		buf_bytes(b, line, (size_t)(next - line));
	}
	if (!verdict->more || ev->repeats || !verdict->text_len)
		return;
	buf_lit(b, "              ");
	buf_u64(b, verdict->more);
	buf_lit(b, " more have failed since this was told last\n");
}

static int table_event(void *state, const struct event *ev)
{
	size_t room = TABLE_LINE_MAX + (ev->verdict ? TABLE_VERDICT_MAX : 0);
	struct table *t = state;
	struct buf line;
	int err = output_reserve(&t->out, room);

	if (err)
		return err;
	output_line(&t->out, room, &line);
	table_line(&line, t, ev);
	buf_char(&line, '\n');
	if (ev->verdict)
		table_verdict(&line, ev);
	if (line.overflow)
		return -EMSGSIZE;
	output_commit(&t->out, &line);
	return 0;
}

static int table_flush(void *state)
{
	return output_flush(&((struct table *)state)->out);
}

static void table_close(void *state)
{
	free(state);
}

static size_t table_pending(const void *state)
{
	return output_pending(&((const struct table *)state)->out);
}

const struct sink_ops sink_table = {
	.name = "table",
	.open = table_open,
	.event = table_event,
	.flush = table_flush,
	.pending = table_pending,
	.close = table_close,
};
