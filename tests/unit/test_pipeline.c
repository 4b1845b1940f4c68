// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The whole way from a raw record to a line, with records that hold anything. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pipeline.h"
#include "porttrace/raw_event.h"

static volatile sig_atomic_t seconds; /* alarms since the end of the run */

struct run {
	struct pipeline p;
	struct filter filter;
	int fd;
};

static void run_open(struct run *run, const struct sink_ops *sink)
{
	struct enrich_options opts = { .numeric = true, .proc_path = "/nonexistent" };
	struct sink_options out = { .hostname = "vm" };
	char path[] = "/tmp/test_pipeline.XXXXXX";

	memset(run, 0, sizeof(*run));
	filter_init(&run->filter);
	run->fd = out.fd = mkstemp(path);
	assert_true(run->fd >= 0);
	unlink(path);
	run->p = (struct pipeline){ .filter = &run->filter, .sink = sink,
				     .alarms = &seconds };
	assert_int_equal(sockets_new(1000, &run->p.sockets), 0);
	assert_int_equal(wall_new(64, &run->p.wall), 0);
	assert_int_equal(enrich_open(&opts, &run->p.enrich), 0);
	assert_int_equal(sink->open(&out, &run->p.sink_state), 0);
}

static void run_close(struct run *run)
{
	run->p.sink->close(run->p.sink_state);
	enrich_close(run->p.enrich);
	wall_free(run->p.wall);
	sockets_free(run->p.sockets);
	close(run->fd);
}

static void random_record(struct raw_event *raw)
{
	for (size_t i = 0; i < sizeof(*raw); i++)
		((uint8_t *)raw)[i] = (uint8_t)rand();
	raw->magic = RAW_EVENT_MAGIC;
	raw->version = RAW_EVENT_VERSION;
	raw->kind = (uint8_t)(RAW_BIND + rand() % (RAW_KIND_COUNT - 1));
	raw->how = (uint8_t)(rand() % RAW_HOW_COUNT);
	raw->closer = (uint8_t)(rand() % RAW_CLOSER_COUNT);
	raw->after = (uint8_t)(rand() % RAW_AFTER_COUNT);
	raw->family = rand() % 2 ? AF_INET : AF_INET6;
	raw->netns_cookie = 0;
	if (rand() % 4 == 0)
		raw->error = (uint32_t)rand() % 140;
}

/* No control characters but the line's end, no line over the limit, as many lines as events. */
static void check_lines(int fd, size_t want, size_t limit)
{
	FILE *f = fdopen(dup(fd), "r");
	size_t lines = 0, len = 0;
	int c;

	rewind(f);
	while ((c = getc(f)) != EOF) {
		len++;
		if (c != '\n') {
			assert_true(c >= ' ' && c != 0x7f);
			continue;
		}
		assert_true(len <= limit);
		len = 0;
		lines++;
	}
	fclose(f);
	assert_int_equal(lines, want);
}

static void pour(struct run *run, int count)
{
	struct raw_event raw;

	for (int i = 0; i < count; i++) {
		random_record(&raw);
		assert_int_equal(pipeline_record(&run->p, &raw, sizeof(raw)), 0);
	}
	assert_int_equal(run->p.sink->flush(run->p.sink_state), 0);
}

static void test_json_of_anything(void **state)
{
	struct run run;

	(void)state;
	srand(1);
	run_open(&run, &sink_json);
	pour(&run, 30000);
	assert_int_equal(run.p.shown, 30000);
	check_lines(run.fd, 30000, 4096);
	run_close(&run);
}

static void test_table_of_anything(void **state)
{
	struct run run;

	(void)state;
	srand(2);
	run_open(&run, &sink_table);
	pour(&run, 30000);
	check_lines(run.fd, 30000, 1024);
	run_close(&run);
}

/* Every record is shown, filtered or damaged: none is both, none is nothing. */
static void test_every_record_is_counted_once(void **state)
{
	struct raw_event raw;
	struct run run;

	(void)state;
	srand(3);
	run_open(&run, &sink_json);
	run.filter.kinds = 1u << EVENT_BIND;
	run.p.limit = 500;
	for (int i = 0; i < 10000; i++) {
		random_record(&raw);
		raw.magic ^= rand() % 10 == 0;
		assert_int_equal(pipeline_record(&run.p, &raw, sizeof(raw)), 0);
	}
	assert_int_equal(run.p.shown, 500);
	assert_true(run.p.damaged > 500 && run.p.damaged < 1500);
	assert_int_equal(run.p.shown + run.p.filtered + run.p.damaged, 10000);
	run_close(&run);
}

/* A connect of a pool of 40000 to 40099. */
static void connect_from(struct run *run, uint16_t port, uint32_t pid)
{
	struct raw_event raw = { .magic = RAW_EVENT_MAGIC, .version = RAW_EVENT_VERSION, .kind = RAW_CONNECT,
				 .how = RAW_HOW_CONNECT, .family = AF_INET, .protocol = IPPROTO_TCP };

	raw.flags = RAW_F_TRUTH | RAW_F_EGRESS | RAW_F_SEARCH;
	raw.pid = pid;
	raw.range_low = 40000;
	raw.range_high = 40099;
	raw.local_port = port;
	raw.remote_port = 8080;
	raw.search_ns = 4001;
	assert_int_equal(pipeline_record(&run->p, &raw, sizeof(raw)), 0);
}

