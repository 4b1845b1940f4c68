/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `porttrace service`. */
#ifndef PORTTRACE_SERVICE_OPTIONS_H
#define PORTTRACE_SERVICE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../cli.h"
#include "../event.h"
#include "../service.h"

#define SERVICE_MAX_QUERIES 64
#define SERVICE_MAX_PORTS 64 /* of one name */

/* One operand: "8080", "https", "443/udp". */
struct service_query {
	const char *text;
	unsigned int protos; /* bit 1 << enum event_proto */
	uint16_t ports[SERVICE_MAX_PORTS]; /* of a name all that bear it, the likeliest first */
	size_t port_count;
};

struct service_options {
	bool json, help;
	struct service_query queries[SERVICE_MAX_QUERIES];
	size_t query_count;
};

extern const struct cli_command service_command;

/* 0, or -EINVAL and a sentence in `err` (CLI_ERR_SIZE bytes). */
int service_options_parse(struct service_options *opts, int argc, char **argv,
			  const struct service_table *names, char *err);
/* One operand. The sentence may quote control characters. */
int service_parse_query(const char *text, const struct service_table *names, struct service_query *query,
			char *err);

#endif
