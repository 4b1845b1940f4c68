// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One look at the history for all sockets: a search for each would be 100,000 searches. */
#include "list_history.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../cache.h"
#include "../proc.h"

#define LIST_HISTORY_LATE_NS (120 * NS_PER_SEC) /* no socket waits in TIME_WAIT for longer */

struct list_life {
	uint64_t netns_cookie, begin_ns, process_start_ns, bytes_sent, bytes_received;
	enum event_how how;
	enum event_role role;
	uint32_t pid, uid;
	bool has_uid, has_bytes;
	char name[EVENT_NAME_SIZE], container_id[EVENT_ID_SIZE], unit[EVENT_ID_SIZE];
};

/* A cookie, or what stands for the ends. */
struct list_key {
	uint64_t key;
	size_t life; /* in list_history.lives */
};

struct list_history {
	struct list_life *lives; /* the newest first */
	size_t count, room;
	struct list_key *keys; /* sorted; of equal ones the newest life first; two of a life at most */
	size_t key_count;
	char boot_id[HISTORY_BOOT_ID_SIZE];
	struct event_who who; /* of the socket that was filled in last */
};

static void list_history_text(char *to, size_t size, const char *from)
{
	if (from)
		snprintf(to, size, "%s", from);
}

static struct list_life *list_history_new(struct list_history *h)
{
	if (h->count == h->room) {
		size_t room = h->room ? 2 * h->room : 256;
		struct list_life *lives = reallocarray(h->lives, room, sizeof(*lives));
		struct list_key *keys = lives ? reallocarray(h->keys, 2 * room, sizeof(*keys)) : NULL;

		if (lives)
			h->lives = lives;
		if (!keys)
			return NULL;
		h->keys = keys;
		h->room = room;
	}
	memset(&h->lives[h->count], 0, sizeof(*h->lives));
	return &h->lives[h->count++];
}

static void list_history_key(struct list_history *h, uint64_t key)
{
	h->keys[h->key_count++] = (struct list_key){ .key = key, .life = h->count - 1 };
}

static uint64_t list_history_mix(uint64_t h, const void *bytes, size_t n)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < n; i++)
		h = (h ^ at[i]) * 0x100000001b3ull; /* FNV-1a */
	return h;
}

/*
 * Stands for a cookie that no event told (kprobe mode: the kernel gives a socket its cookie when somebody asks), or
 * that is another than TIME_WAIT's, which got its own in that way: by namespace and endpoints. With a bit that no
 * cookie has.
 */
static uint64_t list_history_ends(uint32_t netns_inum, enum event_proto proto, const struct endpoint *local,
				  const struct endpoint *remote)
{
	uint16_t ports[2] = { local->port, remote->has_port ? remote->port : 0 };
	uint64_t h = list_history_mix(0xcbf29ce484222325ull, &netns_inum, sizeof(netns_inum));
	uint8_t kind[2] = { (uint8_t)proto, local->ip_version };

	h = list_history_mix(h, kind, sizeof(kind));
	h = list_history_mix(h, ports, sizeof(ports));
	h = list_history_mix(h, local->addr, sizeof(local->addr));
	if (ports[1])
		h = list_history_mix(h, remote->addr, sizeof(remote->addr));
	return h | 1ull << 63;
}

static int list_history_add(void *arg, const struct history_life *from)
{
	struct list_history *h = arg;
	struct list_life *life;

	if (!from->cookie && !from->netns_inum)
		return 0;
	if (from->boot_id && from->boot_id[0] && strcmp(from->boot_id, h->boot_id))
		return 0;
	life = list_history_new(h);
	if (!life)
		return -ENOMEM;
	if (from->cookie)
		list_history_key(h, from->cookie);
	if (from->netns_inum && (!from->cookie || from->remote.port))
		list_history_key(h, list_history_ends(from->netns_inum, from->proto, &from->local, &from->remote));
	life->netns_cookie = from->netns_cookie;
	life->begin_ns = from->begin_ns;
	life->process_start_ns = from->process_start_ns;
	life->how = from->how;
	life->role = from->role;
	life->pid = from->pid;
	life->uid = from->uid;
	life->has_uid = from->has_uid;
	life->has_bytes = from->has_bytes;
	life->bytes_sent = from->bytes_sent;
	life->bytes_received = from->bytes_received;
	list_history_text(life->name, sizeof(life->name), from->name);
	list_history_text(life->container_id, sizeof(life->container_id), from->container_id);
	list_history_text(life->unit, sizeof(life->unit), from->unit);
	return 0;
}

