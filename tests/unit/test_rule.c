// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* rule: each fires on its state, and not on the state beside it. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "rule.h"

#define API 1
#define PROXY 2

/* One namespace with one pool. */
static struct pool_state s;
static uint32_t process_of[64];
static struct pressure_process processes[3];
static struct pressure_netns ns;
static struct pressure_pool pool;
static struct rule_counters counters;

static struct endpoint at(const char *text, uint16_t port)
{
	struct endpoint ep = { .has_port = true, .port = port };

	ep.ip_version = strchr(text, ':') ? 6 : 4;
	assert_int_equal(inet_pton(ep.ip_version == 6 ? AF_INET6 : AF_INET, text, ep.addr), 1);
	return ep;
}

/* A pool of a default range to a far destination: nothing is used, nothing is known of two looks. */
static void begin(void)
{
	pool_free(&s);
	memset(&s, 0, sizeof(s));
	memset(&pool, 0, sizeof(pool));
	memset(&counters, 0, sizeof(counters));
	memset(process_of, 0, sizeof(process_of));
	s.range_low = 32768;
	s.range_high = 60999;
	s.tw_reuse = 2;
	s.timestamps = true;
	processes[API] = (struct pressure_process){ .pid = 4312, .name = "api" };
	processes[PROXY] = (struct pressure_process){ .pid = 77, .name = "proxy", .exited = true };
	ns = (struct pressure_netns){ .in = { .pool = &s, .process = process_of, .processes = processes,
					      .process_count = 3 },
				      .pools = &pool, .count = 1 };
	pool.key = (struct pool_key){ .kind = POOL_CONNECT, .source = at("10.0.0.5", 0),
				      .destination = at("10.0.3.9", 5432) };
	pool.measure = (struct pool_measure){ .low = 32768, .high = 60999, .size = 28232, .has_half = true,
					      .free = { 28232, 28232 }, .half_free = { 14116, 14116 },
					      .capacity = { 28232, 28232 }, .half_capacity = { 14116, 14116 } };
	pool.owners[0] = (struct pressure_owner){ .process = API, .ports = 1 };
	pool.owner_count = 1;
}

static void fill(enum pressure_state state, uint32_t ports)
{
	pool.ports[state] += ports;
	pool.measure.used += ports;
	pool.measure.free.max = pool.measure.free.min -= ports;
	pool.measure.half_used = pool.measure.used < 14116 ? pool.measure.used : 14116;
	pool.measure.half_free.max = pool.measure.half_free.min = 14116 - pool.measure.half_used;
	pressure_judge(&pool);
}

static void add_socket(enum sockdiag_state state, struct endpoint local, struct endpoint remote, uint32_t process)
{
	struct pool_socket sock = { .proto = PROTO_TCP, .state = state, .local = local, .remote = remote };

	process_of[s.count] = process;
	assert_int_equal(pool_add(&s, &sock), 0);
}

/* ---- the states; each with one beside it ---- */

static void mostly_waiting(bool it)
{
	s.tw_reuse = 0;
	fill(PRESSURE_TIME_WAIT, it ? 17000 : 16900);
	fill(PRESSURE_ESTABLISHED, 28232 - pool.measure.used);
}

static void local_proxy(bool it)
{
	pool.key.destination = at("127.0.0.1", 5432);
	add_socket(SOCKDIAG_LISTEN, at("127.0.0.1", 5432), (struct endpoint){ .ip_version = 4 }, it ? PROXY : API);
	fill(PRESSURE_TIME_WAIT, 28000);
}

static void bound_first(bool it)
{
	pool.key.kind = POOL_BIND;
	fill(PRESSURE_ESTABLISHED, it ? 14116 : 14000);
	pool.measure.half_free.max = 1000; /* no other pressure */
	pool.measure.half_used = 0;
	pressure_judge(&pool);
}

static void bound_by_others(bool it)
{
	ns.blocked[POOL_PORT_BIND_CONNECT] = it ? 2824 : 2823;
	fill(PRESSURE_ESTABLISHED, 28232);
}

