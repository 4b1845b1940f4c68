// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Counting in the kernel (bpf/count.bpf.h, compiled here as it is there) against metrics.c: of many made-up events,
 * those that it takes and those that it leaves give the same text together as all events do.
 */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "counted.h"
#include "metrics.h"
#include "pool_kind.h"
#include "porttrace/config.h"
#include "porttrace/raw_event.h"

/* bpf/bpf_helpers.h has these; __always_inline sys/cdefs.h has, too */
#define SEC(name) __attribute__((unused))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) value *name
#define __noinline __attribute__((noinline))
#define BPF_MAP_TYPE_PERCPU_HASH 5
#define BPF_NOEXIST 1

#define ROOM 40 /* less than there are keys: what finds no place comes as a record */
#define EVENTS 200000

static struct {
	struct count_key key;
	struct count count;
} table[ROOM];
static size_t used;

static void *bpf_map_lookup_elem(const void *map, const struct count_key *key)
{
	(void)map;
	for (size_t i = 0; i < used; i++)
		if (!memcmp(&table[i].key, key, sizeof(*key)))
			return &table[i].count;
	return NULL;
}

static int bpf_map_update_elem(const void *map, const struct count_key *key, const struct count *value, uint64_t flags)
{
	(void)map;
	(void)flags;
	if (used == ROOM)
		return -E2BIG;
	table[used].key = *key;
	table[used++].count = *value;
	return 0;
}

static struct bpf_config config;
#include "../../bpf/count.bpf.h"

static unsigned int dice(unsigned int sides)
{
	return (unsigned int)(random() % sides);
}

static void some_ends(struct raw_event *raw)
{
	static const uint16_t ports[] = { 0, 80, 32767, 32768, 40000, 40001, 60999, 61000 };

	raw->family = AF_INET;
	raw->protocol = dice(3) ? IPPROTO_TCP : dice(3) ? IPPROTO_UDP : IPPROTO_UDPLITE;
	raw->local_port = ports[dice(8)];
	raw->remote_port = ports[dice(8)];
	raw->range_low = 32768;
	raw->range_high = dice(5) ? 60999 : 32768;
	if (raw->range_high == 60999 && !dice(4)) { /* the kernel clamps it */
		raw->sock_range_low = 40000;
		raw->sock_range_high = 40001;
	}
}

static void some_result(struct raw_event *raw)
{
	static const uint32_t flags[] = { RAW_F_FAILED, RAW_F_ABORTED, RAW_F_UNKNOWN, RAW_F_SYN_SENT, RAW_F_DENIED,
					  RAW_F_NO_ROUTE_HINT, RAW_F_KERNEL_THREAD, RAW_F_NO_REMOTE };
	static const int errors[] = { EADDRINUSE, EADDRNOTAVAIL, EAGAIN, EACCES, EPERM, ECONNREFUSED, ETIMEDOUT };

	raw->flags = RAW_F_TRUTH | RAW_F_LEADER_COMM;
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		raw->flags |= dice(8) ? 0 : flags[i];
	if (!dice(3))
		raw->error = (uint32_t)errors[dice(7)];
	if (raw->error)
		raw->flags |= RAW_F_FAILED;
	if (raw->how != RAW_HOW_NONE && raw->how != RAW_HOW_EXPLICIT && !dice(2)) {
		raw->flags |= RAW_F_SEARCH;
		raw->search_ns = 1ull << dice(30);
	}
}

/* Also what no kernel would tell. */
static void some_event(struct raw_event *raw)
{
	*raw = (struct raw_event){ .magic = RAW_EVENT_MAGIC, .version = RAW_EVENT_VERSION,
				   .kind = (uint8_t)(1 + dice(5)), .netns_inum = 1 + dice(2), .cgroup_id = dice(2),
				   .pid = dice(9), .tid = 5 };
	/* accept and close assign nothing: what `how` they have is for the kernel */
	raw->how = (uint8_t)(raw->kind == RAW_ACCEPT ? RAW_HOW_INHERITED : dice(RAW_HOW_INHERITED));
	raw->closer = (uint8_t)dice(RAW_CLOSER_COUNT);
	raw->after = (uint8_t)dice(RAW_AFTER_COUNT);
	memcpy(raw->comm, dice(2) ? "api" : "cron", 4);
	some_ends(raw);
	some_result(raw);
}

