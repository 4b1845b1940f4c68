// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A hash table from socket_id, open addressing with backward-shift deletion, doubled when three quarters full. */
#include "sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct socket_entry {
	uint64_t socket_id; /* 0 = free slot */
	uint64_t born_ns; /* time of the first event, CLOCK_REALTIME */
	enum event_role role;
};

struct sockets {
	struct socket_entry *slots;
	size_t size; /* power of two */
	size_t count, limit;
};

static size_t sockets_home(const struct sockets *s, uint64_t id)
{
	return (size_t)((id * 0x9E3779B97F4A7C15ULL) >> 20) & (s->size - 1);
}

/* The entry of `id`, or the free slot where it would go. The table is never full. */
static struct socket_entry *sockets_slot(const struct sockets *s, uint64_t id)
{
	size_t i = sockets_home(s, id);

	while (s->slots[i].socket_id && s->slots[i].socket_id != id)
		i = (i + 1) & (s->size - 1);
	return &s->slots[i];
}

static int sockets_grow(struct sockets *s)
{
	struct sockets bigger = { .size = s->size * 2, .count = s->count, .limit = s->limit };

	bigger.slots = calloc(bigger.size, sizeof(*bigger.slots));
	if (!bigger.slots)
		return -ENOMEM;
	for (size_t i = 0; i < s->size; i++)
		if (s->slots[i].socket_id)
			*sockets_slot(&bigger, s->slots[i].socket_id) = s->slots[i];
	free(s->slots);
	*s = bigger;
	return 0;
}

/* Moves later entries of the same run back, so that no lookup ends at the gap too early. */
static void sockets_remove(struct sockets *s, struct socket_entry *entry)
{
	size_t gap = (size_t)(entry - s->slots), mask = s->size - 1;

	for (size_t i = (gap + 1) & mask; s->slots[i].socket_id; i = (i + 1) & mask) {
		size_t home = sockets_home(s, s->slots[i].socket_id);

		if (((i - home) & mask) >= ((i - gap) & mask)) {
			s->slots[gap] = s->slots[i];
			gap = i;
		}
	}
	s->slots[gap].socket_id = 0;
	s->count--;
}

int sockets_new(size_t limit, struct sockets **ret)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->size = 1024;
	s->limit = limit;
	s->slots = calloc(s->size, sizeof(*s->slots));
	if (!s->slots) {
		free(s);
		return -ENOMEM;
	}
	*ret = s;
	return 0;
}

void sockets_free(struct sockets *s)
{
	if (!s)
		return;
	free(s->slots);
	free(s);
}

static void sockets_forget_all(struct sockets *s)
{
	memset(s->slots, 0, s->size * sizeof(*s->slots));
	s->count = 0;
}

/*
 * An event that assigns a port begins the life that a close ends. Whatever was remembered under this id before was
 * of an older socket, or of a port that was given back (a failed connect has no close).
 */
static void sockets_remember(struct sockets *s, const struct event *ev)
{
	struct socket_entry *entry = sockets_slot(s, ev->socket_id);
	bool fresh = !entry->socket_id;

	if (ev->outcome == OUTCOME_FAILURE)
		return;
	if (fresh) {
		if (s->count >= s->limit)
			sockets_forget_all(s);
		if (s->count >= s->size / 4 * 3 && sockets_grow(s) < 0)
			return;
		entry = sockets_slot(s, ev->socket_id);
		s->count++;
	}
	if (fresh || ev->how != HOW_NONE)
		*entry = (struct socket_entry){ ev->socket_id, ev->time_ns, ROLE_UNKNOWN };
	if (ev->role != ROLE_UNKNOWN)
		entry->role = ev->role;
}

static void sockets_recall(struct sockets *s, struct event *ev)
{
	struct socket_entry *entry = sockets_slot(s, ev->socket_id);

	if (!entry->socket_id)
		return;
	if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
		ev->role = entry->role;
	if (!ev->duration_ns && ev->time_ns > entry->born_ns)
		ev->duration_ns = ev->time_ns - entry->born_ns;
	sockets_remove(s, entry);
}

/* A socket that was connected or accepted before we came: the end with an ephemeral port is the initiator's. */
static void sockets_guess_role(struct event *ev)
{
	bool local_eph = ev->local.port >= ev->range_low && ev->local.port <= ev->range_high;
	bool remote_eph = ev->remote.port >= ev->range_low && ev->remote.port <= ev->range_high;

	if (ev->has_truth && local_eph != remote_eph)
		ev->role = local_eph ? ROLE_EGRESS : ROLE_INGRESS;
}

void sockets_track(struct sockets *s, struct event *ev)
{
	if (!ev->socket_id)
		return;
	if (ev->kind != EVENT_CLOSE) {
		sockets_remember(s, ev);
		return;
	}
	sockets_recall(s, ev);
	if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
		sockets_guess_role(ev);
}

size_t sockets_count(const struct sockets *s)
{
	return s->count;
}
