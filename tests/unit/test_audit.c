// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The ledger against made-up tables of the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "audit.h"
#include "capture.h"
#include "events.h"

enum { INUM = 4026531840, SECOND = 1000000000 };

static struct snapshot_socket kernel_socket(uint64_t cookie, enum sockdiag_state state, int port, int remote_port)
{
	struct snapshot_socket sock = { .netns_inum = INUM };

	sock.sock.proto = PROTO_TCP;
	sock.sock.state = state;
	sock.sock.local = events_endpoint("10.0.0.1", port);
	sock.sock.remote = events_endpoint("10.0.0.2", remote_port);
	sock.sock.cookie = cookie;
	sock.sock.inode = 1;
	return sock;
}

static void adopt(void *arg, struct event *ev, uint64_t until_ns)
{
	sockets_adopt(arg, ev, until_ns);
}

static struct audit compare_after_loss(struct sockets *s, struct snapshot_socket *list, size_t count, bool lossy)
{
	struct audit_options opts = { .now_ns = 10 * (uint64_t)SECOND, .lists_bound = true, .lossy = lossy };
	struct snapshot snap = { .sockets = list, .count = count };
	struct audit ret;

	assert_int_equal(audit_compare(s, &snap, &opts, &ret), 0);
	return ret;
}

static struct audit compare(struct sockets *s, struct snapshot_socket *list, size_t count)
{
	return compare_after_loss(s, list, count, false);
}

static struct sockets *ledger_of(struct snapshot_socket *list, size_t count)
{
	struct snapshot snap = { .sockets = list, .count = count };
	struct sockets *s;

	assert_int_equal(sockets_new(100, &s), 0);
	assert_int_equal(capture_snapshot(&snap, 10 * (uint64_t)SECOND, false, adopt, s), 0);
	return s;
}

#define TOLD_COUNT 10000

struct told {
	bool cookies[TOLD_COUNT + 1];
	size_t count, open;
	uint64_t until_ns; /* of the last */
};

static void tell(void *arg, struct event *ev, uint64_t until_ns)
{
	struct told *told = arg;

	assert_in_range(ev->cookie, 1, TOLD_COUNT);
	assert_false(told->cookies[ev->cookie]);
	assert_true(until_ns >= told->until_ns);
	told->cookies[ev->cookie] = true;
	told->count++;
	told->open += until_ns == 0;
	told->until_ns = until_ns;
}

/* Open ones first, then those that wait, by their ends; and no memory is left of them. */
static void test_a_snapshot_is_told(void **state)
{
	struct snapshot snap = { .sockets = calloc(TOLD_COUNT, sizeof(*snap.sockets)), .room = TOLD_COUNT };
	struct told told = { 0 };

	(void)state;
	assert_non_null(snap.sockets);
	for (size_t i = 0; i < TOLD_COUNT; i++) {
		snap.sockets[i] = kernel_socket(i + 1, SOCKDIAG_ESTABLISHED, 80, 4000);
		snap.sockets[i].sock.waits = i % 3 == 1;
		snap.sockets[i].sock.expires_ms = i % 3 == 1 ? 1 + (uint32_t)(i * 7919 % 60000) : 0;
	}
	snap.count = TOLD_COUNT;
	assert_int_equal(capture_snapshot(&snap, 10 * (uint64_t)SECOND, false, tell, &told), 0);
	assert_int_equal(told.count, TOLD_COUNT);
	assert_int_equal(told.open, TOLD_COUNT - TOLD_COUNT / 3);
	assert_int_equal(snap.count, 0);
	assert_in_range(snap.room, 0, TOLD_COUNT / 2);
	snapshot_free(&snap);
}

static void test_a_snapshot_equals_itself(void **state)
{
	struct snapshot_socket list[] = {
		kernel_socket(1, SOCKDIAG_LISTEN, 80, 0),
		kernel_socket(2, SOCKDIAG_ESTABLISHED, 80, 4000),
		kernel_socket(3, SOCKDIAG_CLOSE, 81, 0),
		kernel_socket(4, SOCKDIAG_TIME_WAIT, 4001, 80),
	};
	struct sockets *s;
	struct audit a;

	(void)state;
	list[3].sock.waits = true;
	list[3].sock.expires_ms = 30000;
	s = ledger_of(list, 4);
	a = compare(s, list, 4);
	assert_int_equal(a.count, 0);
	assert_int_equal(a.compared, 4);
	audit_free(&a);
	sockets_free(s);
}

static void test_differences_are_named(void **state)
{
	struct snapshot_socket list[] = {
		kernel_socket(1, SOCKDIAG_LISTEN, 80, 0),
		kernel_socket(2, SOCKDIAG_ESTABLISHED, 80, 4000),
		kernel_socket(3, SOCKDIAG_LISTEN, 82, 0),
	};
	struct sockets *s = ledger_of(list, 2);
	struct audit a, b;

	(void)state;
	list[1].sock.state = SOCKDIAG_LISTEN; /* state */
	list[1].sock.remote.port = 0;
	a = compare(s, list + 1, 2); /* 1 is stale, 3 is missing */
	assert_int_equal(audit_differences(&a), 3);
	assert_int_equal(a.list[0].fault, AUDIT_STATE);
	assert_int_equal(a.list[1].fault, AUDIT_MISSING);
	assert_int_equal(a.list[1].cookie, 3);
	assert_int_equal(a.list[2].fault, AUDIT_STALE);
	assert_int_equal(a.list[2].cookie, 1);
	b = compare(s, list, 3); /* only what both looks have counts */
	audit_intersect(&b, &a);
	assert_int_equal(audit_differences(&b), 2);
	assert_int_equal(b.list[1].fault, AUDIT_MISSING);
	audit_free(&b);
	b = compare_after_loss(s, list + 1, 2, true); /* a lost event may have told of each */
	assert_int_equal(audit_differences(&b), 0);
	assert_int_equal(b.faults[AUDIT_LOST], 3);
	audit_free(&a);
	audit_free(&b);
	sockets_free(s);
}

