// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The journal's datagrams, taken apart by a reader of its own, and the socket they go through. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../src/feed/journal_fields.h"
#include "../../src/utf8.h"
#include "events.h"
#include "feeds.h"

/* ---- a reader, as the protocol describes it ---- */

struct test_field {
	char name[65];
	const char *value;
	size_t size;
};

/* The next field at *at; fails the test if there is none as the protocol wants it. */
static struct test_field test_next(const char **at, const char *end)
{
	struct test_field f = { 0 };
	const char *s = *at, *name_end = s;
	uint64_t n = 0;

	while (name_end < end && *name_end != '=' && *name_end != '\n') {
		assert_true(isupper((unsigned char)*name_end) || isdigit((unsigned char)*name_end) || *name_end == '_');
		name_end++;
	}
	assert_true(name_end < end && name_end > s && name_end - s <= 64 && isupper((unsigned char)*s));
	memcpy(f.name, s, (size_t)(name_end - s));
	if (*name_end == '=') {
		f.value = name_end + 1;
		s = memchr(f.value, '\n', (size_t)(end - f.value));
		assert_non_null(s);
		f.size = (size_t)(s - f.value);
	} else {
		assert_true(end - name_end > 9);
		for (int i = 7; i >= 0; i--)
			n = n << 8 | (unsigned char)name_end[1 + i];
		f.value = name_end + 9;
		assert_true(n < (uint64_t)(end - f.value));
		f.size = n;
		assert_true(f.value[n] == '\n');
	}
	*at = f.value + f.size + 1;
	return f;
}

/* The value of a field, NUL terminated, or NULL; each has one value at most. */
static const char *test_field(const struct feed_record *rec, const char *name)
{
	static char text[8192];
	const char *at = rec->data, *end = rec->data + rec->size;
	bool found = false;

	while (at < end) {
		struct test_field f = test_next(&at, end);

		if (strcmp(f.name, name))
			continue;
		assert_false(found);
		found = true;
		memcpy(text, f.value, f.size);
		text[f.size] = '\0';
	}
	return found ? text : NULL;
}

static void test_has(const struct feed_record *rec, const char *name, const char *wanted)
{
	const char *value = test_field(rec, name);

	if (!value || strcmp(value, wanted))
		fail_msg("%s is '%s', not '%s'", name, value ? value : "(none)", wanted);
}

/* One line that a terminal can be trusted with. */
static void test_is_readable(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t n = strlen(text), len;
	uint32_t c;

	assert_true(n > 0);
	for (; n; s += len, n -= len) {
		len = utf8_decode(s, n, &c);
		assert_true(len > 0 && c >= 32 && (c < 0x7f || c >= 0xa0));
	}
}

/* ---- fields ---- */

static void test_connect(void **state)
{
	struct event ev = events_connect();
	struct feed_record rec = feeds_record(&journal_fields, &ev);

	(void)state;
	test_has(&rec, "MESSAGE", "api[4312] connect tcp 10.0.0.5:40871 -> 10.0.3.9:5432: ok 1.2ms");
	test_has(&rec, "MESSAGE_ID", "a849b97b042a418ba76d45c77d768c65");
	test_has(&rec, "PRIORITY", "6");
	test_has(&rec, "SYSLOG_IDENTIFIER", "porttrace");
	test_has(&rec, "AGENT_EPHEMERAL_ID", "00112233445566778899aabbccddeeff");
	test_has(&rec, "TIMESTAMP", "2026-11-22T08:45:53.001000111Z");
	test_has(&rec, "EVENT_ACTION", "connect");
	test_has(&rec, "EVENT_OUTCOME", "success");
	test_has(&rec, "EVENT_SEQUENCE", "1");
	test_has(&rec, "NETWORK_TRANSPORT", "tcp");
	test_has(&rec, "NETWORK_DIRECTION", "egress");
	test_has(&rec, "SOURCE_IP", "10.0.0.5");
	test_has(&rec, "SOURCE_PORT", "40871");
	test_has(&rec, "DESTINATION_IP", "10.0.3.9");
	test_has(&rec, "DESTINATION_PORT", "5432");
	test_has(&rec, "PORTTRACE_DESTINATION_SERVICE", "postgresql");
	test_has(&rec, "PORTTRACE_SOURCE_EPHEMERAL", "true");
	test_has(&rec, "PORTTRACE_ASSIGNMENT_HOW", "connect");
	test_has(&rec, "PORTTRACE_SOCKET_NETNS", "4026531840");
	test_has(&rec, "OBJECT_PID", "4312");
	test_has(&rec, "PROCESS_PID", "4312");
	test_has(&rec, "PROCESS_NAME", "api");
	test_has(&rec, "PROCESS_EXECUTABLE", "/usr/sbin/nginx");
	test_has(&rec, "USER_ID", "0");
	test_has(&rec, "USER_NAME", "root");
	assert_null(test_field(&rec, "ERROR_TYPE"));
	free((void *)rec.data);
}

