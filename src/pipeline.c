// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pipeline.h"

#include <errno.h>

#include "pool_kind.h"

/* Sockets of a snapshot that the history takes without being waited for. */
#define PIPELINE_BURST 32768
/* How long an output may take for what is left at the end. */
#define PIPELINE_PATIENCE_S 5
/* Events that a full pipe may take though nobody reads: what is left of its last page. */
#define PIPELINE_CRUMBS 8

/* After -EINTR. An output that takes nothing from one second to the next is not waited for, nor a slow one for ever. */
static bool pipeline_gives_up(struct pipeline *p)
{
	uint64_t written = p->shown - p->sink->pending(p->sink_state);
	bool idle = written - p->written < PIPELINE_CRUMBS;

	if (*p->alarms == p->alarms_noted)
		return false; /* another signal */
	p->alarms_noted = *p->alarms;
	p->written = written;
	return idle || *p->alarms >= PIPELINE_PATIENCE_S;
}

/* A signal may interrupt a write; the sink has not taken the event then. */
static void pipeline_write(struct pipeline *p, struct event *ev)
{
	uint64_t events = ev->repeats ? ev->repeats : 1;
	int r = p->output_error;

	while (!p->output_error) {
		r = p->sink->event(p->sink_state, ev);
		if (r != -EINTR || pipeline_gives_up(p))
			break;
	}
	if (r == 0)
		p->shown += events;
	else
		p->unwritten += events;
	p->output_error = r;
}

void pipeline_tell_storms(struct pipeline *p, uint64_t now_ns)
{
	struct event ev;

	while (p->storm && storm_take(p->storm, now_ns, &ev)) {
		p->held -= ev.repeats;
		pipeline_write(p, &ev);
	}
}

void pipeline_flush(struct pipeline *p)
{
	int r = p->output_error;

	while (!p->output_error) {
		r = p->sink->flush(p->sink_state);
		if (r != -EINTR || pipeline_gives_up(p))
			break;
	}
	p->output_error = r;
	if (p->fanout)
		fanout_flush(p->fanout);
}

void pipeline_stats(struct pipeline *p, struct stats *st)
{
	st->sequence = ++p->sequence;
	if (p->fanout)
		fanout_stats(p->fanout, st);
	pipeline_flush(p); /* then only this line can be left over */
	if (p->output_error || !p->sink->stats)
		return;
	p->output_error = p->sink->stats(p->sink_state, st);
	pipeline_flush(p);
	p->stats_unwritten = p->output_error != 0;
}

void pipeline_settle(struct pipeline *p)
{
	uint64_t pending = p->sink->pending(p->sink_state);

	if (pending && p->stats_unwritten)
		pending--;
	p->shown -= pending;
	p->unwritten += pending;
}

/* What is told of a process is no event, and not counted as one. */
static __attribute__((noinline)) void pipeline_other(struct pipeline *p, const void *record, size_t size)
{
	struct process_facts facts;

	if (!decode_is_process(record, size))
		p->damaged++;
	else if (!decode_process(record, size, &facts))
		enrich_learn(p->enrich, &facts);
}

void pipeline_socket(void *arg, struct event *ev, uint64_t until_ns)
{
	struct pipeline *p = arg;

	ev->backend = p->decode.backend;
	if (p->recorder)
		recorder_socket(p->recorder, ev, until_ns);
	if (!sockets_adopt(p->sockets, ev, until_ns) || !p->history)
		return;
	enrich_event(p->enrich, ev);
	history_add(p->history, ev);
	if (++p->adopted % PIPELINE_BURST == 0)
		history_sync(p->history);
}

/* The close of a socket that is older than us and had no port, as far as anybody knows. */
static bool pipeline_tells_nothing(const struct event *ev)
{
	return ev->kind == EVENT_CLOSE && !ev->local.has_port && !ev->remote.has_port;
}

static void pipeline_show(struct pipeline *p, struct event *ev)
{
	if (p->wall)
		wall_check(p->wall, ev);
	if (p->explain)
		p->explain(p->explain_arg, ev);
	ev->sequence = ++p->sequence;
	p->emitted++;
	if (p->fanout)
		fanout_event(p->fanout, ev);
	if (p->storm && storm_hold(p->storm, ev)) {
		p->held++;
		return;
	}
	p->held -= ev->repeats ? ev->repeats - 1 : 0;
	pipeline_write(p, ev);
}

int pipeline_record(void *arg, const void *record, size_t size)
{
	struct pipeline *p = arg;
	struct event ev;

	if (decode_event(&p->decode, record, size, &ev) < 0) {
		pipeline_other(p, record, size);
		return 0;
	}
	if (p->limit && p->shown + p->held >= p->limit) {
		p->filtered++;
		return 0;
	}
	sockets_expect(p->sockets, &ev);
	sockets_lend(p->sockets, &ev);
	if (pipeline_tells_nothing(&ev)) {
		p->filtered++;
		return 0;
	}
	enrich_event(p->enrich, &ev);
	pool_kind_fill(&ev);
	if (p->track)
		sockets_track(p->sockets, &ev);
	if (p->history)
		history_add(p->history, &ev);
	if (p->watch)
		p->watch(p->watch_arg, &ev);
	if ((p->whole_kinds >> ev.kind & 1) || filter_match(p->filter, &ev))
		pipeline_show(p, &ev);
	else
		p->filtered++;
	if (p->recorder)
		recorder_event(p->recorder, record, &ev);
	return 0;
}
