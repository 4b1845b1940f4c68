// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* metrics: what is counted, how it is written, and what happens when there is too much of it. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <errno.h>
#include <cmocka.h>
#include "metrics.h"
#include "metrics_file.h"

static struct metrics *m;
static struct buf text;
static struct metrics_self self;

static int begin(void **state)
{
	(void)state;
	self = (struct metrics_self){ 0 };
	return metrics_new(&m);
}

static int end(void **state)
{
	(void)state;
	metrics_free(m);
	free(text.data);
	text = (struct buf){ 0 };
	return 0;
}

static const char *written(enum metrics_dialect dialect)
{
	metrics_update(m, &self);
	assert_int_equal(metrics_text(m, dialect, &text), 0);
	assert_true(text.len < text.size);
	text.data[text.len] = '\0';
	return text.data;
}

/* Is it there, as whole lines? */
static bool has(const char *lines)
{
	const char *all = written(METRICS_PROMETHEUS), *found = strstr(all, lines);

	return found && (found == all || found[-1] == '\n') && found[strlen(lines)] == '\n';
}

static unsigned int count_of(const char *part)
{
	const char *at = written(METRICS_PROMETHEUS);
	unsigned int n = 0;

	for (; (at = strstr(at, part)); at++)
		n++;
	return n;
}

/* ---- events ---- */

static struct event connected(const char *name)
{
	struct event ev = { .kind = EVENT_CONNECT, .how = HOW_CONNECT, .netns_inum = 7, .half = EVENT_HALF_FIRST,
			    .local = { .ip_version = 4, .has_port = true, .port = 40000 } };

	snprintf(ev.name, sizeof(ev.name), "%s", name);
	return ev;
}

static struct event failed(enum event_kind kind, enum event_cause cause, int error)
{
	struct event ev = { .kind = kind, .outcome = OUTCOME_FAILURE, .how = HOW_CONNECT, .netns_inum = 7,
			    .cause = cause, .error = error, .name = "api" };

	return ev;
}

static void count(struct event ev)
{
	metrics_event(m, &ev);
}

#define GOT "porttrace_port_assignments_total{netns=\"7\",comm=\"api\",proto="
#define MISSED "porttrace_port_assign_failures_total{netns=\"7\",comm=\"api\",proto=\"tcp\",op="

static void test_assignments(void **state)
{
	struct event ev = connected("api");

	(void)state;
	for (int i = 0; i < 100; i++) {
		ev.half = i < 50 ? EVENT_HALF_FIRST : EVENT_HALF_SECOND;
		count(ev);
	}
	ev.outcome = OUTCOME_FAILURE; /* refused by the other side: it had a port */
	ev.cause = CAUSE_REFUSED;
	count(ev);
	ev = connected("api");
	ev.proto = PROTO_UDP;
	ev.how = HOW_AUTOBIND;
	ev.half = EVENT_HALF_UNKNOWN;
	count(ev);
	assert_true(has(GOT "\"tcp\",op=\"connect\",half=\"first\"} 50"));
	assert_true(has(GOT "\"tcp\",op=\"connect\",half=\"second\"} 51"));
	assert_true(has(GOT "\"udp\",op=\"autobind\",half=\"na\"} 1"));
	assert_int_equal(count_of("\nporttrace_port_assignments_total{"), 3);
	assert_int_equal(count_of("assign_failures"), 0);
}

/* Nothing that gave no port is an assignment. */
static void test_not_assignments(void **state)
{
	struct event ev = connected("api");

	(void)state;
	ev.how = HOW_NONE; /* a connect of a socket that had its port */
	count(ev);
	ev.how = HOW_INHERITED;
	ev.kind = EVENT_ACCEPT;
	count(ev);
	ev = connected("api");
	ev.kind = EVENT_CLOSE;
	count(ev);
	ev.kind = EVENT_BIND; /* whose result is not known */
	ev.outcome = OUTCOME_UNKNOWN;
	count(ev);
	assert_int_equal(count_of("assign"), 0);
}

