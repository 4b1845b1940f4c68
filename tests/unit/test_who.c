// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Times as people write them; the command lines of who and history; what is shown of a life. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "cmd/history_options.h"
#include "cmd/history_report.h"
#include "cmd/who_options.h"
#include "events.h"
#include "when.h"

#define SECOND UINT64_C(1000000000)
/* 2026-11-25 12:30:00 UTC */
#define NOW_S UINT64_C(1795609800)
#define NOW_NS (NOW_S * SECOND)

static struct service_table *names;
static char err[CLI_ERR_SIZE];

static void zone(const char *tz)
{
	setenv("TZ", tz, 1);
	tzset();
}

static void times_are_read(void **state)
{
	static const struct {
		const char *text;
		uint64_t from_ns, length_ns;
	} rows[] = {
		{ "now", NOW_NS, 1 },
		{ "12:03", (NOW_S - 27 * 60) * SECOND, 60 * SECOND },
		{ "12:03:41", (NOW_S - 27 * 60 + 41) * SECOND, SECOND },
		{ "12:03:41.250", (NOW_S - 27 * 60 + 41) * SECOND + 250000000, 1000000 },
		{ "12:03:41.000000001", (NOW_S - 27 * 60 + 41) * SECOND + 1, 1 },
		{ "12:31", (NOW_S + 60 - 86400) * SECOND, 60 * SECOND },
		{ "00:00:00", (NOW_S - 45000) * SECOND, SECOND },
		{ "13:03:41+01:00", (NOW_S - 27 * 60 + 41) * SECOND, SECOND },
		{ "2026-11-25", (NOW_S - 45000) * SECOND, 86400 * SECOND },
		{ "2026-11-25 12:03:41", (NOW_S - 27 * 60 + 41) * SECOND, SECOND },
		{ "2026-11-25T12:03:41Z", (NOW_S - 27 * 60 + 41) * SECOND, SECOND },
		{ "2026-11-25T13:03:41.5+01:00", (NOW_S - 27 * 60 + 41) * SECOND + 500000000, 100000000 },
		{ "2026-11-25 06:33:41-0530", (NOW_S - 27 * 60 + 41) * SECOND, SECOND },
		{ "2024-02-29 00:00", UINT64_C(1709164800) * SECOND, 60 * SECOND },
		{ "@1795608221", UINT64_C(1795608221) * SECOND, SECOND },
		{ "@1795608221.25", UINT64_C(1795608221) * SECOND + 250000000, 10000000 },
		{ "@0", 0, SECOND },
		{ "-5m", NOW_NS - 300 * SECOND, 1 },
		{ "5m ago", NOW_NS - 300 * SECOND, 1 },
		{ "1.5s ago", NOW_NS - 1500000000, 1 },
		{ "2d ago", NOW_NS - 172800 * SECOND, 1 },
	};

	(void)state;
	zone("UTC");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct when when = { 0 };

		if (when_parse(rows[i].text, NOW_NS, i % 2, &when) < 0)
			fail_msg("'%s' is not read", rows[i].text);
		if (when.from_ns != rows[i].from_ns || when.to_ns - when.from_ns + 1 != rows[i].length_ns)
			fail_msg("'%s' is %llu + %llu", rows[i].text, (unsigned long long)when.from_ns,
				 (unsigned long long)(when.to_ns - when.from_ns + 1));
	}
}

static void local_time_has_a_zone(void **state)
{
	struct when when;

	(void)state;
	zone("CET-1CEST,M3.5.0,M10.5.0/3");
	assert_int_equal(when_parse("13:03:41", NOW_NS, false, &when), 0);
	assert_int_equal(when.from_ns, (NOW_S - 27 * 60 + 41) * SECOND);
	assert_int_equal(when_parse("12:03:41", NOW_NS, true, &when), 0);
	assert_int_equal(when.from_ns, (NOW_S - 27 * 60 + 41) * SECOND);
	/* half an hour after the clocks went forward, "23:50" was yesterday's all the same */
	assert_int_equal(when_parse("23:50", UINT64_C(1774747800) * SECOND, false, &when), 0);
	assert_int_equal(when.from_ns, UINT64_C(1774738200) * SECOND);
	zone("UTC");
}

static void nonsense_is_no_time(void **state)
{
	static const char *const texts[] = {
		"", " ", "12", "12:", "12:3", "24:00", "12:60", "12:03:60", "12:03:41.", "12:03:41.1234567890",
		"12:03x",
		"12:03:41 ", "2026",
		"2026-13-01", "2026-02-30", "2026-11-25 ", "2026-11-25x12:03", "2026-11-25T",
		"1969-12-31", "9999-01-01", "2026-11-25T12:03:41+1", "2026-11-25T12:03:41+15:00",
		"2026-11-25T12:03:41ZZ",
		"@", "@x", "@1.", "@1.x", "@99999999999999999999", "@-1", "-", "-x", " ago", "ago", "5m  ago",
		"-99999d", "yesterday", "\033[2J",
		"12:03:4112:03:4112:03:4112:03:4112:03:4112:03:4112:03:4112:03:41",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct when when = { 7, 8 };

		if (when_parse(texts[i], NOW_NS, true, &when) != -EINVAL)
			fail_msg("'%s' is read", texts[i]);
		assert_true(when.from_ns == 7 && when.to_ns == 8);
	}
}

