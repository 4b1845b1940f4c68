// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What comes out of the queue of the sinks is what was put in, in every format. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdlib.h>

#include "event_pack.h"
#include "events.h"
#include "feed.h"
#include "feeds.h"
#include "feed/journal_fields.h"
#include "json_lines.h"

static char bytes[EVENT_PACK_MAX];
static struct event_unpacked out;

/* Packs, forgets all that the event points to, and unpacks: number of bytes. */
static size_t through(const struct event *ev)
{
	struct buf b = { .data = bytes, .size = sizeof(bytes) };

	memset(&out, 0xA5, sizeof(out));
	assert_true(event_pack(ev, ev->observed_ns, &b));
	event_unpack(bytes, &out);
	return b.len;
}

static void expect_same(const struct feed_format *format, const struct event *ev)
{
	struct feed_record want = feeds_record(format, ev), got = feeds_record(format, &out.event);

	assert_int_equal(got.size, want.size);
	assert_memory_equal(got.data, want.data, want.size);
	free((char *)want.data);
	free((char *)got.data);
}

static void expect_same_lines(const struct event *event)
{
	struct event ev = *event;

	ev.observed_ns = EVENTS_TIME_NS + 12345;
	through(&ev);
	expect_same(&feed_json, &ev);
	expect_same(&journal_fields, &ev);
	expect_same(&feed_otlp_records, &ev);
}

static struct event in_a_pod(void)
{
	struct event ev = events_connect();

	memset(events_who(&ev)->container_id, 'c', 64);
	memset(events_who(&ev)->pod_uid, 'b', 36);
	memset(events_who(&ev)->unit, 'u', sizeof(events_who(&ev)->unit) - 1);
	strcpy(events_who(&ev)->container_runtime, "containerd");
	memset(events_who(&ev)->command_line, 'x', 100);
	return ev;
}

