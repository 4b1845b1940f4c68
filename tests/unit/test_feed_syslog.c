// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Messages of RFC 5424, and what becomes of them on a path, over UDP and over TCP. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../src/feed/syslog_frame.h"
#include "events.h"
#include "feeds.h"

/* ---- framing ---- */

static const char *test_message(enum syslog_framing framing, const char *host, const struct feed_record *rec,
				size_t *ret)
{
	static char text[SYSLOG_FRAME_MAX + 1];
	struct buf b = { .data = text, .size = SYSLOG_FRAME_MAX };
	struct syslog_frame f;

	syslog_frame_init(&f, host, 42, 16);
	f.framing = framing;
	assert_true(syslog_frame_message(&f, rec, &b));
	text[b.len] = '\0';
	*ret = b.len;
	return text;
}

static void test_frames(void **state)
{
	struct feed_record rec = { EVENTS_TIME_NS, 1, EVENT_BIND, false, 8, "{\"a\":1}\n" };
	struct feed_record failed = { EVENTS_TIME_NS + 999999888, 1, EVENT_CONNECT, true, 8, "{\"a\":1}\n" };
	struct feed_record stats = { EVENTS_TIME_NS, 1, EVENT_KIND_COUNT, false, 2, "{}" };
	size_t n;

	(void)state;
	assert_string_equal(test_message(SYSLOG_DATAGRAM, "web-1", &rec, &n),
			    "<134>1 2026-11-22T08:45:53.001000Z web-1 porttrace 42 bind - @cee: {\"a\":1}");
	assert_string_equal(test_message(SYSLOG_DATAGRAM, "", &failed, &n),
			    "<132>1 2026-11-22T08:45:54.000999Z - porttrace 42 connect - @cee: {\"a\":1}");
	assert_string_equal(test_message(SYSLOG_OCTETS, "w", &stats, &n),
			    "66 <134>1 2026-11-22T08:45:53.001000Z w porttrace 42 stats - @cee: {}");
	assert_int_equal(n, 3 + 66);
	assert_string_equal(test_message(SYSLOG_NUL, "w", &stats, &n),
			    "<134>1 2026-11-22T08:45:53.001000Z w porttrace 42 stats - @cee: {}");
	assert_int_equal(n, 67);
}

/* Host names and events of any bytes: one message, without a control character. */
static void test_hostile(void **state)
{
	static const char *const names[] = { "a\nb", "\x1b[31m", "\"q\\", "\xff\xfe", "\xe2\x80\xa8", "\xc2\x9b" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct event ev = events_connect();
		struct feed_record rec;
		const char *s;
		size_t n;

		strcpy(ev.name, names[i]);
		memset(events_who(&ev)->executable, "\n\x1b\xff\""[i % 4], sizeof(events_who(&ev)->executable) - 1);
		rec = feeds_record(&feed_json, &ev);
		s = test_message(SYSLOG_DATAGRAM, names[i], &rec, &n);
		for (size_t k = 0; k < n; k++)
			assert_false(iscntrl((unsigned char)s[k]));
		/* the host's name is one word of visible ASCII */
		s = strchr(strchr(s, ' ') + 1, ' ') + 1;
		for (; *s != ' '; s++)
			assert_true(*s > ' ' && *s < 0x7f);
		assert_int_equal(strncmp(s, " porttrace 42 connect - @cee: {\"@timestamp\":", 44), 0);
		free((void *)rec.data);
	}
}

static void test_longest(void **state)
{
	static char host[300], json[4096];
	struct feed_record rec = { UINT64_MAX, UINT64_MAX, EVENT_RELEASE, true, sizeof(json), json };
	size_t n;

	(void)state;
	memset(host, 'h', sizeof(host) - 1);
	memset(json, 'j', sizeof(json));
	test_message(SYSLOG_OCTETS, host, &rec, &n);
	assert_true(n > sizeof(json) + 255);
}

static void test_facility(void **state)
{
	(void)state;
	assert_int_equal(syslog_frame_facility("local0"), 16);
	assert_int_equal(syslog_frame_facility("daemon"), 3);
	assert_int_equal(syslog_frame_facility("local7"), 23);
	assert_int_equal(syslog_frame_facility("local8"), -EINVAL);
	assert_int_equal(syslog_frame_facility(""), -EINVAL);
}

