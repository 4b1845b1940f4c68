// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Metrics of a look at the pools. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cleanup.h"
#include "metrics_table.h"

#define METRICS_COMMS_MAX 50 /* of one namespace, with TIME_WAITs */
#define METRICS_RULES_MAX 64 /* of one namespace */

/* One look. */
struct metrics_view {
	struct metrics *m;
	const struct pressure_netns *netns;
	const struct rule_counters *counters;
	size_t count;
};

static void metrics_label_space(const struct metrics *m, struct buf *line, const struct pressure_netns *ns)
{
	metrics_label_u64(line, "netns", ns->in.pool->netns_inum);
	metrics_label(line, "container", metrics_container(m, ns->in.pool->netns_inum), EVENT_ID_SIZE);
}

/* ---- a namespace ---- */

static struct buf *metrics_space_line(struct metrics *m, enum metrics_family family, const struct pressure_netns *ns)
{
	struct buf *line = metrics_line(&m->looked, family, "");

	metrics_label_u64(line, "netns", ns->in.pool->netns_inum);
	return line;
}

static void metrics_look_netns(struct metrics *m, const struct pressure_netns *ns)
{
	const struct pool_state *s = ns->in.pool;

	metrics_end(metrics_space_line(m, METRICS_RANGE, ns),
		    (uint64_t)s->range_high - s->range_low + 1 - ns->reserved);
	metrics_end(metrics_space_line(m, METRICS_RESERVED, ns), ns->reserved);
	for (int p = POOL_PORT_LISTEN; p <= POOL_PORT_BLOCKED; p++) {
		struct buf *line = metrics_space_line(m, METRICS_BLOCKED, ns);

		metrics_label(line, "reason", p == POOL_PORT_BLOCKED ? "unknown" : pool_port_names[p], 32);
		metrics_end(line, ns->blocked[p]);
	}
	metrics_end(metrics_space_line(m, METRICS_TW_REUSED, ns), ns->in.counters.tw_recycled);
	metrics_end(metrics_space_line(m, METRICS_NAT_FAILED, ns), ns->in.counters.nat_failed);
}

/* ---- TIME_WAIT ---- */

struct metrics_waits {
	const char *name; /* any bytes */
	uint64_t count;
};

/* The name's place; of too many that of "other". The first two are there from the start. */
static struct metrics_waits *metrics_waits_of(struct metrics_waits *list, size_t *count, const char *name)
{
	for (size_t i = 0; i < *count; i++)
		if (!strncmp(list[i].name, name, PRESSURE_NAME_SIZE))
			return &list[i];
	if (*count == METRICS_COMMS_MAX)
		return &list[1];
	list[*count] = (struct metrics_waits){ .name = name };
	return &list[(*count)++];
}

static int metrics_look_waits(struct metrics *m, const struct pressure_netns *ns)
{
	_free_ uint32_t *of = calloc(ns->in.process_count + 1, sizeof(*of));
	struct metrics_waits list[METRICS_COMMS_MAX] = { { .name = "unattributed" }, { .name = METRICS_OTHER } };
	size_t count = 2;

	if (!of)
		return -ENOMEM;
	for (size_t i = 0; i < ns->in.pool->count; i++)
		if (ns->in.pool->sockets[i].state == SOCKDIAG_TIME_WAIT)
			of[ns->in.process[i]]++;
	for (size_t i = 0; i < ns->in.process_count; i++)
		if (of[i])
			metrics_waits_of(list, &count, i ? ns->in.processes[i].name : list[0].name)->count += of[i];
	for (size_t i = 0; i < count; i++) {
		struct buf *line;

		if (!list[i].count)
			continue;
		line = metrics_line(&m->looked, METRICS_TIME_WAIT, "");
		metrics_label_space(m, line, ns);
		metrics_label(line, "comm", list[i].name, PRESSURE_NAME_SIZE);
		metrics_end(line, list[i].count);
	}
	return 0;
}

/* ---- pools ---- */

struct metrics_pool {
	const struct pressure_netns *ns;
	const struct pressure_pool *pool;
	double part; /* in use */
};

