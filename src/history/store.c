// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "../cleanup.h"
#include "../proc.h"

/* What TIME_WAIT lasts at most (TCP_TIMEWAIT_LEN). */
#define HISTORY_TIME_WAIT_NS UINT64_C(60000000000)
/* Pages of the write-ahead log after which it is copied back, and its size on disk after that. */
#define HISTORY_PRAGMAS                                                        \
	"PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"              \
	"PRAGMA wal_autocheckpoint = 8192; PRAGMA journal_size_limit = 67108864;" \
	"PRAGMA cache_size = -65536; PRAGMA temp_store = MEMORY;"
/* Lives that are forgotten between two batches; and the bytes of the file for each that one transaction forgets. */
#define HISTORY_EVICT_LIVES 40000
#define HISTORY_EVICT_SHARE 4096
#define HISTORY_PATH_MAX 4096

enum history_statement { UPSERT, END, PROCESS, HEARTBEAT, BEGIN, COMMIT, PAGES, FREE_PAGES, STATEMENT_COUNT };

static const char *const history_sql[STATEMENT_COUNT] = {
	[UPSERT] = "INSERT INTO life (id, run, process, begin, since, changed, closed, freed, over, state, held,"
		   " proto, protocol, how, role, cause, local_ip, local_port, remote_ip, remote_port, netns,"
		   " netns_cookie, cookie, sent, received) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
		   " ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25)"
		   " ON CONFLICT (id) DO UPDATE SET run = excluded.run,"
		   " process = coalesce(process, excluded.process), begin = coalesce(begin, excluded.begin),"
		   " changed = iif(excluded.held AND excluded.held <> held, excluded.changed, changed),"
		   " closed = coalesce(closed, excluded.closed), freed = coalesce(freed, excluded.freed),"
		   " over = excluded.over, state = excluded.state, held = iif(excluded.held, excluded.held, held),"
		   " how = iif(excluded.how, excluded.how, how), role = iif(excluded.role, excluded.role, role),"
		   " cause = excluded.cause, local_ip = coalesce(excluded.local_ip, local_ip),"
		   " local_port = coalesce(excluded.local_port, local_port),"
		   " remote_ip = coalesce(excluded.remote_ip, remote_ip),"
		   " remote_port = coalesce(excluded.remote_port, remote_port),"
		   " netns = coalesce(netns, excluded.netns), netns_cookie = coalesce(netns_cookie,"
		   " excluded.netns_cookie), cookie = coalesce(cookie, excluded.cookie),"
		   " sent = coalesce(excluded.sent, sent), received = coalesce(excluded.received, received)",
	/* No column of an index but `over`: the other indices need not be touched. */
	[END] = "UPDATE life SET run = ?2, closed = coalesce(closed, ?7), freed = ?8, over = ?9, state = ?10,"
		" cause = iif(?16, ?16, cause), sent = coalesce(?24, sent), received = coalesce(?25, received)"
		" WHERE id = ?1",
	[PROCESS] = "INSERT OR REPLACE INTO process (id, pid, start, exec_id, uid, name, executable, command_line,"
		    " user, container, unit) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[HEARTBEAT] = "UPDATE run SET last = max(last, ?2) WHERE id = ?1",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[PAGES] = "PRAGMA page_count",
	[FREE_PAGES] = "PRAGMA freelist_count",
};

struct history_store {
	sqlite3 *db;
	sqlite3_stmt *statements[STATEMENT_COUNT];
	struct history_adopt *adopt;
	int64_t run, base; /* of the run's lives: base + life is the row */
	uint64_t last_process, page_size;
	int lock_fd;
};

/* ---- opening ---- */

static int history_store_folder(const char *path, char *err)
{
	char dir[HISTORY_PATH_MAX];
	char *slash;

	if (strlen(path) >= sizeof(dir) - 8)
		return history_say(err, -ENAMETOOLONG, "the path of the history is too long");
	snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0750) < 0 && errno != EEXIST)
		return history_say(err, -errno, "cannot make the folder %.160s: %s", dir, strerrordesc_np(errno));
	return 0;
}

