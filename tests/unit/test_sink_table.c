// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "../../src/visible.h"
#include "events.h"

static const char *test_table(const struct event *ev)
{
	return events_through(&sink_table, (struct sink_options){ .utc = true }, ev, 1);
}

static void test_line(struct event ev, const char *want)
{
	assert_string_equal(test_table(&ev), want);
}

static void test_has(struct event ev, const char *part)
{
	const char *text = test_table(&ev);

	if (!strstr(text, part))
		print_error("no '%s' in %s", part, text);
	assert_non_null(strstr(text, part));
}

/* The last column. */
static void test_result(struct event ev, const char *want)
{
	const char *text = test_table(&ev);

	assert_true(strlen(text) > 117);
	assert_int_equal(text[116], ' ');
	assert_int_equal(strlen(text + 117), strlen(want) + 1);
	assert_memory_equal(text + 117, want, strlen(want));
}

/* ---- a line for each kind of event ---- */

static void test_header(void **state)
{
	struct sink_options opts = { .header = true };

	(void)state;
	assert_string_equal(events_through(&sink_table, opts, NULL, 0),
			    "TIME         EVENT   PROTO PID     PROCESS     LOCAL               "
			    "REMOTE              "
			    "CLASS      SERVICE  HOW       RESULT\n");
	opts.header = false;
	assert_string_equal(events_through(&sink_table, opts, NULL, 0), "");
}

static void test_bind(void **state)
{
	(void)state;
	test_line(events_bind(), "08:45:53.001 bind    tcp   977     nginx       0.0.0.0:443       "
				 "  -                   "
				 "well-known https    explicit  ok\n");
}

static void test_listen(void **state)
{
	(void)state;
	test_line(events_listen(), "08:45:53.001 listen  tcp   977     nginx       0.0.0.0:443     "
				   "    -                   "
				   "well-known https    -         ok backlog 511\n");
}

static void test_connect(void **state)
{
	(void)state;
	test_line(events_connect(), "08:45:53.001 connect tcp   4312    api         10.0.0.5:40871 "
				    "e    10.0.3.9:5432       "
				    "registered postgresql connect ok 1.2ms\n");
}

static void test_connect_failed(void **state)
{
	(void)state;
	test_line(events_connect_failed(), "08:45:53.001 connect tcp   4312    api         "
					   "10.0.0.5:*          10.0.3.9:5432       "
					   "registered postgresql connect EADDRNOTAVAIL Cannot "
					   "assign requested address after 81us\n");
}

static void test_accept(void **state)
{
	(void)state;
	test_line(events_accept(), "08:45:53.001 accept  tcp   977     nginx       10.0.0.5:443    "
				   "    10.0.0.9:51514 e    "
				   "well-known https    inherited ok\n");
}

static void test_close(void **state)
{
	(void)state;
	test_line(events_close(), "08:45:53.001 close   tcp   977     nginx       10.0.0.5:443     "
				  "   10.0.0.9:51514 e    "
				  "well-known https    -         ok after 10.0s\n");
}

static void test_nothing_known(void **state)
{
	(void)state;
	test_line((struct event){ .kind = EVENT_CLOSE, .proto = PROTO_UDP },
		  "00:00:00.000 close   udp   -       -           -                   -            "
		  "       "
		  "-          -        -         ok\n");
}

/* ---- endpoints ---- */

static struct event test_failed_bind(int port)
{
	struct event ev = events_bind();

	ev.outcome = OUTCOME_FAILURE;
	ev.error = EADDRINUSE;
	ev.how = port ? HOW_EXPLICIT : HOW_BIND0;
	ev.requested = events_endpoint("10.0.0.5", port);
	ev.local = events_endpoint("", -1);
	return ev;
}

