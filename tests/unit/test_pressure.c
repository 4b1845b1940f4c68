// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* pressure: pools, states, owners, rates and the forecast, from states fed by hand. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "pressure.h"

#define LOW 40000
#define HIGH 40099
#define SECOND UINT64_C(1000000000)

static struct pool_state s;
static uint32_t process_of[512];
static struct pressure_process processes[8];
static struct pressure_input in;
static struct pressure_netns ns;
static struct pressure_past past;

static struct endpoint at(const char *text, uint16_t port)
{
	struct endpoint ep = { .has_port = true, .port = port };

	ep.ip_version = strchr(text, ':') ? 6 : 4;
	assert_int_equal(inet_pton(ep.ip_version == 6 ? AF_INET6 : AF_INET, text, ep.addr), 1);
	return ep;
}

static void begin(void)
{
	pool_free(&s);
	pressure_free(&ns);
	memset(&s, 0, sizeof(s));
	s.netns_inum = 7;
	s.range_low = LOW;
	s.range_high = HIGH;
	s.shows_bound = s.timestamps = true;
	memset(s.explicit, POOL_NO, sizeof(s.explicit));
	in = (struct pressure_input){ .pool = &s, .process = process_of, .processes = processes, .process_count = 8 };
}

static int end(void **state)
{
	(void)state;
	begin();
	pressure_forget(&past);
	return 0;
}

static struct pool_socket *add(enum sockdiag_state state, uint16_t port, const char *to, uint32_t process)
{
	struct pool_socket sock = { .proto = PROTO_TCP, .state = state, .local = at("127.0.0.1", port),
				    .cookie = 1000 + s.count };

	if (to)
		sock.remote = at(to, 8080);
	sock.v6only = POOL_NO;
	process_of[s.count] = process;
	assert_int_equal(pool_add(&s, &sock), 0);
	return &s.sockets[s.count - 1];
}

static void add_many(enum sockdiag_state state, uint16_t first, uint16_t count, uint32_t process)
{
	for (uint16_t i = 0; i < count; i++)
		add(state, (uint16_t)(first + i), "127.0.0.1", process);
}

static void waits(uint16_t port, uint32_t expires_ms, uint32_t process)
{
	struct pool_socket *sock = add(SOCKDIAG_TIME_WAIT, port, "127.0.0.1", process);

	sock->waits = true;
	sock->expires_ms = expires_ms;
}

static void look(struct pressure_past *before, uint64_t now_ns)
{
	pressure_free(&ns);
	assert_int_equal(pressure_look(&in, before, now_ns, &ns), 0);
}

/* ---- pools ---- */

static void test_pools(void **state)
{
	(void)state;
	begin();
	look(NULL, 0);
	assert_int_equal(ns.count, 0);
	add_many(SOCKDIAG_ESTABLISHED, LOW, 100, 1);
	add(SOCKDIAG_ESTABLISHED, LOW, "127.0.0.2", 1);
	add(SOCKDIAG_LISTEN, 8080, NULL, 2);
	add(SOCKDIAG_ESTABLISHED, 8080, "127.0.0.1", 2); /* the server's side: outside of the range */
	add(SOCKDIAG_ESTABLISHED, LOW + 7, "127.0.0.3", 1)->how = HOW_EXPLICIT;
	look(NULL, 0);
	assert_int_equal(ns.count, 2);
	assert_int_equal(ns.pools[0].measure.used, 100); /* the worst first */
	assert_int_equal(pressure_capacity(&ns.pools[0]), 100);
	assert_int_equal(ns.pools[0].severity, PRESSURE_CRIT);
	assert_int_equal(ns.pools[1].measure.used, 1);
	assert_int_equal(ns.pools[1].severity, PRESSURE_OK);
	assert_int_not_equal(ns.pools[0].id, ns.pools[1].id);
}

