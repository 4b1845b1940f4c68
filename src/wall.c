// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "wall.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "pool_kind.h"
#include "sockets.h"

/* In a row, and of what part of the range: from 50 % used to about 40 %. */
#define WALL_FALL_PART 10

/* Which pool: namespace, range, kind, device, source address, and of connect the destination. */
enum {
	WALL_NETNS,
	WALL_RANGE,
	WALL_KIND,
	WALL_SOURCE, /* two words each */
	WALL_DESTINATION = WALL_SOURCE + 2,
	WALL_WORDS = WALL_DESTINATION + 2,
};

struct wall_key {
	uint64_t words[WALL_WORDS];
};

/* A pool that has been announced. */
struct wall_pool {
	struct wall_key key;
	uint32_t first_row; /* ports of the first half in a row, up to the last one */
	bool up; /* not fallen below since */
};

struct wall {
	struct cache *pools; /* struct wall_pool by two hashes of its key */
	bool any; /* one has been announced, ever */
};

int wall_new(size_t limit, struct wall **ret)
{
	struct wall *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->pools = cache_new(limit, sizeof(struct wall_pool));
	if (!w->pools) {
		free(w);
		return -ENOMEM;
	}
	*ret = w;
	return 0;
}

void wall_free(struct wall *w)
{
	if (!w)
		return;
	cache_free(w->pools);
	free(w);
}

static struct wall_key wall_key_of(const struct event *ev)
{
	bool connect = ev->pool == EVENT_POOL_CONNECT;
	struct wall_key key = { 0 };
	uint16_t low, high;

	pool_kind_range(ev, &low, &high);
	key.words[WALL_NETNS] = sockets_netns(ev);
	key.words[WALL_RANGE] = (uint64_t)low << 48 | (uint64_t)high << 32 | ev->bound_ifindex;
	key.words[WALL_KIND] = (uint64_t)ev->pool << 32 | (uint64_t)ev->local.ip_version << 24 |
			       (connect ? (uint64_t)ev->remote.ip_version << 16 | ev->remote.port : 0);
	memcpy(&key.words[WALL_SOURCE], ev->local.addr, sizeof(ev->local.addr));
	if (connect)
		memcpy(&key.words[WALL_DESTINATION], ev->remote.addr, sizeof(ev->remote.addr));
	return key;
}

/* The mixing step of splitmix64, over all words. */
static uint64_t wall_hash(const struct wall_key *key, uint64_t seed)
{
	uint64_t x = seed;

	for (size_t i = 0; i < WALL_WORDS; i++) {
		x = (x + 0x9e3779b97f4a7c15ull) ^ key->words[i];
		x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
		x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
		x ^= x >> 31;
	}
	return x;
}

/* NULL = never announced, or forgotten; but with `add` it is remembered from now on, as one that is not up. */
static struct wall_pool *wall_find(struct wall *w, const struct wall_key *key, bool add)
{
	uint64_t hash1 = wall_hash(key, 1), hash2 = wall_hash(key, 2);
	struct wall_pool *pool = cache_find(w->pools, hash1, hash2);

	if (!pool && add) {
		pool = cache_claim(w->pools, hash1, hash2);
		pool->key = *key;
	}
	return pool && !memcmp(&pool->key, key, sizeof(*key)) ? pool : NULL;
}

static const char *wall_call(const struct event *ev)
{
	return ev->pool == EVENT_POOL_CONNECT ? "connect()" : ev->kind == EVENT_LISTEN ? "listen()" : "bind()";
}

/* What the event says of itself comes first. Where the socket's options are not known, it may have a range of its own:
 * that has other halves, or none. */
static void wall_announce(struct event *ev)
{
	bool first_is_odd = !(ev->local.port & 1);
	size_t len = strnlen(ev->reason, sizeof(ev->reason) - 1);

	ev->wall = true;
	snprintf(ev->reason + len, sizeof(ev->reason) - len,
		 "%swall: the first half (%u %s ports) has none free for this %s; "
		 "%s now searches it in vain each time%s",
		 len ? "; " : "", pool_kind_first_count(ev), first_is_odd ? "odd" : "even",
		 ev->pool == EVENT_POOL_CONNECT ? "pair" : "address", wall_call(ev),
		 ev->has_options ? "" : " (unless IP_LOCAL_PORT_RANGE is set)");
}

static void wall_first_half(struct wall *w, const struct event *ev)
{
	struct wall_key key = wall_key_of(ev);
	struct wall_pool *pool = wall_find(w, &key, false);
	uint16_t low, high;

	if (!pool || !pool->up || !pool_kind_range(ev, &low, &high))
		return;
	pool->first_row++;
	if (pool->first_row * WALL_FALL_PART >= (uint32_t)high - low + 1)
		pool->up = false;
}

static void wall_second_half(struct wall *w, struct event *ev)
{
	struct wall_key key = wall_key_of(ev);
	bool shown = pool_kind_is_past_first(ev);
	struct wall_pool *pool = wall_find(w, &key, shown);

	if (!pool)
		return;
	pool->first_row = 0;
	if (!shown || pool->up)
		return;
	pool->up = w->any = true;
	wall_announce(ev);
}

void wall_check(struct wall *w, struct event *ev)
{
	if (ev->half == EVENT_HALF_SECOND)
		wall_second_half(w, ev);
	else if (ev->half == EVENT_HALF_FIRST && w->any)
		wall_first_half(w, ev);
}