static void test_failure_shows_what_was_asked(void **state)
{
	struct event ev = test_failed_bind(40000);

	(void)state;
	test_has(ev, " 10.0.0.5:40000 ");
	test_has(ev, " explicit  EADDRINUSE Address already in use\n");
	ev.local_facts.ephemeral = true;
	test_has(ev, " 10.0.0.5:40000 e ");
	test_has(test_failed_bind(0), " 10.0.0.5:* ");
	test_has(test_failed_bind(0), " bind0 ");
}

static void test_failed_connect_keeps_its_port(void **state)
{
	struct event ev = events_connect_failed();

	(void)state;
	ev.error = ECONNREFUSED;
	ev.local = events_endpoint("10.0.0.5", 40871);
	ev.local_facts.ephemeral = true;
	test_has(ev, " 10.0.0.5:40871 e ");
}

static void test_failed_before_an_address(void **state)
{
	struct event ev = events_connect_failed();

	(void)state;
	ev.error = ENETUNREACH;
	ev.local = events_endpoint("", -1);
	test_has(ev, " *:* ");
	ev.has_requested = false;
	test_has(ev, " api         -          ");
}

static void test_bound_without_port_yet(void **state)
{
	struct event ev = events_bind();

	(void)state;
	ev.how = HOW_NONE;
	ev.requested = events_endpoint("10.0.0.5", 0);
	ev.local = events_endpoint("10.0.0.5", -1);
	test_has(ev, " 10.0.0.5:- ");
}

static void test_ipv6(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.local = events_endpoint("::1", 40871);
	ev.remote = events_endpoint("::1", 80);
	test_line(ev, "08:45:53.001 connect tcp   4312    api         [::1]:40871 e       [::1]:80 "
		      "           "
		      "registered postgresql connect ok 1.2ms\n");
	ev.outcome = OUTCOME_FAILURE;
	ev.local.has_port = false;
	test_has(ev, " [::1]:* ");
}

/* Too long is pushed, never cut; the columns with room to spare bring the line back. */
static void test_long_addresses(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.local = events_endpoint("255.255.255.255", 65535);
	ev.remote = events_endpoint("1.1.1.1", 53);
	test_line(ev, "08:45:53.001 connect tcp   4312    api         255.255.255.255:65535 e "
		      "1.1.1.1:53      "
		      "registered postgresql connect ok 1.2ms\n");
	ev.local = ev.remote = events_endpoint("2001:db8:1111:2222:3333:4444:5555:6666", 65535);
	test_has(ev, " [2001:db8:1111:2222:3333:4444:5555:6666]:65535 e "
		     "[2001:db8:1111:2222:3333:4444:5555:6666]:65535 registered ");
}

static void test_wide(void **state)
{
	struct sink_options opts = { .wide = true, .header = true, .utc = true };
	struct event ev = events_connect();
	const char *text;
	size_t at;

	(void)state;
	ev.local = ev.remote = events_endpoint("fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd", 65535);
	ev.remote_facts.ephemeral = true;
	strcpy(ev.name, "systemd-resolve");
	text = events_through(&sink_table, opts, &ev, 1);
	at = (size_t)(strchr(text, '\n') + 1 - text);
	assert_ptr_equal(strstr(text, "REMOTE") + at, strrchr(text, '['));
	assert_ptr_equal(strstr(text, "RESULT") + at, strstr(text, "ok 1.2ms"));
}

/* 132 columns are enough for IPv4 as it mostly is. */
static void test_ends(struct event ev, bool wide, const char *want)
{
	const char *text = events_through(&sink_table, (struct sink_options){ .wide = wide }, &ev, 1);
	size_t len = strlen(text), end = strlen(want);

	assert_true(len > end + 1);
	if (memcmp(text + len - end - 1, want, end))
		print_error("no '%s' at the end of %s", want, text);
	assert_memory_equal(text + len - end - 1, want, end);
}