static void forgotten(bool it)
{
	ns.blocked[POOL_PORT_BOUND] = it ? 1412 : 1411;
}

static void forgotten_pool(bool it)
{
	pool.key.kind = POOL_BIND;
	fill(PRESSURE_BOUND, it ? 14200 : 14100);
	fill(PRESSURE_ESTABLISHED, 28232 - pool.measure.used);
}

static void services(bool it)
{
	ns.listening = 1000;
	ns.reserved = it ? 412 : 411;
}

static void phantoms(bool it)
{
	ns.blocked[POOL_PORT_PHANTOM] = it ? 283 : 282;
}

static void share_of_30(enum pressure_state state, bool it)
{
	s.range_low = 40000; /* else P11 holds */
	fill(state, it ? 8470 : 8460);
	fill(PRESSURE_ESTABLISHED, 28232 - pool.measure.used);
}

static void close_wait(bool it)
{
	share_of_30(PRESSURE_CLOSE_WAIT, it);
}

static void fin_wait2(bool it)
{
	share_of_30(PRESSURE_FIN_WAIT2, it);
}

static void syn_sent(bool it)
{
	share_of_30(PRESSURE_SYN_SENT, it);
}

static void long_lived(bool it)
{
	fill(PRESSURE_ESTABLISHED, 15000);
	pool.has_rates = true;
	pool.opens_per_s = it ? 250 : 251;
	pressure_judge(&pool);
}

static void small_range(bool it)
{
	s.range_high = (uint16_t)(s.range_low + (it ? 19998 : 19999));
	pool.measure.size = it ? 19999 : 20000;
	fill(PRESSURE_ESTABLISHED, 14000);
	fill(PRESSURE_CLOSING, 14000);
}

static void no_timestamps(bool it)
{
	s.tw_reuse = 1;
	s.timestamps = !it;
	fill(PRESSURE_TIME_WAIT, 28232);
}

static void loopback_only(bool it)
{
	s.tw_reuse = it ? 2 : 0;
	fill(PRESSURE_TIME_WAIT, 28232);
}

static void udp(bool it)
{
	pool.key.kind = POOL_UDP;
	pool.measure.has_half = false;
	fill(PRESSURE_BOUND, it ? 22586 : 22585); /* 80 %: HIGH, too */
}

static void wall(bool it)
{
	fill(PRESSURE_ESTABLISHED, it ? 8000 : 7999);
	fill(PRESSURE_CLOSING, 6116);
}

static void storm(bool it)
{
	fill(PRESSURE_CLOSING, 28232);
	pool.failures = it ? 201 : 200;
	pressure_judge(&pool);
}

static void unanswered(uint32_t syn)
{
	counters.known = true;
	counters.rose.syn_retrans = 1;
	fill(PRESSURE_SYN_SENT, syn);
}

static void host_nat(bool it)
{
	unanswered(3);
	counters.rose.nat_failed = it;
}

static void far_nat(bool it)
{
	unanswered(it ? 3 : 2);
}

static void self_connected(bool it)
{
	add_socket(SOCKDIAG_ESTABLISHED, at("127.0.0.1", 40005), at(it ? "127.0.0.1" : "127.0.0.2", 40005), API);
}

static void harmless_waits(bool it)
{
	ns.server_waits = it ? 5000 : 4999;
}

static void borrowed(bool it)
{
	counters.known = true;
	counters.rose.tw_recycled = 1;
	pool.ports[PRESSURE_TIME_WAIT] = it ? 14116 : 14115;
}

static void aborted(bool it)
{
	counters.known = true;
	counters.seconds = 2;
	counters.rose.aborted = it ? 41 : 40;
}

static void overflow(bool it)
{
	counters.known = true;
	counters.rose.tw_overflow = it;
}

