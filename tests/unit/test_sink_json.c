// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include "../../src/json_out.h"
#include "events.h"

/* ---- a strict reader: RFC 8259 grammar, valid UTF-8, only what this schema has ---- */

static const char *test_json_value(const char *s);

static const char *test_json_string(const char *s)
{
	if (*s++ != '"')
		return NULL;
	for (; *s != '"'; s++) {
		if ((unsigned char)*s < 32 || *s == 127)
			return NULL;
		if (*s != '\\')
			continue;
		s++;
		if (*s == 'u') {
			for (int i = 0; i < 4; i++)
				if (!isxdigit((unsigned char)*++s))
					return NULL;
		} else if (!*s || !strchr("\"\\/bfnrt", *s)) {
			return NULL;
		}
	}
	return s + 1;
}

static const char *test_json_number(const char *s)
{
	if (*s == '0')
		return s + 1;
	if (*s < '1' || *s > '9')
		return NULL;
	return s + strspn(s, "0123456789");
}

/* Members of an object or elements of an array; an empty one is an error: absent means absent. */
static const char *test_json_many(const char *s, char end, bool keys)
{
	for (;;) {
		if (keys) {
			s = test_json_string(s);
			if (!s || *s++ != ':')
				return NULL;
		}
		s = test_json_value(s);
		if (!s)
			return NULL;
		if (*s == end)
			return s + 1;
		if (*s++ != ',')
			return NULL;
	}
}

static const char *test_json_value(const char *s)
{
	if (*s == '{')
		return test_json_many(s + 1, '}', true);
	if (*s == '[')
		return test_json_many(s + 1, ']', false);
	if (*s == '"')
		return s[1] == '"' ? NULL : test_json_string(s);
	if (!strncmp(s, "true", 4))
		return s + 4;
	return test_json_number(s);
}

static bool test_utf8(const char *s)
{
	mbstate_t mb = { 0 };
	wchar_t wide;

	while (*s) {
		size_t n = mbrtowc(&wide, s, MB_CUR_MAX, &mb);

		if (n == (size_t)-1 || n == (size_t)-2)
			return false;
		s += n;
	}
	return true;
}

/* Every line an object, nothing between them, each short enough. Returns how many. */
static size_t test_lines(const char *text)
{
	size_t lines = 0;

	assert_true(test_utf8(text));
	for (; *text; lines++) {
		const char *end = test_json_value(text);

		if (!end || *end != '\n')
			print_error("not JSON: %.5000s\n", text);
		assert_non_null(end);
		assert_int_equal(*end, '\n');
		assert_in_range(end + 1 - text, 1, 4096);
		text = end + 1;
	}
	return lines;
}

static const char *test_json(const struct event *ev)
{
	const char *text =
		events_through(&sink_json, (struct sink_options){ .hostname = "web-1" }, ev, 1);

	assert_int_equal(test_lines(text), 1);
	return text;
}

static void test_has(const char *text, const char *part)
{
	if (!strstr(text, part))
		print_error("no %s in %s", part, text);
	assert_non_null(strstr(text, part));
}

static void test_has_not(const char *text, const char *part)
{
	if (strstr(text, part))
		print_error("%s in %s", part, text);
	assert_null(strstr(text, part));
}

/* ---- one line for each kind of event ---- */

#define HEAD                                                                                       \
	"{\"@timestamp\":\"2026-11-22T08:45:53.001000111Z\",\"ecs\":{\"version\":\"9.4.0\"},"      \
	"\"event\":{\"kind\":\"event\",\"module\":\"porttrace\",\"dataset\":\"porttrace.socket\"," \
	"\"category\":[\"network\"],\"type\":["
#define NGINX                                                                                      \
	"\"process\":{\"pid\":977,\"thread\":{\"id\":978},\"parent\":{\"pid\":1},"                 \
	"\"name\":\"nginx\",\"executable\":\"/usr/sbin/nginx\","                                   \
	"\"start\":\"2026-11-20T06:00:00.120000000Z\"},\"user\":{\"id\":\"0\",\"name\":\"root\"}," \
	"\"host\":{\"name\":\"web-1\"},\"porttrace\":{\"schema\":1,\"backend\":\"tracing\","
#define API                                                                                        \
	"\"process\":{\"pid\":4312,\"thread\":{\"id\":4312},\"parent\":{\"pid\":1},"               \
	"\"name\":\"api\",\"executable\":\"/usr/sbin/nginx\","                                     \
	"\"start\":\"2026-11-20T06:00:00.120000000Z\"},\"user\":{\"id\":\"0\",\"name\":\"root\"}," \
	"\"host\":{\"name\":\"web-1\"},\"porttrace\":{\"schema\":1,\"backend\":\"tracing\","
#define SOCKET "\"socket\":{\"cookie\":4097,\"netns\":4026531840"

