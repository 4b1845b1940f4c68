// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* pool: how many ports are left, with the numbers that kernels of 5.10 to 7.2 gave. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "pool.h"

#define LOW 40000
#define HIGH 40099

static struct pool_state s;

static struct endpoint at(const char *text, uint16_t port)
{
	struct endpoint ep = { .has_port = true, .port = port };

	ep.ip_version = strchr(text, ':') ? 6 : 4;
	assert_int_equal(inet_pton(ep.ip_version == 6 ? AF_INET6 : AF_INET, text, ep.addr), 1);
	return ep;
}

/* All is known: the bind buckets have been read, and say no. */
static void begin(uint16_t low, uint16_t high)
{
	pool_free(&s);
	memset(&s, 0, sizeof(s));
	s.range_low = low;
	s.range_high = high;
	s.shows_bound = true;
	s.timestamps = true;
	memset(s.explicit, POOL_NO, sizeof(s.explicit));
}

static int end(void **state)
{
	(void)state;
	pool_free(&s);
	return 0;
}

static struct pool_socket *add(enum event_proto proto, enum sockdiag_state state, const char *local, uint16_t port)
{
	struct pool_socket sock = { .proto = proto, .state = state, .local = at(local, port), .v6only = POOL_NO };

	sock.is_ipv6 = sock.local.ip_version == 6;
	assert_int_equal(pool_add(&s, &sock), 0);
	return &s.sockets[s.count - 1];
}

static struct pool_socket *connected(const char *local, uint16_t port, const char *remote, uint16_t remote_port)
{
	struct pool_socket *sock = add(PROTO_TCP, SOCKDIAG_ESTABLISHED, local, port);

	sock->remote = at(remote, remote_port);
	return sock;
}

static void bound(enum sockdiag_state state, const char *local, uint16_t port)
{
	add(PROTO_TCP, state, local, port);
	s.explicit[port] = POOL_YES;
}

static void waits(const char *local, uint16_t port, const char *remote, uint16_t remote_port, uint32_t expires_ms)
{
	struct pool_socket *sock = connected(local, port, remote, remote_port);

	sock->state = SOCKDIAG_TIME_WAIT;
	sock->waits = true;
	sock->expires_ms = expires_ms;
}

static struct pool_measure measure(const struct pool_key *key)
{
	struct pool_measure m;
	uint32_t sum = 0;

	assert_int_equal(pool_measure(&s, key, &m), 0);
	for (enum pool_port p = 0; p < POOL_PORT_COUNT; p++)
		sum += m.ports[p];
	assert_int_equal(sum, m.size);
	return m;
}

static struct pool_measure connects(const char *source, const char *host, uint16_t port)
{
	return measure(&(struct pool_key){ .kind = POOL_CONNECT,
					   .source = at(source, 0),
					   .destination = at(host, port) });
}

static struct pool_measure binds(const char *source)
{
	return measure(&(struct pool_key){ .kind = POOL_BIND, .source = at(source, 0) });
}

static struct pool_measure udp(const char *source)
{
	return measure(&(struct pool_key){ .kind = POOL_UDP, .source = at(source, 0) });
}

static void expect(struct pool_bounds got, uint32_t min, uint32_t max)
{
	assert_int_equal(got.min, min);
	assert_int_equal(got.max, max);
}

/* T01, T02: each destination has a pool of its own; bind() meets all of them. */
static void test_connect(void **state)
{
	struct pool_measure m;

	(void)state;
	begin(LOW, HIGH);
	for (uint16_t i = 0; i < 50; i++)
		connected("127.0.0.1", (uint16_t)(LOW + 2 * i), "127.0.0.1", 8080);
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	expect(m.free, 50, 50);
	expect(m.half_free, 0, 0);
	assert_int_equal(m.half_used, 50);
	expect(m.capacity, 100, 100);
	for (uint16_t i = 0; i < 50; i++)
		connected("127.0.0.1", (uint16_t)(LOW + 2 * i + 1), "127.0.0.1", 8080);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 0, 0);
	expect(connects("127.0.0.1", "127.0.0.1", 8081).free, 100, 100);
	expect(connects("127.0.0.1", "127.0.0.2", 8080).free, 100, 100);
	expect(binds("127.0.0.1").free, 0, 0);
	expect(binds("127.0.0.9").free, 100, 100);
	expect(binds("0.0.0.0").free, 0, 0);
}

/* T03, T04, T09: bind() makes one pool of all, and takes it away from connect(). */
static void test_bind(void **state)
{
	struct pool_measure m;

	(void)state;
	begin(LOW, HIGH);
	for (uint16_t port = LOW; port <= HIGH; port++) {
		connected("127.0.0.1", port, "127.0.0.1", 8080)->how = HOW_BIND0;
		s.explicit[port] = POOL_YES;
	}
	expect(binds("127.0.0.1").free, 0, 0);
	expect(binds("127.0.0.2").free, 100, 100);
	m = connects("127.0.0.1", "127.0.0.2", 8080);
	expect(m.free, 0, 0);
	expect(m.capacity, 0, 0);
	assert_int_equal(m.blocked, 100);
	assert_int_equal(m.ports[POOL_PORT_BIND_CONNECT], 100);
	begin(LOW, HIGH);
	for (uint16_t port = LOW; port <= HIGH; port++)
		bound(SOCKDIAG_CLOSE, "127.0.0.5", port);
	assert_int_equal(connects("127.0.0.1", "127.0.0.1", 8080).ports[POOL_PORT_BOUND], 100);
}