/* The fullest first; the same order at each look where it is the same. */
static int metrics_compare_pools(const void *a, const void *b)
{
	const struct metrics_pool *x = a, *y = b;

	if (x->part != y->part)
		return x->part < y->part ? 1 : -1;
	if (x->pool->measure.used != y->pool->measure.used)
		return x->pool->measure.used < y->pool->measure.used ? 1 : -1;
	return (x->pool->id > y->pool->id) - (x->pool->id < y->pool->id);
}

/* `addresses`: else the pool stands for all others of its kind in the namespace. */
static struct buf *metrics_pool_line(struct metrics *m, enum metrics_family family, const struct pressure_netns *ns,
				     const struct pool_key *key, bool addresses)
{
	struct buf *line = metrics_line(&m->looked, family, "");
	char range[16];

	metrics_label_space(m, line, ns);
	metrics_label(line, "proto", event_proto_names[key->kind == POOL_UDP ? PROTO_UDP : PROTO_TCP], 8);
	metrics_label(line, "kind", pool_kind_names[key->kind], 16);
	if (!addresses) {
		metrics_label(line, "src", METRICS_OTHER, 16);
		metrics_label(line, "dst", METRICS_OTHER, 16);
		return line;
	}
	metrics_label_address(line, "src", &key->source);
	if (key->kind == POOL_CONNECT)
		metrics_label_address(line, "dst", &key->destination);
	else
		metrics_label(line, "dst", "any", 16);
	if (key->range_low || key->range_high) {
		snprintf(range, sizeof(range), "%u-%u", key->range_low, key->range_high);
		metrics_label(line, "range", range, sizeof(range));
	}
	return line;
}

static void metrics_look_states(struct metrics *m, const struct metrics_pool *p, bool addresses)
{
	for (int s = 0; s < PRESSURE_STATE_COUNT; s++) {
		struct buf *line;

		if (!p->pool->ports[s])
			continue;
		line = metrics_pool_line(m, METRICS_POOL_STATE, p->ns, &p->pool->key, addresses);
		metrics_label(line, "state", pressure_state_names[s], 32);
		metrics_end(line, p->pool->ports[s]);
	}
}

static void metrics_look_use(struct metrics *m, const struct metrics_pool *p, bool addresses)
{
	const struct pool_key *key = &p->pool->key;

	metrics_end(metrics_pool_line(m, METRICS_POOL_USED, p->ns, key, addresses), p->pool->measure.used);
	metrics_end(metrics_pool_line(m, METRICS_POOL_CAPACITY, p->ns, key, addresses), pressure_capacity(p->pool));
	metrics_look_states(m, p, addresses);
}

static void metrics_look_pool(struct metrics *m, const struct metrics_pool *p)
{
	const struct pressure_pool *pool = p->pool;
	const struct pool_measure *measure = &pool->measure;
	uint32_t seconds = pool->course == PRESSURE_FULL ? pool->seconds : pool->next_seconds;
	bool foreseen = pool->course == PRESSURE_FULL || pool->next_course == PRESSURE_FULL;

	metrics_look_use(m, p, true);
	if (measure->has_half && measure->half_capacity.max)
		metrics_end_real(metrics_pool_line(m, METRICS_POOL_HALF, p->ns, &pool->key, true),
				 (double)measure->half_used / measure->half_capacity.max);
	if (!measure->free.max || foreseen)
		metrics_end(metrics_pool_line(m, METRICS_POOL_FULL_IN, p->ns, &pool->key, true),
			    measure->free.max ? seconds : 0);
}

/* What has no series of its own, as one pool for each namespace and kind. */
static void metrics_look_rest(struct metrics *m, const struct pressure_netns *ns, const struct metrics_pool *rest,
			      size_t count)
{
	struct pressure_pool sums[POOL_KIND_COUNT] = { 0 };

	for (size_t i = 0; i < count; i++) {
		const struct pressure_pool *pool = rest[i].pool;
		struct pressure_pool *sum = &sums[pool->key.kind];

		if (rest[i].ns != ns)
			continue;
		sum->measure.used += pool->measure.used;
		sum->measure.capacity.max += pressure_capacity(pool);
		for (int s = 0; s < PRESSURE_STATE_COUNT; s++)
			sum->ports[s] += pool->ports[s];
	}
	for (int k = 0; k < POOL_KIND_COUNT; k++) {
		sums[k].key.kind = (enum pool_kind)k;
		if (sums[k].measure.used)
			metrics_look_use(m, &(struct metrics_pool){ .ns = ns, .pool = &sums[k] }, false);
	}
}

