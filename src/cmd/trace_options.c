// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../parse.h"
#include "filter_options.h"
#include "free_options.h"

#define TRACE_RINGBUF_MIN (4u << 10)
#define TRACE_ITEM_MAX 256
#define TRACE_RINGBUF_MAX (1u << 30)

/* ---- setters ---- */

/* "all" are those shown without the option: releases have to be asked for by name. */
static int trace_set_kinds(void *field, const char *text, char *why)
{
	uint32_t *kinds = field;
	char item[TRACE_ITEM_MAX];
	int more, err = 0;

	while (!err && (more = parse_list_next(&text, item, sizeof(item))) > 0) {
		if (!strcmp(item, "all"))
			*kinds |= (1u << EVENT_RELEASE) - 1;
		else
			err = filter_set_words(kinds, "event", event_kind_names, EVENT_KIND_COUNT, 0, item, why);
	}
	return err ? err : more;
}

int trace_set_backend(void *field, const char *text, char *why)
{
	static const char *const words[] = {
		[TRACE_BACKEND_AUTO] = "auto",
		[TRACE_BACKEND_TRACING] = "tracing",
		[TRACE_BACKEND_CGROUP] = "cgroup",
	};
	int i = cli_word("backend", words, sizeof(words) / sizeof(words[0]), text, why);

	if (i >= 0)
		*(enum trace_backend *)field = (enum trace_backend)i;
	return i < 0 ? i : 0;
}

int trace_set_mode(void *field, const char *text, char *why)
{
	static const char *const words[] = { "auto", "F", "X", "fentry", "kprobe", "f", "x" };
	static const enum trace_attach_mode modes[] = {
		TRACE_MODE_AUTO, TRACE_MODE_F, TRACE_MODE_X, TRACE_MODE_F,
		TRACE_MODE_X,	 TRACE_MODE_F, TRACE_MODE_X,
	};
	size_t count = sizeof(words) / sizeof(words[0]);
	int i = parse_word(words, count, text);

	if (i < 0) /* the two lower-case spellings work, but need no mention */
		return cli_word("attach mode", words, count - 2, text, why);
	*(enum trace_attach_mode *)field = modes[i];
	return 0;
}

static int trace_set_color(void *field, const char *text, char *why)
{
	static const char *const words[] = {
		[TRACE_COLOR_AUTO] = "auto",
		[TRACE_COLOR_ALWAYS] = "always",
		[TRACE_COLOR_NEVER] = "never",
	};
	int i = cli_word("colour choice", words, sizeof(words) / sizeof(words[0]), text, why);

	if (i >= 0)
		*(enum trace_color *)field = (enum trace_color)i;
	return i < 0 ? i : 0;
}

int trace_set_listen(void *field, const char *text, char *why)
{
	const char *colon = strrchr(text, ':');
	char address[TRACE_ITEM_MAX];
	struct endpoint ep;
	uint32_t port;

	(void)why;
	if (!colon || colon - text >= (int)sizeof(address) || (text[0] != '[' && strchr(text, ':') != colon))
		return -EINVAL;
	snprintf(address, sizeof(address), "%.*s", (int)(colon - text), text);
	if (free_parse_address(address, &ep) < 0 || parse_u32(colon + 1, 1, UINT16_MAX, &port) < 0)
		return -EINVAL;
	ep.has_port = true;
	ep.port = (uint16_t)port;
	*(struct endpoint *)field = ep;
	return 0;
}

static int trace_set_ringbuf(void *field, const char *text, char *why)
{
	uint64_t bytes;
	int err = parse_size(text, &bytes);

	(void)why;
	if (err)
		return err;
	if (bytes < TRACE_RINGBUF_MIN || bytes > TRACE_RINGBUF_MAX || (bytes & (bytes - 1)))
		return -ERANGE;
	*(uint32_t *)field = (uint32_t)bytes;
	return 0;
}

int trace_add_sink(void *field, const char *text, char *why)
{
	struct trace_sink_list *list = field;

	if (list->count == TRACE_SINKS_MAX) {
		snprintf(why, CLI_ERR_SIZE, "more than %d sinks", TRACE_SINKS_MAX);
		return -E2BIG;
	}
	list->uris[list->count++] = text;
	return 0;
}

int trace_set_on_full(void *field, const char *text, char *why)
{
	static const char *const words[] = { "drop", "block" };
	int i = cli_word("choice", words, 2, text, why);

	if (i >= 0)
		*(bool *)field = i == 1;
	return i < 0 ? i : 0;
}

/* ---- the rows ---- */

#define TRACE_AT(field) offsetof(struct trace_options, field)
#define SELECT "Select (each kind of option narrows further):"
#define SHOW "Show:"
#define FEED "Feed:"
#define STOP "Stop:"
#define OTHER "Other:"
#define CIDRS "addresses and ranges such as 10.0.0.0/8,fe80::/10,::1"
#define PORTS "ports such as 80,8000-8099,https"

