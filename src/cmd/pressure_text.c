// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace pressure, for people. */
#include "pressure.h"

#include <errno.h>
#include <stdio.h>

#include "../human.h"
#include "../visible.h"

/* Columns of a pool's line, where they begin. */
enum pressure_column {
	PRESSURE_AT_POOL = 5,
	PRESSURE_AT_USED = 52,
	PRESSURE_AT_PERCENT = 67,
	PRESSURE_AT_HALF = 72,
	PRESSURE_AT_STATES = 78,
	PRESSURE_AT_RATES = 114,
	PRESSURE_AT_COURSE = 128,
	PRESSURE_AT_CAUSE = 154,
};

static void pressure_text_address(struct buf *b, const struct endpoint *ep)
{
	static const uint8_t any[16];

	if (!memcmp(ep->addr, any, sizeof(any)))
		buf_lit(b, "any");
	else
		human_ip(b, ep);
}

void pressure_text_pool(struct buf *b, const struct pool_key *key)
{
	buf_str(b, pool_kind_names[key->kind]);
	buf_char(b, ' ');
	pressure_text_address(b, &key->source);
	if (key->kind == POOL_UDP)
		return;
	buf_lit(b, " -> ");
	if (key->kind == POOL_BIND) {
		buf_lit(b, "any");
		return;
	}
	human_ip(b, &key->destination);
	buf_char(b, ':');
	buf_u64(b, key->destination.port);
}

/* ---- a namespace ---- */

static void pressure_text_blocked(struct buf *b, const struct pressure_netns *ns)
{
	static const enum pool_port reasons[] = { POOL_PORT_BOUND, POOL_PORT_BIND_CONNECT, POOL_PORT_ACCEPTED,
						  POOL_PORT_PHANTOM, POOL_PORT_BLOCKED };
	uint32_t sum = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
		sum += ns->blocked[reasons[i]];
	if (!sum)
		return;
	buf_lit(b, "  blocked by bind ");
	rule_number(b, sum);
	if (ns->blocker_count) {
		buf_lit(b, " (");
		rule_process(b, ns, ns->blockers[0].process);
		buf_char(b, ' ');
		rule_number(b, ns->blockers[0].ports);
		buf_char(b, ')');
	}
	if (ns->blocked[POOL_PORT_PHANTOM]) {
		buf_lit(b, ", phantom ");
		rule_number(b, ns->blocked[POOL_PORT_PHANTOM]);
	}
}

void pressure_text_netns(struct buf *b, const struct pressure_netns *ns)
{
	const struct pool_state *s = ns->in.pool;

	buf_lit(b, "netns ");
	buf_u64(b, s->netns_inum);
	if (ns->in.name[0]) {
		buf_lit(b, " (");
		visible_text(b, ns->in.name, sizeof(ns->in.name));
		buf_char(b, ')');
	}
	buf_lit(b, "  range ");
	buf_u64(b, s->range_low);
	buf_char(b, '-');
	buf_u64(b, s->range_high);
	buf_lit(b, " = ");
	rule_number(b, (uint64_t)s->range_high - s->range_low + 1);
	buf_lit(b, "  reserved ");
	rule_number(b, ns->reserved);
	if (ns->listening) {
		buf_lit(b, "  listened on ");
		rule_number(b, ns->listening);
	}
	pressure_text_blocked(b, ns);
	buf_lit(b, "  tw_reuse ");
	buf_u64(b, (uint64_t)s->tw_reuse);
	buf_str(b, s->timestamps ? "  timestamps on\n" : "  timestamps off\n");
}

/* ---- a pool ---- */

static void pressure_text_in(struct buf *b, enum pressure_course course, uint32_t seconds)
{
	buf_str(b, course == PRESSURE_WALL ? "wall in " : "full in ");
	human_duration(b, (uint64_t)seconds * 1000000000);
}

static void pressure_text_failures(struct buf *b, const struct pressure_pool *pool)
{
	if (!pool->failures)
		return;
	buf_lit(b, ", ");
	rule_number(b, pool->failures);
	buf_lit(b, " failed");
}

