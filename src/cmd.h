/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A subcommand: one file in cmd/, one row in main.c. */
#ifndef PORTTRACE_CMD_H
#define PORTTRACE_CMD_H

/* What porttrace ends with (porttrace(8), EXIT STATUS). */
enum exit_status {
	EXIT_STATUS_OK = 0, /* also after Ctrl-C, SIGTERM, and when the reader of the output has gone */
	EXIT_STATUS_FAILED = 1,
	EXIT_STATUS_USAGE = 2,
	EXIT_STATUS_NOT_PERMITTED = 3,
	EXIT_STATUS_NO_KERNEL_SUPPORT = 4,
	EXIT_STATUS_LOSS = 5, /* with --fail-on-loss: events were lost */
};

struct command {
	const char *name; /* NULL = the default command, trace */
	const char *summary;
	int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns the exit status */
};

extern const struct command cmd_trace, cmd_list, cmd_who, cmd_history, cmd_service, cmd_doctor, cmd_audit, cmd_daemon,
	cmd_free, cmd_pressure, cmd_why, cmd_record, cmd_replay;

/* Exit status for a negative errno of attach_open() and the like. */
int cmd_exit_status(int error);

#endif
