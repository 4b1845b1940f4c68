// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Which half comes first: __inet_hash_connect() and inet_csk_find_open_port(), since 4.2. */
#include "pool_kind.h"

static enum event_pool pool_kind_of(const struct event *ev)
{
	bool picked = ev->how == HOW_BIND0 || ev->how == HOW_CONNECT || ev->how == HOW_AUTOBIND;

	if (!picked)
		return EVENT_POOL_NONE;
	if (ev->proto == PROTO_UDP)
		return EVENT_POOL_UDP;
	if (ev->how == HOW_CONNECT)
		return EVENT_POOL_CONNECT;
	/* a bind() that may have left the choice to connect() */
	return ev->outcome == OUTCOME_UNKNOWN ? EVENT_POOL_NONE : EVENT_POOL_BIND;
}

bool pool_kind_range(const struct event *ev, uint16_t *ret_low, uint16_t *ret_high)
{
	bool own = ev->sock_range_high;

	*ret_low = own ? ev->sock_range_low : ev->range_low;
	*ret_high = own ? ev->sock_range_high : ev->range_high;
	return ev->has_truth && *ret_low && *ret_low <= *ret_high;
}

uint32_t pool_kind_first_count(const struct event *ev)
{
	uint16_t low, high;
	uint32_t size;

	if (!pool_kind_range(ev, &low, &high))
		return 0;
	size = (uint32_t)high - low + 1;
	return size > 1 ? size / 2 : 1;
}

static enum event_half pool_kind_half(const struct event *ev)
{
	uint16_t low, high, port = ev->local.port;
	bool of_low;

	if ((ev->pool != EVENT_POOL_CONNECT && ev->pool != EVENT_POOL_BIND) || !ev->local.has_port || !port)
		return EVENT_HALF_UNKNOWN;
	if (ev->pool == EVENT_POOL_CONNECT && ev->sock_range_high)
		return EVENT_HALF_UNKNOWN;
	if (!pool_kind_range(ev, &low, &high) || port < low || port > high)
		return EVENT_HALF_UNKNOWN;
	if (low == high) /* there is no other half */
		return EVENT_HALF_FIRST;
	of_low = !((port - low) & 1);
	return of_low == (ev->pool == EVENT_POOL_CONNECT) ? EVENT_HALF_FIRST : EVENT_HALF_SECOND;
}

void pool_kind_fill(struct event *ev)
{
	ev->pool = pool_kind_of(ev);
	ev->half = pool_kind_half(ev);
}

/* The lower part of the range as inet_csk_find_open_port() divides it; it does not divide less than four ports. */
static bool pool_kind_in_lower_part(const struct event *ev)
{
	uint16_t low, high;

	if (!pool_kind_range(ev, &low, &high) || high - low + 1 < 4)
		return false;
	return ev->local.port < low + ((high - low + 1) >> 2 << 1);
}

bool pool_kind_is_past_first(const struct event *ev)
{
	bool divided = ev->pool == EVENT_POOL_BIND && (!ev->has_options || ev->reuseaddr);

	return ev->half == EVENT_HALF_SECOND && !(divided && pool_kind_in_lower_part(ev));
}
