// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "storm.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORM_MAX 64
#define STORM_NS UINT64_C(1000000000)
/* Without one more that comes; a little later, as a verdict does. */
#define STORM_LATE_NS (STORM_NS + STORM_NS / 4)

/* One kind of failure. */
struct storm_slot {
	uint64_t passed_ns; /* when one passed last; 0 = the slot is free */
	uint32_t held;
	struct event last; /* the last one that came */
	struct event_who who; /* of it */
};

struct storm {
	struct storm_slot slots[STORM_MAX];
	size_t held; /* slots that hold some back */
};

int storm_new(struct storm **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void storm_free(struct storm *s)
{
	free(s);
}

static bool storm_is_alike(const struct event *a, const struct event *b)
{
	return a->pid == b->pid && a->netns_inum == b->netns_inum && a->netns_cookie == b->netns_cookie &&
	       a->kind == b->kind && a->proto == b->proto && a->error == b->error &&
	       event_is_same_endpoint(&a->remote, &b->remote) && event_is_same_endpoint(&a->requested, &b->requested);
}

/* The slot of an event, or one that holds nothing: the one that has been quiet for longest. NULL: there is none. */
static struct storm_slot *storm_find(struct storm *s, const struct event *ev)
{
	struct storm_slot *quiet = NULL;

	for (size_t i = 0; i < STORM_MAX; i++) {
		struct storm_slot *slot = &s->slots[i];

		if (slot->passed_ns && storm_is_alike(&slot->last, ev))
			return slot;
		if (!slot->held && (!quiet || slot->passed_ns < quiet->passed_ns))
			quiet = slot;
	}
	if (quiet)
		*quiet = (struct storm_slot){ 0 };
	return quiet;
}

static void storm_keep(struct storm_slot *slot, const struct event *ev)
{
	slot->last = *ev;
	slot->who = *event_who(ev);
	slot->last.who = &slot->who;
}

static void storm_pass(struct storm *s, struct storm_slot *slot, uint64_t now_ns, struct event *ev)
{
	ev->repeats = slot->held ? slot->held + (ev != &slot->last) : 0;
	s->held -= slot->held > 0;
	slot->held = 0;
	slot->passed_ns = now_ns;
}

/* One with a verdict passes: what it says holds for now. */
bool storm_hold(struct storm *s, struct event *ev)
{
	struct storm_slot *slot;

	if (ev->cause != CAUSE_PORT_EXHAUSTED)
		return false;
	slot = storm_find(s, ev);
	if (!slot)
		return false;
	if (slot->passed_ns && !ev->verdict && ev->time_ns < slot->passed_ns + STORM_NS) {
		s->held += !slot->held;
		slot->held++;
		storm_keep(slot, ev);
		return true;
	}
	storm_pass(s, slot, ev->time_ns, ev);
	storm_keep(slot, ev);
	return false;
}

bool storm_take(struct storm *s, uint64_t now_ns, struct event *ret)
{
	for (size_t i = 0; s->held && i < STORM_MAX; i++) {
		struct storm_slot *slot = &s->slots[i];

		if (!slot->held || now_ns < slot->passed_ns + STORM_LATE_NS)
			continue;
		storm_pass(s, slot, slot->last.time_ns, &slot->last);
		*ret = slot->last;
		return true;
	}
	return false;
}
