// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "pressure_find.h"

#define NS_PER_S 1e9
#define PRESSURE_SMOOTH_S 10.0

const char *const pressure_state_names[PRESSURE_STATE_COUNT] = {
	[PRESSURE_ESTABLISHED] = "established",
	[PRESSURE_SYN_SENT] = "syn-sent",
	[PRESSURE_CLOSE_WAIT] = "close-wait",
	[PRESSURE_FIN_WAIT2] = "fin-wait-2",
	[PRESSURE_TIME_WAIT] = "time-wait",
	[PRESSURE_CLOSING] = "closing",
	[PRESSURE_BOUND] = "bound",
};

const char *const pressure_severity_names[PRESSURE_SEVERITY_COUNT] = {
	[PRESSURE_OK] = "ok", [PRESSURE_WARN] = "warn", [PRESSURE_HIGH] = "high", [PRESSURE_CRIT] = "crit"
};

/* One look, while it is made. */
struct pressure_run {
	const struct pressure_input *in;
	struct pressure_past *past;
	uint64_t now_ns;
	struct pressure_pools pools;
	struct pressure_netns *out;
};

/* ---- what the sockets of one pool do ---- */

static enum pressure_state pressure_state_of(const struct pool_socket *sock)
{
	static const enum pressure_state states[SOCKDIAG_STATE_COUNT] = {
		[SOCKDIAG_ESTABLISHED] = PRESSURE_ESTABLISHED,
		[SOCKDIAG_SYN_SENT] = PRESSURE_SYN_SENT,
		[SOCKDIAG_SYN_RECV] = PRESSURE_ESTABLISHED,
		[SOCKDIAG_FIN_WAIT1] = PRESSURE_CLOSING,
		[SOCKDIAG_FIN_WAIT2] = PRESSURE_FIN_WAIT2,
		[SOCKDIAG_TIME_WAIT] = PRESSURE_TIME_WAIT,
		[SOCKDIAG_CLOSE] = PRESSURE_BOUND,
		[SOCKDIAG_CLOSE_WAIT] = PRESSURE_CLOSE_WAIT,
		[SOCKDIAG_LAST_ACK] = PRESSURE_CLOSING,
		[SOCKDIAG_LISTEN] = PRESSURE_BOUND,
		[SOCKDIAG_CLOSING] = PRESSURE_CLOSING,
		[SOCKDIAG_NEW_SYN_RECV] = PRESSURE_ESTABLISHED,
	};

	if (sock->proto == PROTO_UDP)
		return sock->state == SOCKDIAG_ESTABLISHED ? PRESSURE_ESTABLISHED : PRESSURE_BOUND;
	return sock->state < SOCKDIAG_STATE_COUNT ? states[sock->state] : PRESSURE_ESTABLISHED;
}

/* Does it take a port from this pool: its own, or any that is in the way of one? */
static bool pressure_takes(const struct pressure_pool *pool, uint32_t place, uint32_t of,
			   const struct pool_socket *sock)
{
	if (pool->key.kind == POOL_CONNECT)
		return place == of;
	if ((pool->key.kind == POOL_UDP) != (sock->proto == PROTO_UDP))
		return false;
	return sock->local.port >= pool->measure.low && sock->local.port <= pool->measure.high &&
	       pool_conflicts(&pool->key.source, sock) == POOL_YES;
}

static void pressure_release(struct pressure_pool *pool, const struct pool_socket *sock)
{
	uint32_t second = sock->expires_ms / 1000;

	if (!sock->waits)
		return;
	pool->releases[second < PRESSURE_SECONDS ? second : PRESSURE_SECONDS - 1]++;
	if (sock->expires_ms < pool->next_ms)
		pool->next_ms = sock->expires_ms;
}

/* Ports of each process: by its number. */
struct pressure_share {
	uint32_t ports, time_wait;
};

struct pressure_tally {
	uint8_t map[POOL_PORTS]; /* enum pool_port of each port of the range */
	uint8_t seen[POOL_PORTS / 8];
	struct pressure_share shares[];
};

static struct pressure_tally *pressure_new_tally(const struct pressure_run *run)
{
	return calloc(1, sizeof(struct pressure_tally) + (run->in->process_count + 1) * sizeof(struct pressure_share));
}

static void pressure_count(const struct pressure_run *run, struct pressure_pool *pool, uint32_t place,
			   struct pressure_share *shares, uint8_t *seen)
{
	const struct pool_state *s = run->in->pool;

