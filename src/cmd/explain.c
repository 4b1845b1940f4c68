// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "explain.h"

#include <string.h>

/* Lines of `text`, the first behind a word and the others as far to the right. */
static void explain_lines(struct buf *b, const char *word, const struct buf *text)
{
	size_t from = 0;

	for (size_t i = 0; i < text->len; i++) {
		if (text->data[i] != '\n')
			continue;
		buf_str(b, from ? "          " : word);
		buf_bytes(b, text->data + from, i + 1 - from);
		from = i + 1;
	}
}

static void explain_cause(struct buf *b, const char *word, const char *id, const char *words)
{
	buf_str(b, word);
	buf_str(b, id);
	buf_lit(b, "  ");
	buf_str(b, words);
	buf_char(b, '\n');
}

static void explain_wrong(struct buf *b, const char *wrong)
{
	if (!wrong)
		return;
	buf_lit(b, "  NOT     ");
	buf_str(b, wrong);
	buf_char(b, '\n');
}

static void explain_as(struct buf *b, const char *word, const struct rule *rule, const struct rule_case *c)
{
	char text[2048];
	struct buf seen = { .data = text, .size = sizeof(text) }, mend = seen;

	explain_cause(b, word, rule->id, rule->words);
	rule->evidence(c, &seen);
	explain_lines(b, "  SEEN    ", &seen);
	rule->remedy(c, &mend);
	explain_lines(b, rule->harmless ? "  DO      " : "  FIX     ", &mend);
	explain_wrong(b, rule->wrong);
}

void explain_rule(struct buf *b, const struct rule *rule, const struct rule_case *c)
{
	explain_as(b, "  CAUSE   ", rule, c);
}

void explain_event(struct buf *b, const struct rule_event *rule, const struct event *ev,
		   const struct netns_facts *facts)
{
	char text[2048];
	struct buf seen = { .data = text, .size = sizeof(text) }, mend = seen;

	explain_cause(b, "  CAUSE   ", rule->id, rule->words);
	rule->evidence(ev, facts, &seen);
	explain_lines(b, "  SEEN    ", &seen);
	rule->remedy(ev, facts, &mend);
	explain_lines(b, "  FIX     ", &mend);
	explain_wrong(b, rule->wrong);
}

static void explain_states(struct buf *b, const struct pressure_pool *pool)
{
	const char *between = "          ";

	for (int i = 0; i < PRESSURE_STATE_COUNT; i++) {
		if (!pool->ports[i])
			continue;
		buf_str(b, between);
		rule_number(b, pool->ports[i]);
		buf_char(b, ' ');
		buf_str(b, pressure_state_names[i]);
		between = ", ";
	}
	if (between[0] == ',')
		buf_char(b, '\n');
}

static void explain_owners(struct buf *b, const struct pressure_netns *ns, const struct pressure_pool *pool)
{
	if (!pool->owner_count)
		return;
	buf_lit(b, "          opened by ");
	pressure_text_owners(b, ns, pool);
	buf_char(b, '\n');
}

/* No rule's share is reached: what there is most of, to begin with. */
static void explain_unknown(struct buf *b, const struct pressure_netns *ns, const struct pressure_pool *pool)
{
	int most = 0;

	buf_lit(b, "  CAUSE   not known: of what the pool holds no state makes up a share that explains it\n");
	for (int i = 1; i < PRESSURE_STATE_COUNT; i++)
		most = pool->ports[i] > pool->ports[most] ? i : most;
	if (!pool->ports[most])
		return;
	buf_lit(b, "  FIX     Begin with what there is most of, ");
	rule_number(b, pool->ports[most]);
	buf_char(b, ' ');
	buf_str(b, pressure_state_names[most]);
	if (pool->owner_count) {
		buf_lit(b, ", and with ");
		rule_process(b, ns, pool->owners[0].process);
	}
	buf_lit(b, ": porttrace list -s ");
	buf_str(b, pressure_state_names[most]);
	if (pool->key.kind == POOL_CONNECT) {
		buf_lit(b, " -D ");
		buf_u64(b, pool->key.destination.port);
	}
	buf_char(b, '\n');
}

void explain_pool(struct buf *b, const struct pressure_view *view, size_t i, const struct pressure_pool *pool)
{
	struct rule_case c = { .netns = &view->netns[i], .pool = pool, .counters = &view->counters[i] };
	const struct rule *rule = pressure_view_rule(view, i, pool);

	buf_str(b, pool->measure.free.max ? "PRESSURE  " : "EXHAUSTED ");
	pressure_text_pool(b, &pool->key);
	buf_lit(b, ": ");
	rule_number(b, pool->measure.used);
	buf_lit(b, " of ");
	rule_number(b, pressure_capacity(pool));
	buf_lit(b, " ports used");
	if (pool->measure.free.max) {
		buf_lit(b, ", ");
		rule_number(b, pool->measure.free.max);
		buf_lit(b, " free");
	}
	buf_lit(b, "  ");
	pressure_text_course(b, pool);
	buf_lit(b, "\n          ");
	pressure_text_netns(b, &view->netns[i]);
	explain_states(b, pool);
	explain_owners(b, &view->netns[i], pool);
	if (rule)
		explain_rule(b, rule, &c);
	else
		explain_unknown(b, &view->netns[i], pool);
	rule = pressure_view_beside(view, i, pool, rule);
	if (rule)
		explain_as(b, "  ALSO    ", rule, &c);
}
