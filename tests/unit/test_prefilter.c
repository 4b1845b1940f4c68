// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The kernel's part of the filter (bpf/select.bpf.h, compiled here as it is there) against filter.c: of many made-up
 * events and filters, whatever filter.c shows has to pass in the kernel. And most of what it does not show has not.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "decode.h"
#include "filter.h"
#include "follow.h"
#include "porttrace/raw_event.h"
#include "prefilter.h"
#include "service.h"

/* bpf/bpf_helpers.h has it, and so has sys/cdefs.h */
static struct bpf_config config;
static struct config_ports port_sets;
#include "../../bpf/select.bpf.h"

#define EVENTS 400000

static unsigned int dice(unsigned int sides)
{
	return (unsigned int)(random() % sides);
}

static uint16_t some_port(void)
{
	static const uint16_t ports[] = { 0, 22, 80, 443, 1023, 1024, 8080, 32768, 49151, 49152, 60999, 65535 };

	return ports[dice(sizeof(ports) / sizeof(ports[0]))];
}

static void some_address(uint8_t addr[16], uint16_t family)
{
	static const char *const v4[] = { "0.0.0.0", "127.0.0.1", "127.1.2.3", "10.0.0.5", "10.200.0.1" };
	static const char *const v6[] = { "::", "::1", "fe80::1", "2001:db8::5", "::ffff:0.0.0.0", "::ffff:127.0.0.1",
					  "::ffff:10.0.0.5" };

	memset(addr, 0, 16);
	assert_int_equal(inet_pton(family, family == AF_INET ? v4[dice(5)] : v6[dice(7)], addr), 1);
}

/* Also what no kernel would tell. */
static void some_event(struct raw_event *raw)
{
	static const uint32_t flags[] = { RAW_F_FAILED,	 RAW_F_EGRESS,	RAW_F_INGRESS, RAW_F_REQUESTED,
					  RAW_F_ABORTED, RAW_F_UNKNOWN, RAW_F_TRUTH };

	memset(raw, 0, sizeof(*raw));
	raw->magic = RAW_EVENT_MAGIC;
	raw->version = RAW_EVENT_VERSION;
	raw->kind = (uint8_t)(RAW_BIND + dice(RAW_KIND_COUNT - RAW_BIND));
	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		raw->flags |= dice(3) ? 0 : flags[i];
	if (raw->kind == RAW_BIND)
		raw->flags |= RAW_F_REQUESTED;
	if (raw->kind == RAW_CONNECT && !dice(8))
		raw->flags |= RAW_F_NO_REMOTE;
	raw->error = raw->flags & RAW_F_FAILED ? EADDRINUSE : 0;
	raw->family = dice(2) ? AF_INET : AF_INET6;
	raw->protocol = dice(2) ? IPPROTO_TCP : IPPROTO_UDP;
	raw->pid = 1 + dice(5);
	raw->requested_family = (uint8_t)raw->family;
	some_address(raw->local_addr, raw->family);
	some_address(raw->remote_addr, raw->family);
	some_address(raw->requested_addr, raw->requested_family);
	raw->local_port = some_port();
	raw->remote_port = some_port();
	raw->requested_port = raw->kind == RAW_BIND && dice(2) ? raw->local_port : 0;
}

/* What user space makes of it: the ledger may know a role that the event does not have. */
static void made_event(const struct raw_event *raw, struct event *ev)
{
	struct decode dec = { 0 };
	uint16_t port;

	assert_int_equal(decode_event(&dec, raw, sizeof(*raw), ev), 0);
	if (ev->role == ROLE_UNKNOWN && ev->remote.has_port && ev->kind >= EVENT_CLOSE)
		ev->role = (enum event_role)dice(ROLE_COUNT);
	if (event_local_port(ev, &port))
		ev->local_facts.class = port_class_of(port);
	if (ev->remote.has_port)
		ev->remote_facts.class = port_class_of(ev->remote.port);
}

static void some_ports(struct port_set *set)
{
	static const char *const texts[] = { "80", "443,8080", "1-1023", "32768-60999",
					     "0",  "1024-65535", "65535",  "1" };
	const char *bad;

	if (!dice(4))
		assert_int_equal(port_set_parse(set, texts[dice(8)], NULL, &bad), 0);
}

static void some_range(struct address_set *set)
{
	static const char *const texts[] = { "127.0.0.0/8", "10.0.0.0/8",   "::1",	   "fe80::/10",
					     "0.0.0.0/0",   "0.0.0.0",	    "::/0",	   "::",
					     "10.0.0.5",    "2001:db8::/32" };

	for (int more = !dice(4); more; more = !dice(2))
		if (set->count < FILTER_MAX_CIDRS)
			assert_int_equal(cidr_parse(texts[dice(10)], &set->list[set->count++]), 0);
}

static void some_filter(struct filter *f)
{
	filter_init(f);
	some_ports(&f->either);
	some_ports(&f->local);
	some_ports(&f->remote);
	some_range(&f->addr);
	some_range(&f->local_addr);
	some_range(&f->remote_addr);
	if (!dice(4))
		f->classes = 2u << dice(3);
	f->ipv4 = !dice(4);
	f->ipv6 = !dice(4);
}

static void set_kernel(const struct filter *f, bool lives)
{
	struct prefilter_needs needs = { .lives = lives };

	memset(&config, 0, sizeof(config));
	memset(&port_sets, 0, sizeof(port_sets));
	prefilter_fill(f, &needs, &config, &port_sets);
}