static int metrics_look_pools(const struct metrics_view *v)
{
	_free_ struct metrics_pool *list = NULL;
	size_t total = 0, n = 0, named;

	for (size_t i = 0; i < v->count; i++)
		total += v->netns[i].count;
	list = calloc(total + 1, sizeof(*list));
	if (!list)
		return -ENOMEM;
	for (size_t i = 0; i < v->count; i++)
		for (size_t k = 0; k < v->netns[i].count; k++) {
			const struct pressure_pool *pool = &v->netns[i].pools[k];
			double capacity = pressure_capacity(pool);
			double part = capacity > 0 ? pool->measure.used / capacity : 1;

			if (part > 0)
				list[n++] = (struct metrics_pool){ &v->netns[i], pool, part };
		}
	qsort(list, n, sizeof(*list), metrics_compare_pools);
	named = n < METRICS_POOLS_MAX ? n : METRICS_POOLS_MAX;
	for (size_t i = 0; i < named; i++)
		metrics_look_pool(v->m, &list[i]);
	for (size_t i = 0; i < v->count; i++)
		metrics_look_rest(v->m, &v->netns[i], list + named, n - named);
	v->m->dropped += n - named;
	return 0;
}

/* ---- diagnosis ---- */

struct metrics_found {
	const struct rule *rule;
	enum pressure_severity severity;
};

/* Each rule once, with the worst of its pools. */
static void metrics_note_rule(struct metrics_found *list, size_t *count, const struct rule *rule,
			      enum pressure_severity severity)
{
	size_t i = 0;

	while (i < *count && list[i].rule != rule)
		i++;
	if (i == METRICS_RULES_MAX)
		return;
	*count += i == *count;
	list[i].rule = rule;
	list[i].severity = severity > list[i].severity ? severity : list[i].severity;
}

static void metrics_look_rules(const struct metrics_view *v, size_t i)
{
	const struct pressure_netns *ns = &v->netns[i];
	struct metrics_found list[METRICS_RULES_MAX] = { 0 };
	const struct rule *rule;
	size_t count = 0;

	for (size_t k = 0; k < ns->count; k++) {
		rule = rule_of_pool(ns, &ns->pools[k], &v->counters[i]);
		if (rule)
			metrics_note_rule(list, &count, rule, ns->pools[k].severity);
		rule = rule_beside(ns, &ns->pools[k], &v->counters[i], rule);
		if (rule)
			metrics_note_rule(list, &count, rule, ns->pools[k].severity);
	}
	for (size_t n = 0; (rule = rule_of_netns(ns, &v->counters[i], n)); n++)
		metrics_note_rule(list, &count, rule, rule->harmless ? PRESSURE_OK : PRESSURE_WARN);
	for (size_t n = 0; n < count; n++) {
		struct buf *line = metrics_line(&v->m->looked, METRICS_DIAGNOSIS, "");

		metrics_label_space(v->m, line, ns);
		metrics_label(line, "rule", list[n].rule->id, 16);
		metrics_label(line, "severity", pressure_severity_names[list[n].severity], 16);
		metrics_end(line, 1);
	}
}

int metrics_look(struct metrics *m, const struct pressure_netns *netns, const struct rule_counters *counters,
		 size_t count)
{
	struct metrics_view v = { .m = m, .netns = netns, .counters = counters };
	int r = 0;

	v.count = count < METRICS_NETNS_MAX ? count : METRICS_NETNS_MAX;
	metrics_lines_clear(&m->looked);
	for (size_t i = 0; i < count; i++)
		m->dropped += i < v.count ? netns[i].left_out : netns[i].left_out + netns[i].count;
	for (size_t i = 0; i < v.count && r == 0; i++) {
		metrics_look_netns(m, &netns[i]);
		metrics_look_rules(&v, i);
		r = metrics_look_waits(m, &netns[i]);
	}
	return r == 0 ? metrics_look_pools(&v) : r;
}
