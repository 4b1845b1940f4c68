// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure_cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"

/* The slot of a cookie, or the free one where it would be. Cookies are counted up: they need no mixing. */
static struct pressure_cache_slot *pressure_cache_slot(const struct pressure_cache *cache, uint64_t cookie)
{
	size_t i = cookie & (cache->size - 1);

	while (cache->slots[i].cookie && cache->slots[i].cookie != cookie)
		i = (i + 1) & (cache->size - 1);
	return &cache->slots[i];
}

static int pressure_cache_make(struct pressure_cache *cache, const struct pressure_picture *picture)
{
	size_t sockets = 0, bytes = picture->process_count * sizeof(*cache->processes);

	for (size_t i = 0; i < picture->count; i++)
		sockets += picture->pools[i].count;
	for (cache->size = 64; cache->size < 2 * sockets;)
		cache->size *= 2;
	cache->slots = calloc(cache->size, sizeof(*cache->slots));
	cache->processes = malloc(bytes);
	if (!cache->slots || !cache->processes)
		return -ENOMEM;
	memcpy(cache->processes, picture->processes, bytes);
	cache->process_count = picture->process_count;
	return 0;
}

int pressure_cache_fill(struct pressure_cache *cache, const struct pressure_picture *picture)
{
	uint64_t since_ns = cache->since_ns;

	pressure_cache_clear(cache);
	if (pressure_cache_make(cache, picture) < 0) {
		pressure_cache_clear(cache);
		return -ENOMEM;
	}
	cache->since_ns = since_ns;
	for (size_t i = 0; i < picture->count; i++)
		for (size_t k = 0; k < picture->pools[i].count; k++) {
			const struct pool_socket *sock = &picture->pools[i].sockets[k];
			struct pressure_cache_slot *slot;

			if (!sock->cookie)
				continue;
			slot = pressure_cache_slot(cache, sock->cookie);
			slot->cookie = sock->cookie;
			slot->process = picture->process[i][k];
			slot->how = sock->how;
		}
	return 0;
}

bool pressure_cache_find(const struct pressure_cache *cache, const struct snapshot_socket *sock,
			 struct pressure_memory *ret)
{
	const struct pressure_cache_slot *slot;
	const struct pressure_process *process;

	if (!cache->size || !sock->sock.cookie)
		return false;
	slot = pressure_cache_slot(cache, sock->sock.cookie);
	process = &cache->processes[slot->process];
	if (!slot->process || (process->exited && sock->sock.inode))
		return false;
	ret->pid = process->pid;
	ret->how = slot->how;
	memcpy(ret->name, process->name, sizeof(ret->name)); /* by far the most sockets come by here */
	return true;
}

void pressure_cache_refresh(struct pressure_cache *cache)
{
	for (size_t i = 1; i < cache->process_count; i++)
		if (!cache->processes[i].exited)
			cache->processes[i].exited = proc_has_ended("/proc", cache->processes[i].pid, 0);
}

void pressure_cache_clear(struct pressure_cache *cache)
{
	free(cache->slots);
	free(cache->processes);
	*cache = (struct pressure_cache){ 0 };
}
