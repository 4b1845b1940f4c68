// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "sockets.h"

#define SECOND UINT64_C(1000000000)

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

/* Whether it got a port is not known, and no port was seen. */
static void test_doubtful_bind_is_not_remembered(void **state)
{
	struct event ev = happened(1, EVENT_BIND, 1000);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.outcome = OUTCOME_UNKNOWN;
	track(s, ev);
	assert_int_equal(sockets_count(s), 0);
	ev = happened(2, EVENT_CONNECT, 2000); /* of UDP: a close will come */
	ev.outcome = OUTCOME_UNKNOWN;
	track(s, ev);
	assert_int_equal(sockets_count(s), 1);
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
	assert_int_equal(sockets_count(s), 10);
	assert_int_equal(sockets_evicted(s).open, 1);
	assert_int_equal(closed(s, 11, 20, false).duration_ns, 9);
	assert_int_equal(closed(s, 1, 20, false).duration_ns, 0);
	assert_int_equal(closed(s, 2, 20, false).duration_ns, 18);
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

/* ---- who has a port ---- */

enum { NETNS = 4026531840 };

static struct event socket_event(uint64_t id, enum event_kind kind, uint64_t time_ns, const char *ip, int port,
				 uint32_t pid, const char *name)
{
	struct event ev = happened(id, kind, time_ns);

	ev.netns_inum = NETNS;
	ev.local = events_endpoint(ip, port);
	ev.pid = pid;
	ev.has_uid = pid != 0;
	ev.uid = pid + 1000;
	ev.process_start_ns = pid * SECOND;
	ev.cgroup_id = pid + 7;
	snprintf(ev.name, sizeof(ev.name), "%s", name);
	return ev;
}

static struct event connection(uint64_t id, enum event_kind kind, uint64_t time_ns, const char *ip, int port,
			       uint32_t pid, const char *name)
{
	struct event ev = socket_event(id, kind, time_ns, ip, port, pid, name);

	ev.remote = events_endpoint("10.9.9.9", (int)(id % 60000) + 1);
	return ev;
}

static struct sockets_key key_of(const char *ip, int port)
{
	return (struct sockets_key){ .netns = NETNS, .local = events_endpoint(ip, port) };
}

/* The pid of the holder; 0 = none. */
static uint32_t holder_of(const struct sockets *s, const char *ip, int port)
{
	struct sockets_key key = key_of(ip, port);
	struct holder holder;

	return sockets_find_holder(s, &key, &holder) ? holder.pid : 0;
}

static void test_overlap(void **state)
{
	static const struct {
		const char *a, *b;
		bool a_v6only, b_v6only, overlap;
	} cases[] = {
		{ "0.0.0.0", "0.0.0.0", false, false, true },	  { "0.0.0.0", "10.0.0.1", false, false, true },
		{ "10.0.0.1", "10.0.0.1", false, false, true },	  { "10.0.0.1", "10.0.0.2", false, false, false },
		{ "::", "::", true, true, true },		  { "::", "fe80::1", true, false, true },
		{ "fe80::1", "fe80::1", false, false, true },	  { "fe80::1", "fe80::2", false, false, false },
		{ "::", "0.0.0.0", false, false, true },	  { "::", "10.0.0.1", false, false, true },
		{ "::", "0.0.0.0", true, false, false },	  { "::", "10.0.0.1", true, false, false },
		{ "fe80::1", "0.0.0.0", false, false, false },	  { "fe80::1", "10.0.0.1", false, false, false },
		{ "10.0.0.1", "::", false, true, false },	  { "", "0.0.0.0", false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct endpoint a = events_endpoint(cases[i].a, 80), b = events_endpoint(cases[i].b, 80);

		assert_int_equal(sockets_overlap(&a, cases[i].a_v6only, &b, cases[i].b_v6only), cases[i].overlap);
		assert_int_equal(sockets_overlap(&b, cases[i].b_v6only, &a, cases[i].a_v6only), cases[i].overlap);
	}
}

static void test_holder_is_described(void **state)
{
	struct sockets_key key = key_of("0.0.0.0", 80);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_false(sockets_find_holder(s, &key, &holder));
	track(s, socket_event(1, EVENT_BIND, 1000, "10.0.0.1", 80, 977, "nginx"));
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.kind, HOLDER_BOUND);
	assert_int_equal(holder.pid, 977);
	assert_int_equal(holder.process_start_ns, 977 * SECOND);
	assert_int_equal(holder.cgroup_id, 984);
	assert_true(holder.has_uid);
	assert_int_equal(holder.uid, 1977);
	assert_string_equal(holder.name, "nginx");
	assert_int_equal(holder.local.port, 80);
	assert_int_equal(holder.local.addr[0], 10);
	key.before_ns = 999;
	assert_false(sockets_find_holder(s, &key, &holder));
	key.before_ns = 1000;
	assert_true(sockets_find_holder(s, &key, &holder));
	key.other_than = 1; /* the socket that asks is not its own holder */
	assert_false(sockets_find_holder(s, &key, &holder));
	sockets_free(s);
}

/* Of a pair of endpoints: the connection of exactly these. */
static void test_holder_of_a_pair(void **state)
{
	struct sockets_key key = key_of("10.0.0.1", 40003);
	struct event ev = socket_event(1, EVENT_CONNECT, 1000, "10.0.0.1", 40003, 977, "curl");
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.remote = events_endpoint("10.0.0.2", 443);
	ev.how = HOW_CONNECT;
	track(s, ev);
	track(s, socket_event(2, EVENT_BIND, 1001, "0.0.0.0", 40003, 978, "bound"));
	key.remote = ev.remote;
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.pid, 977);
	assert_int_equal(holder.how, HOW_CONNECT);
	key.remote.port = 444;
	assert_false(sockets_find_holder(s, &key, &holder));
	key.remote = events_endpoint("10.0.0.3", 443);
	assert_false(sockets_find_holder(s, &key, &holder));
	sockets_free(s);
}

