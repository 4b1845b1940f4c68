// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A file in memory in place of the kernel's ring buffer: the same layout, written as the kernel writes it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "ring.h"

#define RECORDS_MAX 4096

struct fixture {
	struct ring *ring;
	int fd;
	size_t page, size;
	char *map; /* all of it, with the data twice: what the kernel has once stands in both places */
	volatile unsigned long *read_to, *written_to;
	char *data;
	/* what was read: sizes, and whether each record holds what fill() has put there */
	size_t sizes[RECORDS_MAX];
	int count, wrong;
	int (*then)(struct fixture *f); /* within each record */
	int said;
	int rooms; /* times that room was given back */
	size_t left; /* then, in bytes */
};

/* `at`: both positions at the start */
static void begin_sized(struct fixture *f, unsigned long at, size_t pages)
{
	f->page = (size_t)sysconf(_SC_PAGESIZE);
	f->size = pages * f->page;
	f->fd = memfd_create("ring", MFD_CLOEXEC);
	assert_return_code(ftruncate(f->fd, (off_t)(2 * f->page + 2 * f->size)), errno);
	f->map = mmap(NULL, 2 * f->page + 2 * f->size, PROT_READ | PROT_WRITE, MAP_SHARED, f->fd, 0);
	assert_ptr_not_equal(f->map, MAP_FAILED);
	f->read_to = (unsigned long *)f->map;
	f->written_to = (unsigned long *)(f->map + f->page);
	f->data = f->map + 2 * f->page;
	*f->read_to = *f->written_to = at;
}

static void begin_at(struct fixture *f, unsigned long at)
{
	begin_sized(f, at, 4);
}

static void begin(struct fixture *f, unsigned long at)
{
	begin_at(f, at);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ring_close(f->ring);
	munmap(f->map, 2 * f->page + 2 * f->size);
	close(f->fd);
	free(f);
	return 0;
}

/* ---- the kernel's side ---- */

static void put(struct fixture *f, unsigned long at, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		f->data[(at + i) % f->size] = f->data[(at + i) % f->size + f->size] = ((const char *)bytes)[i];
}

static void set_length(struct fixture *f, unsigned long at, uint32_t length)
{
	put(f, at, &length, sizeof(length));
}

/* Reserves: the position of the record. Its bytes tell its size and where they stand. */
static unsigned long write_record(struct fixture *f, size_t size, uint32_t flags)
{
	unsigned long at = *f->written_to, end = at + ((RING_HEAD_BYTES + size + 7) & ~(size_t)7);

	assert_true(end - *f->read_to <= f->size);
	set_length(f, at, (uint32_t)size | flags);
	for (size_t i = 0; i < size; i++)
		put(f, at + RING_HEAD_BYTES + i, &(char){ (char)(size + i) }, 1);
	*f->written_to = end;
	return at;
}

static int got(void *arg, const void *record, size_t size)
{
	struct fixture *f = arg;
	const char *bytes = record;

	assert_in_range(f->count, 0, RECORDS_MAX - 1);
	f->sizes[f->count++] = size;
	for (size_t i = 0; i < size; i++)
		f->wrong += bytes[i] != (char)(size + i);
	return f->then ? f->then(f) : 0;
}

static int read_all(struct fixture *f)
{
	f->count = f->wrong = 0;
	return ring_read(f->ring, got, f);
}

/* Reads, and sees to it that the room was given back. */
static void expect_read(struct fixture *f, int count)
{
	assert_int_equal(read_all(f), count);
	assert_int_equal(f->count, count);
	assert_int_equal(f->wrong, 0);
}

static void expect_empty(struct fixture *f)
{
	expect_read(f, 0);
	assert_true(*f->read_to == *f->written_to);
	assert_int_equal(ring_waiting(f->ring), 0);
}

/* ---- what is usual ---- */

static void test_empty(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	expect_empty(f);
}

static void test_in_order(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 1, 0, 8, 7, 280, 9, 16 };

	begin(f, 0);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		write_record(f, sizes[i], 0);
	expect_read(f, 7);
	assert_memory_equal(f->sizes, sizes, sizeof(sizes));
	expect_empty(f);
}