/* T05: three sources, two ports. */
static void test_sources(void **state)
{
	static const char *const sources[] = { "127.0.0.1", "127.0.0.2", "127.0.0.3" };
	uint32_t free = 0;

	(void)state;
	begin(LOW, HIGH);
	connected("127.0.0.1", LOW, "127.0.0.1", 8080);
	for (int i = 0; i < 3; i++)
		for (uint16_t port = 8080; port < 8082; port++)
			free += connects(sources[i], "127.0.0.1", port).free.min;
	assert_int_equal(free, 599);
}

/* T06, T07 */
static void test_reserved(void **state)
{
	struct pool_measure m;

	(void)state;
	begin(LOW, HIGH);
	assert_int_equal(netns_parse_reserved("40010-40019,40050", s.reserved), 0);
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	expect(m.free, 89, 89);
	assert_int_equal(m.ports[POOL_PORT_RESERVED], 11);
	expect(binds("127.0.0.1").free, 89, 89);
	begin(LOW, HIGH);
	for (uint16_t port = LOW; port < LOW + 40; port += 2)
		s.reserved[port / 8] |= (uint8_t)(1u << port % 8);
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	expect(m.free, 80, 80);
	expect(m.half_capacity, 30, 30);
	expect(binds("127.0.0.1").half_capacity, 50, 50);
}

/* T08: 98, 97, and an accepted connection whose listener has gone still keeps its port. */
static void test_blocked(void **state)
{
	struct pool_measure m;

	(void)state;
	begin(LOW, HIGH);
	bound(SOCKDIAG_LISTEN, "127.0.0.9", 40050);
	bound(SOCKDIAG_LISTEN, "0.0.0.0", 40051);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 98, 98);
	bound(SOCKDIAG_CLOSE, "127.0.0.8", 40052);
	add(PROTO_UDP, SOCKDIAG_CLOSE, "0.0.0.0", 40060);
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	expect(m.free, 97, 97);
	assert_int_equal(m.ports[POOL_PORT_LISTEN], 2);
	assert_int_equal(m.ports[POOL_PORT_BOUND], 1);
	expect(binds("127.0.0.1").free, 99, 99);
	connected("127.0.0.1", 40070, "127.0.0.1", 20000)->how = HOW_INHERITED;
	s.explicit[40070] = POOL_YES;
	s.explicit[40071] = POOL_YES;
	connected("127.0.0.1", 40071, "127.0.0.1", 8081)->how = HOW_CONNECT;
	connected("127.0.0.1", 40072, "127.0.0.1", 8081);
	s.explicit[40072] = POOL_YES;
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	assert_int_equal(m.ports[POOL_PORT_ACCEPTED], 1);
	assert_int_equal(m.ports[POOL_PORT_PHANTOM], 1);
	assert_int_equal(m.ports[POOL_PORT_BLOCKED], 1);
	expect(m.free, 94, 94);
}

/* What reuse depends on. */
static void test_time_wait(void **state)
{
	(void)state;
	begin(LOW, HIGH);
	waits("127.0.0.1", 40000, "127.0.0.1", 8080, 58000);
	waits("127.0.0.1", 40001, "127.0.0.1", 8080, 59900);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 98, 98);
	s.tw_reuse = 1;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 99, 100);
	s.tw_reuse_delay_ms = 2500;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 98, 100);
	s.tw_reuse_delay_ms = 50;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 100, 100);
	assert_int_equal(connects("127.0.0.1", "127.0.0.1", 8080).ports[POOL_PORT_REUSABLE], 2);
	expect(binds("127.0.0.1").free, 98, 98);
	s.timestamps = false;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 98, 98);
	s.timestamps = true;
	s.tw_reuse = 2;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 100, 100);
	waits("10.0.0.5", 40002, "10.0.3.9", 5432, 1000);
	expect(connects("10.0.0.5", "10.0.3.9", 5432).free, 99, 99);
	s.tw_reuse = 1;
	expect(connects("10.0.0.5", "10.0.3.9", 5432).free, 100, 100);
	s.sockets[s.count - 1].state = SOCKDIAG_FIN_WAIT2;
	expect(connects("10.0.0.5", "10.0.3.9", 5432).free, 99, 100);
	s.explicit[40002] = POOL_YES;
	expect(connects("10.0.0.5", "10.0.3.9", 5432).free, 99, 99);
}