static void test_holder_has_the_same_port_and_namespace(void **state)
{
	struct sockets_key key = key_of("0.0.0.0", 80);
	struct holder holder;
	struct sockets *s;
	struct event ev = socket_event(1, EVENT_BIND, 1000, "0.0.0.0", 80, 977, "nginx");

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 977);
	assert_int_equal(holder_of(s, "::", 80), 977);
	assert_int_equal(holder_of(s, "fe80::1", 80), 0);
	assert_int_equal(holder_of(s, "0.0.0.0", 81), 0);
	key.proto = PROTO_UDP;
	assert_false(sockets_find_holder(s, &key, &holder));
	ev = socket_event(2, EVENT_BIND, 1000, "0.0.0.0", 80, 53, "named");
	ev.proto = PROTO_UDP;
	ev.protocol = IPPROTO_UDPLITE;
	track(s, ev);
	assert_false(sockets_find_holder(s, &key, &holder));
	key.protocol = IPPROTO_UDPLITE;
	assert_true(sockets_find_holder(s, &key, &holder));
	key = key_of("0.0.0.0", 80);
	key.netns++;
	assert_false(sockets_find_holder(s, &key, &holder));
	sockets_free(s);
}

static void test_v6only_holder_leaves_ipv4(void **state)
{
	struct event ev = socket_event(1, EVENT_BIND, 1000, "::", 80, 977, "nginx");
	struct sockets_key key = key_of("::", 81);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.has_options = ev.v6only = true;
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 0);
	assert_int_equal(holder_of(s, "::", 80), 977);
	track(s, socket_event(2, EVENT_BIND, 1000, "0.0.0.0", 81, 5, "sshd"));
	assert_true(sockets_find_holder(s, &key, &holder));
	key.v6only = true;
	assert_false(sockets_find_holder(s, &key, &holder));
	sockets_free(s);
}

/* Two sockets on different devices have the same port; one on no device is in the way of both. */
static void test_devices(void **state)
{
	struct event eth = socket_event(1, EVENT_LISTEN, 1000, "0.0.0.0", 80, 2, "eth");
	struct event wlan = socket_event(2, EVENT_BIND, 1000, "0.0.0.0", 80, 3, "wlan");
	struct sockets_key key = key_of("0.0.0.0", 80);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	eth.has_options = wlan.has_options = true;
	eth.bound_ifindex = 7;
	wlan.bound_ifindex = 8;
	track(s, eth);
	key.device = 8;
	assert_false(sockets_find_holder(s, &key, &holder));
	track(s, wlan);
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.pid, 3);
	key.device = 7;
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.pid, 2);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 2);
	sockets_free(s);
}

/* A listener, then a bound socket, then a connection, in whichever order they came. */
static void test_preference(void **state)
{
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100000, &s), 0);
	for (uint64_t id = 1000; id < 31000; id++)
		track(s, connection(id, EVENT_ACCEPT, 900, "10.0.0.1", 80, 4, "worker"));
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 4);
	track(s, socket_event(1, EVENT_BIND, 1000, "10.0.0.1", 80, 2, "bound"));
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 2);
	track(s, socket_event(3, EVENT_BIND, 1000, "10.0.0.1", 80, 3, "listener"));
	track(s, socket_event(3, EVENT_LISTEN, 1001, "10.0.0.1", 80, 3, "listener"));
	track(s, socket_event(5, EVENT_BIND, 1002, "10.0.0.1", 80, 5, "bound"));
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 3);
	closed(s, 3, 2000, false);
	assert_in_range(holder_of(s, "0.0.0.0", 80), 2, 5);
	closed(s, 1, 2000, false);
	closed(s, 5, 2000, false);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 4);
	assert_int_equal(sockets_count(s), 30000);
	sockets_free(s);
}

