// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture.h"

#define REPLAY_MAX_NETNS 4096
/* How much longer than TIME_WAIT the ledger keeps a closed socket: for the way of an event. */
#define REPLAY_LATE_NS (UINT64_C(2) * 1000000000)

/* ---- in place of looks ---- */

static void replay_explain(void *arg, struct event *ev)
{
	const struct facts *facts = arg;

	if (facts->inferred) {
		ev->cause = CAUSE_PORT_EXHAUSTED;
		snprintf(ev->reason, sizeof(ev->reason), FACTS_INFERRED);
	}
	ev->pool_used = facts->pool_used;
	ev->pool_capacity = facts->pool_capacity;
	ev->verdict = facts->has_verdict ? &facts->verdict : NULL;
}

struct replay_missed {
	const uint64_t *lives;
	size_t count;
	bool by_cookie;
};

static int replay_compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static bool replay_keep(void *arg, const struct sockets_view *view)
{
	const struct replay_missed *missed = arg;
	const uint64_t *name = missed->by_cookie ? &view->cookie : &view->life;

	return !*name || !bsearch(name, missed->lives, missed->count, sizeof(*name), replay_compare);
}

static void replay_look(void *arg, const uint64_t *lives, size_t count, bool by_cookie)
{
	struct replay_missed missed = { lives, count, by_cookie };

	if (count)
		sockets_each(((struct replay *)arg)->pipeline.sockets, replay_keep, &missed);
}

/* What comes next is told of other sockets, or of what became of these nobody knows when. */
static void replay_gap(void *arg, const struct recording_gap *gap)
{
	struct replay *rp = arg;

	sockets_clear(rp->pipeline.sockets);
	if (!rp->gaps++)
		rp->gaps_from_ns = gap->from_ns;
	rp->gap = *gap;
	rp->left_out += gap->events;
}

static void replay_batch(void *arg, uint64_t time_ns, int64_t boot_offset_ns)
{
	struct replay *rp = arg;

	pipeline_tell_storms(&rp->pipeline, rp->time_ns);
	rp->pipeline.decode.boot_offset_ns = boot_offset_ns;
	rp->time_ns = time_ns;
	if (!rp->first_ns)
		rp->first_ns = time_ns;
}

/* ---- namespaces ---- */

static bool replay_is_netns(const struct snapshot_netns *ns, uint32_t inum, uint64_t cookie)
{
	return inum ? ns->facts.inum == inum : ns->facts.cookie == cookie;
}

/* Its place; NULL if there is none and no memory for one. */
static struct snapshot_netns *replay_find_netns(struct replay *rp, uint32_t inum, uint64_t cookie, bool add)
{
	struct snapshot_netns *grown;

	if (rp->netns_last < rp->netns_count && replay_is_netns(&rp->netns[rp->netns_last], inum, cookie))
		return &rp->netns[rp->netns_last];
	for (size_t i = 0; i < rp->netns_count; i++)
		if (replay_is_netns(&rp->netns[i], inum, cookie)) {
			rp->netns_last = i;
			return &rp->netns[i];
		}
	if (!add || (!inum && !cookie) || rp->netns_count == REPLAY_MAX_NETNS)
		return NULL;
	grown = reallocarray(rp->netns, rp->netns_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	rp->netns = grown;
	grown += rp->netns_count++;
	*grown = (struct snapshot_netns){ .facts = { .inum = inum, .cookie = cookie } };
	return grown;
}

static void replay_netns(void *arg, const char *name, const struct netns_facts *facts)
{
	struct snapshot_netns *ns = replay_find_netns(arg, facts->inum, facts->cookie, true);

	if (!ns)
		return;
	ns->facts = *facts;
	ns->known = true;
	snprintf(ns->name, sizeof(ns->name), "%s", name);
}

/* An event knows its range at its moment: better than what was known at the start, or of one that was not there. */
static void replay_watch(void *arg, const struct event *ev)
{
	struct replay *rp = arg;
	struct snapshot_netns *ns;

	if (rp->watch)
		rp->watch(rp->watch_arg, ev);
	if (!ev->has_truth)
		return;
	ns = replay_find_netns(rp, ev->netns_inum, ev->netns_cookie, true);
	if (!ns)
		return;
	if (ev->netns_cookie)
		ns->facts.cookie = ev->netns_cookie;
	ns->facts.range_low = ev->range_low;
	ns->facts.range_high = ev->range_high;
	ns->facts.unprivileged_start = ev->unprivileged_start;
	ns->known = true;
}

/* ---- the way ---- */

static int replay_record(void *arg, const void *record, size_t size)
{
	return pipeline_record(&((struct replay *)arg)->pipeline, record, size);
}

static void replay_socket(void *arg, struct event *ev, uint64_t until_ns)
{
	pipeline_socket(&((struct replay *)arg)->pipeline, ev, until_ns);
}

int replay_open_reader(struct replay *rp, struct recording_reader *reader, bool numeric)
{
	struct enrich_options opts = { .numeric = numeric, .recorded = recording_facts(reader) };
	struct pipeline *p = &rp->pipeline;
	int r;

	rp->reader = reader;
	p->decode.backend = recording_header(rp->reader)->backend;
	p->track = true;
	p->watch = replay_watch;
	p->watch_arg = rp;
	p->explain = replay_explain;
	p->explain_arg = (void *)(uintptr_t)opts.recorded;
	r = sockets_new(rp->max_sockets ? rp->max_sockets : SOCKETS_DEFAULT_LIMIT, &p->sockets);
	if (r == 0)
		r = wall_new(WALL_MAX_POOLS, &p->wall);
	if (r == 0)
		r = enrich_open(&opts, &p->enrich);
	return r;
}

int replay_open(struct replay *rp, const char *path, bool numeric, char *err)
{
	struct recording_reader *reader;
	int r = recording_open(path, &reader, err);

	if (r < 0)
		return r;
	r = replay_open_reader(rp, reader, numeric);
	if (r < 0)
		snprintf(err, RECORDING_ERR_SIZE, "cannot start: %s", strerrordesc_np(-r));
	return r;
}

bool replay_step(struct replay *rp)
{
	static const struct capture_target to = {
		.record = replay_record,
		.socket = replay_socket,
		.batch = replay_batch,
		.netns = replay_netns,
		.look = replay_look,
		.gap = replay_gap,
	};
	int more = capture_recording(rp->reader, &to, rp, &rp->end);

	rp->error = more < 0 ? more : 0;
	return more > 0;
}

/* ---- the ledger as a snapshot ---- */

struct replay_filling {
	struct replay *replay;
	struct snapshot *snap;
};

static enum sockdiag_state replay_state_of(const struct sockets_view *view)
{
	static const enum sockdiag_state states[LIFE_STATE_COUNT] = {
		[LIFE_NONE] = SOCKDIAG_CLOSE,	       [LIFE_BOUND] = SOCKDIAG_CLOSE,
		[LIFE_LISTENING] = SOCKDIAG_LISTEN,    [LIFE_CONNECTED] = SOCKDIAG_ESTABLISHED,
		[LIFE_TIME_WAIT] = SOCKDIAG_TIME_WAIT, [LIFE_OVER] = SOCKDIAG_CLOSE,
	};

