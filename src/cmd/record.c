// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace record FILE [-- COMMAND]: the live command, whose events go into a file. */
#include "../cmd.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "../cli.h"
#include "../version.h"
#include "help.h"
#include "trace.h"
#include "trace_rows.h"

/* Beside the live command's, which --help names without telling them again. */
static const struct cli_option record_own[] = {
	CLI_FLAG("Options:", 0, "force", cli_set_true, offsetof(struct trace_options, record_force),
		 "also write over a file that is no recording"),
	CLI_FLAG("Options:", 'j', "json", cli_set_true, offsetof(struct trace_options, json),
		 "show the events meanwhile, as JSON Lines"),
	CLI_FLAG("Options:", 'h', "help", cli_set_true, offsetof(struct trace_options, help), "this text"),
};
#define RECORD_OWN_COUNT (sizeof(record_own) / sizeof(record_own[0]))

static const struct cli_command record_help = {
	.name = "porttrace record",
	.usage = "[OPTIONS] FILE\n[OPTIONS] FILE -- COMMAND [ARG...]",
	.summary = "Keeps all events in FILE, with what is known of their processes, for porttrace replay.",
	.operands = CLI_OPERANDS,
	.options = record_own,
	.option_count = RECORD_OWN_COUNT,
	.epilog = "And the options of porttrace (porttrace --help). What is recorded: -p, --follow,\n"
		  "--tcp, --udp, --netns, --cgroup, COMMAND. The others of that kind narrow what --json\n"
		  "shows. It ends after -d TIME or --count N, with COMMAND, or by Ctrl-C.\n\n"
		  "Examples:\n"
		  "  porttrace record -d 60 web.ptr           a minute of this machine\n"
		  "  porttrace record curl.ptr -- curl URL    all that curl does\n"
		  "  porttrace replay web.ptr -x              what failed in it\n",
};

/* Takes "-- COMMAND ARG..." off the line: NULL = there is none. */
static char **record_split(int *argc, char **argv)
{
	for (int i = 1; i < *argc; i++) {
		if (strcmp(argv[i], "--") != 0)
			continue;
		argv[i] = NULL;
		*argc = i;
		return argv + i + 1;
	}
	return NULL;
}

static int record_parse(struct trace_options *opts, int argc, char **argv, char *err)
{
	struct cli_option rows[TRACE_ROWS_MAX];
	struct cli_command cmd = record_help;
	char **command = record_split(&argc, argv);
	int n;

	cmd.options = rows;
	cmd.option_count = trace_rows_choose(rows, NULL, 0, record_own, 1);
	n = cli_parse(&cmd, opts, argc, argv, err);
	if (n < 0 || opts->help || opts->version)
		return n;
	if (n != 1) {
		snprintf(err, CLI_ERR_SIZE, n ? "one file at a time (a command stands behind '--')" :
						"record into which file?");
		return -1;
	}
	if (command && !command[0]) {
		snprintf(err, CLI_ERR_SIZE, "no command behind '--'");
		return -1;
	}
	if (trace_options_check(opts, err) < 0)
		return -1;
	opts->command = command;
	opts->record = argv[1];
	opts->no_output = !opts->json;
	return 0;
}

static int record_main(int argc, char **argv)
{
	static struct trace_options opts; /* large: port sets */
	char err[CLI_ERR_SIZE];

	trace_options_init(&opts);
	if (record_parse(&opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace record --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (opts.version) {
		version_print(stdout);
		return EXIT_STATUS_OK;
	}
	return opts.help ? help_print(&record_help) : trace_execute(&opts);
}

const struct command cmd_record = { "record", "keep all events in a file, for replay", record_main };