static void test_states(void **state)
{
	(void)state;
	begin();
	add_many(SOCKDIAG_ESTABLISHED, LOW, 3, 1);
	add_many(SOCKDIAG_SYN_SENT, LOW + 10, 4, 1);
	add_many(SOCKDIAG_CLOSE_WAIT, LOW + 20, 5, 1);
	add_many(SOCKDIAG_LAST_ACK, LOW + 30, 6, 1);
	waits(LOW + 40, 30000, 1);
	waits(LOW + 41, 500, 1);
	add(SOCKDIAG_FIN_WAIT2, LOW + 42, "127.0.0.1", 1);
	look(NULL, 0);
	assert_int_equal(ns.count, 1);
	assert_int_equal(ns.pools[0].ports[PRESSURE_ESTABLISHED], 3);
	assert_int_equal(ns.pools[0].ports[PRESSURE_SYN_SENT], 4);
	assert_int_equal(ns.pools[0].ports[PRESSURE_CLOSE_WAIT], 5);
	assert_int_equal(ns.pools[0].ports[PRESSURE_CLOSING], 6);
	assert_int_equal(ns.pools[0].ports[PRESSURE_TIME_WAIT], 2);
	assert_int_equal(ns.pools[0].ports[PRESSURE_FIN_WAIT2], 1);
	assert_int_equal(ns.pools[0].releases[30], 1);
	assert_int_equal(ns.pools[0].releases[0], 1);
	assert_int_equal(ns.pools[0].next_ms, 500);
	assert_int_equal(ns.pools[0].measure.used, 21);
}

/* A TIME_WAIT on a server's port takes nothing. */
static void test_server_waits(void **state)
{
	(void)state;
	begin();
	add(SOCKDIAG_LISTEN, 8080, NULL, 2);
	for (uint16_t i = 0; i < 20; i++) {
		waits(8080, 30000, 0);
		s.sockets[s.count - 1].remote.port = (uint16_t)(LOW + i);
	}
	waits(LOW, 30000, 1);
	look(NULL, 0);
	assert_int_equal(ns.server_waits, 20);
	assert_int_equal(ns.count, 1);
	assert_int_equal(ns.pools[0].measure.used, 1);
}

static void test_blocked(void **state)
{
	(void)state;
	begin();
	add(SOCKDIAG_LISTEN, LOW + 50, NULL, 2);
	s.explicit[LOW + 50] = POOL_YES;
	for (uint16_t i = 0; i < 10; i++) {
		add(SOCKDIAG_CLOSE, (uint16_t)(LOW + i), NULL, 3);
		s.explicit[LOW + i] = POOL_YES;
		add(SOCKDIAG_ESTABLISHED, (uint16_t)(LOW + i), "127.0.0.2", 4)->how = HOW_CONNECT;
		add(SOCKDIAG_ESTABLISHED, (uint16_t)(LOW + i), "127.0.0.3", 3); /* not one port more */
	}
	s.explicit[LOW + 60] = POOL_YES;
	add(SOCKDIAG_ESTABLISHED, LOW + 60, "127.0.0.2", 4)->how = HOW_CONNECT; /* a phantom */
	s.reserved[(LOW + 70) / 8] |= 1 << (LOW + 70) % 8;
	look(NULL, 0);
	assert_int_equal(ns.listening, 1);
	assert_int_equal(ns.reserved, 1);
	assert_int_equal(ns.blocked[POOL_PORT_BOUND], 10);
	assert_int_equal(ns.blocked[POOL_PORT_PHANTOM], 1);
	assert_int_equal(ns.blocker_count, 1);
	assert_int_equal(ns.blockers[0].process, 3);
	assert_int_equal(ns.blockers[0].ports, 10);
}

/* ---- owners ---- */

static void test_owners(void **state)
{
	static const uint32_t ports[] = { 6, 5, 30, 1, 20, 2 }; /* [0]: nobody known */

	(void)state;
	begin();
	for (uint16_t i = 0, port = LOW; i < 6; port = (uint16_t)(port + ports[i++]))
		add_many(SOCKDIAG_ESTABLISHED, port, (uint16_t)ports[i], i);
	waits(LOW + 90, 1000, 4);
	look(NULL, 0);
	assert_int_equal(ns.pools[0].owner_count, 3);
	assert_int_equal(ns.pools[0].owners[0].process, 2);
	assert_int_equal(ns.pools[0].owners[0].ports, 30);
	assert_int_equal(ns.pools[0].owners[1].process, 4);
	assert_int_equal(ns.pools[0].owners[1].ports, 21);
	assert_int_equal(ns.pools[0].owners[1].time_wait, 1);
	assert_int_equal(ns.pools[0].owners[2].process, 1);
	assert_int_equal(ns.pools[0].others, 2);
	assert_int_equal(ns.pools[0].other_ports, 3);
	assert_int_equal(ns.pools[0].unattributed, 6);
}

