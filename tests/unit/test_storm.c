// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>

#include "events.h"
#include "storm.h"

#define SECOND UINT64_C(1000000000)

static int setup(void **state)
{
	return storm_new((struct storm **)state);
}

static int teardown(void **state)
{
	storm_free(*state);
	return 0;
}

static struct event failed(uint64_t time_ns, uint32_t pid)
{
	struct event ev = events_connect();

	ev.time_ns = time_ns;
	ev.pid = pid;
	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRNOTAVAIL;
	ev.cause = CAUSE_PORT_EXHAUSTED;
	return ev;
}

/* What passes stands for all that came, and of each storm one passes a second. */
static void test_nothing_is_lost(void **state)
{
	uint64_t passed[4] = { 0 }, came[4] = { 0 }, lines = 0;
	struct storm *s = *state;
	struct event ev;

	srand(1);
	for (uint64_t ms = 1000; ms < 11000; ms++) {
		unsigned int pid = 1 + (unsigned int)rand() % 3;

		while (storm_take(s, ms * 1000000, &ev)) {
			lines++;
			passed[ev.pid] += ev.repeats;
		}
		ev = failed(ms * 1000000, pid);
		came[pid]++;
		if (storm_hold(s, &ev))
			continue;
		lines++;
		passed[pid] += ev.repeats ? ev.repeats : 1;
	}
	while (storm_take(s, UINT64_MAX, &ev)) {
		lines++;
		passed[ev.pid] += ev.repeats;
	}
	for (int pid = 1; pid < 4; pid++)
		assert_int_equal(passed[pid], came[pid]);
	assert_in_range(lines, 3 * 10, 3 * 12);
}

static bool holds(struct storm *s, struct event ev)
{
	return storm_hold(s, &ev);
}

static void test_only_what_is_alike(void **state)
{
	struct event other = failed(SECOND, 1);
	struct storm *s = *state;

	assert_false(holds(s, failed(SECOND, 1)));
	assert_true(holds(s, failed(SECOND + 1, 1)));
	assert_false(holds(s, failed(SECOND + 2, 2)));
	other.remote.port++;
	assert_false(holds(s, other));
	other = failed(SECOND, 1);
	other.kind = EVENT_BIND;
	assert_false(holds(s, other));
	other = failed(SECOND, 1);
	other.cause = CAUSE_REFUSED;
	assert_false(holds(s, other));
	assert_false(holds(s, other));
}

/* A verdict is told at once, and counts those before it. */
static void test_verdict_passes(void **state)
{
	struct event_verdict verdict = { 0 };
	struct event ev = failed(SECOND + 3, 1);
	struct storm *s = *state;

	assert_false(holds(s, failed(SECOND, 1)));
	assert_true(holds(s, failed(SECOND + 1, 1)));
	assert_true(holds(s, failed(SECOND + 2, 1)));
	ev.verdict = &verdict;
	assert_false(storm_hold(s, &ev));
	assert_int_equal(ev.repeats, 3);
	assert_false(storm_take(s, UINT64_MAX, &ev));
}

/* More storms than there is room for: all pass that find none, and none is counted twice. */
static void test_many_storms(void **state)
{
	struct storm *s = *state;
	uint64_t told = 0;
	struct event ev;

	for (int i = 0; i < 2; i++)
		for (uint32_t pid = 1; pid <= 1000; pid++) {
			ev = failed(SECOND + pid, pid);
			if (!storm_hold(s, &ev))
				told += ev.repeats ? ev.repeats : 1;
			ev = failed(SECOND + pid, pid);
			if (!storm_hold(s, &ev))
				told += ev.repeats ? ev.repeats : 1;
		}
	while (storm_take(s, UINT64_MAX, &ev))
		told += ev.repeats;
	assert_int_equal(told, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(test_only_what_is_alike, setup, teardown),
		cmocka_unit_test_setup_teardown(test_verdict_passes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_storms, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