static void test_failures(void **state)
{
	struct event ev = failed(EVENT_CONNECT, CAUSE_NONE, 0);

	(void)state;
	count(failed(EVENT_CONNECT, CAUSE_PORT_EXHAUSTED, EADDRNOTAVAIL));
	count(failed(EVENT_CONNECT, CAUSE_PORT_EXHAUSTED, EADDRNOTAVAIL));
	count(failed(EVENT_CONNECT, CAUSE_TUPLE_CLASH, EADDRNOTAVAIL));
	count(failed(EVENT_BIND, CAUSE_IN_USE, EADDRINUSE));
	count(failed(EVENT_BIND, CAUSE_NONE, EINVAL));
	count(failed(EVENT_CONNECT, CAUSE_REFUSED, ECONNREFUSED)); /* not for want of a port */
	count(failed(EVENT_CLOSE, CAUSE_RESET, ECONNRESET));
	ev.nothing_sent = true;
	count(ev);
	assert_true(has(MISSED "\"connect\",errno=\"EADDRNOTAVAIL\",cause=\"exhausted\"} 2"));
	assert_true(has(MISSED "\"connect\",errno=\"EADDRNOTAVAIL\",cause=\"clash\"} 1"));
	assert_true(has(MISSED "\"bind\",errno=\"EADDRINUSE\",cause=\"in_use\"} 1"));
	assert_true(has(MISSED "\"bind\",errno=\"EINVAL\",cause=\"unknown\"} 1"));
	assert_true(has(MISSED "\"connect\",errno=\"unknown\",cause=\"unknown\"} 1"));
	assert_int_equal(count_of("\nporttrace_port_assign_failures_total{"), 5);
	assert_int_equal(count_of("assignments"), 0);
}

static void test_histogram(void **state)
{
	static const uint64_t times_ns[] = { 0, 10000, 10001, 250000, 30000000, 30000001 };
	struct event ev = connected("api");

	(void)state;
	ev.has_search = true;
	for (size_t i = 0; i < sizeof(times_ns) / sizeof(times_ns[0]); i++) {
		ev.search_ns = times_ns[i];
		count(ev);
	}
#define SEARCH(part) "porttrace_port_search_seconds_" part "{netns=\"7\",proto=\"tcp\",op=\"connect\""
#define UP_TO(le, n) SEARCH("bucket") ",le=\"" le "\"} " n "\n"
	assert_true(has(UP_TO("1e-05", "2") UP_TO("3e-05", "3") UP_TO("0.0001", "3") UP_TO("0.0003", "4")
			UP_TO("0.001", "4") UP_TO("0.003", "4") UP_TO("0.01", "4") UP_TO("0.03", "5")
			UP_TO("+Inf", "6") SEARCH("sum") "} 0.060270002\n" SEARCH("count") "} 6"));
}

/* ---- labels ---- */

static void test_hostile_names(void **state)
{
	(void)state;
	count(connected("a\"b\\c\nd"));
	count(connected("\xff\xc3\xa4"));
	count(connected("\\x0a")); /* is not a newline */
	count(connected("\n"));
	assert_true(has("porttrace_port_assignments_total{netns=\"7\",comm=\"a\\\"b\\\\x5cc\\\\x0ad\",proto=\"tcp\","
			"op=\"connect\",half=\"first\"} 1"));
	assert_int_equal(count_of("comm=\"\\\\xff\xc3\xa4\""), 1);
	assert_int_equal(count_of("comm=\"\\\\x5cx0a\""), 1);
	assert_int_equal(count_of("comm=\"\\\\x0a\""), 1);
}

static void test_too_many_names(void **state)
{
	char name[EVENT_NAME_SIZE];

	(void)state;
	for (int i = 0; i < METRICS_SETS_MAX + 100; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		count(connected(name));
		count(connected(name));
	}
	for (int error = 1; error < 4000; error++)
		count(failed(EVENT_BIND, CAUSE_NONE, error));
	assert_true(has("porttrace_port_assignments_total{netns=\"other\",container=\"other\",comm=\"other\","
			"proto=\"tcp\",op=\"connect\",half=\"first\"} 200"));
	assert_int_equal(count_of("\nporttrace_port_assignments_total{"), METRICS_SETS_MAX + 1);
	assert_true(has("porttrace_pools_dropped_total 4199"));
	assert_true(count_of("errno=") < 300);
}

