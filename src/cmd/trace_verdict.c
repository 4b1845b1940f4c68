// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"
#include "../facts.h"
#include "../rule_event.h"
#include "explain.h"

#define TRACE_VERDICT_POOLS 64 /* of which is remembered when they were looked at */
#define TRACE_VERDICT_EVERY_NS UINT64_C(1000000000)
#define TRACE_VERDICT_AHEAD_NS UINT64_C(15000000000) /* reading may be ahead of its share by half a second */
#define TRACE_VERDICT_KNOWN_NS UINT64_C(1000000000) /* so long a look tells how full a pool is */
#define TRACE_VERDICT_SHARE 30 /* a look takes at most this part of the time */

struct trace_verdict_pool {
	uint64_t id;
	uint64_t told_ns; /* CLOCK_MONOTONIC; 0 = never */
	uint64_t said_ns; /* the same: with words */
	const char *said_rule, *said_also; /* then */
	uint32_t more;
	bool inferred;
};

/* What a look has found, for the events of the next moment. */
struct trace_verdict_known {
	uint64_t id; /* pressure_pool_id() in no namespace */
	uint32_t netns_inum, used, capacity;
	uint64_t netns_cookie;
};

struct trace_verdict {
	struct pressure_session session;
	const struct sockets *ledger;
	uint64_t words_every_ns; /* how often the words of a pool are told */
	uint64_t looks_ns, facts_ns; /* CLOCK_MONOTONIC: by then the share has paid for what was read */
	struct trace_verdict_pool pools[TRACE_VERDICT_POOLS];
	struct trace_verdict_known known[TRACE_VERDICT_POOLS];
	size_t known_count;
	uint64_t known_ns; /* CLOCK_MONOTONIC: when they were found */
	struct event_verdict last;
	struct netns_facts facts; /* of the event that is told */
	char text[8192];
	char json[1536]; /* of a line of 4096 bytes */
};

int trace_verdict_open(const struct sockets *ledger, bool by_cookie, uint64_t words_every_ns,
		       struct trace_verdict **ret)
{
	struct trace_verdict *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->ledger = ledger;
	v->words_every_ns = words_every_ns;
	v->session.by_cookie = by_cookie;
	v->session.no_bpf = true; /* loading one takes longer than events may wait; the ledger knows of binds */
	*ret = v;
	return 0;
}

/* Its place, or that of the pool that was told longest ago. */
static struct trace_verdict_pool *trace_verdict_place(struct trace_verdict *v, uint64_t id)
{
	struct trace_verdict_pool *oldest = &v->pools[0];

	for (size_t i = 0; i < TRACE_VERDICT_POOLS; i++) {
		if (v->pools[i].id == id)
			return &v->pools[i];
		if (v->pools[i].told_ns < oldest->told_ns)
			oldest = &v->pools[i];
	}
	*oldest = (struct trace_verdict_pool){ .id = id };
	return oldest;
}

static uint32_t trace_verdict_blocked(const struct pressure_netns *ns)
{
	uint32_t sum = 0;

	for (int p = POOL_PORT_LISTEN; p <= POOL_PORT_BLOCKED; p++)
		sum += ns->blocked[p];
	return sum;
}

static void trace_verdict_say(struct trace_verdict *v, const struct pressure_view *view, size_t i,
			      const struct pressure_pool *pool)
{
	const struct rule *rule = pressure_view_rule(view, i, pool);
	const struct rule *beside = pressure_view_beside(view, i, pool, rule);
	struct buf b = { .data = v->text, .size = sizeof(v->text) };
	struct buf json = { .data = v->json, .size = sizeof(v->json) };

	explain_pool(&b, view, i, pool);
	pressure_json_verdict(&json, view, i, pool);
	v->last = (struct event_verdict){ .has_pool = true,
					  .used = pool->measure.used,
					  .capacity = pressure_capacity(pool),
					  .reserved = view->netns[i].reserved,
					  .blocked = trace_verdict_blocked(&view->netns[i]),
					  .next_ms = pool->next_ms,
					  .rule = rule ? rule->id : NULL,
					  .cause = rule ? rule->words : NULL,
					  .also = beside ? beside->id : NULL,
					  .text = v->text,
					  .text_len = b.len,
					  .json = v->json,
					  .json_len = json.overflow ? 0 : json.len };
}

/*
 * A socket with a range of its own: what that range has. Which of the pool's sockets have one no interface tells, so
 * neither states nor owners are known of it.
 */
