// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <setjmp.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "pages.h"

/* The code of a library: that of cmocka, which sanitizers leave alone. */
struct code {
	const unsigned char *begin, *end;
};

static struct code find_code(void)
{
	struct code ret = { 0 };
	char line[512], rights[8];
	uintptr_t begin, end;
	FILE *f = fopen("/proc/self/maps", "re");

	assert_non_null(f);
	while (!ret.begin && fgets(line, sizeof(line), f))
		if (sscanf(line, "%zx-%zx %7s", &begin, &end, rights) == 3 && !strcmp(rights, "r-xp") &&
		    strstr(line, "libcmocka"))
			ret = (struct code){ (const unsigned char *)begin, (const unsigned char *)end };
	fclose(f);
	assert_non_null(ret.begin);
	return ret;
}

static unsigned int sum(struct code code)
{
	unsigned int ret = 0;

	for (const unsigned char *p = code.begin; p < code.end; p++)
		ret = ret * 31 + *p;
	return ret;
}

/* Pages that this process has: bit 63 of Documentation/admin-guide/mm/pagemap.rst. Nothing here is cmocka's. */
static size_t resident(struct code code)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), ret = 0;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry = 0;

	for (const unsigned char *p = code.begin; p < code.end; p += page) {
		if (pread(fd, &entry, sizeof(entry), (off_t)((uintptr_t)p / page * sizeof(entry))) != sizeof(entry))
			ret = SIZE_MAX / 2;
		ret += entry >> 63;
	}
	close(fd);
	return ret;
}

static void test_gives_back(void **state)
{
	struct code code = find_code();
	unsigned int said = sum(code);
	size_t before = resident(code), after;

	(void)state;
	pages_drop();
	after = resident(code);
	assert_true(before > 0 && before < SIZE_MAX / 2);
	assert_int_equal(after, 0);
	assert_int_equal(sum(code), said);
}

/* What the loader has written stays: addresses that are constant from then on. */
static void test_keeps_what_was_written(void **state)
{
	static const char *const volatile names[] = { "one", "two" };
	static volatile int count = 1;

	(void)state;
	count = 2;
	pages_drop();
	assert_string_equal(names[0], "one");
	assert_string_equal(names[1], "two");
	assert_int_equal(count, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gives_back),
		cmocka_unit_test(test_keeps_what_was_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