/* What the rule is about, and the rule of the state beside it: "" = none. */
static const struct row {
	const char *id, *beside;
	void (*make)(bool it);
	bool of_netns;
} rows[] = {
	{ "P01", "", mostly_waiting, false },  { "P02", "P01", local_proxy, false },
	{ "P03", "", bound_first, false },	  { "P04", "P11", bound_by_others, false },
	{ "P05", "", forgotten, true },		  { "P05", "P03", forgotten_pool, false },
	{ "P06", "", services, true },		  { "P07", "", phantoms, true },
	{ "P08", "P11", close_wait, false },	  { "P09", "P11", fin_wait2, false },
	{ "P10", "P11", syn_sent, false },	  { "P11", "P16", long_lived, false },
	{ "P12", "P16", small_range, false },	  { "P13", "P01", no_timestamps, false },
	{ "P14", "P01", loopback_only, false },	  { "P15", "", udp, false },
	{ "P16", "", wall, false },		  { "P17", "", storm, false },
	{ "P18", "P19", host_nat, false },	  { "P19", "", far_nat, false },
	{ "P22", "", self_connected, true },	  { "P23", "", harmless_waits, true },
	{ "P23", "", borrowed, true },		  { "P24", "", overflow, true },
	{ "P25", "", aborted, true },
};

static const char *rule_now(bool of_netns)
{
	const struct rule *rule = of_netns ? rule_of_netns(&ns, &counters, 0) : rule_of_pool(&ns, &pool, &counters);

	return rule ? rule->id : "";
}

static void test_each(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		begin();
		rows[i].make(true);
		print_message("%s and the state beside it\n", rows[i].id);
		assert_string_equal(rule_now(rows[i].of_netns), rows[i].id);
		begin();
		rows[i].make(false);
		assert_string_equal(rule_now(rows[i].of_netns), rows[i].beside);
		if (rows[i].of_netns) /* at most the one of its own */
			assert_string_equal(rule_now(false), "");
	}
}

/* Nothing is said of what is in order. */
static void test_healthy(void **state)
{
	(void)state;
	begin();
	assert_string_equal(rule_now(false), "");
	assert_string_equal(rule_now(true), "");
	fill(PRESSURE_ESTABLISHED, 5000);
	fill(PRESSURE_TIME_WAIT, 5000);
	assert_string_equal(rule_now(false), "");
	assert_string_equal(rule_now(true), "");
}

/* P23 is not said while a pool is under pressure. */
static void test_harmless_only(void **state)
{
	(void)state;
	begin();
	ns.server_waits = 6000;
	borrowed(true);
	assert_true(rule_of_netns(&ns, &counters, 0)->harmless);
	assert_true(rule_of_netns(&ns, &counters, 1)->harmless);
	fill(PRESSURE_ESTABLISHED, 28232);
	assert_string_equal(rule_now(true), "");
}

/* A storm makes its cause worse, and hides it not. */
static void test_storm_stands_beside_the_cause(void **state)
{
	const struct rule *rule, *beside;

	(void)state;
	begin();
	mostly_waiting(true);
	rule = rule_of_pool(&ns, &pool, &counters);
	assert_null(rule_beside(&ns, &pool, &counters, rule));
	pool.failures = 201;
	pressure_judge(&pool);
	assert_ptr_equal(rule_of_pool(&ns, &pool, &counters), rule);
	beside = rule_beside(&ns, &pool, &counters, rule);
	assert_non_null(beside);
	assert_string_equal(beside->id, "P17");
	assert_null(rule_beside(&ns, &pool, &counters, beside));
}

/* ---- words ---- */

static char text[4096];

static const char *words(bool remedy)
{
	const struct rule_case c = { .netns = &ns, .pool = &pool, .counters = &counters };
	const struct rule *rule = rule_of_pool(&ns, &pool, &counters);
	struct buf b = { .data = text, .size = sizeof(text) - 1 };

	assert_non_null(rule);
	(remedy ? rule->remedy : rule->evidence)(&c, &b);
	assert_false(b.overflow);
	text[b.len] = '\0';
	assert_int_equal(text[b.len - 1], '\n');
	return text;
}

/* Every rule has words, whole lines of them, with an owner and without. */
static void test_words(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (uint32_t owners = 0; owners < 2 && !rows[i].of_netns; owners++) {
			begin();
			rows[i].make(true);
			if (i != 1) /* P02 is about an owner */
				pool.owner_count = owners;
			words(false);
			words(true);
		}
}

