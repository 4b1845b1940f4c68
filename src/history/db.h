/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The history's file: opened, checked, and SQLite's words turned into ours. For the files of src/history/ only. */
#ifndef PORTTRACE_HISTORY_DB_H
#define PORTTRACE_HISTORY_DB_H

#include <stdbool.h>
#include <stdint.h>

#include "../history.h"
#include "sqlite.h"

/* -errno for a result of SQLite; 0 for SQLITE_OK, _ROW and _DONE. */
int history_errno(int code);
/* A sentence into err[HISTORY_ERR_SIZE]; control characters of a path do not get through. Returns `error`. */
__attribute__((format(printf, 3, 4))) int history_say(char *err, int error, const char *format, ...);
/* Runs statements that answer nothing. 0 or -errno. */
int history_exec(sqlite3 *db, const char *sql);
/* The first number of the first row; `missing` if there is none. 0 or -errno. */
int history_number(sqlite3 *db, const char *sql, int64_t missing, int64_t *ret);
int history_prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret);
/*
 * Opens a file for writing (it is made if it is not there) or reading, and checks that it is a history of a version
 * that we know. 0 or -errno and a sentence. The caller ends *ret with sqlite3_close_v2.
 */
int history_db_open(const char *path, bool write, sqlite3 **ret, char *err);

static inline void history_finalize(sqlite3_stmt **st)
{
	if (*st)
		sqlite3_finalize(*st);
}

#endif
