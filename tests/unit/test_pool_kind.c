// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which pool and which half: what the kernel's two searches do, __inet_hash_connect() and inet_csk_find_open_port(). */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "events.h"
#include "pool_kind.h"

/* Of a pool of 40000 to 40099. */
static struct event assigned(enum event_how how, uint16_t port)
{
	struct event ev = how == HOW_CONNECT ? events_connect() : events_bind();

	ev.how = how;
	ev.local.port = port;
	ev.local.has_port = port != 0;
	ev.has_truth = true;
	ev.range_low = 40000;
	ev.range_high = 40099;
	ev.has_options = true;
	return ev;
}

static void assert_pool(struct event ev, enum event_pool pool, enum event_half half)
{
	pool_kind_fill(&ev);
	assert_int_equal(ev.pool, pool);
	assert_int_equal(ev.half, half);
}

static void test_connect_begins_with_the_parity_of_low(void **state)
{
	struct event ev = assigned(HOW_CONNECT, 40000);

	(void)state;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_FIRST);
	assert_pool(assigned(HOW_CONNECT, 40099), EVENT_POOL_CONNECT, EVENT_HALF_SECOND);
	ev.range_low = 39999;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_SECOND);
	ev.local.port = 40001;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_FIRST);
}

static void test_bind_begins_with_the_other_parity(void **state)
{
	(void)state;
	assert_pool(assigned(HOW_BIND0, 40001), EVENT_POOL_BIND, EVENT_HALF_FIRST);
	assert_pool(assigned(HOW_BIND0, 40098), EVENT_POOL_BIND, EVENT_HALF_SECOND);
	assert_pool(assigned(HOW_AUTOBIND, 40098), EVENT_POOL_BIND, EVENT_HALF_SECOND);
}

static void test_udp_has_no_halves(void **state)
{
	struct event ev = assigned(HOW_BIND0, 40001);

	(void)state;
	ev.proto = PROTO_UDP;
	assert_pool(ev, EVENT_POOL_UDP, EVENT_HALF_UNKNOWN);
	ev.how = HOW_AUTOBIND;
	assert_pool(ev, EVENT_POOL_UDP, EVENT_HALF_UNKNOWN);
	ev.outcome = OUTCOME_UNKNOWN;
	assert_pool(ev, EVENT_POOL_UDP, EVENT_HALF_UNKNOWN);
}

static void test_what_the_kernel_did_not_pick_has_no_pool(void **state)
{
	(void)state;
	assert_pool(assigned(HOW_EXPLICIT, 40001), EVENT_POOL_NONE, EVENT_HALF_UNKNOWN);
	assert_pool(assigned(HOW_INHERITED, 40001), EVENT_POOL_NONE, EVENT_HALF_UNKNOWN);
	assert_pool(assigned(HOW_NONE, 40001), EVENT_POOL_NONE, EVENT_HALF_UNKNOWN);
}

static void test_failures(void **state)
{
	struct event ev = assigned(HOW_CONNECT, 0);

	(void)state;
	ev.outcome = OUTCOME_FAILURE;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_UNKNOWN);
	/* refused, but it had a port */
	ev = assigned(HOW_CONNECT, 40001);
	ev.outcome = OUTCOME_FAILURE;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_SECOND);
	ev = assigned(HOW_BIND0, 0);
	ev.outcome = OUTCOME_FAILURE;
	assert_pool(ev, EVENT_POOL_BIND, EVENT_HALF_UNKNOWN);
	/* perhaps left to connect */
	ev.outcome = OUTCOME_UNKNOWN;
	assert_pool(ev, EVENT_POOL_NONE, EVENT_HALF_UNKNOWN);
}

static void test_half_of_an_unknown_range_is_unknown(void **state)
{
	struct event ev = assigned(HOW_CONNECT, 40001);

	(void)state;
	ev.has_truth = false;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_UNKNOWN);
	assert_pool(assigned(HOW_CONNECT, 40100), EVENT_POOL_CONNECT, EVENT_HALF_UNKNOWN);
	assert_pool(assigned(HOW_CONNECT, 39999), EVENT_POOL_CONNECT, EVENT_HALF_UNKNOWN);
}

/* IP_LOCAL_PORT_RANGE: connect() makes no halves since 6.8, bind() makes those of the socket's own range. */
static void test_range_of_the_socket(void **state)
{
	struct event ev = assigned(HOW_CONNECT, 40012);

	(void)state;
	ev.sock_range_low = 40011;
	ev.sock_range_high = 40020;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_UNKNOWN);
	ev.how = HOW_BIND0;
	assert_pool(ev, EVENT_POOL_BIND, EVENT_HALF_FIRST);
	ev.local.port = 40013;
	assert_pool(ev, EVENT_POOL_BIND, EVENT_HALF_SECOND);
	ev.local.port = 40031;
	assert_pool(ev, EVENT_POOL_BIND, EVENT_HALF_UNKNOWN);
}

static void test_one_port_is_the_first_half(void **state)
{
	struct event ev = assigned(HOW_BIND0, 40000);

	(void)state;
	ev.range_high = 40000;
	assert_pool(ev, EVENT_POOL_BIND, EVENT_HALF_FIRST);
	assert_int_equal(pool_kind_first_count(&ev), 1);
	ev.how = HOW_CONNECT;
	assert_pool(ev, EVENT_POOL_CONNECT, EVENT_HALF_FIRST);
}

static void test_size_of_the_first_half(void **state)
{
	struct event ev = assigned(HOW_CONNECT, 40000);

	(void)state;
	assert_int_equal(pool_kind_first_count(&ev), 50);
	ev.range_high = 40100; /* odd: one is left out */
	assert_int_equal(pool_kind_first_count(&ev), 50);
	ev.range_low = 1;
	ev.range_high = 65535;
	assert_int_equal(pool_kind_first_count(&ev), 32767);
	ev.has_truth = false;
	assert_int_equal(pool_kind_first_count(&ev), 0);
}

static bool is_past_first(struct event ev)
{
	pool_kind_fill(&ev);
	return pool_kind_is_past_first(&ev);
}

static void test_past_first(void **state)
{
	struct event ev = assigned(HOW_BIND0, 40000);

	(void)state;
	assert_true(is_past_first(assigned(HOW_CONNECT, 40001)));
	assert_false(is_past_first(assigned(HOW_CONNECT, 40002)));
	assert_true(is_past_first(ev));
	ev.reuseaddr = true;
	assert_false(is_past_first(ev));
	ev.local.port = 40048;
	assert_false(is_past_first(ev));
	ev.local.port = 40050;
	assert_true(is_past_first(ev));
	ev.reuseaddr = ev.has_options = false;
	assert_true(is_past_first(ev));
	ev.local.port = 40048;
	assert_false(is_past_first(ev));
	ev.range_high = 40101; /* the lower part is the smaller one, and even */
	ev.local.port = 40050;
	assert_true(is_past_first(ev));
	ev.local.port = 40048;
	ev.range_low = 40048; /* three ports are not divided */
	ev.range_high = 40050;
	assert_true(is_past_first(ev));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect_begins_with_the_parity_of_low),
		cmocka_unit_test(test_bind_begins_with_the_other_parity),
		cmocka_unit_test(test_udp_has_no_halves),
		cmocka_unit_test(test_what_the_kernel_did_not_pick_has_no_pool),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_half_of_an_unknown_range_is_unknown),
		cmocka_unit_test(test_range_of_the_socket),
		cmocka_unit_test(test_one_port_is_the_first_half),
		cmocka_unit_test(test_size_of_the_first_half),
		cmocka_unit_test(test_past_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
