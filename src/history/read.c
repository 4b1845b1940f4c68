// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Asking. The file may be anybody's: what is out of range in it is taken for unknown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../buf.h"
#include "../cleanup.h"
#include "db.h"

#define HISTORY_SQL_MAX 4096

struct history_reader {
	sqlite3 *db;
};

int history_reader_open(const char *path, struct history_reader **ret, char *err)
{
	struct history_reader *r;
	int error;

	if (access(path, R_OK) < 0)
		return history_say(err, -errno, errno == ENOENT ? "there is no history %.160s" :
								  "the history %.160s cannot be read: not permitted",
				   path);
	r = calloc(1, sizeof(*r));
	if (!r)
		return history_say(err, -ENOMEM, "no memory for the history");
	error = history_db_open(path, false, &r->db, err);
	if (error < 0) {
		free(r);
		return error;
	}
	*ret = r;
	return 0;
}

void history_reader_close(struct history_reader *r)
{
	if (r)
		sqlite3_close_v2(r->db);
	free(r);
}

/* ---- finding ---- */

/* The columns of history_select, in its order. */
enum history_column {
	C_BEGIN, C_SINCE, C_CHANGED, C_CLOSED, C_FREED, C_SEEN, C_STATE, C_HELD, C_PROTO, C_PROTOCOL, C_HOW, C_ROLE,
	C_CAUSE, C_LOCAL_IP, C_LOCAL_PORT, C_REMOTE_IP, C_REMOTE_PORT, C_NETNS, C_NETNS_COOKIE, C_COOKIE, C_SENT,
	C_RECEIVED, C_PID, C_START, C_UID, C_NAME, C_EXECUTABLE, C_COMMAND_LINE, C_USER, C_CONTAINER, C_UNIT, C_BOOT,
};

/* Until when it is known to have held its port: of what was not free yet when its run ended, until then. */
#define HISTORY_SEEN "coalesce(l.freed, min(coalesce(l.over, r.last), r.last))"

static const char history_select[] =
	"SELECT l.begin, l.since, l.changed, l.closed, l.freed, " HISTORY_SEEN ", l.state, l.held, l.proto,"
	" l.protocol, l.how, l.role, l.cause, l.local_ip, l.local_port, l.remote_ip, l.remote_port, l.netns,"
	" l.netns_cookie, l.cookie, l.sent, l.received, p.pid, p.start, p.uid, p.name, p.executable, p.command_line,"
	" p.user, p.container, p.unit, r.boot_id FROM life l LEFT JOIN run r ON r.id = l.run"
	" LEFT JOIN process p ON p.id = l.process WHERE 1";

/* The conditions that a query has, each with its parameter. */
static void history_where(struct buf *sql, const struct history_query *q)
{
	if (q->port >= 0)
		buf_lit(sql, " AND l.local_port = :port");
	if (q->remote_port >= 0)
		buf_lit(sql, " AND l.remote_port = :remote_port");
	if (q->proto >= 0)
		buf_lit(sql, " AND l.proto = :proto");
	if (q->address.ip_version)
		buf_lit(sql, " AND (l.remote_ip = :address OR l.local_ip = :address)");
	if (q->pid)
		buf_lit(sql, " AND l.process IN (SELECT id FROM process WHERE pid = :pid)");
	if (q->name)
		buf_lit(sql, " AND l.process IN (SELECT id FROM process WHERE name = :name)");
	if (q->netns_inum)
		buf_lit(sql, " AND l.netns = :netns");
	if (q->cookie)
		buf_lit(sql, " AND l.cookie = :cookie");
	if (q->from_ns || q->to_ns)
		buf_lit(sql, " AND l.since <= :to AND (l.over >= :from OR l.over IS NULL)"
			     " AND " HISTORY_SEEN " >= :from");
	/* in the order of the index, so that a limit ends the search */
	if (q->port >= 0 || q->remote_port >= 0)
		buf_lit(sql, " ORDER BY l.since DESC, l.id DESC");
	else
		buf_lit(sql, " ORDER BY l.id DESC");
	if (q->limit)
		buf_lit(sql, " LIMIT :limit");
}

