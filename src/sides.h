/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which endpoint of an event is the source and which the destination, in the sense of ECS. */
#ifndef PORTTRACE_SIDES_H
#define PORTTRACE_SIDES_H

#include <stdbool.h>

#include "event.h"

/* source = who opened the connection, destination = who answers, or the only side there is. Pointers into the event. */
struct sides {
	const struct endpoint *source, *destination; /* source NULL = none */
	const struct port_facts *source_facts, *destination_facts;
	const char *direction; /* "egress", "ingress"; "" = none */
};

struct sides sides_of(const struct event *ev);

/* There is another end than the socket's own. */
static inline bool sides_has_peer(const struct event *ev)
{
	return ev->kind == EVENT_CONNECT || ev->kind == EVENT_ACCEPT || ev->role != ROLE_UNKNOWN ||
	       ev->remote.ip_version;
}

/* Payload that `side`, one of the event's, has sent; UINT64_MAX = not known. */
static inline uint64_t sides_bytes_from(const struct event *ev, const struct endpoint *side)
{
	if (!ev->has_bytes)
		return UINT64_MAX;
	return side == &ev->remote ? ev->bytes_received : ev->bytes_sent;
}

/* A source, a destination of which something is known. Port 0 of a peer is what a program really may have asked for. */
static inline bool sides_is_source_known(const struct sides *sides)
{
	const struct endpoint *src = sides->source;

	return src && (src->ip_version || (src->has_port && src->port));
}

static inline bool sides_is_destination_known(const struct event *ev, const struct sides *sides)
{
	const struct endpoint *dst = sides->destination;

	return dst->ip_version || (dst->has_port && (dst->port || dst == &ev->remote));
}

#endif
