// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* notify.c against a socket of ours in the manager's place. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "notify.h"

/* A bound datagram socket that never waits. `abstract`: the name begins with a zero byte. */
static int manager(char *name, size_t size, bool abstract)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	socklen_t len;

	snprintf(name, size, "%s/porttrace-test-notify-%d", abstract ? "@" : "/tmp", (int)getpid());
	len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
	memcpy(un.sun_path, name, strlen(name));
	if (abstract)
		un.sun_path[0] = '\0';
	else
		unlink(name);
	assert_int_equal(bind(fd, (struct sockaddr *)&un, len), 0);
	return fd;
}

static void expect_text(int fd, const char *want)
{
	char text[256] = "";
	ssize_t n = recv(fd, text, sizeof(text) - 1, 0);

	assert_int_equal(n, want ? (ssize_t)strlen(want) : -1);
	if (want)
		assert_string_equal(text, want);
}

static int setup(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return 0;
}

static void nobody_is_told_without_a_manager(void **state)
{
	struct notify n;

	(void)state;
	assert_int_equal(notify_open(&n), 0);
	assert_false(n.open);
	assert_int_equal(notify_send(&n, "READY=1"), 0);
	notify_reloading(&n);
	notify_sign(&n, UINT64_MAX);
	notify_close(&n);
}

static void texts_arrive_at_a_path_and_at_an_abstract_name(void **state)
{
	char name[100];

	(void)state;
	for (int abstract = 0; abstract < 2; abstract++) {
		int fd = manager(name, sizeof(name), abstract);
		struct notify n;

		setenv("NOTIFY_SOCKET", name, 1);
		assert_int_equal(notify_open(&n), 0);
		assert_int_equal(notify_send(&n, "READY=1"), 0);
		assert_int_equal(notify_send(&n, "STATUS=a\nSTOPPING=1"), 0);
		expect_text(fd, "READY=1");
		expect_text(fd, "STATUS=a\nSTOPPING=1");
		expect_text(fd, NULL);
		close(fd);
		assert_int_equal(notify_send(&n, "READY=1"), -ECONNREFUSED);
		notify_close(&n);
		if (!abstract)
			unlink(name);
	}
}

static void a_manager_that_reads_nothing_is_not_waited_for(void **state)
{
	char name[100];
	int fd = manager(name, sizeof(name), true), r = 0;
	struct notify n;

	(void)state;
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(&n), 0);
	for (int i = 0; i < 100000 && r == 0; i++)
		r = notify_send(&n, "WATCHDOG=1");
	assert_int_equal(r, -EAGAIN);
	notify_close(&n);
	close(fd);
}

static void names_that_are_none_are_refused(void **state)
{
	char lengthy[300];
	struct notify n;

	(void)state;
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[0] = '/';
	lengthy[sizeof(lengthy) - 1] = '\0';
	setenv("NOTIFY_SOCKET", "vsock:2:1", 1);
	assert_int_equal(notify_open(&n), -EAFNOSUPPORT);
	assert_false(n.open);
	setenv("NOTIFY_SOCKET", "@", 1);
	assert_int_equal(notify_open(&n), -EINVAL);
	setenv("NOTIFY_SOCKET", lengthy, 1);
	assert_int_equal(notify_open(&n), -EINVAL);
	assert_false(n.open);
}

static void reloading_has_the_time(void **state)
{
	uint64_t before = clock_now_ns(CLOCK_MONOTONIC) / 1000;
	unsigned long long us = 0;
	char name[100], text[100] = "";
	int fd = manager(name, sizeof(name), true);
	struct notify n;

	(void)state;
	setenv("NOTIFY_SOCKET", name, 1);
	assert_int_equal(notify_open(&n), 0);
	notify_reloading(&n);
	assert_true(recv(fd, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%llu", &us), 1);
	assert_true(us >= before && us <= clock_now_ns(CLOCK_MONOTONIC) / 1000);
	notify_close(&n);
	close(fd);
}

/* Which of these let the manager have signs of life. */
static void signs_come_as_often_as_they_are_wanted(void **state)
{
	char name[100], own[20];
	int fd = manager(name, sizeof(name), true);
	const struct {
		const char *usec, *pid;
		uint64_t ns;
	} rows[] = {
		{ "2000000", NULL, 2000000000 }, { "2000000", own, 2000000000 }, { "2000000", "1", 0 },
		{ "2000000", "me", 0 }, { "0", NULL, 0 }, { "", NULL, 0 }, { "2s", NULL, 0 }, { "-1", NULL, 0 },
		{ "99999999999999999999", NULL, 0 }, { NULL, own, 0 },
	};
	struct notify n;

	(void)state;
	snprintf(own, sizeof(own), "%d", (int)getpid());
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(NULL);
		setenv("NOTIFY_SOCKET", name, 1);
		if (rows[i].usec)
			setenv("WATCHDOG_USEC", rows[i].usec, 1);
		if (rows[i].pid)
			setenv("WATCHDOG_PID", rows[i].pid, 1);
		assert_int_equal(notify_open(&n), 0);
		assert_int_equal(n.watchdog_ns, rows[i].ns);
		notify_sign(&n, 5000000000);
		notify_sign(&n, 5999999999);
		expect_text(fd, rows[i].ns ? "WATCHDOG=1" : NULL);
		expect_text(fd, NULL);
		notify_sign(&n, 6000000000);
		expect_text(fd, rows[i].ns ? "WATCHDOG=1" : NULL);
		notify_close(&n);
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nobody_is_told_without_a_manager, setup),
		cmocka_unit_test_setup(texts_arrive_at_a_path_and_at_an_abstract_name, setup),
		cmocka_unit_test_setup(a_manager_that_reads_nothing_is_not_waited_for, setup),
		cmocka_unit_test_setup(names_that_are_none_are_refused, setup),
		cmocka_unit_test_setup(reloading_has_the_time, setup),
		cmocka_unit_test_setup(signs_come_as_often_as_they_are_wanted, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
