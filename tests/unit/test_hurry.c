// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <sys/resource.h>

#include "hurry.h"

/* What a thread of its own, which the kernel gives the nice value of this one, has found. */
struct found {
	int own; /* set first; 0: none */
	int most; /* that it may ask for */
	int before, hurried, after;
};

static int nice_now(void)
{
	return getpriority(PRIO_PROCESS, 0);
}

static void *hurry_once(void *arg)
{
	struct found *f = arg;
	struct hurry h = { 0 };

	setpriority(PRIO_PROCESS, 0, f->own);
	f->before = nice_now();
	hurry_set(&h, false);
	hurry_set(&h, true);
	hurry_set(&h, true);
	f->hurried = nice_now();
	hurry_set(&h, false);
	f->after = nice_now();
	f->most = setpriority(PRIO_PROCESS, 0, -20) ? f->own : -20;
	return NULL;
}

static struct found in_a_thread(int own)
{
	struct found f = { .own = own };
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, hurry_once, &f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(f.before, own);
	return f;
}

static void test_there_and_back(void **state)
{
	struct found f;

	(void)state;
	if (nice_now() != 0)
		skip();
	f = in_a_thread(0);
	assert_int_equal(f.hurried, f.most);
	assert_int_equal(f.after, 0);
	assert_int_equal(nice_now(), 0); /* it alone */
}

/* Somebody has said how important it is. */
static void test_a_value_of_its_own(void **state)
{
	struct found f;

	(void)state;
	if (nice_now() > 7)
		skip();
	f = in_a_thread(7);
	assert_int_equal(f.hurried, 7);
	assert_int_equal(f.after, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_there_and_back),
		cmocka_unit_test(test_a_value_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