/* One writer: the lock ends with its process, however that ends. */
static int history_store_lock(struct history_store *s, const char *path, char *err)
{
	char lock[HISTORY_PATH_MAX];
	_close_ int fd = -1;

	snprintf(lock, sizeof(lock), "%s.lock", path);
	s->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (s->lock_fd < 0)
		return history_say(err, -errno, "cannot open %.160s: %s", lock, strerrordesc_np(errno));
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0)
		return history_say(err, errno == EWOULDBLOCK ? -EBUSY : -errno,
				   errno == EWOULDBLOCK ? "another porttrace writes the history %.160s" :
							  "cannot lock the history %.160s",
				   path);
	/* SQLite would make it as the umask says, and the log like the file. */
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0640);
	if (fd < 0)
		return history_say(err, -errno, "cannot open the history %.160s: %s", path, strerrordesc_np(errno));
	return 0;
}

void history_boot_id(char ret[HISTORY_BOOT_ID_SIZE])
{
	if (proc_read(AT_FDCWD, "/proc/sys/kernel/random/boot_id", ret, HISTORY_BOOT_ID_SIZE) < 0)
		ret[0] = '\0';
	ret[strcspn(ret, "\n")] = '\0';
}

static int history_store_run(struct history_store *s, const char *boot_id, uint64_t now_ns)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	int code, r = history_prepare(s->db, "INSERT INTO run (boot_id, start, last) VALUES (?1, ?2, ?2)", &st);

	if (r < 0)
		return r;
	sqlite3_bind_text(st, 1, boot_id, -1, SQLITE_STATIC);
	sqlite3_bind_int64(st, 2, (int64_t)now_ns);
	code = sqlite3_step(st);
	s->run = sqlite3_last_insert_rowid(s->db);
	return history_errno(code);
}

static int history_store_prepare(struct history_store *s, uint64_t now_ns)
{
	int64_t last_process = 0, page_size = 0;
	char boot_id[HISTORY_BOOT_ID_SIZE];
	int r = history_exec(s->db, HISTORY_PRAGMAS);

	history_boot_id(boot_id);
	if (!r)
		r = history_number(s->db, "SELECT max(id) FROM life", 0, &s->base);
	if (!r)
		r = history_number(s->db, "SELECT max(id) FROM process", 0, &last_process);
	if (!r)
		r = history_number(s->db, "PRAGMA page_size", 4096, &page_size);
	if (!r)
		r = history_adopt_load(s->db, boot_id, now_ns, &s->adopt);
	if (!r)
		r = history_store_run(s, boot_id, now_ns);
	for (int i = 0; i < STATEMENT_COUNT && !r; i++)
		r = history_prepare(s->db, history_sql[i], &s->statements[i]);
	s->last_process = (uint64_t)last_process;
	s->page_size = (uint64_t)page_size;
	return r;
}

int history_store_open(const char *path, uint64_t now_ns, struct history_store **ret, char *err)
{
	struct history_store *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return history_say(err, -ENOMEM, "no memory for the history");
	s->lock_fd = -1;
	r = history_sqlite_load(err); /* before there are files: without it they would stay, empty */
	if (!r)
		r = history_store_folder(path, err);
	if (!r)
		r = history_store_lock(s, path, err);
	if (!r)
		r = history_db_open(path, true, &s->db, err);
	if (!r && (r = history_store_prepare(s, now_ns)) < 0)
		history_say(err, r, "cannot write the history %.120s: %s", path, sqlite3_errmsg(s->db));
	if (r < 0) {
		history_store_close(s);
		return r;
	}
	*ret = s;
	return 0;
}

uint64_t history_store_last_process(const struct history_store *s)
{
	return s->last_process;
}

void history_store_close(struct history_store *s)
{
	if (!s)
		return;
	for (int i = 0; i < STATEMENT_COUNT; i++)
		history_finalize(&s->statements[i]);
	history_adopt_free(s->adopt);
	if (s->db)
		sqlite3_close_v2(s->db);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	free(s);
}

