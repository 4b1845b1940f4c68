// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "pressure_cache.h"

#define TEST_SOCKETS 1000

/* Sockets with the cookies from `first` on: the odd ones are process 1's, the even ones nobody's. */
static void test_fill(struct pressure_cache *cache, uint64_t first, uint32_t pid)
{
	struct pressure_process processes[2] = { { 0 }, { .pid = pid, .name = "api" } };
	struct pool_socket sockets[TEST_SOCKETS] = { 0 };
	uint32_t of[TEST_SOCKETS], *list = of;
	struct pool_state *pool = calloc(1, sizeof(*pool)); /* large */
	struct pressure_picture picture = { .count = 1, .pools = pool, .process = &list, .processes = processes,
					    .process_count = 2 };

	for (uint32_t i = 0; i < TEST_SOCKETS; i++) {
		sockets[i].cookie = first + i;
		sockets[i].how = HOW_EXPLICIT;
		of[i] = sockets[i].cookie % 2;
	}
	assert_non_null(pool);
	pool->sockets = sockets;
	pool->count = TEST_SOCKETS;
	assert_int_equal(pressure_cache_fill(cache, &picture), 0);
	free(pool);
}

static bool test_has(const struct pressure_cache *cache, uint64_t cookie, uint32_t inode, uint32_t pid)
{
	struct snapshot_socket sock = { .sock = { .cookie = cookie, .inode = inode } };
	struct pressure_memory memory = { 0 };

	if (!pressure_cache_find(cache, &sock, &memory))
		return false;
	assert_int_equal(memory.pid, pid);
	assert_int_equal(memory.how, HOW_EXPLICIT);
	assert_string_equal(memory.name, "api");
	return true;
}

static void test_finds_what_the_look_before_has_found(void **state)
{
	struct pressure_cache cache = { 0 };

	(void)state;
	assert_false(test_has(&cache, 5, 1, 0));
	test_fill(&cache, 1, (uint32_t)getpid());
	for (uint64_t cookie = 1; cookie <= TEST_SOCKETS; cookie++)
		assert_int_equal(test_has(&cache, cookie, 1, (uint32_t)getpid()), cookie % 2);
	assert_false(test_has(&cache, 0, 1, 0));
	test_fill(&cache, 501, (uint32_t)getpid());
	assert_false(test_has(&cache, 499, 1, 0));
	assert_true(test_has(&cache, 501, 1, (uint32_t)getpid()));
	assert_true(test_has(&cache, 1499, 1, (uint32_t)getpid()));
	pressure_cache_clear(&cache);
}

/* Its TIME_WAIT is still its; a socket that is open has been passed on to somebody. */
static void test_owner_has_exited(void **state)
{
	struct pressure_cache cache = { 0 };
	pid_t pid = fork();

	(void)state;
	if (!pid) {
		pause();
		_exit(0);
	}
	test_fill(&cache, 1, (uint32_t)pid);
	pressure_cache_refresh(&cache);
	assert_true(test_has(&cache, 7, 1, (uint32_t)pid));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	pressure_cache_refresh(&cache);
	assert_false(test_has(&cache, 7, 1, 0));
	assert_true(test_has(&cache, 7, 0, (uint32_t)pid));
	pressure_cache_clear(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_what_the_look_before_has_found),
		cmocka_unit_test(test_owner_has_exited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
