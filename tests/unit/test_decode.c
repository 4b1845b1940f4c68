// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "decode.h"
#include "porttrace/raw_event.h"

static const struct decode decoder = { .backend = BACKEND_TRACING, .boot_offset_ns = 1000 };

static struct raw_event raw_event(enum raw_kind kind, int family)
{
	struct raw_event raw = {
		.magic = RAW_EVENT_MAGIC,
		.version = RAW_EVENT_VERSION,
		.kind = (uint8_t)kind,
		.family = (uint16_t)family,
		.protocol = IPPROTO_TCP,
		.time_ns = 5000,
		.pid = 42,
		.tid = 43,
		.comm = "nginx",
	};

	return raw;
}

static struct event decoded(const struct raw_event *raw)
{
	struct event ev;

	assert_int_equal(decode_event(&decoder, raw, sizeof(*raw), &ev), 0);
	return ev;
}

static void assert_refused(const void *record, size_t size)
{
	struct event ev, before;

	memset(&ev, 0x5a, sizeof(ev));
	before = ev;
	assert_int_equal(decode_event(&decoder, record, size, &ev), -EBADMSG);
	assert_memory_equal(&ev, &before, sizeof(ev));
}

static void test_refuses_what_is_no_record(void **state)
{
	struct raw_event good = raw_event(RAW_BIND, AF_INET), raw = good;

	(void)state;
	assert_refused(&raw, 0);
	assert_refused(&raw, sizeof(raw) - 1);
	raw.magic++;
	assert_refused(&raw, sizeof(raw));
	raw = good, raw.version++;
	assert_refused(&raw, sizeof(raw));
	raw = good, raw.kind = 0;
	assert_refused(&raw, sizeof(raw));
	raw = good, raw.kind = RAW_KIND_COUNT;
	assert_refused(&raw, sizeof(raw));
	raw = good, raw.how = RAW_HOW_COUNT;
	assert_refused(&raw, sizeof(raw));
	raw = good, raw.family = AF_UNIX;
	assert_refused(&raw, sizeof(raw));
	decoded(&good);
}

static void test_times_are_of_the_day(void **state)
{
	struct raw_event raw = raw_event(RAW_BIND, AF_INET);
	struct event ev;

	(void)state;
	raw.process_start_ns = 300;
	ev = decoded(&raw);
	assert_int_equal(ev.time_ns, 6000);
	assert_int_equal(ev.process_start_real_ns, 1300);
}

static void test_mapped_addresses_are_ipv4(void **state)
{
	struct raw_event raw = raw_event(RAW_CONNECT, AF_INET6);
	struct event ev;

	(void)state;
	inet_pton(AF_INET6, "::ffff:10.0.0.9", raw.remote_addr);
	raw.remote_port = 80;
	raw.local_port = 40000;
	ev = decoded(&raw);
	assert_int_equal(ev.ip_version, 4);
	assert_int_equal(ev.remote.ip_version, 4);
	assert_memory_equal(ev.remote.addr, "\x0a\x00\x00\x09", 4);
	/* the unbound v6 socket's own "::" is 0.0.0.0 then */
	assert_int_equal(ev.local.ip_version, 4);
}

static void test_failed_bind_shows_what_was_asked(void **state)
{
	struct raw_event raw = raw_event(RAW_BIND, AF_INET);
	struct event ev;

	(void)state;
	raw.flags = RAW_F_REQUESTED | RAW_F_FAILED;
	raw.error = EADDRINUSE;
	raw.requested_family = AF_INET;
	raw.requested_port = 443;
	memcpy(raw.requested_addr, "\x7f\x00\x00\x01", 4);
	raw.how = RAW_HOW_EXPLICIT;
	ev = decoded(&raw);
	assert_int_equal(ev.outcome, OUTCOME_FAILURE);
	assert_true(ev.local.has_port);
	assert_int_equal(ev.local.port, 443);
	assert_memory_equal(ev.local.addr, "\x7f\x00\x00\x01", 4);
	assert_string_equal(event_cause_names[ev.cause], "in_use");
	assert_string_equal(ev.reason, "the port is in use");
}

static void test_exhaustion_is_said(void **state)
{
	struct raw_event raw = raw_event(RAW_CONNECT, AF_INET);

	(void)state;
	raw.flags = RAW_F_REQUESTED | RAW_F_FAILED | RAW_F_SYN_SENT;
	raw.error = EADDRNOTAVAIL;
	raw.how = RAW_HOW_CONNECT;
	raw.remote_port = 5432;
	assert_string_equal(decoded(&raw).reason, "no free local port for this destination");
	/* the same errno on a socket that had its port: its address pair is taken, ports are not at an end */
	raw.how = RAW_HOW_NONE;
	assert_int_equal(decoded(&raw).cause, CAUSE_TUPLE_CLASH);
	/* and where the kernel did not come as far as looking for a port, it found no source address */
	raw.how = RAW_HOW_CONNECT;
	raw.flags &= ~(uint32_t)RAW_F_SYN_SENT;
	assert_int_equal(decoded(&raw).cause, CAUSE_NO_ADDRESS);
}