static struct pressure_pool trace_verdict_narrow(const struct pressure_netns *ns, const struct pressure_pool *whole,
						 const struct event *ev)
{
	struct pressure_pool pool = { .key = whole->key, .id = whole->id, .next_ms = UINT32_MAX };

	pool.key.range_low = ev->sock_range_low;
	pool.key.range_high = ev->sock_range_high;
	if ((!ev->sock_range_low && !ev->sock_range_high) || pool_measure(ns->in.pool, &pool.key, &pool.measure) < 0)
		return *whole;
	pool.failures = whole->failures;
	pressure_judge(&pool);
	return pool;
}

static bool trace_verdict_is_here(const struct snapshot_netns *facts, const struct event *ev)
{
	if (ev->netns_inum)
		return facts->facts.inum == ev->netns_inum;
	return !ev->netns_cookie || !facts->facts.cookie || facts->facts.cookie == ev->netns_cookie;
}

/* Reads take a small part of the time, but the first ones need not wait for it. */
static bool trace_verdict_may_read(uint64_t paid_ns, uint64_t now_ns)
{
	return paid_ns < now_ns + TRACE_VERDICT_AHEAD_NS;
}

static void trace_verdict_pay(uint64_t *paid_ns, uint64_t now_ns, uint64_t took_ns)
{
	*paid_ns = (*paid_ns > now_ns ? *paid_ns : now_ns) + took_ns * TRACE_VERDICT_SHARE;
}

/* The namespace of the event, and the pool in it. */
static bool trace_verdict_find(struct trace_verdict *v, const struct pressure_view *view, const struct event *ev)
{
	struct pool_key key = pressure_key_of_failure(ev);

	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];

		if (!trace_verdict_is_here(&view->picture.snap.netns[ns->in.place], ev))
			continue;
		for (size_t k = 0; k < ns->count; k++) {
			struct pressure_pool pool = trace_verdict_narrow(ns, &ns->pools[k], ev);

			if (!pressure_is_pool_of(&pool, &key, ev->nothing_sent))
				continue;
			trace_verdict_say(v, view, i, &pool);
			return true;
		}
	}
	return false;
}

/* The worst pools of each namespace. */
static void trace_verdict_keep(struct trace_verdict *v, const struct pressure_view *view, uint64_t now_ns)
{
	v->known_count = 0;
	v->known_ns = now_ns;
	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];

		for (size_t k = 0; k < ns->count && v->known_count < TRACE_VERDICT_POOLS; k++)
			v->known[v->known_count++] = (struct trace_verdict_known){
				.id = pressure_pool_id(0, &ns->pools[k].key),
				.netns_inum = ns->in.pool->netns_inum,
				.netns_cookie = view->picture.snap.netns[ns->in.place].facts.cookie,
				.used = ns->pools[k].measure.used,
				.capacity = pressure_capacity(&ns->pools[k]),
			};
	}
}

static bool trace_verdict_look(struct trace_verdict *v, const struct event *ev, uint64_t now_ns)
{
	struct pressure_view view;
	bool found;

	v->session.netns_inum = ev->netns_inum;
	v->session.ledger = v->ledger;
	if (pressure_session_look(&v->session, &view) < 0)
		return false;
	trace_verdict_pay(&v->looks_ns, now_ns, v->session.took_ns);
	view.picture.processes[0].pid = ev->pid; /* whoever is not known: it wants ports of this pool too */
	snprintf(view.picture.processes[0].name, sizeof(view.picture.processes[0].name), "%s", ev->name);
	found = trace_verdict_find(v, &view, ev);
	trace_verdict_keep(v, &view, now_ns);
	pressure_view_free(&view);
	return found;
}

static void trace_verdict_tell(struct trace_verdict *v, struct trace_verdict_pool *pool, struct event *ev,
			       uint64_t now_ns)
{
	if (!trace_verdict_look(v, ev, now_ns))
		return;
	v->last.more = pool->more;
	pool->more = 0;
	pool->inferred = ev->nothing_sent;
	ev->verdict = &v->last;
	if (pool->said_ns && now_ns < pool->said_ns + v->words_every_ns && pool->said_rule == v->last.rule &&
	    pool->said_also == v->last.also) {
		v->last.text_len = 0;
		return;
	}
	pool->said_ns = now_ns;
	pool->said_rule = v->last.rule;
	pool->said_also = v->last.also;
}

/* ---- failures that one call explains ---- */