/* Pieces put together at random: no text may do harm, and what is read is in order. */
static void random_texts_do_no_harm(void **state)
{
	static const char *const pieces[] = { "1", "12", ":", "-", "03", ".", "Z", "+", "T", " ", "2026", "@", "m",
					      " ago", "99", "0", "9999", "-11-25", ":41" };

	(void)state;
	srand(7);
	for (int i = 0; i < 50000; i++) {
		char text[128] = "";
		struct when when;

		for (int n = rand() % 10; n > 0; n--)
			strcat(text, pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))]);
		if (!when_parse(text, NOW_NS, rand() % 2, &when))
			assert_true(when.from_ns <= when.to_ns);
	}
}

static void times_are_written(void **state)
{
	char text[128];
	struct buf b = { .data = text, .size = sizeof(text) };

	(void)state;
	zone("CET-1");
	when_text(&b, NOW_NS + 1234567, 0, true);
	buf_char(&b, '|');
	when_text(&b, NOW_NS, NOW_NS - 43200 * SECOND, true);
	buf_char(&b, '|');
	when_text(&b, NOW_NS, NOW_NS - 86400 * SECOND, false);
	buf_char(&b, '|');
	when_iso(&b, NOW_NS + 1);
	buf_char(&b, '\0');
	assert_string_equal(text, "2026-11-25 12:30:00.001|12:30:00.000|2026-11-25 13:30:00.000|"
				  "2026-11-25T12:30:00.000000001Z");
	zone("UTC");
}

static int who(struct who_options *opts, const char *a, const char *b, const char *c)
{
	char words[4][64];
	char *argv[5] = { words[0], words[1], words[2], words[3], NULL };
	const char *given[] = { "who", a, b, c };
	int argc = 0;

	for (; argc < 4 && given[argc]; argc++)
		snprintf(words[argc], sizeof(words[0]), "%s", given[argc]);
	argv[argc] = NULL;
	err[0] = '\0';
	return who_options_parse(opts, argc, argv, names, NOW_NS, err);
}

static void who_is_understood(void **state)
{
	static struct who_options opts;
	struct stat st;

	(void)state;
	assert_int_equal(who(&opts, "443/tcp", NULL, NULL), 0);
	assert_int_equal(opts.query.ports[0], 443);
	assert_int_equal(opts.query.protos, 1u << PROTO_TCP);
	assert_int_equal(opts.at.from_ns, 0);
	assert_int_equal(who(&opts, "https", "--at", "@1795608221"), 0);
	assert_int_equal(opts.query.ports[0], 443);
	assert_int_equal(opts.at.from_ns, UINT64_C(1795608221) * SECOND);
	assert_int_equal(who(&opts, "1", "--netns", "4026531840"), 0);
	assert_int_equal(opts.netns_inum, 4026531840u);
	assert_int_equal(who(&opts, "1", "--netns", "all"), 0);
	assert_int_equal(opts.netns_inum, 0);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_int_equal(who(&opts, "1", "--netns", "/proc/self/ns/net"), 0);
	assert_int_equal(opts.netns_inum, st.st_ino);
}

static void who_refuses(void **state)
{
	static const char *const rows[][3] = {
		{ NULL }, { "0" }, { "65536" }, { "443/sctp" }, { "no-such-service" }, { "1", "2" },
		{ "1", "--at", "25:00" }, { "1", "--at", "2027-01-01" }, { "1", "--netns", "/nonexistent" },
		{ "1", "--netns", "4194304" }, { "1", "--at", "\033[2J" }, { "\033[2J" },
	};
	static struct who_options opts;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(who(&opts, rows[i][0], rows[i][1], rows[i][2]), -EINVAL);
		assert_true(err[0] && !strchr(err, '\033'));
	}
}

