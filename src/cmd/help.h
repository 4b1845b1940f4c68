/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef PORTTRACE_CMD_HELP_H
#define PORTTRACE_CMD_HELP_H

struct cli_command;

/* Prints what cli_help() says of a command to standard output. The exit status. */
int help_print(const struct cli_command *cmd);

#endif
