// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "who_options.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "../netns.h"
#include "../parse.h"

/* Process ids end here (PID_MAX_LIMIT); inodes of namespaces are far above. */
#define WHO_PID_MAX 4194304
#define WHO_AT(field) offsetof(struct who_options, field)

static const struct cli_option who_rows[] = {
	CLI_ARG("Which:", 0, "at", "TIME", cli_set_text, WHO_AT(at_text),
		"who had it then, from the history: 12:03:41, '2026-11-25 12:03',\n"
		"2026-11-25T11:03:41Z, @1795608221, '5m ago'",
		"a time such as 12:03:41 or '5m ago'"),
	CLI_ARG("Which:", 0, "netns", "PID|PATH|INODE|all", cli_set_text, WHO_AT(netns_text),
		"only in this network namespace (all)", "a process id, a path such as /run/netns/blue, or all"),
	CLI_ARG("Which:", 0, "history", "PATH", cli_set_text, WHO_AT(history),
		"the history (/var/lib/porttrace/history.db)", "a path"),
	CLI_FLAG("Show:", 'j', "json", cli_set_true, WHO_AT(json), "JSON Lines, one object a socket"),
	CLI_FLAG("Show:", 'n', "numeric", cli_set_true, WHO_AT(numeric), "no names of users and services"),
	CLI_FLAG("Show:", 'H', "no-header", cli_set_true, WHO_AT(no_header), "no header line"),
	CLI_FLAG("Show:", 0, "utc", cli_set_true, WHO_AT(utc), "times in UTC, also that of --at"),
	{ .group = "Show:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = WHO_AT(help),
	  .help = "this text",
	  .final = true },
};

const struct cli_command who_command = {
	.name = "porttrace who",
	.usage = "[OPTIONS] PORT|NAME[/tcp|/udp]",
	.summary = "Tells who has a port, or who had it: listeners, connections, bound sockets, TIME_WAIT.",
	.operands = CLI_OPERANDS,
	.options = who_rows,
	.option_count = sizeof(who_rows) / sizeof(who_rows[0]),
	.epilog = "Examples:\n"
		  "  porttrace who 8080                        who has it now\n"
		  "  porttrace who 51707/tcp --at 12:03:41     who had it at 12:03:41\n"
		  "  porttrace who https --netns 4312          in the namespace of process 4312\n"
		  "\n"
		  "Ends with 0 if somebody has it, with 1 if nobody is known to.\n",
};

static int who_clean(char *err)
{
	for (; *err; err++)
		if ((unsigned char)*err < 32 || *err == 127)
			*err = '?';
	return -EINVAL;
}

int who_parse_netns(const char *text, uint32_t *ret_inum, char *err)
{
	char path[PATH_MAX];
	uint32_t number;
	int r;

	*ret_inum = 0;
	if (!strcmp(text, "all"))
		return 0;
	if (parse_u32(text, WHO_PID_MAX + 1, UINT32_MAX, &number) == 0) {
		*ret_inum = number;
		return 0;
	}
	r = netns_resolve(text, ret_inum, path, sizeof(path));
	if (r == 0)
		return 0;
	snprintf(err, CLI_ERR_SIZE, "no network namespace at %.120s: %s", path, strerrordesc_np(-r));
	return who_clean(err);
}

static int who_parse_at(struct who_options *opts, uint64_t now_ns, char *err)
{
	if (when_parse(opts->at_text, now_ns, opts->utc, &opts->at) < 0) {
		snprintf(err, CLI_ERR_SIZE,
			 "'%.60s' is no time: expected one such as 12:03:41, '2026-11-25 12:03:41' or '5m ago'",
			 opts->at_text);
		return who_clean(err);
	}
	if (opts->at.from_ns > now_ns) {
		snprintf(err, CLI_ERR_SIZE, "'%.60s' is still to come", opts->at_text);
		return who_clean(err);
	}
	return 0;
}

int who_options_parse(struct who_options *opts, int argc, char **argv, const struct service_table *names,
		      uint64_t now_ns, char *err)
{
	int operands;

	memset(opts, 0, sizeof(*opts));
	operands = cli_parse(&who_command, opts, argc, argv, err);
	if (operands < 0 || opts->help)
		return operands < 0 ? operands : 0;
	if (operands != 1) {
		snprintf(err, CLI_ERR_SIZE, operands ? "one port at a time" :
						       "which port? porttrace who 8080, https or 443/udp");
		return -EINVAL;
	}
	if (service_parse_query(argv[1], names, &opts->query, err) < 0)
		return who_clean(err);
	if (!opts->query.ports[0]) {
		snprintf(err, CLI_ERR_SIZE, "0 is no port: it stands for any");
		return -EINVAL;
	}
	if (opts->netns_text && who_parse_netns(opts->netns_text, &opts->netns_inum, err) < 0)
		return -EINVAL;
	return opts->at_text ? who_parse_at(opts, now_ns, err) : 0;
}
