/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `porttrace who`. */
#ifndef PORTTRACE_WHO_OPTIONS_H
#define PORTTRACE_WHO_OPTIONS_H

#include "../when.h"
#include "service_options.h"

struct who_options {
	bool json, numeric, no_header, utc, help;
	const char *at_text, *netns_text;
	const char *history; /* NULL = the usual place */
	struct when at; /* from_ns 0 = now, as the kernel has it */
	uint32_t netns_inum; /* 0 = all */
	struct service_query query;
};

extern const struct cli_command who_command;

/* 0, or -EINVAL and a sentence in `err` (CLI_ERR_SIZE bytes, safe to print). */
int who_options_parse(struct who_options *opts, int argc, char **argv, const struct service_table *names,
		      uint64_t now_ns, char *err);
/* "all", a process id, a path, or the number of the namespace itself: its inode, 0 = all. 0 or -EINVAL. */
int who_parse_netns(const char *text, uint32_t *ret_inum, char *err);

#endif