/* Only in the wide table, and only where the search was long. */
static void test_pool(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.pool = EVENT_POOL_CONNECT;
	ev.half = EVENT_HALF_FIRST;
	ev.has_search = true;
	ev.search_ns = 99999;
	test_ends(ev, true, "ok 1.2ms");
	ev.search_ns = 100000;
	test_ends(ev, true, "ok 1.2ms, connect pool, search 100us");
	test_ends(ev, false, "ok 1.2ms");
	ev.half = EVENT_HALF_SECOND;
	ev.search_ns = 912345;
	test_ends(ev, true, "ok 1.2ms, connect pool, 2nd half, search 912us");
	ev.has_search = false;
	test_ends(ev, true, "ok 1.2ms, connect pool, 2nd half");
	ev.wall = true;
	strcpy(ev.reason, "wall: so");
	test_ends(ev, false, "ok 1.2ms wall: so");
	ev.outcome = OUTCOME_FAILURE;
	ev.aborted = true;
	ev.duration_ns = 0;
	test_ends(ev, true, "aborted wall: so, connect pool, 2nd half");
}

static void test_width(void **state)
{
	struct event ev = events_listen();

	(void)state;
	ev.pid = 4194304;
	ev.backlog = 4096;
	strcpy(ev.name, "postgres: w");
	ev.local = events_endpoint("192.168.10.25", 15432);
	assert_in_range(strlen(test_table(&ev)), 1, 132 + 1);
	ev = events_accept();
	ev.local = events_endpoint("192.168.1.10", 443);
	ev.remote = events_endpoint("192.168.1.200", 51514);
	assert_in_range(strlen(test_table(&ev)), 1, 132 + 1);
}

/* ---- CLASS and SERVICE are of the service side ---- */

static void test_service_side(void **state)
{
	struct event ev = events_connect();

	(void)state;
	ev.kind = EVENT_CLOSE;
	test_has(ev, "registered postgresql ");
	ev.role = ROLE_INGRESS;
	ev.local_facts = (struct port_facts){ CLASS_DYNAMIC, .service = "mine" };
	test_has(ev, "dynamic    mine ");
}

/* ---- results ---- */

static struct event test_took(enum event_kind kind, uint64_t ns)
{
	struct event ev = events_accept();

	ev.kind = kind;
	ev.duration_ns = ns;
	return ev;
}

