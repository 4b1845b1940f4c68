// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Events that nobody looks at: they are only remembered. */
#include "../sink.h"

static int none_open(const struct sink_options *opts, void **ret_state)
{
	static char state; /* something that is not NULL */

	(void)opts;
	*ret_state = &state;
	return 0;
}

static int none_event(void *state, const struct event *ev)
{
	(void)state;
	(void)ev;
	return 0;
}

static int none_flush(void *state)
{
	(void)state;
	return 0;
}

static size_t none_pending(const void *state)
{
	(void)state;
	return 0;
}

static void none_close(void *state)
{
	(void)state;
}

const struct sink_ops sink_none = {
	.name = "none",
	.open = none_open,
	.event = none_event,
	.flush = none_flush,
	.pending = none_pending,
	.close = none_close,
};
