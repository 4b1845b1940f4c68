/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rules that one failed call shows, without a look at any pool: P20, P21. Pure.
 */
#ifndef PORTTRACE_RULE_EVENT_H
#define PORTTRACE_RULE_EVENT_H

#include "buf.h"
#include "event.h"
#include "netns.h"

struct rule_event {
	const char *id; /* "P20" */
	const char *words; /* "not port exhaustion: the address is not one of this namespace" */
	bool wants_facts; /* of the event's namespace */
	bool (*holds)(const struct event *ev);
	/* What was seen, and the remedy: lines, each ended. facts NULL = not known. */
	void (*evidence)(const struct event *ev, const struct netns_facts *facts, struct buf *b);
	void (*remedy)(const struct event *ev, const struct netns_facts *facts, struct buf *b);
	const char *wrong; /* what does not help */
};

/* The rule that explains a failed event; NULL = none of these does. */
const struct rule_event *rule_of_event(const struct event *ev);

#endif
