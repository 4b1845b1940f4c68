// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "filter.h"
#include "service.h"

/* An accepted connection of nginx: 10.0.0.5:443 <- 10.0.0.9:51514 */
static struct event sample(void)
{
	struct event ev = {
		.kind = EVENT_ACCEPT,
		.outcome = OUTCOME_SUCCESS,
		.proto = PROTO_TCP,
		.ip_version = 4,
		.role = ROLE_INGRESS,
		.local = { .addr = { 10, 0, 0, 5 },
			   .ip_version = 4,
			   .has_port = true,
			   .port = 443 },
		.remote = { .addr = { 10, 0, 0, 9 },
			    .ip_version = 4,
			    .has_port = true,
			    .port = 51514 },
		.local_facts = { .class = CLASS_WELL_KNOWN },
		.remote_facts = { .class = CLASS_DYNAMIC },
		.pid = 977,
		.tid = 978,
		.cgroup_id = 77,
		.netns_inum = 4026531840,
		.name = "nginx",
	};

	return ev;
}

static void set_ports(struct port_set *set, const char *text)
{
	const char *bad = NULL;

	memset(set, 0, sizeof(*set));
	assert_int_equal(port_set_parse(set, text, NULL, &bad), 0);
	assert_null(bad);
}

/* What is said of all events of a kind has to hold for each. */
static bool matches(const struct filter *f, const struct event *ev)
{
	bool ret = filter_match(f, ev);

	if (filter_whole_kinds(f) >> ev->kind & 1)
		assert_true(ret);
	return ret;
}

static void test_init_shows_everything(void **unused)
{
	struct event ev = sample(), empty = { 0 };
	struct filter f;

	(void)unused;
	filter_init(&f);
	assert_true(matches(&f, &ev));
	assert_true(matches(&f, &empty));
	assert_int_equal(filter_whole_kinds(&f), UINT32_MAX);
}

static void test_kind_and_outcome(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.kinds = 1u << EVENT_BIND | 1u << EVENT_CLOSE;
	assert_int_equal(filter_whole_kinds(&f), f.kinds);
	assert_false(matches(&f, &ev));
	ev.kind = EVENT_CLOSE;
	assert_true(matches(&f, &ev));
	ev.kind = EVENT_BIND;
	assert_true(matches(&f, &ev));
	f.failed_only = true;
	assert_false(matches(&f, &ev));
	ev.outcome = OUTCOME_UNKNOWN;
	assert_true(matches(&f, &ev));
	ev.outcome = OUTCOME_FAILURE;
	assert_true(matches(&f, &ev));
}

static void test_protocol_and_version(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.udp = true;
	assert_false(matches(&f, &ev));
	f.tcp = true;
	assert_true(matches(&f, &ev));
	f.udp = false;
	assert_true(matches(&f, &ev));
	ev.proto = PROTO_UDP;
	assert_false(matches(&f, &ev));
	f.tcp = false;
	f.ipv6 = true;
	assert_false(matches(&f, &ev));
	ev.ip_version = 6;
	assert_true(matches(&f, &ev));
	f.ipv4 = true;
	assert_true(matches(&f, &ev));
	f.ipv6 = false;
	assert_false(matches(&f, &ev));
}

static void test_process(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.pids[f.pid_count++] = 1;
	f.pids[f.pid_count++] = 978; /* a thread id is no process */
	assert_false(matches(&f, &ev));
	f.pids[f.pid_count++] = 977;
	assert_true(matches(&f, &ev));
	strcpy(f.comms[f.comm_count++], "ngin");
	strcpy(f.comms[f.comm_count++], "nginxx");
	strcpy(f.comms[f.comm_count++], "NGINX");
	assert_false(matches(&f, &ev));
	strcpy(f.comms[f.comm_count++], "nginx");
	assert_true(matches(&f, &ev));
	ev.pid = 5;
	assert_false(matches(&f, &ev));
}

/* Neither side need end with a NUL. */
static void test_comm_of_full_length(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	memcpy(f.comms[f.comm_count++], "0123456789abcdef", 16);
	memcpy(ev.name, "0123456789abcdef", 16);
	assert_true(matches(&f, &ev));
	ev.name[15] = 'g';
	assert_false(matches(&f, &ev));
}

static void test_cgroup_and_netns(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.netns_inum = 4026531840;
	assert_true(matches(&f, &ev));
	ev.netns_inum = 1;
	assert_false(matches(&f, &ev));
	/* the cookie decides where both know it: an event may not know the inode */
	ev.netns_inum = 0;
	f.netns_cookie = ev.netns_cookie = 5;
	assert_true(matches(&f, &ev));
	ev.netns_cookie = 6;
	ev.netns_inum = 4026531840;
	assert_false(matches(&f, &ev));
}

