// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "help.h"

#include <stdio.h>

#include "../cli.h"
#include "../cmd.h"

int help_print(const struct cli_command *cmd)
{
	static char text[16384];
	struct buf out = { .data = text, .size = sizeof(text) };

	cli_help(cmd, &out);
	return fwrite(text, 1, out.len, stdout) == out.len && !fflush(stdout) ? EXIT_STATUS_OK : EXIT_STATUS_FAILED;
}