static struct event close_of(uint64_t id, uint64_t time_ns, enum close_state after, uint32_t pid)
{
	struct event ev = connection(id, EVENT_CLOSE, time_ns, "10.0.0.1", 4000, pid, "curl");

	ev.close_state = after;
	return ev;
}

static void test_time_wait_is_held(void **state)
{
	struct sockets_key key = key_of("0.0.0.0", 4000);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, connection(7, EVENT_CONNECT, SECOND, "10.0.0.1", 4000, 8, "curl"));
	track(s, close_of(7, 2 * SECOND, CLOSE_STATE_TIME_WAIT, 8));
	assert_int_equal(sockets_count(s), 0);
	assert_int_equal(sockets_held(s), 1);
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.kind, HOLDER_TIME_WAIT);
	assert_int_equal(holder.pid, 8);
	/* another socket at the same address in memory is another one, and goes before */
	track(s, socket_event(7, EVENT_BIND, 3 * SECOND, "0.0.0.0", 4000, 9, "server"));
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 9);
	closed(s, 7, 4 * SECOND, false);
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 8);
	track(s, happened(99, EVENT_BIND, 63 * SECOND));
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 8);
	track(s, happened(99, EVENT_BIND, 64 * SECOND));
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 0);
	assert_int_equal(sockets_held(s), 0);
	sockets_free(s);
}

/* What is known to be free is nobody's; what is not known is no holder, but its owner is known to the kernel's list. */
static void test_close_states(void **state)
{
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, close_of(1, SECOND, CLOSE_STATE_CLOSED, 8));
	assert_int_equal(sockets_held(s), 0);
	for (enum close_state after = 0; after < CLOSE_STATE_COUNT; after++) {
		struct event ev = close_of(10 + after, SECOND, after, 8);
		struct sockets_key key = { NETNS, .local = ev.local, .remote = ev.remote };

		track(s, ev);
		assert_int_equal(sockets_find_owner(s, &key, &holder), after != CLOSE_STATE_CLOSED);
		assert_int_equal(holder_of(s, "0.0.0.0", 4000), after < CLOSE_STATE_TIME_WAIT ? 0 : 8);
		key.remote.port++;
		key.remote.addr[0]++;
		assert_false(sockets_find_owner(s, &key, &holder));
	}
	sockets_free(s);
}

static void test_owner_by_cookie(void **state)
{
	struct sockets_key key = key_of("0.0.0.0", 80);
	struct holder holder;
	struct sockets *s;
	struct event ev = socket_event(1, EVENT_BIND, 1000, "0.0.0.0", 80, 977, "nginx");

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.cookie = 4097;
	track(s, ev);
	ev = socket_event(2, EVENT_BIND, 1000, "0.0.0.0", 80, 978, "other");
	ev.cookie = 4098;
	track(s, ev);
	key.cookie = 4097;
	assert_true(sockets_find_owner(s, &key, &holder));
	assert_int_equal(holder.pid, 977);
	key.cookie = 4098;
	assert_true(sockets_find_owner(s, &key, &holder));
	assert_int_equal(holder.pid, 978);
	key.cookie = 5;
	assert_false(sockets_find_owner(s, &key, &holder));
	key = key_of("10.0.0.1", 80); /* without a cookie, the very address */
	assert_false(sockets_find_owner(s, &key, &holder));
	sockets_free(s);
}

static void test_release_frees_the_port(void **state)
{
	struct event ev = close_of(1, SECOND, CLOSE_STATE_TIME_WAIT, 8);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, ev);
	track(s, close_of(2, SECOND, CLOSE_STATE_TIME_WAIT, 9));
	ev.kind = EVENT_RELEASE;
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 9);
	assert_int_equal(sockets_count(s), 0);
	track(s, happened(99, EVENT_BIND, 64 * SECOND));
	assert_int_equal(sockets_held(s), 0);
	sockets_free(s);
}

/* A reset connection has given back its port; bind() with IP_BIND_ADDRESS_NO_PORT brings none. */
static void test_bind_without_a_port_brings_none(void **state)
{
	struct event ev = connection(1, EVENT_CONNECT, 1000, "10.0.0.1", 40000, 977, "app");
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, ev);
	ev.kind = EVENT_RELEASE;
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 40000), 0);
	ev = socket_event(1, EVENT_BIND, 2000, "10.0.0.1", 0, 977, "app");
	ev.how = HOW_NONE;
	ev.local.has_port = false;
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 40000), 0);
	assert_int_equal(sockets_count(s), 1);
	track(s, socket_event(1, EVENT_BIND, 3000, "10.0.0.1", 40001, 977, "app"));
	assert_int_equal(holder_of(s, "0.0.0.0", 40001), 977);
	sockets_free(s);
}