/* source is who opened the connection, as in JSON: here the peer. */
static void test_accept(void **state)
{
	struct event ev = events_accept();
	struct feed_record rec = feeds_record(&journal_fields, &ev);

	(void)state;
	test_has(&rec, "SOURCE_IP", "10.0.0.9");
	test_has(&rec, "SOURCE_PORT", "51514");
	test_has(&rec, "DESTINATION_PORT", "443");
	test_has(&rec, "NETWORK_DIRECTION", "ingress");
	free((void *)rec.data);
}

static void test_failure(void **state)
{
	struct event ev = events_connect_failed();
	struct feed_record rec;

	(void)state;
	ev.cause = CAUSE_PORT_EXHAUSTED;
	strcpy(ev.reason, "no free local port for this destination");
	rec = feeds_record(&journal_fields, &ev);
	test_has(&rec, "PRIORITY", "4");
	test_has(&rec, "EVENT_OUTCOME", "failure");
	test_has(&rec, "EVENT_REASON", "no free local port for this destination");
	test_has(&rec, "ERROR_TYPE", "EADDRNOTAVAIL");
	test_has(&rec, "ERROR_CODE", "99");
	test_has(&rec, "PORTTRACE_CAUSE", "port_exhausted");
	assert_null(test_field(&rec, "SOURCE_PORT"));
	assert_non_null(strstr(test_field(&rec, "MESSAGE"), "EADDRNOTAVAIL no free local port"));
	free((void *)rec.data);
}

static void test_holder(void **state)
{
	struct event ev = events_bind_in_use();
	struct feed_record rec = feeds_record(&journal_fields, &ev);

	(void)state;
	test_has(&rec, "PORTTRACE_HOLDER_KIND", "listener");
	test_has(&rec, "PORTTRACE_HOLDER_PROCESS_PID", "977");
	test_has(&rec, "PORTTRACE_HOLDER_USER_NAME", "www-data");
	test_has(&rec, "DESTINATION_PORT", "443");
	free((void *)rec.data);
}

/* Every kind has an id of its own, of 32 hexadecimal digits. */
static void test_ids(void **state)
{
	(void)state;
	for (int i = 0; i <= EVENT_KIND_COUNT; i++) {
		assert_int_equal(strspn(journal_fields_ids[i], "0123456789abcdef"), 32);
		assert_int_equal(strlen(journal_fields_ids[i]), 32);
		for (int k = 0; k < i; k++)
			assert_string_not_equal(journal_fields_ids[i], journal_fields_ids[k]);
	}
}

/* The bytes that a process may call itself stay as they are, and forge no field. */
static void test_hostile(void **state)
{
	static const char *const names[] = { "a\nPRIORITY=0", "\x1b[31mred", "\"q\\", "\xff\xfe", "\n", "=",
					     "\xe2\x80\xae" };

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct event ev = events_connect();
		struct event_who *who = events_who(&ev);
		struct feed_record rec;

		strcpy(ev.name, names[i]);
		memset(who->executable, "\n\x1b\xff/"[i % 4], sizeof(who->executable)); /* no NUL at its end */
		memset(who->command_line, '\n', sizeof(who->command_line));
		snprintf(who->container_id, sizeof(who->container_id), "%s%s", names[i], names[i]);
		rec = feeds_record(&journal_fields, &ev);
		test_has(&rec, "PROCESS_NAME", names[i]);
		test_has(&rec, "CONTAINER_ID", who->container_id);
		test_has(&rec, "PRIORITY", "6");
		assert_int_equal(strlen(test_field(&rec, "PROCESS_EXECUTABLE")), sizeof(who->executable));
		test_is_readable(test_field(&rec, "MESSAGE"));
		free((void *)rec.data);
	}
}