static void test_bind(void **state)
{
	struct event ev = events_bind();

	(void)state;
	assert_string_equal(
		test_json(&ev),
		HEAD "\"start\"],\"action\":\"bind\",\"outcome\":\"success\",\"sequence\":1},"
		     "\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\"},"
		     "\"destination\":{\"ip\":\"0.0.0.0\",\"port\":443}," NGINX
		     "\"assignment\":{\"how\":\"explicit\",\"requested\":{\"ip\":\"0.0.0.0\","
		     "\"port\":443}},"
		     "\"destination\":{\"class\":\"well-known\",\"service\":\"https\","
		     "\"privileged\":true}," SOCKET "}}}\n");
}

static void test_listen(void **state)
{
	struct event ev = events_listen();

	(void)state;
	assert_string_equal(
		test_json(&ev),
		HEAD "\"start\"],\"action\":\"listen\",\"outcome\":\"success\",\"sequence\":1},"
		     "\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\"},"
		     "\"destination\":{\"ip\":\"0.0.0.0\",\"port\":443}," NGINX
		     "\"destination\":{\"class\":\"well-known\",\"service\":\"https\","
		     "\"privileged\":true}," SOCKET ",\"backlog\":511}}}\n");
}

static void test_connect(void **state)
{
	struct event ev = events_connect();

	(void)state;
	assert_string_equal(
		test_json(&ev), HEAD
		"\"connection\",\"start\"],\"action\":\"connect\",\"outcome\":\"success\","
		"\"sequence\":1,"
		"\"duration\":1234567},"
		"\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\",\"direction\":\"egress\"},"
		"\"source\":{\"ip\":\"10.0.0.5\",\"port\":40871},"
		"\"destination\":{\"ip\":\"10.0.3.9\",\"port\":5432}," API
		"\"assignment\":{\"how\":\"connect\",\"requested\":{\"port\":0}},"
		"\"source\":{\"class\":\"registered\",\"ephemeral\":true},"
		"\"destination\":{\"class\":\"registered\",\"service\":\"postgresql\"}," SOCKET
		"}}}\n");
}

static void test_connect_failed(void **state)
{
	struct event ev = events_connect_failed();

	(void)state;
	strcpy(ev.reason, "no free local port for this destination");
	assert_string_equal(
		test_json(&ev), HEAD
		"\"connection\",\"start\"],\"action\":\"connect\",\"outcome\":\"failure\","
		"\"sequence\":1,"
		"\"duration\":81233,\"reason\":\"no free local port for this destination\"},"
		"\"error\":{\"code\":\"99\",\"type\":\"EADDRNOTAVAIL\","
		"\"message\":\"Cannot assign requested address\"},"
		"\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\",\"direction\":\"egress\"},"
		"\"source\":{\"ip\":\"10.0.0.5\"},\"destination\":{\"ip\":\"10.0.3.9\",\"port\":"
		"5432}," API "\"assignment\":{\"how\":\"connect\",\"requested\":{\"port\":0}},"
		"\"destination\":{\"class\":\"registered\",\"service\":\"postgresql\"}," SOCKET
		"}}}\n");
}

static void test_accept(void **state)
{
	struct event ev = events_accept();

	(void)state;
	assert_string_equal(
		test_json(&ev), HEAD
		"\"connection\",\"start\"],\"action\":\"accept\",\"outcome\":\"success\","
		"\"sequence\":1},"
		"\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\",\"direction\":\"ingress\"},"
		"\"source\":{\"ip\":\"10.0.0.9\",\"port\":51514},"
		"\"destination\":{\"ip\":\"10.0.0.5\",\"port\":443}," NGINX
		"\"assignment\":{\"how\":\"inherited\"},"
		"\"source\":{\"class\":\"dynamic\",\"ephemeral\":true},"
		"\"destination\":{\"class\":\"well-known\",\"service\":\"https\",\"privileged\":"
		"true}," SOCKET "}}}\n");
}

static void test_close(void **state)
{
	struct event ev = events_close();

	(void)state;
	assert_string_equal(
		test_json(&ev), HEAD
		"\"connection\",\"end\"],\"action\":\"close\",\"outcome\":\"success\",\"sequence\":"
		"1,"
		"\"duration\":10000000000},"
		"\"network\":{\"transport\":\"tcp\",\"type\":\"ipv4\",\"direction\":\"ingress\"},"
		"\"source\":{\"ip\":\"10.0.0.9\",\"port\":51514},"
		"\"destination\":{\"ip\":\"10.0.0.5\",\"port\":443}," NGINX
		"\"source\":{\"class\":\"dynamic\",\"ephemeral\":true},"
		"\"destination\":{\"class\":\"well-known\",\"service\":\"https\",\"privileged\":"
		"true}," SOCKET "}}}\n");
}

/* ---- what a field means ---- */

static void test_close_of_what_it_opened(void **state)
{
	struct event ev = events_connect();
	const char *text;

	(void)state;
	ev.kind = EVENT_CLOSE;
	text = test_json(&ev);
	test_has(text, "\"type\":[\"connection\",\"end\"]");
	test_has(text, "\"direction\":\"egress\"");
	test_has(text, "\"source\":{\"ip\":\"10.0.0.5\",\"port\":40871}");
}

