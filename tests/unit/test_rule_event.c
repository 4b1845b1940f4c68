// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* rule_event: each rule fires on its event, and not on the one beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "events.h"
#include "rule_event.h"

static char text[2048];
static struct netns_facts facts;

static struct event failed(enum event_kind kind, enum event_cause cause)
{
	struct event ev = events_base(kind);

	ev.outcome = OUTCOME_FAILURE;
	ev.cause = cause;
	ev.local = events_endpoint("127.0.0.1", 40003);
	ev.remote = events_endpoint("::1", 8080);
	ev.requested = events_endpoint("10.9.9.9", 40020);
	ev.has_requested = true;
	ev.range_low = 40000;
	ev.range_high = 40099;
	return ev;
}

/* A service whose port somebody has. */
static struct event stolen(enum event_how how)
{
	struct event ev = failed(EVENT_BIND, CAUSE_IN_USE);

	ev.has_holder = true;
	ev.holder = (struct holder){ .kind = HOLDER_CONNECTION, .how = how, .pid = 77, .name = "envoy" };
	ev.local_facts.ephemeral = true;
	return ev;
}

static const char *rule_id(const struct event *ev)
{
	const struct rule_event *rule = rule_of_event(ev);

	return rule ? rule->id : "";
}

static const char *words(const struct event *ev, const struct netns_facts *known, bool remedy)
{
	const struct rule_event *rule = rule_of_event(ev);
	struct buf b = { .data = text, .size = sizeof(text) - 1 };

	assert_non_null(rule);
	(remedy ? rule->remedy : rule->evidence)(ev, known, &b);
	assert_false(b.overflow);
	text[b.len] = '\0';
	assert_int_equal(text[b.len - 1], '\n');
	return text;
}

static void test_not_exhaustion(void **state)
{
	static const enum event_cause causes[] = { CAUSE_NO_ADDRESS, CAUSE_NOT_LOCAL, CAUSE_TUPLE_CLASH };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct event ev = failed(EVENT_CONNECT, causes[i]);

		assert_string_equal(rule_id(&ev), "P20");
		assert_ptr_equal(strstr(rule_of_event(&ev)->words, "not port exhaustion: "), rule_of_event(&ev)->words);
		assert_null(strstr(words(&ev, NULL, false), "exhausted"));
		words(&ev, NULL, true);
		ev.outcome = OUTCOME_SUCCESS;
		assert_string_equal(rule_id(&ev), "");
	}
	for (enum event_cause cause = CAUSE_NONE; cause < CAUSE_COUNT; cause++) {
		struct event ev = failed(EVENT_CONNECT, cause);

		if (cause != CAUSE_NO_ADDRESS && cause != CAUSE_NOT_LOCAL && cause != CAUSE_TUPLE_CLASH)
			assert_string_equal(rule_id(&ev), "");
	}
}

static void test_no_ipv6(void **state)
{
	struct event ev = failed(EVENT_CONNECT, CAUSE_NO_ADDRESS);

	(void)state;
	facts.no_ipv6 = true;
	assert_string_equal(words(&ev, &facts, false),
			    "no source address for [::1] (IPv6 is disabled in this namespace)\n");
	assert_non_null(strstr(words(&ev, &facts, true), "disable_ipv6=0"));
	facts.no_ipv6 = false;
	assert_string_equal(words(&ev, &facts, false), "no source address for [::1]\n");
	assert_null(strstr(words(&ev, &facts, true), "disable_ipv6"));
	facts.no_ipv6 = true;
	ev.remote = events_endpoint("10.0.0.1", 80);
	assert_string_equal(words(&ev, &facts, false), "no source address for 10.0.0.1\n");
}