static int list_history_compare(const void *a, const void *b)
{
	const struct list_key *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? -1 : 1;
	return (x->life > y->life) - (x->life < y->life);
}

static int list_history_read(struct list_history *h, struct history_reader *reader, uint64_t now_ns, char *err)
{
	struct history_query query = { .port = -1,
				       .remote_port = -1,
				       .proto = -1,
				       .from_ns = now_ns - LIST_HISTORY_LATE_NS,
				       .to_ns = now_ns + NS_PER_SEC };
	int r;

	history_boot_id(h->boot_id); /* "": then no life is taken to be of this boot */
	r = history_find(reader, &query, list_history_add, h);
	if (r < 0)
		snprintf(err, HISTORY_ERR_SIZE, "cannot read it: %s", strerrordesc_np(-r));
	else if (h->key_count)
		qsort(h->keys, h->key_count, sizeof(*h->keys), list_history_compare);
	return r;
}

int list_history_open(const char *path, uint64_t now_ns, struct list_history **ret, char *err)
{
	struct history_reader *reader = NULL;
	struct list_history *h;
	int r;

	h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	r = history_reader_open(path, &reader, err);
	if (r == 0) {
		r = list_history_read(h, reader, now_ns, err);
		history_reader_close(reader);
	}
	if (r < 0)
		list_history_close(h);
	else
		*ret = h;
	return r;
}

/* Cookies of kernels before 5.10 repeat in other namespaces. */
static const struct list_life *list_history_search(const struct list_history *h, const struct event *ev,
						   uint64_t key)
{
	size_t low = 0, high = h->key_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (h->keys[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < h->key_count && h->keys[low].key == key; low++) {
		const struct list_life *life = &h->lives[h->keys[low].life];

		if (!life->netns_cookie || !ev->netns_cookie || life->netns_cookie == ev->netns_cookie)
			return life;
	}
	return NULL;
}

static const struct list_life *list_history_look_up(const struct list_history *h, const struct event *ev)
{
	const struct list_life *life = list_history_search(h, ev, ev->cookie);

	if (life || !ev->netns_inum)
		return life;
	return list_history_search(h, ev, list_history_ends(ev->netns_inum, ev->proto, &ev->local, &ev->remote));
}

/* Who had a socket that nobody has open. */
static void list_history_fill_owner(const struct list_life *life, struct event *ev)
{
	ev->pid = life->pid;
	ev->process_start_ns = life->process_start_ns;
	memcpy(ev->name, life->name, sizeof(ev->name));
	ev->name_is_leader = life->name[0];
	ev->has_uid = life->has_uid;
	ev->uid = life->uid;
	ev->owner_exited = life->pid && proc_has_ended("/proc", life->pid, life->process_start_ns);
}

void list_history_fill(struct list_history *h, uint64_t now_ns, struct event *ev)
{
	const struct list_life *life = h && ev->cookie ? list_history_look_up(h, ev) : NULL;

	if (!life)
		return;
	ev->how = life->how;
	ev->role = life->role;
	ev->life_begin_ns = life->begin_ns;
	if (life->begin_ns && life->begin_ns < now_ns)
		ev->duration_ns = now_ns - life->begin_ns;
	if (!ev->has_bytes && life->has_bytes) {
		ev->has_bytes = true;
		ev->bytes_sent = life->bytes_sent;
		ev->bytes_received = life->bytes_received;
	}
	if (!ev->owner_count && life->pid) {
		list_history_fill_owner(life, ev);
		h->who = (struct event_who){ 0 };
		memcpy(h->who.container_id, life->container_id, sizeof(life->container_id));
		memcpy(h->who.unit, life->unit, sizeof(life->unit));
		ev->who = &h->who;
	}
}

void list_history_close(struct list_history *h)
{
	if (!h)
		return;
	free(h->lives);
	free(h->keys);
	free(h);
}
