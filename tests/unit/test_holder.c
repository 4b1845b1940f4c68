// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who has a port: against sockets of this process, and against what events would have told. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>
#include "enrich.h"
#include "events.h"
#include "owners.h"
#include "proc.h"
#include "sockets.h"

#define GONE 4194399u /* above the highest pid of any kernel */

static struct sockets *sockets;
static struct enrich *enrich;
static uint32_t netns;

static int setup(void **state)
{
	struct enrich_options opts = { .numeric = true };
	struct stat st;

	(void)state;
	prctl(PR_SET_NAME, "test-holder");
	if (stat("/proc/self/ns/net", &st) < 0 || sockets_new(1000, &sockets) < 0)
		return -1;
	netns = (uint32_t)st.st_ino;
	opts.sockets = sockets;
	return enrich_open(&opts, &enrich);
}

static int teardown(void **state)
{
	(void)state;
	enrich_close(enrich);
	sockets_free(sockets);
	return 0;
}

#define HOLDER_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

/* ---- sockets ---- */

static int open_socket(int type, const char *ip, int port)
{
	struct sockaddr_storage a = { 0 };
	struct sockaddr_in *v4 = (void *)&a;
	struct sockaddr_in6 *v6 = (void *)&a;
	int fd;

	a.ss_family = AF_INET;
	if (inet_pton(AF_INET, ip, &v4->sin_addr) != 1) {
		a.ss_family = AF_INET6;
		assert_int_equal(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
	}
	v4->sin_port = htons((uint16_t)port); /* sin6_port stands in the same place */
	fd = socket(a.ss_family, type | SOCK_CLOEXEC, 0);
	if (fd < 0 && errno == EAFNOSUPPORT)
		skip();
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	return fd;
}

static int port_of(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, (void *)&a, &len), 0);
	return ntohs(a.sin6_port);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

/* ---- events ---- */

static struct event failed_bind(const char *ip, int port)
{
	struct event ev = { .kind = EVENT_BIND, .outcome = OUTCOME_FAILURE, .error = EADDRINUSE };

	ev.cause = CAUSE_IN_USE;
	ev.how = HOW_EXPLICIT;
	ev.has_requested = true;
	ev.local = ev.requested = events_endpoint(ip, port);
	ev.netns_inum = netns;
	ev.time_ns = EVENTS_TIME_NS;
	ev.pid = ev.tid = (uint32_t)getpid();
	return ev;
}

static struct event past(enum event_kind kind, const char *ip, int port, uint32_t pid, const char *name)
{
	struct event ev = { .kind = kind, .socket_id = 5, .time_ns = EVENTS_TIME_NS - 5, .netns_inum = netns };

	ev.how = kind == EVENT_BIND ? HOW_EXPLICIT : HOW_NONE;
	ev.local = events_endpoint(ip, port);
	ev.pid = pid;
	ev.has_uid = true;
	ev.uid = 77;
	snprintf(ev.name, sizeof(ev.name), "%s", name);
	return ev;
}

static void remember(struct event ev)
{
	sockets_track(sockets, &ev);
}

static struct event asked(struct event ev)
{
	enrich_event(enrich, &ev);
	return ev;
}

/* ---- the kernel's list ---- */

static void test_listener_that_no_event_told(void **state)
{
	int fd = open_socket(SOCK_STREAM, "127.0.0.1", 0);
	struct event ev;

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	ev = asked(failed_bind("0.0.0.0", port_of(fd)));
	assert_true(ev.has_holder);
	assert_int_equal(ev.holder.kind, HOLDER_LISTENER);
	assert_int_equal(ev.holder.pid, getpid());
	assert_string_equal(ev.holder.name, "test-holder");
	assert_true(ev.holder.has_uid);
	assert_int_equal(ev.holder.uid, getuid());
	assert_int_equal(ev.holder.local.addr[0], 127);
	assert_false(ev.holder.exited || ev.holder.has_expires);
	assert_false(asked(failed_bind("127.0.0.2", port_of(fd))).has_holder);
	/* without the errno, as the cgroup backend tells it */
	ev = failed_bind("127.0.0.1", port_of(fd));
	ev.error = 0;
	ev.cause = CAUSE_NONE;
	assert_true(asked(ev).has_holder);
	close(fd);
}

static void test_ipv6_listener_takes_ipv4(void **state)
{
	int fd = open_socket(SOCK_STREAM, "::", 0), one = 1;
	int port = port_of(fd);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(asked(failed_bind("127.0.0.1", port)).holder.pid, getpid());
	assert_int_equal(asked(failed_bind("::1", port)).holder.pid, getpid());
	close(fd);
	fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	assert_int_equal(listen(fd, 1), 0);
	port = port_of(fd);
	sleep(1); /* one look into /proc a second */
	assert_false(asked(failed_bind("127.0.0.1", port)).has_holder);
	assert_int_equal(asked(failed_bind("::1", port)).holder.pid, getpid());
	close(fd);
}