static void test_durations(void **state)
{
	static const struct {
		uint64_t ns;
		const char *want;
	} rows[] = {
		{ 0, "ok" },
		{ 1, "ok 1ns" },
		{ 999, "ok 999ns" },
		{ 1000, "ok 1us" },
		{ 999999, "ok 999us" },
		{ 1000000, "ok 1.0ms" },
		{ 12100345, "ok 12.1ms" },
		{ 999999999, "ok 999.9ms" },
		{ UINT64_C(1000000000), "ok 1.0s" },
		{ UINT64_C(59990000000), "ok 59.9s" },
		{ UINT64_C(60000000000), "ok 1m00s" },
		{ UINT64_C(130000000000), "ok 2m10s" },
		{ UINT64_C(11100000000000), "ok 3h05m" },
		{ UINT64_C(86400000000000), "ok 1d00h" },
		{ UINT64_C(1051200000000000), "ok 12d04h" },
		{ UINT64_MAX, "ok 213503d23h" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		test_result(test_took(EVENT_ACCEPT, rows[i].ns), rows[i].want);
	test_result(test_took(EVENT_CLOSE, 1500000), "ok after 1.5ms");
	test_result(test_took(EVENT_CLOSE, 0), "ok");
}

static struct event test_outcome(enum event_outcome outcome, int error, const char *reason)
{
	struct event ev = events_accept();

	ev.outcome = outcome;
	ev.error = error;
	strcpy(ev.reason, reason);
	return ev;
}

static void test_holders(void **state)
{
	struct event ev = events_bind_in_use();

	(void)state;
	test_result(ev, "EADDRINUSE in use by nginx (pid 977), listener");
	ev.error = 0; /* not seen */
	test_result(ev, "failed port of nginx (pid 977), listener");
	ev = events_bind_time_wait();
	test_result(ev, "EADDRINUSE TIME_WAIT of curl (pid 8, exited), free in 42 s");
	ev.holder.has_expires = false;
	strcpy(ev.holder.name, "a\033[2J");
	test_result(ev, "EADDRINUSE TIME_WAIT of a\\x1b[2J (pid 8, exited)");
	ev.holder = (struct holder){ .kind = HOLDER_BOUND, .has_uid = true, .uid = 33, .user = "www-\ndata" };
	test_result(ev, "EADDRINUSE in use by user www-\\x0adata, bound");
	ev.holder.user[0] = '\0';
	test_result(ev, "EADDRINUSE in use by user 33, bound");
	ev.holder = (struct holder){ .kind = HOLDER_TIME_WAIT };
	test_result(ev, "EADDRINUSE TIME_WAIT of an unknown process");
	ev.holder.kind = HOLDER_CONNECTION;
	test_result(ev, "EADDRINUSE in use by an unknown process, connection");
}

static void test_results(void **state)
{
	struct event ev;

	(void)state;
	test_result(test_outcome(OUTCOME_FAILURE, ECONNABORTED, ""),
		    "ECONNABORTED Software caused connection abort");
	test_result(test_outcome(OUTCOME_FAILURE, EADDRINUSE, "held by nginx (977)"),
		    "EADDRINUSE held by nginx (977)");
	test_result(test_outcome(OUTCOME_FAILURE, 525, ""), "errno 525");
	test_result(test_outcome(OUTCOME_FAILURE, 0, ""), "failed");
	test_result(test_outcome(OUTCOME_FAILURE, 0, "errno not seen"), "failed errno not seen");
	test_result(test_outcome(OUTCOME_UNKNOWN, 0, ""), "unknown");
	test_result(test_outcome(OUTCOME_UNKNOWN, 0, "result not seen"), "unknown result not seen");
	ev = test_outcome(OUTCOME_FAILURE, 0, "given up by the program");
	ev.aborted = true;
	test_result(ev, "aborted");
	ev.duration_ns = UINT64_C(3000000000);
	test_result(ev, "aborted after 3.0s");
	ev = test_outcome(OUTCOME_FAILURE, ETIMEDOUT, "");
	ev.duration_ns = UINT64_C(130000000000);
	test_result(ev, "ETIMEDOUT Connection timed out after 2m10s");
}

/* ---- hostile text ---- */

static struct event test_named(const char *name)
{
	struct event ev = events_bind();

	memset(ev.name, 0, sizeof(ev.name));
	memcpy(ev.name, name, strlen(name));
	return ev;
}

static void test_names(void **state)
{
	(void)state;
	test_has(test_named("\033[2J\r"), " \\x1b[2J\\x0d ");
	test_has(test_named("a\nb"), " a\\x0ab      0.0.0.0:443 ");
	test_has(test_named("\xff\xc3("), " \\xff\\xc3(   0.0.0.0:443 ");
	test_has(test_named("\xc2\x9b"
			    "2J"),
		 " \\xc2\\x9b2J  0.0.0.0:443 ");
	test_has(test_named("\xe2\x80\xae"
			    "gpj"),
		 " \\xe2\\x80\\xaegpj "); /* right-to-left override */
	test_has(test_named("16 bytes, no end"), " 16 bytes, no end 0.0.0.0:443 ");
	/* Counted in characters, so that what follows stays in step. */
	test_has(test_named("gr\xc3\xbc\xc3\x9f"
			    "e"),
		 " gr\xc3\xbc\xc3\x9f"
		 "e       0.0.0.0:443         -  ");
}

static void test_only_harmless(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	assert_non_null(strchr(text, '\n'));
	assert_string_equal(strchr(text, '\n'), "\n");
	for (; *s && *s != '\n'; s++) {
		assert_in_range(*s, 0x20, 0xf4);
		assert_int_not_equal(*s, 0x7f);
		if (*s == 0xc2)
			assert_in_range(s[1], 0xa0, 0xbf);
	}
}

/* Texts are looked at by eight bytes: the same comes out in parts too short for that, whatever stands where. */
static void test_odd_byte_anywhere(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++)
		for (size_t at = 0; at < 20; at++) {
			char text[] = "abcdefghijklmnopqrst", rooms[2][256];
			struct buf whole = { .data = rooms[0], .size = 256 }, parts = { .data = rooms[1], .size = 256 };

			text[at] = (char)c;
			visible_text(&whole, text, 20);
			for (size_t i = 0; i < 20; i++)
				visible_text(&parts, text + i, 1);
			assert_int_equal(whole.len, parts.len);
			assert_memory_equal(whole.data, parts.data, parts.len);
		}
}

static void test_every_byte(void **state)
{
	(void)state;
	for (int c = 1; c < 256; c++) {
		struct event ev = events_connect_failed();
		char service[300];

		memset(service, c, sizeof(service) - 1);
		service[sizeof(service) - 1] = '\0';
		memset(ev.name, c, sizeof(ev.name));
		memset(ev.reason, c, sizeof(ev.reason));
		ev.remote_facts.service = service;
		test_only_harmless(test_table(&ev));
	}
}

/* ---- colour ---- */

static void test_color(void **state)
{
	struct sink_options opts = { .color = true, .header = true, .utc = true };
	struct event evs[] = { events_bind(), test_failed_bind(443) };
	const char *text;

	(void)state;
	text = events_through(&sink_table, opts, evs, 2);
	assert_memory_equal(text, "\033[1mTIME  ", 10);
	assert_non_null(strstr(text, "HOW       RESULT\033[0m\n08:45:53.001 bind "));
	assert_non_null(strstr(text, "explicit  ok\n"));
	assert_non_null(
		strstr(text, "explicit  \033[31mEADDRINUSE Address already in use\033[0m\n"));
	opts.color = false;
	assert_null(strchr(events_through(&sink_table, opts, evs, 2), '\033'));
}

/* ---- time ---- */

static void test_local_time(void **state)
{
	struct event evs[] = { events_bind(), events_bind(), events_bind() };
	const char *text;

	(void)state;
	evs[1].time_ns += UINT64_C(1000000000);
	evs[2].time_ns += UINT64_C(998000000); /* 53.999 */
	setenv("TZ", "XST-5:30", 1);
	tzset();
	text = events_through(&sink_table, (struct sink_options){ 0 }, evs, 3);
	assert_memory_equal(text, "14:15:53.001", 12);
	assert_non_null(strstr(text, "\n14:15:54.001"));
	assert_non_null(strstr(text, "\n14:15:53.999"));
	text = events_through(&sink_table, (struct sink_options){ .utc = true }, evs, 1);
	assert_memory_equal(text, "08:45:53.001", 12);
	unsetenv("TZ");
	tzset();
}

/* ---- the way out ---- */

static void test_header_at_once(void **state)
{
	char text[256];
	void *sink;
	int fds[2];

	(void)state;
	assert_int_equal(pipe2(fds, O_NONBLOCK), 0);
	assert_int_equal(
		sink_table.open(&(struct sink_options){ .fd = fds[1], .header = true }, &sink), 0);
	assert_true(read(fds[0], text, sizeof(text)) > 100);
	sink_table.close(sink);
	close(fds[0]);
	close(fds[1]);
}

static void test_closed_pipe(void **state)
{
	struct sink_options opts = { .header = true };
	void *sink = NULL;
	int fds[2];

	(void)state;
	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(fds), 0);
	close(fds[0]);
	opts.fd = fds[1];
	assert_int_equal(sink_table.open(&opts, &sink), -EPIPE);
	assert_null(sink);
	close(fds[1]);
}