/* Everything at its longest fits. */
static void test_longest(void **state)
{
	struct event ev = events_bind_in_use();
	struct feed_record rec;

	(void)state;
	memset(ev.name, 1, sizeof(ev.name));
	memset(events_who(&ev)->executable, '\n', sizeof(events_who(&ev)->executable));
	memset(events_who(&ev)->command_line, '\n', sizeof(events_who(&ev)->command_line));
	memset(ev.reason, 1, sizeof(ev.reason) - 1);
	memset(events_who(&ev)->unit, '\n', sizeof(events_who(&ev)->unit));
	memset(events_who(&ev)->container_id, '\n', sizeof(events_who(&ev)->container_id));
	memset(events_who(&ev)->pod_uid, '\n', sizeof(events_who(&ev)->pod_uid));
	memset(events_who(&ev)->user, '\n', sizeof(events_who(&ev)->user));
	memset(ev.holder.name, 1, sizeof(ev.holder.name));
	memset(ev.holder.user, 1, sizeof(ev.holder.user));
	memset(ev.holder.container_id, '\n', sizeof(ev.holder.container_id));
	rec = feeds_record(&journal_fields, &ev);
	test_is_readable(test_field(&rec, "MESSAGE"));
	free((void *)rec.data);
}

static void test_stats(void **state)
{
	struct stats_sink sinks[2] = {
		{ .name = "file:/a\nPRIORITY=0", .delivered = 12, .lost_queue = 3 },
		{ .name = "b:" },
	};
	struct stats st = { .time_ns = EVENTS_TIME_NS, .since_ns = EVENTS_TIME_NS, .sequence = 7, .seen = 20,
			    .emitted = 18, .lost_kernel = 2, .evicted = 5, .sinks = sinks, .sink_count = 2 };
	struct feed_run run = { "h", "r", "b" };
	char text[16384];
	struct buf b = { .data = text, .size = sizeof(text) };
	void *fields = calloc(1, journal_fields.state_size);
	struct feed_record rec;
	int found = 0;

	(void)state;
	journal_fields.init(fields, &run);
	assert_true(journal_fields.stats(fields, &st, &b));
	free(fields);
	rec = (struct feed_record){ .data = text, .size = (uint32_t)b.len };
	for (const char *at = text; at < text + b.len;) {
		struct test_field f = test_next(&at, text + b.len);

		if (!strcmp(f.name, "PORTTRACE_STATS_SINKS"))
			assert_true(!found++ == !memcmp(f.value, "12 delivered, 3 lost_queue, ", 28));
	}
	assert_int_equal(found, 2);
	test_has(&rec, "EVENT_KIND", "metric");
	test_has(&rec, "PORTTRACE_STATS_SEEN", "20");
	test_has(&rec, "PORTTRACE_STATS_LOST_KERNEL", "2");
	test_has(&rec, "PORTTRACE_STATS_EVICTED", "5");
	test_has(&rec, "MESSAGE", "porttrace: 20 seen, 18 given out, 0 filtered, 2 lost");
}

/* ---- the socket ---- */

static char test_dir[] = "/tmp/porttrace-journal-XXXXXX";
static char test_path[64];

static int test_setup(void **state)
{
	(void)state;
	if (!mkdtemp(test_dir))
		return -1;
	snprintf(test_path, sizeof(test_path), "%s/socket", test_dir);
	return 0;
}

static int test_teardown(void **state)
{
	(void)state;
	unlink(test_path);
	return rmdir(test_dir);
}