static void history_is_understood(void **state)
{
	struct history_command_options opts;
	char *argv[] = { "history", "--since", "5m ago", "-P", "https/udp", "-p", "7", "-a", "::1", "-c", "x", NULL };
	char *wrong[] = { "history", "--since", "12:20", "--until", "12:10", NULL };

	(void)state;
	assert_int_equal(history_options_parse(&opts, 11, argv, names, NOW_NS, err), 0);
	assert_int_equal(opts.query.from_ns, NOW_NS - 300 * SECOND);
	assert_int_equal(opts.query.to_ns, 0);
	assert_int_equal(opts.either_port, 443);
	assert_int_equal(opts.query.proto, PROTO_UDP);
	assert_int_equal(opts.query.pid, 7);
	assert_int_equal(opts.query.address.ip_version, 6);
	assert_string_equal(opts.query.name, "x");
	assert_int_equal(opts.query.limit, 1000);
	assert_int_equal(history_options_parse(&opts, 5, wrong, names, NOW_NS, err), -EINVAL);
}

static struct history_life example(void)
{
	return (struct history_life){
		.begin_ns = NOW_NS - 100 * SECOND, .since_ns = NOW_NS - 100 * SECOND, .seen_ns = NOW_NS,
		.state = LIFE_CONNECTED, .held = LIFE_CONNECTED, .held_since_ns = NOW_NS - 100 * SECOND,
		.how = HOW_CONNECT, .role = ROLE_EGRESS, .local = events_endpoint("10.0.0.5", 6379),
		.remote = events_endpoint("2001:db8::9", 443), .pid = 77, .name = "evil\033[2J", .executable = "/x",
		.command_line = "", .user = "", .container_id = "", .unit = "a.service", .boot_id = "b",
		.cookie = 4097, .netns_inum = 5,
	};
}

static const char *shown(const struct history_life *life, struct history_view view)
{
	static char text[4096];
	static struct report out;
	struct history_row row = { .life = life };

	report_init(&out, -1);
	view.names = names;
	view.utc = true;
	view.now_ns = NOW_NS;
	history_report_row(&out, &row, &view);
	snprintf(text, sizeof(text), "%.*s", (int)out.b.len, out.b.data);
	assert_null(strchr(text, '\033'));
	return text;
}

static void a_line_is_safe_and_says_squatter(void **state)
{
	struct history_life life = example();
	const char *text = shown(&life, (struct history_view){ 0 });

	(void)state;
	assert_non_null(strstr(text, "evil\\x1b[2J"));
	assert_non_null(strstr(text, "squatter: the kernel chose it, yet it is the port of redis"));
	assert_non_null(strstr(text, "2026-11-25 12:28:20.000 now "));
	assert_non_null(strstr(text, "[2001:db8::9]:443"));
	life.how = HOW_EXPLICIT;
	life.seen_ns = NOW_NS - 50 * SECOND;
	text = shown(&life, (struct history_view){ 0 });
	assert_null(strstr(text, "squatter"));
	assert_non_null(strstr(text, " >12:29:10.000"));
	text = shown(&life, (struct history_view){ .json = true });
	assert_non_null(strstr(text, "\"source\":{\"ip\":\"10.0.0.5\",\"port\":6379}"));
	assert_non_null(strstr(text, "\"direction\":\"egress\""));
	assert_non_null(strstr(text, "\"name\":\"evil\\u001b[2J\""));
	assert_non_null(strstr(text, "\"socket\":{\"cookie\":4097,\"netns\":5}"));
}

static void a_state_is_of_its_moment(void **state)
{
	struct history_life life = example();
	struct history_view view = { .at_ns = NOW_NS - 90 * SECOND };

	(void)state;
	life.held = life.state = LIFE_LISTENING;
	life.held_since_ns = NOW_NS - 80 * SECOND;
	assert_int_equal(history_state_at(&life, &view), LIFE_BOUND);
	view.at_ns = NOW_NS - 70 * SECOND;
	assert_int_equal(history_state_at(&life, &view), LIFE_LISTENING);
	life.state = LIFE_TIME_WAIT;
	life.end_ns = NOW_NS - 75 * SECOND;
	assert_int_equal(history_state_at(&life, &view), LIFE_TIME_WAIT);
	/* it was in TIME_WAIT when it was first seen */
	life.since_ns = life.held_since_ns = life.end_ns;
	assert_int_equal(history_state_at(&life, &view), LIFE_TIME_WAIT);
	view.at_ns = 0;
	life.state = LIFE_OVER;
	assert_int_equal(history_state_at(&life, &view), LIFE_OVER);
}

static int begin(void **state)
{
	(void)state;
	return service_table_new("/nonexistent", &names);
}

static int end(void **state)
{
	(void)state;
	service_table_free(names);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(times_are_read),
		cmocka_unit_test(local_time_has_a_zone),
		cmocka_unit_test(nonsense_is_no_time),
		cmocka_unit_test(random_texts_do_no_harm),
		cmocka_unit_test(times_are_written),
		cmocka_unit_test(who_is_understood),
		cmocka_unit_test(who_refuses),
		cmocka_unit_test(history_is_understood),
		cmocka_unit_test(a_line_is_safe_and_says_squatter),
		cmocka_unit_test(a_state_is_of_its_moment),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
