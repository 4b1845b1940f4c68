// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The least that writing lines can cost: those of the standard input, ready, each copied into a buffer that goes to
 * /dev/null when it is full, COUNT lines in all. Prints nanoseconds of CPU a line.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clock.h"

#define COPY_LINES 10000

int main(int argc, char **argv)
{
	static char *lines[COPY_LINES], buffer[64 * 1024];
	static size_t sizes[COPY_LINES], room;
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 10) : 0;
	size_t n = 0, len = 0;
	int fd = open("/dev/null", O_WRONLY);
	uint64_t begin_ns;
	ssize_t size;

	while (n < COPY_LINES && (size = getline(&lines[n], &room, stdin)) > 0) {
		sizes[n++] = (size_t)size;
		room = 0;
	}
	begin_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID);
	for (unsigned long i = 0; i < count && n; i++) {
		size_t at = i % n;

		if (len + sizes[at] > sizeof(buffer)) {
			if (write(fd, buffer, len) < 0)
				return 1;
			len = 0;
		}
		memcpy(buffer + len, lines[at], sizes[at]);
		len += sizes[at];
	}
	printf("%.1f\n", (double)(clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - begin_ns) / (double)(count ? count : 1));
	return n == 0;
}