static void test_clash(void **state)
{
	struct event ev = failed(EVENT_CONNECT, CAUSE_TUPLE_CLASH);

	(void)state;
	assert_string_equal(words(&ev, NULL, false), "the socket's port 40003 is already connected to [::1]:8080\n");
	ev.has_holder = true;
	ev.holder = (struct holder){ .kind = HOLDER_CONNECTION, .pid = 77, .name = "e\033y" };
	assert_non_null(strstr(words(&ev, NULL, false), " (connection, opened by e\\x1by[77])\n"));
	ev.holder.kind = HOLDER_TIME_WAIT;
	ev.holder.has_expires = ev.holder.exited = true;
	ev.holder.expires_s = 41;
	assert_non_null(
		strstr(words(&ev, NULL, false), " (TIME_WAIT, 41 s left, opened by e\\x1by[77] (exited))\n"));
	ev.holder.pid = 0;
	assert_non_null(strstr(words(&ev, NULL, false), "opened by a process that is not known)\n"));
}

/* Only what the kernel chose, and would choose again; a socket of which that is not known has not stolen it. */
static void test_stolen(void **state)
{
	struct event ev;

	(void)state;
	for (enum event_how how = HOW_NONE; how < HOW_COUNT; how++) {
		bool chosen = how == HOW_BIND0 || how == HOW_CONNECT || how == HOW_AUTOBIND;

		ev = stolen(how);
		assert_string_equal(rule_id(&ev), chosen ? "P21" : "");
	}
	ev = stolen(HOW_CONNECT);
	ev.local_facts.reserved = true;
	assert_string_equal(rule_id(&ev), "");
	ev = stolen(HOW_CONNECT);
	ev.local_facts.ephemeral = false;
	assert_string_equal(rule_id(&ev), "");
	ev = stolen(HOW_BIND0);
	ev.holder.kind = HOLDER_LISTENER;
	assert_string_equal(rule_id(&ev), "");
	ev = stolen(HOW_CONNECT);
	ev.cause = CAUSE_NONE; /* a backend that sees no errno */
	assert_string_equal(rule_id(&ev), "");
}

static void test_reserve(void **state)
{
	struct event ev = stolen(HOW_CONNECT);

	(void)state;
	memset(&facts, 0, sizeof(facts));
	assert_non_null(strstr(words(&ev, &facts, false), "port 40020 is in the ephemeral range 40000-40099"));
	assert_non_null(strstr(text, "(connection, opened by envoy[77])"));
	assert_non_null(strstr(words(&ev, &facts, true),
			       "sudo nsenter -t 77 -n sysctl -w net.ipv4.ip_local_reserved_ports=40020\n"));
	facts.is_own = true;
	assert_int_equal(netns_parse_reserved("39000-39004,40019,65535", facts.reserved), 0);
	assert_non_null(strstr(words(&ev, &facts, true),
			       "sudo sysctl -w net.ipv4.ip_local_reserved_ports=39000-39004,40019-40020,65535\n"));
	facts.is_own = false;
	ev.holder.exited = true; /* its namespace cannot be reached by way of it */
	ev.pid = 4312;
	assert_non_null(strstr(words(&ev, &facts, true), "sudo nsenter -t 4312 -n sysctl"));
}

/* A list that is cut would take back what is reserved: then, and where it is not known, there is no command. */
static void test_reserve_without_list(void **state)
{
	struct event ev = stolen(HOW_CONNECT);

	(void)state;
	assert_null(strstr(words(&ev, NULL, true), "sysctl"));
	assert_non_null(strstr(text, "Add 40020 to net.ipv4.ip_local_reserved_ports of this namespace\n"));
	memset(facts.reserved, 0x55, sizeof(facts.reserved));
	assert_null(strstr(words(&ev, &facts, true), "sysctl"));
	assert_non_null(strstr(text, "Add 40020 to"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_not_exhaustion), cmocka_unit_test(test_no_ipv6),
		cmocka_unit_test(test_clash),	       cmocka_unit_test(test_stolen),
		cmocka_unit_test(test_reserve),	       cmocka_unit_test(test_reserve_without_list),
	};

	return cmocka_run_group_tests_name("rule_event", tests, NULL, NULL);
}
