// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "overlap.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const overlap_use_names[OVERLAP_USE_COUNT] = {
	[OVERLAP_LISTENER] = "listener",
	[OVERLAP_BOUND] = "bound",
	[OVERLAP_NAMED] = "named",
};

static bool overlap_has(const uint8_t *bits, uint32_t port)
{
	return bits[port / 8] >> (port % 8) & 1;
}

static void overlap_set(uint8_t *bits, uint32_t port)
{
	bits[port / 8] |= (uint8_t)(1u << (port % 8));
}

bool overlap_is_at_risk(const struct netns_facts *facts, uint16_t port)
{
	return port >= facts->range_low && port <= facts->range_high && !netns_is_reserved(facts, port);
}

bool overlap_is_service(const struct sockdiag_socket *sock, const char *service, enum event_how how)
{
	if (sock->proto == PROTO_TCP ? sock->state != SOCKDIAG_LISTEN : sock->state != SOCKDIAG_CLOSE)
		return false;
	if (how != HOW_NONE)
		return how == HOW_EXPLICIT;
	return sock->proto == PROTO_TCP || service;
}

int overlap_add(struct overlap *o, const struct overlap_port *port)
{
	if (!overlap_is_at_risk(&o->facts, port->port) || overlap_has(o->seen[port->proto], port->port))
		return 0;
	if (o->count == o->room) {
		size_t room = o->room ? 2 * o->room : 16;
		struct overlap_port *grown = reallocarray(o->ports, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		o->ports = grown;
		o->room = room;
	}
	o->ports[o->count++] = *port;
	overlap_set(o->seen[port->proto], port->port);
	return 1;
}

static int overlap_compare(const void *a, const void *b)
{
	const struct overlap_port *x = a, *y = b;

	return x->port != y->port ? (int)x->port - (int)y->port : (int)x->proto - (int)y->proto;
}

void overlap_sort(struct overlap *o)
{
	if (o->count)
		qsort(o->ports, o->count, sizeof(*o->ports), overlap_compare);
}

void overlap_reserve(const struct overlap *o, uint8_t ret[65536 / 8])
{
	memcpy(ret, o->facts.reserved, sizeof(o->facts.reserved));
	for (size_t i = 0; i < o->count; i++)
		overlap_set(ret, o->ports[i].port);
}

bool overlap_next_range(const uint8_t bits[65536 / 8], uint32_t *cursor, uint16_t *ret_low, uint16_t *ret_high)
{
	uint32_t at = *cursor;

	while (at <= UINT16_MAX && !overlap_has(bits, at))
		at++;
	if (at > UINT16_MAX)
		return false;
	*ret_low = (uint16_t)at;
	while (at < UINT16_MAX && overlap_has(bits, at + 1))
		at++;
	*ret_high = (uint16_t)at;
	*cursor = at + 1;
	return true;
}

void overlap_command(struct buf *b, uint32_t pid)
{
	buf_lit(b, "sudo ");
	if (pid) {
		buf_lit(b, "nsenter -t ");
		buf_u64(b, pid);
		buf_lit(b, " -n ");
	}
	buf_lit(b, "sysctl -w net.ipv4.ip_local_reserved_ports=");
}

bool overlap_next_words(const uint8_t bits[65536 / 8], uint32_t *cursor, struct buf *b)
{
	bool first = !*cursor;
	uint16_t low, high;

	if (!overlap_next_range(bits, cursor, &low, &high))
		return false;
	if (!first)
		buf_char(b, ',');
	buf_u64(b, low);
	if (high > low) {
		buf_char(b, '-');
		buf_u64(b, high);
	}
	return true;
}

void overlap_free(struct overlap *o)
{
	free(o->ports);
	o->ports = NULL;
	o->count = o->room = 0;
}
