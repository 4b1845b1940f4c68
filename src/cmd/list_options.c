// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "list_options.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../cache.h"
#include "../parse.h"
#include "../sockdiag.h"
#include "filter_options.h"

#define LIST_ITEM_MAX 64
#define LIST_WATCH_NS (2 * NS_PER_SEC)

const char *const list_column_names[LIST_COLUMN_COUNT] = {
	[LIST_PROTO] = "proto",	      [LIST_STATE] = "state",	    [LIST_PID] = "pid",
	[LIST_PROCESS] = "process",   [LIST_USER] = "user",	    [LIST_LOCAL] = "local",
	[LIST_REMOTE] = "remote",     [LIST_CLASS] = "class",	    [LIST_SERVICE] = "service",
	[LIST_KERNEL] = "kernel",     [LIST_HOW] = "how",	    [LIST_AGE] = "age",
	[LIST_SENT] = "sent",	      [LIST_RECEIVED] = "received", [LIST_QUEUE] = "queue",
	[LIST_BACKLOG] = "backlog",   [LIST_LEFT] = "left",	    [LIST_NETNS] = "netns",
	[LIST_CONTAINER] = "container", [LIST_UNIT] = "unit",	    [LIST_POD] = "pod",
	[LIST_OWNERS] = "owners",     [LIST_FD] = "fd",		    [LIST_COOKIE] = "cookie",
	[LIST_MARK] = "mark",	      [LIST_DEVICE] = "device",	    [LIST_EXECUTABLE] = "executable",
	[LIST_COMMAND] = "command",
};

/* ---- setters ---- */

static int list_set_columns(void *field, const char *text, char *why)
{
	struct list_columns *columns = field;
	char item[LIST_ITEM_MAX];
	int more;

	while ((more = parse_list_next(&text, item, sizeof(item))) > 0) {
		int i = cli_word("column", list_column_names, LIST_COLUMN_COUNT, item, why);

		if (i < 0)
			return i;
		if (columns->count == LIST_MAX_COLUMNS) {
			snprintf(why, CLI_ERR_SIZE, "at most %d columns can be chosen", LIST_MAX_COLUMNS);
			return -E2BIG;
		}
		columns->list[columns->count++] = (enum list_column)i;
	}
	return more;
}

/* "age", or "-age": the largest first. */
static int list_set_sort(void *field, const char *text, char *why)
{
	struct list_sort *sort = field;
	bool descending = text[0] == '-';
	int i = cli_word("column", list_column_names, LIST_COLUMN_COUNT, text + descending, why);

	if (i < 0)
		return i;
	*sort = (struct list_sort){ true, descending, (enum list_column)i };
	return 0;
}

static int list_set_watch(void *field, const char *text, char *why)
{
	if (text)
		return cli_set_duration(field, text, why);
	*(uint64_t *)field = LIST_WATCH_NS;
	return 0;
}

/* "bound" and "connected" are words for both protocols' numbers. */
static int list_set_states(void *field, const char *text, char *why)
{
	static const char *const words[] = {
		"established", "syn-sent",   "syn-recv", "fin-wait-1", "fin-wait-2", "time-wait",
		"bound",       "close-wait", "last-ack", "listen",     "closing",    "connected",
	};
	uint32_t bits = 0;
	int r = filter_set_words(&bits, "state", words, sizeof(words) / sizeof(words[0]), 0, text, why);

	if (r < 0)
		return r;
	if (bits & 1u << 11)
		bits |= 1u << 0;
	bits = (bits & 0x7ff) << 1;
	if (bits & 1u << SOCKDIAG_SYN_RECV)
		bits |= 1u << SOCKDIAG_NEW_SYN_RECV;
	if (bits & 1u << SOCKDIAG_CLOSE)
		bits |= 1u << SOCKDIAG_BOUND;
	*(uint32_t *)field |= bits;
	return 0;
}

static int list_set_listeners(void *field, const char *text, char *why)
{
	(void)text;
	(void)why;
	*(uint32_t *)field |= 1u << SOCKDIAG_LISTEN | 1u << SOCKDIAG_CLOSE | 1u << SOCKDIAG_BOUND;
	return 0;
}

/* ---- the rows ---- */

#define LIST_AT(field) offsetof(struct list_options, field)
#define SELECT "Select (each kind of option narrows further):"
#define SHOW "Show:"
#define OTHER "Other:"
#define CIDRS "addresses and ranges such as 10.0.0.0/8,fe80::/10,::1"
#define PORTS "ports such as 80,8000-8099,https"

