// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/buf.h"

static char test_room[256];

static struct buf test_buf(size_t size)
{
	memset(test_room, '#', sizeof(test_room));
	return (struct buf){ .data = test_room, .size = size };
}

static void test_is(const struct buf *b, const char *want)
{
	assert_false(b->overflow);
	assert_int_equal(b->len, strlen(want));
	assert_memory_equal(b->data, want, b->len);
	assert_int_equal(b->data[b->size], '#'); /* what is in the room, but behind, may be anything */
}

static void test_appends(void **state)
{
	struct buf b = test_buf(64);

	(void)state;
	buf_str(&b, "ab");
	buf_str(&b, "");
	buf_char(&b, '-');
	buf_lit(&b, "c\0d");
	buf_bytes(&b, NULL, 0);
	assert_int_equal(b.len, 6);
	assert_memory_equal(b.data, "ab-c\0d", 6);
}

/* Addresses with all runs of zeros, and any others, against inet_ntop(3). */
static void test_all_ipv6(void **state)
{
	unsigned int seed = 1;

	(void)state;
	for (unsigned int i = 0; i < 50000; i++) {
		struct buf b = test_buf(INET6_ADDRSTRLEN);
		char want[INET6_ADDRSTRLEN];
		uint8_t addr[16] = { 0 };

		for (int group = 0; group < 8; group++) {
			unsigned int any = (unsigned int)rand_r(&seed), word = any >> (any % 16) & 0xffff;

			if (!(i >> group & 1))
				continue;
			word = group == 5 && i % 3 == 0 ? 0xffff : word;
			addr[2 * group] = (uint8_t)(word >> 8);
			addr[2 * group + 1] = (uint8_t)word;
		}
		buf_ip(&b, addr, 6);
		assert_non_null(inet_ntop(AF_INET6, addr, want, sizeof(want)));
		test_is(&b, want);
	}
}

static void test_number(uint64_t v)
{
	char want[32];
	struct buf b = test_buf(20);

	buf_u64(&b, v);
	snprintf(want, sizeof(want), "%" PRIu64, v);
	test_is(&b, want);
}

/* All below 10^5, some of all lengths, and around the powers of ten, against printf(3). */
static void test_all_digits(void **state)
{
	char want[32];

	(void)state;
	for (uint64_t v = 0; v < 100000; v++) {
		char *end = buf_put_u64(test_room, v);

		snprintf(want, sizeof(want), "%" PRIu64, v);
		assert_int_equal(end - test_room, strlen(want));
		assert_memory_equal(test_room, want, strlen(want));
		buf_put_nano(test_room, (uint32_t)(v * 9999));
		snprintf(want, sizeof(want), "%09" PRIu64, v * 9999);
		assert_memory_equal(test_room, want, 9);
	}
	for (uint64_t power = 1, v; power < UINT64_MAX / 10; power *= 10)
		for (v = power > 50 ? power - 50 : 0; v < power + 50; v++)
			test_number(v);
	for (uint64_t v = 1; v < UINT64_MAX / 2; v += v / 20011 + 1)
		test_number(v);
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t v;
		const char *want;
	} rows[] = {
		{ 0, "0" },
		{ 9, "9" },
		{ 10, "10" },
		{ 65535, "65535" },
		{ UINT64_MAX, "18446744073709551615" },
		{ UINT64_C(10000000000000000000), "10000000000000000000" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = test_buf(64);

		buf_u64(&b, rows[i].v);
		test_is(&b, rows[i].want);
	}
}

static void test_padded_numbers(void **state)
{
	struct buf b = test_buf(64);

	(void)state;
	buf_u64_padded(&b, 7, 3);
	buf_u64_padded(&b, 0, 2);
	buf_u64_padded(&b, 1000111, 9);
	test_is(&b, "00700001000111");
}

static void test_pad(void **state)
{
	struct buf b = test_buf(64);

	(void)state;
	buf_str(&b, "xy");
	buf_pad(&b, 1, 4);
	buf_char(&b, '|');
	buf_pad(&b, 0, 3); /* already past it */
	test_is(&b, "xy   |");
}

static void test_addresses(void **state)
{
	static const char *const rows[] = {
		"0.0.0.0",   "255.255.255.255",	    "10.0.3.9", "::", "::1",
		"fe80::1:2", "2001:db8:1:2:3:4:5:6"
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct buf b = test_buf(64);
		int family = strchr(rows[i], ':') ? AF_INET6 : AF_INET;
		uint8_t addr[16] = { 0 };

		assert_int_equal(inet_pton(family, rows[i], addr), 1);
		buf_ip(&b, addr, family == AF_INET ? 4 : 6);
		test_is(&b, rows[i]);
	}
}

static void test_longest_address(void **state)
{
	struct buf b = test_buf(39);
	uint8_t addr[16];

	(void)state;
	memset(addr, 0xfd, sizeof(addr));
	buf_ip(&b, addr, 6);
	test_is(&b, "fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd:fdfd");
}

static void test_unknown_address_is_nothing(void **state)
{
	struct buf b = test_buf(64);

	(void)state;
	buf_ip(&b, (const uint8_t[16]){ 1 }, 0);
	test_is(&b, "");
}

/* Nothing is written in part, and nothing after it even if it would fit. */
static void test_overflow_is_sticky(void **state)
{
	struct buf b = test_buf(4);

	(void)state;
	buf_str(&b, "abc");
	buf_str(&b, "de");
	assert_true(b.overflow);
	buf_char(&b, 'f');
	buf_u64(&b, 1);
	buf_pad(&b, 0, 4);
	assert_int_equal(b.len, 3);
	assert_memory_equal(test_room, "abc#", 4);
}

static void test_full_to_the_last_byte(void **state)
{
	struct buf b = test_buf(5);

	(void)state;
	buf_u64(&b, 65535);
	test_is(&b, "65535");
	buf_str(&b, "");
	assert_false(b.overflow);
	buf_char(&b, '!');
	assert_true(b.overflow);
	assert_int_equal(test_room[5], '#');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_appends),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_all_digits),
		cmocka_unit_test(test_all_ipv6),
		cmocka_unit_test(test_padded_numbers),
		cmocka_unit_test(test_pad),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_longest_address),
		cmocka_unit_test(test_unknown_address_is_nothing),
		cmocka_unit_test(test_overflow_is_sticky),
		cmocka_unit_test(test_full_to_the_last_byte),
	};

	return cmocka_run_group_tests_name("buf", tests, NULL, NULL);
}