static void test_bad_uris(void **state)
{
	static const struct {
		const char *uri, *why;
	} bad[] = {
		{ "syslog:relative", "absolute path" },	     { "syslog://", "host and a port" },
		{ "syslog://h/p", "host and a port" },	     { "syslog://h:port", "host and a port" },
		{ "syslog:?facility=ftp9", "facility" },     { "syslog://h?transport=sctp", "udp or tcp" },
	};
	struct feeds f;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(feeds_open(&f, bad[i].uri), -EINVAL);
		assert_non_null(strstr(f.err, bad[i].why));
		f.ops = NULL;
		feeds_close(&f);
	}
	assert_int_equal(feeds_open(&f, "syslog:///dev/log?facility=daemon"), 0);
	feeds_close(&f);
}

/* ---- a path ---- */

static char test_dir[] = "/tmp/porttrace-syslog-XXXXXX";
static char test_path[64];

static int test_setup(void **state)
{
	(void)state;
	if (!mkdtemp(test_dir))
		return -1;
	snprintf(test_path, sizeof(test_path), "%s/log", test_dir);
	return 0;
}

static int test_teardown(void **state)
{
	(void)state;
	unlink(test_path);
	return rmdir(test_dir);
}

static int test_listen_path(int type)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(test_path);
	strcpy(a.sun_path, test_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	return fd;
}

static const struct feed_record test_short = { EVENTS_TIME_NS, 1, EVENT_BIND, false, 8, "{\"a\":1}\n" };

/* A daemon that goes and comes again, as a datagram socket first and then as a stream: nothing lost, nothing twice. */
static void test_path_restart(void **state)
{
	static const char end[] = "porttrace";
	char uri[100], room[256];
	struct feeds f;
	ssize_t n;
	int fd, peer;

	(void)state;
	unlink(test_path);
	snprintf(uri, sizeof(uri), "syslog:%s?facility=daemon", test_path);
	assert_int_equal(feeds_open(&f, uri), 0);
	assert_int_equal(f.ops->deliver(f.state, &test_short, 1), 0);
	assert_string_equal(f.status.trouble, "cannot connect: No such file or directory");
	fd = test_listen_path(SOCK_DGRAM);
	assert_true(feeds_give(&f, &test_short));
	n = recv(fd, room, sizeof(room) - 1, 0);
	assert_true(n > 0);
	room[n] = '\0';
	assert_int_equal(strncmp(room, "<30>1 2026-11-22T08:45:53.001000Z web-1 ", 40), 0);
	assert_non_null(strstr(room, end));
	assert_string_equal(room + n - 7, "{\"a\":1}");
	close(fd);
	fd = test_listen_path(SOCK_STREAM);
	assert_int_equal(f.ops->deliver(f.state, &test_short, 1), 0);
	assert_true(feeds_give(&f, &test_short));
	assert_string_equal(f.status.trouble, "");
	peer = accept4(fd, NULL, NULL, SOCK_NONBLOCK);
	n = recv(peer, room, sizeof(room), 0);
	assert_true(n > 8 && !memcmp(room + n - 8, "{\"a\":1}", 8)); /* with its NUL */
	assert_int_equal(feeds_delivered(&f), 2);
	assert_int_equal(feeds_lost(&f), 0);
	close(peer);
	close(fd);
	feeds_close(&f);
}

/* ---- a port ---- */

/* Bound to a port of the loopback; the URI of it. */
static int test_bind(int type, int port, const char *params, char uri[100])
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1, small = 2048;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 8), 0);
	getsockname(fd, (struct sockaddr *)&a, &size);
	snprintf(uri, 100, "syslog://127.0.0.1:%d%s", ntohs(a.sin_port), params);
	return fd;
}

static void test_udp(void **state)
{
	char uri[100], room[256];
	struct feeds f;
	int fd = test_bind(SOCK_DGRAM, 0, "", uri);

	(void)state;
	assert_int_equal(feeds_open(&f, uri), 0);
	for (int i = 0; i < 3; i++)
		assert_true(feeds_give(&f, &test_short));
	for (int i = 0; i < 3; i++)
		assert_true(recv(fd, room, sizeof(room), 0) > 0);
	f.ops->finish(f.state, 0);
	assert_int_equal(feeds_delivered(&f), 3);
	assert_int_equal(feeds_lost(&f), 0);
	feeds_close(&f);
	close(fd);
}