static size_t occurrences(const char *text, const char *part)
{
	size_t n = 0;

	for (; (text = strstr(text, part)); text++)
		n++;
	return n;
}

/* What is not shown does not use up the announcement. */
static void test_wall_is_announced_to_who_sees_it(void **state)
{
	static char text[64 * 1024];
	struct run run;
	ssize_t n;

	(void)state;
	run_open(&run, &sink_json);
	run.filter.pids[run.filter.pid_count++] = 8;
	connect_from(&run, 40000, 8);
	connect_from(&run, 40001, 7);
	connect_from(&run, 40003, 8);
	connect_from(&run, 40005, 8);
	assert_int_equal(run.p.sink->flush(run.p.sink_state), 0);
	n = pread(run.fd, text, sizeof(text) - 1, 0);
	assert_true(n > 0);
	assert_int_equal(occurrences(text, "\n"), 3);
	assert_int_equal(occurrences(text, "\"reason\":\"wall: "), 1);
	assert_non_null(strstr(text, "{\"kind\":\"connect\",\"half\":\"first\",\"search_us\":5}"));
	assert_non_null(strstr(text, "{\"kind\":\"connect\",\"half\":\"second\",\"search_us\":5,\"wall\":true}"));
	assert_non_null(strstr(text, "{\"kind\":\"connect\",\"half\":\"second\",\"search_us\":5}"));
	run_close(&run);
}

static void test_full_disk_is_an_error(void **state)
{
	struct raw_event raw;
	struct run run;
	int full = open("/dev/full", O_WRONLY | O_CLOEXEC);

	(void)state;
	if (full < 0)
		skip();
	run_open(&run, &sink_json);
	dup2(full, run.fd);
	close(full);
	for (int i = 0; i < 1000; i++) {
		random_record(&raw);
		assert_int_equal(pipeline_record(&run.p, &raw, sizeof(raw)), 0);
	}
	pipeline_flush(&run.p);
	pipeline_settle(&run.p);
	assert_int_equal(run.p.output_error, -ENOSPC);
	assert_int_equal(run.p.shown, 0);
	assert_int_equal(run.p.unwritten, 1000);
	run_close(&run);
}

/* An output that is interrupted each second: it takes ten lines in each of `takes` seconds, then one in each. */
struct lazy {
	int takes;
	size_t pending;
};

static int lazy_flush(void *state)
{
	struct lazy *lazy = state;

	if (!lazy->pending)
		return 0;
	seconds++;
	lazy->pending -= lazy->takes-- > 0 ? 10 : 1;
	return -EINTR;
}

static int lazy_event(void *state, const struct event *ev)
{
	(void)ev;
	((struct lazy *)state)->pending++;
	return 0;
}

static size_t lazy_pending(const void *state)
{
	return ((const struct lazy *)state)->pending;
}

/* Seconds that the pipeline waits, after the end, for an output which takes `takes` times ten lines of 100. */
static int lazy_wait(int takes, uint64_t *ret_unwritten)
{
	static const struct sink_ops ops = {
		.name = "lazy", .event = lazy_event, .flush = lazy_flush, .pending = lazy_pending,
	};
	struct lazy lazy = { .takes = takes };
	struct raw_event raw;
	struct run run;

	run_open(&run, &sink_json);
	run.p.sink->close(run.p.sink_state);
	run.p.sink = &ops;
	run.p.sink_state = &lazy;
	seconds = 0;
	for (int i = 0; i < 100; i++) {
		random_record(&raw);
		pipeline_record(&run.p, &raw, sizeof(raw));
	}
	pipeline_flush(&run.p);
	pipeline_settle(&run.p);
	*ret_unwritten = run.p.unwritten;
	run.p.sink = &sink_json;
	run.p.sink_state = NULL;
	run_close(&run);
	return seconds;
}

static void test_slow_output_is_waited_for_but_not_for_ever(void **state)
{
	uint64_t unwritten;

	(void)state;
	assert_int_equal(lazy_wait(0, &unwritten), 1);
	assert_int_equal(unwritten, 99);
	assert_int_equal(lazy_wait(3, &unwritten), 4);
	assert_int_equal(unwritten, 69);
	assert_int_equal(lazy_wait(10, &unwritten), 5);
	assert_int_equal(unwritten, 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_of_anything),
		cmocka_unit_test(test_table_of_anything),
		cmocka_unit_test(test_every_record_is_counted_once),
		cmocka_unit_test(test_wall_is_announced_to_who_sees_it),
		cmocka_unit_test(test_full_disk_is_an_error),
		cmocka_unit_test(test_slow_output_is_waited_for_but_not_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
