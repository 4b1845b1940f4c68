// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The history in a real file: what was told is what can be asked, also after the writer was killed. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <cmocka.h>

#include "events.h"
#include "history.h"

#define SECOND UINT64_C(1000000000)
#define FOUND_MAX 64

static char dir[] = "/tmp/porttrace-history-XXXXXX";
static char path[64];
static char err[HISTORY_ERR_SIZE];

struct found {
	size_t count;
	struct history_life lives[FOUND_MAX];
	char names[FOUND_MAX][32];
};

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * SECOND + (uint64_t)ts.tv_nsec;
}

static int fresh(void **state)
{
	static int number;

	(void)state;
	if (!number)
		assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/%d/history.db", dir, ++number);
	err[0] = '\0';
	return 0;
}

static int sweep(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct history *writer(uint64_t max_age_s, uint64_t max_bytes)
{
	struct history_options opts = { path, max_age_s, max_bytes, 0 };
	struct history *h = NULL;
	int r = history_open(&opts, &h, err);

	if (r < 0)
		fail_msg("%s", err);
	return h;
}

static int refused(void)
{
	struct history_options opts = { .path = path };
	struct history *h = NULL;
	int r = history_open(&opts, &h, err);

	assert_null(h);
	assert_true(r < 0 && strlen(err) > 10);
	return r;
}

static int keep(void *arg, const struct history_life *life)
{
	struct found *found = arg;

	assert_true(found->count < FOUND_MAX);
	snprintf(found->names[found->count], sizeof(found->names[0]), "%s", life->name);
	found->lives[found->count++] = *life;
	return 0;
}

static struct history_query any(void)
{
	return (struct history_query){ .port = -1, .remote_port = -1, .proto = -1 };
}

static struct found ask(struct history_query query)
{
	struct found found = { 0 };
	struct history_reader *r = NULL;

	if (history_reader_open(path, &r, err) < 0)
		fail_msg("%s", err);
	assert_int_equal(history_find(r, &query, keep, &found), 0);
	history_reader_close(r);
	return found;
}

static struct found ask_at(int port, uint64_t at_ns)
{
	struct history_query query = any();

	query.port = port;
	query.from_ns = query.to_ns = at_ns;
	return ask(query);
}

/* A connect by `name`, as the ledger hands it on. */
static struct event opened(uint64_t life, int port, uint64_t at_ns, const char *name)
{
	struct event ev = events_connect();

	ev.life = life;
	ev.life_state = LIFE_CONNECTED;
	ev.life_begin_ns = ev.time_ns = at_ns;
	ev.local.port = (uint16_t)port;
	ev.cookie = 5000 + life;
	snprintf(ev.name, sizeof(ev.name), "%s", name);
	return ev;
}

static struct event ended(struct event ev, uint64_t at_ns, enum life_state state)
{
	ev.kind = state == LIFE_OVER && ev.kind == EVENT_CLOSE ? EVENT_RELEASE : EVENT_CLOSE;
	ev.life_state = state;
	ev.time_ns = at_ns;
	ev.cause = CAUSE_RESET;
	ev.has_bytes = true;
	ev.bytes_sent = 11;
	ev.bytes_received = 22;
	return ev;
}

static void a_life_is_one_row(void **state)
{
	uint64_t t = now_ns() - 100 * SECOND;
	struct event ev = opened(1, 40001, t, "api"), before = opened(2, 40002, t, "x");
	struct history_stats stats;
	struct history *h = writer(0, 0);
	struct found found;

	(void)state;
	history_add(h, &ev);
	ev = ended(ev, t + 10 * SECOND, LIFE_TIME_WAIT);
	history_add(h, &ev);
	ev = ended(ev, t + 50 * SECOND, LIFE_OVER);
	history_add(h, &ev);
	before.life = 0;
	history_add(h, &before);
	assert_int_equal(history_sync(h), 0);
	history_read_stats(h, &stats);
	assert_int_equal(stats.written, 3);
	assert_int_equal(stats.dropped + stats.evicted, 0);
	found = ask(any());
	assert_int_equal(found.count, 1);
	assert_string_equal(found.names[0], "api");
	assert_int_equal(found.lives[0].begin_ns, t);
	assert_int_equal(found.lives[0].end_ns, t + 10 * SECOND);
	assert_int_equal(found.lives[0].free_ns, t + 50 * SECOND);
	assert_int_equal(found.lives[0].state, LIFE_OVER);
	assert_int_equal(found.lives[0].held, LIFE_CONNECTED);
	assert_int_equal(found.lives[0].how, HOW_CONNECT);
	assert_int_equal(found.lives[0].role, ROLE_EGRESS);
	assert_int_equal(found.lives[0].cause, CAUSE_RESET);
	assert_int_equal(found.lives[0].cookie, 5001);
	assert_int_equal(found.lives[0].pid, 4312);
	assert_true(found.lives[0].has_bytes && found.lives[0].bytes_sent == 11 && found.lives[0].bytes_received == 22);
	assert_memory_equal(found.lives[0].remote.addr, ((uint8_t[]){ 10, 0, 3, 9 }), 4);
	history_close(h);
}

static void asked_for_a_moment(void **state)
{
	uint64_t t = now_ns() - 1000 * SECOND;
	struct history *h = writer(0, 0);
	struct event ev;

	(void)state;
	/* the same port three times: over, in TIME_WAIT without a release, open */
	ev = opened(1, 51707, t, "first");
	history_add(h, &ev);
	ev = ended(ev, t + 10 * SECOND, LIFE_OVER);
	history_add(h, &ev);
	ev = opened(2, 51707, t + 20 * SECOND, "second");
	history_add(h, &ev);
	ev = ended(ev, t + 30 * SECOND, LIFE_TIME_WAIT);
	history_add(h, &ev);
	ev = opened(3, 51707, t + 200 * SECOND, "third");
	history_add(h, &ev);
	history_close(h);
	assert_int_equal(ask_at(51707, t - 1).count, 0);
	assert_string_equal(ask_at(51707, t + 5 * SECOND).names[0], "first");
	assert_int_equal(ask_at(51707, t + 15 * SECOND).count, 0);
	assert_string_equal(ask_at(51707, t + 25 * SECOND).names[0], "second");
	assert_string_equal(ask_at(51707, t + 89 * SECOND).names[0], "second");
	assert_int_equal(ask_at(51707, t + 91 * SECOND).count, 0);
	assert_string_equal(ask_at(51707, t + 201 * SECOND).names[0], "third");
	assert_int_equal(ask_at(51708, t + 201 * SECOND).count, 0);
	assert_int_equal(ask_at(51707, now_ns() + SECOND).count, 0);
}

static void asked_by_everything(void **state)
{
	uint64_t t = now_ns() - 100 * SECOND;
	struct history *h = writer(0, 0);
	struct event ev[3] = { opened(1, 1001, t, "one"), opened(2, 1002, t + SECOND, "two"),
			       opened(3, 1003, t + 2 * SECOND, "two") };
	struct history_query q;

	(void)state;
	ev[1].pid = 77;
	ev[1].proto = PROTO_UDP;
	ev[1].remote = events_endpoint("2001:db8::9", 53);
	ev[2].netns_inum = 5;
	ev[2].local = events_endpoint("10.9.9.9", 1003);
	for (int i = 0; i < 3; i++)
		history_add(h, &ev[i]);
	history_close(h);
	q = any();
	assert_int_equal(ask(q).lives[0].local.port, 1003);
	q.limit = 2;
	assert_int_equal(ask(q).count, 2);
	q = any(), q.pid = 77;
	assert_int_equal(ask(q).lives[0].local.port, 1002);
	assert_int_equal(ask(q).count, 1);
	q = any(), q.name = "two";
	assert_int_equal(ask(q).count, 2);
	q = any(), q.proto = PROTO_UDP;
	assert_int_equal(ask(q).count, 1);
	q = any(), q.remote_port = 53;
	assert_int_equal(ask(q).count, 1);
	q = any(), q.address = events_endpoint("2001:db8::9", -1);
	assert_int_equal(ask(q).lives[0].local.port, 1002);
	q.address = events_endpoint("10.9.9.9", -1);
	assert_int_equal(ask(q).lives[0].local.port, 1003);
	q = any(), q.netns_inum = 5;
	assert_int_equal(ask(q).count, 1);
	q = any(), q.cookie = 5001;
	assert_string_equal(ask(q).names[0], "one");
	q = any(), q.to_ns = t + SECOND / 2;
	assert_int_equal(ask(q).count, 1);
}

/* The writer of this test is a process of its own, killed while it waits. */
static void kill_a_writer(const struct event *ev, size_t count)
{
	int ready[2], status;
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct history_options opts = { .path = path };
		struct history *h = NULL;

		if (history_open(&opts, &h, err) < 0)
			_exit(1);
		for (size_t i = 0; i < count; i++)
			history_add(h, &ev[i]);
		_exit(history_sync(h) < 0 || write(ready[1], "k", 1) != 1 || pause());
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
}

static void a_killed_writer_leaves_all(void **state)
{
	uint64_t t = now_ns(), before, after;
	struct event ev = opened(1, 40001, t, "gone"), other = opened(2, 40002, t, "other");
	struct event both[] = { ev, other };
	struct history_reader *r = NULL;
	struct history *h;
	uint64_t killed, again;

	(void)state;
	kill_a_writer(both, 2);
	killed = now_ns();
	usleep(200000);
	h = writer(0, 0);
	again = now_ns();
	/* lives are counted from 1 again; the first socket is still there, the second is not */
	other = opened(1, 40003, again, "new");
	history_add(h, &other);
	ev.life = 2;
	ev.kind = EVENT_LISTEN;
	ev.snapshot = true;
	ev.life_begin_ns = 0;
	ev.time_ns = again;
	ev.name[0] = '\0';
	ev.pid = 0;
	history_add(h, &ev);
	assert_int_equal(history_sync(h), 0);
	ev = ended(ev, again + SECOND / 100, LIFE_OVER);
	ev.snapshot = false;
	history_add(h, &ev);
	history_close(h);

	assert_int_equal(ask(any()).count, 3);
	assert_int_equal(ask_at(40001, again).count, 1);
	assert_string_equal(ask_at(40001, again).names[0], "gone");
	assert_int_equal(ask_at(40001, again).lives[0].begin_ns, t);
	assert_int_equal(ask_at(40001, again).lives[0].end_ns, again + SECOND / 100);
	assert_int_equal(ask_at(40002, again).count, 0);
	assert_int_equal(ask_at(40003, again).count, 1);
	assert_int_equal(history_reader_open(path, &r, err), 0);
	assert_int_equal(history_covers(r, again, &before, &after), 1);
	assert_int_equal(history_covers(r, killed + SECOND / 10, &before, &after), 0);
	assert_true(before <= killed && before + SECOND >= killed);
	assert_true(after >= killed && after <= again + SECOND / 10);
	assert_int_equal(history_covers(r, t - SECOND, &before, &after), 0);
	assert_true(before == 0 && after >= t);
	assert_int_equal(history_covers(r, now_ns() + SECOND, &before, &after), 0);
	assert_true(before && after == 0);
	history_reader_close(r);
}

static void one_writer(void **state)
{
	struct history *h = writer(0, 0);
	struct stat st;

	(void)state;
	assert_int_equal(refused(), -EBUSY);
	assert_non_null(strstr(err, "another porttrace"));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	history_close(h);
	history_close(writer(0, 0));
	history_close(NULL);
}

static void forgets_by_age(void **state)
{
	uint64_t t = now_ns(), before, after;
	struct history *h = writer(3600, 0);
	struct event ev[] = { opened(1, 1, t - 7300 * SECOND, "old"), opened(2, 2, t - 7200 * SECOND, "open"),
			      opened(3, 3, t - 60 * SECOND, "new") };
	struct event end = ended(ev[0], t - 7000 * SECOND, LIFE_OVER);
	struct history_reader *r = NULL;
	struct history_stats stats;
	struct found found;

	(void)state;
	history_add(h, &ev[0]);
	history_add(h, &end);
	history_add(h, &ev[1]);
	history_add(h, &ev[2]);
	assert_int_equal(history_sync(h), 0);
	history_read_stats(h, &stats);
	assert_int_equal(stats.evicted, 1);
	found = ask(any());
	assert_int_equal(found.count, 2);
	assert_string_equal(found.names[1], "open");
	assert_int_equal(history_reader_open(path, &r, err), 0);
	assert_int_equal(history_covers(r, t - 7100 * SECOND, &before, &after), 0);
	history_reader_close(r);
	history_close(h);
}

static void forgets_by_size(void **state)
{
	uint64_t t = now_ns() - 100 * SECOND, before, after;
	struct history *h = writer(0, 2 << 20);
	struct history_reader *r = NULL;
	struct history_stats stats;
	struct history_summary sum;

	(void)state;
	for (uint64_t i = 1; i <= 40000; i++) {
		struct event ev = opened(i, (int)(i % 60000), t + i * 1000000, "many");

		history_add(h, &ev);
		ev = ended(ev, ev.time_ns + 1000, LIFE_OVER);
		history_add(h, &ev);
		if (i % 5000 == 0)
			assert_int_equal(history_sync(h), 0);
	}
	assert_int_equal(history_sync(h), 0);
	history_read_stats(h, &stats);
	assert_int_equal(stats.written, 80000);
	assert_int_equal(stats.error, 0);
	assert_true(stats.evicted >= 20000 && stats.evicted < 40000);
	assert_int_equal(history_reader_open(path, &r, err), 0);
	assert_int_equal(history_summarise(r, &sum), 0);
	assert_int_equal(sum.lives, 40000 - stats.evicted);
	assert_true(sum.bytes <= 3 << 20);
	assert_int_equal(sum.runs, 1);
	/* what is left is the newest, and what is not is not claimed */
	assert_int_equal(ask_at(40000, t + 40000 * UINT64_C(1000000)).count, 1);
	assert_int_equal(history_covers(r, t + SECOND, &before, &after), 0);
	history_reader_close(r);
	history_close(h);
}

static void write_file(const char *bytes, size_t size)
{
	int fd;
	char folder[64];

	snprintf(folder, sizeof(folder), "%s", path);
	*strrchr(folder, '/') = '\0';
	mkdir(folder, 0755);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, size), size);
	close(fd);
}