static void test_udp(void **state)
{
	int fd = open_socket(SOCK_DGRAM, "127.0.0.1", 0);
	struct event ev = failed_bind("0.0.0.0", port_of(fd));

	(void)state;
	assert_false(asked(ev).has_holder); /* TCP's port is another one */
	ev.proto = PROTO_UDP;
	ev = asked(ev);
	assert_int_equal(ev.holder.pid, getpid());
	assert_int_equal(ev.holder.kind, HOLDER_BOUND);
	close(fd);
}

/* Two sockets of one address, and one listens: the other one's listen() fails, and is not its own holder. */
static void test_listen(void **state)
{
	int one = 1, first = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct event ev;

	(void)state;
	assert_int_equal(setsockopt(first, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(first, (void *)&a, sizeof(a)), 0);
	ev = failed_bind("127.0.0.1", port_of(first));
	ev.kind = EVENT_LISTEN;
	ev.how = HOW_NONE;
	ev.has_requested = false;
	assert_false(asked(ev).has_holder); /* kernels from 6.8 list bound sockets: our own one */
	ev.cookie = cookie_of(first);
	assert_false(asked(ev).has_holder);
	assert_int_equal(listen(first, 1), 0);
	ev.cookie++;
	assert_int_equal(asked(ev).holder.kind, HOLDER_LISTENER); /* another socket's question is another one */
	close(first);
}

/* Leaves 127.0.0.1:PORT in TIME_WAIT (0 = any) and returns PORT. */
static int linger(int from, uint64_t *ret_cookie)
{
	int listener = open_socket(SOCK_STREAM, "127.0.0.1", 0), client, server, port;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;
	char c;

	assert_int_equal(listen(listener, 1), 0);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(client, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	a.sin_port = htons((uint16_t)from);
	assert_int_equal(bind(client, (void *)&a, sizeof(a)), 0);
	a.sin_port = htons((uint16_t)port_of(listener));
	assert_int_equal(connect(client, (void *)&a, sizeof(a)), 0);
	port = port_of(client);
	*ret_cookie = cookie_of(client);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	shutdown(client, SHUT_WR);
	assert_int_equal(read(server, &c, 1), 0);
	close(server);
	assert_int_equal(read(client, &c, 1), 0);
	close(client);
	close(listener);
	return port;
}

static void test_time_wait_of_the_dead(void **state)
{
	uint64_t cookie;
	int port = linger(0, &cookie);
	struct event ev = past(EVENT_CLOSE, "127.0.0.1", port, GONE, "curl");

	(void)state;
	ev.remote = events_endpoint("127.0.0.1", 1);
	ev.cookie = cookie;
	remember(ev);
	ev = asked(failed_bind("0.0.0.0", port));
	assert_true(ev.has_holder);
	assert_int_equal(ev.holder.kind, HOLDER_TIME_WAIT);
	assert_true(ev.holder.has_expires);
	assert_in_range(ev.holder.expires_s, 50, 60);
	assert_int_equal(ev.holder.pid, GONE);
	assert_string_equal(ev.holder.name, "curl");
	assert_int_equal(ev.holder.uid, 77);
	assert_true(ev.holder.exited);
}

static void test_time_wait_of_nobody_known(void **state)
{
	uint64_t cookie;
	struct event ev = asked(failed_bind("0.0.0.0", linger(0, &cookie)));

	(void)state;
	assert_int_equal(ev.holder.kind, HOLDER_TIME_WAIT);
	assert_true(ev.holder.has_expires);
	assert_int_equal(ev.holder.pid, 0);
	assert_false(ev.holder.has_uid || ev.holder.exited);
}

/* The port is free when the last one is gone. */
static void test_time_wait_of_several(void **state)
{
	uint64_t cookie;
	int port = linger(0, &cookie);

	(void)state;
	for (int i = 0; i < 5; i++)
		linger(port, &cookie);
	sleep(2);
	linger(port, &cookie);
	assert_in_range(asked(failed_bind("0.0.0.0", port)).holder.expires_s, 59, 60);
}

/* Bound beside it since: without the older one the bind that failed would have had the port. */
static void test_time_wait_before_bound_since(void **state)
{
	uint64_t cookie;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int port = linger(0, &cookie), one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	a.sin_port = htons((uint16_t)port);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
	assert_int_equal(bind(fd, (void *)&a, sizeof(a)), 0);
	assert_int_equal(asked(failed_bind("127.0.0.1", port)).holder.kind, HOLDER_TIME_WAIT);
	close(fd);
}

/* ---- together with what events told ---- */

/* A listener that has been closed since it was in the way goes before a connection that is still there. */
static void test_listener_before_connection(void **state)
{
	int listener = open_socket(SOCK_STREAM, "127.0.0.1", 0), client, port;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct event ev;

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	a.sin_port = htons((uint16_t)port_of(listener));
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (void *)&a, sizeof(a)), 0);
	port = port_of(client);
	ev = asked(failed_bind("0.0.0.0", port));
	assert_int_equal(ev.holder.kind, HOLDER_CONNECTION);
	assert_int_equal(ev.holder.pid, getpid());
	remember(past(EVENT_BIND, "0.0.0.0", port, GONE, "told"));
	remember(past(EVENT_LISTEN, "0.0.0.0", port, GONE, "told"));
	ev = asked(failed_bind("0.0.0.0", port));
	assert_int_equal(ev.holder.kind, HOLDER_LISTENER);
	assert_int_equal(ev.holder.pid, GONE);
	close(client);
	close(listener);
}

