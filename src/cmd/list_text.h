/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of `porttrace list`. Pure: appends to a buffer. */
#ifndef PORTTRACE_CMD_LIST_TEXT_H
#define PORTTRACE_CMD_LIST_TEXT_H

#include "../buf.h"
#include "../owners.h"
#include "../snapshot.h"
#include "list_options.h"

struct list_table {
	const struct list_columns *columns; /* count > 0 */
	bool wide;
	size_t screen_columns; /* lines are cut there; 0 = never */
};

/* A line without its newline: the header if `ev` is NULL. `ns` is the event's namespace; NULL = not known. */
void list_text_line(struct buf *b, const struct list_table *table, const struct event *ev,
		    const struct snapshot_netns *ns);

/* What a row is sorted by: number, then text. */
struct list_key {
	uint64_t number;
	char text[48];
	size_t index; /* the caller's; decides between equal ones */
};

void list_text_key(struct list_key *ret, enum list_column column, const struct event *ev,
		   const struct snapshot_netns *ns);

#endif