static void test_close_without_peer(void **state)
{
	struct event ev = events_listen();
	const char *text;

	(void)state;
	ev.kind = EVENT_CLOSE;
	text = test_json(&ev);
	test_has(text, "\"type\":[\"end\"]");
	test_has(text, "\"destination\":{\"ip\":\"0.0.0.0\",\"port\":443}");
	test_has_not(text, "\"source\"");
	test_has_not(text, "\"direction\"");
	test_has_not(text, "\"backlog\"");
}

static void test_failed_bind_shows_what_was_asked(void **state)
{
	struct event ev = events_bind();
	const char *text;

	(void)state;
	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRINUSE;
	ev.local = events_endpoint("", -1);
	text = test_json(&ev);
	test_has(text, "\"destination\":{\"ip\":\"0.0.0.0\",\"port\":443}");
	test_has(text, "\"error\":{\"code\":\"98\",\"type\":\"EADDRINUSE\",\"message\":\"Address "
		       "already in use\"}");
	test_has_not(text, "\"reason\"");
}

static void test_holder(void **state)
{
	struct event ev = events_bind();

	(void)state;
	test_has_not(test_json(&ev), "\"holder\"");
	ev = events_bind_in_use();
	test_has(test_json(&ev), ",\"holder\":{\"kind\":\"listener\",\"process\":{\"pid\":977,\"name\":\"nginx\"},"
				 "\"user\":{\"id\":\"33\",\"name\":\"www-data\"},\"ip\":\"10.0.0.5\"}");
	strcpy(ev.holder.container_id, "4f1e");
	test_has(test_json(&ev), "\"name\":\"www-data\"},\"container\":{\"id\":\"4f1e\"},\"ip\"");
	ev = events_bind_time_wait();
	test_has(test_json(&ev), ",\"holder\":{\"kind\":\"time-wait\",\"process\":{\"pid\":8,\"name\":\"curl\"},"
				 "\"exited\":true,\"expires\":42,\"ip\":\"2001:db8::5\"}");
	ev.holder = (struct holder){ .kind = HOLDER_BOUND };
	test_has(test_json(&ev), ",\"holder\":{\"kind\":\"bound\"}");
}

static void test_creator(void **state)
{
	struct event ev = events_accept();

	(void)state;
	test_has_not(test_json(&ev), "\"creator\"");
	ev.creator_pid = 1;
	strcpy(ev.creator_name, "sys\"d\n");
	test_has(test_json(&ev), ",\"creator\":{\"pid\":1,\"name\":\"sys\\\"d\\n\"}");
	ev.creator_name[0] = '\0';
	test_has(test_json(&ev), ",\"creator\":{\"pid\":1}");
}

/* Port 0 is what was asked for, never where something is. */
static void test_failed_bind0(void **state)
{
	struct event ev = events_bind();
	const char *text;

	(void)state;
	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRINUSE;
	ev.how = HOW_BIND0;
	ev.requested = events_endpoint("10.0.0.5", 0);
	ev.local = events_endpoint("", -1);
	text = test_json(&ev);
	test_has(text, "\"destination\":{\"ip\":\"10.0.0.5\"},");
	test_has(text, "{\"how\":\"bind0\",\"requested\":{\"ip\":\"10.0.0.5\",\"port\":0}}");
}

static void test_bind0_shows_both(void **state)
{
	struct event ev = events_bind();
	const char *text;

	(void)state;
	ev.how = HOW_BIND0;
	ev.requested = events_endpoint("0.0.0.0", 0);
	ev.local = events_endpoint("0.0.0.0", 40001);
	ev.local_facts = (struct port_facts){ CLASS_REGISTERED, true, true, false, NULL };
	text = test_json(&ev);
	test_has(text, "\"destination\":{\"ip\":\"0.0.0.0\",\"port\":40001}");
	test_has(text, "\"requested\":{\"ip\":\"0.0.0.0\",\"port\":0}");
	test_has(text,
		 "\"destination\":{\"class\":\"registered\",\"ephemeral\":true,\"reserved\":true}");
}

static void test_bind_without_port_yet(void **state)
{
	struct event ev = events_bind();
	const char *text;

	(void)state;
	ev.how = HOW_NONE;
	ev.requested = events_endpoint("10.0.0.5", 0);
	ev.local = events_endpoint("10.0.0.5", -1);
	ev.local_facts = (struct port_facts){ 0 };
	text = test_json(&ev);
	test_has(text, "\"destination\":{\"ip\":\"10.0.0.5\"},");
	test_has(text, "\"assignment\":{\"requested\":{\"ip\":\"10.0.0.5\",\"port\":0}}");
	test_has_not(text, "\"how\"");
	test_has_not(text, "\"class\"");
}

static void test_pool(void **state)
{
	struct event ev = events_connect();

	(void)state;
	test_has_not(test_json(&ev), "\"pool\"");
	ev.has_search = true; /* of no pool */
	test_has_not(test_json(&ev), "search_us");
	ev.pool = EVENT_POOL_CONNECT;
	ev.half = EVENT_HALF_SECOND;
	ev.search_ns = 912000;
	test_has(test_json(&ev), "},\"pool\":{\"kind\":\"connect\",\"half\":\"second\",\"search_us\":912},");
	ev.wall = true;
	ev.search_ns = 1; /* rounded up */
	test_has(test_json(&ev), "\"half\":\"second\",\"search_us\":1,\"wall\":true}");
	ev.pool = EVENT_POOL_UDP;
	ev.half = EVENT_HALF_UNKNOWN;
	ev.wall = ev.has_search = false;
	test_has(test_json(&ev), "\"pool\":{\"kind\":\"udp\"},");
	ev.pool = EVENT_POOL_BIND;
	ev.half = EVENT_HALF_FIRST;
	test_has(test_json(&ev), "\"pool\":{\"kind\":\"bind\",\"half\":\"first\"},");
}