/* Read by way of the process that failed, or of the one that is in its way; false = neither is there any more. */
static bool trace_verdict_facts(const struct event *ev, struct netns_facts *ret)
{
	uint32_t pids[] = { ev->pid, ev->holder.pid };

	for (size_t i = 0; i < 2; i++)
		if (pids[i] && netns_read_sysctls(NULL, pids[i], ret) == 0 && ret->inum == ev->netns_inum)
			return true;
	return false;
}

static void trace_verdict_say_event(struct trace_verdict *v, const struct event *ev, const struct rule_event *rule)
{
	struct buf b = { .data = v->text, .size = sizeof(v->text) };
	uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC);
	bool known = rule->wants_facts && trace_verdict_may_read(v->facts_ns, begin_ns) &&
		     trace_verdict_facts(ev, &v->facts);

	trace_verdict_pay(&v->facts_ns, begin_ns, clock_now_ns(CLOCK_MONOTONIC) - begin_ns);
	explain_event(&b, rule, ev, known ? &v->facts : NULL);
	v->last.text_len = b.len;
}

/* Each such failure has its rule; the lines for people come once a second. */
static void trace_verdict_event(struct trace_verdict *v, struct event *ev, const struct rule_event *rule)
{
	const struct endpoint *local = ev->has_requested ? &ev->requested : &ev->local;
	struct pool_key key = { .source = *local, .destination = ev->remote };
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC), id;
	struct trace_verdict_pool *pool;

	if (!ev->remote.has_port)
		key.destination.port = local->port;
	id = pressure_pool_id(ev->netns_inum, &key) ^ ev->netns_cookie ^ (uint64_t)ev->cause << 32;
	pool = trace_verdict_place(v, id);
	v->last = (struct event_verdict){ .rule = rule->id, .cause = rule->words, .text = v->text };
	ev->verdict = &v->last;
	if (pool->told_ns && now_ns < pool->told_ns + TRACE_VERDICT_EVERY_NS) {
		pool->more++;
		return;
	}
	trace_verdict_say_event(v, ev, rule);
	v->last.more = pool->more;
	pool->more = 0;
	pool->told_ns = now_ns;
}

/* How full the pool of an assignment is, as far as a look was made just now; at the wall one is made. */
static void trace_verdict_use(struct trace_verdict *v, struct event *ev)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC), id;
	struct pool_key key;

	if (ev->wall && trace_verdict_may_read(v->looks_ns, now_ns))
		trace_verdict_look(v, ev, now_ns);
	if (!v->known_count || !ev->pool || now_ns > v->known_ns + TRACE_VERDICT_KNOWN_NS)
		return;
	key = pressure_key_of_failure(ev);
	id = pressure_pool_id(0, &key);
	for (size_t i = 0; i < v->known_count; i++) {
		const struct trace_verdict_known *known = &v->known[i];

		if (known->id == id && (ev->netns_inum ? ev->netns_inum == known->netns_inum :
							 ev->netns_cookie == known->netns_cookie)) {
			ev->pool_used = known->used;
			ev->pool_capacity = known->capacity;
			return;
		}
	}
}

static void trace_verdict_exhausted(struct trace_verdict *v, struct event *ev)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	struct pool_key key = pressure_key_of_failure(ev);
	struct trace_verdict_pool *pool;

	pool = trace_verdict_place(v, pressure_pool_id(ev->netns_inum, &key) ^ ev->netns_cookie);
	if (pool->told_ns && now_ns < pool->told_ns + TRACE_VERDICT_EVERY_NS) {
		pool->more++;
	} else if (trace_verdict_may_read(v->looks_ns, now_ns)) {
		pool->told_ns = now_ns;
		pool->inferred = false;
		trace_verdict_tell(v, pool, ev, now_ns);
	}
	if (pool->inferred && ev->nothing_sent) {
		ev->cause = CAUSE_PORT_EXHAUSTED;
		snprintf(ev->reason, sizeof(ev->reason), FACTS_INFERRED);
	}
	pressure_session_event(&v->session, ev);
}

void trace_verdict_fill(struct trace_verdict *v, struct event *ev)
{
	const struct rule_event *rule;

	if (ev->outcome == OUTCOME_SUCCESS) {
		if (ev->wall || v->known_count)
			trace_verdict_use(v, ev);
	} else {
		rule = rule_of_event(ev);
		if (rule)
			trace_verdict_event(v, ev, rule);
	}
	if (ev->cause == CAUSE_PORT_EXHAUSTED || ev->nothing_sent)
		trace_verdict_exhausted(v, ev);
}

void trace_verdict_close(struct trace_verdict *v)
{
	if (!v)
		return;
	pressure_session_close(&v->session);
	free(v);
}