static void history_set(sqlite3_stmt *st, const char *name, uint64_t value)
{
	int at = sqlite3_bind_parameter_index(st, name);

	if (at)
		sqlite3_bind_int64(st, at, value > INT64_MAX ? INT64_MAX : (int64_t)value);
}

static void history_set_all(sqlite3_stmt *st, const struct history_query *q)
{
	int at = sqlite3_bind_parameter_index(st, ":address");

	if (at)
		sqlite3_bind_blob(st, at, q->address.addr, q->address.ip_version == 4 ? 4 : 16, SQLITE_STATIC);
	at = sqlite3_bind_parameter_index(st, ":name");
	if (at)
		sqlite3_bind_text(st, at, q->name, -1, SQLITE_STATIC);
	history_set(st, ":port", (uint64_t)q->port);
	history_set(st, ":remote_port", (uint64_t)q->remote_port);
	history_set(st, ":proto", (uint64_t)q->proto);
	history_set(st, ":pid", q->pid);
	history_set(st, ":netns", q->netns_inum);
	history_set(st, ":cookie", q->cookie);
	history_set(st, ":from", q->from_ns);
	history_set(st, ":to", q->to_ns ? q->to_ns : INT64_MAX);
	history_set(st, ":limit", q->limit);
}

static uint64_t history_get(sqlite3_stmt *st, int column, uint64_t max)
{
	int64_t v = sqlite3_column_int64(st, column);

	return v < 0 || (uint64_t)v > max ? 0 : (uint64_t)v;
}

/* Cookies have all their bits. */
static uint64_t history_get_cookie(sqlite3_stmt *st, int column)
{
	return (uint64_t)sqlite3_column_int64(st, column);
}

static const char *history_get_text(sqlite3_stmt *st, int column)
{
	const unsigned char *text = sqlite3_column_text(st, column);

	return text ? (const char *)text : "";
}

static void history_get_side(sqlite3_stmt *st, int column, struct endpoint *ret)
{
	const void *ip = sqlite3_column_blob(st, column);
	int size = sqlite3_column_bytes(st, column);

	if (ip && (size == 4 || size == 16)) {
		memcpy(ret->addr, ip, (size_t)size);
		ret->ip_version = size == 4 ? 4 : 6;
	}
	ret->has_port = sqlite3_column_type(st, column + 1) == SQLITE_INTEGER;
	ret->port = (uint16_t)history_get(st, column + 1, UINT16_MAX);
}

static void history_get_times(sqlite3_stmt *st, struct history_life *ret)
{
	ret->begin_ns = history_get(st, C_BEGIN, INT64_MAX);
	ret->since_ns = history_get(st, C_SINCE, INT64_MAX);
	ret->held_since_ns = history_get(st, C_CHANGED, INT64_MAX);
	ret->end_ns = history_get(st, C_CLOSED, INT64_MAX);
	ret->free_ns = history_get(st, C_FREED, INT64_MAX);
	ret->seen_ns = history_get(st, C_SEEN, INT64_MAX);
}

static void history_get_process(sqlite3_stmt *st, struct history_life *ret)
{
	ret->pid = (uint32_t)history_get(st, C_PID, UINT32_MAX);
	ret->process_start_ns = history_get(st, C_START, INT64_MAX);
	ret->has_uid = sqlite3_column_type(st, C_UID) == SQLITE_INTEGER;
	ret->uid = (uint32_t)history_get(st, C_UID, UINT32_MAX);
	ret->name = history_get_text(st, C_NAME);
	ret->executable = history_get_text(st, C_EXECUTABLE);
	ret->command_line = history_get_text(st, C_COMMAND_LINE);
	ret->user = history_get_text(st, C_USER);
	ret->container_id = history_get_text(st, C_CONTAINER);
	ret->unit = history_get_text(st, C_UNIT);
	ret->boot_id = history_get_text(st, C_BOOT);
}