/* Nobody is there: each datagram that was sent and refused is lost, none is delivered, the others were not taken. */
static void test_udp_refused(void **state)
{
	char uri[100];
	struct feeds f;
	size_t taken = 0;

	(void)state;
	close(test_bind(SOCK_DGRAM, 0, "", uri));
	assert_int_equal(feeds_open(&f, uri), 0);
	for (int i = 0; i < 20; i++) {
		taken += f.ops->deliver(f.state, &test_short, 1);
		f.ops->tick(f.state);
	}
	assert_string_equal(f.status.trouble, "cannot write: Connection refused");
	f.ops->finish(f.state, 0);
	assert_true(taken > 0 && taken < 20);
	assert_int_equal(feeds_delivered(&f), 0);
	assert_int_equal(feeds_lost(&f), taken);
	feeds_close(&f);
}

/* Reads one counted message whole; false if the stream ends before. Fails the test at anything else. */
static bool test_read_message(int fd, char *room, size_t size)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t want = 0, have = 0;
	char c;

	while (poll(&p, 1, 5000) == 1 && recv(fd, &c, 1, 0) == 1 && c != ' ') {
		assert_true(isdigit((unsigned char)c));
		want = want * 10 + (size_t)(c - '0');
	}
	assert_true(want < size);
	while (have < want && poll(&p, 1, 5000) == 1) {
		ssize_t n = recv(fd, room + have, want - have, 0);

		if (n <= 0)
			return false;
		have += (size_t)n;
	}
	room[have] = '\0';
	return want && have == want;
}

/* Gives records until no more are taken: the peer reads nothing. How many were. */
static unsigned long test_fill(struct feeds *f, const struct feed_record *recs, size_t count)
{
	unsigned long taken = 0;

	for (int none = 0; none < 3;) {
		size_t n = f->ops->deliver(f->state, recs, count);

		taken += n;
		none = n ? 0 : none + 1;
		assert_true(taken < 100000);
	}
	return taken;
}

/* The feed's socket gets little room, so that a write takes a part of a message. */
static void test_little_room(int listener)
{
	struct sockaddr_in wanted, peer;
	socklen_t size = sizeof(wanted);
	int room = 4608;

	getsockname(listener, (struct sockaddr *)&wanted, &size);
	for (int fd = 3; fd < 64; fd++) {
		size = sizeof(peer);
		if (fd != listener && !getpeername(fd, (struct sockaddr *)&peer, &size) &&
		    peer.sin_port == wanted.sin_port)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	}
}

/*
 * A peer that reads nothing, then closes: nobody waits for it. A message that was begun comes whole on the next
 * connection, what was not taken is still the caller's, and each is counted once.
 */
static void test_tcp_broken(void **state)
{
	static char json[60000], room[64000]; /* longer than the socket has room for */
	struct feed_record long_one = { EVENTS_TIME_NS, 1, EVENT_BIND, false, sizeof(json), json };
	char uri[100], again[100];
	unsigned long taken, counted;
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri), peer;

	(void)state;
	memset(json, 'x', sizeof(json));
	assert_int_equal(feeds_open(&f, uri), 0);
	assert_true(feeds_give(&f, &test_short));
	test_little_room(fd);
	taken = 1 + test_fill(&f, &long_one, 1);
	f.ops->tick(f.state);
	assert_int_equal(feeds_lost(&f), 0);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	close(peer); /* with all that it has not read: a reset */
	close(fd);
	f.ops->tick(f.state);
	assert_non_null(strstr(f.status.trouble, "cannot write: "));
	counted = feeds_delivered(&f) + feeds_lost(&f);
	assert_int_equal(taken - counted, 1); /* begun */

	fd = test_bind(SOCK_STREAM, atoi(strrchr(uri, ':') + 1), "?transport=tcp", again);
	assert_true(feeds_give(&f, &test_short));
	f.ops->tick(f.state);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(test_read_message(peer, room, sizeof(room)));
	assert_int_equal(strlen(room), strcspn(room, "x") + sizeof(json));
	assert_true(test_read_message(peer, room, sizeof(room)));
	assert_string_equal(room + strlen(room) - 7, "{\"a\":1}");
	f.ops->finish(f.state, UINT64_MAX);
	assert_int_equal(feeds_delivered(&f) + feeds_lost(&f), taken + 1);
	assert_int_equal(feeds_lost(&f), 0);
	feeds_close(&f);
	assert_false(test_read_message(peer, room, sizeof(room)));
	close(peer);
	close(fd);
}

