// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure_find.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"

/* FNV-1a, in steps of eight bytes: each socket of each look comes by here. */
static uint64_t pressure_mix(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x100000001b3ull;
	return h ^ h >> 32;
}

static uint64_t pressure_mix_address(uint64_t h, const uint8_t addr[16])
{
	uint64_t words[2];

	memcpy(words, addr, sizeof(words));
	return pressure_mix(pressure_mix(h, words[0]), words[1]);
}

uint64_t pressure_pool_id(uint32_t netns_inum, const struct pool_key *key)
{
	uint64_t head = (uint64_t)netns_inum << 32 | (uint64_t)key->kind << 24 |
			(uint64_t)key->source.ip_version << 16 | key->destination.port;
	uint64_t h = pressure_mix(0xcbf29ce484222325ull, head);

	return pressure_mix_address(pressure_mix_address(h, key->source.addr), key->destination.addr);
}

/* ---- the pools ---- */

static int pressure_grow(struct pressure_pools *pools)
{
	size_t room = pools->room ? 2 * pools->room : 256;
	struct pressure_found *list = reallocarray(pools->list, room, sizeof(*list));
	uint32_t *table;

	if (!list)
		return -ENOMEM;
	pools->list = list;
	table = calloc(2 * room, sizeof(*table));
	if (!table)
		return -ENOMEM;
	free(pools->table);
	pools->table = table;
	pools->room = room;
	pools->mask = 2 * room - 1;
	for (size_t i = 0; i < pools->count; i++) {
		size_t slot = list[i].id & pools->mask;

		while (table[slot])
			slot = (slot + 1) & pools->mask;
		table[slot] = (uint32_t)i + 1;
	}
	return 0;
}

/* 1 + the place of a pool; 0 = no memory. Two pools of one id would be one: their keys are not compared. */
static uint32_t pressure_place(struct pressure_pools *pools, uint32_t netns_inum, const struct pool_key *key)
{
	uint64_t id = pressure_pool_id(netns_inum, key);
	size_t slot;

	if (pools->count == pools->room && pressure_grow(pools) < 0)
		return 0;
	slot = id & pools->mask;
	while (pools->table[slot] && pools->list[pools->table[slot] - 1].id != id)
		slot = (slot + 1) & pools->mask;
	if (!pools->table[slot]) {
		pools->list[pools->count++] = (struct pressure_found){ .key = *key, .id = id };
		pools->table[slot] = (uint32_t)pools->count;
	}
	return pools->table[slot];
}

/* ---- sockets ---- */

/* Somebody waits for others at that port. */
static bool pressure_is_listened_on(const uint8_t *listening, uint16_t port)
{
	return listening[port / 8] >> (port % 8) & 1;
}

static bool pressure_is_bound_first(const struct pool_state *s, const struct pool_socket *sock)
{
	if (sock->state == SOCKDIAG_CLOSE || sock->how == HOW_BIND0)
		return true;
	return sock->how == HOW_NONE && s->explicit[sock->local.port] == POOL_YES;
}

static struct endpoint pressure_address(const struct endpoint *ep)
{
	struct endpoint address = *ep;

	address.port = 0;
	return address;
}

/* From which pool its port is; false: from none, as it was asked for by number, inherited, or is outside the range. */
static bool pressure_key_of(const struct pool_state *s, const uint8_t *listening, const struct pool_socket *sock,
			    struct pool_key *ret)
{
	static const struct endpoint any4 = { .ip_version = 4 };

	if (sock->local.port < s->range_low || sock->local.port > s->range_high || sock->state == SOCKDIAG_LISTEN ||
	    sock->how == HOW_EXPLICIT || sock->how == HOW_INHERITED)
		return false;
	*ret = (struct pool_key){ .kind = POOL_UDP, .source = any4 };
	if (sock->proto == PROTO_UDP)
		return true;
	if (pressure_is_listened_on(listening, sock->local.port))
		return false;
	ret->source = pressure_address(&sock->local);
	ret->kind = pressure_is_bound_first(s, sock) || !sock->remote.port ? POOL_BIND : POOL_CONNECT;
	if (ret->kind == POOL_CONNECT)
		ret->destination = sock->remote;
	return true;
}

static void pressure_note_listeners(const struct pool_state *s, uint8_t *listening)
{
	for (size_t i = 0; i < s->count; i++) {
		uint16_t port = s->sockets[i].local.port;

		if (s->sockets[i].proto == PROTO_TCP && s->sockets[i].state == SOCKDIAG_LISTEN)
			listening[port / 8] |= (uint8_t)(1 << port % 8);
	}
}

int pressure_find(const struct pressure_input *in, struct pressure_pools *ret)
{
	_free_ uint8_t *listening = calloc(POOL_PORTS / 8, 1);
	const struct pool_state *s = in->pool;
	struct pool_key key;

	*ret = (struct pressure_pools){ .of = calloc(s->count + 1, sizeof(*ret->of)) };
	if (!listening || !ret->of)
		return -ENOMEM;
	pressure_note_listeners(s, listening);
	for (size_t i = 0; i < s->count; i++) {
		if (!pressure_key_of(s, listening, &s->sockets[i], &key))
			continue;
		ret->of[i] = pressure_place(ret, s->netns_inum, &key);
		if (!ret->of[i])
			return -ENOMEM;
		ret->list[ret->of[i] - 1].sockets++;
	}
	return 0;
}

void pressure_find_free(struct pressure_pools *pools)
{
	free(pools->list);
	free(pools->of);
	free(pools->table);
	*pools = (struct pressure_pools){ 0 };
}
