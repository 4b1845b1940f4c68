// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "db.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "../cleanup.h"

#define HISTORY_APPLICATION_ID 0x70747263 /* "ptrc" */
#define HISTORY_VERSION 1
#define HISTORY_BUSY_MS 3000
#define HISTORY_URI_MAX 4096

/*
 * life.since is what is asked for: the begin, or when it was first seen. life.over: until when the port is held, as
 * far as is known; NULL while the socket is open. life.held: the last state before the close, since life.changed.
 */
static const char history_schema[] =
	"PRAGMA auto_vacuum = INCREMENTAL;"
	"BEGIN IMMEDIATE;"
	"CREATE TABLE run (id INTEGER PRIMARY KEY, boot_id TEXT NOT NULL, start INTEGER NOT NULL,"
	" last INTEGER NOT NULL);"
	"CREATE TABLE process (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, start INTEGER, exec_id INTEGER,"
	" uid INTEGER, name TEXT, executable TEXT, command_line TEXT, user TEXT, container TEXT, unit TEXT);"
	"CREATE INDEX process_pid ON process (pid);"
	"CREATE INDEX process_name ON process (name);"
	"CREATE TABLE life (id INTEGER PRIMARY KEY, run INTEGER NOT NULL, process INTEGER, begin INTEGER,"
	" since INTEGER NOT NULL, changed INTEGER NOT NULL, closed INTEGER, freed INTEGER, over INTEGER,"
	" state INTEGER NOT NULL, held INTEGER NOT NULL, proto INTEGER NOT NULL, protocol INTEGER NOT NULL,"
	" how INTEGER NOT NULL, role INTEGER NOT NULL, cause INTEGER NOT NULL, local_ip BLOB, local_port INTEGER,"
	" remote_ip BLOB, remote_port INTEGER, netns INTEGER, netns_cookie INTEGER, cookie INTEGER, sent INTEGER,"
	" received INTEGER);"
	"CREATE INDEX life_local ON life (local_port, since);"
	"CREATE INDEX life_remote ON life (remote_port, since) WHERE remote_port IS NOT NULL;"
	"CREATE INDEX life_process ON life (process);"
	"CREATE INDEX life_address_remote ON life (remote_ip) WHERE remote_ip IS NOT NULL;"
	"CREATE INDEX life_address_local ON life (local_ip) WHERE local_ip IS NOT NULL;"
	"CREATE INDEX life_over ON life (over);"
	/* What was over by then may have been forgotten. */
	"CREATE TABLE mark (horizon INTEGER NOT NULL);"
	"INSERT INTO mark VALUES (0);";

int history_errno(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return 0;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
	case SQLITE_CANTOPEN:
		return -EACCES;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_NOTADB:
		return -EINVAL;
	case SQLITE_CORRUPT:
	case SQLITE_ERROR: /* a table or column is missing */
	case SQLITE_SCHEMA:
		return -EBADMSG;
	default:
		return -EIO;
	}
}

int history_say(char *err, int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(err, HISTORY_ERR_SIZE, format, args);
	va_end(args);
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return error;
}

int history_exec(sqlite3 *db, const char *sql)
{
	return history_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int history_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
	return history_errno(sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL));
}

int history_number(sqlite3 *db, const char *sql, int64_t missing, int64_t *ret)
{
	_cleanup_(history_finalize) sqlite3_stmt *st = NULL;
	int code, r = history_prepare(db, sql, &st);

	if (r < 0)
		return r;
	code = sqlite3_step(st);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return history_errno(code);
	*ret = missing;
	if (code == SQLITE_ROW && sqlite3_column_type(st, 0) != SQLITE_NULL)
		*ret = sqlite3_column_int64(st, 0);
	return 0;
}

static int history_db_create(sqlite3 *db)
{
	char sql[128];
	int r = history_exec(db, history_schema);

	if (r < 0)
		return r;
	snprintf(sql, sizeof(sql), "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT;",
		 HISTORY_APPLICATION_ID, HISTORY_VERSION);
	return history_exec(db, sql);
}