/* A connected UDP socket whose peer is gone, and a connection that another process has now. */
static void test_what_no_event_tells_is_no_difference(void **state)
{
	struct snapshot_socket list[] = { kernel_socket(1, SOCKDIAG_ESTABLISHED, 80, 4000),
					  kernel_socket(2, SOCKDIAG_ESTABLISHED, 81, 4001) };
	struct owner owners[] = { { .pid = 7 }, { .pid = 8 } };
	struct snapshot snap = { .sockets = list, .count = 2, .owners = { .list = owners, .count = 2 } };
	struct audit_options opts = { .now_ns = 10 * (uint64_t)SECOND };
	struct sockets *s;
	struct audit a;

	(void)state;
	list[0].sock.proto = PROTO_UDP;
	list[1].owner_count = 1;
	assert_int_equal(sockets_new(100, &s), 0);
	assert_int_equal(capture_snapshot(&snap, 10 * (uint64_t)SECOND, false, adopt, s), 0);
	snap.count = 2;
	list[0].sock.state = SOCKDIAG_CLOSE;
	list[0].sock.remote.port = 0;
	list[1].owner_first = 1;
	assert_int_equal(audit_compare(s, &snap, &opts, &a), 0);
	assert_int_equal(audit_differences(&a), 0);
	assert_int_equal(a.faults[AUDIT_UNSEEN], 1);
	assert_int_equal(a.faults[AUDIT_PASSED_ON], 1);
	assert_int_equal(a.list[1].kernel_pid, 8);
	assert_int_equal(a.list[1].ledger_pid, 7);
	audit_free(&a);
	sockets_free(s);
}

/* A connect under way; with cgroup programs UDP's autobind and connect. Of TCP's other states nothing is excused. */
static void test_what_cgroup_programs_do_not_see(void **state)
{
	struct snapshot_socket list[] = { kernel_socket(1, SOCKDIAG_SYN_SENT, 4000, 80),
					  kernel_socket(2, SOCKDIAG_CLOSE, 4001, 0),
					  kernel_socket(3, SOCKDIAG_ESTABLISHED, 4002, 53),
					  kernel_socket(4, SOCKDIAG_ESTABLISHED, 4003, 80) };
	struct snapshot snap = { .sockets = list, .count = 4 };
	struct audit_options opts = { .now_ns = 10 * (uint64_t)SECOND, .by_cookie = true };
	struct sockets *s;
	struct audit a;

	(void)state;
	list[1].sock.proto = PROTO_UDP;
	list[2].sock.proto = PROTO_UDP;
	list[2].sock.remote.port = 0;
	s = ledger_of(list + 2, 1);
	list[2].sock.remote.port = 53;
	assert_int_equal(audit_compare(s, &snap, &opts, &a), 0);
	assert_int_equal(a.faults[AUDIT_UNSEEN], 3);
	assert_int_equal(audit_differences(&a), 1);
	assert_int_equal(a.faults[AUDIT_MISSING], 1);
	audit_free(&a);
	opts.by_cookie = false;
	assert_int_equal(audit_compare(s, &snap, &opts, &a), 0);
	assert_int_equal(audit_differences(&a), 3);
	assert_int_equal(a.faults[AUDIT_UNSEEN], 1);
	audit_free(&a);
	sockets_free(s);
}

static void count_gone(void *arg, const struct sockets_view *view)
{
	(void)view;
	++*(size_t *)arg;
}

static void test_what_no_event_tells_is_forgotten(void **state)
{
	struct snapshot_socket list[] = { kernel_socket(1, SOCKDIAG_LISTEN, 80, 0),
					  kernel_socket(2, SOCKDIAG_LISTEN, 81, 0) };
	struct snapshot now = { .sockets = list, .count = 1 };
	uint64_t cookies[] = { 1 };
	struct sockets *s = ledger_of(list, 2);
	struct audit_options opts = { .lists_bound = true };
	size_t gone = 0;

	(void)state;
	assert_int_equal(audit_reconcile(s, &now, &opts, count_gone, &gone), 0);
	assert_int_equal(gone, 1);
	assert_int_equal(sockets_count(s), 1);
	assert_int_equal(audit_reconcile(s, &now, &opts, count_gone, &gone), 0);
	assert_int_equal(gone, 1);
	now = (struct snapshot){ .cookies = cookies, .count = 1 };
	assert_int_equal(audit_reconcile(s, &now, &opts, count_gone, &gone), 0);
	assert_int_equal(gone, 1);
	now.count = 0;
	assert_int_equal(audit_reconcile(s, &now, &opts, count_gone, &gone), 0);
	assert_int_equal(gone, 2);
	assert_int_equal(sockets_count(s), 0);
	sockets_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_snapshot_is_told),
		cmocka_unit_test(test_a_snapshot_equals_itself),
		cmocka_unit_test(test_differences_are_named),
		cmocka_unit_test(test_what_no_event_tells_is_no_difference),
		cmocka_unit_test(test_what_cgroup_programs_do_not_see),
		cmocka_unit_test(test_what_no_event_tells_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