static void test_verdict(void **state)
{
	struct event_verdict verdict = { .rule = "P20", .cause = "not port exhaustion: it clashes", .more = 3 };
	struct event ev = events_connect();

	(void)state;
	ev.verdict = &verdict;
	test_has(test_json(&ev), "},\"pool\":{\"rule\":\"P20\",\"why\":\"not port exhaustion: it clashes\","
				 "\"failed_before\":3},");
	ev.pool = EVENT_POOL_CONNECT;
	verdict = (struct event_verdict){ .has_pool = true, .used = 9, .capacity = 10, .next_ms = UINT32_MAX };
	test_has(test_json(&ev), "\"pool\":{\"kind\":\"connect\",\"used\":9,\"capacity\":10,\"reserved\":0,"
				 "\"blocked\":0},");
	verdict.next_ms = 0;
	verdict.rule = "P01";
	test_has(test_json(&ev), "\"blocked\":0,\"next_free_ms\":0,\"rule\":\"P01\"},");
}

static void test_aborted(void **state)
{
	struct event ev = events_connect();
	const char *text;

	(void)state;
	ev.outcome = OUTCOME_FAILURE;
	ev.aborted = true;
	text = test_json(&ev);
	test_has(text, "\"outcome\":\"failure\"");
	test_has(text, "\"reason\":\"given up by the program\"");
	test_has_not(text, "\"error\"");
}

static void test_unknown_outcome(void **state)
{
	struct event ev = events_connect();
	const char *text;

	(void)state;
	ev.outcome = OUTCOME_UNKNOWN;
	ev.backend = BACKEND_CGROUP;
	ev.proto = PROTO_UDP;
	ev.how = HOW_NONE;
	ev.has_requested = false;
	ev.error = 5; /* means nothing here */
	ev.local = events_endpoint("", -1);
	ev.local_facts = (struct port_facts){ 0 };
	strcpy(ev.reason, "result not seen");
	text = test_json(&ev);
	test_has(text, "\"outcome\":\"unknown\",\"sequence\":1,\"duration\":1234567,\"reason\":"
		       "\"result not seen\"");
	test_has(text, "\"backend\":\"cgroup\"");
	test_has(text, "\"transport\":\"udp\"");
	test_has_not(text, "\"error\"");
	test_has_not(text, "\"source\"");
	test_has_not(text, "\"assignment\"");
}

static void test_strange_errno(void **state)
{
	struct event ev = events_connect_failed();

	(void)state;
	ev.error = 525;
	test_has(test_json(&ev), "\"error\":{\"code\":\"525\"}");
}

static void test_success_has_no_error(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.error = ECONNREFUSED;
	test_has_not(test_json(&ev), "\"reason\"");
	test_has_not(test_json(&ev), "\"error\"");
}

static void test_ipv6(void **state)
{
	struct event ev = events_connect();
	const char *text;

	(void)state;
	ev.ip_version = 6;
	ev.local = events_endpoint("2001:db8::5", 40871);
	ev.remote = events_endpoint("::1", 0);
	text = test_json(&ev);
	test_has(text, "\"type\":\"ipv6\"");
	test_has(text, "\"source\":{\"ip\":\"2001:db8::5\",\"port\":40871}");
	test_has(text, "\"destination\":{\"ip\":\"::1\",\"port\":0}"); /* really asked for */
}

static void test_cookie_fits_a_double(void **state)
{
	struct event ev = events_bind();

	(void)state;
	ev.cookie = (UINT64_C(1) << 53) - 1;
	test_has(test_json(&ev), "\"cookie\":9007199254740991,");
	ev.cookie++;
	test_has_not(test_json(&ev), "\"cookie\"");
	ev.cookie = 0;
	test_has_not(test_json(&ev), "\"cookie\"");
}

/* The cgroup backend knows these two, but no other option. */
static void test_mark_and_device_without_options(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.has_options = false;
	ev.mark = 7;
	ev.bound_ifindex = 3;
	test_has(test_json(&ev), "\"device\":3,\"mark\":7");
	test_has_not(test_json(&ev), "reuseaddr");
}

static void test_late_and_mptcp(void **state)
{
	struct event ev = events_connect();

	(void)state;
	test_has_not(test_json(&ev), "late");
	ev.late = ev.mptcp = true;
	test_has(test_json(&ev), "\"backend\":\"tracing\",\"late\":true,");
	test_has(test_json(&ev), "\"mptcp\":true}");
}

static void test_backlog_zero_is_a_backlog(void **state)
{
	struct event ev = events_listen();

	(void)state;
	ev.backlog = 0;
	test_has(test_json(&ev), "\"backlog\":0}");
}