/* At a reset, delivered is what the peer's kernel has acknowledged, and lost what was written and not. */
static void test_tcp_reset(void **state)
{
	static char json[4096];
	struct feed_record rec = { EVENTS_TIME_NS, 1, EVENT_BIND, false, sizeof(json), json };
	unsigned long taken, delivered;
	char uri[100];
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri);

	(void)state;
	memset(json, 'x', sizeof(json));
	assert_int_equal(feeds_open(&f, uri), 0);
	taken = test_fill(&f, &rec, 1);
	f.ops->tick(f.state);
	delivered = feeds_delivered(&f);
	assert_true(delivered < taken - 1);
	assert_int_equal(feeds_lost(&f), 0);
	close(accept4(fd, NULL, NULL, SOCK_CLOEXEC));
	close(fd);
	f.ops->tick(f.state);
	assert_int_equal(feeds_delivered(&f), delivered);
	assert_true(taken - delivered - feeds_lost(&f) <= 1); /* begun */
	f.ops->finish(f.state, 0);
	assert_int_equal(feeds_delivered(&f) + feeds_lost(&f), taken);
	feeds_close(&f);
}

/* What the peer's kernel has not acknowledged before the end of the run is lost, and counted. */
static void test_tcp_unfinished(void **state)
{
	static char json[4096];
	struct feed_record rec = { EVENTS_TIME_NS, 1, EVENT_BIND, false, sizeof(json), json };
	unsigned long taken;
	char uri[100];
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri);

	(void)state;
	memset(json, 'x', sizeof(json));
	assert_int_equal(feeds_open(&f, uri), 0);
	taken = test_fill(&f, &rec, 1);
	f.ops->finish(f.state, 0);
	assert_true(feeds_lost(&f) > 0);
	assert_int_equal(feeds_delivered(&f) + feeds_lost(&f), taken);
	feeds_close(&f);
	close(fd);
}

/* A slow peer: marks for more writes than there is room for, and at the end all of it is acknowledged. */
static void test_tcp_slow(void **state)
{
	static char room[8192];
	char uri[100];
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri), peer;
	unsigned long n;

	(void)state;
	assert_int_equal(feeds_open(&f, uri), 0);
	n = test_fill(&f, &test_short, 1);
	assert_true(n > 2000);
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	for (unsigned long i = 0; i < n; i++) {
		assert_true(test_read_message(peer, room, sizeof(room)));
		f.ops->tick(f.state); /* what was begun is ended here */
	}
	f.ops->finish(f.state, UINT64_MAX);
	assert_int_equal(feeds_delivered(&f), n);
	assert_int_equal(feeds_lost(&f), 0);
	feeds_close(&f);
	close(peer);
	close(fd);
}

/* The other end is gone while there is nothing to tell: it is noticed, before the next record is written into it. */
static void test_tcp_gone_idle(void **state)
{
	static char room[8192];
	char uri[100];
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri), peer;

	(void)state;
	assert_int_equal(feeds_open(&f, uri), 0);
	assert_true(feeds_give(&f, &test_short));
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(test_read_message(peer, room, sizeof(room)));
	close(peer);
	assert_true(feeds_give(&f, &test_short));
	peer = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(test_read_message(peer, room, sizeof(room)));
	f.ops->finish(f.state, UINT64_MAX);
	assert_int_equal(feeds_delivered(&f), 2);
	close(peer);
	close(fd);
	feeds_close(&f);
}

/* "localhost" is two addresses, of which one refuses. */
static void test_tcp_name(void **state)
{
	char uri[100], named[100];
	struct feeds f;
	int fd = test_bind(SOCK_STREAM, 0, "?transport=tcp", uri);

	(void)state;
	snprintf(named, sizeof(named), "syslog://localhost%s", strrchr(uri, ':'));
	assert_int_equal(feeds_open(&f, named), 0);
	assert_true(feeds_give(&f, &test_short));
	feeds_close(&f);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_facility),
		cmocka_unit_test(test_bad_uris),
		cmocka_unit_test(test_path_restart),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_udp_refused),
		cmocka_unit_test(test_tcp_broken),
		cmocka_unit_test(test_tcp_reset),
		cmocka_unit_test(test_tcp_unfinished),
		cmocka_unit_test(test_tcp_gone_idle),
		cmocka_unit_test(test_tcp_slow),
		cmocka_unit_test(test_tcp_name),
	};

	return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