/* A record that is being written hides those behind it, until it is there. */
static void test_busy(void **state)
{
	struct fixture *f = *state;
	unsigned long at;

	begin(f, 64);
	write_record(f, 24, 0);
	at = write_record(f, 40, RING_BUSY);
	write_record(f, 56, 0);
	expect_read(f, 1);
	assert_int_equal(*f->read_to, at);
	expect_read(f, 0);
	set_length(f, at, 40);
	expect_read(f, 2);
	assert_int_equal(f->sizes[0], 40);
	expect_empty(f);
}

static void test_discarded(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	write_record(f, 24, RING_DISCARDED);
	write_record(f, 40, 0);
	write_record(f, 100, RING_DISCARDED);
	expect_read(f, 1);
	assert_int_equal(f->sizes[0], 40);
	expect_empty(f);
}

/* To the last byte, from each place that the first record can have: one of them goes round the end, or none does. */
static void test_full(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	for (size_t first = 0; first < 300; first += 8) {
		int count = 0;

		while (f->size - ring_waiting(f->ring) >= RING_HEAD_BYTES + 280) {
			write_record(f, 280, 0);
			count++;
		}
		write_record(f, f->size - ring_waiting(f->ring) - RING_HEAD_BYTES, 0);
		assert_int_equal(ring_waiting(f->ring), f->size);
		expect_read(f, count + 1);
		expect_empty(f);
		write_record(f, first, 0);
		expect_read(f, 1);
	}
}

/* The head at the very end, the bytes at the beginning; and every other way to be cut in two. */
static void test_round_the_end(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	for (size_t before = 8; before <= 288; before += 8) {
		*f->read_to = *f->written_to = 0;
		ring_close(f->ring);
		assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
		write_record(f, f->size - RING_HEAD_BYTES - before, 0);
		expect_read(f, 1);
		write_record(f, 277, 0);
		write_record(f, 13, 0);
		expect_read(f, 2);
		assert_int_equal(f->sizes[0], 277);
		assert_int_equal(f->sizes[1], 13);
		expect_empty(f);
	}
}

/* The longest there can be, cut in two; then a shorter one in the same room. */
static void test_as_long_as_the_ring(void **state)
{
	struct fixture *f = *state;

	begin(f, 8 * 5);
	write_record(f, f->size - RING_HEAD_BYTES, 0);
	expect_read(f, 1);
	assert_int_equal(f->sizes[0], f->size - RING_HEAD_BYTES);
	write_record(f, f->size - 64, 0);
	expect_read(f, 1);
	expect_empty(f);
}

/* Positions begin again at 0 after the largest number. */
static void test_positions_wrap(void **state)
{
	struct fixture *f = *state;

	begin(f, ULONG_MAX - 7 - 8 * 100);
	for (int i = 0; i < 30; i++) {
		write_record(f, 280, 0);
		write_record(f, 31, 0);
		expect_read(f, 2);
	}
	assert_true(*f->read_to < 30 * 400);
	expect_empty(f);
}

/* ---- while it reads ---- */

static int write_one_more(struct fixture *f)
{
	write_record(f, 16, 0);
	return 0;
}

/* A reader that is slower than the writers comes to an end. */
static void test_ends_where_it_began(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	for (int i = 0; i < 5; i++)
		write_record(f, 280, 0);
	f->then = write_one_more;
	expect_read(f, 5);
	expect_read(f, 5);
	f->then = NULL;
	expect_read(f, 5);
	expect_empty(f);
}

static int look_at_room(struct fixture *f)
{
	assert_true(*f->written_to - *f->read_to == ring_waiting(f->ring));
	f->said += ring_waiting(f->ring) < f->size;
	return 0;
}

