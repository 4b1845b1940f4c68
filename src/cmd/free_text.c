// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace free, for people: one line, and one for each thing that it has to know beside. */
#include "free.h"

#include <errno.h>
#include <stdio.h>

#include "../rule.h"

static void free_bounds(struct buf *b, struct pool_bounds bounds)
{
	if (bounds.min != bounds.max) {
		rule_number(b, bounds.min);
		buf_str(b, bounds.max == bounds.min + 1 ? " or " : " to ");
	}
	rule_number(b, bounds.max);
}

static void free_endpoint(struct buf *b, const struct endpoint *ep, bool with_port)
{
	if (with_port && ep->ip_version == 6)
		buf_char(b, '[');
	buf_ip(b, ep->addr, ep->ip_version);
	if (with_port) {
		buf_str(b, ep->ip_version == 6 ? "]:" : ":");
		buf_u64(b, ep->port);
	}
}

static void free_text_pool(struct buf *b, const struct free_facts *facts)
{
	const struct pool_key *key = facts->key;
	bool one = facts->measure->free.max == 1;

	if (key->kind == POOL_CONNECT) {
		buf_str(b, one ? " more connection from " : " more connections from ");
		free_endpoint(b, &key->source, false);
		buf_lit(b, " to ");
		free_endpoint(b, &key->destination, true);
	} else {
		buf_str(b, key->kind == POOL_UDP ? " more UDP port" : " more port");
		buf_str(b, one ? "" : "s");
		buf_lit(b, " for bind() to port 0 at ");
		free_endpoint(b, &key->source, false);
		if (key->kind == POOL_UDP)
			buf_lit(b, ", or the first send or connect of a socket");
	}
}

static void free_text_first(struct buf *b, const struct free_facts *facts)
{
	const struct pool_measure *m = facts->measure;

	if (m->ports[POOL_PORT_UNKNOWN]) {
		buf_lit(b, "at most ");
		rule_number(b, m->free.max);
	} else {
		free_bounds(b, m->free);
	}
	free_text_pool(b, facts);
	buf_lit(b, " (");
	rule_number(b, m->used);
	buf_lit(b, " of ");
	rule_number(b, m->capacity.max);
	buf_lit(b, " used");
	if (m->has_half) {
		buf_lit(b, "; first half ");
		rule_number(b, m->half_used);
		buf_lit(b, " of ");
		rule_number(b, m->half_capacity.max);
	}
	buf_lit(b, ")\n");
}

static void free_text_away(struct buf *b, const struct pool_measure *m)
{
	static const char *const words[POOL_PORT_COUNT] = {
		[POOL_PORT_LISTEN] = "by listeners",
		[POOL_PORT_BOUND] = "by bound sockets",
		[POOL_PORT_BIND_CONNECT] = "by connections that were bound first",
		[POOL_PORT_ACCEPTED] = "by accepted connections",
		[POOL_PORT_PHANTOM] = "by a bind() whose socket has gone",
		[POOL_PORT_BLOCKED] = "by a bind() before connections that are there",
		[POOL_PORT_RESERVED] = "reserved",
	};
	bool any = false;

	for (enum pool_port p = 0; p < POOL_PORT_COUNT; p++) {
		if (!words[p] || !m->ports[p])
			continue;
		buf_str(b, any ? ", " : "Kept away: ");
		any = true;
		rule_number(b, m->ports[p]);
		buf_char(b, ' ');
		buf_str(b, words[p]);
	}
	if (any)
		buf_lit(b, ".\n");
}

static void free_text_time_wait(struct buf *b, const struct pool_measure *m)
{
	if (m->ports[POOL_PORT_REUSABLE]) {
		buf_lit(b, "Of the free ones ");
		rule_number(b, m->ports[POOL_PORT_REUSABLE]);
		buf_lit(b, " are in TIME_WAIT: tcp_tw_reuse lets connect() take them over.\n");
	}
	if (m->ports[POOL_PORT_SOON]) {
		rule_number(b, m->ports[POOL_PORT_SOON]);
		buf_lit(b, " wait in TIME_WAIT or FIN_WAIT2, and connect() may or may not take them over yet.\n");
	}
}

static void free_text_unknown(struct buf *b, const struct free_facts *facts)
{
	uint32_t n = facts->measure->ports[POOL_PORT_UNKNOWN];

	if (!n)
		return;
	buf_lit(b, "Of ");
	rule_number(b, n);
	if (facts->key->kind == POOL_CONNECT)
		buf_str(b, n == 1 ? " port it is not known whether a bind() keeps connect() away" :
				    " ports it is not known whether a bind() keeps connect() away");
	else
		buf_lit(b, " it is not known whether a socket is in the way");
	if (facts->bucket_error) {
		buf_lit(b, ": the kernel's bind buckets cannot be read (");
		buf_str(b, strerrordesc_np(-facts->bucket_error));
		buf_lit(b, "). It takes CAP_BPF and CAP_PERFMON; a porttrace that was running would know");
	}
	buf_lit(b, ".\n");
}

static void free_text_half(struct buf *b, const struct pool_measure *m)
{
	if (m->odd && m->free.min != m->free.max)
		buf_lit(b, "The range has an odd number of ports: each search leaves out one end of it.\n");
	if (m->has_half && !m->half_free.max && m->free.max)
		buf_lit(b, "The first half is full: each search goes through it in vain, at 50 times the cost.\n");
}

void free_text(struct buf *b, const struct free_facts *facts)
{
	free_text_first(b, facts);
	free_text_away(b, facts->measure);
	free_text_time_wait(b, facts->measure);
	free_text_unknown(b, facts);
	free_text_half(b, facts->measure);
}
