// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace pressure, as JSON Lines: one object a pool. */
#include "pressure.h"

#include <stdio.h>

#include "../json_out.h"

static void pressure_json_bounds(struct buf *b, const char *name, struct pool_bounds bounds)
{
	buf_char(b, ',');
	buf_char(b, '"');
	buf_str(b, name);
	buf_lit(b, "\":{\"min\":");
	buf_u64(b, bounds.min);
	buf_lit(b, ",\"max\":");
	buf_u64(b, bounds.max);
	buf_char(b, '}');
}

static void pressure_json_number(struct buf *b, const char *name, uint64_t n)
{
	buf_lit(b, ",\"");
	buf_str(b, name);
	buf_lit(b, "\":");
	buf_u64(b, n);
}

static void pressure_json_address(struct buf *b, const char *name, const struct endpoint *ep)
{
	buf_lit(b, ",\"");
	buf_str(b, name);
	buf_lit(b, "\":{\"ip\":\"");
	buf_ip(b, ep->addr, ep->ip_version);
	buf_char(b, '"');
	if (ep->port)
		pressure_json_number(b, "port", ep->port);
	buf_char(b, '}');
}

static void pressure_json_netns(struct buf *b, const struct pressure_netns *ns)
{
	const struct pool_state *s = ns->in.pool;

	buf_lit(b, "\"netns\":{\"inode\":");
	buf_u64(b, s->netns_inum);
	if (ns->in.name[0]) {
		buf_lit(b, ",\"name\":");
		json_text(b, ns->in.name, sizeof(ns->in.name));
	}
	pressure_json_number(b, "range_low", s->range_low);
	pressure_json_number(b, "range_high", s->range_high);
	pressure_json_number(b, "reserved", ns->reserved);
	pressure_json_number(b, "listening", ns->listening);
	for (int p = POOL_PORT_BOUND; p <= POOL_PORT_BLOCKED; p++) {
		char name[32];

		snprintf(name, sizeof(name), "blocked_%s", pool_port_names[p]);
		pressure_json_number(b, name, ns->blocked[p]);
	}
	pressure_json_number(b, "tw_reuse", (uint64_t)s->tw_reuse);
	pressure_json_number(b, "timestamps", s->timestamps);
	buf_char(b, '}');
}

static void pressure_json_owners(struct buf *b, const struct pressure_netns *ns, const struct pressure_pool *pool)
{
	buf_lit(b, ",\"owners\":[");
	for (uint32_t i = 0; i < pool->owner_count; i++) {
		const struct pressure_process *p = &ns->in.processes[pool->owners[i].process];
		bool first = true;

		buf_str(b, i ? ",{" : "{");
		if (p->pid)
			json_member_u64(b, &first, "pid", p->pid);
		json_member_text(b, &first, "name", p->name, sizeof(p->name));
		json_member_true(b, &first, "exited", p->exited);
		pressure_json_number(b, "ports", pool->owners[i].ports);
		pressure_json_number(b, "time_wait", pool->owners[i].time_wait);
		buf_char(b, '}');
	}
	buf_char(b, ']');
	pressure_json_number(b, "other_owners", pool->others);
	pressure_json_number(b, "other_ports", pool->other_ports);
	pressure_json_number(b, "unattributed", pool->unattributed);
}

static void pressure_json_course(struct buf *b, const struct pressure_view *view, const struct pressure_pool *pool)
{
	uint32_t wall = pool->course == PRESSURE_WALL ? pool->seconds : 0;
	uint32_t full = pool->course == PRESSURE_FULL ? pool->seconds :
			pool->next_course == PRESSURE_FULL ? pool->next_seconds : 0;

	if (pool->has_rates) {
		pressure_json_number(b, "opens_per_s", (uint64_t)(pool->opens_per_s + 0.5));
		pressure_json_number(b, "frees_per_s", (uint64_t)(pool->frees_per_s + 0.5));
	}
	if (wall)
		pressure_json_number(b, "wall_in_s", wall);
	if (full)
		pressure_json_number(b, "full_in_s", full);
	if (view->counts_failures)
		pressure_json_number(b, "failures_10s", pool->failures);
	if (pool->next_ms != UINT32_MAX)
		pressure_json_number(b, "next_release_ms", pool->next_ms);
}