/* T19, T20 */
static void test_udp(void **state)
{
	(void)state;
	begin(LOW, HIGH);
	for (uint16_t port = LOW; port < LOW + 90; port++)
		add(PROTO_UDP, SOCKDIAG_ESTABLISHED, "127.0.0.1", port)->remote = at("127.0.0.1", 53);
	expect(udp("0.0.0.0").free, 10, 10);
	expect(udp("::").free, 10, 10);
	expect(udp("127.0.0.1").free, 10, 10);
	expect(udp("127.0.0.2").free, 100, 100);
	assert_false(udp("0.0.0.0").has_half);
	begin(40000, 40100);
	assert_int_equal(netns_parse_reserved("40010-40019", s.reserved), 0);
	expect(udp("0.0.0.0").free, 91, 91);
	s.no_udp = true;
	assert_int_equal(pool_measure(&s, &(struct pool_key){ .kind = POOL_UDP }, &(struct pool_measure){ 0 }),
			 -ENOENT);
}

/* T21: an end outside of the namespace's range does not count. */
static void test_socket_range(void **state)
{
	struct pool_key key = { .kind = POOL_CONNECT, .range_low = 40010, .range_high = 40019 };

	(void)state;
	begin(LOW, HIGH);
	key.source = at("127.0.0.1", 0);
	key.destination = at("127.0.0.1", 8080);
	expect(measure(&key).free, 10, 10);
	assert_false(measure(&key).has_half);
	key.range_low = 50000;
	key.range_high = 50009;
	expect(measure(&key).free, 100, 100);
	key.range_low = 40090;
	expect(measure(&key).free, 10, 10);
}

/* T22, and who is in whose way. */
static void test_ipv6(void **state)
{
	struct pool_socket *six;

	(void)state;
	begin(LOW, HIGH);
	for (uint16_t port = LOW; port <= HIGH; port++)
		connected("127.0.0.1", port, "127.0.0.1", 8080)->is_ipv6 = true; /* to ::ffff:127.0.0.1 */
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 0, 0);
	expect(connects("::1", "::1", 8080).free, 100, 100);
	expect(binds("::1").free, 100, 100);
	expect(binds("::").free, 0, 0);
	begin(LOW, HIGH);
	six = add(PROTO_TCP, SOCKDIAG_LISTEN, "::", LOW);
	expect(binds("127.0.0.1").free, 99, 99);
	six->v6only = POOL_YES;
	expect(binds("127.0.0.1").free, 100, 100);
	expect(binds("::1").free, 99, 99);
	six->local = at("::1", LOW);
	six->v6only = POOL_NO;
	expect(binds("127.0.0.1").free, 100, 100);
	expect(binds("0.0.0.0").free, 99, 99);
	expect(binds("127.0.0.6").free, 99, 100);
	six->v6only = POOL_UNKNOWN;
	expect(binds("0.0.0.0").free, 99, 100);
	assert_int_equal(pool_measure(&s, &(struct pool_key){ .kind = POOL_CONNECT, .source = at("::1", 0),
							      .destination = at("127.0.0.1", 1) },
				      &(struct pool_measure){ 0 }), -EINVAL);
}

/* Sizes 1, 2, 3 and 101: N or N-1. */
static void test_odd(void **state)
{
	(void)state;
	begin(40000, 40000);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 1, 1);
	begin(40000, 40001);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 2, 2);
	begin(40000, 40002);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 2, 2);
	begin(40000, 40100);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 100, 101);
	expect(binds("127.0.0.1").free, 100, 101);
	bound(SOCKDIAG_CLOSE, "127.0.0.1", 40000);
	bound(SOCKDIAG_CLOSE, "127.0.0.1", 40100);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 99, 99);
	begin(1, 65535);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 65534, 65535);
}

/* Without the bind buckets: what sock_diag shows decides, and the rest is said to be unknown. */
static void test_unknown(void **state)
{
	struct pool_measure m;

	(void)state;
	begin(LOW, HIGH);
	memset(s.explicit, POOL_UNKNOWN, sizeof(s.explicit));
	add(PROTO_TCP, SOCKDIAG_LISTEN, "0.0.0.0", 40001);
	connected("127.0.0.1", 40002, "127.0.0.1", 8081);
	connected("127.0.0.1", 40003, "127.0.0.1", 8081)->how = HOW_CONNECT;
	connected("127.0.0.1", 40004, "127.0.0.1", 8081)->how = HOW_EXPLICIT;
	connected("127.0.0.1", 40005, "127.0.0.1", 8080);
	m = connects("127.0.0.1", "127.0.0.1", 8080);
	expect(m.free, 96, 97);
	assert_int_equal(m.ports[POOL_PORT_UNKNOWN], 1);
	expect(binds("127.0.0.1").free, 95, 95);
	s.shows_bound = false;
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 0, 97);
	expect(binds("127.0.0.1").free, 0, 95);
	s.shows_bound = true;
	s.hidden[40007 / 8] |= 1u << 40007 % 8;
	expect(binds("127.0.0.1").free, 94, 95);
	expect(connects("127.0.0.1", "127.0.0.1", 8080).free, 95, 97);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),	 cmocka_unit_test(test_bind),	      cmocka_unit_test(test_sources),
		cmocka_unit_test(test_reserved), cmocka_unit_test(test_blocked),      cmocka_unit_test(test_time_wait),
		cmocka_unit_test(test_udp),	 cmocka_unit_test(test_socket_range), cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_odd),	 cmocka_unit_test(test_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, end);
}
