// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../clock.h"

/* ---- what the history knows ---- */

struct pressure_recall {
	struct list_history *history;
	uint64_t now_ns;
};

static bool pressure_recall(void *arg, const struct snapshot_socket *sock, struct pressure_memory *ret)
{
	struct pressure_recall *recall = arg;
	struct event ev = { .cookie = sock->sock.cookie, .netns_cookie = sock->netns_cookie };

	if (!recall->history)
		return false;
	list_history_fill(recall->history, recall->now_ns, &ev);
	ret->pid = ev.pid;
	ret->how = ev.how;
	snprintf(ret->name, sizeof(ret->name), "%s", ev.name);
	return ev.pid || ev.how != HOW_NONE;
}

static int pressure_open_history(const struct pressure_session *s, struct pressure_recall *recall)
{
	const char *path = s->history_path ? s->history_path : HISTORY_DEFAULT_PATH;
	char err[HISTORY_ERR_SIZE] = "";
	int r = list_history_open(path, recall->now_ns, &recall->history, err);

	if (r == 0 || !s->history_path)
		return 0;
	fprintf(stderr, "porttrace: history %s: %s\n", path, err[0] ? err : strerrordesc_np(-r));
	return -EIO;
}

/* ---- looks ---- */

static struct pressure_before *pressure_before_of(struct pressure_session *s, uint32_t netns_inum)
{
	struct pressure_before *grown;

	for (size_t i = 0; i < s->before_count; i++)
		if (s->before[i].netns_inum == netns_inum)
			return &s->before[i];
	grown = reallocarray(s->before, s->before_count + 1, sizeof(*grown));
	if (!grown)
		return NULL;
	s->before = grown;
	grown[s->before_count] = (struct pressure_before){ .netns_inum = netns_inum };
	return &grown[s->before_count++];
}

static struct rule_counters pressure_rise(const struct pressure_before *before, const struct pressure_counters *now,
					  uint64_t now_ns)
{
	struct rule_counters rise = { .known = before->time_ns != 0 };

	if (!rise.known)
		return rise;
	rise.seconds = (double)(now_ns - before->time_ns) / 1e9;
	rise.rose.tw_recycled = now->tw_recycled - before->counters.tw_recycled;
	rise.rose.tw_overflow = now->tw_overflow - before->counters.tw_overflow;
	rise.rose.syn_retrans = now->syn_retrans - before->counters.syn_retrans;
	rise.rose.nat_failed = now->nat_failed - before->counters.nat_failed;
	return rise;
}

static int pressure_look_netns(struct pressure_session *s, struct pressure_view *view, size_t i, uint64_t now_ns)
{
	struct pressure_input *in = &view->picture.inputs[i];
	struct pressure_before *before = pressure_before_of(s, in->pool->netns_inum);
	int r;

	if (!before)
		return -ENOMEM;
	before->seen = true;
	r = pressure_look(in, &before->past, now_ns, &view->netns[view->count]);
	if (r < 0)
		return r;
	view->counters[view->count++] = pressure_rise(before, &in->counters, now_ns);
	before->counters = in->counters;
	before->time_ns = now_ns;
	return 0;
}

/* Namespaces that have gone. */
static void pressure_forget_gone(struct pressure_session *s)
{
	size_t kept = 0;

	for (size_t i = 0; i < s->before_count; i++) {
		if (!s->before[i].seen) {
			pressure_forget(&s->before[i].past);
			continue;
		}
		s->before[kept] = s->before[i];
		s->before[kept++].seen = false;
	}
	s->before_count = kept;
}

static int pressure_look_all(struct pressure_session *s, struct pressure_view *view)
{
	uint64_t now_ns = clock_now_ns(CLOCK_MONOTONIC);
	int r = 0;

	view->netns = calloc(view->picture.count + 1, sizeof(*view->netns));
	view->counters = calloc(view->picture.count + 1, sizeof(*view->counters));
	if (!view->netns || !view->counters)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < view->picture.count; i++)
		if (view->picture.pools[i].count)
			r = pressure_look_netns(s, view, i, now_ns);
	pressure_forget_gone(s);
	return r;
}

int pressure_session_look(struct pressure_session *session, struct pressure_view *ret)
{
	struct pressure_recall recall = { .now_ns = clock_now_ns(CLOCK_REALTIME) };
	struct pressure_read_options opts = { .netns_inum = session->netns_inum,
					      .no_bpf = session->no_bpf,
					      .recall = pressure_recall,
					      .arg = &recall };
	uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC);
	int r;

	*ret = (struct pressure_view){ .time_ns = recall.now_ns };
	r = pressure_open_history(session, &recall);
	if (r == 0)
		r = pressure_read(&opts, &ret->picture);
	ret->remembers = recall.history != NULL;
	list_history_close(recall.history);
	if (r == 0)
		r = pressure_look_all(session, ret);
	if (r < 0)
		pressure_view_free(ret);
	session->took_ns = clock_now_ns(CLOCK_MONOTONIC) - begin_ns;
	return r;
}

void pressure_view_free(struct pressure_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		pressure_free(&view->netns[i]);
	free(view->netns);
	free(view->counters);
	pressure_read_free(&view->picture);
	*view = (struct pressure_view){ 0 };
}

void pressure_session_close(struct pressure_session *session)
{
	for (size_t i = 0; i < session->before_count; i++)
		pressure_forget(&session->before[i].past);
	free(session->before);
	session->before = NULL;
	session->before_count = 0;
}
