/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Options of the live command, for the commands that have some of them: record, replay. */
#ifndef PORTTRACE_CMD_TRACE_ROWS_H
#define PORTTRACE_CMD_TRACE_ROWS_H

#include "trace_options.h"

#define TRACE_ROWS_MAX 64

/*
 * Copies the rows of these long names, in the live command's order, and sets `own` before its first row that ends the
 * reading (--help): all rows of a group have to stand together. `names` NULL: all. Their fields are of a struct
 * trace_options. The number of rows.
 */
size_t trace_rows_choose(struct cli_option rows[TRACE_ROWS_MAX], const char *const *names, size_t count,
			 const struct cli_option *own, size_t own_count);

#endif