/* One that was never accepted has no event before its close. Its address was an older socket's: that one stays. */
static void test_close_of_another_at_the_same_address(void **state)
{
	struct event first = connection(1, EVENT_CONNECT, SECOND, "10.0.0.1", 4000, 977, "app"), other;
	struct sockets_key key = key_of("10.0.0.1", 4000);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	first.cookie = 7;
	track(s, first); /* shut down, disconnected and closed: no event */
	other = close_of(1, 2 * (uint64_t)SECOND, CLOSE_STATE_CLOSED, 8);
	other.local.port = 80;
	other.cookie = 8;
	assert_int_equal(sockets_count(s), 1);
	track(s, other);
	assert_int_equal(sockets_count(s), 0);
	key.cookie = 7;
	key.guess = true;
	assert_true(sockets_find_owner(s, &key, &holder));
	assert_int_equal(holder.pid, 977);
	sockets_free(s);
}

/* The same where no cookie is known: a connection is another's than the listener whose end was not told. */
static void test_never_accepted_had_no_event(void **state)
{
	struct event other = close_of(1, 2 * (uint64_t)SECOND, CLOSE_STATE_CLOSED, 8);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, socket_event(1, EVENT_BIND, SECOND, "10.0.0.1", 4000, 977, "app"));
	other.never_accepted = true;
	sockets_track(s, &other);
	assert_int_equal(other.duration_ns, 0);
	assert_int_equal(sockets_count(s), 0);
	other = close_of(1, 3 * (uint64_t)SECOND, CLOSE_STATE_CLOSED, 8);
	track(s, socket_event(1, EVENT_BIND, SECOND, "10.0.0.1", 4000, 977, "app"));
	sockets_track(s, &other);
	assert_int_equal(other.duration_ns, 2 * (uint64_t)SECOND);
	sockets_free(s);
}

static bool listens_alone(void *arg, const struct sockets_view *view)
{
	*(bool *)arg = view->state == LIFE_LISTENING && !view->remote.has_port;
	return true;
}

/* Nothing is left of the connection that a socket had before it listens. */
static void test_listener_has_no_peer(void **state)
{
	struct event ev = connection(1, EVENT_CONNECT, 1000, "10.0.0.1", 40000, 977, "app");
	bool alone = false;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, ev);
	ev.kind = EVENT_RELEASE;
	track(s, ev);
	ev = socket_event(1, EVENT_LISTEN, 2000, "0.0.0.0", 40013, 977, "app");
	ev.how = HOW_AUTOBIND;
	track(s, ev);
	assert_int_equal(holder_of(s, "0.0.0.0", 40013), 977);
	sockets_each(s, listens_alone, &alone);
	assert_true(alone);
	sockets_free(s);
}

/* TIME_WAIT of a connection to itself, whose socket then had another connection: that one's end is not its end. */
static void test_release_is_of_one_connection(void **state)
{
	struct event first = connection(1, EVENT_CONNECT, 1000, "10.0.0.1", 80, 977, "app"), second = first;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	first.cookie = second.cookie = 7;
	first.remote = first.local;
	track(s, first);
	track(s, second); /* connect(AF_UNSPEC) between them: no event */
	assert_int_equal(sockets_held(s), 1);
	second.kind = EVENT_CLOSE;
	second.close_state = CLOSE_STATE_CLOSED;
	track(s, second);
	second.kind = EVENT_RELEASE;
	for (int peer = 1; peer >= 0; peer--) {
		struct sockets_key key = key_of("10.0.0.1", 80);
		struct holder holder;

		key.cookie = 7;
		key.remote = first.remote;
		if (!peer)
			second.remote = (struct endpoint){ 0 };
		track(s, second);
		assert_true(sockets_find_owner(s, &key, &holder));
		first.kind = EVENT_RELEASE;
		if (!peer)
			track(s, first);
		assert_int_equal(sockets_find_owner(s, &key, &holder), peer);
	}
	sockets_free(s);
}

/* shutdown() of a listener: the socket lives on, with the port that it had asked for by number. */
static void test_shutdown_leaves_a_bound_socket(void **state)
{
	struct event ev = socket_event(1, EVENT_CLOSE, 3000, "0.0.0.0", 80, 977, "nginx");
	struct sockets_key key = key_of("0.0.0.0", 80);
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, socket_event(1, EVENT_BIND, 1000, "0.0.0.0", 80, 977, "nginx"));
	track(s, socket_event(1, EVENT_LISTEN, 2000, "0.0.0.0", 80, 977, "nginx"));
	ev.cause = CAUSE_SHUT_DOWN;
	track(s, ev);
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.kind, HOLDER_BOUND);
	assert_int_equal(closed(s, 1, 9000, false).duration_ns, 8000);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 0);
	sockets_free(s);
}