static void test_no_owner(void **state)
{
	(void)state;
	begin();
	add_many(SOCKDIAG_ESTABLISHED, LOW, 5, 0);
	look(NULL, 0);
	assert_int_equal(ns.pools[0].owner_count, 0);
	assert_int_equal(ns.pools[0].others, 0);
	assert_int_equal(ns.pools[0].unattributed, 5);
}

/* ---- two looks ---- */

static void test_rates(void **state)
{
	(void)state;
	pressure_forget(&past);
	begin();
	add_many(SOCKDIAG_ESTABLISHED, LOW, 20, 1);
	look(&past, 5 * SECOND);
	assert_false(ns.pools[0].has_rates);
	begin();
	add_many(SOCKDIAG_ESTABLISHED, LOW, 20, 1);
	for (size_t i = 0; i < 4; i++) /* four have gone, others are there */
		s.sockets[i].cookie += 5000;
	add_many(SOCKDIAG_ESTABLISHED, LOW + 20, 10, 2);
	look(&past, 7 * SECOND);
	assert_true(ns.pools[0].has_rates);
	assert_int_equal((int)(ns.pools[0].opens_per_s * 10), 70); /* (4 + 10) / 2 s */
	assert_int_equal((int)(ns.pools[0].frees_per_s * 10), 20);
	look(&past, 8 * SECOND); /* nothing happened: a tenth of the way to 0 */
	assert_int_equal((int)(ns.pools[0].opens_per_s * 10 + 0.5), 63);
}

/* Another namespace has other pools. */
static void test_id(void **state)
{
	struct pool_key key = { .kind = POOL_CONNECT,
				.source = at("127.0.0.1", 0),
				.destination = at("127.0.0.1", 80) };
	uint64_t id = pressure_pool_id(7, &key);

	(void)state;
	assert_int_equal(pressure_pool_id(7, &key), id);
	assert_int_not_equal(pressure_pool_id(8, &key), id);
	key.destination.port = 81;
	assert_int_not_equal(pressure_pool_id(7, &key), id);
	key.destination.port = 80;
	key.kind = POOL_BIND;
	assert_int_not_equal(pressure_pool_id(7, &key), id);
}

/* ---- forecast and severity ---- */

/* 1000 ports, halves of 500. */
static struct pressure_pool pool_of(uint32_t used, uint32_t half_used, double opens, double frees)
{
	struct pressure_pool pool = { .has_rates = true, .opens_per_s = opens, .frees_per_s = frees };

	pool.measure = (struct pool_measure){ .has_half = true, .used = used, .half_used = half_used,
					      .free = { 1000 - used, 1000 - used }, .capacity = { 1000, 1000 },
					      .half_free = { 500 - half_used, 500 - half_used },
					      .half_capacity = { 500, 500 } };
	pool.ports[PRESSURE_ESTABLISHED] = used;
	pressure_judge(&pool);
	return pool;
}

static void test_forecast(void **state)
{
	struct pressure_pool pool = pool_of(100, 100, 10, 0);

	(void)state;
	assert_int_equal(pool.course, PRESSURE_WALL);
	assert_int_equal(pool.seconds, 40); /* (500 - 100) / 10 */
	assert_int_equal(pool.next_course, PRESSURE_FULL);
	assert_int_equal(pool.next_seconds, 90);
	pool = pool_of(600, 500, 10, 0);
	assert_int_equal(pool.course, PRESSURE_FULL);
	assert_int_equal(pool.seconds, 40);
	assert_int_equal(pool_of(100, 100, 10, 10).course, PRESSURE_STEADY);
	assert_int_equal(pool_of(100, 100, 0.9, 0).course, PRESSURE_UNKNOWN); /* no number below one a second */
	pool = pool_of(100, 100, 10, 0);
	pool.has_rates = false;
	pressure_judge(&pool);
	assert_int_equal(pool.course, PRESSURE_UNKNOWN);
}