static void test_causes(void **state)
{
	static const struct {
		uint8_t kind, how;
		int error;
		uint32_t flags;
		uint16_t requested;
		enum event_cause cause;
	} cases[] = {
		{ RAW_BIND, RAW_HOW_BIND0, EADDRINUSE, 0, 0, CAUSE_PORT_EXHAUSTED },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EADDRINUSE, 0, 80, CAUSE_IN_USE },
		{ RAW_BIND, RAW_HOW_AUTOBIND, EAGAIN, 0, 0, CAUSE_PORT_EXHAUSTED },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EACCES, RAW_F_TRUTH, 80, CAUSE_PRIVILEGED },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EACCES, RAW_F_TRUTH, 8080, CAUSE_DENIED },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EACCES, RAW_F_TRUTH | RAW_F_DENIED, 80, CAUSE_DENIED },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EADDRNOTAVAIL, 0, 80, CAUSE_NOT_LOCAL },
		{ RAW_BIND, RAW_HOW_EXPLICIT, EINVAL, 0, 80, CAUSE_NONE },
		{ RAW_LISTEN, RAW_HOW_AUTOBIND, EADDRINUSE, 0, 0, CAUSE_PORT_EXHAUSTED },
		{ RAW_LISTEN, RAW_HOW_NONE, EADDRINUSE, 0, 0, CAUSE_IN_USE },
		{ RAW_CONNECT, RAW_HOW_NONE, EAGAIN, 0, 0, CAUSE_PORT_EXHAUSTED },
		{ RAW_CONNECT, RAW_HOW_CONNECT, ECONNREFUSED, RAW_F_SYN_SENT, 0, CAUSE_REFUSED },
		{ RAW_CONNECT, RAW_HOW_CONNECT, EHOSTUNREACH, RAW_F_SYN_SENT, 0, CAUSE_UNREACHABLE },
		{ RAW_CONNECT, RAW_HOW_CONNECT, 0, RAW_F_ABORTED | RAW_F_FAILED, 0, CAUSE_GIVEN_UP },
		{ RAW_CLOSE, RAW_HOW_NONE, ECONNRESET, 0, 0, CAUSE_RESET },
		{ RAW_CLOSE, RAW_HOW_NONE, 0, RAW_F_NEVER_ACCEPTED | RAW_F_FAILED, 0, CAUSE_NEVER_ACCEPTED },
		{ RAW_CLOSE, RAW_HOW_NONE, 0, RAW_F_SHUT_DOWN, 0, CAUSE_SHUT_DOWN },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw_event raw = raw_event(cases[i].kind, AF_INET);
		struct event ev;

		raw.how = cases[i].how;
		raw.error = (uint32_t)cases[i].error;
		raw.flags = cases[i].flags;
		raw.requested_port = cases[i].requested;
		raw.unprivileged_start = 1024;
		ev = decoded(&raw);
		assert_string_equal(event_cause_names[ev.cause], event_cause_names[cases[i].cause]);
		assert_int_equal(ev.reason[0] != '\0', ev.cause != CAUSE_NONE);
	}
}