/* Shut down both ways, then connect(AF_UNSPEC): its close, if there is one, tells of no connection. */
static void test_dropped_connections_are_remembered(void **state)
{
	struct sockets_key key = key_of("10.0.0.1", 4000);
	struct event ev = connection(1, EVENT_CONNECT, 1000, "10.0.0.1", 4000, 977, "app");
	struct holder holder;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	key.remote = ev.remote;
	for (int again = 0; again < 2; again++) { /* its address is used again; its own close */
		ev.how = HOW_CONNECT;
		track(s, ev);
		assert_int_equal(sockets_held(s), 0);
		if (again)
			track(s, socket_event(1, EVENT_CLOSE, 2000, "0.0.0.0", 4000, 977, "app"));
		else
			track(s, socket_event(1, EVENT_BIND, 2000, "0.0.0.0", 80, 978, "other"));
		assert_true(sockets_find_owner(s, &key, &holder));
		assert_int_equal(holder.pid, 977);
		assert_int_equal(sockets_held(s), 1);
		assert_int_equal(sockets_count(s), !again);
		sockets_free(s);
		assert_int_equal(sockets_new(100, &s), 0);
	}
	sockets_free(s);
}

/* Another socket at the same address, of which the first event assigns no port (IP_BIND_ADDRESS_NO_PORT). */
static void test_another_cookie_is_another_socket(void **state)
{
	struct event ev = socket_event(1, EVENT_BIND, 1000, "10.0.0.1", 80, 977, "app");
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.cookie = 1;
	track(s, ev);
	ev = socket_event(1, EVENT_BIND, 2000, "10.0.0.1", 0, 978, "other");
	ev.cookie = 2;
	ev.how = HOW_NONE;
	ev.local.has_port = false;
	track(s, ev);
	assert_int_equal(holder_of(s, "10.0.0.1", 80), 0);
	assert_int_equal(sockets_count(s), 1);
	sockets_free(s);
}

/* A connect that came as far as a SYN gives back what bind(0) had got, but not a port that was asked for. */
static void test_failed_connect_gives_back(void **state)
{
	struct event ev = socket_event(1, EVENT_BIND, 1000, "0.0.0.0", 40000, 977, "app");
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.how = HOW_BIND0;
	track(s, ev);
	track(s, socket_event(2, EVENT_BIND, 1000, "0.0.0.0", 80, 977, "app"));
	for (uint64_t id = 1; id <= 2; id++) {
		ev = connection(id, EVENT_CONNECT, 2000, "10.0.0.1", id == 1 ? 40000 : 80, 977, "app");
		ev.how = HOW_NONE;
		ev.outcome = OUTCOME_FAILURE;
		track(s, ev); /* no route: nothing was sent */
		assert_int_equal(holder_of(s, "0.0.0.0", id == 1 ? 40000 : 80), 977);
		ev.gave_back = true;
		track(s, ev);
		assert_int_equal(holder_of(s, "0.0.0.0", id == 1 ? 40000 : 80), id == 1 ? 0 : 977);
	}
	assert_int_equal(sockets_count(s), 2);
	sockets_free(s);
}

/* No close tells of a socket without a port: such are forgotten in turn, and those that get a port again are not. */
static void test_portless_are_bounded(void **state)
{
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100000, &s), 0);
	for (uint64_t id = 1; id <= 5000; id++) {
		struct event ev = socket_event(id, EVENT_BIND, 1000, "0.0.0.0", 4000, (uint32_t)id, "app");

		ev.how = HOW_BIND0;
		track(s, ev);
		ev.kind = EVENT_CONNECT;
		ev.how = HOW_NONE;
		ev.outcome = OUTCOME_FAILURE;
		ev.gave_back = true;
		track(s, ev);
		if (id == 1)
			track(s, socket_event(id, EVENT_BIND, 3000, "0.0.0.0", 80, 977, "app"));
	}
	assert_int_equal(sockets_count(s), 1025);
	assert_int_equal(holder_of(s, "0.0.0.0", 80), 977);
	assert_int_equal(holder_of(s, "0.0.0.0", 4000), 0);
	sockets_free(s);
}

static void test_held_are_bounded(void **state)
{
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(1000, &s), 0);
	for (uint64_t id = 1; id <= 5000; id++)
		track(s, close_of(id, SECOND, CLOSE_STATE_TIME_WAIT, (uint32_t)id));
	assert_int_equal(sockets_held(s), 1000);
	assert_int_equal(sockets_evicted(s).closed, 4000);
	assert_int_equal(sockets_count(s), 0);
	assert_in_range(holder_of(s, "0.0.0.0", 4000), 4001, 5000);
	sockets_free(s);
}

