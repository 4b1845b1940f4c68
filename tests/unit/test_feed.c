// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The queue of the sinks, and the URIs that name them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "feed.h"

#define RECORD_BYTES 1024

static bool append(struct feed_log *log, uint64_t sequence, uint32_t size, unsigned int came_ms)
{
	static char data[2 * RECORD_BYTES];
	struct feed_record rec = { .sequence = sequence, .size = size, .data = data };

	memset(data, (int)('a' + sequence % 26), size);
	return feed_log_append(log, &rec, came_ms);
}

/* Takes records, and checks that each holds what was appended under its number. The first's number, 0 = none. */
static uint64_t take(struct feed_log *log, int reader, size_t want)
{
	static char room[64 * RECORD_BYTES];
	struct feed_record recs[64];
	int n = feed_log_take(log, reader, room, sizeof(room), recs, want, 0);

	assert_int_equal(n, want);
	for (int i = 0; i < n; i++) {
		assert_int_equal(recs[i].sequence, recs[0].sequence + (uint64_t)i);
		for (uint32_t k = 0; k < recs[i].size; k++)
			assert_int_equal(recs[i].data[k], 'a' + recs[i].sequence % 26);
	}
	return n ? recs[0].sequence : 0;
}

static void check(struct feed_log *log, int reader, uint64_t want_waiting, uint64_t want_taken, uint64_t want_lost)
{
	uint64_t waiting, taken, lost;

	feed_log_count(log, reader, &waiting, &taken, &lost);
	assert_int_equal(waiting, want_waiting);
	assert_int_equal(taken, want_taken);
	assert_int_equal(lost, want_lost);
}

/* Who is too slow loses the oldest; the other loses nothing. */
static void test_slow_reader_loses_the_oldest(void **state)
{
	struct feed_log *log;
	int fast, slow;

	(void)state;
	assert_int_equal(feed_log_new(10, RECORD_BYTES, &log), 0);
	fast = feed_log_join(log);
	slow = feed_log_join(log);
	for (uint64_t i = 1; i <= 100; i++) {
		assert_true(append(log, i, (uint32_t)(i * 37 % RECORD_BYTES), 0));
		assert_int_equal(take(log, fast, 1), i);
	}
	check(log, fast, 0, 100, 0);
	check(log, slow, 10, 0, 90);
	assert_int_equal(take(log, slow, 10), 91);
	check(log, slow, 0, 10, 90);
	feed_log_end(log);
	assert_int_equal(feed_log_take(log, slow, NULL, 0, NULL, 1, 0), -ENODATA);
	feed_log_free(log);
}

/* Long records fill the room before their number does; one that is longer than all of it is lost by everybody. */
static void test_long_records(void **state)
{
	struct feed_record giant = { .size = 1 << 20 };
	struct feed_log *log;
	int reader;

	(void)state;
	assert_int_equal(feed_log_new(4, RECORD_BYTES, &log), 0);
	reader = feed_log_join(log);
	for (uint64_t i = 1; i <= 4; i++)
		append(log, i, 2 * RECORD_BYTES, 0);
	check(log, reader, 2, 0, 2);
	assert_int_equal(take(log, reader, 2), 3);
	assert_true(feed_log_append(log, &giant, UINT_MAX));
	check(log, reader, 0, 2, 3);
	append(log, 6, 100, 0);
	assert_int_equal(take(log, reader, 1), 6);
	feed_log_free(log);
}

/* Nothing is done that hurts a reader who has come lately. */
static void test_a_reader_that_keeps_coming_is_not_hurt(void **state)
{
	struct feed_log *log;
	int reader;

	(void)state;
	assert_int_equal(feed_log_new(2, RECORD_BYTES, &log), 0);
	reader = feed_log_join(log);
	assert_true(append(log, 1, 10, 60000));
	assert_true(append(log, 2, 10, 60000));
	assert_true(append(log, 3, 10, 1)); /* it has never come */
	check(log, reader, 2, 0, 1);
	assert_false(append(log, 4, 10, UINT_MAX));
	assert_int_equal(take(log, reader, 1), 2);
	assert_true(append(log, 4, 10, 60000));
	assert_false(append(log, 5, 10, 60000));
	feed_log_wait(log, 0);
	check(log, reader, 2, 1, 1);
	feed_log_free(log);
}

