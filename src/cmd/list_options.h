/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `porttrace list`. */
#ifndef PORTTRACE_CMD_LIST_OPTIONS_H
#define PORTTRACE_CMD_LIST_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../cli.h"
#include "../filter.h"

/* What can be shown of a socket, in the order of list_column_names. */
enum list_column {
	LIST_PROTO,
	LIST_STATE,
	LIST_PID,
	LIST_PROCESS,
	LIST_USER,
	LIST_LOCAL,
	LIST_REMOTE,
	LIST_CLASS,
	LIST_SERVICE,
	LIST_KERNEL,
	LIST_HOW,
	LIST_AGE,
	LIST_SENT,
	LIST_RECEIVED,
	LIST_QUEUE,
	LIST_BACKLOG,
	LIST_LEFT,
	LIST_NETNS,
	LIST_CONTAINER,
	LIST_UNIT,
	LIST_POD,
	LIST_OWNERS,
	LIST_FD,
	LIST_COOKIE,
	LIST_MARK,
	LIST_DEVICE,
	LIST_EXECUTABLE,
	LIST_COMMAND,
	LIST_COLUMN_COUNT,
};

#define LIST_MAX_COLUMNS 32

struct list_columns {
	enum list_column list[LIST_MAX_COLUMNS];
	size_t count; /* 0 = the usual ones */
};

struct list_sort {
	bool given, descending;
	enum list_column column;
};

struct list_options {
	/* Complete but for the namespace: whoever opens files resolves `netns`. */
	struct filter filter;
	uint32_t states; /* bit (1 << enum sockdiag_state) of those wanted; 0 = all */
	const char *netns; /* PID or path; NULL = all */
	const char *cgroup; /* a directory; NULL = all */
	const char *history; /* path; NULL = the usual one, if it is there */
	struct list_columns columns;
	struct list_sort sort;
	bool json, numeric, wide, header, quiet, help;
	uint64_t watch_ns; /* again after this time; 0 = once */
};

extern const struct cli_command list_command;
extern const char *const list_column_names[LIST_COLUMN_COUNT]; /* "proto", ...: as in -o and --sort */

/* Defaults, then argv[1..]. Texts point into argv. 0, or -errno with a sentence in `err` (CLI_ERR_SIZE bytes). */
int list_options_parse(struct list_options *opts, int argc, char **argv, char *err);

#endif
