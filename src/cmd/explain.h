/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The diagnosis of one pool, in words: some lines. */
#ifndef PORTTRACE_CMD_EXPLAIN_H
#define PORTTRACE_CMD_EXPLAIN_H

#include "../rule_event.h"
#include "pressure.h"

/* How full it is, of what, by whom; then its rule. `i`: the namespace in the view. */
void explain_pool(struct buf *b, const struct pressure_view *view, size_t i, const struct pressure_pool *pool);
/* The cause, what was seen, what helps, what does not. */
void explain_rule(struct buf *b, const struct rule *rule, const struct rule_case *c);
/* The same of a rule that one event shows. */
void explain_event(struct buf *b, const struct rule_event *rule, const struct event *ev,
		   const struct netns_facts *facts);

#endif
