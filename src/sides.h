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
bool sides_has_peer(const struct event *ev);
/* Payload that `side`, one of the event's, has sent; UINT64_MAX = not known. */
uint64_t sides_bytes_from(const struct event *ev, const struct endpoint *side);
/* A source, a destination of which something is known. Port 0 of a peer is what a program really may have asked for. */
bool sides_is_source_known(const struct sides *sides);
bool sides_is_destination_known(const struct event *ev, const struct sides *sides);

#endif
