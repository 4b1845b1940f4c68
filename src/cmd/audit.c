// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace audit: does the ledger equal the kernel's own tables? */
#include "../cmd.h"

#include <stddef.h>
#include <stdio.h>

#include "../cli.h"
#include "help.h"
#include "trace.h"

#define AUDIT_EVERY_NS (UINT64_C(5) * 1000000000)
#define AUDIT_AT(field) offsetof(struct trace_options, field)
#define AUDIT "Options:"

static const struct cli_option audit_rows[] = {
	CLI_ARG(AUDIT, 0, "every", "TIME", cli_set_duration, AUDIT_AT(audit_every_ns),
		"time between two comparisons (default: 5 s)", "a time such as 10, 1.5s or 2m"),
	CLI_ARG(AUDIT, 'd', "duration", "TIME", cli_set_duration, AUDIT_AT(duration_ns),
		"end after this time (default: at Ctrl-C)", "a time such as 10, 1.5s or 2m"),
	CLI_ARG(AUDIT, 0, "backend", "NAME", trace_set_backend, AUDIT_AT(backend), "auto (default), tracing, cgroup",
		"auto, tracing or cgroup"),
	CLI_ARG(AUDIT, 0, "attach-mode", "MODE", trace_set_mode, AUDIT_AT(attach_mode),
		"auto (default), F (fentry), X (kprobe)", "auto, F or X"),
	CLI_ARG(AUDIT, 0, "cgroup", "PATH", cli_set_text, AUDIT_AT(cgroup), "processes of this cgroup",
		"a cgroup v2 directory such as /sys/fs/cgroup/system.slice"),
	TRACE_LEDGER_ROW(AUDIT, AUDIT_AT(max_sockets)),
	CLI_FLAG(AUDIT, 'v', "verbose", cli_set_true, AUDIT_AT(verbose), "tell what is attached, and how"),
	CLI_FLAG(AUDIT, 'h', "help", cli_set_true, AUDIT_AT(help), "this text"),
};

static const struct cli_command audit_command = {
	.name = "porttrace audit",
	.usage = "[OPTIONS]",
	.summary = "Compares what porttrace remembers of every port with the kernel's own tables, again\n"
		   "and again, and prints what differs. Exit status 0: nothing did.",
	.options = audit_rows,
	.option_count = sizeof(audit_rows) / sizeof(audit_rows[0]),
};

static int audit_main(int argc, char **argv)
{
	static struct trace_options opts; /* large: port sets */
	char err[CLI_ERR_SIZE];

	trace_options_init(&opts);
	opts.audit_every_ns = AUDIT_EVERY_NS;
	opts.no_output = true;
	if (cli_parse(&audit_command, &opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace audit --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	return opts.help ? help_print(&audit_command) : trace_execute(&opts);
}

const struct command cmd_audit = { "audit", "does what porttrace remembers equal the kernel's tables", audit_main };
