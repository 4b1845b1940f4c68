// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "enrich.h"
#include "netns.h"

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		_exit(1);
	close(fd);
}

/* A child in a network namespace of its own, with its own settings; 0 if we may not. Waits until it
 * is ready. */
static pid_t start_stranger(int *ret_stop_fd, uint64_t *ret_cookie)
{
	int ready[2], stop[2];
	char c;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(stop), 0);
	pid = fork();
	if (pid == 0) {
		close(stop[1]);
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		put("/proc/sys/net/ipv4/ip_local_port_range", "40000 40099");
		put("/proc/sys/net/ipv4/ip_local_reserved_ports", "40010-40019,40050");
		put("/proc/sys/net/ipv4/ip_unprivileged_port_start", "80");
		*ret_cookie = netns_cookie();
		if (write(ready[1], ret_cookie, sizeof(*ret_cookie)) < 0 || read(stop[0], &c, 1) != 0)
			_exit(1);
		_exit(0);
	}
	close(ready[1]);
	close(stop[0]);
	*ret_stop_fd = stop[1];
	if (read(ready[0], ret_cookie, sizeof(*ret_cookie)) != sizeof(*ret_cookie)) {
		waitpid(pid, NULL, 0);
		pid = 0;
	}
	close(ready[0]);
	return pid;
}

