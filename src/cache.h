/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A bounded cache: values of one size, found by two numbers. It never grows; a new key takes the
 * place of the least recently used one among the few that share its slot. What a value's age means
 * is its user's business.
 */
#ifndef PORTTRACE_CACHE_H
#define PORTTRACE_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_SEC 1000000000ull

struct cache;

/* Room for about `entries` values (rounded up to a power of two). NULL if there is no memory. */
struct cache *cache_new(size_t entries, size_t value_size);
void cache_free(struct cache *c); /* accepts NULL */
/* The value of a key, or NULL. Both pointers are good until the next cache_claim. */
void *cache_find(struct cache *c, uint64_t key1, uint64_t key2);
/* The value of a key that is not in the cache, all zero. */
void *cache_claim(struct cache *c, uint64_t key1, uint64_t key2);
/* CLOCK_MONOTONIC in nanoseconds, to a few milliseconds, for ages. Never 0. */
uint64_t cache_now_ns(void);

#endif