	for (size_t i = 0; i < s->count; i++) {
		const struct pool_socket *sock = &s->sockets[i];
		struct pressure_share *share = &shares[run->in->process[i]];
		uint8_t bit = (uint8_t)(1 << sock->local.port % 8);
		enum pressure_state state;

		if (!pressure_takes(pool, place, run->pools.of[i], sock) || (seen[sock->local.port / 8] & bit))
			continue;
		seen[sock->local.port / 8] |= bit;
		state = pressure_state_of(sock);
		pool->ports[state]++;
		pressure_release(pool, sock);
		share->ports++;
		share->time_wait += sock->waits;
	}
}

static bool pressure_is_more(const struct pressure_share *shares, uint32_t a, uint32_t b)
{
	return !b || shares[a].ports > shares[b].ports;
}

/* The few with the most ports, in order. [0] is nobody. */
static uint32_t pressure_rank(const struct pressure_share *shares, size_t count, struct pressure_owner *ret)
{
	uint32_t best[PRESSURE_OWNERS] = { 0 }, n = 0;

	for (uint32_t i = 1; i < count; i++) {
		uint32_t at = PRESSURE_OWNERS;

		if (!shares[i].ports)
			continue;
		while (at > 0 && pressure_is_more(shares, i, best[at - 1]))
			at--;
		if (at == PRESSURE_OWNERS)
			continue;
		memmove(&best[at + 1], &best[at], (PRESSURE_OWNERS - 1 - at) * sizeof(best[0]));
		best[at] = i;
	}
	for (; n < PRESSURE_OWNERS && best[n]; n++)
		ret[n] = (struct pressure_owner){ best[n], shares[best[n]].ports, shares[best[n]].time_wait };
	return n;
}

static void pressure_fill_owners(struct pressure_pool *pool, const struct pressure_share *shares, size_t count)
{
	uint32_t named = 0;

	pool->unattributed = shares[0].ports;
	pool->owner_count = pressure_rank(shares, count, pool->owners);
	for (uint32_t i = 0; i < pool->owner_count; i++)
		named += pool->owners[i].ports;
	for (size_t i = 1; i < count; i++) {
		pool->others += shares[i].ports != 0;
		pool->other_ports += shares[i].ports;
	}
	pool->others -= pool->owner_count;
	pool->other_ports -= named;
}

static int pressure_fill(const struct pressure_run *run, const struct pressure_found *found, uint32_t place,
			 struct pressure_pool *pool)
{
	_free_ struct pressure_tally *tally = pressure_new_tally(run);
	int r = tally ? 0 : -ENOMEM;

	*pool = (struct pressure_pool){ .key = found->key, .id = found->id, .next_ms = UINT32_MAX };
	if (r == 0)
		r = pool_measure(run->in->pool, &pool->key, &pool->measure);
	if (r < 0)
		return r;
	pressure_count(run, pool, place, tally->shares, tally->seen);
	pressure_fill_owners(pool, tally->shares, run->in->process_count);
	return 0;
}

/* ---- the looks before ---- */