void pressure_text_course(struct buf *b, const struct pressure_pool *pool)
{
	const struct pool_measure *m = &pool->measure;

	if (!m->free.max) {
		buf_lit(b, "full");
		pressure_text_failures(b, pool);
		if (pool->next_ms != UINT32_MAX) {
			buf_lit(b, ", next in ");
			human_duration(b, (uint64_t)pool->next_ms * 1000000);
		}
		return;
	}
	if (m->has_half && !m->half_free.max && pool->course != PRESSURE_FULL)
		buf_lit(b, "at the wall");
	else if (pool->course == PRESSURE_STEADY)
		buf_lit(b, "steady");
	if (pool->course == PRESSURE_WALL || pool->course == PRESSURE_FULL)
		pressure_text_in(b, pool->course, pool->seconds);
	if (pool->next_course == PRESSURE_FULL) {
		buf_lit(b, ", ");
		pressure_text_in(b, PRESSURE_FULL, pool->next_seconds);
	}
}

static void pressure_text_states(struct buf *b, const struct pressure_pool *pool)
{
	static const enum pressure_state shown[] = { PRESSURE_ESTABLISHED, PRESSURE_SYN_SENT,  PRESSURE_CLOSE_WAIT,
						     PRESSURE_FIN_WAIT2,   PRESSURE_TIME_WAIT, PRESSURE_BOUND };
	size_t from = b->len;

	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		buf_u64(b, pool->ports[shown[i]]);
		buf_pad(b, from, (i + 1) * 6);
	}
}

static void pressure_text_rates(struct buf *b, const struct pressure_pool *pool)
{
	if (!pool->has_rates) {
		buf_lit(b, "-");
		return;
	}
	buf_u64(b, (uint64_t)(pool->opens_per_s + 0.5));
	buf_lit(b, " / ");
	buf_u64(b, (uint64_t)(pool->frees_per_s + 0.5));
}

void pressure_text_owners(struct buf *b, const struct pressure_netns *ns, const struct pressure_pool *pool)
{
	uint32_t sum = pool->other_ports + pool->unattributed;

	for (uint32_t i = 0; i < pool->owner_count; i++)
		sum += pool->owners[i].ports;
	for (uint32_t i = 0; i < pool->owner_count; i++) {
		buf_str(b, i ? ", " : "");
		rule_process(b, ns, pool->owners[i].process);
		buf_char(b, ' ');
		buf_u64(b, (uint64_t)pool->owners[i].ports * 100 / sum);
		buf_char(b, '%');
	}
	if (pool->others) {
		buf_lit(b, ", ");
		rule_number(b, pool->others);
		buf_str(b, pool->others == 1 ? " other" : " others");
	}
	if (pool->unattributed) {
		buf_str(b, pool->owner_count ? ", " : "");
		buf_u64(b, (uint64_t)pool->unattributed * 100 / sum);
		buf_lit(b, "% unattributed");
	}
}

static void pressure_text_line(struct buf *b, const struct pressure_view *view, size_t netns,
			       const struct pressure_pool *pool)
{
	const struct rule *rule = pressure_view_rule(view, netns, pool);
	const struct pool_measure *m = &pool->measure;
	size_t from = b->len;

	buf_str(b, pressure_severity_names[pool->severity]);
	buf_pad(b, from, PRESSURE_AT_POOL);
	pressure_text_pool(b, &pool->key);
	buf_pad(b, from, PRESSURE_AT_USED);
	buf_u64(b, m->used);
	buf_char(b, '/');
	buf_u64(b, pressure_capacity(pool));
	buf_str(b, m->capacity.min != m->capacity.max ? "?" : "");
	buf_pad(b, from, PRESSURE_AT_PERCENT);
	buf_u64(b, pressure_percent(m->used, pressure_capacity(pool)));
	buf_pad(b, from, PRESSURE_AT_HALF);
	if (m->has_half)
		buf_u64(b, pressure_percent(m->half_used, m->half_capacity.max));
	else
		buf_char(b, '-');
	buf_pad(b, from, PRESSURE_AT_STATES);
	pressure_text_states(b, pool);
	buf_pad(b, from, PRESSURE_AT_RATES);
	pressure_text_rates(b, pool);
	buf_pad(b, from, PRESSURE_AT_COURSE);
	pressure_text_course(b, pool);
	buf_pad(b, from, PRESSURE_AT_CAUSE);
	buf_str(b, rule ? rule->id : "-");
	buf_str(b, "   ");
	pressure_text_owners(b, &view->netns[netns], pool);
	buf_char(b, '\n');
}

