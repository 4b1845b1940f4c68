// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "rule_event.h"

#include "human.h"
#include "overlap.h"

/* "127.0.0.1:8080", "[::1]:8080" */
static void rule_event_endpoint(struct buf *b, const struct endpoint *ep)
{
	static const struct port_facts none;

	human_endpoint(b, ep, &none);
}

/* "envoy[77]", "envoy[77] (exited)" */
static void rule_event_holder(struct buf *b, const struct holder *holder)
{
	if (!holder->pid) {
		buf_lit(b, "a process that is not known");
		return;
	}
	human_process(b, holder->name, sizeof(holder->name), holder->pid, holder->exited);
}

/* "TIME_WAIT, 41 s left, opened by envoy[77]" */
static void rule_event_socket(struct buf *b, const struct holder *holder)
{
	if (holder->kind != HOLDER_TIME_WAIT)
		buf_str(b, holder_kind_names[holder->kind]);
	else
		buf_lit(b, "TIME_WAIT");
	if (holder->has_expires) {
		buf_lit(b, ", ");
		buf_u64(b, holder->expires_s);
		buf_lit(b, " s left");
	}
	buf_lit(b, ", opened by ");
	rule_event_holder(b, holder);
}

/* ---- P20 ---- */

static bool rule_event_no_address(const struct event *ev)
{
	return ev->cause == CAUSE_NO_ADDRESS;
}

static bool rule_event_lacks_ipv6(const struct event *ev, const struct netns_facts *facts)
{
	return facts && facts->no_ipv6 && ev->remote.ip_version == 6;
}

static void rule_event_say_no_address(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	buf_lit(b, "no source address for ");
	human_ip(b, &ev->remote);
	buf_str(b, rule_event_lacks_ipv6(ev, facts) ? " (IPv6 is disabled in this namespace)\n" : "\n");
}

static void rule_event_mend_no_address(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	if (rule_event_lacks_ipv6(ev, facts))
		buf_lit(b, "The destination's IPv4 address; or sysctl -w net.ipv6.conf.all.disable_ipv6=0 in this "
			   "namespace\n");
	else
		buf_lit(b, "Give an interface of this namespace an address of that kind, and a route: ip address, "
			   "ip route\n");
}

static bool rule_event_not_local(const struct event *ev)
{
	return ev->cause == CAUSE_NOT_LOCAL;
}

static void rule_event_say_not_local(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	(void)facts;
	human_ip(b, &ev->requested);
	buf_lit(b, " is on no interface of this namespace\n");
}

static void rule_event_mend_not_local(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	(void)ev;
	(void)facts;
	buf_lit(b, "bind() to an address that ip address shows here, or to none; IP_FREEBIND if it is still to come\n");
}

static bool rule_event_clash(const struct event *ev)
{
	return ev->cause == CAUSE_TUPLE_CLASH;
}

static void rule_event_say_clash(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	(void)facts;
	buf_lit(b, "the socket's port ");
	buf_u64(b, ev->local.port);
	buf_lit(b, " is already connected to ");
	rule_event_endpoint(b, &ev->remote);
	if (ev->has_holder) {
		buf_lit(b, " (");
		rule_event_socket(b, &ev->holder);
		buf_char(b, ')');
	}
	buf_char(b, '\n');
}

static void rule_event_mend_clash(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	(void)ev;
	(void)facts;
	buf_lit(b, "Leave the port to connect(): no bind() before it, or to port 0 with IP_BIND_ADDRESS_NO_PORT\n");
}

/* ---- P21 ---- */

/* The kernel chose the port for whoever has it, out of the range, and would do so again. */
static bool rule_event_is_stolen(const struct event *ev)
{
	enum event_how how = ev->holder.how;

	return ev->kind == EVENT_BIND && ev->cause == CAUSE_IN_USE && ev->has_holder && ev->local_facts.ephemeral &&
	       !ev->local_facts.reserved && ev->holder.kind != HOLDER_LISTENER &&
	       (how == HOW_CONNECT || how == HOW_AUTOBIND || how == HOW_BIND0);
}

static void rule_event_say_stolen(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	(void)facts;
	buf_lit(b, "port ");
	buf_u64(b, ev->requested.port);
	buf_lit(b, " is in the ephemeral range ");
	buf_u64(b, ev->range_low);
	buf_char(b, '-');
	buf_u64(b, ev->range_high);
	buf_lit(b, ", and the kernel gave it to a client (");
	rule_event_socket(b, &ev->holder);
	buf_lit(b, ")\n");
}

/* By way of a process that is still in it. */
static uint32_t rule_event_way_in(const struct event *ev)
{
	return ev->holder.pid && !ev->holder.exited ? ev->holder.pid : ev->pid;
}

/* The whole line, with what is reserved already; where that is not known, or does not fit, only what is to be added. */
static void rule_event_mend_stolen(const struct event *ev, const struct netns_facts *facts, struct buf *b)
{
	uint8_t bits[65536 / 8] = { 0 };
	struct buf whole = *b;
	uint32_t at = 0;

	if (facts)
		memcpy(bits, facts->reserved, sizeof(bits));
	bits[ev->requested.port / 8] |= (uint8_t)(1u << ev->requested.port % 8);
	overlap_command(&whole, facts && facts->is_own ? 0 : rule_event_way_in(ev));
	while (overlap_next_words(bits, &at, &whole))
		;
	buf_char(&whole, '\n');
	if (facts && !whole.overflow) {
		*b = whole;
	} else {
		buf_lit(b, "Add ");
		buf_u64(b, ev->requested.port);
		buf_lit(b, " to net.ipv4.ip_local_reserved_ports of this namespace\n");
	}
	buf_lit(b, "Clients are not given it any more; who has it keeps it until that socket ends\n");
}

#define RULE_EVENT_PORTS "anything that frees ports: a wider range, tcp_tw_reuse, tcp_fin_timeout"

static const struct rule_event rule_event_rows[] = {
	{ "P20", "not port exhaustion: no source address for this destination", true, rule_event_no_address,
	  rule_event_say_no_address, rule_event_mend_no_address, RULE_EVENT_PORTS },
	{ "P20", "not port exhaustion: the address is not one of this namespace", false, rule_event_not_local,
	  rule_event_say_not_local, rule_event_mend_not_local, RULE_EVENT_PORTS },
	{ "P20", "not port exhaustion: this very pair of endpoints has a connection", false, rule_event_clash,
	  rule_event_say_clash, rule_event_mend_clash, RULE_EVENT_PORTS },
	{ "P21", "a service's port that the kernel gave to a client", true, rule_event_is_stolen, rule_event_say_stolen,
	  rule_event_mend_stolen, "SO_REUSEADDR (does not help: measured)" },
};

const struct rule_event *rule_of_event(const struct event *ev)
{
	if (ev->outcome != OUTCOME_FAILURE)
		return NULL;
	for (size_t i = 0; i < sizeof(rule_event_rows) / sizeof(rule_event_rows[0]); i++)
		if (rule_event_rows[i].holds(ev))
			return &rule_event_rows[i];
	return NULL;
}
