// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cache.h"

#define CACHE_WAYS 4 /* keys that share a slot */

struct cache_key {
	uint64_t key1, key2;
	uint64_t used; /* cache.clock at the last use; 0 = empty */
};

struct cache {
	size_t slot_mask, value_size;
	uint64_t clock; /* counts uses */
	struct cache_key *keys;
	char *values;
};

struct cache *cache_new(size_t entries, size_t value_size)
{
	struct cache *c = calloc(1, sizeof(*c));
	size_t slots = 1;

	if (!c)
		return NULL;
	while (slots * CACHE_WAYS < entries)
		slots *= 2;
	c->slot_mask = slots - 1;
	c->value_size = (value_size + alignof(max_align_t) - 1) / alignof(max_align_t) *
			alignof(max_align_t);
	c->keys = calloc(slots * CACHE_WAYS, sizeof(*c->keys));
	c->values = calloc(slots * CACHE_WAYS, c->value_size);
	if (!c->keys || !c->values) {
		cache_free(c);
		return NULL;
	}
	return c;
}

void cache_free(struct cache *c)
{
	if (!c)
		return;
	free(c->keys);
	free(c->values);
	free(c);
}

/* The mixing step of splitmix64: neighbouring pids must not fall into neighbouring slots only. */
static size_t cache_slot(const struct cache *c, uint64_t key1, uint64_t key2)
{
	uint64_t x = key1 * 0x9e3779b97f4a7c15ull ^ key2;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return (size_t)(x ^ (x >> 31)) & c->slot_mask;
}

static void *cache_use(struct cache *c, size_t index)
{
	c->keys[index].used = ++c->clock;
	return c->values + index * c->value_size;
}

void *cache_find(struct cache *c, uint64_t key1, uint64_t key2)
{
	size_t first = cache_slot(c, key1, key2) * CACHE_WAYS;

	for (size_t i = first; i < first + CACHE_WAYS; i++)
		if (c->keys[i].used && c->keys[i].key1 == key1 && c->keys[i].key2 == key2)
			return cache_use(c, i);
	return NULL;
}

void *cache_claim(struct cache *c, uint64_t key1, uint64_t key2)
{
	size_t first = cache_slot(c, key1, key2) * CACHE_WAYS, oldest = first;
	void *value;

	for (size_t i = first + 1; i < first + CACHE_WAYS; i++)
		if (c->keys[i].used < c->keys[oldest].used)
			oldest = i;
	c->keys[oldest].key1 = key1;
	c->keys[oldest].key2 = key2;
	value = cache_use(c, oldest);
	memset(value, 0, c->value_size);
	return value;
}

uint64_t cache_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * NS_PER_SEC + (uint64_t)now.tv_nsec + 1;
}