/* Writers have room again before all is read. */
static void test_gives_room_back(void **state)
{
	struct fixture *f = *state;
	int count;

	begin(f, 0);
	for (count = 0; f->size - ring_waiting(f->ring) >= 256; count++)
		write_record(f, 248, 0);
	f->then = look_at_room;
	expect_read(f, count);
	assert_in_range(f->said, count / 2, count - 1);
}

static void note_room(void *arg)
{
	struct fixture *f = arg;

	f->rooms++;
	f->left = ring_waiting(f->ring);
}

/* Whoever wants to is told so, once a step: he can see how much is left. */
static void test_tells_of_room(void **state)
{
	struct fixture *f = *state;
	size_t step;

	begin(f, 0);
	step = f->size / 16;
	ring_on_room(f->ring, note_room, f);
	while (f->size - ring_waiting(f->ring) >= 256)
		write_record(f, 248, 0);
	f->left = f->size;
	expect_read(f, (int)(f->size / 256));
	assert_in_range(f->rooms, f->size / step, f->size / step + 1);
	assert_int_equal(f->left, 0);
}

static int stop_at_once(struct fixture *f)
{
	return f->count == 2 ? -ECANCELED : 0;
}

static void test_stopped(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	for (int i = 0; i < 4; i++)
		write_record(f, 280, 0);
	f->then = stop_at_once;
	assert_int_equal(read_all(f), -ECANCELED);
	assert_int_equal(f->count, 2);
	f->then = NULL;
	expect_read(f, 2);
	expect_empty(f);
}

static int read_within(struct fixture *f)
{
	f->said = ring_read(f->ring, got, f);
	return 0;
}

static void test_not_within_itself(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	write_record(f, 280, 0);
	write_record(f, 280, 0);
	f->then = read_within;
	expect_read(f, 2);
	assert_int_equal(f->said, -EBUSY);
	expect_empty(f);
}

/* ---- what must not be ---- */

static int move_away(struct fixture *f)
{
	*f->read_to = *f->written_to;
	return 0;
}

/* Whoever reads the same ring is not led astray: the position stays as it has left it. */
static void test_second_reader(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	write_record(f, 280, 0);
	f->then = move_away;
	assert_int_equal(read_all(f), -EBUSY);
	f->then = NULL;
	write_record(f, 280, 0);
	assert_int_equal(read_all(f), -EBUSY);
	assert_int_equal(f->count, 0);
	assert_true(*f->read_to + 288 == *f->written_to);
}

static void test_second_reader_between(void **state)
{
	struct fixture *f = *state;

	begin(f, 0);
	for (int i = 0; i < 3; i++)
		write_record(f, 280, 0);
	expect_read(f, 3);
	write_record(f, 280, 0);
	move_away(f);
	assert_int_equal(read_all(f), -EBUSY);
	assert_int_equal(f->count, 0);
}

/* Nothing but an error: and the same again, as it cannot be known where the next record begins. */
static void test_lengths(void **state)
{
	struct fixture *f = *state;
	static const uint32_t lengths[] = {
		281, 288, 0x3FFFFFFF, 0x3FFFFFF8, RING_DISCARDED | 281, RING_DISCARDED | 0x3FFFFFFF,
	};

	begin_at(f, 0);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		ring_close(f->ring);
		*f->read_to = *f->written_to = f->size - 296;
		assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
		write_record(f, 0, 0);
		set_length(f, write_record(f, 280, 0), lengths[i]);
		assert_int_equal(read_all(f), -EBADMSG);
		assert_int_equal(f->count, 1);
		set_length(f, f->size - 288, 280);
		assert_int_equal(read_all(f), -EBADMSG);
		assert_int_equal(f->count, 0);
	}
}

static void test_positions(void **state)
{
	struct fixture *f = *state;
	static const unsigned long written[] = { 4, 9, 0x10000000, ULONG_MAX - 7, ULONG_MAX };

	begin_at(f, 0);
	for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
		ring_close(f->ring);
		*f->read_to = 0;
		assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
		*f->written_to = written[i];
		assert_int_equal(read_all(f), -EBADMSG);
		assert_int_equal(f->count, 0);
	}
}

