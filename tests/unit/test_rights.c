// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* rights.c against /proc: what a thread has left, and that its neighbours keep what they have. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "rights.h"

/* A line of the calling thread's status, as a number of base 16. */
static uint64_t status_line(const char *name)
{
	FILE *f = fopen("/proc/thread-self/status", "r");
	uint64_t value = UINT64_MAX;
	char line[256];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, name, strlen(name)) && line[strlen(name)] == ':')
			sscanf(line + strlen(name) + 1, "%" SCNx64, &value);
	fclose(f);
	return value;
}

struct seen {
	uint64_t permitted, effective, inheritable, ambient, bounding, no_new_privs;
};

static void *look(void *arg)
{
	struct seen *s = arg;

	*s = (struct seen){ status_line("CapPrm"), status_line("CapEff"), status_line("CapInh"),
			    status_line("CapAmb"), status_line("CapBnd"), status_line("NoNewPrivs") };
	return NULL;
}

/* The thread, and one that it starts. */
static int look_twice(void *arg)
{
	struct seen *s = arg;
	pthread_t thread;

	look(&s[0]);
	if (pthread_create(&thread, NULL, look, &s[1]))
		return -EAGAIN;
	pthread_join(thread, NULL);
	return 7;
}

static void a_thread_keeps_what_it_is_told_to(void **state)
{
	uint64_t held = rights_held(), want = RIGHTS_BIT(CAP_SYS_PTRACE) | RIGHTS_BIT(CAP_BPF) | RIGHTS_BIT(63);
	bool root = held & RIGHTS_BIT(CAP_SETPCAP);
	struct seen before, s[2], after;

	(void)state;
	look(&before);
	assert_int_equal(held, before.permitted);
	assert_int_equal(rights_run(want, look_twice, s), 7);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(s[i].permitted, held & want);
		assert_int_equal(s[i].effective, held & want);
		assert_int_equal(s[i].inheritable, 0);
		assert_int_equal(s[i].ambient, 0);
		assert_int_equal(s[i].bounding, root ? 0 : before.bounding);
		assert_int_equal(s[i].no_new_privs, 1);
	}
	look(&after);
	assert_memory_equal(&before, &after, sizeof(before));
}

static int keep_all(void *arg)
{
	(void)arg;
	return rights_keep(UINT64_MAX) ? 1 : rights_held() == RIGHTS_BIT(CAP_SYS_PTRACE) ? 2 : 3;
}

static void what_was_given_up_does_not_come_back(void **state)
{
	(void)state;
	if (!(rights_held() & RIGHTS_BIT(CAP_SYS_PTRACE)))
		skip();
	assert_int_equal(rights_run(RIGHTS_BIT(CAP_SYS_PTRACE), keep_all, NULL), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_keeps_what_it_is_told_to),
		cmocka_unit_test(what_was_given_up_does_not_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
