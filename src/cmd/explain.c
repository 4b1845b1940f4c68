// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "explain.h"

#include <string.h>

/* Lines of `text`, each behind a word or as far to the right. */
static void explain_lines(struct buf *b, const char *word, void (*write)(const struct rule_case *, struct buf *),
		      const struct rule_case *c)
{
	char text[2048] = "";
	struct buf part = { .data = text, .size = sizeof(text) };
	const char *line = text;

	write(c, &part);
	for (size_t i = 0; i < part.len; i++) {
		if (text[i] != '\n')
			continue;
		buf_str(b, line == text ? word : "          ");
		buf_bytes(b, line, (size_t)(text + i + 1 - line));
		line = text + i + 1;
	}
}

void explain_rule(struct buf *b, const struct rule *rule, const struct rule_case *c)
{
	buf_lit(b, "  CAUSE   ");
	buf_str(b, rule->id);
	buf_lit(b, "  ");
	buf_str(b, rule->words);
	buf_char(b, '\n');
	explain_lines(b, "  SEEN    ", rule->evidence, c);
	explain_lines(b, rule->harmless ? "  DO      " : "  FIX     ", rule->remedy, c);
	if (rule->wrong) {
		buf_lit(b, "  NOT     ");
		buf_str(b, rule->wrong);
		buf_char(b, '\n');
	}
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
		buf_lit(b, "  CAUSE   not known\n");
}