/* ---- rows ---- */

static int history_store_step(struct history_store *s, enum history_statement which)
{
	sqlite3_stmt *st = s->statements[which];
	int code = sqlite3_step(st);

	sqlite3_reset(st);
	return history_errno(code);
}

/* 0 is unknown, and NULL in the file. */
static void history_bind(sqlite3_stmt *st, int at, uint64_t value)
{
	if (value)
		sqlite3_bind_int64(st, at, (int64_t)value);
	else
		sqlite3_bind_null(st, at);
}

static void history_bind_text(sqlite3_stmt *st, int at, const char *text, size_t size)
{
	size_t n = strnlen(text, size);

	if (n)
		sqlite3_bind_text(st, at, text, (int)n, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
}

static void history_bind_side(sqlite3_stmt *st, int at, const uint8_t *addr, uint8_t version, bool has_port,
			      uint16_t port)
{
	if (version)
		sqlite3_bind_blob(st, at, addr, version == 4 ? 4 : 16, SQLITE_STATIC);
	else
		sqlite3_bind_null(st, at);
	if (has_port)
		sqlite3_bind_int(st, at + 1, port);
	else
		sqlite3_bind_null(st, at + 1);
}

static void history_bind_bytes(sqlite3_stmt *st, const struct history_record *rec)
{
	if (rec->flags & HISTORY_BYTES) {
		sqlite3_bind_int64(st, 24, (int64_t)rec->bytes_sent);
		sqlite3_bind_int64(st, 25, (int64_t)rec->bytes_received);
	} else {
		sqlite3_bind_null(st, 24);
		sqlite3_bind_null(st, 25);
	}
}

/* What both statements have: state, end and bytes. */
static void history_bind_end(sqlite3_stmt *st, const struct history_record *rec)
{
	bool closed = rec->state == LIFE_TIME_WAIT || rec->state == LIFE_OVER, freed = rec->state == LIFE_OVER;

	history_bind(st, 7, closed ? rec->time_ns : 0);
	history_bind(st, 8, freed ? rec->time_ns : 0);
	history_bind(st, 9, freed ? rec->time_ns : closed ? rec->time_ns + HISTORY_TIME_WAIT_NS : 0);
	sqlite3_bind_int(st, 10, rec->state);
	sqlite3_bind_int(st, 16, closed ? rec->cause : CAUSE_NONE);
	history_bind_bytes(st, rec);
}

/* What it was before it was closed, if only the close is known. */
static int history_held(const struct history_record *rec)
{
	if (rec->state != LIFE_TIME_WAIT && rec->state != LIFE_OVER)
		return rec->state;
	return rec->role || rec->remote_version ? LIFE_CONNECTED : LIFE_NONE;
}

static void history_bind_rest(sqlite3_stmt *st, const struct history_record *rec)
{
	history_bind(st, 3, rec->process);
	history_bind(st, 4, rec->begin_ns);
	sqlite3_bind_int64(st, 5, (int64_t)(rec->begin_ns ? rec->begin_ns : rec->time_ns));
	sqlite3_bind_int64(st, 6, (int64_t)rec->time_ns);
	sqlite3_bind_int(st, 11, history_held(rec));
	sqlite3_bind_int(st, 12, rec->proto);
	sqlite3_bind_int(st, 13, rec->protocol);
	sqlite3_bind_int(st, 14, rec->how);
	sqlite3_bind_int(st, 15, rec->role);
	history_bind_side(st, 17, rec->local_addr, rec->local_version, rec->flags & HISTORY_LOCAL_PORT,
			  rec->local_port);
	history_bind_side(st, 19, rec->remote_addr, rec->remote_version, rec->flags & HISTORY_REMOTE_PORT,
			  rec->remote_port);
	history_bind(st, 21, rec->netns_inum);
	history_bind(st, 22, rec->netns_cookie);
	history_bind(st, 23, rec->cookie);
}

int history_store_life(struct history_store *s, const struct history_record *rec)
{
	uint64_t adopted = history_adopt_find(s->adopt, rec);
	int64_t id = adopted ? (int64_t)adopted : s->base + (int64_t)rec->life;

	for (int which = rec->flags & HISTORY_END ? END : UPSERT;; which = UPSERT) {
		sqlite3_stmt *st = s->statements[which];
		int r;

		sqlite3_bind_int64(st, 1, id);
		sqlite3_bind_int64(st, 2, s->run);
		history_bind_end(st, rec);
		if (which == UPSERT)
			history_bind_rest(st, rec);
		r = history_store_step(s, (enum history_statement)which);
		if (r < 0 || which == UPSERT || sqlite3_changes(s->db))
			return r;
		/* its beginning was lost or is forgotten: the end tells it all the same */
	}
}

int history_store_process(struct history_store *s, const struct history_process *process)
{
	sqlite3_stmt *st = s->statements[PROCESS];

	history_bind(st, 1, process->id);
	sqlite3_bind_int64(st, 2, process->pid);
	history_bind(st, 3, process->start_ns);
	history_bind(st, 4, process->exec_id);
	if (process->has_uid)
		sqlite3_bind_int64(st, 5, process->uid);
	else
		sqlite3_bind_null(st, 5);
	history_bind_text(st, 6, process->name, sizeof(process->name));
	history_bind_text(st, 7, process->executable, sizeof(process->executable));
	history_bind_text(st, 8, process->command_line, sizeof(process->command_line));
	history_bind_text(st, 9, process->user, sizeof(process->user));
	history_bind_text(st, 10, process->container_id, sizeof(process->container_id));
	history_bind_text(st, 11, process->unit, sizeof(process->unit));
	return history_store_step(s, PROCESS);
}

/* ---- transactions ---- */

int history_store_begin(struct history_store *s)
{
	return history_store_step(s, BEGIN);
}

int history_store_commit(struct history_store *s, uint64_t last_ns)
{
	sqlite3_stmt *st = s->statements[HEARTBEAT];
	int r;

	sqlite3_bind_int64(st, 1, s->run);
	sqlite3_bind_int64(st, 2, (int64_t)last_ns);
	r = history_store_step(s, HEARTBEAT);
	return r < 0 ? r : history_store_step(s, COMMIT);
}

void history_store_rollback(struct history_store *s)
{
	if (!sqlite3_get_autocommit(s->db))
		history_exec(s->db, "ROLLBACK");
}

/* ---- forgetting ---- */

static int64_t history_store_pragma(struct history_store *s, enum history_statement which)
{
	sqlite3_stmt *st = s->statements[which];
	int64_t n = sqlite3_step(st) == SQLITE_ROW ? sqlite3_column_int64(st, 0) : 0;

	sqlite3_reset(st);
	return n;
}

static bool history_store_too_large(struct history_store *s, uint64_t max_bytes)
{
	int64_t used = history_store_pragma(s, PAGES) - history_store_pragma(s, FREE_PAGES);

	return used > 0 && (uint64_t)used * s->page_size > max_bytes;
}

/* Runs a statement that has one number, ?1. How many rows it changed, or -errno. */
static int64_t history_store_change(struct history_store *s, const char *sql, uint64_t number)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	int code, r = history_errno(sqlite3_prepare_v2(s->db, sql, -1, &st, NULL));

	if (r < 0)
		return r;
	sqlite3_bind_int64(st, 1, (int64_t)number);
	code = sqlite3_step(st);
	return code == SQLITE_DONE ? sqlite3_changes(s->db) : history_errno(code);
}

