// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
int proc_read(void)
{
	return cmd_exit_status(1) + p->exit(1); /* not exit(1) */
}
