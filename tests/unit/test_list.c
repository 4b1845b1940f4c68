// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The command line, the table, the sort keys and the JSON of `porttrace list`. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "../../src/cmd/list_text.h"
#include "events.h"

/* ---- options ---- */

static int parse(struct list_options *opts, char *err, const char *arg1, const char *arg2)
{
	char *argv[] = { (char *)"list", (char *)arg1, (char *)arg2, NULL };

	return list_options_parse(opts, arg2 ? 3 : 2, argv, err);
}

static void test_options(void **state)
{
	struct list_options opts;
	char err[CLI_ERR_SIZE];

	(void)state;
	assert_int_equal(parse(&opts, err, "-o", "local,age"), 0);
	assert_int_equal(opts.columns.count, 2);
	assert_int_equal(opts.columns.list[1], LIST_AGE);
	assert_int_equal(parse(&opts, err, "--sort", "-received"), 0);
	assert_true(opts.sort.descending);
	assert_int_equal(opts.sort.column, LIST_RECEIVED);
	assert_int_equal(parse(&opts, err, "--watch", "-H"), 0);
	assert_true(opts.watch_ns == 2000000000 && !opts.header);
	assert_int_equal(parse(&opts, err, "--watch=500ms", NULL), 0);
	assert_true(opts.watch_ns == 500000000);
	assert_int_equal(parse(&opts, err, "-s", "listen,connected"), 0);
	assert_int_equal(opts.states, 1u << SOCKDIAG_LISTEN | 1u << SOCKDIAG_ESTABLISHED);
	assert_int_equal(parse(&opts, err, "-s", "bound,syn-recv"), 0);
	assert_int_equal(opts.states, 1u << SOCKDIAG_CLOSE | 1u << SOCKDIAG_BOUND | 1u << SOCKDIAG_SYN_RECV |
					      1u << SOCKDIAG_NEW_SYN_RECV);
}

static void test_bad_options(void **state)
{
	struct list_options opts;
	char err[CLI_ERR_SIZE];

	(void)state;
	assert_true(parse(&opts, err, "-o", "lokal") < 0);
	assert_non_null(strstr(err, "did you mean 'local'?"));
	assert_true(parse(&opts, err, "--sort", "-ages") < 0);
	assert_non_null(strstr(err, "did you mean 'age'?"));
	assert_true(parse(&opts, err, "-s", "listening") < 0);
	assert_non_null(strstr(err, "did you mean 'listen'?"));
	assert_true(parse(&opts, err, "--wacth", NULL) < 0);
	assert_non_null(strstr(err, "did you mean '--watch'?"));
	assert_true(parse(&opts, err, "--watch=x", NULL) < 0);
	assert_true(parse(&opts, err, "-o", "") < 0);
}

/* ---- the table ---- */

static struct event socket_event(void)
{
	struct event ev = events_accept();

	ev.kind = EVENT_CLOSE;
	ev.role = ROLE_UNKNOWN;
	ev.socket_state = "established";
	ev.has_bytes = true;
	ev.bytes_received = 3400;
	ev.duration_ns = UINT64_C(130000000000);
	return ev;
}

static const char *line(const struct list_table *table, const struct event *ev)
{
	static char text[4096];
	struct buf b = { .data = text, .size = sizeof(text) - 1 };

	list_text_line(&b, table, ev, NULL);
	text[b.len] = '\0';
	return text;
}

static void test_line(void **state)
{
	struct list_columns columns = {
		{ LIST_STATE, LIST_PROCESS, LIST_LOCAL, LIST_SERVICE, LIST_RECEIVED, LIST_SENT, LIST_AGE,
		  LIST_BACKLOG },
		8,
	};
	struct list_table table = { .columns = &columns };
	struct event ev = socket_event();

	(void)state;
	assert_string_equal(line(&table, NULL), "STATE       PROCESS         LOCAL                 SERVICE     "
						"RECEIVED SENT    AGE     BACKLOG");
	assert_string_equal(line(&table, &ev), "established nginx           10.0.0.5:443          https       "
					       "3.4k     0       2m10s   -");
}

static void test_who(void **state)
{
	static const struct owner owners[] = { { .pid = 977, .name = "nginx" }, { .pid = 978, .name = "ng\033nx" } };
	struct list_columns columns = { { LIST_PROCESS, LIST_OWNERS }, 2 };
	struct list_table table = { .columns = &columns };
	struct event ev = socket_event();

	(void)state;
	ev.owners = owners;
	ev.owner_count = 2;
	assert_string_equal(line(&table, &ev), "nginx+1         nginx:977,ng\\x1bnx:978");
	ev.owner_count = 0;
	ev.owner_exited = true;
	assert_string_equal(line(&table, &ev), "nginx (exited)  -");
}