static void test_many_lines(void **state)
{
	static struct event evs[1500];
	const char *text;
	size_t lines = 0;

	(void)state;
	for (size_t i = 0; i < 1500; i++)
		evs[i] = events_bind();
	text = events_through(&sink_table, (struct sink_options){ .utc = true }, evs, 1500);
	for (; *text; lines++, text = strchr(text, '\n') + 1)
		assert_memory_equal(text, "08:45:53.001 bind ", 18);
	assert_int_equal(lines, 1500);
}

/* All that decides a cell, and some that push or hide what follows. */
static struct event test_any_event(void)
{
	static const char *const names[] = { "nginx", "a-long-name-15b", "b\xc3\xa4r", "\x01\x02", "" };
	static const char *const services[] = { "https", "a-service-with-a-long-name", NULL };
	static const uint8_t octets[] = { 1, 10, 100 };
	struct event ev = rand() % 2 ? events_connect() : events_bind();

	ev.kind = (enum event_kind)(rand() % EVENT_KIND_COUNT);
	ev.proto = (enum event_proto)(rand() % PROTO_COUNT);
	ev.outcome = rand() % 4 ? OUTCOME_SUCCESS : OUTCOME_FAILURE;
	ev.pid = (uint32_t)(rand() % 3 * 4000000);
	ev.how = (enum event_how)(rand() % HOW_COUNT);
	ev.local_facts.class = (enum port_class)(rand() % CLASS_COUNT);
	ev.local_facts.service = services[rand() % 3];
	ev.time_ns += (uint64_t)(rand() % 3) * 300000000;
	memset(ev.name, 0, sizeof(ev.name));
	strcpy(ev.name, names[rand() % 5]);
	for (int i = 0; i < 4; i++) /* as long as the column, and a little less or more */
		ev.local.addr[i] = octets[rand() % 3];
	if (rand() % 4 == 0) {
		ev.local.ip_version = 6;
		memset(ev.local.addr, rand() % 256, sizeof(ev.local.addr));
	}
	return ev;
}

