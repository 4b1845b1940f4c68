/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SQLite, loaded when a file is opened: it would be a tenth of the memory of each run, and few runs have a history. Its
 * functions have their usual names. For the files of src/history/ only.
 */
#ifndef PORTTRACE_HISTORY_SQLITE_H
#define PORTTRACE_HISTORY_SQLITE_H

#include <sqlite3.h>

#define HISTORY_SQLITE_FUNCTIONS(each)                                                                              \
	each(bind_blob) each(bind_int) each(bind_int64) each(bind_null) each(bind_parameter_index) each(bind_text)  \
	each(busy_timeout) each(changes) each(close_v2) each(column_blob) each(column_bytes) each(column_int)       \
	each(column_int64) each(column_text) each(column_type) each(db_config) each(errmsg) each(exec)              \
	each(finalize) each(get_autocommit) each(last_insert_rowid) each(libversion) each(open_v2)                  \
	each(prepare_v2) each(prepare_v3) each(reset) each(step)

#define HISTORY_SQLITE_MEMBER(name) __typeof__(sqlite3_##name) *name;
struct history_sqlite {
	HISTORY_SQLITE_FUNCTIONS(HISTORY_SQLITE_MEMBER)
};
#undef HISTORY_SQLITE_MEMBER

extern struct history_sqlite history_sqlite;

/* 0, or -ENOSYS with a sentence in err[HISTORY_ERR_SIZE]. It stays loaded. Before any of the functions. */
int history_sqlite_load(char *err);

#define sqlite3_bind_blob history_sqlite.bind_blob
#define sqlite3_bind_int history_sqlite.bind_int
#define sqlite3_bind_int64 history_sqlite.bind_int64
#define sqlite3_bind_null history_sqlite.bind_null
#define sqlite3_bind_parameter_index history_sqlite.bind_parameter_index
#define sqlite3_bind_text history_sqlite.bind_text
#define sqlite3_busy_timeout history_sqlite.busy_timeout
#define sqlite3_changes history_sqlite.changes
#define sqlite3_close_v2 history_sqlite.close_v2
#define sqlite3_column_blob history_sqlite.column_blob
#define sqlite3_column_bytes history_sqlite.column_bytes
#define sqlite3_column_int history_sqlite.column_int
#define sqlite3_column_int64 history_sqlite.column_int64
#define sqlite3_column_text history_sqlite.column_text
#define sqlite3_column_type history_sqlite.column_type
#define sqlite3_db_config history_sqlite.db_config
#define sqlite3_errmsg history_sqlite.errmsg
#define sqlite3_exec history_sqlite.exec
#define sqlite3_finalize history_sqlite.finalize
#define sqlite3_get_autocommit history_sqlite.get_autocommit
#define sqlite3_last_insert_rowid history_sqlite.last_insert_rowid
#define sqlite3_libversion history_sqlite.libversion
#define sqlite3_open_v2 history_sqlite.open_v2
#define sqlite3_prepare_v2 history_sqlite.prepare_v2
#define sqlite3_prepare_v3 history_sqlite.prepare_v3
#define sqlite3_reset history_sqlite.reset
#define sqlite3_step history_sqlite.step

#endif
