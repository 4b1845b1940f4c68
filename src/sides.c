// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sides.h"

static enum event_role sides_role(const struct event *ev)
{
	return ev->kind == EVENT_CONNECT  ? ROLE_EGRESS
	       : ev->kind == EVENT_ACCEPT ? ROLE_INGRESS
					  : ev->role;
}

struct sides sides_of(const struct event *ev)
{
	enum event_role role = sides_role(ev);
	/* A bind that got nothing shows what it wanted. */
	bool wanted = ev->kind == EVENT_BIND && ev->outcome != OUTCOME_SUCCESS && ev->has_requested;
	const struct endpoint *local = wanted ? &ev->requested : &ev->local;

	if (ev->kind == EVENT_BIND || ev->kind == EVENT_LISTEN || !sides_has_peer(ev) ||
	    (ev->socket_state && !ev->remote.has_port))
		return (struct sides){ NULL, local, NULL, &ev->local_facts, "" };
	if (role == ROLE_INGRESS)
		return (struct sides){ &ev->remote, local, &ev->remote_facts, &ev->local_facts, "ingress" };
	return (struct sides){ local, &ev->remote, &ev->local_facts, &ev->remote_facts, event_role_names[role] };
}