static int pressure_compare_sockets(const void *a, const void *b)
{
	const struct pressure_past_socket *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static int pressure_compare_pools(const void *a, const void *b)
{
	const struct pressure_past_pool *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Sockets of the pool that were there and are not, and those that were not and are. */
static void pressure_flow(const struct pressure_past *past, const struct pressure_past_socket *now, size_t now_count,
			  uint64_t id, uint32_t *ret_opened, uint32_t *ret_freed)
{
	size_t a = 0, b = 0;

	*ret_opened = *ret_freed = 0;
	while (a < past->socket_count || b < now_count) {
		bool was = b == now_count || (a < past->socket_count && past->sockets[a].cookie < now[b].cookie);
		bool is = a == past->socket_count || (b < now_count && now[b].cookie < past->sockets[a].cookie);

		*ret_freed += was && past->sockets[a].pool == id;
		*ret_opened += is && now[b].pool == id;
		a += !is;
		b += !was;
	}
}

static void pressure_rates(struct pressure_pool *pool, const struct pressure_past *past, double seconds,
			   uint32_t opened, uint32_t freed)
{
	struct pressure_past_pool key = { .id = pool->id }, *before;
	double share = seconds / PRESSURE_SMOOTH_S;

	before = past->pool_count ? bsearch(&key, past->pools, past->pool_count, sizeof(key), pressure_compare_pools) :
				    NULL;
	pool->has_rates = true;
	pool->opens_per_s = opened / seconds;
	pool->frees_per_s = freed / seconds;
	if (!before || share > 1)
		return;
	pool->opens_per_s = before->opens_per_s + share * (pool->opens_per_s - before->opens_per_s);
	pool->frees_per_s = before->frees_per_s + share * (pool->frees_per_s - before->frees_per_s);
}

static int pressure_sockets_now(const struct pressure_run *run, struct pressure_past_socket **ret, size_t *ret_count)
{
	const struct pool_state *s = run->in->pool;
	struct pressure_past_socket *list = calloc(s->count + 1, sizeof(*list));
	size_t n = 0;

	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		if (run->pools.of[i] && s->sockets[i].cookie)
			list[n++] = (struct pressure_past_socket){ s->sockets[i].cookie,
								   run->pools.list[run->pools.of[i] - 1].id };
	qsort(list, n, sizeof(*list), pressure_compare_sockets);
	*ret = list;
	*ret_count = n;
	return 0;
}

static int pressure_keep_pools(const struct pressure_netns *ns, struct pressure_past *past)
{
	struct pressure_past_pool *pools = calloc(ns->count + 1, sizeof(*pools));

	if (!pools)
		return -ENOMEM;
	for (size_t i = 0; i < ns->count; i++)
		pools[i] = (struct pressure_past_pool){ ns->pools[i].id, ns->pools[i].opens_per_s,
							ns->pools[i].frees_per_s };
	qsort(pools, ns->count, sizeof(*pools), pressure_compare_pools);
	free(past->pools);
	past->pools = pools;
	past->pool_count = past->time_ns ? ns->count : 0; /* the first look has no rates */
	return 0;
}

/* Rates from the look before, and this look to the next. */
static int pressure_compare_looks(struct pressure_run *run)
{
	double seconds = (double)(run->now_ns - run->past->time_ns) / NS_PER_S;
	struct pressure_past *past = run->past;
	struct pressure_past_socket *now;
	uint32_t opened, freed;
	size_t count;
	int r = pressure_sockets_now(run, &now, &count);

	if (r < 0)
		return r;
	for (size_t i = 0; past->time_ns && seconds > 0 && i < run->out->count; i++) {
		pressure_flow(past, now, count, run->out->pools[i].id, &opened, &freed);
		pressure_rates(&run->out->pools[i], past, seconds, opened, freed);
	}
	r = pressure_keep_pools(run->out, past);
	free(past->sockets);
	past->sockets = now;
	past->socket_count = count;
	past->time_ns = run->now_ns;
	return r;
}

/* ---- the namespace ---- */

static void pressure_note_server_waits(const struct pressure_run *run)
{
	const struct pool_state *s = run->in->pool;

	for (size_t i = 0; i < s->count; i++)
		run->out->server_waits += s->sockets[i].waits && !run->pools.of[i];
}

/* Has this socket bound a port that is kept from connect()? Of several, the first; of a phantom nobody. */
static bool pressure_blocks(const struct pool_socket *sock, const struct pool_measure *m, struct pressure_tally *tally)
{
	uint16_t port = sock->local.port;
	uint8_t bit = (uint8_t)(1 << port % 8), what;

	if (sock->proto != PROTO_TCP || port < m->low || port > m->high || (tally->seen[port / 8] & bit))
		return false;
	what = tally->map[port - m->low];
	if (what == POOL_PORT_BOUND ? sock->state != SOCKDIAG_CLOSE :
				      what < POOL_PORT_BOUND || what > POOL_PORT_BLOCKED ||
					      what == POOL_PORT_PHANTOM || sock->how == HOW_CONNECT)
		return false;
	tally->seen[port / 8] |= bit;
	return true;
}

/* What no connect() of the namespace can have, whatever its addresses. */
static int pressure_fill_blocked(struct pressure_run *run)
{
	struct pool_key nowhere = { .kind = POOL_CONNECT, .source.ip_version = 4, .destination.ip_version = 4 };
	_free_ struct pressure_tally *tally = pressure_new_tally(run);
	const struct pool_state *s = run->in->pool;
	struct pool_measure m;
	int r = tally ? pool_measure(s, &nowhere, &m) : -ENOMEM;

	if (r == 0)
		r = pool_map(s, &nowhere, tally->map);
	if (r < 0)
		return r;
	for (int p = POOL_PORT_LISTEN; p <= POOL_PORT_BLOCKED; p++)
		run->out->blocked[p] = m.ports[p];
	run->out->reserved = m.ports[POOL_PORT_RESERVED];
	run->out->listening = m.ports[POOL_PORT_LISTEN];
	for (size_t i = 0; i < s->count; i++)
		if (pressure_blocks(&s->sockets[i], &m, tally))
			tally->shares[run->in->process[i]].ports++;
	run->out->blocker_count = pressure_rank(tally->shares, run->in->process_count, run->out->blockers);
	return 0;
}

static int pressure_compare_found(const void *a, const void *b)
{
	const struct pressure_found *const *x = a, *const *y = b;

	return ((*x)->sockets < (*y)->sockets) - ((*x)->sockets > (*y)->sockets);
}

static int pressure_compare_severity(const void *a, const void *b)
{
	const struct pressure_pool *x = a, *y = b;
	uint32_t px = pressure_percent(x->measure.used, pressure_capacity(x));
	uint32_t py = pressure_percent(y->measure.used, pressure_capacity(y));

	if (x->severity != y->severity)
		return x->severity < y->severity ? 1 : -1;
	if (px != py)
		return px < py ? 1 : -1;
	return (x->measure.used < y->measure.used) - (x->measure.used > y->measure.used);
}

static int pressure_measure(struct pressure_run *run)
{
	_free_ const struct pressure_found **order = calloc(run->pools.count + 1, sizeof(*order));
	struct pressure_netns *out = run->out;
	size_t n = run->pools.count < PRESSURE_POOLS_MAX ? run->pools.count : PRESSURE_POOLS_MAX;
	int r = 0;

	out->pools = calloc(n + 1, sizeof(*out->pools));
	if (!order || !out->pools)
		return -ENOMEM;
	for (size_t i = 0; i < run->pools.count; i++)
		order[i] = &run->pools.list[i];
	qsort(order, run->pools.count, sizeof(*order), pressure_compare_found);
	out->left_out = run->pools.count - n;
	for (size_t i = 0; i < n && r == 0; i++, out->count += r == 0)
		r = pressure_fill(run, order[i], (uint32_t)(order[i] - run->pools.list) + 1, &out->pools[i]);
	return r;
}

void pressure_sort(struct pressure_netns *netns)
{
	qsort(netns->pools, netns->count, sizeof(*netns->pools), pressure_compare_severity);
}

const char *const pressure_order_names[PRESSURE_ORDER_COUNT] = {
	[PRESSURE_BY_SEVERITY] = "severity", [PRESSURE_BY_PERCENT] = "percent",   [PRESSURE_BY_USED] = "used",
	[PRESSURE_BY_OPENS] = "opens",	     [PRESSURE_BY_FAILURES] = "failures",
};

static double pressure_order_key(const struct pressure_pool *pool, enum pressure_order order)
{
	uint32_t used = pool->measure.used, capacity = pressure_capacity(pool);

	switch (order) {
	case PRESSURE_BY_PERCENT:
		return capacity ? (double)used / capacity : 1;
	case PRESSURE_BY_USED:
		return used;
	case PRESSURE_BY_OPENS:
		return pool->opens_per_s;
	case PRESSURE_BY_FAILURES:
		return pool->failures;
	default:
		return 0;
	}
}

static int pressure_compare_order(const void *a, const void *b, void *arg)
{
	const struct pressure_pool *x = a, *y = b;
	enum pressure_order order = *(const enum pressure_order *)arg;
	double rx = pressure_order_key(x, order), ry = pressure_order_key(y, order);

	return rx == ry ? pressure_compare_severity(a, b) : rx < ry ? 1 : -1;
}

void pressure_sort_by(struct pressure_netns *netns, enum pressure_order order)
{
	qsort_r(netns->pools, netns->count, sizeof(*netns->pools), pressure_compare_order, &order);
}

int pressure_look(const struct pressure_input *in, struct pressure_past *past, uint64_t now_ns,
		  struct pressure_netns *ret)
{
	struct pressure_run run = { .in = in, .past = past, .now_ns = now_ns, .out = ret };
	int r;

	*ret = (struct pressure_netns){ .in = *in };
	r = pressure_find(in, &run.pools);
	if (r == 0)
		r = pressure_measure(&run);
	if (r == 0)
		r = pressure_fill_blocked(&run);
	if (r == 0 && past)
		r = pressure_compare_looks(&run);
	if (r == 0) {
		pressure_note_server_waits(&run);
		for (size_t i = 0; i < ret->count; i++)
			pressure_judge(&ret->pools[i]);
		pressure_sort(ret);
	}
	pressure_find_free(&run.pools);
	if (r < 0)
		pressure_free(ret);
	return r;
}

void pressure_free(struct pressure_netns *netns)
{
	free(netns->pools);
	netns->pools = NULL;
	netns->count = 0;
}

void pressure_forget(struct pressure_past *past)
{
	free(past->sockets);
	free(past->pools);
	*past = (struct pressure_past){ 0 };
}
