// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who has the port that an event asked for in vain. */
#include <errno.h>
#include <stdlib.h>
#include "enrich.h"
#include "sockets.h"

struct enrich_holder_state {
	const struct sockets *sockets; /* not owned; NULL = nothing is remembered */
};

static int enrich_holder_open(const struct enrich_options *opts, void **ret_state)
{
	struct enrich_holder_state *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->sockets = opts->sockets;
	*ret_state = st;
	return 0;
}

static void enrich_holder_close(void *state)
{
	free(state);
}

/* The endpoint that somebody else has; NULL if the event failed for another reason. */
static const struct endpoint *enrich_holder_wanted(const struct event *ev)
{
	const struct endpoint *wanted;
	bool bind = ev->kind == EVENT_BIND && ev->how == HOW_EXPLICIT && ev->has_requested;
	bool listen = ev->kind == EVENT_LISTEN && ev->how == HOW_NONE;

	if (ev->outcome != OUTCOME_FAILURE || ev->error != EADDRINUSE || (!bind && !listen))
		return NULL;
	wanted = bind ? &ev->requested : &ev->local;
	return wanted->has_port && wanted->port ? wanted : NULL;
}

static void enrich_holder_fill(void *state, struct event *ev)
{
	const struct enrich_holder_state *st = state;
	const struct endpoint *wanted = enrich_holder_wanted(ev);
	struct sockets_key key = { .netns = sockets_netns(ev),
				   .proto = ev->proto,
				   .protocol = ev->protocol,
				   .v6only = ev->has_options && ev->v6only,
				   .socket_id = ev->socket_id };

	if (!wanted || !st->sockets)
		return;
	key.local = *wanted;
	ev->has_holder = sockets_find_holder(st->sockets, &key, &ev->holder);
}

const struct enricher enrich_holder = {
	.name = "holder",
	.open = enrich_holder_open,
	.fill = enrich_holder_fill,
	.close = enrich_holder_close,
};