	return view->proto == PROTO_UDP && view->state == LIFE_LISTENING ? SOCKDIAG_CLOSE : states[view->state];
}

static void replay_fill_socket(const struct replay *rp, const struct sockets_view *view, struct snapshot_socket *ret)
{
	uint64_t left_ns = view->until_ns > rp->time_ns + REPLAY_LATE_NS ?
				   view->until_ns - REPLAY_LATE_NS - rp->time_ns : 0;

	*ret = (struct snapshot_socket){ 0 };
	ret->sock.proto = view->proto;
	ret->sock.state = replay_state_of(view);
	ret->sock.local = view->local;
	ret->sock.remote = view->remote;
	ret->sock.cookie = view->cookie;
	ret->sock.is_ipv6 = view->local.ip_version == 6;
	ret->sock.waits = view->state == LIFE_TIME_WAIT;
	if (ret->sock.waits)
		ret->sock.expires_ms = (uint32_t)(left_ns / 1000000);
}

static bool replay_is_over(const struct replay *rp, const struct sockets_view *view)
{
	return view->udplite || (view->state == LIFE_TIME_WAIT && view->until_ns < rp->time_ns + REPLAY_LATE_NS);
}

/* Always true: it only looks. */
static bool replay_add_socket(void *arg, const struct sockets_view *view)
{
	struct replay_filling *f = arg;
	bool by_cookie = recording_header(f->replay->reader)->by_cookie;
	struct snapshot_netns *ns = replay_find_netns(f->replay, by_cookie ? 0 : (uint32_t)view->netns,
						      by_cookie ? view->netns : 0, false);
	struct snapshot_socket *sock = &f->snap->sockets[f->snap->count];

	if (!ns || !ns->known || f->snap->count == f->snap->room || replay_is_over(f->replay, view))
		return true;
	replay_fill_socket(f->replay, view, sock);
	sock->netns = (size_t)(ns - f->replay->netns);
	sock->netns_inum = ns->facts.inum;
	sock->netns_cookie = by_cookie ? ns->facts.cookie : 0;
	f->snap->count++;
	return true;
}

int replay_snapshot(struct replay *rp, struct snapshot *ret)
{
	struct replay_filling f = { .replay = rp, .snap = ret };
	struct sockets *s = rp->pipeline.sockets;

	*ret = (struct snapshot){ .room = sockets_count(s) + sockets_held(s) };
	ret->sockets = calloc(ret->room + 1, sizeof(*ret->sockets));
	ret->netns = calloc(rp->netns_count + 1, sizeof(*ret->netns));
	ret->owners.list = calloc(1, sizeof(*ret->owners.list)); /* the ledger tells them */
	if (!ret->sockets || !ret->netns || !ret->owners.list) {
		snapshot_free(ret);
		return -ENOMEM;
	}
	if (rp->netns_count)
		memcpy(ret->netns, rp->netns, rp->netns_count * sizeof(*rp->netns));
	ret->namespaces = rp->netns_count;
	sockets_each(s, replay_add_socket, &f);
	return 0;
}

void replay_close(struct replay *rp)
{
	recording_close(rp->reader);
	enrich_close(rp->pipeline.enrich);
	wall_free(rp->pipeline.wall);
	sockets_free(rp->pipeline.sockets);
	free(rp->netns);
	*rp = (struct replay){ 0 };
}