/* A connect from a port that the socket had: only the connection of these very endpoints is in its way. */
static void test_clash(void **state)
{
	int listener = open_socket(SOCK_STREAM, "127.0.0.1", 0), client = open_socket(SOCK_STREAM, "127.0.0.1", 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct event ev = failed_bind("127.0.0.1", port_of(client));

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	a.sin_port = htons((uint16_t)port_of(listener));
	assert_int_equal(connect(client, (void *)&a, sizeof(a)), 0);
	ev.kind = EVENT_CONNECT;
	ev.how = HOW_NONE;
	ev.error = EADDRNOTAVAIL;
	ev.cause = CAUSE_NO_ADDRESS;
	ev.remote = events_endpoint("127.0.0.1", port_of(listener));
	assert_false(asked(ev).has_holder);
	ev.cause = CAUSE_TUPLE_CLASH;
	assert_int_equal(asked(ev).holder.kind, HOLDER_CONNECTION);
	assert_int_equal(asked(ev).holder.pid, getpid());
	ev.remote = events_endpoint("127.0.0.2", port_of(listener));
	assert_false(asked(ev).has_holder);
	close(client);
	close(listener);
}

static void test_owner_by_cookie(void **state)
{
	int fd = open_socket(SOCK_STREAM, "127.0.0.1", 0);
	struct event ev = past(EVENT_BIND, "127.0.0.1", port_of(fd), (uint32_t)getpid(), "told");

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	ev.cookie = cookie_of(fd);
	remember(ev);
	ev = asked(failed_bind("0.0.0.0", port_of(fd)));
	assert_int_equal(ev.holder.kind, HOLDER_LISTENER); /* the kernel knows better: its listen was not told */
	assert_int_equal(ev.holder.pid, getpid());
	assert_string_equal(ev.holder.name, "told");
	assert_int_equal(ev.holder.uid, 77);
	close(fd);
}

/* Who bound it has ended, or has given it away: whoever has it open now is the holder. */
static void test_owner_that_has_it_no_more(void **state)
{
	int fd = open_socket(SOCK_STREAM, "127.0.0.1", 0);
	struct event ev = past(EVENT_BIND, "127.0.0.1", port_of(fd), GONE, "parent");

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	ev.cookie = cookie_of(fd);
	remember(ev);
	ev = asked(failed_bind("0.0.0.0", port_of(fd)));
	assert_int_equal(ev.holder.pid, getpid());
	assert_string_equal(ev.holder.name, "test-holder");
	assert_false(ev.holder.exited);
	close(fd);
}

/* The kernel has nothing, or cannot be asked: what events told has to do. */
static void test_by_events_alone(void **state)
{
	struct event ev;

	(void)state;
	remember(past(EVENT_BIND, "10.1.2.3", 7, (uint32_t)getpid(), "told"));
	ev = asked(failed_bind("0.0.0.0", 7));
	assert_int_equal(ev.holder.kind, HOLDER_BOUND);
	assert_int_equal(ev.holder.pid, getpid());
	ev = failed_bind("0.0.0.0", 7);
	ev.socket_id = 5; /* itself */
	assert_false(asked(ev).has_holder);
	ev.socket_id = 0;
	ev.late = true;
	ev.time_ns = EVENTS_TIME_NS - 6; /* it happened before that one was bound */
	assert_false(asked(ev).has_holder);
	netns = 1; /* no such namespace */
	remember(past(EVENT_BIND, "10.1.2.3", 7, (uint32_t)getpid(), "told"));
	assert_int_equal(asked(failed_bind("0.0.0.0", 7)).holder.kind, HOLDER_BOUND);
}

/* A failure of unseen reason is laid upon a socket that rests on the port, not upon a mere connection. */
static void test_unseen_errno(void **state)
{
	struct event ev = past(EVENT_CONNECT, "10.1.2.3", 7, (uint32_t)getpid(), "told");

	(void)state;
	ev.remote = events_endpoint("10.1.2.4", 80);
	remember(ev);
	ev = failed_bind("0.0.0.0", 7);
	assert_int_equal(asked(ev).holder.kind, HOLDER_CONNECTION);
	ev.error = 0;
	ev.cause = CAUSE_NONE;
	assert_false(asked(ev).has_holder);
	remember(past(EVENT_BIND, "10.1.2.3", 7, (uint32_t)getpid(), "told"));
	assert_int_equal(asked(ev).holder.kind, HOLDER_BOUND);
}

static void test_other_failures_have_none(void **state)
{
	struct event ev = failed_bind("0.0.0.0", 7);

	(void)state;
	remember(past(EVENT_BIND, "10.1.2.3", 7, (uint32_t)getpid(), "told"));
	assert_true(asked(ev).has_holder);
	ev.outcome = OUTCOME_UNKNOWN;
	assert_false(asked(ev).has_holder);
	ev.outcome = OUTCOME_FAILURE;
	ev.error = EACCES;
	assert_false(asked(ev).has_holder);
	ev.error = EADDRINUSE;
	ev.how = HOW_BIND0;
	assert_false(asked(ev).has_holder);
	ev.kind = EVENT_LISTEN;
	ev.how = HOW_AUTOBIND;
	assert_false(asked(ev).has_holder);
	ev = failed_bind("0.0.0.0", 7);
	ev.netns_inum = 0;
	assert_false(asked(ev).has_holder);
}

/* A hundred thousand failures, all at other ports, cost no more than a twentieth of the time. */
static void test_storm(void **state)
{
	struct timespec from, to;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < 100000; i++)
		asked(failed_bind("10.1.2.3", 1 + i % 60000));
	clock_gettime(CLOCK_MONOTONIC, &to);
	assert_true(to.tv_sec - from.tv_sec < 5);
}

