/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line of `porttrace free`. */
#ifndef PORTTRACE_FREE_OPTIONS_H
#define PORTTRACE_FREE_OPTIONS_H

#include "../cli.h"
#include "../event.h"

#define FREE_HOST_MAX 256

/* IP_LOCAL_PORT_RANGE; 0 and 0 = not set. */
struct free_range {
	uint16_t low, high;
};

struct free_options {
	bool json, numeric, bind, udp, help;
	const char *netns; /* NULL = our own */
	struct free_range range;
	struct endpoint source; /* ip_version 0 = not given */
	char host[FREE_HOST_MAX], service[64]; /* of the destination, as given; "" = none */
};

extern const struct cli_command free_command;

/* 0, or -EINVAL and a sentence in `err` (CLI_ERR_SIZE bytes, safe to print). */
int free_options_parse(struct free_options *opts, int argc, char **argv, char *err);
/* "10.0.0.5", "::1" or "[::1]". 0 or -EINVAL. */
int free_parse_address(const char *text, struct endpoint *ret);

#endif
