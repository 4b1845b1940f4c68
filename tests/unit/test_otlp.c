// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Events as OTLP log records: valid whatever bytes a process has in its names; and what a receiver answers. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "events.h"
#include "feed.h"
#include "feed/otlp_answer.h"
#include "utf8.h"

/* ---- a strict reader ---- */

static const char *json_value(const char *s);

static const char *json_string(const char *s)
{
	if (*s++ != '"')
		return NULL;
	while (*s != '"') {
		uint32_t c;
		size_t n = utf8_decode((const unsigned char *)s, strlen(s) ? strlen(s) : 1, &c);

		if (!n || c < 32 || c == 127)
			return NULL;
		if (c != '\\') {
			s += n;
			continue;
		}
		if (s[1] == 'u' && isxdigit((unsigned char)s[2]) && isxdigit((unsigned char)s[3]) &&
		    isxdigit((unsigned char)s[4]) && isxdigit((unsigned char)s[5]))
			s += 6;
		else if (s[1] && strchr("\"\\/bfnrt", s[1]))
			s += 2;
		else
			return NULL;
	}
	return s + 1;
}

static const char *json_many(const char *s, char end, bool keys)
{
	if (*s == end)
		return s + 1;
	for (;; s++) {
		if (keys) {
			s = json_string(s);
			if (!s || *s++ != ':')
				return NULL;
		}
		s = json_value(s);
		if (!s || (*s != ',' && *s != end))
			return NULL;
		if (*s == end)
			return s + 1;
	}
}

/* Behind the value, or NULL. */
static const char *json_value(const char *s)
{
	size_t digits = strspn(s, "0123456789");

	if (*s == '"')
		return json_string(s);
	if (*s == '{' || *s == '[')
		return json_many(s + 1, *s == '{' ? '}' : ']', *s == '{');
	if (!strncmp(s, "true", 4))
		return s + 4;
	if (!strncmp(s, "false", 5))
		return s + 5;
	return digits ? s + digits : NULL;
}

/* ---- records ---- */

static char text[16384];

static const char *record_of(const struct event *ev)
{
	struct buf b = { .data = text, .size = feed_otlp_records.max };
	char state[1];
	const char *end;

	feed_otlp_records.init(state, &(struct feed_run){ "h", "r", "b" });
	assert_true(feed_otlp_records.event(state, ev, &b));
	text[b.len] = '\0';
	assert_int_equal(strlen(text), b.len);
	end = json_value(text);
	if (!end || *end)
		fail_msg("not JSON: %s", text);
	return text;
}

static bool has(const char *record, const char *key, const char *value)
{
	char want[512];

	snprintf(want, sizeof(want), "{\"key\":\"%s\",\"value\":{%s}}", key, value);
	return strstr(record, want);
}

static void test_success(void **state)
{
	struct event ev = events_connect();
	const char *r = record_of(&ev);

	(void)state;
	assert_non_null(strstr(r, "{\"timeUnixNano\":\"1795337153001000111\",\"observedTimeUnixNano\":\""));
	assert_non_null(strstr(r, "\"severityNumber\":9,\"severityText\":\"INFO\","
				  "\"eventName\":\"porttrace.socket.connect\""));
	assert_non_null(strstr(r, "\"body\":{\"stringValue\":\"connect tcp 10.0.0.5:40871 -> 10.0.3.9:5432 by "
				  "api[4312]: success\"}"));
	assert_true(has(r, "network.local.port", "\"intValue\":\"40871\""));
	assert_true(has(r, "network.peer.address", "\"stringValue\":\"10.0.3.9\""));
	assert_true(has(r, "user.id", "\"stringValue\":\"0\""));
	assert_true(has(r, "porttrace.sequence", "\"intValue\":\"1\""));
	assert_true(has(r, "porttrace.local.ephemeral", "\"boolValue\":true"));
	assert_null(strstr(r, "error.type"));
}

static void test_failure(void **state)
{
	struct event ev = events_connect_failed();
	const char *r = record_of(&ev);

	(void)state;
	assert_non_null(strstr(r, "\"severityNumber\":13,\"severityText\":\"WARN\""));
	assert_true(has(r, "error.type", "\"stringValue\":\"EADDRNOTAVAIL\""));
	assert_null(strstr(r, "network.local.port"));
}

/* Nothing known but that it happened: what is absent is not there. */
static void test_empty(void **state)
{
	struct event ev = { .sequence = 1, .time_ns = EVENTS_TIME_NS };
	const char *r = record_of(&ev);

	(void)state;
	assert_null(strstr(r, "process."));
	assert_null(strstr(r, "user."));
	assert_null(strstr(r, "\"\""));
}

static void hostile_text(char *to, size_t size)
{
	for (size_t i = 0; i + 1 < size; i++)
		to[i] = (char)(rand() % 3 ? rand() % 255 + 1 : "\"\\\n\x7f\xc2\xed\xf4"[rand() % 7]);
	to[size - 1] = '\0';
}

