// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_rows.h"

#include <string.h>

static bool trace_rows_has(const char *const *names, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return true;
	return !names;
}

size_t trace_rows_choose(struct cli_option rows[TRACE_ROWS_MAX], const char *const *names, size_t count,
			 const struct cli_option *own, size_t own_count)
{
	bool told = false;
	size_t n = 0;

	for (size_t i = 0; i < trace_command.option_count && n + own_count < TRACE_ROWS_MAX; i++) {
		const struct cli_option *row = &trace_command.options[i];

		if (!trace_rows_has(names, count, row->long_name))
			continue;
		if (row->final && !told) {
			memcpy(&rows[n], own, own_count * sizeof(*own));
			n += own_count;
			told = true;
		}
		rows[n++] = *row;
	}
	return n;
}
