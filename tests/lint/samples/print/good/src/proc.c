// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
void proc_say(FILE *f, char *s)
{
	snprintf(s, 9, "printf(%d)", 1);
	fprintf(f, "to stderr");
	/* printf("x") */
}