static void test_same_lines(void **state)
{
	const struct event events[] = {
		events_bind(),	 events_listen(), events_connect(),	events_connect_failed(),
		events_accept(), events_close(),  events_bind_in_use(), events_bind_time_wait(),
		in_a_pod(),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		expect_same_lines(&events[i]);
}

static void test_verdict(void **state)
{
	char json[] = ",\"state\":{\"time_wait\":3},\"remedy\":\"more addresses\"", rule[] = "P01", also[] = "P17";
	char cause[] = "one destination, \"many\" connections", text[] = "for people\n";
	struct event_verdict v = {
		.has_pool = true,
		.used = 100,
		.capacity = 200,
		.next_ms = 17,
		.rule = rule,
		.cause = cause,
		.also = also,
		.more = 2,
		.text = text,
		.text_len = strlen(text),
		.json = json,
		.json_len = strlen(json),
	};
	struct event ev = events_connect_failed();

	(void)state;
	ev.verdict = &v;
	expect_same_lines(&ev);
	v.also = NULL;
	v.json_len = 0;
	expect_same_lines(&ev);
	v.cause = NULL;
	expect_same_lines(&ev);
	/* nothing of it is pointed to any more */
	v.rule = rule;
	v.cause = cause;
	v.also = also;
	v.json_len = strlen(json);
	through(&ev);
	memset(json, '#', sizeof(json));
	memset(rule, '#', sizeof(rule));
	memset(cause, '#', sizeof(cause));
	memset(also, '#', sizeof(also));
	memset(&v, 0, sizeof(v));
	assert_string_equal(out.event.verdict->rule, "P01");
	assert_string_equal(out.event.verdict->also, "P17");
	assert_int_equal(out.event.verdict->json_len, sizeof(json) - 1);
	assert_memory_equal(out.event.verdict->json, ",\"state\"", 8);
	assert_null(out.event.verdict->text);
}

/* Writers know a service by the address of its name: two events from one place of the queue have two names. */
static void test_services_keep_their_address(void **state)
{
	static const char *const names[] = { "https", "ipp", NULL, "smtp" };
	struct json_lines *js = calloc(1, sizeof(*js));
	struct event ev = events_connect();

	(void)state;
	json_lines_init(js, &(struct json_lines_options){ 0 });
	for (int i = 0; i < 40; i++) {
		char line[JSON_LINES_MAX + 1];
		struct buf b = { .data = line, .size = JSON_LINES_MAX };
		const char *name = names[i % 4];

		ev.remote_facts.service = name;
		through(&ev);
		assert_ptr_equal(out.event.remote_facts.service, name);
		assert_true(json_lines_event(js, &out.event, &b));
		line[b.len] = '\0';
		for (int k = 0; k < 4; k++)
			assert_true(!names[k] || (strstr(line, names[k]) != NULL) == (names[k] == name));
	}
	free(js);
}

/* Every byte of an event comes through, whatever it is; its pointers apart. */
static void expect_same_event(const struct event *ev)
{
	const struct event_who *who = out.event.who;

	if (ev->who)
		assert_memory_equal(who, ev->who, sizeof(*who));
	out.event.who = ev->who;
	assert_memory_equal(&out.event, ev, EVENT_FIRST_SIZE);
	if (ev->has_holder)
		assert_memory_equal(&out.event.holder, &ev->holder, sizeof(ev->holder));
	assert_string_equal(out.event.reason, ev->reason);
}

static void test_any(void **state)
{
	struct event_who who = { 0 };
	unsigned int seed = 1;

	(void)state;
	memset(&who, 'w', sizeof(who) / 2);
	for (int round = 0; round < 2000; round++) {
		struct event ev;

		memset(&ev, 0, sizeof(ev));
		for (size_t i = 0; i < sizeof(ev); i++)
			if (rand_r(&seed) % 100 < round % 101)
				((unsigned char *)&ev)[i] = (unsigned char)rand_r(&seed);
		ev.local_facts.service = ev.remote_facts.service = ev.socket_state = NULL;
		ev.verdict = NULL;
		ev.owners = NULL;
		ev.owner_count = 0;
		ev.has_holder = round % 2;
		ev.reason[sizeof(ev.reason) - 1] = '\0';
		ev.who = round % 3 ? &who : NULL;
		through(&ev);
		expect_same_event(&ev);
	}
}

static void test_owners_are_left_out(void **state)
{
	struct event ev = events_listen();

	(void)state;
	ev.owners = (const void *)&ev;
	ev.owner_count = 3;
	ev.socket_state = "listen";
	through(&ev);
	assert_null(out.event.owners);
	assert_int_equal(out.event.owner_count, 0);
	assert_string_equal(out.event.socket_state, "listen");
}

/* What EVENT_PACK_USUAL says holds: the records that --queue promises are of that size. */
static void test_usual_size(void **state)
{
	struct event ev = in_a_pod();

	(void)state;
	assert_in_range(through(&ev), 1, EVENT_PACK_USUAL);
}

static void test_too_long(void **state)
{
	struct event_verdict v = { .rule = "P01", .json = bytes, .json_len = sizeof(bytes) };
	struct event ev = events_connect_failed();
	char small[64];
	struct buf b = { .data = small, .size = sizeof(small) };
	struct buf large = { .data = malloc(sizeof(bytes)), .size = sizeof(bytes) };

	(void)state;
	assert_false(event_pack(&ev, 0, &b));
	ev.verdict = &v;
	assert_false(event_pack(&ev, 0, &large));
	free(large.data);
}

static void test_statistics(void **state)
{
	struct stats_sink sinks[16] = { { .name = "file:/a", .delivered = 1 }, { .name = "kafka:b", .waiting = 7 } };
	struct stats st = { .time_ns = 5, .seen = 9, .lost_sink = 3, .sinks = sinks, .sink_count = 16 };
	struct buf b = { .data = bytes, .size = sizeof(bytes) };

	(void)state;
	assert_true(event_pack_stats(&st, &b));
	event_unpack_stats(bytes, &out);
	assert_int_equal(out.stats.lost_sink, 3);
	assert_ptr_equal(out.stats.sinks, out.sinks);
	assert_memory_equal(out.sinks, sinks, sizeof(sinks));
	st.sink_count = 17;
	assert_false(event_pack_stats(&st, &b));
	st.sinks = NULL;
	st.sink_count = 0;
	b.len = 0;
	assert_true(event_pack_stats(&st, &b));
	event_unpack_stats(bytes, &out);
	assert_int_equal(out.stats.sink_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_lines), cmocka_unit_test(test_verdict),
		cmocka_unit_test(test_services_keep_their_address), cmocka_unit_test(test_any),
		cmocka_unit_test(test_owners_are_left_out), cmocka_unit_test(test_usual_size),
		cmocka_unit_test(test_too_long), cmocka_unit_test(test_statistics),
	};

	return cmocka_run_group_tests_name("event_pack", tests, NULL, NULL);
}