static void test_nothing_known(void **state)
{
	struct event ev = { .kind = EVENT_CLOSE, .sequence = 9 };
	const char *text = events_through(&sink_json, (struct sink_options){ 0 }, &ev, 1);

	(void)state;
	assert_int_equal(test_lines(text), 1);
	assert_string_equal(
		text,
		"{\"@timestamp\":\"1970-01-01T00:00:00.000000000Z\",\"ecs\":{\"version\":\"9.4.0\"}"
		","
		"\"event\":{\"kind\":\"event\",\"module\":\"porttrace\","
		"\"dataset\":\"porttrace.socket\",\"category\":[\"network\"],\"type\":[\"end\"],"
		"\"action\":\"close\",\"outcome\":\"success\",\"sequence\":9},"
		"\"network\":{\"transport\":\"tcp\"},"
		"\"porttrace\":{\"schema\":1,\"backend\":\"tracing\"}}\n");
}

static void test_owner(void **state)
{
	struct event ev = events_connect();
	const char *text;

	(void)state;
	ev.uid = 1000;
	strcpy(events_who(&ev)->user, "");
	strcpy(events_who(&ev)->command_line, "api --port 80");
	strcpy(events_who(&ev)->container_id, "53225e24386f");
	strcpy(events_who(&ev)->container_runtime, "docker");
	strcpy(events_who(&ev)->pod_uid, "c41f7eae-2e5f");
	strcpy(events_who(&ev)->unit, "api.service");
	text = test_json(&ev);
	test_has(
		text,
		"\"executable\":\"/usr/sbin/nginx\",\"command_line\":\"api --port 80\",\"start\":");
	test_has(text, "\"user\":{\"id\":\"1000\"},");
	test_has(text,
		 "\"container\":{\"id\":\"53225e24386f\",\"runtime\":\"docker\"},\"orchestrator\":{"
		 "\"type\":\"kubernetes\",\"resource\":{\"type\":\"pod\",\"id\":\"c41f7eae-2e5f\"}}"
		 ",");
	test_has(text, "},\"unit\":\"api.service\"}}\n");
	events_who(&ev)->container_runtime[0] = '\0';
	test_has(test_json(&ev), "\"container\":{\"id\":\"53225e24386f\"},");
}

static void test_dates(void **state)
{
	static const struct {
		uint64_t second;
		const char *want;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00" },
		{ 951782399, "2000-02-28T23:59:59" },
		{ 951782400, "2000-02-29T00:00:00" },
		{ 951868800, "2000-03-01T00:00:00" },
		{ 1709164800, "2024-02-29T00:00:00" },
		{ 1735689599, "2024-12-31T23:59:59" },
		{ 1735689600, "2025-01-01T00:00:00" },
		{ 4107542400, "2100-03-01T00:00:00" },
		{ UINT64_C(18446744073), "2554-07-21T23:34:33" },
	};
	struct event ev = events_bind();

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ev.time_ns = rows[i].second * 1000000000 + 7;
		test_has(test_json(&ev), rows[i].want);
		test_has(test_json(&ev), ".000000007Z\"");
	}
}

/* The date part is kept for a second, and must be renewed with it, back and forth. */
static void test_clock(void **state)
{
	struct event evs[4];
	const char *text;

	(void)state;
	for (int i = 0; i < 4; i++) {
		evs[i] = events_bind();
		evs[i].time_ns += (uint64_t)(i % 2) * 1000000000 + (uint64_t)i;
	}
	text = events_through(&sink_json, (struct sink_options){ 0 }, evs, 4);
	assert_int_equal(test_lines(text), 4);
	test_has(text, "08:45:53.001000111Z");
	test_has(text, "08:45:54.001000112Z");
	test_has(text, "08:45:53.001000113Z");
	test_has(text, "08:45:54.001000114Z");
}

/* ---- hostile text ---- */