/* ---- threads ---- */

#define MANY 200000

static void *reading(void *arg)
{
	static __thread char room[64 * 1024];
	struct feed_log *log = arg;
	struct feed_record recs[64];
	uint64_t *seen = calloc(1, sizeof(*seen)), last = 0;
	int n;

	while ((n = feed_log_take(log, 0, room, sizeof(room), recs, 64, 100)) >= 0)
		for (int i = 0; i < n; i++) {
			char want = (char)('a' + recs[i].sequence % 26);

			if (recs[i].sequence <= last || (recs[i].size && recs[i].data[0] != want))
				abort();
			last = recs[i].sequence;
			++*seen;
		}
	return seen;
}

static void test_threads(void **state)
{
	struct feed_log *log;
	uint64_t waiting, taken, lost, *seen;
	pthread_t thread;
	void *ret;

	(void)state;
	assert_int_equal(feed_log_new(1000, RECORD_BYTES, &log), 0);
	assert_int_equal(feed_log_join(log), 0);
	assert_int_equal(pthread_create(&thread, NULL, reading, log), 0);
	for (uint64_t i = 1; i <= MANY; i++) {
		append(log, i, (uint32_t)(i * 7919 % 1500), 0);
		if (i % 100 == 0)
			feed_log_wake(log);
	}
	feed_log_end(log);
	pthread_join(thread, &ret);
	seen = ret;
	feed_log_count(log, 0, &waiting, &taken, &lost);
	assert_int_equal(waiting, 0);
	assert_int_equal(*seen, taken);
	assert_int_equal(taken + lost, MANY);
	free(seen);
	feed_log_free(log);
}

/* ---- URIs ---- */

static void test_uri(void **state)
{
	char err[FEED_ERR_SIZE], host[64], port[6], longest[4096];
	struct feed_uri uri;

	(void)state;
	assert_int_equal(feed_uri_parse(&uri, "file:/a:b?rotate=1M&&keep=&x", err), 0);
	assert_string_equal(uri.scheme, "file");
	assert_string_equal(uri.target, "/a:b");
	assert_string_equal(feed_uri_param(&uri, "rotate"), "1M");
	assert_string_equal(feed_uri_param(&uri, "keep"), "");
	assert_null(feed_uri_param(&uri, "other"));
	assert_int_equal(uri.param_count, 3);
	assert_false(uri.params[2].used);
	assert_int_equal(feed_uri_parse(&uri, "/path", err), -EINVAL);
	assert_int_equal(feed_uri_parse(&uri, "f:?a&a&a&a&a&a&a&a&a", err), -EINVAL);
	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(feed_uri_parse(&uri, longest, err), -EINVAL);
	assert_int_equal(feed_uri_host("[::1]:514", "1", host, sizeof(host), port), 0);
	assert_string_equal(host, "::1");
	assert_string_equal(port, "514");
	assert_int_equal(feed_uri_host("log.example", "601", host, sizeof(host), port), 0);
	assert_string_equal(host, "log.example");
	assert_string_equal(port, "601");
	assert_int_equal(feed_uri_host("a:", "1", host, sizeof(host), port), -EINVAL);
	assert_int_equal(feed_uri_host(":1", "1", host, sizeof(host), port), -EINVAL);
	assert_int_equal(feed_uri_host("[::1", "1", host, sizeof(host), port), -EINVAL);
	assert_int_equal(feed_uri_host("[::1]514", "1", host, sizeof(host), port), -EINVAL);
	assert_int_equal(feed_uri_host("a:123456", "1", host, sizeof(host), port), -EINVAL);
	assert_int_equal(feed_uri_host("", "1", host, sizeof(host), port), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow_reader_loses_the_oldest),
		cmocka_unit_test(test_long_records),
		cmocka_unit_test(test_a_reader_that_keeps_coming_is_not_hurt),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_uri),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
