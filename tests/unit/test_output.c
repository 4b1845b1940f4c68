// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "../../src/sink/output.h"

/* Events that count as not written when a disk takes only the first `room` bytes of the lines. */
static size_t test_pending(size_t room, const char *text)
{
	struct rlimit before, limit;
	struct output out = { 0 };
	FILE *disk = tmpfile();
	struct buf line;
	size_t pending;

	assert_non_null(disk);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = (struct rlimit){ room, before.rlim_max };
	output_init(&out, fileno(disk));
	output_line(&out, strlen(text), &line);
	buf_str(&line, text);
	output_commit(&out, &line);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(output_flush(&out), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	pending = output_pending(&out);
	assert_int_equal(out.buf.len, strlen(text) - room);
	fclose(disk);
	return pending;
}

/* Wherever the disk ends. */
static void test_torn_anywhere(void **state)
{
	static const char text[] = "one  and its columns\n  a note of one\ntwo      ok\nthree x\n";

	(void)state;
	for (size_t room = 1; room < strlen(text); room++) {
		size_t want = (room < strlen("one  and its columns\n")) +
			      (room < strlen("one  and its columns\n  a note of one\ntwo      ok\n")) + 1;

		assert_int_equal(test_pending(room, text), want);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_torn_anywhere),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