static void hostile(struct event *ev)
{
	static struct event_verdict verdict;
	static const char json[] = ",\"states\":{\"x\":1}";

	*ev = events_bind_in_use();
	hostile_text(ev->name, sizeof(ev->name));
	hostile_text(events_who(ev)->executable, sizeof(events_who(ev)->executable));
	hostile_text(events_who(ev)->command_line, sizeof(events_who(ev)->command_line));
	hostile_text(events_who(ev)->user, sizeof(events_who(ev)->user));
	hostile_text(events_who(ev)->container_id, sizeof(events_who(ev)->container_id));
	hostile_text(events_who(ev)->container_runtime, sizeof(events_who(ev)->container_runtime));
	hostile_text(events_who(ev)->pod_uid, sizeof(events_who(ev)->pod_uid));
	hostile_text(events_who(ev)->unit, sizeof(events_who(ev)->unit));
	hostile_text(ev->reason, sizeof(ev->reason));
	hostile_text(ev->creator_name, sizeof(ev->creator_name));
	hostile_text(ev->holder.name, sizeof(ev->holder.name));
	hostile_text(ev->holder.user, sizeof(ev->holder.user));
	hostile_text(ev->holder.container_id, sizeof(ev->holder.container_id));
	ev->creator_pid = 1;
	ev->cookie = UINT64_MAX; /* more than an int64 */
	ev->kind = (enum event_kind)(rand() % EVENT_KIND_COUNT);
	verdict = (struct event_verdict){ .json = json, .json_len = sizeof(json) - 1, .rule = "P01" };
	ev->verdict = &verdict;
}

static void test_hostile_bytes(void **state)
{
	struct event ev;

	(void)state;
	srand(1);
	for (int i = 0; i < 2000; i++) {
		hostile(&ev);
		assert_null(strstr(record_of(&ev), "cookie"));
	}
}

/* The longest that escapes can make it: details go, what identifies it stays. */
static void test_too_long(void **state)
{
	struct event ev;
	const char *r;

	(void)state;
	hostile(&ev);
	memset(events_who(&ev)->executable, 1, sizeof(events_who(&ev)->executable) - 1);
	memset(events_who(&ev)->command_line, 1, sizeof(events_who(&ev)->command_line) - 1);
	memset(ev.reason, 1, sizeof(ev.reason) - 1);
	memset(events_who(&ev)->container_id, 1, sizeof(events_who(&ev)->container_id) - 1);
	memset(events_who(&ev)->pod_uid, 1, sizeof(events_who(&ev)->pod_uid) - 1);
	memset(events_who(&ev)->unit, 1, sizeof(events_who(&ev)->unit) - 1);
	r = record_of(&ev);
	assert_null(strstr(r, "process.command_line"));
	assert_true(has(r, "process.pid", "\"intValue\":\"977\""));
	assert_true(has(r, "porttrace.sequence", "\"intValue\":\"1\""));
}

/* As many sinks as there can be, with long names: too much for a record, so without them. */
static void test_stats(void **state)
{
	static struct stats_sink sinks[16];
	struct stats st = { .time_ns = EVENTS_TIME_NS, .since_ns = EVENTS_TIME_NS, .sequence = 9, .sinks = sinks };
	char room[1];

	(void)state;
	for (size_t i = 0; i < 16; i++)
		memset(sinks[i].name, 1, sizeof(sinks[i].name) - 1);
	for (st.sink_count = 0; st.sink_count <= 16; st.sink_count++) {
		struct buf b = { .data = text, .size = feed_otlp_records.max };
		const char *end;

		assert_true(feed_otlp_records.stats(room, &st, &b));
		text[b.len] = '\0';
		end = json_value(text);
		assert_true(end && !*end);
		if (st.sink_count < 5 || st.sink_count > 12)
			assert_int_equal(strstr(text, "arrayValue") != NULL, st.sink_count > 0 && st.sink_count < 5);
	}
}

/* ---- answers ---- */

static void test_rejected(void **state)
{
	static const struct {
		const char *body;
		uint64_t rejected;
	} rows[] = {
		{ "", 0 },
		{ "{}", 0 },
		{ "{\"partialSuccess\":{}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":\"3\"}}", 3 },
		{ "{ \"partialSuccess\" : { \"rejectedLogRecords\" : 12 , \"errorMessage\" : \"x\" } }", 12 },
		{ "{\"partial_success\":{\"rejected_log_records\":\"7\"}}", 7 },
		{ "{\"partialSuccess\":{\"errorMessage\":\"a \\\"rejectedLogRecords\\\":9 b\"}}", 0 },
		{ "{\"errorMessage\":\"rejectedLogRecords\",\"x\":1}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":\"99999999999999999999\"}}", UINT64_MAX },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\":-1}}", 0 },
		{ "{\"partialSuccess\":{\"rejectedLogRecords\"", 0 },
		{ "\"rejectedLogRecords", 0 },
		{ "\"\\", 0 },
		{ "\x0a\x02\x08\x03", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (otlp_answer_rejected(rows[i].body) != rows[i].rejected)
			fail_msg("%s", rows[i].body);
}

static void test_trouble(void **state)
{
	char why[FEED_TROUBLE_SIZE], body[4096];

	(void)state;
	otlp_answer_trouble(503, "", why);
	assert_string_equal(why, "answered HTTP 503");
	otlp_answer_trouble(400, "{\"code\":3,\"message\":\"bad wire type\"}", why);
	assert_string_equal(why, "answered HTTP 400: bad wire type");
	otlp_answer_trouble(500, "a\x1b[0m\nb\xff", why);
	assert_string_equal(why, "answered HTTP 500: a [0m b ");
	otlp_answer_trouble(400, "{\"message\":\"", why);
	assert_string_equal(why, "answered HTTP 400");
	memset(body, 'x', sizeof(body));
	body[sizeof(body) - 1] = '\0';
	otlp_answer_trouble(400, body, why);
	assert_int_equal(strlen(why), FEED_TROUBLE_SIZE - 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),	      cmocka_unit_test(test_failure),  cmocka_unit_test(test_empty),
		cmocka_unit_test(test_hostile_bytes), cmocka_unit_test(test_too_long), cmocka_unit_test(test_stats),
		cmocka_unit_test(test_rejected),      cmocka_unit_test(test_trouble),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
