// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace pressure, for people. */
#include "pressure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "../human.h"
#include "../visible.h"

#define PRESSURE_SHOWN_STATES 6
#define PRESSURE_STATE_WIDTH 6
#define PRESSURE_POOL_WIDTH 47 /* two IPv4 addresses and a port */
#define PRESSURE_OWNERS_WIDTH 24 /* of one owner with a long name */

static const struct {
	enum pressure_state state;
	const char *name;
} pressure_text_shown[PRESSURE_SHOWN_STATES] = {
	{ PRESSURE_ESTABLISHED, "EST" }, { PRESSURE_SYN_SENT, "SYN" },  { PRESSURE_CLOSE_WAIT, "CW" },
	{ PRESSURE_FIN_WAIT2, "FW2" },	 { PRESSURE_TIME_WAIT, "TW" }, { PRESSURE_BOUND, "BOUND" },
};

/* Where the columns of a pool's line begin. */
struct pressure_layout {
	size_t pool, used, percent, half, states, rates, course, cause;
	bool state[PRESSURE_SHOWN_STATES]; /* has a column */
	bool folded; /* rates, course, cause and owners stand in a line of their own */
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

/* pool NULL: the names */
static void pressure_text_states(struct buf *b, const struct pressure_layout *at, const struct pressure_pool *pool)
{
	size_t from = b->len, columns = 0;

	for (size_t i = 0; i < PRESSURE_SHOWN_STATES; i++) {
		if (!at->state[i])
			continue;
		if (pool)
			buf_u64(b, pool->ports[pressure_text_shown[i].state]);
		else
			buf_str(b, pressure_text_shown[i].name);
		buf_pad(b, from, ++columns * PRESSURE_STATE_WIDTH);
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

static bool pressure_text_is_shown(const struct pressure_view *view, size_t netns, const struct pressure_pool *pool,
				   bool all)
{
	return all || pool->severity != PRESSURE_OK || pressure_view_rule(view, netns, pool);
}

/* As wide as the pools that are shown, and with the states that they have. */
static void pressure_layout_fit(struct pressure_layout *at, const struct pressure_view *view, size_t netns, bool all,
				size_t *ret_pool_width)
{
	const struct pressure_netns *ns = &view->netns[netns];

	for (size_t k = 0; k < ns->count; k++) {
		char text[160];
		struct buf b = { .data = text, .size = sizeof(text) };

		if (!pressure_text_is_shown(view, netns, &ns->pools[k], all))
			continue;
		pressure_text_pool(&b, &ns->pools[k].key);
		*ret_pool_width = b.len + 1 > *ret_pool_width ? b.len + 1 : *ret_pool_width;
		for (size_t i = 0; i < PRESSURE_SHOWN_STATES; i++)
			at->state[i] |= ns->pools[k].ports[pressure_text_shown[i].state] != 0;
	}
}

/* `width`: of the terminal; 0 = none, then all columns are there, in the same place for each namespace. */
static struct pressure_layout pressure_layout_of(const struct pressure_view *view, size_t netns, bool all, size_t width)
{
	struct pressure_layout at = { .pool = 5 };
	size_t pool_width = width ? strlen("POOL ") : PRESSURE_POOL_WIDTH, states = 0;

	if (width)
		pressure_layout_fit(&at, view, netns, all, &pool_width);
	for (size_t i = 0; i < PRESSURE_SHOWN_STATES; i++) {
		at.state[i] |= !width;
		states += at.state[i];
	}
	at.used = at.pool + pool_width;
	at.percent = at.used + (width ? 14 : 15);
	at.half = at.percent + 5;
	at.states = at.half + 6;
	at.rates = at.states + states * PRESSURE_STATE_WIDTH;
	at.course = at.rates + 14;
	at.cause = at.course + 26;
	at.folded = width && at.cause + 6 + PRESSURE_OWNERS_WIDTH > width;
	if (at.folded) {
		at.rates = at.pool;
		at.course = at.rates + 14;
		at.cause = at.course + 26;
	}
	return at;
}

static void pressure_text_line(struct buf *b, const struct pressure_layout *at, const struct pressure_view *view,
			       size_t netns, const struct pressure_pool *pool)
{
	const struct rule *rule = pressure_view_rule(view, netns, pool);
	const struct pool_measure *m = &pool->measure;
	size_t from = b->len;

	buf_str(b, pressure_severity_names[pool->severity]);
	buf_pad(b, from, at->pool);
	pressure_text_pool(b, &pool->key);
	buf_pad(b, from, at->used);
	buf_u64(b, m->used);
	buf_char(b, '/');
	buf_u64(b, pressure_capacity(pool));
	buf_str(b, m->capacity.min != m->capacity.max ? "?" : "");
	buf_pad(b, from, at->percent);
	buf_u64(b, pressure_percent(m->used, pressure_capacity(pool)));
	buf_pad(b, from, at->half);
	if (m->has_half)
		buf_u64(b, pressure_percent(m->half_used, m->half_capacity.max));
	else
		buf_char(b, '-');
	buf_pad(b, from, at->states);
	pressure_text_states(b, at, pool);
	if (at->folded) {
		buf_char(b, '\n');
		from = b->len;
	}
	buf_pad(b, from, at->rates);
	pressure_text_rates(b, pool);
	buf_pad(b, from, at->course);
	pressure_text_course(b, pool);
	buf_pad(b, from, at->cause);
	buf_str(b, rule ? rule->id : "-");
	buf_str(b, "   ");
	pressure_text_owners(b, &view->netns[netns], pool);
	buf_char(b, '\n');
}

static void pressure_text_head(struct buf *b, const struct pressure_layout *at)
{
	size_t from = b->len;

	buf_lit(b, "SEV");
	buf_pad(b, from, at->pool);
	buf_lit(b, "POOL");
	buf_pad(b, from, at->used);
	buf_lit(b, "USED/CAP");
	buf_pad(b, from, at->percent);
	buf_lit(b, "%");
	buf_pad(b, from, at->half);
	buf_lit(b, "1ST%");
	buf_pad(b, from, at->states);
	pressure_text_states(b, at, NULL);
	if (at->folded) {
		buf_char(b, '\n');
		from = b->len;
	}
	buf_pad(b, from, at->rates);
	buf_lit(b, "OPEN/FREE s");
	buf_pad(b, from, at->course);
	buf_lit(b, "COURSE");
	buf_pad(b, from, at->cause);
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
	if (view->evicted) {
		buf_lit(b, "Incomplete: ");
		rule_number(b, view->evicted);
		buf_str(b, view->recorded ? " sockets were forgotten for want of room (--max-sockets): what is used "
					    "is at least that.\n" :
					    " sockets were forgotten for want of room (--max-sockets): who holds what "
					    "may not be known.\n");
	}
	if (view->picture.snap.hidden_namespaces) {
		buf_lit(b, "Not visible: ");
		rule_number(b, view->picture.snap.hidden_namespaces);
		buf_lit(b, " network namespaces, for want of the right to enter them (root).\n");
	}
	if (view->picture.snap.no_udp)
		buf_lit(b, "Not visible: UDP. This kernel has no udp_diag.\n");
}

void pressure_text(struct report *out, const struct pressure_view *view, size_t most, bool all, size_t width)
{
	bool any = false;

	for (size_t i = 0; i < view->count; i++) {
		const struct pressure_netns *ns = &view->netns[i];
		struct pressure_layout at = pressure_layout_of(view, i, all, width);
		size_t shown = 0;

		for (size_t k = 0; k < ns->count && shown < most; k++) {
			if (!pressure_text_is_shown(view, i, &ns->pools[k], all))
				continue;
			if (!shown++) {
				pressure_text_netns(&out->b, ns);
				pressure_text_head(&out->b, &at);
			}
			pressure_text_line(&out->b, &at, view, i, &ns->pools[k]);
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