/* What the cgroup backend sees without knowing why: words, but no cause. */
static void test_hints_are_no_cause(void **state)
{
	static const struct {
		uint8_t kind;
		uint32_t flags;
		enum event_outcome outcome;
		const char *reason;
	} cases[] = {
		{ RAW_CONNECT, RAW_F_FAILED | RAW_F_TIMEOUT_HINT, OUTCOME_FAILURE,
		  "no answer: timed out, peer not reachable, or given up by the program" },
		{ RAW_CLOSE, RAW_F_UNKNOWN, OUTCOME_UNKNOWN,
		  "ended before: reset, timed out, or dropped by the program" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw_event raw = raw_event(cases[i].kind, AF_INET);
		struct event ev;

		raw.flags = cases[i].flags;
		ev = decoded(&raw);
		assert_int_equal(ev.outcome, cases[i].outcome);
		assert_int_equal(ev.cause, CAUSE_NONE);
		assert_string_equal(ev.reason, cases[i].reason);
	}
}

/* Mark and device may be known where the other options are not. */
static void test_mark_without_options(void **state)
{
	struct raw_event raw = raw_event(RAW_BIND, AF_INET);
	struct event ev;

	(void)state;
	raw.mark = 7;
	raw.bound_ifindex = 3;
	ev = decoded(&raw);
	assert_false(ev.has_options);
	assert_int_equal(ev.mark, 7);
	assert_int_equal(ev.bound_ifindex, 3);
}

static struct raw_process raw_process(const char *names, size_t names_size, const char *args, size_t args_size)
{
	struct raw_process raw = {
		.magic = RAW_EVENT_MAGIC,
		.version = RAW_EVENT_VERSION,
		.kind = RAW_PROCESS,
		.pid = 7,
		.exec_id = 2,
		.process_start_ns = 99,
		.path_size = (uint16_t)names_size,
		.args_size = (uint16_t)args_size,
		.args_total = (uint32_t)args_size,
	};

	memcpy(raw.path, names, names_size);
	memcpy(raw.args, args, args_size);
	return raw;
}

static void test_process(void **state)
{
	struct raw_process raw = raw_process("nginx\0sbin\0usr", 15, "nginx\0-g\0daemon off;", 21);
	struct process_facts facts;

	(void)state;
	assert_true(decode_is_process(&raw, sizeof(raw)));
	assert_int_equal(decode_process(&raw, sizeof(raw), &facts), 0);
	assert_string_equal(facts.executable, "/usr/sbin/nginx");
	assert_string_equal(facts.command_line, "nginx -g daemon off;");
	assert_int_equal(facts.pid, 7);
	assert_int_equal(facts.exec_id, 2);
	assert_int_equal(facts.process_start_ns, 99);
}

static void test_process_damaged(void **state)
{
	struct raw_process raw = raw_process("a", 2, "b", 2);
	struct process_facts facts;

	(void)state;
	assert_false(decode_is_process(&raw, sizeof(raw) - 1));
	raw.path_size = sizeof(raw.path) + 1;
	assert_int_equal(decode_process(&raw, sizeof(raw), &facts), -EBADMSG);
	raw.path_size = 1; /* no NUL at its end: cut, so another path */
	assert_int_equal(decode_process(&raw, sizeof(raw), &facts), 0);
	assert_string_equal(facts.executable, "");
	raw.args_size = sizeof(raw.args) + 1;
	assert_int_equal(decode_process(&raw, sizeof(raw), &facts), -EBADMSG);
}

/* Any bytes, any sizes: nothing is read or written out of bounds (the sanitizers watch). */
static void test_process_of_anything(void **state)
{
	struct raw_process raw;
	struct process_facts facts;
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		for (size_t j = 0; j < sizeof(raw); j++)
			((unsigned char *)&raw)[j] = rand_r(&seed) % 3 ? (unsigned char)rand_r(&seed) : 0;
		raw.magic = RAW_EVENT_MAGIC;
		raw.version = RAW_EVENT_VERSION;
		raw.kind = RAW_PROCESS;
		raw.path_size %= sizeof(raw.path) + 1;
		raw.args_size %= sizeof(raw.args) + 1;
		assert_int_equal(decode_process(&raw, sizeof(raw), &facts), 0);
		assert_true(memchr(facts.executable, '\0', sizeof(facts.executable)) != NULL);
		assert_true(memchr(facts.command_line, '\0', sizeof(facts.command_line)) != NULL);
	}
}

static void test_given_up_has_no_errno(void **state)
{
	struct raw_event raw = raw_event(RAW_CONNECT, AF_INET);
	struct event ev;

	(void)state;
	raw.flags = RAW_F_ABORTED | RAW_F_FAILED;
	ev = decoded(&raw);
	assert_int_equal(ev.outcome, OUTCOME_FAILURE);
	assert_int_equal(ev.error, 0);
	assert_true(ev.aborted);
	assert_string_equal(ev.reason, "given up by the program");
}

static void test_name_is_always_ended(void **state)
{
	struct raw_event raw = raw_event(RAW_CLOSE, AF_INET);
	struct event ev;

	(void)state;
	memset(raw.comm, 'x', sizeof(raw.comm));
	ev = decoded(&raw);
	assert_int_equal(strlen(ev.name), 15);
}

/* How long the kernel looked stands where a close has its bytes. */
static void test_search(void **state)
{
	struct raw_event raw = raw_event(RAW_CONNECT, AF_INET);
	struct event ev;

	(void)state;
	raw.how = RAW_HOW_CONNECT;
	raw.search_ns = 912345;
	assert_false(decoded(&raw).has_search);
	raw.flags = RAW_F_SEARCH;
	ev = decoded(&raw);
	assert_true(ev.has_search);
	assert_int_equal(ev.search_ns, 912345);
	assert_false(ev.has_bytes);
	assert_int_equal(ev.bytes_sent, 0);
	raw.how = RAW_HOW_EXPLICIT;
	assert_false(decoded(&raw).has_search);
	raw.kind = RAW_CLOSE;
	raw.how = RAW_HOW_NONE;
	raw.flags = RAW_F_BYTES;
	ev = decoded(&raw);
	assert_true(ev.has_bytes && !ev.has_search);
	assert_int_equal(ev.bytes_sent, 912345);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses_what_is_no_record),
		cmocka_unit_test(test_times_are_of_the_day),
		cmocka_unit_test(test_mapped_addresses_are_ipv4),
		cmocka_unit_test(test_failed_bind_shows_what_was_asked),
		cmocka_unit_test(test_exhaustion_is_said),
		cmocka_unit_test(test_causes),
		cmocka_unit_test(test_hints_are_no_cause),
		cmocka_unit_test(test_mark_without_options),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_process_damaged),
		cmocka_unit_test(test_process_of_anything),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_given_up_has_no_errno),
		cmocka_unit_test(test_name_is_always_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