/* What TIME_WAIT gives back is known: a rate that is below it does not fill the pool, one above does. */
static void test_forecast_releases(void **state)
{
	struct pressure_pool pool = pool_of(600, 500, 10, 0);

	(void)state;
	pool.ports[PRESSURE_ESTABLISHED] = 0;
	pool.ports[PRESSURE_TIME_WAIT] = 600;
	for (int i = 0; i < 60; i++)
		pool.releases[i] = 10;
	pressure_judge(&pool);
	assert_int_equal(pool.course, PRESSURE_STEADY);
	pool.opens_per_s = 30;
	pressure_judge(&pool);
	assert_int_equal(pool.course, PRESSURE_FULL);
	assert_int_equal(pool.seconds, 20); /* 400 / (30 - 10) */
	pool.measure.ports[POOL_PORT_REUSABLE] = 10; /* they are taken over */
	pressure_judge(&pool);
	assert_int_equal(pool.course, PRESSURE_STEADY);
}

static void test_severity(void **state)
{
	static const struct {
		uint32_t used, half_used;
		double opens;
		enum pressure_severity severity;
	} rows[] = {
		{ 0, 0, 0, PRESSURE_OK },	{ 449, 449, 0, PRESSURE_OK },	 { 450, 450, 0, PRESSURE_WARN },
		{ 500, 500, 0, PRESSURE_WARN }, { 799, 500, 0, PRESSURE_WARN },	 { 800, 500, 0, PRESSURE_HIGH },
		{ 979, 500, 0, PRESSURE_HIGH }, { 980, 500, 0, PRESSURE_CRIT },	 { 1000, 500, 0, PRESSURE_CRIT },
		{ 600, 300, 0, PRESSURE_OK },	{ 100, 100, 7.5, PRESSURE_OK },	 { 100, 100, 7.6, PRESSURE_HIGH },
	};
	struct pressure_pool pool;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("%u of 1000\n", rows[i].used);
		assert_int_equal(pool_of(rows[i].used, rows[i].half_used, rows[i].opens, 0).severity, rows[i].severity);
	}
	pool = pool_of(10, 10, 0, 0);
	pool.failures = 1;
	pressure_judge(&pool);
	assert_int_equal(pool.severity, PRESSURE_CRIT);
	pool = pool_of(0, 0, 0, 0); /* nothing in use, and nothing left */
	pool.measure.free = pool.measure.capacity = (struct pool_bounds){ 0, 0 };
	pressure_judge(&pool);
	assert_int_equal(pool.severity, PRESSURE_CRIT);
}

/* The largest first; of equal ones the worst. */
static void test_order(void **state)
{
	static const struct {
		enum pressure_order order;
		uint64_t first, last;
	} rows[] = {
		{ PRESSURE_BY_SEVERITY, 3, 2 }, { PRESSURE_BY_USED, 2, 3 },	{ PRESSURE_BY_PERCENT, 3, 2 },
		{ PRESSURE_BY_OPENS, 1, 3 },	{ PRESSURE_BY_FAILURES, 3, 2 },
	};
	struct pressure_pool pools[3] = {
		{ .id = 1, .measure.used = 20, .measure.capacity.max = 100, .opens_per_s = 5,
		  .severity = PRESSURE_WARN },
		{ .id = 2, .measure.used = 50, .measure.capacity.max = 1000, .opens_per_s = 1 },
		{ .id = 3, .measure.used = 10, .measure.capacity.max = 10, .severity = PRESSURE_CRIT, .failures = 1 },
	};
	struct pressure_netns sorted = { .pools = pools, .count = 3 };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		pressure_sort_by(&sorted, rows[i].order);
		assert_int_equal(pools[0].id, rows[i].first);
		assert_int_equal(pools[2].id, rows[i].last);
	}
}

static void test_percent(void **state)
{
	(void)state;
	assert_int_equal(pressure_percent(0, 100), 0);
	assert_int_equal(pressure_percent(28231, 28232), 99);
	assert_int_equal(pressure_percent(28232, 28232), 100);
	assert_int_equal(pressure_percent(0, 0), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pools),	  cmocka_unit_test(test_states),
		cmocka_unit_test(test_server_waits), cmocka_unit_test(test_blocked),
		cmocka_unit_test(test_owners),	  cmocka_unit_test(test_no_owner),
		cmocka_unit_test(test_rates),	  cmocka_unit_test(test_id),
		cmocka_unit_test(test_forecast),  cmocka_unit_test(test_forecast_releases),
		cmocka_unit_test(test_severity),  cmocka_unit_test(test_percent), cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests_name("pressure", tests, NULL, end);
}
