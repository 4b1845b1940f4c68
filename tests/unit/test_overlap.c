// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* overlap: which ports are at risk, which sockets are a service's, and the value that reserves the ports. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>
#include "overlap.h"

#define NONE NULL /* a port without a name */

static void begin(struct overlap *o, uint16_t low, uint16_t high, const char *reserved)
{
	memset(o, 0, sizeof(*o));
	o->facts.range_low = low;
	o->facts.range_high = high;
	assert_int_equal(netns_parse_reserved(reserved, o->facts.reserved), 0);
}

static int add(struct overlap *o, enum event_proto proto, uint16_t number)
{
	struct overlap_port port = { .proto = proto, .port = number };

	return overlap_add(o, &port);
}

/* The bitmap as the sysctl has it. */
static const char *text(const uint8_t bits[65536 / 8], char *ret, size_t size)
{
	uint16_t low, high;
	size_t n = 0;

	ret[0] = '\0';
	for (uint32_t at = 0; overlap_next_range(bits, &at, &low, &high);) {
		n += (size_t)snprintf(ret + n, size - n, "%s%u", n ? "," : "", low);
		if (high > low)
			n += (size_t)snprintf(ret + n, size - n, "-%u", high);
	}
	return ret;
}

static void test_at_risk(void **state)
{
	struct overlap o;

	(void)state;
	begin(&o, 32768, 60999, "40010-40019,50000");
	assert_true(overlap_is_at_risk(&o.facts, 32768));
	assert_true(overlap_is_at_risk(&o.facts, 60999));
	assert_false(overlap_is_at_risk(&o.facts, 32767));
	assert_false(overlap_is_at_risk(&o.facts, 61000));
	assert_true(overlap_is_at_risk(&o.facts, 40009));
	assert_false(overlap_is_at_risk(&o.facts, 40010));
	assert_false(overlap_is_at_risk(&o.facts, 40019));
	assert_true(overlap_is_at_risk(&o.facts, 40020));
	assert_false(overlap_is_at_risk(&o.facts, 50000));
	begin(&o, 1, 65535, "");
	assert_true(overlap_is_at_risk(&o.facts, 65535));
}

static void test_service_tcp(void **state)
{
	struct sockdiag_socket sock = { .proto = PROTO_TCP, .state = SOCKDIAG_LISTEN };

	(void)state;
	assert_true(overlap_is_service(&sock, NONE, HOW_NONE));
	assert_true(overlap_is_service(&sock, NONE, HOW_EXPLICIT));
	assert_false(overlap_is_service(&sock, NONE, HOW_BIND0));
	assert_false(overlap_is_service(&sock, "filenet-tms", HOW_AUTOBIND));
	for (sock.state = 1; sock.state < SOCKDIAG_STATE_COUNT; sock.state++)
		assert_int_equal(overlap_is_service(&sock, "x", HOW_EXPLICIT), sock.state == SOCKDIAG_LISTEN);
}

static void test_service_udp(void **state)
{
	struct sockdiag_socket sock = { .proto = PROTO_UDP, .state = SOCKDIAG_CLOSE };

	(void)state;
	assert_false(overlap_is_service(&sock, NONE, HOW_NONE));
	assert_true(overlap_is_service(&sock, "bacnet", HOW_NONE));
	assert_true(overlap_is_service(&sock, NONE, HOW_EXPLICIT));
	assert_false(overlap_is_service(&sock, "bacnet", HOW_AUTOBIND));
	assert_false(overlap_is_service(&sock, "bacnet", HOW_BIND0));
	assert_false(overlap_is_service(&sock, "bacnet", HOW_CONNECT));
	sock.state = SOCKDIAG_ESTABLISHED;
	assert_false(overlap_is_service(&sock, "bacnet", HOW_EXPLICIT));
}

static void test_add(void **state)
{
	struct overlap o;

	(void)state;
	begin(&o, 32768, 60999, "40010");
	assert_int_equal(add(&o, PROTO_UDP, 47808), 1);
	assert_int_equal(add(&o, PROTO_UDP, 47808), 0);
	assert_int_equal(add(&o, PROTO_TCP, 47808), 1);
	assert_int_equal(add(&o, PROTO_TCP, 40010), 0);
	assert_int_equal(add(&o, PROTO_TCP, 80), 0);
	assert_int_equal(add(&o, PROTO_TCP, 33000), 1);
	overlap_sort(&o);
	assert_int_equal(o.count, 3);
	assert_int_equal(o.ports[0].port, 33000);
	assert_int_equal(o.ports[1].proto, PROTO_TCP);
	assert_int_equal(o.ports[2].proto, PROTO_UDP);
	overlap_free(&o);
	assert_null(o.ports);
}

static void test_add_all(void **state)
{
	uint8_t bits[65536 / 8];
	struct overlap o;
	char line[64];

	(void)state;
	begin(&o, 32768, 60999, "");
	for (uint32_t port = 0; port <= UINT16_MAX; port++)
		assert_int_equal(add(&o, PROTO_TCP, (uint16_t)port), port >= 32768 && port <= 60999);
	overlap_reserve(&o, bits);
	assert_string_equal(text(bits, line, sizeof(line)), "32768-60999");
	overlap_free(&o);
}

static void test_reserve(void **state)
{
	static const struct {
		const char *reserved, *wanted;
		uint16_t ports[4];
	} cases[] = {
		{ "", "", { 0 } },
		{ "", "40050,47808", { 47808, 40050 } },
		{ "8080,40010-40019", "8080,40010-40019,40050", { 40050 } },
		{ "40010-40019", "40009-40020", { 40020, 40009 } },
		{ "40010-40019,40021", "40010-40021", { 40020 } },
		{ "1,65535", "1,40000-40001,65535", { 40000, 40001 } },
		{ "0-65535", "0-65535", { 40000 } },
	};
	uint8_t bits[65536 / 8];
	struct overlap o;
	char line[256];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(&o, 32768, 60999, cases[i].reserved);
		for (size_t j = 0; cases[i].ports[j]; j++)
			add(&o, PROTO_TCP, cases[i].ports[j]);
		overlap_reserve(&o, bits);
		assert_string_equal(text(bits, line, sizeof(line)), cases[i].wanted);
		overlap_free(&o);
	}
}

/* What is proposed, the kernel's reader takes, and then nothing is at risk any more. */
static void test_reserved_again(void **state)
{
	uint8_t bits[65536 / 8];
	struct overlap o, after;
	char line[256];

	(void)state;
	begin(&o, 32768, 60999, "8080,40010-40019");
	add(&o, PROTO_TCP, 40050);
	add(&o, PROTO_UDP, 40051);
	add(&o, PROTO_UDP, 60999);
	overlap_reserve(&o, bits);
	begin(&after, 32768, 60999, text(bits, line, sizeof(line)));
	for (size_t i = 0; i < o.count; i++)
		assert_false(overlap_is_at_risk(&after.facts, o.ports[i].port));
	assert_true(netns_is_reserved(&after.facts, 8080));
	overlap_free(&o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_at_risk),	    cmocka_unit_test(test_service_tcp),
		cmocka_unit_test(test_service_udp), cmocka_unit_test(test_add),
		cmocka_unit_test(test_add_all),	    cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_reserved_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
