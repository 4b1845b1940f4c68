// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A ledger that is full: who makes room, in which order, and that the rest does not notice. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "sockets.h"

#define SECOND UINT64_C(1000000000)
#define NETNS 4026531992u

static struct event made(uint64_t id, enum event_kind kind, uint64_t time_ns, int port, uint32_t pid)
{
	struct event ev = { .socket_id = id, .kind = kind, .time_ns = time_ns, .netns_inum = NETNS, .pid = pid };

	ev.local = events_endpoint("10.0.0.1", port);
	ev.process_start_ns = pid * SECOND;
	snprintf(ev.name, sizeof(ev.name), "p%u", pid);
	if (kind == EVENT_BIND)
		ev.how = HOW_EXPLICIT;
	if (kind == EVENT_CONNECT)
		ev.how = HOW_CONNECT;
	if (kind == EVENT_CONNECT || kind == EVENT_CLOSE)
		ev.remote = events_endpoint("10.9.9.9", (int)(id % 60000) + 1);
	return ev;
}

static void track(struct sockets *s, struct event ev)
{
	sockets_track(s, &ev);
}

static void close_into(struct sockets *s, uint64_t id, uint64_t time_ns, int port, enum close_state state)
{
	struct event ev = made(id, EVENT_CLOSE, time_ns, port, (uint32_t)id);

	ev.close_state = state;
	track(s, ev);
}

/* The pid of the holder; 0 = none. */
static uint32_t holder_of(const struct sockets *s, int port)
{
	struct sockets_key key = { .netns = NETNS, .local = events_endpoint("0.0.0.0", port) };
	struct holder holder;

	return sockets_find_holder(s, &key, &holder) ? holder.pid : 0;
}

static size_t all(const struct sockets *s)
{
	return sockets_count(s) + sockets_held(s);
}

/* ---- the order ---- */

/* One more, which stays: the newest of those that go last. */
static void push(struct sockets *s, uint64_t id)
{
	track(s, made(id, EVENT_BIND, 100 + id, 1000 + (int)id, (uint32_t)id));
}

/* A listener, a bound one, two connections, one without a port, two in TIME_WAIT: they go in this order. */
static void test_order(void **state)
{
	static const int order[] = { 7, 6, 5, 4, 3, 1, 2 };
	struct event ev;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(7, &s), 0);
	track(s, made(7, EVENT_CONNECT, 1, 7, 7));
	track(s, made(6, EVENT_CONNECT, 2, 6, 6));
	track(s, made(2, EVENT_BIND, 3, 2, 2));
	track(s, made(1, EVENT_BIND, 4, 1, 1));
	track(s, made(3, EVENT_CONNECT, 5, 3, 3));
	track(s, made(4, EVENT_CONNECT, 6, 4, 4));
	ev = made(5, EVENT_BIND, 7, 5, 5);
	ev.how = HOW_BIND0;
	track(s, ev);
	ev = made(5, EVENT_CONNECT, 7, 5, 5);
	ev.how = HOW_NONE;
	ev.outcome = OUTCOME_FAILURE;
	ev.gave_back = true;
	track(s, ev);
	ev = made(3, EVENT_CONNECT, 8, 3, 3);
	ev.outcome = OUTCOME_FAILURE; /* EISCONN: the other connection is now the older one */
	track(s, ev);
	track(s, made(2, EVENT_LISTEN, 9, 2, 2));
	close_into(s, 7, 10, 7, CLOSE_STATE_TIME_WAIT);
	close_into(s, 6, 11, 6, CLOSE_STATE_TIME_WAIT);
	assert_int_equal(all(s), 7);
	for (size_t i = 0; i < 7; i++) {
		for (size_t k = 0; k < 7; k++)
			if (order[k] != 5) /* it has no port to be found by */
				assert_int_equal(holder_of(s, order[k]), k < i ? 0 : order[k]);
		push(s, 100 + i);
		assert_int_equal(all(s), 7);
		assert_int_equal(sockets_evicted(s).closed, i < 2 ? i + 1 : 2);
		assert_int_equal(sockets_evicted(s).open, i < 2 ? 0 : i - 1);
	}
	sockets_free(s);
}

static void test_one_entry(void **state)
{
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(1, &s), 0);
	for (uint64_t id = 1; id <= 100; id++) {
		track(s, made(id, id % 2 ? EVENT_CONNECT : EVENT_BIND, id, (int)id, (uint32_t)id));
		track(s, made(id, EVENT_CONNECT, id, (int)id, (uint32_t)id)); /* what it was connected to before */
		assert_int_equal(holder_of(s, (int)id), id);
		assert_int_equal(all(s), 1);
		close_into(s, id, id, (int)id, id % 3 ? CLOSE_STATE_TIME_WAIT : CLOSE_STATE_CLOSED);
		assert_int_equal(all(s), id % 3 != 0);
	}
	sockets_free(s);
}

/* What was evicted ends as a socket that is older than us. */
static void test_end_of_an_evicted(void **state)
{
	struct event ev = made(1, EVENT_CLOSE, 90, 1, 1);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(2, &s), 0);
	for (uint64_t id = 1; id <= 3; id++)
		track(s, made(id, EVENT_BIND, id, (int)id, (uint32_t)id));
	ev.remote = (struct endpoint){ 0 };
	sockets_track(s, &ev);
	assert_int_equal(ev.duration_ns, 0);
	assert_int_equal(ev.life_state, LIFE_OVER);
	assert_int_equal(sockets_count(s), 2);
	sockets_free(s);
}

/* ---- memory ---- */