static void test_parse_reserved(void **unused)
{
	uint8_t bits[65536 / 8] = { 0 };
	struct netns_facts facts = { 0 };

	(void)unused;
	assert_int_equal(netns_parse_reserved("40010-40019,40050,0,65535\n", facts.reserved), 0);
	for (uint32_t port = 0; port < 65536; port++)
		assert_int_equal(netns_is_reserved(&facts, (uint16_t)port),
				 (port >= 40010 && port <= 40019) || port == 40050 || port == 0 ||
					 port == 65535);
	assert_int_equal(netns_parse_reserved("\n", bits), 0);
	assert_int_equal(netns_parse_reserved("", bits), 0);
	assert_int_equal(bits[1250], 0);
	assert_int_equal(netns_parse_reserved("80", bits), 0);
	assert_int_equal(netns_parse_reserved("x", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("10-", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("10-5", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("65536", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("1-65536", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("100000", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("-5", bits), -EINVAL);
	assert_int_equal(netns_parse_reserved("5;6", bits), -EINVAL);
}

static void test_own(void **unused)
{
	struct netns_facts facts, same;
	unsigned int low = 0, high = 0;
	struct stat st;
	FILE *f = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");

	(void)unused;
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%u %u", &low, &high), 2);
	fclose(f);
	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	assert_int_equal(netns_read_sysctls(NULL, 0, &facts), 0);
	assert_int_equal(facts.range_low, low);
	assert_int_equal(facts.range_high, high);
	assert_int_equal(facts.inum, st.st_ino);
	assert_int_equal(facts.cookie, netns_cookie());
	assert_int_equal(netns_read_sysctls("/proc", (uint32_t)getpid(), &same), 0);
	assert_memory_equal(&facts, &same, sizeof(facts));
}

static int look_at_cookie(void *arg)
{
	*(uint64_t *)arg = netns_cookie();
	return 7;
}

/* In our own namespace without a thread, whichever process is named; by way of one of another namespace never. */
static void test_run(void **unused)
{
	struct netns_facts own;
	uint64_t cookie = 1;

	(void)unused;
	assert_int_equal(netns_read_sysctls(NULL, 0, &own), 0);
	assert_int_equal(netns_run(NULL, 0, own.inum, look_at_cookie, &cookie), 7);
	assert_int_equal(cookie, own.cookie);
	assert_int_equal(netns_run(NULL, 0, own.inum + 1, look_at_cookie, &cookie), -ESRCH);
	assert_int_equal(netns_run(NULL, (uint32_t)getpid(), own.inum + 1, look_at_cookie, &cookie), -ESRCH);
	assert_int_not_equal(netns_find_process(NULL, own.inum), 0);
	assert_int_equal(netns_find_process(NULL, 1), 0);
	assert_int_equal(netns_find_process("/nonexistent", own.inum), 0);
}

static void test_other(void **unused)
{
	struct netns_facts own, other, again;
	int stop_fd, status = -1;
	uint64_t cookie;
	pid_t pid = start_stranger(&stop_fd, &cookie);
	sigset_t before, after;

	(void)unused;
	if (!pid) {
		close(stop_fd);
		skip();
	}
	sigprocmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(netns_read_sysctls(NULL, 0, &own), 0);
	assert_int_equal(netns_read_sysctls(NULL, (uint32_t)pid, &other), 0);
	assert_int_equal(other.range_low, 40000);
	assert_int_equal(other.range_high, 40099);
	assert_int_equal(other.unprivileged_start, 80);
	assert_true(netns_is_reserved(&other, 40010) && netns_is_reserved(&other, 40050));
	assert_false(netns_is_reserved(&other, 40020) || netns_is_reserved(&other, 40009));
	assert_true(other.inum != 0 && other.inum != own.inum);
	assert_int_equal(other.cookie, cookie);
	assert_int_equal(netns_run(NULL, (uint32_t)pid, other.inum, look_at_cookie, &cookie), 7);
	assert_int_equal(other.cookie, cookie);
	assert_int_equal(netns_find_process(NULL, other.inum), pid);
	assert_true(own.cookie == 0 || other.cookie != own.cookie);
	/* And we have not moved, nor lost our signals. */
	assert_int_equal(netns_read_sysctls(NULL, 0, &again), 0);
	assert_memory_equal(&own, &again, sizeof(own));
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int sig = 1; sig < 32; sig++)
		assert_int_equal(sigismember(&before, sig), sigismember(&after, sig));
	close(stop_fd);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(netns_read_sysctls(NULL, (uint32_t)pid, &other), -ESRCH);
}

static struct event connection(uint32_t pid, uint64_t netns_cookie_)
{
	struct event ev = {
		.kind = EVENT_CONNECT,
		.pid = pid,
		.netns_cookie = netns_cookie_,
		.local = { .ip_version = 4, .has_port = true, .port = 40015 },
		.remote = { .ip_version = 4, .has_port = true, .port = 81 },
	};

	return ev;
}

/* Events of the cgroup backend from another namespace, the second one of a process that has ended. */
static void test_enrich_port(void **unused)
{
	struct enrich_options opts = { 0 };
	void *state = NULL;
	int stop_fd;
	uint64_t cookie;
	pid_t pid = start_stranger(&stop_fd, &cookie), gone = fork();
	struct event ev;

	(void)unused;
	if (gone == 0)
		_exit(0);
	assert_int_equal(waitpid(gone, NULL, 0), gone);
	if (!pid || !cookie) {
		close(stop_fd);
		skip();
	}
	assert_int_equal(enrich_port.open(&opts, &state), 0);
	for (int i = 0; i < 2; i++) {
		ev = connection((uint32_t)(i ? gone : pid), cookie);
		enrich_port.fill(state, &ev);
		assert_true(ev.has_truth && ev.netns_inum != 0);
		assert_true(ev.local_facts.ephemeral && ev.local_facts.reserved);
		assert_false(ev.remote_facts.privileged);
		nanosleep(&(struct timespec){ .tv_sec = 1, .tv_nsec = 50000000 }, NULL);
	}
	/* We live in another one, and do not answer for it. */
	close(stop_fd);
	waitpid(pid, NULL, 0);
	ev = connection((uint32_t)getpid(), cookie);
	enrich_port.fill(state, &ev);
	assert_false(ev.has_truth || ev.local_facts.ephemeral);
	enrich_port.close(state);
}

static void test_no_such_proc(void **unused)
{
	struct netns_facts facts = { .range_low = 7 };

	(void)unused;
	assert_int_equal(netns_read_sysctls("/nonexistent", 0, &facts), -ENOENT);
	assert_int_equal(netns_read_sysctls("/nonexistent", 1, &facts), -ESRCH);
	assert_int_equal(facts.range_low, 7); /* untouched */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse_reserved),
		cmocka_unit_test(test_own),
		cmocka_unit_test(test_run),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_enrich_port),
		cmocka_unit_test(test_no_such_proc),
	};

	return cmocka_run_group_tests_name("netns", tests, NULL, NULL);
}