static void as_record(struct metrics *m, const struct raw_event *raw)
{
	const struct decode dec = { .backend = BACKEND_TRACING };
	struct event ev;

	assert_int_equal(decode_event(&dec, raw, sizeof(*raw), &ev), 0);
	pool_kind_fill(&ev);
	metrics_event(m, &ev);
}

static void as_counts(struct metrics *m, struct counted *c)
{
	const struct decode dec = { .backend = BACKEND_TRACING };
	struct count rise;
	struct event ev;

	for (size_t i = 0; i < used; i++) {
		if (counted_rise(c, &dec, &table[i].key, &table[i].count, &ev, &rise))
			metrics_counted(m, &ev, &rise);
		assert_false(counted_rise(c, &dec, &table[i].key, &table[i].count, &ev, &rise));
	}
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Its lines in order. */
static size_t lines_of(struct metrics *m, struct buf *text, char *ret[4096])
{
	size_t n = 0;

	metrics_update(m, NULL);
	assert_int_equal(metrics_text(m, METRICS_PROMETHEUS, text), 0);
	text->data[text->len] = '\0';
	for (char *at = strtok(text->data, "\n"); at; at = strtok(NULL, "\n"))
		ret[n++] = at;
	qsort(ret, n, sizeof(*ret), compare_lines);
	return n;
}

static void assert_same(struct metrics *a, struct metrics *b)
{
	static char *first[4096], *second[4096];
	struct buf text1 = { 0 }, text2 = { 0 };
	size_t n = lines_of(a, &text1, first);

	assert_true(n > 30);
	assert_int_equal(lines_of(b, &text2, second), n);
	for (size_t i = 0; i < n; i++)
		assert_string_equal(first[i], second[i]);
	free(text1.data);
	free(text2.data);
}

static void check(unsigned int expected_records)
{
	struct metrics *told, *counted;
	struct counted *c;
	struct raw_event raw;
	unsigned int records = 0;

	used = 0;
	count_sets = 0;
	assert_int_equal(metrics_new(&told) | metrics_new(&counted) | counted_new(&c), 0);
	srandom(7);
	for (int i = 0; i < EVENTS; i++) {
		some_event(&raw);
		as_record(told, &raw);
		if (!count_takes(&raw)) {
			as_record(counted, &raw);
			records++;
		}
		if (i % 1000 == 0)
			as_counts(counted, c);
	}
	as_counts(counted, c);
	assert_same(told, counted);
	assert_in_range(records, 1, expected_records);
	metrics_free(told);
	metrics_free(counted);
	counted_free(c);
}

static void test_same(void **state)
{
	(void)state;
	config = (struct bpf_config){ .counts = true, .counts_connects = true };
	check(EVENTS * 3 / 4);
	assert_int_equal(used, ROOM);
}

static void test_same_without_connects(void **state)
{
	(void)state;
	config = (struct bpf_config){ .counts = true, .counts_pids = true };
	check(EVENTS * 7 / 8);
}

static struct raw_event connected(uint16_t port)
{
	return (struct raw_event){ .kind = RAW_CONNECT, .how = RAW_HOW_CONNECT, .flags = RAW_F_TRUTH, .pid = 1,
				   .tid = 1, .protocol = IPPROTO_TCP, .range_low = 32768, .range_high = 60999,
				   .local_port = port };
}

/* What the ledger needs is left to it. */
static void test_kept(void **state)
{
	struct raw_event raw = connected(40000);

	(void)state;
	used = count_sets = 0;
	config = (struct bpf_config){ .counts = true, .counts_connects = true };
	assert_true(count_takes(&raw));
	raw.how = RAW_HOW_NONE; /* after a bind() to that port */
	assert_false(count_takes(&raw));
	raw.kind = RAW_ACCEPT;
	assert_false(count_takes(&raw));
	raw.local_port = 80;
	assert_true(count_takes(&raw));
	raw.kind = RAW_CLOSE;
	raw.remote_port = 5000;
	raw.after = RAW_AFTER_TIME_WAIT;
	assert_false(count_takes(&raw));
	raw.after = RAW_AFTER_CLOSING;
	assert_false(count_takes(&raw));
	raw.closer = RAW_CLOSER_REMOTE;
	assert_true(count_takes(&raw));
	raw = connected(40000);
	config.counts_connects = false;
	assert_false(count_takes(&raw));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_same_without_connects),
		cmocka_unit_test(test_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
