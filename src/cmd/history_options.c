// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "history_options.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../parse.h"
#include "../when.h"
#include "service_options.h"

#define HISTORY_LIMIT 1000
#define HISTORY_AT(field) offsetof(struct history_command_options, field)

static int history_set_pid(void *field, const char *text, char *why)
{
	(void)why;
	return parse_u32(text, 1, INT32_MAX, field);
}

static int history_set_address(void *field, const char *text, char *why)
{
	struct endpoint *ep = field;

	(void)why;
	memset(ep, 0, sizeof(*ep));
	if (inet_pton(AF_INET, text, ep->addr) == 1)
		ep->ip_version = 4;
	else if (inet_pton(AF_INET6, text, ep->addr) == 1)
		ep->ip_version = 6;
	return ep->ip_version ? 0 : -EINVAL;
}

static const struct cli_option history_rows[] = {
	CLI_ARG("Select:", 0, "since", "TIME", cli_set_text, HISTORY_AT(since_text),
		"what had its port then or later: 12:03:41, '2026-11-25 12:03', '5m ago'",
		"a time such as 12:03:41 or '5m ago'"),
	CLI_ARG("Select:", 0, "until", "TIME", cli_set_text, HISTORY_AT(until_text),
		"what had its port then or earlier", "a time such as 12:03:41 or '5m ago'"),
	CLI_ARG("Select:", 'P', "port", "PORT|NAME[/tcp|/udp]", cli_set_text, HISTORY_AT(port_text),
		"this port on either side", "a port such as 8080, https or 53/udp"),
	CLI_ARG("Select:", 'p', "pid", "PID", history_set_pid, HISTORY_AT(query.pid), "of this process",
		"a process id"),
	CLI_ARG("Select:", 'c', "comm", "NAME", cli_set_text, HISTORY_AT(query.name), "of processes of this name",
		"a name"),
	CLI_ARG("Select:", 'a', "address", "IP", history_set_address, HISTORY_AT(query.address),
		"this address on either side", "an IPv4 or IPv6 address"),
	CLI_ARG("Select:", 0, "limit", "N", cli_set_count, HISTORY_AT(query.limit), "the newest of them (1000)",
		"a number, 1 or more"),
	CLI_ARG("Select:", 0, "history", "PATH", cli_set_text, HISTORY_AT(path),
		"the history (/var/lib/porttrace/history.db)", "a path"),
	CLI_FLAG("Show:", 'j', "json", cli_set_true, HISTORY_AT(json), "JSON Lines, one object a socket"),
	CLI_FLAG("Show:", 'n', "numeric", cli_set_true, HISTORY_AT(numeric), "no names of users and services"),
	CLI_FLAG("Show:", 'H', "no-header", cli_set_true, HISTORY_AT(no_header), "no header line"),
	CLI_FLAG("Show:", 0, "utc", cli_set_true, HISTORY_AT(utc), "times in UTC, also those of --since and --until"),
	CLI_FLAG("Show:", 0, "stat", cli_set_true, HISTORY_AT(stat), "how much there is, of which time"),
	{ .group = "Show:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = HISTORY_AT(help),
	  .help = "this text",
	  .final = true },
};

const struct cli_command history_command = {
	.name = "porttrace history",
	.usage = "[OPTIONS]",
	.summary = "Shows the sockets that porttrace has kept, the newest first.",
	.operands = CLI_NO_OPERANDS,
	.options = history_rows,
	.option_count = sizeof(history_rows) / sizeof(history_rows[0]),
	.epilog = "Examples:\n"
		  "  porttrace history --since '5m ago' -c curl     what curl had in the last five minutes\n"
		  "  porttrace history -a 192.0.2.10 -P 443         connections with port 443 of 192.0.2.10\n",
};

static int history_clean(char *err)
{
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return -EINVAL;
}

static int history_parse_time(const char *text, uint64_t now_ns, bool utc, struct when *ret, char *err)
{
	if (!text || !when_parse(text, now_ns, utc, ret))
		return 0;
	snprintf(err, CLI_ERR_SIZE,
		 "'%.60s' is no time: expected one such as 12:03:41, '2026-11-25 12:03:41' or '5m ago'", text);
	return history_clean(err);
}

static int history_parse_span(struct history_command_options *opts, uint64_t now_ns, char *err)
{
	struct when since = { 0 }, until = { 0 };

	if (history_parse_time(opts->since_text, now_ns, opts->utc, &since, err) < 0 ||
	    history_parse_time(opts->until_text, now_ns, opts->utc, &until, err) < 0)
		return -EINVAL;
	if (opts->until_text && until.to_ns < since.from_ns) {
		snprintf(err, CLI_ERR_SIZE, "--until is before --since");
		return -EINVAL;
	}
	opts->query.from_ns = since.from_ns;
	opts->query.to_ns = until.to_ns;
	return 0;
}

static int history_parse_port(struct history_command_options *opts, const struct service_table *names, char *err)
{
	struct service_query query = { 0 };

	if (!opts->port_text)
		return 0;
	if (service_parse_query(opts->port_text, names, &query, err) < 0)
		return history_clean(err);
	opts->either_port = query.ports[0];
	if (query.protos == 1u << PROTO_TCP)
		opts->query.proto = PROTO_TCP;
	else if (query.protos == 1u << PROTO_UDP)
		opts->query.proto = PROTO_UDP;
	return 0;
}

int history_options_parse(struct history_command_options *opts, int argc, char **argv,
			  const struct service_table *names, uint64_t now_ns, char *err)
{
	int r;

	memset(opts, 0, sizeof(*opts));
	opts->query = (struct history_query){ .port = -1, .remote_port = -1, .proto = -1, .limit = HISTORY_LIMIT };
	opts->either_port = -1;
	r = cli_parse(&history_command, opts, argc, argv, err);
	if (r < 0 || opts->help)
		return r < 0 ? r : 0;
	if (history_parse_span(opts, now_ns, err) < 0)
		return -EINVAL;
	return history_parse_port(opts, names, err);
}
