// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "sockets.h"

static struct event happened(uint64_t id, enum event_kind kind, uint64_t time_ns)
{
	struct event ev = { .socket_id = id, .kind = kind, .time_ns = time_ns };

	if (kind == EVENT_CONNECT) {
		ev.role = ROLE_EGRESS;
		ev.how = HOW_CONNECT;
	} else if (kind == EVENT_ACCEPT) {
		ev.role = ROLE_INGRESS;
		ev.how = HOW_INHERITED;
	} else if (kind == EVENT_BIND) {
		ev.how = HOW_EXPLICIT;
	}
	return ev;
}

static struct event closed(struct sockets *s, uint64_t id, uint64_t time_ns, bool peer)
{
	struct event ev = happened(id, EVENT_CLOSE, time_ns);

	ev.remote.has_port = peer;
	sockets_track(s, &ev);
	return ev;
}

static void track(struct sockets *s, struct event ev)
{
	sockets_track(s, &ev);
}

static void test_close_knows_role_and_life(void **state)
{
	struct sockets *s;
	struct event ev;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, happened(1, EVENT_CONNECT, 1000));
	track(s, happened(2, EVENT_ACCEPT, 2000));
	track(s, happened(3, EVENT_BIND, 3000));
	track(s, happened(3, EVENT_LISTEN, 3500));
	ev = closed(s, 1, 9000, true);
	assert_int_equal(ev.role, ROLE_EGRESS);
	assert_int_equal(ev.duration_ns, 8000);
	ev = closed(s, 2, 9000, true);
	assert_int_equal(ev.role, ROLE_INGRESS);
	assert_int_equal(ev.duration_ns, 7000);
	ev = closed(s, 3, 9000, false);
	assert_int_equal(ev.role, ROLE_UNKNOWN);
	assert_int_equal(ev.duration_ns, 6000);
	assert_int_equal(sockets_count(s), 0);
	sockets_free(s);
}

/* A failed connect gives its port back and has no close: the next socket at that address starts anew. */
static void test_address_used_again(void **state)
{
	struct sockets *s;
	struct event ev = happened(1, EVENT_CONNECT, 1000);

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.outcome = OUTCOME_FAILURE;
	track(s, ev);
	assert_int_equal(sockets_count(s), 0);
	track(s, happened(1, EVENT_ACCEPT, 2000)); /* its close is never seen */
	track(s, happened(1, EVENT_BIND, 5000));
	ev = closed(s, 1, 6000, true);
	assert_int_equal(ev.duration_ns, 1000);
	assert_int_equal(ev.role, ROLE_UNKNOWN);
	sockets_free(s);
}

static void test_connection_from_before_is_judged_by_its_ports(void **state)
{
	struct event ev = happened(9, EVENT_CLOSE, 100);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.has_truth = true;
	ev.range_low = 32768;
	ev.range_high = 60999;
	ev.local.port = 40000;
	ev.remote.port = 443;
	ev.remote.has_port = true;
	sockets_track(s, &ev);
	assert_int_equal(ev.role, ROLE_EGRESS);
	assert_int_equal(ev.duration_ns, 0);
	sockets_free(s);
}

static void test_limit_holds(void **state)
{
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(10, &s), 0);
	for (uint64_t id = 1; id <= 10; id++)
		track(s, happened(id, EVENT_BIND, id));
	assert_int_equal(sockets_count(s), 10);
	track(s, happened(11, EVENT_BIND, 11));
	assert_int_equal(sockets_count(s), 1);
	assert_int_equal(closed(s, 11, 20, false).duration_ns, 9);
	assert_int_equal(closed(s, 1, 20, false).duration_ns, 0);
	sockets_free(s);
}

/* Against a plain array, with ids as close together as kernel addresses are. */
static void test_like_an_array(void **state)
{
	enum { IDS = 5000, STEPS = 200000 };
	uint64_t *born = calloc(IDS, sizeof(*born));
	struct sockets *s;
	size_t live = 0;

	(void)state;
	assert_non_null(born);
	assert_int_equal(sockets_new(100000, &s), 0);
	srand(7);
	for (uint64_t now = 1; now <= STEPS; now++) {
		size_t i = (size_t)rand() % IDS;
		uint64_t id = 0xffff888000000000ULL + i * 2048;

		if (rand() % 2) {
			live += !born[i];
			born[i] = now;
			track(s, happened(id, EVENT_BIND, now));
		} else {
			assert_int_equal(closed(s, id, now, false).duration_ns, born[i] ? now - born[i] : 0);
			live -= born[i] != 0;
			born[i] = 0;
		}
		assert_int_equal(sockets_count(s), live);
	}
	sockets_free(s);
	free(born);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_close_knows_role_and_life),
		cmocka_unit_test(test_address_used_again),
		cmocka_unit_test(test_connection_from_before_is_judged_by_its_ports),
		cmocka_unit_test(test_limit_holds),
		cmocka_unit_test(test_like_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