static void pressure_text_head(struct buf *b)
{
	size_t from = b->len;

	buf_lit(b, "SEV");
	buf_pad(b, from, PRESSURE_AT_POOL);
	buf_lit(b, "POOL");
	buf_pad(b, from, PRESSURE_AT_USED);
	buf_lit(b, "USED/CAP");
	buf_pad(b, from, PRESSURE_AT_PERCENT);
	buf_lit(b, "%");
	buf_pad(b, from, PRESSURE_AT_HALF);
	buf_lit(b, "1ST%");
	buf_pad(b, from, PRESSURE_AT_STATES);
	buf_lit(b, "EST   SYN   CW    FW2   TW    BOUND");
	buf_pad(b, from, PRESSURE_AT_RATES);
	buf_lit(b, "OPEN/FREE s");
	buf_pad(b, from, PRESSURE_AT_COURSE);
	buf_lit(b, "COURSE");
	buf_pad(b, from, PRESSURE_AT_CAUSE);
	buf_lit(b, "WHY   OWNERS\n");
}

/* ---- all ---- */

static void pressure_text_rules(struct buf *b, const struct pressure_view *view, size_t i)
{
	const struct rule *rule;

	for (size_t n = 0; (rule = rule_of_netns(&view->netns[i], &view->counters[i], n)); n++) {
		struct rule_case c = { .netns = &view->netns[i], .counters = &view->counters[i] };

		buf_lit(b, "     ");
		buf_str(b, rule->id);
		buf_lit(b, "  ");
		rule->evidence(&c, b);
	}
}

static void pressure_text_remarks(struct buf *b, const struct pressure_view *view)
{
	int error = 0;

	for (size_t i = 0; i < view->count; i++)
		error = view->netns[i].in.bucket_error ? view->netns[i].in.bucket_error : error;
	if (error) {
		buf_lit(b, "Not visible: what bind() keeps from connect() (");
		buf_str(b, error == -ECANCELED ? "no BPF was asked for" : strerrordesc_np(-error));
		buf_lit(b, "): capacities with a ? are at most that.\n");
	}
	if (!view->counts_failures)
		buf_lit(b, "Not visible: attempts that failed. It takes a run as root that goes on: porttrace "
			   "pressure.\n");
	if (!view->remembers)
		buf_lit(b, "Not visible: who opened what is in TIME_WAIT. It takes a history: porttrace daemon.\n");
	if (view->picture.snap.hidden_namespaces) {
		buf_lit(b, "Not visible: ");
		rule_number(b, view->picture.snap.hidden_namespaces);
		buf_lit(b, " network namespaces, for want of the right to enter them (root).\n");
	}
	if (view->picture.snap.no_udp)
		buf_lit(b, "Not visible: UDP. This kernel has no udp_diag.\n");
}

void pressure_text(struct report *out, const struct pressure_view *view, size_t most, bool all)
{
	bool any = false;

	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];
		size_t shown = 0;

		for (size_t k = 0; k < ns->count && shown < most; k++) {
			if (!all && ns->pools[k].severity == PRESSURE_OK && !pressure_view_rule(view, i, &ns->pools[k]))
				continue;
			if (!shown++) {
				pressure_text_netns(&out->b, ns);
				pressure_text_head(&out->b);
			}
			pressure_text_line(&out->b, view, i, &ns->pools[k]);
			report_flush(out);
		}
		if (shown || rule_of_netns(ns, &view->counters[i], 0)) {
			if (!shown)
				pressure_text_netns(&out->b, ns);
			pressure_text_rules(&out->b, view, i);
			buf_char(&out->b, '\n');
		}
		any |= shown != 0;
		report_flush(out);
	}
	if (!any)
		buf_lit(&out->b, "No pool of ephemeral ports is under pressure. All pools: porttrace pressure --all\n");
	pressure_text_remarks(&out->b, view);
}