static void test_user_container_and_cgroup(void **unused)
{
	const struct event_who in_container = { .container_id = "3f9a0c72d1b4" }, in_other = { .container_id = "3f9" };
	const uint64_t cgroups[] = { 70, 77, 80 };
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.uids[f.uid_count++] = 0;
	assert_false(matches(&f, &ev)); /* not known is not root */
	ev.has_uid = true;
	assert_true(matches(&f, &ev));
	ev.uid = 33;
	assert_false(matches(&f, &ev));
	f.uids[f.uid_count++] = 33;
	assert_true(matches(&f, &ev));
	strcpy(f.containers[f.container_count++], "3f9a");
	assert_false(matches(&f, &ev));
	ev.who = &in_container;
	assert_true(matches(&f, &ev));
	ev.who = &in_other;
	assert_false(matches(&f, &ev));
	filter_init(&f);
	f.cgroups = cgroups;
	f.cgroup_count = 3;
	assert_true(matches(&f, &ev));
	ev.cgroup_id = 78;
	assert_false(matches(&f, &ev));
}

static void add_range(struct address_set *set, const char *text)
{
	assert_int_equal(cidr_parse(text, &set->list[set->count++]), 0);
}

static void test_addresses(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	add_range(&f.addr, "10.0.0.8/31");
	assert_true(matches(&f, &ev)); /* the remote one */
	add_range(&f.local_addr, "10.0.0.8/31");
	assert_false(matches(&f, &ev));
	add_range(&f.local_addr, "10.0.0.5");
	assert_true(matches(&f, &ev));
	add_range(&f.remote_addr, "::/0");
	assert_false(matches(&f, &ev));
	ev.remote.ip_version = 0; /* not known */
	filter_init(&f);
	add_range(&f.remote_addr, "0.0.0.0/0");
	assert_false(matches(&f, &ev));
}

static void test_ranges(void **unused)
{
	static const char *const bad[] = { "",	      "/8",	  "10.0.0/8", "10.0.0.0/",   "10.0.0.0/x", "::1/129",
					   "1.2.3.4/33", "10.0.0.0/-1", ":::",	      "1.2.3.4.5", " 1.2.3.4" };
	struct endpoint end = { .addr = { 10, 0, 0, 5 }, .ip_version = 4 };
	struct cidr cidr = { .bits = 99 };

	(void)unused;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(cidr_parse(bad[i], &cidr) < 0);
	assert_int_equal(cidr.bits, 99); /* untouched */
	assert_int_equal(cidr_parse("::ffff:10.0.0.0/104", &cidr), 0);
	assert_int_equal(cidr.ip_version, 4);
	assert_int_equal(cidr.bits, 8);
	assert_true(cidr_has(&cidr, &end));
	assert_int_equal(cidr_parse("10.0.0.7/29", &cidr), 0); /* bits behind the prefix do not count */
	assert_true(cidr_has(&cidr, &end));
	assert_int_equal(cidr_parse("10.0.0.7/30", &cidr), 0);
	assert_true(cidr_has(&cidr, &end));
	assert_int_equal(cidr_parse("10.0.0.7/31", &cidr), 0);
	assert_false(cidr_has(&cidr, &end));
	assert_int_equal(cidr_parse("0.0.0.0/0", &cidr), 0);
	assert_true(cidr_has(&cidr, &end));
	end.ip_version = 6;
	assert_false(cidr_has(&cidr, &end));
}

static void test_class_is_of_the_service_side(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	f.classes = 1u << CLASS_WELL_KNOWN;
	assert_true(matches(&f, &ev));
	ev.kind = EVENT_CONNECT;
	ev.role = ROLE_EGRESS;
	assert_false(matches(&f, &ev));
	f.classes |= 1u << CLASS_DYNAMIC;
	assert_true(matches(&f, &ev));
	ev.kind = EVENT_CLOSE; /* of a socket that had connected */
	f.classes = 1u << CLASS_WELL_KNOWN;
	assert_false(matches(&f, &ev));
	ev.role = ROLE_UNKNOWN;
	assert_true(matches(&f, &ev));
	ev.local_facts.class = CLASS_NONE;
	assert_false(matches(&f, &ev));
}

static void test_ports_by_side(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	filter_init(&f);
	set_ports(&f.either, "51514");
	assert_true(matches(&f, &ev));
	set_ports(&f.either, "443");
	assert_true(matches(&f, &ev));
	set_ports(&f.either, "444-51513,51515-65535");
	assert_false(matches(&f, &ev));
	filter_init(&f);
	set_ports(&f.local, "51514");
	assert_false(matches(&f, &ev));
	set_ports(&f.local, "443");
	assert_true(matches(&f, &ev));
	set_ports(&f.remote, "443");
	assert_false(matches(&f, &ev));
	set_ports(&f.remote, "51514");
	assert_true(matches(&f, &ev));
}

