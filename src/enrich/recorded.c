// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Of a recording: what was looked up when it was made, in place of looking. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "enrich.h"
#include "facts.h"

struct recorded {
	const struct facts *facts; /* of the event that is under way; not owned */
	bool numeric;
	struct event_who nameless;
};

static int recorded_open(const struct enrich_options *opts, void **ret_state)
{
	struct recorded *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->facts = opts->recorded;
	st->numeric = opts->numeric;
	*ret_state = st;
	return 0;
}

/* With -n, users have no names. */
static const struct event_who *recorded_without_user(struct recorded *st, const struct event_who *who)
{
	st->nameless = *who;
	memset(st->nameless.user, 0, sizeof(st->nameless.user));
	return &st->nameless;
}

static void recorded_fill_process(struct recorded *st, struct event *ev)
{
	const struct facts_process *p = st->facts->process;

	if (!p)
		return;
	if (!st->facts->start_is_decoded)
		ev->process_start_real_ns = p->start_real_ns;
	ev->parent_pid = p->parent_pid;
	ev->name_is_leader = p->name_is_leader;
	memcpy(ev->name, p->name, sizeof(ev->name));
	ev->who = st->numeric ? recorded_without_user(st, &p->who) : &p->who;
}

static void recorded_fill_truth(const struct facts *facts, struct event *ev)
{
	if (!facts->has_truth || ev->has_truth)
		return;
	ev->has_truth = true;
	ev->netns_inum = facts->truth.netns_inum;
	ev->range_low = facts->truth.range_low;
	ev->range_high = facts->truth.range_high;
	ev->unprivileged_start = facts->truth.unprivileged_start;
	ev->local_reserved = facts->local_reserved;
	ev->remote_reserved = facts->remote_reserved;
}

static void recorded_fill_holder(const struct recorded *st, struct event *ev)
{
	if (!st->facts->has_holder)
		return;
	ev->has_holder = true;
	ev->holder = st->facts->holder;
	if (st->numeric)
		memset(ev->holder.user, 0, sizeof(ev->holder.user));
}

static void recorded_fill(void *state, struct event *ev)
{
	struct recorded *st = state;

	recorded_fill_process(st, ev);
	recorded_fill_truth(st->facts, ev);
	if (!st->numeric) {
		ev->local_facts.service = st->facts->local_service;
		ev->remote_facts.service = st->facts->remote_service;
	}
	recorded_fill_holder(st, ev);
}

static void recorded_close(void *state)
{
	free(state);
}

const struct enricher enrich_recorded = {
	.name = "recorded",
	.open = recorded_open,
	.fill = recorded_fill,
	.close = recorded_close,
};
