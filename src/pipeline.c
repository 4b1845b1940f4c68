// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pipeline.h"

#include <errno.h>

/* A signal may interrupt a write; the sink has not taken the event then. */
static int pipeline_write(struct pipeline *p, struct event *ev)
{
	int r;

	ev->sequence = p->shown + 1;
	do
		r = p->sink->event(p->sink_state, ev);
	while (r == -EINTR && !*p->stop);
	if (r == 0)
		p->shown++;
	else
		p->unwritten++;
	return r == -EINTR ? 0 : r;
}

int pipeline_record(void *arg, const void *record, size_t size)
{
	struct pipeline *p = arg;
	struct event ev;

	if (decode_event(&p->decode, record, size, &ev) < 0) {
		p->damaged++;
		return 0;
	}
	if (filter_wants_close(p->filter))
		sockets_track(p->sockets, &ev);
	if (p->limit && p->shown >= p->limit) {
		p->filtered++;
		return 0;
	}
	enrich_event(p->enrich, &ev);
	if (!filter_match(p->filter, &ev)) {
		p->filtered++;
		return 0;
	}
	return pipeline_write(p, &ev);
}