static void change_file(const char *sql)
{
	sqlite3 *db = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void files_of_others_are_refused(void **state)
{
	static const char text[] = "#!/bin/sh\n# certainly no data base, and longer than its head of a hundred bytes: "
				   "............................................................\n";
	struct history_reader *r = NULL;

	(void)state;
	assert_int_equal(history_reader_open(path, &r, err), -ENOENT);
	write_file(text, sizeof(text));
	assert_int_equal(refused(), -EINVAL);
	assert_int_equal(history_reader_open(path, &r, err), -EINVAL);
	unlink(path);
	change_file("CREATE TABLE bookmarks (url TEXT)");
	assert_int_equal(refused(), -EINVAL);
	assert_int_equal(history_reader_open(path, &r, err), -EINVAL);
	unlink(path);
	write_file("", 0);
	assert_int_equal(history_reader_open(path, &r, err), -EINVAL);
	history_close(writer(0, 0));
	change_file("PRAGMA user_version = 2");
	assert_int_equal(refused(), -EPROTONOSUPPORT);
	assert_int_equal(history_reader_open(path, &r, err), -EPROTONOSUPPORT);
	assert_null(r);
}

/* What a row says may be anything: it becomes unknown, not a crash. */
static void odd_values_are_unknown(void **state)
{
	struct event ev = opened(1, 80, now_ns(), "odd");
	struct history *h = writer(0, 0);
	struct found found;

	(void)state;
	history_add(h, &ev);
	history_close(h);
	change_file("UPDATE life SET proto = 99, state = -1, held = 1000000, how = 'x', role = 7, cause = 1e30,"
		    " local_ip = 'abc', remote_ip = x'00', local_port = 80000, since = 'y', over = 5, netns = -4;"
		    "UPDATE process SET name = x'ff00ff', pid = 'p'");
	found = ask(any());
	assert_int_equal(found.count, 1);
	assert_int_equal(found.lives[0].proto, 0);
	assert_int_equal(found.lives[0].state, 0);
	assert_int_equal(found.lives[0].cause, 0);
	assert_int_equal(found.lives[0].local.ip_version, 0);
}

/* Each page in turn is noise: an answer or an error, under the sanitizers. */
static void damage_is_told(void **state)
{
	struct history *h = writer(0, 0);
	uint64_t t = now_ns() - SECOND;
	struct stat st;

	(void)state;
	for (uint64_t i = 1; i <= 2000; i++) {
		struct event ev = opened(i, (int)i, t, "many");

		history_add(h, &ev);
	}
	history_close(h);
	assert_int_equal(stat(path, &st), 0);
	for (off_t at = 0; at < st.st_size; at += 4096) {
		char good[4096], noise[4096];
		int fd = open(path, O_RDWR), r;
		struct history_reader *reader = NULL;
		struct history_query query = any();
		struct found found = { 0 };

		for (size_t i = 0; i < sizeof(noise); i++)
			noise[i] = (char)rand();
		assert_int_equal(pread(fd, good, 4096, at), 4096);
		assert_int_equal(pwrite(fd, noise, 4096, at), 4096);
		r = history_reader_open(path, &reader, err);
		query.limit = FOUND_MAX;
		if (!r)
			r = history_find(reader, &query, keep, &found);
		assert_true(r <= 0);
		history_reader_close(reader);
		assert_int_equal(pwrite(fd, good, 4096, at), 4096);
		close(fd);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_life_is_one_row, fresh),
		cmocka_unit_test_setup(asked_for_a_moment, fresh),
		cmocka_unit_test_setup(asked_by_everything, fresh),
		cmocka_unit_test_setup(a_killed_writer_leaves_all, fresh),
		cmocka_unit_test_setup(one_writer, fresh),
		cmocka_unit_test_setup(forgets_by_age, fresh),
		cmocka_unit_test_setup(forgets_by_size, fresh),
		cmocka_unit_test_setup(files_of_others_are_refused, fresh),
		cmocka_unit_test_setup(odd_values_are_unknown, fresh),
		cmocka_unit_test_setup(damage_is_told, fresh),
	};

	return cmocka_run_group_tests(tests, NULL, sweep);
}