static const struct cli_option list_rows[] = {
	CLI_ARG(SELECT, 'p', "pid", "PID[,..]", filter_set_pids, LIST_AT(filter), "sockets of these processes",
		"process ids such as 4312 or 4312,977"),
	CLI_ARG(SELECT, 'c', "comm", "NAME[,..]", filter_set_comms, LIST_AT(filter),
		"of processes of this name (its first 15 bytes count)",
		"process names such as nginx or nginx,redis-server"),
	CLI_ARG(SELECT, 'u', "uid", "USER[,..]", filter_set_uids, LIST_AT(filter), "sockets of these users",
		"users such as www-data,1000"),
	CLI_ARG(SELECT, 'P', "port", "PORTS", filter_set_ports, LIST_AT(filter.either),
		"port on either side: 443,8000-8099,https", PORTS),
	CLI_ARG(SELECT, 'L', "lport", "PORTS", filter_set_ports, LIST_AT(filter.local), "local port", PORTS),
	CLI_ARG(SELECT, 'D', "dport", "PORTS", filter_set_ports, LIST_AT(filter.remote), "remote port", PORTS),
	CLI_ARG(SELECT, 'a', "addr", "CIDR[,..]", filter_set_addresses, LIST_AT(filter.addr),
		"address on either side: 10.0.0.0/8,fe80::/10,::1", CIDRS),
	CLI_ARG(SELECT, 0, "laddr", "CIDR[,..]", filter_set_addresses, LIST_AT(filter.local_addr), "local address",
		CIDRS),
	CLI_ARG(SELECT, 0, "daddr", "CIDR[,..]", filter_set_addresses, LIST_AT(filter.remote_addr), "remote address",
		CIDRS),
	CLI_ARG(SELECT, 's', "state", "STATE[,..]", list_set_states, LIST_AT(states),
		"listen, established, time-wait, close-wait, bound,\nconnected (UDP), syn-sent, syn-recv, fin-wait-1,\n"
		"fin-wait-2, last-ack, closing",
		"states such as listen,time-wait"),
	CLI_FLAG(SELECT, 'l', "listening", list_set_listeners, LIST_AT(states),
		 "what waits for others: listening TCP, unconnected UDP,\nand what is only bound"),
	CLI_FLAG(SELECT, '4', "ipv4", cli_set_true, LIST_AT(filter.ipv4), "IPv4 (v4-mapped IPv6 addresses too)"),
	CLI_FLAG(SELECT, '6', "ipv6", cli_set_true, LIST_AT(filter.ipv6), "IPv6"),
	CLI_FLAG(SELECT, 0, "tcp", cli_set_true, LIST_AT(filter.tcp), "TCP"),
	CLI_FLAG(SELECT, 0, "udp", cli_set_true, LIST_AT(filter.udp), "UDP"),
	CLI_ARG(SELECT, 0, "class", "CLASS[,..]", filter_set_classes, LIST_AT(filter.classes),
		"class of the service's port: well-known (0-1023),\nregistered (1024-49151), dynamic (49152-65535)",
		"port classes such as well-known,registered"),
	CLI_ARG(SELECT, 0, "cgroup", "PATH", cli_set_text, LIST_AT(cgroup),
		"sockets made in this cgroup or below; what is in\nTIME_WAIT is of none",
		"a cgroup v2 directory such as /sys/fs/cgroup/system.slice"),
	CLI_ARG(SELECT, 0, "container", "ID[,..]", filter_set_containers, LIST_AT(filter),
		"of processes of these containers: an id, or how it\nbegins", "container ids such as 3f9a0c72d1b4"),
	CLI_ARG(SELECT, 0, "netns", "PID|PATH", cli_set_text, LIST_AT(netns), "sockets of this network namespace",
		"a process id or a path such as /run/netns/blue"),

	CLI_ARG(SHOW, 'o', "output", "COLUMN[,..]", list_set_columns, LIST_AT(columns),
		"these columns: proto, state, pid, process, user,\nlocal, remote, class, service, kernel, how, age,\n"
		"sent, received, queue, backlog, left, netns,\ncontainer, unit, pod, owners, fd, cookie, mark,\n"
		"device, executable, command",
		"columns such as local,process,age"),
	CLI_ARG(SHOW, 0, "sort", "[-]COLUMN", list_set_sort, LIST_AT(sort),
		"by this column; with '-' the largest first",
		"a column such as age or -received"),
	CLI_FLAG(SHOW, 'j', "json", cli_set_true, LIST_AT(json), "JSON Lines, one object a socket"),
	CLI_FLAG(SHOW, 'n', "numeric", cli_set_true, LIST_AT(numeric), "no user and service names"),
	CLI_FLAG(SHOW, 'w', "wide", cli_set_true, LIST_AT(wide),
		 "columns wide enough for IPv6, and no line cut at the\nedge of the terminal"),
	CLI_FLAG(SHOW, 'H', "no-header", cli_set_false, LIST_AT(header), "no header line"),
	{ .group = SHOW,
	  .long_name = "watch",
	  .arg = "TIME",
	  .optional = true,
	  .set = list_set_watch,
	  .offset = LIST_AT(watch_ns),
	  .help = "again and again, every 2 s or as often as given",
	  .expects = "a time such as 1, 0.5 or 500ms" },

	CLI_ARG(OTHER, 0, "history", "PATH", cli_set_text, LIST_AT(history),
		"the history that tells who had what, since when\n(/var/lib/porttrace/history.db, if it is there)",
		"the file that a porttrace keeps its history in"),
	CLI_FLAG(OTHER, 'q', "quiet", cli_set_true, LIST_AT(quiet), "no remarks on what is missing"),
	{ .group = OTHER,
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = LIST_AT(help),
	  .help = "this text",
	  .final = true },
};

const struct cli_command list_command = {
	.name = "porttrace list",
	.usage = "[OPTIONS]",
	.summary = "Lists the TCP and UDP sockets of this machine, in all network namespaces, with\n"
		   "the processes that have them open; those that only have a port and those in\n"
		   "TIME_WAIT too. Needs no BPF; without root, processes of other users and other\n"
		   "namespaces are not visible, which is then said.",
	.operands = CLI_NO_OPERANDS,
	.options = list_rows,
	.option_count = sizeof(list_rows) / sizeof(list_rows[0]),
	.epilog = "Examples:\n"
		  "  porttrace list -l                   what listens here\n"
		  "  porttrace list -L 8080 -o local,process,owners,unit\n"
		  "  porttrace list -s time-wait --sort -left\n"
		  "  porttrace list --json -c nginx      all sockets of nginx, as JSON Lines\n",
};

int list_options_parse(struct list_options *opts, int argc, char **argv, char *err)
{
	int operands;

	memset(opts, 0, sizeof(*opts));
	filter_init(&opts->filter);
	opts->header = true;
	operands = cli_parse(&list_command, opts, argc, argv, err);
	return operands < 0 ? operands : 0;
}
