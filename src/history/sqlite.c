// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sqlite.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "db.h"

struct history_sqlite history_sqlite;

struct history_sqlite_name {
	const char *name;
	size_t offset; /* of the pointer in struct history_sqlite */
};

/* The names must not be replaced as calls are: they are put together from parts. */
#define HISTORY_SQLITE_NAME(name) { "sqlite3_" #name, offsetof(struct history_sqlite, name) },
static const struct history_sqlite_name history_sqlite_names[] = { HISTORY_SQLITE_FUNCTIONS(HISTORY_SQLITE_NAME) };

int history_sqlite_load(char *err)
{
	void *library = dlopen("libsqlite3.so.0", RTLD_NOW | RTLD_LOCAL);
	struct history_sqlite found;

	if (!library)
		return history_say(err, -ENOSYS, "libsqlite3.so.0 cannot be loaded: sudo apt install libsqlite3-0");
	for (size_t i = 0; i < sizeof(history_sqlite_names) / sizeof(history_sqlite_names[0]); i++) {
		void *function = dlsym(library, history_sqlite_names[i].name);

		if (!function)
			return history_say(err, -ENOSYS, "libsqlite3.so.0 has no %s(): too old",
					   history_sqlite_names[i].name);
		memcpy((char *)&found + history_sqlite_names[i].offset, &function, sizeof(function));
	}
	history_sqlite = found;
	return 0;
}

const char *history_sqlite_version(void)
{
	char err[HISTORY_ERR_SIZE];

	return history_sqlite_load(err) < 0 ? NULL : sqlite3_libversion();
}