/* A line is the same whatever was written before it. */
static void test_lines_alone(struct sink_options opts)
{
	static struct event evs[1000];
	const char *line;
	char *all, *at;

	for (size_t i = 0; i < 1000; i++)
		evs[i] = test_any_event();
	all = at = strdup(events_through(&sink_table, opts, evs, 1000));
	assert_non_null(all);
	for (size_t i = 0; i < 1000; i++, at += strlen(line)) {
		line = events_through(&sink_table, opts, &evs[i], 1);
		assert_memory_equal(at, line, strlen(line));
	}
	assert_string_equal(at, "");
	free(all);
}

static void test_remembered(void **state)
{
	(void)state;
	srand(1);
	test_lines_alone((struct sink_options){ .utc = true });
	test_lines_alone((struct sink_options){ .utc = true, .wide = true });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_bind),
		cmocka_unit_test(test_listen),
		cmocka_unit_test(test_connect),
		cmocka_unit_test(test_connect_failed),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_nothing_known),
		cmocka_unit_test(test_failure_shows_what_was_asked),
		cmocka_unit_test(test_failed_connect_keeps_its_port),
		cmocka_unit_test(test_failed_before_an_address),
		cmocka_unit_test(test_bound_without_port_yet),
		cmocka_unit_test(test_ipv6),
		cmocka_unit_test(test_long_addresses),
		cmocka_unit_test(test_wide),
		cmocka_unit_test(test_pool),
		cmocka_unit_test(test_width),
		cmocka_unit_test(test_service_side),
		cmocka_unit_test(test_durations),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_holders),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_odd_byte_anywhere),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_color),
		cmocka_unit_test(test_local_time),
		cmocka_unit_test(test_header_at_once),
		cmocka_unit_test(test_closed_pipe),
		cmocka_unit_test(test_many_lines),
		cmocka_unit_test(test_remembered),
	};

	return cmocka_run_group_tests_name("sink/table", tests, NULL, NULL);
}