static void test_not_opened(void **state)
{
	struct fixture *f = *state;

	begin_at(f, 4);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), -EBADMSG);
	*f->read_to = 0;
	assert_int_equal(ring_open(f->fd, f->size - f->page, &f->ring), -EINVAL);
	assert_int_equal(ring_open(f->fd, f->page / 2, &f->ring), -EINVAL);
	assert_int_equal(ring_open(f->fd, 0, &f->ring), -EINVAL);
	assert_int_equal(ring_open(-1, f->size, &f->ring), -EBADF);
	assert_null(f->ring);
}

/* ---- the window ---- */

/* Bytes of the ring that are mapped, without what this test has mapped. */
static size_t mapped(const struct fixture *f)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	size_t sum = 0;
	char line[512];

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long begin, end;

		if (strstr(line, "memfd:ring") && sscanf(line, "%lx-%lx", &begin, &end) == 2 &&
		    begin != (unsigned long)f->map)
			sum += end - begin;
	}
	fclose(maps);
	return sum;
}

static void test_window(void **state)
{
	struct fixture *f = *state;
	size_t usual;

	begin_sized(f, 24, 256);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
	usual = 2 * f->page + RING_WINDOW;
	assert_true(f->size > 2 * usual);
	for (int lap = 0; lap < 3; lap++) {
		int count = 0;

		for (; f->size - ring_waiting(f->ring) >= 296; count++)
			write_record(f, 288, 0);
		expect_read(f, count);
		assert_int_equal(mapped(f), usual);
	}
	write_record(f, f->size - RING_HEAD_BYTES, 0); /* longer than the window */
	expect_read(f, 1);
	write_record(f, 288, 0);
	expect_read(f, 1);
	write_record(f, RING_WINDOW, 0);
	expect_read(f, 1);
	for (int i = 0; i < 1000; i++) {
		write_record(f, 288, 0);
		expect_read(f, 1);
	}
	assert_int_equal(mapped(f), usual);
}

/* ---- against a model: any records, from any place ---- */

static void any(struct fixture *f, int rounds, unsigned int longest)
{
	static size_t sizes[RECORDS_MAX];
	unsigned int seed = 1;

	for (int round = 0; round < rounds; round++) {
		int count = 0;

		for (int n = rand_r(&seed) % 64; n > 0; n--) {
			size_t size = (unsigned int)rand_r(&seed) % longest;
			bool given_up = rand_r(&seed) % 8 == 0;

			if (f->size - ring_waiting(f->ring) < size + 2 * RING_HEAD_BYTES)
				break;
			write_record(f, size, given_up ? RING_DISCARDED : 0);
			sizes[count] = size;
			count += !given_up;
		}
		expect_read(f, count);
		assert_memory_equal(f->sizes, sizes, (size_t)count * sizeof(sizes[0]));
		assert_true(*f->read_to == *f->written_to);
	}
}

static void test_any(void **state)
{
	struct fixture *f = *state;

	begin(f, ULONG_MAX - 7 - 8 * 12345);
	any(f, 3000, 700);
}

static void test_any_in_windows(void **state)
{
	struct fixture *f = *state;

	begin_sized(f, ULONG_MAX - 7 - 8 * 123456, 256);
	assert_int_equal(ring_open(f->fd, f->size, &f->ring), 0);
	any(f, 300, 3000);
	any(f, 20, 3 * RING_WINDOW);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_empty),	     TEST(test_in_order),	    TEST(test_busy),
		TEST(test_discarded),	     TEST(test_full),		    TEST(test_round_the_end),
		TEST(test_as_long_as_the_ring), TEST(test_positions_wrap),  TEST(test_ends_where_it_began),
		TEST(test_gives_room_back),  TEST(test_tells_of_room),    TEST(test_stopped),
		TEST(test_not_within_itself),
		TEST(test_second_reader),    TEST(test_second_reader_between), TEST(test_lengths),
		TEST(test_positions),	     TEST(test_not_opened),	    TEST(test_any),
		TEST(test_window),	     TEST(test_any_in_windows),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