/* The same in a transaction: what is known reaches back to `horizon` only. */
static int64_t history_store_forget(struct history_store *s, const char *sql, uint64_t number, uint64_t horizon)
{
	int64_t n = history_store_begin(s);
	int r;

	if (!n)
		n = history_store_change(s, "UPDATE mark SET horizon = max(horizon, ?1)", horizon);
	if (n >= 0)
		n = history_store_change(s, sql, number);
	r = n < 0 ? (int)n : history_store_step(s, COMMIT);
	if (r < 0)
		history_store_rollback(s);
	return r < 0 ? r : n;
}

static int64_t history_store_forget_old(struct history_store *s, uint64_t before_ns)
{
	static const char closed[] = "DELETE FROM life WHERE id IN (SELECT id FROM life WHERE over < ?1 LIMIT 10000)";
	static const char open[] =
		"DELETE FROM life WHERE id IN (SELECT id FROM life WHERE over IS NULL AND run IN"
		" (SELECT id FROM run WHERE last < ?1 AND id < (SELECT max(id) FROM run)) LIMIT 10000)";
	int64_t n = history_store_forget(s, closed, before_ns, before_ns);

	return n ? n : history_store_forget(s, open, before_ns, before_ns);
}

/* What was over first goes first; of open sockets those that have been there longest. */
static int64_t history_store_forget_first(struct history_store *s, const struct history_bounds *bounds)
{
	uint64_t share = bounds->max_bytes / HISTORY_EVICT_SHARE + 64;
	int64_t horizon;
	char sql[192];
	int r;

	share = share < 10000 ? share : 10000;
	snprintf(sql, sizeof(sql),
		 "SELECT max(over) FROM (SELECT over FROM life WHERE over IS NOT NULL ORDER BY over LIMIT %u)",
		 (unsigned int)share);
	r = history_number(s->db, sql, 0, &horizon);
	if (r < 0)
		return r;
	if (horizon)
		return history_store_forget(s, "DELETE FROM life WHERE over <= ?1", (uint64_t)horizon,
					    (uint64_t)horizon);
	return history_store_forget(
		s, "DELETE FROM life WHERE id IN (SELECT id FROM life WHERE over IS NULL ORDER BY id LIMIT ?1)", share,
		bounds->now_ns);
}