/* Against plain arrays: many ports, all kinds of ends, growth, and time. */
static void test_holders_like_an_array(void **state)
{
	enum { PORTS = 3000, STEPS = 300000 };
	uint64_t(*life)[2] = calloc(PORTS, sizeof(*life)); /* alive: 1; else until when it is held */
	struct sockets *s;

	(void)state;
	assert_non_null(life);
	assert_int_equal(sockets_new(200000, &s), 0);
	srand(11);
	for (uint64_t step = 1; step <= STEPS; step++) {
		int port = 1 + rand() % PORTS;
		uint64_t id = 0xffff888000000000ULL + (uint64_t)port * 2048, now = step * SECOND / 1000;
		uint64_t *is = life[port - 1];
		enum event_kind kind = rand() % 2 ? EVENT_CONNECT : EVENT_CLOSE;
		struct event ev = connection(id, kind, now, "10.0.0.1", port, 7, "x");

		ev.close_state = rand() % 2 ? CLOSE_STATE_TIME_WAIT : CLOSE_STATE_CLOSED;
		track(s, ev);
		if (ev.kind == EVENT_CLOSE && ev.close_state == CLOSE_STATE_TIME_WAIT)
			is[1] = now + 62 * SECOND;
		is[0] = ev.kind == EVENT_CONNECT;
		port = 1 + rand() % PORTS;
		is = life[port - 1];
		assert_int_equal(holder_of(s, "0.0.0.0", port), is[0] || is[1] > now ? 7 : 0);
	}
	free(life);
	sockets_free(s);
}

/* ---- who made the socket that another process uses ---- */

static uint32_t creator_of(struct sockets *s, struct event ev)
{
	sockets_track(s, &ev);
	assert_true(!ev.creator_pid == !ev.creator_name[0]);
	return ev.creator_pid;
}

static void test_creator_of_a_passed_listener(void **state)
{
	struct sockets *s;
	struct event ev;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_int_equal(creator_of(s, socket_event(1, EVENT_BIND, 1, "0.0.0.0", 22, 1, "systemd")), 0);
	assert_int_equal(creator_of(s, socket_event(1, EVENT_LISTEN, 2, "0.0.0.0", 22, 1, "systemd")), 0);
	ev = connection(2, EVENT_ACCEPT, 3, "10.0.0.1", 22, 800, "sshd");
	sockets_track(s, &ev);
	assert_int_equal(ev.creator_pid, 1);
	assert_string_equal(ev.creator_name, "systemd");
	assert_int_equal(creator_of(s, connection(3, EVENT_ACCEPT, 4, "10.0.0.1", 22, 1, "systemd")), 0);
	/* the accepted socket is the acceptor's own; but a child may close it */
	assert_int_equal(creator_of(s, connection(2, EVENT_CLOSE, 5, "10.0.0.1", 22, 800, "sshd")), 0);
	assert_int_equal(creator_of(s, connection(3, EVENT_CLOSE, 6, "10.0.0.1", 22, 801, "child")), 1);
	assert_int_equal(creator_of(s, socket_event(1, EVENT_CLOSE, 7, "0.0.0.0", 22, 800, "sshd")), 1);
	assert_int_equal(sockets_count(s), 0);
	sockets_free(s);
}

static void test_creator_after_fork(void **state)
{
	struct sockets *s;
	struct event ev;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_int_equal(creator_of(s, socket_event(1, EVENT_BIND, 1, "10.0.0.1", 70, 5, "parent")), 0);
	ev = connection(1, EVENT_CONNECT, 2, "10.0.0.1", 70, 6, "child");
	ev.how = HOW_NONE;
	ev.outcome = OUTCOME_FAILURE;
	assert_int_equal(creator_of(s, ev), 5);
	ev.outcome = OUTCOME_SUCCESS;
	assert_int_equal(creator_of(s, ev), 5);
	assert_int_equal(holder_of(s, "10.0.0.1", 70), 6); /* who uses it now */
	/* the same number, another process */
	ev = connection(1, EVENT_CLOSE, 3, "10.0.0.1", 70, 5, "reused");
	ev.process_start_ns++;
	assert_int_equal(creator_of(s, ev), 5);
	sockets_free(s);
}

/* The address in memory is used again: what is remembered of the old socket is not the new one's. */
static void test_creator_of_reused_address(void **state)
{
	struct sockets *s;
	struct event ev = socket_event(1, EVENT_BIND, 1, "10.0.0.1", 70, 5, "old");

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	track(s, ev);
	assert_int_equal(creator_of(s, socket_event(1, EVENT_BIND, 2, "10.0.0.1", 71, 6, "new")), 0);
	assert_int_equal(holder_of(s, "10.0.0.1", 70), 0);
	assert_int_equal(holder_of(s, "10.0.0.1", 71), 6);
	/* the same cookie: bound with IP_BIND_ADDRESS_NO_PORT, connected by a child */
	ev = socket_event(2, EVENT_BIND, 3, "10.0.0.1", -1, 5, "parent");
	ev.cookie = 9;
	track(s, ev);
	ev = connection(2, EVENT_CONNECT, 4, "10.0.0.1", 72, 6, "child");
	ev.cookie = 9;
	assert_int_equal(creator_of(s, ev), 5);
	assert_int_equal(closed(s, 2, 10, true).duration_ns, 7);
	sockets_free(s);
}

