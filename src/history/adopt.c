// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A socket that was open when the last porttrace ended and still is has one row, not two. */
#include "store.h"

#include <errno.h>
#include <stdlib.h>

#include "../cleanup.h"

struct history_adopted {
	uint64_t cookie, id;
	uint64_t life; /* of this run; 0 = not seen yet */
	uint32_t netns_inum;
	uint16_t local_port;
	uint8_t proto;
};

struct history_adopt {
	struct history_adopted *rows; /* by cookie */
	size_t count, room;
};

static int history_adopt_compare(const void *a, const void *b)
{
	uint64_t x = ((const struct history_adopted *)a)->cookie, y = ((const struct history_adopted *)b)->cookie;

	return x < y ? -1 : x > y;
}

static int history_adopt_add(struct history_adopt *a, sqlite3_stmt *st)
{
	if (a->count == a->room) {
		size_t room = a->room ? 2 * a->room : 256;
		void *rows = reallocarray(a->rows, room, sizeof(*a->rows));

		if (!rows)
			return -ENOMEM;
		a->rows = rows;
		a->room = room;
	}
	a->rows[a->count++] = (struct history_adopted){
		.id = (uint64_t)sqlite3_column_int64(st, 0),
		.cookie = (uint64_t)sqlite3_column_int64(st, 1),
		.netns_inum = (uint32_t)sqlite3_column_int64(st, 2),
		.local_port = (uint16_t)sqlite3_column_int(st, 3),
		.proto = (uint8_t)sqlite3_column_int(st, 4),
	};
	return 0;
}

static int history_adopt_read(struct history_adopt *a, sqlite3 *db, const char *boot_id, uint64_t now_ns)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	int code, r = history_prepare(db,
				      "SELECT id, cookie, netns, local_port, proto FROM life"
				      " WHERE (over IS NULL OR over > ?1) AND freed IS NULL AND cookie IS NOT NULL"
				      " AND run IN (SELECT id FROM run WHERE boot_id = ?2)",
				      &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)now_ns);
	sqlite3_bind_text(st, 2, boot_id, -1, SQLITE_STATIC);
	while ((code = sqlite3_step(st)) == SQLITE_ROW)
		if ((r = history_adopt_add(a, st)) < 0)
			return r;
	if (a->count)
		qsort(a->rows, a->count, sizeof(*a->rows), history_adopt_compare);
	return history_errno(code);
}

int history_adopt_load(sqlite3 *db, const char *boot_id, uint64_t now_ns, struct history_adopt **ret)
{
	struct history_adopt *a = calloc(1, sizeof(*a));
	int r = a ? 0 : -ENOMEM;

	if (!r && boot_id[0])
		r = history_adopt_read(a, db, boot_id, now_ns);
	if (r < 0) {
		history_adopt_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

/* The first row of a cookie that is not lower. */
static size_t history_adopt_place(const struct history_adopt *a, uint64_t cookie)
{
	size_t low = 0, high = a->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->rows[middle].cookie < cookie)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

uint64_t history_adopt_find(struct history_adopt *a, const struct history_record *rec)
{
	if (!rec->cookie || !a->count)
		return 0;
	for (size_t i = history_adopt_place(a, rec->cookie); i < a->count; i++) {
		struct history_adopted *row = &a->rows[i];

		if (row->cookie != rec->cookie)
			break;
		if (row->life == rec->life)
			return row->id;
		if (row->life || row->netns_inum != rec->netns_inum || row->local_port != rec->local_port ||
		    row->proto != rec->proto)
			continue;
		row->life = rec->life;
		return row->id;
	}
	return 0;
}

void history_adopt_free(struct history_adopt *a)
{
	if (a)
		free(a->rows);
	free(a);
}