/* ---- helpers of it ---- */

static void test_has_ended(void **state)
{
	uint32_t pid;
	int status;

	(void)state;
	assert_false(proc_has_ended("/proc", (uint32_t)getpid(), 0));
	assert_true(proc_has_ended("/proc", (uint32_t)getpid(), 1)); /* another start: another process */
	assert_true(proc_has_ended("/proc", GONE, 0));
	assert_false(proc_has_ended("/nonexistent", (uint32_t)getpid(), 0)); /* hidden, but there */
	pid = (uint32_t)fork();
	if (pid == 0)
		_exit(0);
	waitid(P_PID, pid, NULL, WEXITED | WNOWAIT);
	assert_true(proc_has_ended("/proc", pid, 0));
	assert_int_equal(waitpid((pid_t)pid, &status, 0), (pid_t)pid);
	assert_true(proc_has_ended("/proc", pid, 0));
}

static void test_owners_has(void **state)
{
	int fd = open_socket(SOCK_DGRAM, "127.0.0.1", 0);
	struct stat st;

	(void)state;
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(owners_has(NULL, (uint32_t)getpid(), 0, (uint32_t)st.st_ino), 1);
	assert_int_equal(owners_has(NULL, (uint32_t)getpid(), 1, (uint32_t)st.st_ino), 0);
	assert_int_equal(owners_has(NULL, GONE, 0, (uint32_t)st.st_ino), 0);
	close(fd);
	assert_int_equal(owners_has(NULL, (uint32_t)getpid(), 0, (uint32_t)st.st_ino), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		HOLDER_TEST(test_listener_that_no_event_told),
		HOLDER_TEST(test_ipv6_listener_takes_ipv4),
		HOLDER_TEST(test_udp),
		HOLDER_TEST(test_listen),
		HOLDER_TEST(test_time_wait_of_the_dead),
		HOLDER_TEST(test_time_wait_of_nobody_known),
		HOLDER_TEST(test_time_wait_of_several),
		HOLDER_TEST(test_time_wait_before_bound_since),
		HOLDER_TEST(test_listener_before_connection),
		HOLDER_TEST(test_clash), HOLDER_TEST(test_owner_by_cookie),
		HOLDER_TEST(test_owner_that_has_it_no_more),
		HOLDER_TEST(test_by_events_alone),
		HOLDER_TEST(test_unseen_errno),
		HOLDER_TEST(test_other_failures_have_none),
		HOLDER_TEST(test_storm),
		cmocka_unit_test(test_has_ended),
		cmocka_unit_test(test_owners_has),
	};

	return cmocka_run_group_tests_name("holder", tests, NULL, NULL);
}