/* One transaction's worth, of the first rule that finds any. */
static int64_t history_store_forget_some(struct history_store *s, const struct history_bounds *bounds)
{
	int64_t n = bounds->age ? history_store_forget_old(s, bounds->before_ns) : 0;

	if (!n && history_store_too_large(s, bounds->max_bytes))
		n = history_store_forget_first(s, bounds);
	return n;
}

/* Runs and processes that no life is left of. */
static int history_store_forget_rest(struct history_store *s, const struct history_bounds *bounds)
{
	int64_t n = history_store_change(s,
					 "DELETE FROM process WHERE id < ?1 AND NOT EXISTS"
					 " (SELECT 1 FROM life WHERE process = process.id)",
					 bounds->process_floor);

	if (n >= 0)
		n = history_store_change(s, "DELETE FROM run WHERE last < ?1 AND id < (SELECT max(id) FROM run)",
					 bounds->before_ns);
	return n < 0 ? (int)n : 0;
}

static int history_store_shrink(struct history_store *s, uint64_t max_bytes)
{
	int64_t over = history_store_pragma(s, PAGES) - (int64_t)(max_bytes / s->page_size);
	char sql[64];

	if (over <= 0)
		return 0;
	snprintf(sql, sizeof(sql), "PRAGMA incremental_vacuum(%lld)", (long long)(over < 4096 ? over : 4096));
	return history_exec(s->db, sql);
}

int history_store_evict(struct history_store *s, const struct history_bounds *bounds, uint64_t *evicted)
{
	uint64_t before = *evicted;
	int64_t n;
	int r;

	do {
		n = history_store_forget_some(s, bounds);
		if (n > 0)
			*evicted += (uint64_t)n;
	} while (n > 0 && *evicted - before < HISTORY_EVICT_LIVES);
	r = n < 0 ? (int)n : 0;
	if (!r && bounds->age)
		r = history_store_forget_rest(s, bounds);
	return r < 0 ? r : history_store_shrink(s, bounds->max_bytes);
}