static void test_remedy(void **state)
{
	(void)state;
	begin();
	strcpy(ns.in.name, "blue");
	loopback_only(true);
	assert_non_null(strstr(words(true), "Keep connections open in api[4312]"));
	assert_non_null(strstr(text, "ip netns exec blue sysctl -w net.ipv4.tcp_tw_reuse=1   (now 2, loopback only;"));
	assert_non_null(strstr(text, "up to 28,232 connections a second"));
	begin();
	loopback_only(true);
	pool.has_rates = true;
	pool.opens_per_s = 467.6;
	assert_non_null(strstr(words(false), "28,232 of 28,232 used ports are in TIME_WAIT"));
	assert_non_null(strstr(text, "468 are opened a second, 462 can be sustained"));
}

/* IP_LOCAL_PORT_RANGE: the namespace's range has nothing to do with it. */
static void test_own_range(void **state)
{
	(void)state;
	begin();
	pool.key.range_low = 40010;
	pool.key.range_high = 40019;
	pool.measure = (struct pool_measure){ .low = 40010, .high = 40019, .size = 10, .used = 10 };
	pool.measure.capacity.max = 10;
	pressure_judge(&pool);
	assert_string_equal(rule_now(false), "P12");
	assert_non_null(strstr(words(false), "a range of its own (IP_LOCAL_PORT_RANGE) of 10 ports (40010-40019)"));
	assert_null(strstr(words(true), "sysctl"));
	assert_non_null(strstr(text, "in api[4312]\n"));
}

static void test_borrowed(void **state)
{
	(void)state;
	begin();
	mostly_waiting(true);
	assert_null(strstr(words(false), "borrowed"));
	counters.known = true;
	counters.rose.tw_recycled = 1;
	assert_non_null(strstr(words(false), "; 1 ports were borrowed from TIME_WAIT since the look before\n"));
}

static const char *process(uint32_t number)
{
	struct buf b = { .data = text, .size = sizeof(text) - 1 };

	rule_process(&b, &ns, number);
	text[b.len] = '\0';
	return text;
}

/* A process can give itself any name. */
static void test_process(void **state)
{
	(void)state;
	begin();
	assert_string_equal(process(API), "api[4312]");
	assert_string_equal(process(PROXY), "proxy[77] (exited)");
	assert_string_equal(process(0), "the program that opens them");
	strcpy(processes[API].name, "\033[2J\r\nx\177\t");
	assert_string_equal(process(API), "\\x1b[2J\\x0d\\x0ax\\x7f\\x09[4312]");
	strcpy(processes[API].name, "a\302\233b\233\303\251"); /* U+009B begins a control sequence; e with an accent */
	assert_string_equal(process(API), "a\\xc2\\x9bb\\x9b\303\251[4312]");
	loopback_only(true);
	strcpy(processes[API].name, "\033[31m");
	assert_null(strchr(words(true), '\033'));
	assert_null(strchr(words(false), '\033'));
}

static void test_number(void **state)
{
	static const struct {
		uint64_t n;
		const char *text;
	} numbers[] = { { 0, "0" }, { 999, "999" }, { 1000, "1,000" }, { 28232, "28,232" }, { 1000001, "1,000,001" } };

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct buf b = { .data = text, .size = sizeof(text) - 1 };

		rule_number(&b, numbers[i].n);
		text[b.len] = '\0';
		assert_string_equal(text, numbers[i].text);
	}
}

static int end(void **state)
{
	(void)state;
	pool_free(&s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_storm_stands_beside_the_cause),
		cmocka_unit_test(test_each),	  cmocka_unit_test(test_healthy), cmocka_unit_test(test_harmless_only),
		cmocka_unit_test(test_words),	  cmocka_unit_test(test_remedy),  cmocka_unit_test(test_process),
		cmocka_unit_test(test_number),	  cmocka_unit_test(test_own_range), cmocka_unit_test(test_borrowed),
	};

	return cmocka_run_group_tests_name("rule", tests, NULL, end);
}