static void test_dialects(void **state)
{
	static const struct stats_sink sink = { "file:/x", 7, 8, 9, 10 };
	const char *all;

	(void)state;
	self.events_lost = 3;
	self.evicted = 77;
	self.lost_ring[2 * EVENT_CLOSE] = 2;
	self.lost_ring[2 * EVENT_CONNECT + 1] = 1;
	self.look_ns = 1500000;
	assert_true(has("# TYPE porttrace_ledger_evicted_total counter\nporttrace_ledger_evicted_total 77"));
	assert_true(has("# TYPE porttrace_events_lost_total counter\nporttrace_events_lost_total 3"));
	assert_true(has("# UNIT porttrace_reconcile_seconds seconds\nporttrace_reconcile_seconds 0.0015"));
	all = written(METRICS_OPENMETRICS);
	assert_non_null(strstr(all, "porttrace_events_lost_ring_total{event=\"close\",result=\"success\"} 2\n"));
	assert_non_null(strstr(all, "porttrace_events_lost_ring_total{event=\"connect\",result=\"failure\"} 1\n"));
	assert_non_null(strstr(all, "# TYPE porttrace_events_lost counter\nporttrace_events_lost_total 3\n"));
	assert_string_equal(all + strlen(all) - 7, "\n# EOF\n");
	self.sinks = &sink;
	self.sink_count = 1;
	assert_true(has("porttrace_sink_records_total{sink=\"file:/x\",result=\"delivered\"} 7"));
	assert_true(has("porttrace_sink_records_total{sink=\"file:/x\",result=\"lost_queue\"} 8"));
	assert_true(has("porttrace_sink_records_total{sink=\"file:/x\",result=\"lost_sink\"} 9"));
	assert_true(has("porttrace_sink_waiting_records{sink=\"file:/x\"} 10"));
	self = (struct metrics_self){ 0 };
}

/* ---- pools ---- */

static struct pool_state space;
static struct pressure_process processes[3];
static uint32_t process_of[8];
static struct pressure_netns ns;
static const struct rule_counters no_counters;

static void space_begin(size_t pools)
{
	space = (struct pool_state){ .netns_inum = 7, .range_low = 40000, .range_high = 40099 };
	ns = (struct pressure_netns){ .in = { .pool = &space, .processes = processes, .process_count = 3,
					      .process = process_of },
				      .reserved = 11 };
	ns.pools = calloc(pools, sizeof(*ns.pools));
	assert_non_null(ns.pools);
	ns.count = pools;
}

static void pool_fill(struct pressure_pool *pool, uint16_t port, uint32_t used)
{
	pool->key = (struct pool_key){ .kind = POOL_CONNECT, .source = { .ip_version = 4, .addr = { 127, 0, 0, 1 } },
				       .destination = { .ip_version = 4, .addr = { 127, 0, 0, 2 }, .port = port } };
	pool->id = port;
	pool->measure.used = pool->ports[PRESSURE_ESTABLISHED] = used;
	pool->measure.capacity = (struct pool_bounds){ 100, 100 };
	pool->measure.free = (struct pool_bounds){ 100 - used, 100 - used };
	pool->measure.has_half = true;
	pool->measure.half_used = used / 2;
	pool->measure.half_capacity = (struct pool_bounds){ 50, 50 };
}

#define POOL(name, port) "porttrace_pool_" name "{netns=\"7\",proto=\"tcp\",kind=\"connect\",src=\"127.0.0.1\"," \
			 "dst=\"127.0.0.2:" port "\""

static void test_pool(void **state)
{
	(void)state;
	space_begin(2);
	pool_fill(&ns.pools[0], 8080, 100);
	ns.pools[0].severity = PRESSURE_CRIT;
	pool_fill(&ns.pools[1], 8081, 25);
	ns.pools[1].course = PRESSURE_WALL;
	ns.pools[1].next_course = PRESSURE_FULL;
	ns.pools[1].next_seconds = 42;
	ns.blocked[POOL_PORT_BIND_CONNECT] = 5;
	ns.in.counters.tw_recycled = 9;
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_true(has(POOL("used_ports", "8080") "} 100\n" POOL("used_ports", "8081") "} 25"));
	assert_true(has(POOL("capacity_ports", "8080") "} 100"));
	assert_true(has(POOL("first_half_used_ratio", "8080") "} 1\n" POOL("first_half_used_ratio", "8081") "} 0.24"));
	assert_true(has(POOL("state_ports", "8080") ",state=\"established\"} 100"));
	assert_true(has(POOL("seconds_to_full", "8080") "} 0\n" POOL("seconds_to_full", "8081") "} 42"));
	assert_true(has("porttrace_ephemeral_range_ports{netns=\"7\"} 89"));
	assert_true(has("porttrace_ephemeral_reserved_ports{netns=\"7\"} 11"));
	assert_true(has("porttrace_ephemeral_blocked_ports{netns=\"7\",reason=\"bind_connect\"} 5"));
	assert_true(has("porttrace_time_wait_reused_total{netns=\"7\"} 9"));
	assert_true(has("porttrace_diagnosis{netns=\"7\",rule=\"P12\",severity=\"crit\"} 1"));
	assert_true(has("porttrace_diagnosis{netns=\"7\",rule=\"P06\",severity=\"warn\"} 1"));
	assert_false(has("rule=\"P17\""));
	ns.pools[0].failures = 201; /* a storm stands beside its cause */
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_true(has("porttrace_diagnosis{netns=\"7\",rule=\"P12\",severity=\"crit\"} 1"));
	assert_true(has("porttrace_diagnosis{netns=\"7\",rule=\"P17\",severity=\"crit\"} 1"));
	assert_int_equal(metrics_look(m, NULL, NULL, 0), 0); /* what is not looked at is not told */
	assert_int_equal(count_of("porttrace_pool_"), 0);
	free(ns.pools);
}