static void test_requested_port_is_local(void **unused)
{
	struct event ev = sample();
	struct filter f;

	(void)unused;
	ev.kind = EVENT_BIND;
	ev.local.has_port = ev.remote.has_port = false;
	ev.local.port = ev.remote.port = 99; /* left over, must not be looked at */
	ev.requested = (struct endpoint){ .has_port = true, .port = 80 };
	filter_init(&f);
	set_ports(&f.local, "80");
	assert_false(matches(&f, &ev));
	ev.has_requested = true;
	assert_true(matches(&f, &ev));
	set_ports(&f.local, "99,443,0");
	assert_false(matches(&f, &ev));
	filter_init(&f);
	set_ports(&f.either, "80");
	assert_true(matches(&f, &ev));
	filter_init(&f);
	set_ports(&f.remote, "80,99");
	assert_false(matches(&f, &ev));
	/* Bound to port 0, got 40000: both are its ports. */
	ev.requested.port = 0;
	ev.local = (struct endpoint){ .has_port = true, .port = 40000 };
	filter_init(&f);
	set_ports(&f.local, "0");
	assert_true(matches(&f, &ev));
	set_ports(&f.local, "40000");
	assert_true(matches(&f, &ev));
}

static void assert_bits(const struct port_set *set, size_t want_count)
{
	size_t count = 0;

	assert_false(set->any);
	for (uint32_t port = 0; port < 65536; port++)
		count += port_set_has(set, (uint16_t)port);
	assert_int_equal(count, want_count);
}

static void test_parse_numbers(void **unused)
{
	struct port_set set;

	(void)unused;
	set_ports(&set, "443,8000-8099");
	assert_bits(&set, 101);
	assert_true(port_set_has(&set, 443) && port_set_has(&set, 8000) &&
		    port_set_has(&set, 8099));
	assert_false(port_set_has(&set, 7999) || port_set_has(&set, 8100) ||
		     port_set_has(&set, 442));
	set_ports(&set, "0");
	assert_bits(&set, 1);
	assert_true(port_set_has(&set, 0));
	set_ports(&set, "0-65535");
	assert_bits(&set, 65536);
	set_ports(&set, "65535,65535-65535,00080");
	assert_bits(&set, 2);
	assert_true(port_set_has(&set, 80));
}

static void test_parse_adds(void **unused)
{
	struct port_set set = { .any = true };
	const char *bad = NULL;

	(void)unused;
	assert_true(port_set_has(&set, 5));
	assert_int_equal(port_set_parse(&set, "1-2", NULL, &bad), 0);
	assert_bits(&set, 2);
	assert_int_equal(port_set_parse(&set, "9", NULL, &bad), 0);
	assert_bits(&set, 3);
}

static void test_parse_names(void **unused)
{
	struct service_table *t = NULL;
	struct port_set set = { .any = true };
	const char *bad = NULL;

	(void)unused;
	assert_int_equal(service_table_new("/nonexistent", &t), 0);
	assert_int_equal(port_set_parse(&set, "https,http-alt,914c-g,dhcp,22", t, &bad), 0);
	assert_bits(&set, 8);
	assert_true(port_set_has(&set, 443) && port_set_has(&set, 211) && port_set_has(&set, 22));
	/* What is shown as "http-alt" or "dhcp" must be found by that name. */
	assert_true(port_set_has(&set, 8080) && port_set_has(&set, 8008) &&
		    port_set_has(&set, 591));
	assert_true(port_set_has(&set, 67) && port_set_has(&set, 68));
	service_table_free(t);
}

static void test_parse_rejects(void **unused)
{
	static const struct {
		const char *text;
		size_t bad_at;
	} cases[] = {
		{ "", 0 },
		{ ",", 0 },
		{ "80,", 3 },
		{ ",80", 0 },
		{ "80,,90", 3 },
		{ "65536", 0 },
		{ "80,99999999999999999999", 3 },
		{ "8099-8000", 0 },
		{ "1-65536", 0 },
		{ "1,2,3-", 4 },
		{ "-5", 0 },
		{ "5-6-7", 0 },
		{ "80 ", 0 },
		{ "80, 443", 3 },
		{ "+80", 0 },
		{ "0x50", 0 },
		{ "1,htpps,2", 2 },
		{ "80\n", 0 },
		{ "4294967376", 0 },
		{ "1,"
		  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		  ",2",
		  2 },
	};
	struct service_table *t = NULL;

	(void)unused;
	assert_int_equal(service_table_new("/nonexistent", &t), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct port_set set = { .any = true };
		const char *bad = NULL;

		assert_int_equal(port_set_parse(&set, cases[i].text, t, &bad), -EINVAL);
		assert_ptr_equal(bad, cases[i].text + cases[i].bad_at);
		assert_true(set.any); /* untouched */
		assert_int_equal(set.bits[10], 0);
	}
	service_table_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_init_shows_everything),
		cmocka_unit_test(test_kind_and_outcome),
		cmocka_unit_test(test_protocol_and_version),
		cmocka_unit_test(test_process),
		cmocka_unit_test(test_comm_of_full_length),
		cmocka_unit_test(test_cgroup_and_netns),
		cmocka_unit_test(test_user_container_and_cgroup),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_class_is_of_the_service_side),
		cmocka_unit_test(test_ports_by_side),
		cmocka_unit_test(test_requested_port_is_local),
		cmocka_unit_test(test_parse_numbers),
		cmocka_unit_test(test_parse_adds),
		cmocka_unit_test(test_parse_names),
		cmocka_unit_test(test_parse_rejects),
	};

	return cmocka_run_group_tests_name("filter", tests, NULL, NULL);
}