/* Whose file it is. 1 = a history that we know, 0 = it is empty, or -errno. */
static int history_db_check(sqlite3 *db, const char *path, char *err)
{
	int64_t application, version, tables;
	int r = history_number(db, "PRAGMA application_id", 0, &application);

	if (!r)
		r = history_number(db, "PRAGMA user_version", 0, &version);
	if (!r)
		r = history_number(db, "SELECT count(*) FROM sqlite_master", 0, &tables);
	if (r == -EINVAL)
		return history_say(err, r, "%.160s is no history of porttrace", path);
	if (r < 0)
		return history_say(err, r, "cannot read the history %.120s: %s", path, sqlite3_errmsg(db));
	if (!application && !tables)
		return 0;
	if (application != HISTORY_APPLICATION_ID)
		return history_say(err, -EINVAL, "%.160s is no history of porttrace", path);
	if (version > HISTORY_VERSION)
		return history_say(err, -EPROTONOSUPPORT,
				   "the history %.120s is from a newer porttrace (version %" PRId64 ", not %d)", path,
				   version, HISTORY_VERSION);
	return 1;
}

/* A file of somebody else may have been made to do harm. */
static int history_db_defend(sqlite3 *db)
{
	sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_busy_timeout(db, HISTORY_BUSY_MS);
	return history_exec(db, "PRAGMA cell_size_check = ON");
}

static int history_db_open_as(const char *path, int flags, sqlite3 **ret)
{
	int code = sqlite3_open_v2(path, ret, flags | SQLITE_OPEN_NOMUTEX, NULL);

	/* The file is only opened when it is first read. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(*ret, "SELECT 1 FROM sqlite_master", NULL, NULL, NULL);
	return code;
}

/* Who may read the file, but not write beside it, can do so while nobody has it open. */
static int history_db_open_still(const char *path, sqlite3 **ret)
{
	char uri[HISTORY_URI_MAX] = "file:", wal[HISTORY_URI_MAX];
	size_t n = strlen(uri);
	struct stat st;

	snprintf(wal, sizeof(wal), "%s-wal", path);
	if (!stat(wal, &st))
		return SQLITE_CANTOPEN;
	for (; *path && n + 20 < sizeof(uri); path++)
		n += (size_t)snprintf(uri + n, 4, "%%%02x", (unsigned char)*path);
	snprintf(uri + n, sizeof(uri) - n, "?immutable=1");
	sqlite3_close_v2(*ret);
	*ret = NULL;
	return history_db_open_as(uri, SQLITE_OPEN_READONLY | SQLITE_OPEN_URI, ret);
}

static int history_db_fail(sqlite3 *db, int code, const char *path, char *err)
{
	int error = history_errno(code);

	if (error == -EINVAL)
		return history_say(err, error, "%.160s is no history of porttrace", path);
	return history_say(err, error, "cannot open the history %.120s: %s", path,
			   db ? sqlite3_errmsg(db) : strerrordesc_np(-error));
}

int history_db_open(const char *path, bool write, sqlite3 **ret, char *err)
{
	int flags = write ? SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE : SQLITE_OPEN_READONLY;
	sqlite3 *db = NULL;
	int code, r = history_sqlite_load(err);

	if (r < 0)
		return r;
	code = history_db_open_as(path, flags, &db);
	if (code != SQLITE_OK && (code & 0xff) == SQLITE_CANTOPEN && !write)
		code = history_db_open_still(path, &db);
	if (code != SQLITE_OK) {
		r = history_db_fail(db, code, path, err);
		sqlite3_close_v2(db);
		return r;
	}
	r = history_db_check(db, path, err);
	if (!r && !write)
		r = history_say(err, -EINVAL, "%.160s is no history of porttrace", path);
	else if (!r && (r = history_db_create(db)) < 0)
		history_say(err, r, "cannot make the history %.120s: %s", path, sqlite3_errmsg(db));
	if (r >= 0 && (r = history_db_defend(db)) < 0)
		history_say(err, r, "cannot read the history %.120s: %s", path, sqlite3_errmsg(db));
	if (r < 0) {
		sqlite3_close_v2(db);
		return r;
	}
	*ret = db;
	return 0;
}