static void test_cut(void **state)
{
	struct list_columns columns = { { LIST_PROCESS, LIST_PID }, 2 };
	struct list_table table = { .columns = &columns, .screen_columns = 5 };
	struct event ev = socket_event();

	(void)state;
	strcpy(ev.name, "\xc3\xa4\xc3\xb6\xc3\xbcxyz"); /* two bytes each: a character is not torn */
	assert_string_equal(line(&table, &ev), "\xc3\xa4\xc3\xb6\xc3\xbcxy");
	table.screen_columns = 18;
	assert_string_equal(line(&table, &ev), "\xc3\xa4\xc3\xb6\xc3\xbcxyz          97");
}

/* ---- sorting ---- */

static int compare(enum list_column column, const struct event *a, const struct event *b)
{
	struct list_key x, y;

	list_text_key(&x, column, a, NULL);
	list_text_key(&y, column, b, NULL);
	return x.number != y.number ? (x.number < y.number ? -1 : 1) : strcmp(x.text, y.text);
}

static void test_keys(void **state)
{
	struct event a = socket_event(), b = socket_event();

	(void)state;
	b.bytes_received = 0;
	assert_true(compare(LIST_RECEIVED, &b, &a) < 0);
	a.has_bytes = false; /* absent comes before 0 */
	assert_true(compare(LIST_RECEIVED, &a, &b) < 0);
	a.local = events_endpoint("9.0.0.1", 80);
	b.local = events_endpoint("10.0.0.1", 9);
	assert_true(compare(LIST_LOCAL, &a, &b) < 0);
	a.local = events_endpoint("10.0.0.1", 80);
	assert_true(compare(LIST_LOCAL, &b, &a) < 0);
	b.local = events_endpoint("::", 1);
	assert_true(compare(LIST_LOCAL, &a, &b) < 0);
	strcpy(a.name, "api");
	assert_true(compare(LIST_PROCESS, &a, &b) < 0);
}

/* ---- JSON ---- */

static const char *json(struct event *ev)
{
	return events_through(&sink_json, (struct sink_options){ 0 }, ev, 1);
}

static void test_json_connection(void **state)
{
	struct event ev = socket_event();
	const char *text;

	(void)state;
	ev.has_queue = true;
	text = json(&ev);
	assert_non_null(strstr(text, "\"kind\":\"state\""));
	assert_non_null(strstr(text, "\"type\":[\"connection\",\"info\"],\"action\":\"list\""));
	assert_non_null(strstr(text, "\"sequence\":1,\"duration\":130"));
	assert_null(strstr(text, "outcome"));
	assert_null(strstr(text, "backend"));
	assert_null(strstr(text, "direction")); /* not known who opened it: the source is this side */
	assert_non_null(strstr(text, "\"source\":{\"ip\":\"10.0.0.5\",\"port\":443,\"bytes\":0}"));
	assert_non_null(strstr(text, "\"destination\":{\"ip\":\"10.0.0.9\",\"port\":51514,\"bytes\":3400}"));
	assert_non_null(strstr(text, "\"queue\":0,\"state\":\"established\"}"));
	ev.role = ROLE_INGRESS;
	assert_non_null(strstr(json(&ev), "\"source\":{\"ip\":\"10.0.0.9\""));
}

static void test_json_time_wait(void **state)
{
	struct event ev = socket_event();

	(void)state;
	ev.socket_state = "time-wait";
	ev.has_expires = true;
	ev.expires_ms = 41000;
	ev.owner_exited = true;
	assert_non_null(strstr(json(&ev), "\"process\":{\"exited\":true}"));
	assert_non_null(strstr(json(&ev), "\"state\":\"time-wait\",\"expires_ms\":41000"));
}

/* More of them than an ordinary line has room for. */
static void test_json_many_owners(void **state)
{
	struct event ev = socket_event();
	struct owner owners[200];
	const char *text;

	(void)state;
	for (size_t i = 0; i < 200; i++) {
		owners[i] = (struct owner){ .pid = 4000000 + (uint32_t)i, .fd = 1000 };
		memset(owners[i].name, '\033', sizeof(owners[i].name) - 1);
	}
	ev.owners = owners;
	ev.owner_count = 200;
	text = json(&ev);
	assert_non_null(strstr(text, "\"processes\":[{\"pid\":4000000,"));
	assert_non_null(strstr(text, "{\"pid\":4000199,"));
	assert_int_equal(text[strlen(text) - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options),	      cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_line),	      cmocka_unit_test(test_who),
		cmocka_unit_test(test_cut),	      cmocka_unit_test(test_keys),
		cmocka_unit_test(test_json_connection), cmocka_unit_test(test_json_time_wait),
		cmocka_unit_test(test_json_many_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
