// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>

#include "../visible.h"
#include "../when.h"
#include "history_report.h"

#define HISTORY_TEXT_MAX 256
/* A row that was open at the last commit, and that is younger than this, still is. */
#define HISTORY_FRESH_NS UINT64_C(3000000000)

/* One line being written. */
struct history_line {
	struct buf *b;
	size_t from, end; /* where it began; the column that is next */
	size_t invisible; /* bytes so far that take no place on the screen */
};

static const struct {
	const char *name;
	size_t width;
} history_columns[] = { { "SINCE", 23 }, { "UNTIL", 15 }, { "STATE", 9 },    { "PROTO", 5 }, { "LOCAL", 21 },
			{ "REMOTE", 21 }, { "PID", 7 },	   { "PROCESS", 15 }, { "USER", 8 }, { "HOW", 9 },
			{ "NOTE", 0 } };

enum life_state history_state_at(const struct history_life *life, const struct history_view *view)
{
	uint64_t at = view->at_ns > life->since_ns ? view->at_ns : life->since_ns;

	if (!view->at_ns)
		return life->state;
	/* of what was first seen at its end, that moment shows what ended */
	if (life->end_ns && at >= life->end_ns + (life->end_ns == life->since_ns))
		return life->free_ns && at >= life->free_ns ? LIFE_OVER : LIFE_TIME_WAIT;
	if (life->held != LIFE_BOUND && at < life->held_since_ns)
		return LIFE_BOUND;
	return life->held;
}

const char *history_squatted(const struct history_life *life, const struct history_view *view)
{
	bool chosen = life->how == HOW_CONNECT || life->how == HOW_AUTOBIND || life->how == HOW_BIND0;

	if (!chosen || !view->names || life->held == LIFE_LISTENING || life->state == LIFE_LISTENING)
		return NULL;
	return service_name(view->names, life->local.port, life->proto);
}

/* ---- cells ---- */

static void history_cell_begin(struct history_line *line, size_t column)
{
	if (column) {
		buf_char(line->b, ' ');
		buf_pad(line->b, line->from, line->end + line->invisible);
	}
	line->end += history_columns[column].width + 1;
}

static void history_cell_text(struct history_line *line, const char *text)
{
	if (!text[0])
		buf_char(line->b, '-');
	line->invisible += visible_text(line->b, text, HISTORY_TEXT_MAX);
}

static void history_cell_number(struct history_line *line, uint64_t v)
{
	if (v)
		buf_u64(line->b, v);
	else
		buf_char(line->b, '-');
}

static void history_cell_endpoint(struct history_line *line, const struct endpoint *ep)
{
	if (!ep->ip_version && !ep->has_port) {
		buf_char(line->b, '-');
		return;
	}
	if (ep->ip_version == 6)
		buf_char(line->b, '[');
	if (ep->ip_version)
		buf_ip(line->b, ep->addr, ep->ip_version);
	else
		buf_char(line->b, '?');
	if (ep->ip_version == 6)
		buf_char(line->b, ']');
	buf_char(line->b, ':');
	if (ep->has_port)
		buf_u64(line->b, ep->port);
	else
		buf_char(line->b, '-');
}

static void history_cell_since(struct history_line *line, const struct history_life *life,
			       const struct history_view *view)
{
	if (life->begin_ns) {
		when_text(line->b, life->begin_ns, 0, view->utc);
	} else if (life->since_ns) {
		buf_char(line->b, '<');
		when_text(line->b, life->since_ns, 0, view->utc);
	} else {
		buf_char(line->b, '-');
	}
}

static void history_cell_until(struct history_line *line, const struct history_life *life,
			       const struct history_view *view)
{
	bool fresh = !life->seen_ns || life->seen_ns + HISTORY_FRESH_NS >= view->now_ns;

	if (life->free_ns) {
		when_text(line->b, life->free_ns, life->since_ns, view->utc);
	} else if (life->state == LIFE_TIME_WAIT && life->seen_ns) {
		buf_char(line->b, '<');
		when_text(line->b, life->seen_ns, life->since_ns, view->utc);
	} else if (fresh) {
		buf_lit(line->b, "now");
	} else {
		buf_char(line->b, '>');
		when_text(line->b, life->seen_ns, life->since_ns, view->utc);
	}
}

static void history_cell_user(struct history_line *line, const struct history_life *life,
			      const struct history_view *view)
{
	if (life->user[0] && view->names)
		history_cell_text(line, life->user);
	else if (life->has_uid)
		buf_u64(line->b, life->uid);
	else
		buf_char(line->b, '-');
}

static void history_cell_note(struct history_line *line, const struct history_row *row,
			      const struct history_view *view)
{
	const struct history_life *life = row->life;
	const char *squatted = history_squatted(life, view), *comma = "";

	if (squatted) {
		buf_lit(line->b, "squatter: the kernel chose it, yet it is the port of ");
		visible_text(line->b, squatted, HISTORY_TEXT_MAX);
		comma = ", ";
	}
	if (row->owner_count) {
		buf_str(line->b, comma);
		buf_lit(line->b, "and ");
		buf_u64(line->b, row->owner_count);
		buf_str(line->b, row->owner_count > 1 ? " more processes" : " more process");
		comma = ", ";
	}
	if (row->has_expires) {
		buf_str(line->b, comma);
		buf_lit(line->b, "free in ");
		buf_u64(line->b, row->expires_s);
		buf_lit(line->b, "s");
		comma = ", ";
	}
	if (life->cause != CAUSE_NONE) {
		buf_str(line->b, comma);
		buf_str(line->b, event_cause_names[life->cause]);
	}
}

/* ---- lines ---- */

void history_report_header(struct report *out)
{
	struct history_line line = { .b = &out->b, .from = out->b.len };

	for (size_t i = 0; i < sizeof(history_columns) / sizeof(history_columns[0]); i++) {
		history_cell_begin(&line, i);
		buf_str(&out->b, history_columns[i].name);
	}
	buf_char(&out->b, '\n');
}

void history_report_row(struct report *out, const struct history_row *row, const struct history_view *view)
{
	struct history_line line = { .b = &out->b, .from = out->b.len };
	const struct history_life *life = row->life;

	if (view->json) {
		history_report_json(out, row, view);
		return;
	}
	history_cell_begin(&line, 0);
	history_cell_since(&line, life, view);
	history_cell_begin(&line, 1);
	history_cell_until(&line, life, view);
	history_cell_begin(&line, 2);
	history_cell_text(&line, life_state_names[history_state_at(life, view)]);
	history_cell_begin(&line, 3);
	buf_str(&out->b, event_proto_names[life->proto]);
	history_cell_begin(&line, 4);
	history_cell_endpoint(&line, &life->local);
	history_cell_begin(&line, 5);
	history_cell_endpoint(&line, &life->remote);
	history_cell_begin(&line, 6);
	history_cell_number(&line, life->pid);
	history_cell_begin(&line, 7);
	history_cell_text(&line, life->name);
	history_cell_begin(&line, 8);
	history_cell_user(&line, life, view);
	history_cell_begin(&line, 9);
	history_cell_text(&line, event_how_names[life->how]);
	history_cell_begin(&line, 10);
	history_cell_note(&line, row, view);
	while (out->b.len > line.from && out->b.data[out->b.len - 1] == ' ')
		out->b.len--;
	buf_char(&out->b, '\n');
	report_flush(out);
}
