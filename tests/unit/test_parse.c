// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "../../src/parse.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void test_u64_good(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(parse_u64("0", 0, 10, &v), 0);
	assert_int_equal(v, 0);
	assert_int_equal(parse_u64("0065535", 1, 65535, &v), 0);
	assert_int_equal(v, 65535);
	assert_int_equal(parse_u64("18446744073709551615", 0, UINT64_MAX, &v), 0);
	assert_true(v == UINT64_MAX);
}

static void test_u64_bad(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ "", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 ", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1e3", -EINVAL },
		{ "80,81", -EINVAL },
		{ "1\n", -EINVAL },
		{ "65536", -ERANGE },
		{ "0", -ERANGE },
		{ "18446744073709551616", -ERANGE },
		{ "99999999999999999999999x", -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t v = 77;

		assert_int_equal(parse_u64(rows[i].text, 1, 65535, &v), rows[i].err);
		assert_int_equal(v, 77);
	}
}

static void test_u32(void **state)
{
	uint32_t v = 77;

	(void)state;
	assert_int_equal(parse_u32("4294967296", 0, UINT32_MAX, &v), -ERANGE);
	assert_int_equal(v, 77);
	assert_int_equal(parse_u32("4294967295", 0, UINT32_MAX, &v), 0);
	assert_true(v == UINT32_MAX);
}

static void test_duration_good(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "10", UINT64_C(10000000000) },
		{ "1.5s", UINT64_C(1500000000) },
		{ "500ms", UINT64_C(500000000) },
		{ "2m", UINT64_C(120000000000) },
		{ "1.5m", UINT64_C(90000000000) },
		{ "1h", UINT64_C(3600000000000) },
		{ "1d", UINT64_C(86400000000000) },
		{ "0.001", 1000000 },
		{ "250us", 250000 },
		{ "1ns", 1 },
		{ "0.123456789s", 123456789 },
		{ "0.1234567891s", 123456789 },
		{ "1.25ms", 1250000 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ns = 0;

		assert_int_equal(parse_duration(rows[i].text, &ns), 0);
		assert_true(ns == rows[i].ns);
	}
}

static void test_duration_bad(void **state)
{
	static const struct {
		const char *text;
		int err;
	} rows[] = {
		{ "", -EINVAL },
		{ "s", -EINVAL },
		{ "1.s", -EINVAL },
		{ ".5s", -EINVAL },
		{ "-1s", -EINVAL },
		{ "1 s", -EINVAL },
		{ "1sec", -EINVAL },
		{ "1S", -EINVAL },
		{ "1.5.5", -EINVAL },
		{ "1e3", -EINVAL },
		{ "inf", -EINVAL },
		{ "nan", -EINVAL },
		{ "0", -ERANGE },
		{ "0.0s", -ERANGE },
		{ "0.9ns", -ERANGE },
		{ "18446744074", -ERANGE },
		{ "999999999999999999999s", -ERANGE },
		{ "18446744073.9999999999", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		uint64_t ns = 77;

		assert_int_equal(parse_duration(rows[i].text, &ns), rows[i].err);
		assert_int_equal(ns, 77);
	}
}

static void test_size(void **state)
{
	uint64_t v = 0;

	(void)state;
	assert_int_equal(parse_size("65536", &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(parse_size("64K", &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(parse_size("8MiB", &v), 0);
	assert_int_equal(v, 8 << 20);
	assert_int_equal(parse_size("2g", &v), 0);
	assert_true(v == UINT64_C(2) << 30);
	assert_int_equal(parse_size("8MB", &v), -EINVAL);
	assert_int_equal(parse_size("M", &v), -EINVAL);
	assert_int_equal(parse_size("1.5M", &v), -EINVAL);
	assert_int_equal(parse_size("18446744073709551615K", &v), -ERANGE);
	assert_true(v == UINT64_C(2) << 30);
}

static void test_list(void **state)
{
	const char *cursor = "80,a-b,x";
	char item[8];

	(void)state;
	assert_int_equal(parse_list_next(&cursor, item, sizeof(item)), 1);
	assert_string_equal(item, "80");
	assert_int_equal(parse_list_next(&cursor, item, sizeof(item)), 1);
	assert_string_equal(item, "a-b");
	assert_int_equal(parse_list_next(&cursor, item, sizeof(item)), 1);
	assert_string_equal(item, "x");
	assert_int_equal(parse_list_next(&cursor, item, sizeof(item)), 0);
	assert_int_equal(parse_list_next(&cursor, item, sizeof(item)), 0);
}

/* The number of items before the end or the mistake; the last answer in *ret. */
static int test_list_walk(const char *text, int *ret)
{
	char item[4];
	int n = 0;

	while ((*ret = parse_list_next(&text, item, sizeof(item))) > 0)
		n++;
	return n;
}

static void test_list_bad(void **state)
{
	static const struct {
		const char *text;
		int good, err;
	} rows[] = {
		{ "", 0, -EINVAL },	 { ",", 0, -EINVAL },	 { "a,", 1, -EINVAL },
		{ ",a", 0, -EINVAL },	 { "a,,b", 1, -EINVAL }, { "abc", 1, 0 },
		{ "a,abcd", 1, -E2BIG },
	};
	int r;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		assert_int_equal(test_list_walk(rows[i].text, &r), rows[i].good);
		assert_int_equal(r, rows[i].err);
	}
}

static void test_word(void **state)
{
	static const char *const words[] = { "auto", "always" };

	(void)state;
	assert_int_equal(parse_word(words, 2, "auto"), 0);
	assert_int_equal(parse_word(words, 2, "always"), 1);
	assert_int_equal(parse_word(words, 2, "al"), -EINVAL);
	assert_int_equal(parse_word(words, 2, ""), -EINVAL);
	assert_int_equal(parse_word(words, 2, "AUTO"), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64_good),     cmocka_unit_test(test_u64_bad),
		cmocka_unit_test(test_u32),	     cmocka_unit_test(test_duration_good),
		cmocka_unit_test(test_duration_bad), cmocka_unit_test(test_size),
		cmocka_unit_test(test_list),	     cmocka_unit_test(test_list_bad),
		cmocka_unit_test(test_word),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}