static int test_listen(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	unlink(test_path);
	strcpy(a.sun_path, test_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void test_open(struct feeds *f)
{
	char uri[80];

	snprintf(uri, sizeof(uri), "journal:%s", test_path);
	assert_int_equal(feeds_open(f, uri), 0);
}

/* A journald that stands still: the kernel's queue fills, nothing is lost, nothing waits. */
static void test_stopped(void **state)
{
	struct event ev = events_connect();
	struct feed_record recs[64];
	char room[16384];
	struct feeds f;
	size_t took, got = 0;
	int fd = test_listen();

	(void)state;
	test_open(&f);
	recs[0] = feeds_record(&journal_fields, &ev);
	for (size_t i = 1; i < 64; i++)
		recs[i] = recs[0];
	took = f.ops->deliver(f.state, recs, 64);
	if (took == 64)
		skip(); /* net.unix.max_dgram_qlen is large here */
	assert_int_equal(feeds_delivered(&f), took);
	assert_int_equal(f.ops->deliver(f.state, recs, 64), 0);
	assert_string_equal(f.status.trouble, "");
	while (recv(fd, room, sizeof(room), 0) == (ssize_t)recs[0].size)
		got++;
	assert_int_equal(got, took);
	assert_true(f.ops->deliver(f.state, recs, 1));
	assert_int_equal(feeds_lost(&f), 0);
	feeds_close(&f);
	free((void *)recs[0].data);
	close(fd);
}

/* Not there, there, gone, there again: trouble, and no record is lost or sent twice. */
static void test_restart(void **state)
{
	struct event ev = events_connect();
	struct feed_record rec = feeds_record(&journal_fields, &ev);
	char room[16384];
	struct feeds f;
	int fd;

	(void)state;
	unlink(test_path);
	test_open(&f);
	assert_int_equal(f.ops->deliver(f.state, &rec, 1), 0);
	assert_string_equal(f.status.trouble, "cannot connect: No such file or directory");
	for (int i = 0; i < 2; i++) {
		fd = test_listen();
		assert_true(feeds_give(&f, &rec));
		assert_string_equal(f.status.trouble, "");
		assert_int_equal(recv(fd, room, sizeof(room), 0), rec.size);
		assert_int_equal(recv(fd, room, sizeof(room), 0), -1);
		close(fd);
		assert_int_equal(f.ops->deliver(f.state, &rec, 1), 0);
		assert_string_equal(f.status.trouble, "cannot write: Connection refused");
	}
	assert_int_equal(feeds_delivered(&f), 2);
	assert_int_equal(feeds_lost(&f), 0);
	feeds_close(&f);
	free((void *)rec.data);
}

/* Longer than the socket takes: a sealed file. */
static void test_too_long(void **state)
{
	static char big[400000];
	struct feed_record rec = { .data = big, .size = sizeof(big) };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_control = &control, .msg_controllen = sizeof(control) };
	struct feeds f;
	int fd = test_listen(), file;
	char *back = malloc(sizeof(big) + 1);

	(void)state;
	memset(big, 'x', sizeof(big));
	memcpy(big, "MESSAGE=", 8);
	test_open(&f);
	assert_int_equal(f.ops->deliver(f.state, &rec, 1), 1);
	assert_int_equal(recvmsg(fd, &message, 0), 0);
	assert_int_equal(control.head.cmsg_type, SCM_RIGHTS);
	memcpy(&file, CMSG_DATA(&control.head), sizeof(file));
	assert_int_equal(pread(file, back, sizeof(big) + 1, 0), sizeof(big));
	assert_memory_equal(back, big, sizeof(big));
	assert_int_equal(fcntl(file, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	assert_int_equal(feeds_delivered(&f), 1);
	free(back);
	close(file);
	close(fd);
	feeds_close(&f);
}

static void test_bad_uri(void **state)
{
	struct feeds f;

	(void)state;
	assert_int_equal(feeds_open(&f, "journal:relative"), -EINVAL);
	assert_non_null(strstr(f.err, "absolute path"));
	f.ops = NULL;
	feeds_close(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connect),	 cmocka_unit_test(test_accept),	 cmocka_unit_test(test_failure),
		cmocka_unit_test(test_holder),	 cmocka_unit_test(test_ids),	 cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_longest),	 cmocka_unit_test(test_stats),	 cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_restart),	 cmocka_unit_test(test_too_long), cmocka_unit_test(test_bad_uri),
	};

	return cmocka_run_group_tests(tests, test_setup, test_teardown);
}