static void test_creator_unknown(void **state)
{
	struct event ev = socket_event(1, EVENT_BIND, 1, "0.0.0.0", 80, 5, "one");
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	/* SO_REUSEPORT: two listeners of two processes, and nobody knows by which the connection came */
	track(s, ev);
	track(s, socket_event(1, EVENT_LISTEN, 2, "0.0.0.0", 80, 5, "one"));
	track(s, socket_event(2, EVENT_BIND, 3, "0.0.0.0", 80, 6, "two"));
	track(s, socket_event(2, EVENT_LISTEN, 4, "0.0.0.0", 80, 6, "two"));
	assert_int_equal(creator_of(s, connection(3, EVENT_ACCEPT, 5, "10.0.0.1", 80, 7, "three")), 0);
	/* acts without a process, or a kernel thread for somebody */
	assert_int_equal(creator_of(s, socket_event(1, EVENT_CLOSE, 6, "0.0.0.0", 80, 0, "")), 0);
	ev = socket_event(2, EVENT_CLOSE, 7, "0.0.0.0", 80, 99, "iou-sqp");
	ev.confidence = CONFIDENCE_KERNEL;
	assert_int_equal(creator_of(s, ev), 0);
	/* older than us */
	assert_int_equal(creator_of(s, connection(8, EVENT_ACCEPT, 8, "10.0.0.1", 81, 7, "three")), 0);
	sockets_free(s);
}

/* The network reset a connection: its port is given back in nobody's name, and is its owner's. */
static void test_release_is_the_owners(void **state)
{
	struct sockets *s;
	struct event ev = events_connect();

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.socket_id = 77;
	ev.pid = 4312;
	ev.uid = 33;
	strcpy(ev.name, "worker");
	sockets_track(s, &ev);
	ev.kind = EVENT_RELEASE;
	ev.pid = ev.uid = 0;
	ev.has_uid = false;
	ev.name[0] = '\0';
	sockets_lend(s, &ev);
	assert_int_equal(ev.pid, 4312);
	assert_true(ev.has_uid);
	assert_int_equal(ev.uid, 33);
	assert_string_equal(ev.name, "worker");
	/* of another socket, nothing is known: nothing is said */
	ev.socket_id = 78;
	ev.pid = 0;
	sockets_lend(s, &ev);
	assert_int_equal(ev.pid, 0);
	sockets_free(s);
}

/* One of a snapshot: the event that would have brought it, without socket_id. */
static struct event there(uint64_t cookie, enum event_kind kind, const char *address, uint16_t port)
{
	struct event ev = socket_event(0, kind, 1000, address, port, 5, "old");

	ev.cookie = cookie;
	ev.how = HOW_NONE;
	ev.snapshot = true;
	return ev;
}

/* The cgroup backend sees no near end at the close of a socket that is older than it. */
static void test_close_is_lent_its_ends(void **state)
{
	struct event ev = there(42, EVENT_CONNECT, "10.0.0.1", 4000), end;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.remote = (struct endpoint){ { 10, 0, 0, 9 }, 4, true, 443 };
	assert_true(sockets_adopt(s, &ev, 0));
	end = socket_event(42, EVENT_CLOSE, 2000, "0.0.0.0", 0, 5, "old");
	end.cookie = 42;
	end.local.has_port = false;
	sockets_lend(s, &end);
	assert_int_equal(end.local.port, 4000);
	assert_int_equal(end.remote.port, 443);
	/* of one that nobody told of, nothing is said */
	end.socket_id = end.cookie = 43;
	end.local = end.remote = (struct endpoint){ 0 };
	sockets_lend(s, &end);
	assert_false(end.local.has_port);
	sockets_free(s);
}

/* What became of the port is not known; but who closes after the peer does not come to TIME_WAIT. */
static void test_who_closes_last_holds_no_port(void **state)
{
	struct event ev = there(42, EVENT_CONNECT, "10.0.0.1", 4000), end;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	ev.remote = (struct endpoint){ { 10, 0, 0, 9 }, 4, true, 443 };
	for (enum event_closer closer = CLOSER_LOCAL; closer <= CLOSER_REMOTE; closer++) {
		ev.cookie = 40 + closer;
		assert_true(sockets_adopt(s, &ev, 0));
		end = ev;
		end.kind = EVENT_CLOSE;
		end.socket_id = ev.cookie;
		end.closer = closer;
		sockets_track(s, &end);
		assert_int_equal(end.life_state, closer == CLOSER_LOCAL ? LIFE_TIME_WAIT : LIFE_OVER);
	}
	sockets_free(s);
}

static bool count_one(void *arg, const struct sockets_view *view)
{
	(void)view;
	++*(size_t *)arg;
	return true;
}

static size_t views(struct sockets *s)
{
	size_t n = 0;

	sockets_each(s, count_one, &n);
	return n;
}

