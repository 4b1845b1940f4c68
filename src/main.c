// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The table of commands; errno -> exit status; the only exit. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "cmd.h"

static const struct command *const main_commands[] = {
	&cmd_list,    &cmd_who,	  &cmd_pressure, &cmd_why,     &cmd_free,
	&cmd_history, &cmd_record, &cmd_replay, &cmd_daemon, &cmd_audit,	  &cmd_service, &cmd_doctor,
};
#define MAIN_COMMAND_COUNT (sizeof(main_commands) / sizeof(main_commands[0]))

int cmd_exit_status(int error)
{
	switch (error) {
	case 0:
	case -EPIPE:
		return EXIT_STATUS_OK;
	case -EPERM:
	case -EACCES:
		return EXIT_STATUS_NOT_PERMITTED;
	case -EOPNOTSUPP:
	case -ENOENT:
	case -ESRCH:
	case -EINVAL:
		return EXIT_STATUS_NO_KERNEL_SUPPORT;
	default:
		return EXIT_STATUS_FAILED;
	}
}

static int main_unknown(const char *word)
{
	const char *names[MAIN_COMMAND_COUNT];
	const char *nearest;

	for (size_t i = 0; i < MAIN_COMMAND_COUNT; i++)
		names[i] = main_commands[i]->name;
	nearest = cli_nearest(word, names, MAIN_COMMAND_COUNT);
	fprintf(stderr, "porttrace: unknown command '%s'%s%s%s\n", word, nearest ? ": did you mean '" : "",
		nearest ? nearest : "", nearest ? "'?" : "");
	fprintf(stderr, "To trace a command: porttrace -- %s ...\nTry 'porttrace --help'.\n", word);
	return EXIT_STATUS_USAGE;
}

int main(int argc, char **argv)
{
	if (argc < 2 || argv[1][0] == '-' || !argv[1][0])
		return cmd_trace.run(argc, argv);
	for (size_t i = 0; i < MAIN_COMMAND_COUNT; i++)
		if (!strcmp(argv[1], main_commands[i]->name))
			return main_commands[i]->run(argc - 1, argv + 1);
	return main_unknown(argv[1]);
}