static void test_memory_is_bounded(void **state)
{
	enum { LIMIT = 20000 };
	struct sockets *s;
	size_t full = 0;

	(void)state;
	assert_int_equal(sockets_new(LIMIT, &s), 0);
	assert_true(sockets_bytes(s) < 32768);
	for (uint64_t id = 1; id <= 20 * LIMIT; id++) {
		int port = (int)(id % 60000) + 1;

		track(s, made(id, EVENT_CONNECT, id, port, (uint32_t)(id % 5000)));
		if (id % 3 == 0)
			close_into(s, id, id, port, CLOSE_STATE_TIME_WAIT);
		if (id == LIMIT)
			full = sockets_bytes(s);
	}
	assert_int_equal(all(s), LIMIT);
	assert_int_equal(sockets_evicted(s).closed + sockets_evicted(s).open, 19 * LIMIT);
	assert_true(full <= LIMIT * 146 + 5000 * 64);
	assert_true(sockets_bytes(s) < full + 200000); /* processes of which only a few sockets are left */
	sockets_free(s);
}

/* ---- against a plain list ---- */

enum { SOCKETS = 600, BOUND = 300 };

/* What the ledger should remember, by the words of sockets.h. */
struct model {
	struct {
		enum { NONE, CLOSED, CONNECTED, BOUND_ONLY } is; /* who goes first has the lowest */
		uint64_t seen; /* when its last event came */
	} list[SOCKETS];
	uint64_t now, evicted;
	size_t count, limit;
};

static void model_make_room(struct model *m)
{
	size_t worst = SOCKETS;

	if (m->count < m->limit)
		return;
	for (size_t i = 0; i < SOCKETS; i++)
		if (m->list[i].is && (worst == SOCKETS || m->list[i].is < m->list[worst].is ||
				      (m->list[i].is == m->list[worst].is && m->list[i].seen < m->list[worst].seen)))
			worst = i;
	m->list[worst].is = NONE;
	m->evicted++;
	m->count--;
}

static void model_set(struct model *m, size_t i, int is)
{
	if (!m->list[i].is && is) {
		model_make_room(m);
		m->count++;
	}
	m->count -= m->list[i].is && !is;
	m->list[i].is = is;
	m->list[i].seen = m->now;
}

/* Each socket has a port and a pid of its own; closed ones are not used again. */
static void model_step(struct model *m, struct sockets *s, struct sockets *large, struct sockets *unbounded)
{
	size_t i = (size_t)rand() % SOCKETS;
	int what = m->list[i].is == CLOSED ? 4 : rand() % 4;
	static const enum event_kind kinds[] = { EVENT_BIND, EVENT_CONNECT, EVENT_LISTEN, EVENT_CLOSE, EVENT_CLOSE };
	enum event_kind kind = kinds[what];
	struct sockets *ledgers[] = { s, large, unbounded };
	struct event told[3];

	m->now++;
	if (what == 4 || (what == 0 && m->list[i].is == CONNECTED) || (what == 2 && m->list[i].is != BOUND_ONLY))
		return; /* no socket does that */
	for (int k = 0; k < 3; k++) {
		told[k] = made(i + 1, kind, m->now, (int)i + 1, (uint32_t)i + 1);
		if (kind == EVENT_CONNECT && m->list[i].is == CONNECTED)
			told[k].outcome = OUTCOME_FAILURE; /* EISCONN */
		told[k].cookie = i + 1;
		told[k].close_state = i % 3 ? CLOSE_STATE_TIME_WAIT : CLOSE_STATE_CLOSED;
		if (kind == EVENT_CLOSE && m->list[i].is == BOUND_ONLY)
			told[k].remote = (struct endpoint){ 0 };
		sockets_track(ledgers[k], &told[k]);
	}
	assert_memory_equal(&told[1], &told[2], sizeof(told[1]));
	if (kind != EVENT_CLOSE)
		model_set(m, i, kind == EVENT_CONNECT ? CONNECTED : BOUND_ONLY);
	else if (told[0].remote.has_port && i % 3)
		model_set(m, i, CLOSED);
	else
		model_set(m, i, NONE);
}

/* All that is closed is over, which a ledger notices by the next event, whatever that is. */
static void model_wait(struct model *m, struct sockets *s)
{
	struct event ev = made(9999, EVENT_BIND, m->now += 100 * SECOND, 9999, 9999);

	ev.outcome = OUTCOME_FAILURE;
	track(s, ev);
	for (size_t k = 0; k < SOCKETS; k++)
		if (m->list[k].is == CLOSED)
			model_set(m, k, NONE);
}

static void test_like_a_list(void **state)
{
	struct model m = { .limit = BOUND };
	struct sockets *s, *large, *unbounded;

	(void)state;
	assert_int_equal(sockets_new(BOUND, &s), 0);
	assert_int_equal(sockets_new(100000, &large), 0);
	assert_int_equal(sockets_new(SIZE_MAX, &unbounded), 0);
	srand(5);
	for (int step = 0; step < 200000; step++) {
		size_t i = (size_t)rand() % SOCKETS;

		if (step % 5000 == 0)
			model_wait(&m, s);
		model_step(&m, s, large, unbounded);
		assert_int_equal(holder_of(s, (int)i + 1), m.list[i].is ? i + 1 : 0);
		assert_int_equal(all(s), m.count);
		assert_int_equal(holder_of(large, (int)i + 1), holder_of(unbounded, (int)i + 1));
	}
	assert_true(m.evicted > 10000);
	assert_int_equal(sockets_evicted(s).closed + sockets_evicted(s).open, m.evicted);
	assert_int_equal(sockets_evicted(large).closed + sockets_evicted(large).open, 0);
	sockets_free(s);
	sockets_free(large);
	sockets_free(unbounded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),		    cmocka_unit_test(test_one_entry),
		cmocka_unit_test(test_end_of_an_evicted), cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_like_a_list),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
