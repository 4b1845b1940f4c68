// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
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
	assert_string_equal(ev.reason, "");
}

static void test_exhaustion_is_said(void **state)
{
	struct raw_event raw = raw_event(RAW_CONNECT, AF_INET);

	(void)state;
	raw.flags = RAW_F_REQUESTED | RAW_F_FAILED;
	raw.error = EADDRNOTAVAIL;
	raw.how = RAW_HOW_CONNECT;
	raw.remote_port = 5432;
	assert_string_equal(decoded(&raw).reason, "no free local port for this destination");
	/* the same errno on a socket that had its port: its address pair is taken, ports are not at an end */
	raw.how = RAW_HOW_NONE;
	assert_string_equal(decoded(&raw).reason, "");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refuses_what_is_no_record),
		cmocka_unit_test(test_times_are_of_the_day),
		cmocka_unit_test(test_mapped_addresses_are_ipv4),
		cmocka_unit_test(test_failed_bind_shows_what_was_asked),
		cmocka_unit_test(test_exhaustion_is_said),
		cmocka_unit_test(test_given_up_has_no_errno),
		cmocka_unit_test(test_name_is_always_ended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
