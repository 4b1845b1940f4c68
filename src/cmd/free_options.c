// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "free_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../parse.h"

#define FREE_AT(field) offsetof(struct free_options, field)

static int free_set_range(void *field, const char *text, char *why)
{
	struct free_range *range = field;
	const char *dash = strchr(text, '-');
	uint32_t low, high;
	char first[8];

	(void)why;
	if (!dash || dash - text >= (int)sizeof(first))
		return -EINVAL;
	snprintf(first, sizeof(first), "%.*s", (int)(dash - text), text);
	if (parse_u32(first, 1, UINT16_MAX, &low) < 0 || parse_u32(dash + 1, low, UINT16_MAX, &high) < 0)
		return -EINVAL;
	*range = (struct free_range){ (uint16_t)low, (uint16_t)high };
	return 0;
}

static const struct cli_option free_rows[] = {
	CLI_FLAG("Which:", 0, "bind", cli_set_true, FREE_AT(bind), "of bind() to port 0 at SRC, for any destination"),
	CLI_FLAG("Which:", 0, "udp", cli_set_true, FREE_AT(udp), "UDP: the first send or connect of a socket"),
	CLI_ARG("Which:", 0, "range", "LOW-HIGH", free_set_range, FREE_AT(range),
		"of sockets with this IP_LOCAL_PORT_RANGE", "two ports such as 40000-40999"),
	CLI_ARG("Which:", 0, "netns", "PID|PATH|INODE", cli_set_text, FREE_AT(netns),
		"in this network namespace (our own)", "a process id, or a path such as /run/netns/blue"),
	CLI_FLAG("Show:", 'j', "json", cli_set_true, FREE_AT(json), "all numbers, as one JSON object"),
	CLI_FLAG("Show:", 'n', "numeric", cli_set_true, FREE_AT(numeric), "DST is an address: ask no name server"),
	{ .group = "Show:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = FREE_AT(help),
	  .help = "this text",
	  .final = true },
};

const struct cli_command free_command = {
	.name = "porttrace free",
	.usage = "[OPTIONS] [SRC] DST:PORT\n[OPTIONS] --bind SRC",
	.summary = "Tells how many more connections can be opened from here to there, right now.",
	.operands = CLI_OPERANDS,
	.options = free_rows,
	.option_count = sizeof(free_rows) / sizeof(free_rows[0]),
	.epilog = "Examples:\n"
		  "  porttrace free db.example:5432            from the address that the kernel would choose\n"
		  "  porttrace free 10.0.0.5 10.0.3.9:5432     from this one\n"
		  "  porttrace free [::1]:8080 --netns 4312    in the namespace of process 4312\n"
		  "  porttrace free --bind 127.0.0.6           how often bind() to port 0 will succeed\n"
		  "\n"
		  "Ends with 0, with 1 if the first half is full (each connect() costs far more then),\n"
		  "with 2 if nothing is free.\n",
};

int free_parse_address(const char *text, struct endpoint *ret)
{
	struct endpoint ep = { 0 };
	size_t len = strlen(text);
	char inner[INET6_ADDRSTRLEN];

	if (text[0] == '[' && text[len - 1] == ']' && len - 2 < sizeof(inner)) {
		snprintf(inner, sizeof(inner), "%.*s", (int)len - 2, text + 1);
		if (inet_pton(AF_INET6, inner, ep.addr) != 1)
			return -EINVAL;
		ep.ip_version = 6;
	} else if (inet_pton(AF_INET, text, ep.addr) == 1) {
		ep.ip_version = 4;
	} else if (inet_pton(AF_INET6, text, ep.addr) == 1) {
		ep.ip_version = 6;
	} else {
		return -EINVAL;
	}
	*ret = ep;
	return 0;
}

static int free_fail(char *err, const char *format, const char *text)
{
	snprintf(err, CLI_ERR_SIZE, format, text);
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return -EINVAL;
}

/* "db.example:5432", "10.0.3.9:5432", "[::1]:https": the last colon parts them; an IPv6 address has brackets. */
static int free_parse_destination(struct free_options *opts, const char *text, char *err)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : 0;
	bool brackets = len > 2 && text[0] == '[' && text[len - 1] == ']';

	if (!colon || !len || !colon[1] || (!brackets && memchr(text, ':', len)))
		return free_fail(err, "'%.60s' is no destination: expected one such as 10.0.3.9:5432, db.example:5432 "
				      "or [::1]:8080", text);
	if (len >= sizeof(opts->host) || strlen(colon + 1) >= sizeof(opts->service))
		return free_fail(err, "'%.60s...' is too long for a destination", text);
	snprintf(opts->host, sizeof(opts->host), "%.*s", (int)len - 2 * brackets, text + brackets);
	snprintf(opts->service, sizeof(opts->service), "%s", colon + 1);
	return 0;
}

static int free_parse_source(struct free_options *opts, const char *text, char *err)
{
	if (free_parse_address(text, &opts->source) < 0)
		return free_fail(err, "'%.60s' is no source: expected an address such as 10.0.0.5 or ::1", text);
	return 0;
}

int free_options_parse(struct free_options *opts, int argc, char **argv, char *err)
{
	int operands, r = 0;

	memset(opts, 0, sizeof(*opts));
	operands = cli_parse(&free_command, opts, argc, argv, err);
	if (operands < 0 || opts->help)
		return operands < 0 ? operands : 0;
	if (opts->bind)
		return operands == 1 ? free_parse_source(opts, argv[1], err) :
				       free_fail(err, "--bind needs one address: porttrace free --bind %s", "10.0.0.5");
	if (operands < 1 || operands > 2)
		return free_fail(err, "%s destination: porttrace free [SRC] DST:PORT", operands ? "one" : "which");
	if (operands == 2)
		r = free_parse_source(opts, argv[1], err);
	return r < 0 ? r : free_parse_destination(opts, argv[operands], err);
}