static void test_top_pools(void **state)
{
	(void)state;
	space_begin(METRICS_POOLS_MAX + 14);
	ns.left_out = 6;
	for (size_t i = 0; i < ns.count; i++)
		pool_fill(&ns.pools[i], (uint16_t)(1000 + i), i < METRICS_POOLS_MAX ? 20 : 10);
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_int_equal(count_of("\nporttrace_pool_used_ports{"), METRICS_POOLS_MAX + 1);
	assert_true(has("porttrace_pool_used_ports{netns=\"7\",proto=\"tcp\",kind=\"connect\",src=\"other\","
			"dst=\"other\"} 140"));
	assert_true(has("porttrace_pool_capacity_ports{netns=\"7\",proto=\"tcp\",kind=\"connect\",src=\"other\","
			"dst=\"other\"} 1400"));
	assert_true(has("porttrace_pools_dropped_total 20"));
	free(ns.pools);
}

static void test_time_wait(void **state)
{
	static struct pool_socket sockets[5];

	(void)state;
	space_begin(1);
	space.sockets = sockets;
	space.count = 5;
	for (int i = 0; i < 5; i++)
		sockets[i].state = i < 4 ? SOCKDIAG_TIME_WAIT : SOCKDIAG_ESTABLISHED;
	snprintf(processes[1].name, PRESSURE_NAME_SIZE, "api");
	snprintf(processes[2].name, PRESSURE_NAME_SIZE, "api"); /* another process of that name */
	process_of[0] = 1;
	process_of[1] = process_of[2] = 2;
	process_of[3] = 0;
	process_of[4] = 1;
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_true(has("porttrace_time_wait_ports{netns=\"7\",comm=\"unattributed\"} 1\n"
			"porttrace_time_wait_ports{netns=\"7\",comm=\"api\"} 3"));
	space.sockets = NULL;
	space.count = 0;
	free(ns.pools);
}

/* The namespace's pools are of the container that its events come from, if that is one. */
static void test_container(void **state)
{
	const struct event_who who = { .container_id = "c0ffee" };
	struct event ev = connected("api");

	(void)state;
	space_begin(1);
	pool_fill(&ns.pools[0], 8080, 50);
	ev.who = &who;
	count(ev);
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_int_equal(count_of("porttrace_pool_used_ports{netns=\"7\",container=\"c0ffee\",proto"), 1);
	count(connected("init"));
	assert_int_equal(metrics_look(m, &ns, &no_counters, 1), 0);
	assert_int_equal(count_of("porttrace_pool_used_ports{netns=\"7\",proto"), 1);
	free(ns.pools);
}

/* ---- the file ---- */

static void test_file(void **state)
{
	char dir[] = "/tmp/porttrace-metrics-XXXXXX", path[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a.prom", dir);
	written(METRICS_PROMETHEUS);
	assert_int_equal(metrics_file_write(path, &text), 0);
	assert_int_equal(metrics_file_write(path, &text), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(st.st_size, text.len);
	unlink(path);
	assert_int_equal(rmdir(dir), 0); /* nothing else is left */
	assert_int_equal(metrics_file_write(path, &text), -ENOENT);
	assert_int_equal(metrics_file_write("/dev/null", &text), -ENOTSUP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_assignments, begin, end),
		cmocka_unit_test_setup_teardown(test_not_assignments, begin, end),
		cmocka_unit_test_setup_teardown(test_failures, begin, end),
		cmocka_unit_test_setup_teardown(test_histogram, begin, end),
		cmocka_unit_test_setup_teardown(test_hostile_names, begin, end),
		cmocka_unit_test_setup_teardown(test_too_many_names, begin, end),
		cmocka_unit_test_setup_teardown(test_dialects, begin, end),
		cmocka_unit_test_setup_teardown(test_pool, begin, end),
		cmocka_unit_test_setup_teardown(test_top_pools, begin, end),
		cmocka_unit_test_setup_teardown(test_time_wait, begin, end),
		cmocka_unit_test_setup_teardown(test_container, begin, end),
		cmocka_unit_test_setup_teardown(test_file, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