static void pressure_json_states(struct buf *b, const struct pressure_pool *pool)
{
	buf_lit(b, ",\"states\":{");
	for (int p = 0; p < PRESSURE_STATE_COUNT; p++) {
		buf_str(b, p ? ",\"" : "\"");
		buf_str(b, pressure_state_names[p]);
		buf_lit(b, "\":");
		buf_u64(b, pool->ports[p]);
	}
	buf_char(b, '}');
}

void pressure_json_verdict(struct buf *b, const struct pressure_view *view, size_t i, const struct pressure_pool *pool)
{
	struct rule_case c = { .netns = &view->netns[i], .pool = pool, .counters = &view->counters[i] };
	const struct rule *rule = pressure_view_rule(view, i, pool);
	char text[512] = "";
	struct buf mend = { .data = text, .size = sizeof(text) };

	pressure_json_number(b, "range_low", pool->measure.low);
	pressure_json_number(b, "range_high", pool->measure.high);
	pressure_json_states(b, pool);
	pressure_json_owners(b, c.netns, pool);
	if (!rule)
		return;
	rule->remedy(&c, &mend);
	if (mend.len && text[mend.len - 1] == '\n')
		mend.len--;
	buf_lit(b, ",\"remedy\":");
	json_text(b, text, mend.len);
}

static void pressure_json_pool(struct buf *b, const struct pressure_view *view, size_t i,
			       const struct pressure_pool *pool)
{
	const struct rule *rule = pressure_view_rule(view, i, pool);
	const struct rule *beside = pressure_view_beside(view, i, pool, rule);
	const struct pool_measure *m = &pool->measure;

	buf_lit(b, "{\"pool\":{\"kind\":\"");
	buf_str(b, pool_kind_names[pool->key.kind]);
	buf_char(b, '"');
	pressure_json_address(b, "source", &pool->key.source);
	if (pool->key.kind == POOL_CONNECT)
		pressure_json_address(b, "destination", &pool->key.destination);
	buf_lit(b, "},\"severity\":\"");
	buf_str(b, pressure_severity_names[pool->severity]);
	buf_char(b, '"');
	pressure_json_number(b, "used", m->used);
	pressure_json_bounds(b, "free", m->free);
	pressure_json_bounds(b, "capacity", m->capacity);
	if (m->has_half) {
		pressure_json_number(b, "first_half_used", m->half_used);
		pressure_json_bounds(b, "first_half_free", m->half_free);
	}
	pressure_json_states(b, pool);
	pressure_json_course(b, view, pool);
	pressure_json_owners(b, &view->netns[i], pool);
	if (view->evicted)
		pressure_json_number(b, "evicted", view->evicted);
	if (rule) {
		buf_lit(b, ",\"rule\":\"");
		buf_str(b, rule->id);
		buf_lit(b, "\",\"cause\":\"");
		buf_str(b, rule->words);
		buf_char(b, '"');
	}
	if (beside) {
		buf_lit(b, ",\"also\":\"");
		buf_str(b, beside->id);
		buf_char(b, '"');
	}
	buf_char(b, ',');
	pressure_json_netns(b, &view->netns[i]);
	buf_lit(b, "}\n");
}

void pressure_json(struct report *out, const struct pressure_view *view, size_t most, bool all)
{
	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];
		size_t shown = 0;

		for (size_t k = 0; k < ns->count && shown < most; k++) {
			if (!all && ns->pools[k].severity == PRESSURE_OK && !pressure_view_rule(view, i, &ns->pools[k]))
				continue;
			pressure_json_pool(&out->b, view, i, &ns->pools[k]);
			shown++;
			report_flush(out);
		}
	}
}
