/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace who` and `porttrace history` show of a life, for people and for programs. */
#ifndef PORTTRACE_HISTORY_REPORT_H
#define PORTTRACE_HISTORY_REPORT_H

#include "../history.h"
#include "../owners.h"
#include "../report.h"
#include "../service.h"

struct history_view {
	const struct service_table *names; /* NULL = numbers only */
	bool utc, json;
	uint64_t now_ns;
	uint64_t at_ns; /* the moment that was asked for, 0 = none: the state is what it was then */
};

struct history_row {
	const struct history_life *life;
	const struct owner *owners; /* processes beside life->pid that have it open now */
	size_t owner_count;
	bool has_expires;
	uint32_t expires_s; /* left of TIME_WAIT */
};

void history_report_header(struct report *out);
/* One line, or with view->json one object. */
void history_report_row(struct report *out, const struct history_row *row, const struct history_view *view);
void history_report_json(struct report *out, const struct history_row *row, const struct history_view *view);

/* What it was at the view's moment, else what it is. */
enum life_state history_state_at(const struct history_life *life, const struct history_view *view);
/*
 * The service whose port the socket holds though the kernel chose it: as the source of a connection, say. NULL if it
 * is none such.
 */
const char *history_squatted(const struct history_life *life, const struct history_view *view);

#endif
