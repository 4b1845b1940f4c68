// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which TCP connections there are between the sockets of all scenario processes, in shared memory: so that the
 * program knows which of them nobody has accepted when their listener ends, and which end a reset has reached.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sys/mman.h>

#include "workload.h"

enum { LINK_COUNT = 1024 };

struct link {
	struct ep client, server;
	uint64_t netns;
	bool used, accepted;
	bool client_gone, server_gone;
	bool client_reset, server_reset; /* this end got a reset while it was open */
};

static struct {
	pthread_mutex_t lock;
	struct link links[LINK_COUNT];
} *shared;

int links_open(void)
{
	pthread_mutexattr_t attr;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return -ENOMEM;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	return -pthread_mutex_init(&shared->lock, &attr);
}

static void links_lock(void)
{
	if (pthread_mutex_lock(&shared->lock) == EOWNERDEAD)
		pthread_mutex_consistent(&shared->lock);
}

static void links_unlock(void)
{
	pthread_mutex_unlock(&shared->lock);
}

static bool ep_same(const struct ep *a, const struct ep *b)
{
	return a->port == b->port && !strcmp(a->ip, b->ip);
}

static struct link *link_find(const struct sock *s)
{
	const struct ep *client = s->role == ROLE_EGRESS ? &s->local : &s->remote;
	const struct ep *server = s->role == ROLE_EGRESS ? &s->remote : &s->local;

	for (struct link *l = shared->links; l < shared->links + LINK_COUNT; l++)
		if (l->used && l->netns == s->netns && ep_same(&l->client, client) && ep_same(&l->server, server))
			return l;
	return NULL;
}

/* Either side may be the first to know of the connection. */
static struct link *link_make(const struct sock *s)
{
	struct link *l = link_find(s);

	for (int i = 0; i < LINK_COUNT && !l; i++)
		if (!shared->links[i].used)
			l = &shared->links[i];
	if (!l || l->used)
		return l;
	*l = (struct link){ .used = true, .netns = s->netns };
	l->client = s->role == ROLE_EGRESS ? s->local : s->remote;
	l->server = s->role == ROLE_EGRESS ? s->remote : s->local;
	return l;
}

void link_connected(const struct sock *s)
{
	links_lock();
	link_make(s);
	links_unlock();
}

void link_accepted(const struct sock *s)
{
	struct link *l;

	links_lock();
	l = link_make(s);
	if (l)
		l->accepted = true;
	links_unlock();
}

static void link_settle(struct link *l)
{
	if (l->client_gone && l->server_gone)
		l->used = false;
}

bool link_closed(const struct sock *s, bool hard)
{
	bool client = s->role == ROLE_EGRESS, reset = false;
	struct link *l;

	links_lock();
	l = link_find(s);
	if (l) {
		reset = client ? l->client_reset : l->server_reset;
		*(client ? &l->server_reset : &l->client_reset) |= hard;
		*(client ? &l->client_gone : &l->server_gone) = true;
		link_settle(l);
	}
	links_unlock();
	return reset;
}

/* Is it a connection to this listener that nobody has accepted? */
static bool link_waits(const struct link *l, const struct sock *listener)
{
	return l->used && !l->accepted && !l->server_gone && l->netns == listener->netns &&
	       l->server.port == listener->local.port &&
	       (listener->local.any || ep_same(&l->server, &listener->local));
}

bool link_take_waiting(const struct sock *listener, struct ep *ret_client, struct ep *ret_server, bool *ret_reset)
{
	bool found = false;

	links_lock();
	for (struct link *l = shared->links; l < shared->links + LINK_COUNT && !found; l++) {
		if (!link_waits(l, listener))
			continue;
		found = true;
		*ret_client = l->client;
		*ret_server = l->server;
		*ret_reset = l->server_reset;
		l->server_gone = true;
		l->client_reset = true;
		link_settle(l);
	}
	links_unlock();
	return found;
}
