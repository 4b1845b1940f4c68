// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
void proc_say(void)
{
	printf("x"); // BAD
	puts("x"); // BAD
	fprintf(stderr, "x"); // BAD
	fputs("x", stdout); // BAD
	perror("x"); // BAD
	dprintf(STDERR_FILENO, "x"); // BAD
}
