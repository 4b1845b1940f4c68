/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `porttrace history`. */
#ifndef PORTTRACE_HISTORY_OPTIONS_H
#define PORTTRACE_HISTORY_OPTIONS_H

#include "../cli.h"
#include "../history.h"
#include "../service.h"

struct history_command_options {
	bool json, numeric, no_header, utc, stat, help;
	const char *path; /* NULL = the usual place */
	const char *since_text, *until_text, *port_text;
	struct history_query query; /* port: on either side, see either_port */
	int either_port; /* -1 = any */
};

extern const struct cli_command history_command;

/* 0, or -EINVAL and a sentence in `err` (CLI_ERR_SIZE bytes, safe to print). */
int history_options_parse(struct history_command_options *opts, int argc, char **argv,
			  const struct service_table *names, uint64_t now_ns, char *err);

#endif