static void history_get_life(sqlite3_stmt *st, struct history_life *ret)
{
	*ret = (struct history_life){ 0 };
	history_get_times(st, ret);
	ret->proto = (enum event_proto)history_get(st, C_PROTO, PROTO_COUNT - 1);
	ret->protocol = (uint16_t)history_get(st, C_PROTOCOL, UINT16_MAX);
	ret->state = (enum life_state)history_get(st, C_STATE, LIFE_STATE_COUNT - 1);
	ret->held = (enum life_state)history_get(st, C_HELD, LIFE_STATE_COUNT - 1);
	ret->how = (enum event_how)history_get(st, C_HOW, HOW_COUNT - 1);
	ret->role = (enum event_role)history_get(st, C_ROLE, ROLE_COUNT - 1);
	ret->cause = (enum event_cause)history_get(st, C_CAUSE, CAUSE_COUNT - 1);
	history_get_side(st, C_LOCAL_IP, &ret->local);
	history_get_side(st, C_REMOTE_IP, &ret->remote);
	ret->cookie = history_get_cookie(st, C_COOKIE);
	ret->netns_cookie = history_get_cookie(st, C_NETNS_COOKIE);
	ret->netns_inum = (uint32_t)history_get(st, C_NETNS, UINT32_MAX);
	ret->has_bytes = sqlite3_column_type(st, C_SENT) == SQLITE_INTEGER;
	ret->bytes_sent = history_get(st, C_SENT, INT64_MAX);
	ret->bytes_received = history_get(st, C_RECEIVED, INT64_MAX);
	history_get_process(st, ret);
}

int history_find(struct history_reader *r, const struct history_query *query,
		 int (*fn)(void *arg, const struct history_life *life), void *arg)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	char text[HISTORY_SQL_MAX];
	struct buf sql = { .data = text, .size = sizeof(text) };
	struct history_life life;
	int code, error;

	buf_str(&sql, history_select);
	history_where(&sql, query);
	buf_char(&sql, '\0');
	error = sql.overflow ? -E2BIG : history_prepare(r->db, text, &st);
	if (error < 0)
		return error;
	history_set_all(st, query);
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		history_get_life(st, &life);
		error = fn(arg, &life);
		if (error)
			return error;
	}
	return history_errno(code);
}

/* ---- what it speaks for ---- */

/* A number that depends on a moment, ?1. */
static int history_number_at(sqlite3 *db, const char *sql, uint64_t at_ns, uint64_t *ret)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	int code, r = history_prepare(db, sql, &st);

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, at_ns > INT64_MAX ? INT64_MAX : (int64_t)at_ns);
	code = sqlite3_step(st);
	if (code == SQLITE_ROW)
		*ret = history_get(st, 0, INT64_MAX);
	return history_errno(code);
}

/* A run speaks for the time since its start that has not been forgotten. */
#define HISTORY_FROM "max(start, (SELECT max(horizon) FROM mark))"

int history_covers(struct history_reader *r, uint64_t at_ns, uint64_t *ret_before_ns, uint64_t *ret_after_ns)
{
	uint64_t covered = 0;
	int error = history_number_at(
		r->db, "SELECT count(*) FROM run WHERE " HISTORY_FROM " <= ?1 AND last >= ?1", at_ns, &covered);

	*ret_before_ns = *ret_after_ns = 0;
	if (error < 0 || covered)
		return error < 0 ? error : 1;
	error = history_number_at(r->db, "SELECT max(last) FROM run WHERE last < ?1 AND last >= " HISTORY_FROM, at_ns,
				  ret_before_ns);
	if (!error)
		error = history_number_at(
			r->db, "SELECT min(" HISTORY_FROM ") FROM run WHERE " HISTORY_FROM " > ?1 AND last >= "
			HISTORY_FROM, at_ns, ret_after_ns);
	return error;
}

int history_summarise(struct history_reader *r, struct history_summary *ret)
{
	const struct {
		const char *sql;
		uint64_t *to;
	} rows[] = {
		{ "SELECT count(*) FROM life", &ret->lives },
		{ "SELECT count(*) FROM life WHERE over IS NULL AND run = (SELECT max(id) FROM run)", &ret->open },
		{ "SELECT count(*) FROM process", &ret->processes },
		{ "SELECT count(*) FROM run", &ret->runs },
		{ "SELECT min(" HISTORY_FROM ") FROM run WHERE last >= " HISTORY_FROM, &ret->first_ns },
		{ "SELECT max(last) FROM run", &ret->last_ns },
		{ "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size", &ret->bytes },
	};
	int error = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]) && !error; i++)
		error = history_number_at(r->db, rows[i].sql, 0, rows[i].to);
	return error;
}