static const struct cli_option trace_rows[] = {
	CLI_ARG(SELECT, 'p', "pid", "PID[,..]", filter_set_pids, TRACE_AT(filter), "these processes",
		"process ids such as 4312 or 4312,977"),
	CLI_FLAG(SELECT, 0, "follow", cli_set_true, TRACE_AT(filter.follow_children),
		 "with -p: their children and further descendants too"),
	CLI_ARG(SELECT, 'c', "comm", "NAME[,..]", filter_set_comms, TRACE_AT(filter),
		"processes of this name (its first 15 bytes count)",
		"process names such as nginx or nginx,redis-server"),
	CLI_ARG(SELECT, 'u', "uid", "USER[,..]", filter_set_uids, TRACE_AT(filter), "processes of these users",
		"users such as www-data,1000"),
	CLI_ARG(SELECT, 'P', "port", "PORTS", filter_set_ports, TRACE_AT(filter.either),
		"port on either side: 443,8000-8099,https", PORTS),
	CLI_ARG(SELECT, 'L', "lport", "PORTS", filter_set_ports, TRACE_AT(filter.local),
		"local port, also one asked for in vain", PORTS),
	CLI_ARG(SELECT, 'D', "dport", "PORTS", filter_set_ports, TRACE_AT(filter.remote),
		"remote port", PORTS),
	CLI_ARG(SELECT, 'a', "addr", "CIDR[,..]", filter_set_addresses, TRACE_AT(filter.addr),
		"address on either side: 10.0.0.0/8,fe80::/10,::1", CIDRS),
	CLI_ARG(SELECT, 0, "laddr", "CIDR[,..]", filter_set_addresses, TRACE_AT(filter.local_addr),
		"local address", CIDRS),
	CLI_ARG(SELECT, 0, "daddr", "CIDR[,..]", filter_set_addresses, TRACE_AT(filter.remote_addr),
		"remote address", CIDRS),
	CLI_ARG(SELECT, 'e', "event", "EVENT[,..]", trace_set_kinds, TRACE_AT(filter.kinds),
		"bind, listen, connect, accept, close (default: all\nof these), release",
		"events such as bind,listen"),
	CLI_FLAG(SELECT, '4', "ipv4", cli_set_true, TRACE_AT(filter.ipv4),
		 "IPv4 (v4-mapped IPv6 addresses too)"),
	CLI_FLAG(SELECT, '6', "ipv6", cli_set_true, TRACE_AT(filter.ipv6), "IPv6"),
	CLI_FLAG(SELECT, 0, "tcp", cli_set_true, TRACE_AT(filter.tcp), "TCP"),
	CLI_FLAG(SELECT, 0, "udp", cli_set_true, TRACE_AT(filter.udp), "UDP"),
	CLI_FLAG(SELECT, 'x', "failed", cli_set_true, TRACE_AT(filter.failed_only),
		 "only what did not succeed"),
	CLI_ARG(SELECT, 0, "class", "CLASS[,..]", filter_set_classes, TRACE_AT(filter.classes),
		"class of the service's port: well-known (0-1023),\nregistered (1024-49151), "
		"dynamic (49152-65535)",
		"port classes such as well-known,registered"),
	CLI_FLAG(SELECT, 0, "seccomp", cli_set_true, TRACE_AT(seccomp),
		 "also calls that a seccomp filter refuses (costs\nevery system call of processes with a filter)"),
	CLI_ARG(SELECT, 0, "cgroup", "PATH", cli_set_text, TRACE_AT(cgroup),
		"processes of this cgroup and of all below it",
		"a cgroup v2 directory such as /sys/fs/cgroup/system.slice"),
	CLI_ARG(SELECT, 0, "container", "ID[,..]", filter_set_containers, TRACE_AT(filter),
		"processes of these containers: ids, or how they\nbegin", "container ids such as 3f9a0c72d1b4"),
	CLI_ARG(SELECT, 0, "netns", "PID|PATH", cli_set_text, TRACE_AT(netns),
		"sockets of this network namespace",
		"a process id or a path such as /run/netns/blue"),

	CLI_FLAG(SHOW, 'j', "json", cli_set_true, TRACE_AT(json),
		 "JSON Lines instead of the table"),
	CLI_FLAG(SHOW, 'n', "numeric", cli_set_true, TRACE_AT(numeric),
		 "no user and service names"),
	CLI_FLAG(SHOW, 'w', "wide", cli_set_true, TRACE_AT(wide), "columns wide enough for IPv6"),
	CLI_FLAG(SHOW, 'H', "no-header", cli_set_false, TRACE_AT(header), "no header line"),
	CLI_FLAG(SHOW, 0, "utc", cli_set_true, TRACE_AT(utc),
		 "time of day in UTC (JSON always is)"),
	CLI_ARG(SHOW, 0, "color", "WHEN", trace_set_color, TRACE_AT(color),
		"auto (default), always, never", "auto, always or never"),

	TRACE_SINK_ROWS(FEED),
	CLI_ARG(FEED, 0, "history", "PATH", cli_set_text, TRACE_AT(history),
		"also keep who had which port in this file, for\n'porttrace who PORT --at TIME'",
		"a file such as /var/lib/porttrace/history.db"),
	TRACE_METRICS_ROWS(FEED),

	CLI_ARG(STOP, 'd', "duration", "TIME", cli_set_duration, TRACE_AT(duration_ns),
		"after this time: 10 (seconds), 1.5s, 500ms, 2m",
		"a time such as 10, 1.5s, 500ms or 2m"),
	CLI_ARG(STOP, 0, "count", "N", cli_set_count, TRACE_AT(count), "after so many events shown",
		"a number of events, 1 or more"),

	CLI_ARG(OTHER, 0, "backend", "NAME", trace_set_backend, TRACE_AT(backend),
		"auto (default), tracing, cgroup", "auto, tracing or cgroup"),
	CLI_ARG(OTHER, 0, "attach-mode", "MODE", trace_set_mode, TRACE_AT(attach_mode),
		"auto (default), F (fentry), X (kprobe)", "auto, F or X"),
	CLI_ARG(OTHER, 0, "ringbuf", "SIZE", trace_set_ringbuf, TRACE_AT(ringbuf_bytes),
		"room for events not yet read: 1M, 8M, ...",
		"a power of two from 4K to 1G, such as 8M"),
	TRACE_LEDGER_ROW(OTHER, TRACE_AT(max_sockets)),
	CLI_FLAG(OTHER, 0, "immediate", cli_set_true, TRACE_AT(immediate),
		 "show each event at once, not up to 20 ms later\n(costs several times more)"),
	CLI_FLAG(OTHER, 0, "cost", cli_set_true, TRACE_AT(cost),
		 "tell at the end what porttrace itself has cost"),
	CLI_FLAG(OTHER, 0, "no-prefilter", cli_set_true, TRACE_AT(no_prefilter),
		 "select in porttrace alone, not in the kernel (to\ncompare)"),
	CLI_FLAG(OTHER, 'q', "quiet", cli_set_true, TRACE_AT(quiet), "no closing line, no remarks"),
	CLI_FLAG(OTHER, 'v', "verbose", cli_set_true, TRACE_AT(verbose),
		 "tell what is attached, and how"),
	{ .group = OTHER,
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = TRACE_AT(help),
	  .help = "this text",
	  .final = true },
	{ .group = OTHER,
	  .short_name = 'V',
	  .long_name = "version",
	  .set = cli_set_true,
	  .offset = TRACE_AT(version),
	  .help = "the version and what was built in",
	  .final = true },
};

