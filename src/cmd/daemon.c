// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace daemon: feeds sinks, keeps the history and metrics, and shows nothing. */
#include "../cmd.h"

#include <stddef.h>
#include <stdio.h>

#include "../cli.h"
#include "../history.h"
#include "help.h"
#include "trace.h"

#define DAEMON_AT(field) offsetof(struct trace_options, field)
#define DAEMON "Options:"

static int daemon_set_no_history(void *field, const char *text, char *why)
{
	(void)text;
	(void)why;
	*(const char **)field = NULL;
	return 0;
}

static const struct cli_option daemon_rows[] = {
	CLI_ARG(DAEMON, 0, "history", "PATH", cli_set_text, DAEMON_AT(history),
		"the file to keep (default: " HISTORY_DEFAULT_PATH ")", "a file such as " HISTORY_DEFAULT_PATH),
	CLI_FLAG(DAEMON, 0, "no-history", daemon_set_no_history, DAEMON_AT(history), "keep no such file"),
	TRACE_SINK_ROWS(DAEMON),
	TRACE_METRICS_ROWS(DAEMON),
	TRACE_LEDGER_ROW(DAEMON, DAEMON_AT(max_sockets)),
	CLI_ARG(DAEMON, 'd', "duration", "TIME", cli_set_duration, DAEMON_AT(duration_ns),
		"end after this time (default: at SIGTERM)", "a time such as 10, 1.5s or 2m"),
	CLI_ARG(DAEMON, 0, "backend", "NAME", trace_set_backend, DAEMON_AT(backend), "auto (default), tracing, cgroup",
		"auto, tracing or cgroup"),
	CLI_ARG(DAEMON, 0, "cgroup", "PATH", cli_set_text, DAEMON_AT(cgroup), "processes of this cgroup",
		"a cgroup v2 directory such as /sys/fs/cgroup/system.slice"),
	CLI_FLAG(DAEMON, 'q', "quiet", cli_set_true, DAEMON_AT(quiet), "no closing line, no remarks"),
	CLI_FLAG(DAEMON, 'v', "verbose", cli_set_true, DAEMON_AT(verbose), "tell what is attached, and how"),
	CLI_FLAG(DAEMON, 'h', "help", cli_set_true, DAEMON_AT(help), "this text"),
};

static const struct cli_command daemon_command = {
	.name = "porttrace daemon",
	.usage = "[OPTIONS]",
	.summary = "Keeps who had which port in a file, for 'porttrace who PORT --at TIME' and\n"
		   "'porttrace history', sends events to sinks, and keeps metrics for Prometheus.\n"
		   "Stays in the foreground. When its programs are attached it gives up all rights\n"
		   "but those that 'porttrace doctor' lists.",
	.options = daemon_rows,
	.option_count = sizeof(daemon_rows) / sizeof(daemon_rows[0]),
	.epilog = "Signals:\n"
		  "  HUP   opens the files of sinks anew\n"
		  "  USR1  prints how many events were seen, lost and delivered so far\n"
		  "  TERM  delivers within 5 seconds what can be, prints the same, and ends\n",
};

static int daemon_main(int argc, char **argv)
{
	static struct trace_options opts; /* large: port sets */
	char err[CLI_ERR_SIZE];

	trace_options_init(&opts);
	opts.history = HISTORY_DEFAULT_PATH;
	opts.no_output = true;
	opts.service = true;
	if (cli_parse(&daemon_command, &opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace daemon --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (opts.help)
		return help_print(&daemon_command);
	if (!opts.history && !opts.sinks.count && !opts.metrics_file && !opts.metrics_listen.port) {
		fprintf(stderr, "porttrace: option '--no-history': then there is nothing to do without --sink, "
				"--metrics-file or --metrics-listen\n");
		return EXIT_STATUS_USAGE;
	}
	return trace_execute(&opts);
}

const struct command cmd_daemon = { "daemon", "keep who had which port, feed sinks and metrics, for systemd",
				    daemon_main };