/* A connect() before the kernel has chosen its own end. */
static bool passes_early(const struct raw_event *raw)
{
	struct select_ends e = { .kind = RAW_CONNECT, .remote_port = raw->remote_port, .has_remote = 1 };

	if (!config.selects_ends || (raw->flags & RAW_F_NO_REMOTE))
		return true;
	select_copy(e.remote, raw->remote_addr, raw->family == AF_INET6);
	return select_wants(&e);
}

static void test_kernel_drops_nothing_that_is_shown(void **unused)
{
	static struct filter f;
	size_t shown = 0, passed = 0, early = 0, connects = 0;
	struct raw_event raw;
	struct event ev;

	(void)unused;
	srandom(7);
	for (int i = 0; i < EVENTS; i++) {
		if (i % 50 == 0) {
			some_filter(&f);
			set_kernel(&f, dice(2));
		}
		some_event(&raw);
		made_event(&raw, &ev);
		shown += filter_match(&f, &ev);
		passed += select_event(&raw);
		if (filter_match(&f, &ev) && !select_event(&raw))
			fail_msg("event %d: shown, but dropped in the kernel: kind %d", i, raw.kind);
		if (raw.kind != RAW_CONNECT)
			continue;
		connects++;
		early += passes_early(&raw);
		if (select_event(&raw) && filter_match(&f, &ev) && !passes_early(&raw))
			fail_msg("event %d: a connect is dropped too early", i);
	}
	assert_true(shown > EVENTS / 50);
	assert_true(passed < EVENTS / 2); /* it would be no test if all passed */
	assert_true(early < connects * 3 / 4);
}

/* A close that may be shown needs the bind of its socket, whatever its ends are by then; and what is bound needs its
 * end, else it is remembered as who has the port. */
static void test_what_a_close_needs(void **unused)
{
	static struct filter f;
	struct raw_event raw = { .kind = RAW_BIND, .family = AF_INET, .local_port = 5000 };

	(void)unused;
	filter_init(&f);
	f.remote.any = false;
	f.remote.bits[443 / 8] |= 1 << (443 % 8);
	set_kernel(&f, true);
	assert_true(select_event(&raw));
	raw.kind = RAW_CLOSE;
	assert_true(select_event(&raw));
	raw.remote_port = 80;
	assert_false(select_event(&raw));
	raw.remote_port = 443;
	assert_true(select_event(&raw));
	raw.kind = RAW_BIND;
	set_kernel(&f, false);
	assert_false(select_event(&raw));
	raw.kind = RAW_CLOSE;
	raw.remote_port = 0;
	assert_false(select_event(&raw));
}

static void test_what_keeps_all(void **unused)
{
	struct prefilter_needs needs = { .all = true, .lives = true };
	static struct filter f;

	(void)unused;
	filter_init(&f);
	f.kinds = 1u << EVENT_BIND;
	f.failed_only = f.tcp = f.ipv4 = true;
	f.uids[f.uid_count++] = 5;
	f.pids[f.pid_count++] = 7;
	f.follow_children = true;
	strcpy(f.comms[f.comm_count++], "x");
	memset(&config, 0, sizeof(config));
	prefilter_fill(&f, &needs, &config, &port_sets);
	assert_int_equal(config.pid_count, 1);
	assert_true(config.follow && config.want_tcp);
	assert_false(config.kinds || config.failed_only || config.uid_count || config.comm_count ||
		     config.selects_ends);
	needs.all = needs.lives = false;
	memset(&config, 0, sizeof(config));
	prefilter_fill(&f, &needs, &config, &port_sets);
	assert_int_equal(config.kinds, 1u << RAW_BIND);
	assert_true(config.failed_only && config.want_ipv4 && config.selects_ends);
	assert_int_equal(config.uids[0], 5);
	assert_int_equal(config.comms[0][0], 'x');
}

static void test_follow_by_events(void **unused)
{
	const uint32_t pids[] = { 100 };
	struct follow *fo = NULL;
	struct event ev = { .pid = 100 };

	(void)unused;
	assert_int_equal(follow_new(pids, 1, NULL, &fo), 0);
	assert_true(follow_has(fo, &ev));
	ev = (struct event){ .pid = 102, .parent_pid = 101, .process_start_ns = 5 };
	assert_false(follow_has(fo, &ev)); /* its parent has not been heard of */
	ev = (struct event){ .pid = 101, .parent_pid = 100, .process_start_ns = 5 };
	assert_true(follow_has(fo, &ev));
	ev.parent_pid = 1; /* orphaned later */
	assert_true(follow_has(fo, &ev));
	ev = (struct event){ .pid = 103, .parent_pid = 101, .process_start_ns = 6 };
	assert_true(follow_has(fo, &ev));
	ev = (struct event){ .pid = 101, .parent_pid = 1, .process_start_ns = 9 };
	assert_false(follow_has(fo, &ev)); /* another process of that number */
	ev = (struct event){ .parent_pid = 100 };
	assert_false(follow_has(fo, &ev));
	follow_free(fo);
	follow_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kernel_drops_nothing_that_is_shown),
		cmocka_unit_test(test_what_a_close_needs),
		cmocka_unit_test(test_what_keeps_all),
		cmocka_unit_test(test_follow_by_events),
	};

	return cmocka_run_group_tests_name("prefilter", tests, NULL, NULL);
}