const struct cli_command trace_command = {
	.name = "porttrace",
	.usage = "[OPTIONS]\n[OPTIONS] -- COMMAND [ARG...]",
	.summary = "Shows every port being assigned, as it happens:\n"
		   "bind, listen, connect, accept, close, in all processes or in COMMAND and its\n"
		   "children; then exits with the status of COMMAND.",
	.operands = CLI_COMMAND,
	.options = trace_rows,
	.option_count = sizeof(trace_rows) / sizeof(trace_rows[0]),
	.epilog =
		"Examples:\n"
		"  porttrace -x                        what fails, and why\n"
		"  porttrace -e bind,listen            who opens ports\n"
		"  porttrace -D 5432 -p 4312           connections of process 4312 to PostgreSQL\n"
		"  porttrace --json -- curl -s URL     all that curl does, as JSON Lines\n",
};

void trace_options_init(struct trace_options *opts)
{
	memset(opts, 0, sizeof(*opts));
	filter_init(&opts->filter);
	opts->header = true;
}

int trace_options_check(const struct trace_options *opts, char *err)
{
	if (!opts->filter.follow_children || opts->filter.pid_count || opts->help || opts->version)
		return 0;
	snprintf(err, CLI_ERR_SIZE,
		 "option '--follow' goes with -p PID (a COMMAND's children are followed without it)");
	return -EINVAL;
}

int trace_options_parse(struct trace_options *opts, int argc, char **argv, char *err)
{
	int operands;

	trace_options_init(opts);
	operands = cli_parse(&trace_command, opts, argc, argv, err);
	if (operands > 0)
		opts->command = argv + 1;
	return operands < 0 ? operands : trace_options_check(opts, err);
}

bool trace_options_color(const struct trace_options *opts, int fd)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	if (opts->color != TRACE_COLOR_AUTO)
		return opts->color == TRACE_COLOR_ALWAYS;
	return !(no_color && no_color[0]) && term && strcmp(term, "dumb") && isatty(fd);
}