/* Its events find it by its cookie, whatever their id, and it is there once. */
static void test_adopted_is_joined_by_cookie(void **state)
{
	struct event ev = there(44, EVENT_LISTEN, "0.0.0.0", 80);
	struct sockets *s;
	uint64_t life;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_true(sockets_adopt(s, &ev, 0));
	assert_int_equal(ev.life_state, LIFE_LISTENING);
	life = ev.life;
	assert_false(sockets_adopt(s, &ev, 0)); /* once */
	assert_int_equal(views(s), 1);
	ev = socket_event(0xffff888000000001, EVENT_CLOSE, 9000, "0.0.0.0", 80, 5, "old");
	ev.cookie = 44;
	sockets_track(s, &ev);
	assert_int_equal(ev.life, life);
	assert_int_equal(ev.life_state, LIFE_OVER);
	assert_int_equal(ev.duration_ns, 0); /* since when it lived is not known */
	assert_int_equal(sockets_count(s), 0);
	assert_int_equal(views(s), 0);
	sockets_free(s);
}

/* What happened between the attach and the snapshot comes after it: the event wins, and the socket stays one. */
static void test_event_of_before_the_snapshot(void **state)
{
	struct event ev = there(44, EVENT_LISTEN, "0.0.0.0", 80);
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	sockets_adopt(s, &ev, 0);
	ev = socket_event(7, EVENT_BIND, 900, "0.0.0.0", 80, 6, "new"); /* had no cookie yet */
	sockets_track(s, &ev);
	assert_int_equal(sockets_count(s), 1);
	assert_int_equal(ev.life_begin_ns, 900);
	assert_int_equal(ev.life_how, HOW_EXPLICIT);
	ev = socket_event(8, EVENT_BIND, 2000, "0.0.0.0", 80, 6, "new"); /* SO_REUSEPORT, later: another one */
	sockets_track(s, &ev);
	assert_int_equal(sockets_count(s), 2);
	sockets_free(s);
}

static void test_adopted_time_wait_ends(void **state)
{
	struct event ev = there(44, EVENT_CONNECT, "10.0.0.1", 4000);
	struct holder holder;
	struct sockets_key key;
	struct sockets *s;

	(void)state;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_true(sockets_adopt(s, &ev, 5000));
	assert_int_equal(ev.life_state, LIFE_TIME_WAIT);
	key = (struct sockets_key){ .netns = sockets_netns(&ev), .proto = ev.proto, .local = ev.local };
	assert_true(sockets_find_holder(s, &key, &holder));
	assert_int_equal(holder.kind, HOLDER_TIME_WAIT);
	track(s, socket_event(9, EVENT_BIND, 5001, "10.0.0.9", 81, 5, "other"));
	assert_false(sockets_find_holder(s, &key, &holder));
	assert_int_equal(views(s), 1);
	sockets_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_release_is_the_owners),
		cmocka_unit_test(test_close_is_lent_its_ends),
		cmocka_unit_test(test_who_closes_last_holds_no_port),
		cmocka_unit_test(test_adopted_is_joined_by_cookie),
		cmocka_unit_test(test_event_of_before_the_snapshot),
		cmocka_unit_test(test_adopted_time_wait_ends),
		cmocka_unit_test(test_close_knows_role_and_life),
		cmocka_unit_test(test_address_used_again),
		cmocka_unit_test(test_doubtful_bind_is_not_remembered),
		cmocka_unit_test(test_connection_from_before_is_judged_by_its_ports),
		cmocka_unit_test(test_limit_holds),
		cmocka_unit_test(test_like_an_array),
		cmocka_unit_test(test_overlap),
		cmocka_unit_test(test_holder_is_described),
		cmocka_unit_test(test_holder_of_a_pair),
		cmocka_unit_test(test_holder_has_the_same_port_and_namespace),
		cmocka_unit_test(test_v6only_holder_leaves_ipv4),
		cmocka_unit_test(test_devices),
		cmocka_unit_test(test_preference),
		cmocka_unit_test(test_time_wait_is_held),
		cmocka_unit_test(test_close_states),
		cmocka_unit_test(test_owner_by_cookie),
		cmocka_unit_test(test_release_frees_the_port),
		cmocka_unit_test(test_bind_without_a_port_brings_none),
		cmocka_unit_test(test_release_is_of_one_connection),
		cmocka_unit_test(test_listener_has_no_peer),
		cmocka_unit_test(test_close_of_another_at_the_same_address),
		cmocka_unit_test(test_never_accepted_had_no_event),
		cmocka_unit_test(test_shutdown_leaves_a_bound_socket),
		cmocka_unit_test(test_dropped_connections_are_remembered),
		cmocka_unit_test(test_another_cookie_is_another_socket),
		cmocka_unit_test(test_failed_connect_gives_back),
		cmocka_unit_test(test_portless_are_bounded),
		cmocka_unit_test(test_held_are_bounded),
		cmocka_unit_test(test_holders_like_an_array),
		cmocka_unit_test(test_creator_of_a_passed_listener),
		cmocka_unit_test(test_creator_after_fork),
		cmocka_unit_test(test_creator_of_reused_address),
		cmocka_unit_test(test_creator_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