static void test_escapes(void **state)
{
	static const struct {
		const char *name, *want;
	} rows[] = {
		{ "\033[31mred", "\"name\":\"\\u001b[31mred\"" },
		{ "a\"b\\c/", "\"name\":\"a\\\"b\\\\c/\"" },
		{ "\b\f\n\r\t\v\177", "\"name\":\"\\b\\f\\n\\r\\t\\u000b\\u007f\"" },
		{ "gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa7",
		  "\"name\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x90\xa7\"" },
		{ "\xc2\x9b"
		  "31m",
		  "\"name\":\"\\u009b31m\"" }, /* CSI in one character */
		{ "a\xff"
		  "b",
		  "\"name\":\"a\xef\xbf\xbd"
		  "b\"" },
		{ "\xc0\xaf", "\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* overlong "/" */
		{ "\xed\xa0\x80",
		  "\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },   /* surrogate */
		{ "x\xe2\x82", "\"name\":\"x\xef\xbf\xbd\xef\xbf\xbd\"" }, /* cut short */
		{ "\xf4\x90\x80\x80",
		  "\"name\":\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
		{ "\xe2\x82\xac", "\"name\":\"\xe2\x82\xac\"" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct event ev = events_bind();

		memset(ev.name, 0, sizeof(ev.name));
		memcpy(ev.name, rows[i].name, strlen(rows[i].name));
		test_has(test_json(&ev), rows[i].want);
	}
}

/* Between the quotes. */
static size_t test_inner_text(const char *text, size_t n, char *ret)
{
	char room[256];
	struct buf b = { .data = room, .size = sizeof(room) };

	json_text(&b, text, n);
	memcpy(ret, room + 1, b.len - 2);
	return b.len - 2;
}

/* Texts are looked at by eight bytes: the same comes out in parts too short for that, whatever stands where. */
static void test_odd_byte_anywhere(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++)
		for (size_t at = 0; at < 20; at++) {
			char text[] = "abcdefghijklmnopqrst", whole[256], parts[256];
			size_t len = 0;

			text[at] = (char)c;
			for (size_t i = 0; i < 20; i++)
				len += test_inner_text(text + i, 1, parts + len);
			assert_int_equal(test_inner_text(text, 20, whole), len);
			assert_memory_equal(whole, parts, len);
		}
}

/* Every byte there is, and no terminator within the field. */
static void test_every_byte(void **state)
{
	struct event ev = events_bind();

	(void)state;
	for (int first = 1; first < 256; first++) {
		for (size_t i = 0; i < sizeof(ev.name); i++)
			ev.name[i] = (char)(first + (int)i * 7);
		for (size_t i = 0; i < sizeof(events_who(&ev)->executable); i++)
			events_who(&ev)->executable[i] = (char)(first + (int)i);
		test_json(&ev);
	}
}

static void test_fill(char *text, size_t size, char c)
{
	memset(text, c, size - 1);
	text[size - 1] = '\0';
}

static void test_fill_holder(struct event *ev, char c)
{
	ev->has_holder = true;
	ev->holder = (struct holder){ .kind = HOLDER_CONNECTION, .pid = UINT32_MAX, .uid = UINT32_MAX };
	ev->holder.has_uid = true;
	ev->holder.exited = ev->holder.has_expires = true;
	ev->holder.expires_s = UINT32_MAX;
	ev->holder.local = events_endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	test_fill(ev->holder.name, sizeof(ev->holder.name), c);
	test_fill(ev->holder.user, sizeof(ev->holder.user), c);
	test_fill(ev->holder.container_id, sizeof(ev->holder.container_id), c);
}

static struct event test_worst(char c)
{
	struct event ev = events_connect_failed();

	test_fill(ev.name, sizeof(ev.name), c);
	test_fill(ev.reason, sizeof(ev.reason), c);
	test_fill(events_who(&ev)->executable, sizeof(events_who(&ev)->executable), c);
	test_fill(events_who(&ev)->command_line, sizeof(events_who(&ev)->command_line), c);
	test_fill(events_who(&ev)->user, sizeof(events_who(&ev)->user), c);
	test_fill(events_who(&ev)->container_id, sizeof(events_who(&ev)->container_id), c);
	test_fill(events_who(&ev)->container_runtime, sizeof(events_who(&ev)->container_runtime), c);
	test_fill(events_who(&ev)->pod_uid, sizeof(events_who(&ev)->pod_uid), c);
	test_fill(events_who(&ev)->unit, sizeof(events_who(&ev)->unit), c);
	ev.ip_version = 6;
	ev.local = events_endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	ev.remote = ev.requested = ev.local;
	ev.cookie = (UINT64_C(1) << 53) - 1;
	ev.sequence = ev.duration_ns = UINT64_MAX;
	ev.pid = ev.tid = ev.parent_pid = ev.uid = ev.netns_inum = UINT32_MAX;
	ev.creator_pid = UINT32_MAX;
	test_fill(ev.creator_name, sizeof(ev.creator_name), c);
	test_fill_holder(&ev, c);
	return ev;
}

static void test_line_cap(void **state)
{
	char service[300], host[300];
	struct sink_options opts = { .hostname = host };
	const char *text;

	(void)state;
	for (int c = 1; c < 256; c++) {
		struct event ev = test_worst((char)c);

		test_fill(service, sizeof(service), (char)c);
		test_fill(host, sizeof(host), (char)c);
		ev.local_facts = (struct port_facts){ CLASS_WELL_KNOWN, true, true, true, service };
		ev.remote_facts = ev.local_facts;
		text = events_through(&sink_json, opts, &ev, 1);
		assert_int_equal(test_lines(text), 1);
		test_has(text, "\"destination\":{\"ip\":\"2001:db8:");
		test_has(text, "\"type\":\"EADDRNOTAVAIL\"");
	}
}

/* What is given up first is what matters least. */
static void test_line_cap_drops_in_order(void **state)
{
	struct event ev = test_worst('x');
	const char *text = test_json(&ev);

	(void)state;
	test_has(text, "\"command_line\"");
	test_fill(events_who(&ev)->command_line, sizeof(events_who(&ev)->command_line), '\1');
	test_fill(events_who(&ev)->executable, sizeof(events_who(&ev)->executable), '\1');
	text = test_json(&ev);
	test_has_not(text, "\"command_line\"");
	test_has(text, "\"executable\"");
	test_fill(ev.reason, sizeof(ev.reason), '\1');
	test_fill(events_who(&ev)->container_id, sizeof(events_who(&ev)->container_id), '\1');
	text = test_json(&ev);
	test_has_not(text, "\"executable\"");
	test_has(text, "\"unit\"");
	test_has(text, "\"container\"");
}

/* An independent reader agrees, if there is one. */
static void test_read_by_jq(void **state)
{
	char path[] = "/tmp/porttrace-test-XXXXXX", command[200];
	struct event evs[70];
	size_t n = 0, len;
	const char *text;
	int fd;

	(void)state;
	if (system("command -v jq >/dev/null 2>&1"))
		skip();
	evs[n++] = events_bind();
	evs[n++] = events_listen();
	evs[n++] = events_connect();
	evs[n++] = events_connect_failed();
	evs[n++] = events_accept();
	evs[n++] = events_close();
	while (n < 70) {
		evs[n] = test_worst((char)(n * 3 + 1));
		n++;
	}
	text = events_through(&sink_json, (struct sink_options){ .hostname = "h\"\n" }, evs, n);
	len = strlen(text);
	fd = mkstemp(path);
	assert_int_equal(write(fd, text, len), len);
	close(fd);
	snprintf(command, sizeof(command),
		 "test \"$(jq -es 'length == 70 and all(.[]; .porttrace.schema == 1)' %s)\" = true",
		 path);
	len = (size_t)system(command);
	unlink(path);
	assert_int_equal(len, 0);
}

/* ---- the way out ---- */

static struct event test_long_event(void)
{
	struct event ev = events_connect();

	test_fill(events_who(&ev)->executable, sizeof(events_who(&ev)->executable), 'x');
	return ev;
}

/* A pipe that holds 64 KiB and is read only afterwards: nothing is torn, nothing lost, nothing
 * twice. */
/* The longest that is said of a pool, with the longest names. */
static void test_long_verdict(void **state)
{
	struct event_verdict verdict = { .has_pool = true, .rule = "P01", .cause = "words", .next_ms = UINT32_MAX };
	struct event ev = test_long_event();
	char json[1536] = ",\"remedy\":\"";
	const char *text;

	(void)state;
	memset(json + strlen(json), 'x', sizeof(json) - strlen(json) - 1);
	json[sizeof(json) - 1] = '"';
	verdict.json = json;
	verdict.json_len = sizeof(json);
	ev.verdict = &verdict;
	text = events_through(&sink_json, (struct sink_options){ 0 }, &ev, 1);
	assert_int_equal(test_lines(text), 1);
	assert_non_null(strstr(text, "xxx\""));
}

static void test_many_events(void **state)
{
	static struct event evs[200];
	const char *text;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		evs[i] = test_long_event();
		evs[i].sequence = i + 1;
	}
	text = events_through(&sink_json, (struct sink_options){ 0 }, evs, 200);
	assert_int_equal(test_lines(text), 200);
	for (int i = 1; i <= 200; i++) {
		char want[40];

		snprintf(want, sizeof(want), "\"sequence\":%d,", i);
		text = strstr(text, want);
		assert_non_null(text);
	}
}

static void test_buffers_until_flush(void **state)
{
	struct event ev = events_bind();
	void *sink;
	char text[4096];
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(sink_json.open(&(struct sink_options){ .fd = fds[1] }, &sink), 0);
	assert_int_equal(sink_json.event(sink, &ev), 0);
	assert_int_equal(sink_json.event(sink, &ev), 0);
	assert_int_equal(read(fds[0], text, sizeof(text)), -1);
	assert_int_equal(sink_json.flush(sink), 0);
	text[read(fds[0], text, sizeof(text) - 1)] = '\0';
	assert_int_equal(test_lines(text), 2);
	assert_int_equal(sink_json.flush(sink), 0);
	assert_int_equal(read(fds[0], text, sizeof(text)), -1);
	sink_json.close(sink);
	close(fds[0]);
	close(fds[1]);
}

static void test_closed_pipe(void **state)
{
	struct event ev = events_bind();
	void *sink;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	assert_int_equal(sink_json.open(&(struct sink_options){ .fd = fds[1] }, &sink), 0);
	assert_int_equal(sink_json.event(sink, &ev), 0);
	assert_int_equal(sink_json.flush(sink), -EPIPE);
	sink_json.close(sink);
	close(fds[1]);
}

static void test_full_disk(void **state)
{
	struct event ev = test_long_event();
	void *sink;
	int fd = open("/dev/full", O_WRONLY), err = 0, taken = 0;

	(void)state;
	if (fd < 0)
		skip();
	assert_int_equal(sink_json.open(&(struct sink_options){ .fd = fd }, &sink), 0);
	assert_int_equal(sink_json.event(sink, &ev), 0);
	assert_int_equal(sink_json.flush(sink), -ENOSPC);
	for (; !err && taken < 1000; taken++)
		err = sink_json.event(sink, &ev);
	assert_int_equal(err, -ENOSPC);
	assert_in_range(taken, 40, 100);
	sink_json.close(sink);
	close(fd);
}

static void test_on_signal(int sig)
{
	(void)sig;
}

struct test_reader {
	int fd;
	pthread_t writer;
	char *text;
	size_t len, size;
};

/* Waits until the writer must be stuck in a full pipe, interrupts it once, then reads all there is.
 */
static void *test_reader_run(void *arg)
{
	struct test_reader *r = arg;
	ssize_t n;

	usleep(100 * 1000);
	pthread_kill(r->writer, SIGUSR1);
	usleep(100 * 1000);
	while ((n = read(r->fd, r->text + r->len, r->size - r->len)) > 0)
		r->len += (size_t)n;
	return NULL;
}

/* The flag look-up between is the caller's; what matters: told once, and each byte comes out once.
 */
static void test_interrupted(void **state)
{
	static char text[512 * 1024];
	struct sigaction act = { .sa_handler = test_on_signal };
	struct test_reader r = { .writer = pthread_self(), .text = text, .size = sizeof(text) - 1 };
	struct event ev = test_long_event();
	int fds[2], interrupted = 0, err;
	pthread_t thread;
	void *sink;

	(void)state;
	sigaction(SIGUSR1, &act, NULL);
	assert_int_equal(pipe(fds), 0);
	r.fd = fds[0];
	assert_int_equal(sink_json.open(&(struct sink_options){ .fd = fds[1] }, &sink), 0);
	assert_int_equal(pthread_create(&thread, NULL, test_reader_run, &r), 0);
	for (ev.sequence = 1; ev.sequence <= 300; ev.sequence++) {
		while ((err = sink_json.event(sink, &ev)) == -EINTR)
			interrupted++;
		assert_int_equal(err, 0);
		while ((err = sink_json.flush(sink)) == -EINTR)
			interrupted++;
		assert_int_equal(err, 0);
	}
	close(fds[1]);
	pthread_join(thread, NULL);
	sink_json.close(sink);
	close(fds[0]);
	assert_int_equal(test_lines(text), 300);
	assert_int_equal(interrupted, 1);
}

/* Non-blocking stdout (another program set the flag on the shared file): wait, lose nothing. */
static void test_nonblocking(void **state)
{
	static char text[512 * 1024];
	struct test_reader r = { .writer = pthread_self(), .text = text, .size = sizeof(text) - 1 };
	struct sigaction act = { .sa_handler = test_on_signal };
	struct event ev = test_long_event();
	pthread_t thread;
	void *sink;
	int fds[2], err;

	(void)state;
	sigaction(SIGUSR1, &act, NULL);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	r.fd = fds[0];
	assert_int_equal(sink_json.open(&(struct sink_options){ .fd = fds[1] }, &sink), 0);
	assert_int_equal(pthread_create(&thread, NULL, test_reader_run, &r), 0);
	for (ev.sequence = 1; ev.sequence <= 300; ev.sequence++) {
		while ((err = sink_json.event(sink, &ev)) == -EINTR)
			;
		assert_int_equal(err, 0);
	}
	while ((err = sink_json.flush(sink)) == -EINTR)
		;
	assert_int_equal(err, 0);
	close(fds[1]);
	pthread_join(thread, NULL);
	sink_json.close(sink);
	close(fds[0]);
	assert_int_equal(test_lines(text), 300);
}

static void test_registry(void **state)
{
	(void)state;
	assert_ptr_equal(sink_find("json"), &sink_json);
	assert_ptr_equal(sink_find("table"), &sink_table);
	assert_null(sink_find("jso"));
	assert_null(sink_find(""));
	sink_json.close(NULL);
	sink_table.close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_failed),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_close_of_what_it_opened),
		cmocka_unit_test(test_close_without_peer),
		cmocka_unit_test(test_failed_bind_shows_what_was_asked),
		cmocka_unit_test(test_holder),
		cmocka_unit_test(test_creator),
		cmocka_unit_test(test_failed_bind0),
		cmocka_unit_test(test_bind0_shows_both),
		cmocka_unit_test(test_bind_without_port_yet),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_verdict), cmocka_unit_test(test_long_verdict),
		cmocka_unit_test(test_aborted),
		cmocka_unit_test(test_unknown_outcome),
		cmocka_unit_test(test_strange_errno),
		cmocka_unit_test(test_success_has_no_error),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_cookie_fits_a_double),
		cmocka_unit_test(test_mark_and_device_without_options),
		cmocka_unit_test(test_late_and_mptcp),
		cmocka_unit_test(test_backlog_zero_is_a_backlog),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_owner),
		cmocka_unit_test(test_dates),
		cmocka_unit_test(test_clock),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_odd_byte_anywhere),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_line_cap),
		cmocka_unit_test(test_line_cap_drops_in_order),
		cmocka_unit_test(test_read_by_jq),
		cmocka_unit_test(test_many_events),
		cmocka_unit_test(test_buffers_until_flush),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test(test_interrupted),
		cmocka_unit_test(test_nonblocking),
		cmocka_unit_test(test_registry),
	};

	setenv("LC_ALL", "C.UTF-8", 1);
	setlocale(LC_ALL, "");
	return cmocka_run_group_tests_name("sink/json", tests, NULL, NULL);
}
