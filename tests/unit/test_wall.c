// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "events.h"
#include "pool_kind.h"
#include "wall.h"

static int setup(void **state)
{
	return wall_new(64, (struct wall **)state);
}

static int teardown(void **state)
{
	wall_free(*state);
	return 0;
}

static struct event connected(uint16_t port)
{
	struct event ev = events_connect();

	ev.local.port = port;
	ev.has_truth = true;
	ev.range_low = 40000;
	ev.range_high = 40099;
	ev.has_options = true;
	return ev;
}

static struct event bound(uint16_t port)
{
	struct event ev = connected(port);

	ev.kind = EVENT_BIND;
	ev.how = HOW_BIND0;
	ev.remote = (struct endpoint){ 0 };
	return ev;
}

static bool announces(struct wall *w, struct event *ev)
{
	pool_kind_fill(ev);
	ev->wall = false;
	wall_check(w, ev);
	return ev->wall;
}

static bool says(struct wall *w, struct event ev)
{
	return announces(w, &ev);
}

static void test_once_for_a_pool(void **state)
{
	struct event ev = connected(40001);

	for (uint16_t port = 40000; port < 40100; port += 2)
		assert_false(says(*state, connected(port)));
	assert_true(announces(*state, &ev));
	assert_string_equal(ev.reason, "wall: the first half (50 even ports) has none free for this pair; "
				       "connect() now searches it in vain each time");
	for (uint16_t port = 40003; port < 40100; port += 2)
		assert_false(says(*state, connected(port)));
}

static void test_bind_and_listen(void **state)
{
	struct event ev = bound(40000), other = bound(40002);

	assert_true(announces(*state, &ev));
	assert_string_equal(ev.reason, "wall: the first half (50 odd ports) has none free for this address; "
				       "bind() now searches it in vain each time");
	/* the same pool */
	other.kind = EVENT_LISTEN;
	other.how = HOW_AUTOBIND;
	assert_false(announces(*state, &other));
	other.local = events_endpoint("10.0.0.6", 40002);
	assert_true(announces(*state, &other));
	assert_non_null(strstr(other.reason, "listen() now"));
}

static void test_each_pool_for_itself(void **state)
{
	struct event ev = connected(40001);

	assert_true(says(*state, ev));
	ev.remote.port++;
	assert_true(says(*state, ev));
	assert_false(says(*state, ev));
	ev.remote.addr[3]++;
	assert_true(says(*state, ev));
	ev.local.addr[3]++;
	assert_true(says(*state, ev));
	ev.netns_inum++;
	assert_true(says(*state, ev));
	ev.range_low -= 2;
	assert_true(says(*state, ev));
	ev.bound_ifindex = 4;
	assert_true(says(*state, ev));
	ev.local.ip_version = ev.remote.ip_version = 6;
	assert_true(says(*state, ev));
	assert_true(says(*state, bound(40000)));
	assert_false(says(*state, connected(40003)));
}

/* A port that comes free in the first half is taken next: no fall yet. */
static void test_again_after_a_fall(void **state)
{
	assert_true(says(*state, connected(40001)));
	for (int i = 0; i < 9; i++)
		assert_false(says(*state, connected(40002)));
	assert_false(says(*state, connected(40003)));
	for (int i = 0; i < 9; i++)
		assert_false(says(*state, connected(40002)));
	assert_false(says(*state, connected(40003)));
	for (int i = 0; i < 10; i++)
		assert_false(says(*state, connected(40002)));
	assert_true(says(*state, connected(40003)));
	assert_false(says(*state, connected(40005)));
}

static void test_of_no_half_nothing_is_said(void **state)
{
	struct event ev = connected(40001);

	ev.has_truth = false;
	assert_false(says(*state, ev));
	ev = connected(40001);
	ev.sock_range_low = 40000;
	ev.sock_range_high = 40099;
	assert_false(says(*state, ev));
	ev = bound(40000);
	ev.proto = PROTO_UDP;
	assert_false(says(*state, ev));
	ev = bound(40000);
	ev.how = HOW_EXPLICIT;
	assert_false(says(*state, ev));
}

/* SO_REUSEADDR: only the upper part shows it, but the lower part is no fall. */
static void test_reuseaddr(void **state)
{
	struct event ev = bound(40000), upper = bound(40060);

	ev.reuseaddr = upper.reuseaddr = true;
	assert_false(says(*state, ev));
	assert_true(says(*state, upper));
	assert_false(says(*state, ev));
	assert_false(says(*state, upper));
}

static void test_what_the_event_says_itself_comes_first(void **state)
{
	struct event ev = connected(40001);

	ev.outcome = OUTCOME_FAILURE;
	ev.error = ECONNREFUSED;
	strcpy(ev.reason, "refused: nobody listens there");
	assert_true(announces(*state, &ev));
	assert_int_equal(strncmp(ev.reason, "refused: nobody listens there; wall: the first half", 51), 0);
	assert_non_null(strstr(ev.reason, "each time"));
	memset(ev.reason, 'x', sizeof(ev.reason));
	ev.remote.port++;
	assert_true(announces(*state, &ev));
	assert_int_equal(strlen(ev.reason), sizeof(ev.reason) - 1);
}

/* The longest words that an event with a port can have, and the longest sentence, have room. */
static void test_room_for_the_words(void **state)
{
	struct event ev = connected(41001);

	ev.has_options = false;
	ev.range_low = 2;
	ev.range_high = 65535;
	strcpy(ev.reason, "no answer: timed out, peer not reachable, or given up by the program");
	assert_true(announces(*state, &ev));
	assert_non_null(strstr(ev.reason, "each time (unless IP_LOCAL_PORT_RANGE is set)"));
}

/* Bounded: what is forgotten is announced again, and what is used is not forgotten. */
static void test_many_pools(void **state)
{
	struct event ev = connected(40001);
	int announced = 0;

	for (int i = 0; i < 10000; i++) {
		ev.remote.port = (uint16_t)(1 + i);
		assert_true(says(*state, ev));
	}
	for (int i = 0; i < 10000; i++) {
		ev.remote.port = (uint16_t)(1 + i);
		announced += says(*state, ev);
	}
	assert_true(announced >= 10000 - 64);
	ev.remote.port = 20000;
	assert_true(says(*state, ev));
	assert_false(says(*state, ev));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_once_for_a_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bind_and_listen, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_pool_for_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_again_after_a_fall, setup, teardown),
		cmocka_unit_test_setup_teardown(test_of_no_half_nothing_is_said, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reuseaddr, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_the_event_says_itself_comes_first, setup, teardown),
		cmocka_unit_test_setup_teardown(test_room_for_the_words, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_pools, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
