// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pressure.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../bucket.h"
#include "../clock.h"
#include "../sockets.h"

/* Of the 3 % of the time that looks may take, the search for owners in /proc gets this part. */
#define PRESSURE_SEARCH_SHARE 120
/* An owner may pass a socket on: after so long all are looked for anew. */
#define PRESSURE_CACHE_NS (UINT64_C(60) * 1000000000)

/* The clock that is compared with itself. */
static uint64_t pressure_now_ns(const struct pressure_session *s)
{
	return s->take ? s->recorded_ns : clock_now_ns(CLOCK_MONOTONIC);
}

/* ---- what is known of a socket already ---- */

struct pressure_recall {
	struct pressure_session *session;
	struct list_history *history;
	bool may_search, searched; /* for owners in /proc */
	bool opened; /* the history, if there is one */
	uint64_t now_ns, cpu_ns; /* cpu_ns: of this process when the look began */
	int error;
};

static bool pressure_recall_ledger(const struct pressure_session *s, const struct snapshot_socket *sock,
				   struct pressure_memory *ret)
{
	struct sockets_key key = { .netns = s->by_cookie && sock->netns_cookie ? sock->netns_cookie : sock->netns_inum,
				   .proto = sock->sock.proto,
				   .local = sock->sock.local,
				   .remote = sock->sock.remote,
				   .cookie = sock->sock.cookie };
	struct holder holder;

	key.remote.has_port = key.remote.port != 0;
	if (!s->ledger || !sockets_find_life(s->ledger, &key, &holder, &ret->how))
		return false;
	ret->pid = holder.pid;
	snprintf(ret->name, sizeof(ret->name), "%s", holder.name);
	return true;
}

static int pressure_open_history(struct pressure_recall *recall)
{
	const struct pressure_session *s = recall->session;
	const char *path = s->history_path ? s->history_path : HISTORY_DEFAULT_PATH;
	char err[HISTORY_ERR_SIZE] = "";
	int r = list_history_open(path, recall->now_ns, &recall->history, err);

	recall->opened = true;
	if (r == 0 || !s->history_path)
		return 0;
	fprintf(stderr, "porttrace: history %s: %s\n", path, err[0] ? err : strerrordesc_np(-r));
	return -EIO;
}

static void pressure_recall_history(struct pressure_recall *recall, const struct snapshot_socket *sock,
				    struct pressure_memory *ret)
{
	struct event ev = { .cookie = sock->sock.cookie,
			    .netns_inum = sock->netns_inum,
			    .netns_cookie = sock->netns_cookie,
			    .proto = sock->sock.proto,
			    .local = sock->sock.local,
			    .remote = sock->sock.remote };

	if (!recall->opened)
		recall->error = pressure_open_history(recall);
	if (!recall->history)
		return;
	ev.remote.has_port = ev.remote.port != 0;
	list_history_fill(recall->history, recall->now_ns, &ev);
	ret->pid = ev.pid;
	ret->how = ev.how;
	snprintf(ret->name, sizeof(ret->name), "%s", ev.name);
}

static bool pressure_recall(void *arg, const struct snapshot_socket *sock, struct pressure_memory *ret)
{
	struct pressure_recall *recall = arg;

	if (pressure_cache_find(&recall->session->cache, sock, ret) ||
	    (pressure_recall_ledger(recall->session, sock, ret) && ret->how != HOW_NONE))
		return true;
	if (!recall->session->take)
		pressure_recall_history(recall, sock, ret);
	return ret->pid || ret->how != HOW_NONE;
}

static bool pressure_has_owner(void *arg, const struct snapshot_socket *sock)
{
	struct pressure_recall *recall = arg;
	struct pressure_memory memory = { 0 };

	if (!recall->may_search || pressure_cache_find(&recall->session->cache, sock, &memory) ||
	    pressure_recall_ledger(recall->session, sock, &memory))
		return true;
	recall->searched = true;
	return false;
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
	rise.rose.aborted = now->aborted - before->counters.aborted;
	rise.rose.syn_retrans = now->syn_retrans - before->counters.syn_retrans;
	rise.rose.nat_failed = now->nat_failed - before->counters.nat_failed;
	return rise;
}

/* ---- failures ---- */

struct pool_key pressure_key_of_failure(const struct event *ev)
{
	struct pool_key key = { .kind = POOL_BIND, .source = ev->local };

	if (ev->proto == PROTO_UDP) {
		key.kind = POOL_UDP;
		key.source = (struct endpoint){ .ip_version = 4 };
	} else if (ev->kind == EVENT_CONNECT) {
		key.kind = POOL_CONNECT;
		key.destination = ev->remote;
	} else if (!key.source.ip_version) {
		key.source = ev->requested;
	}
	key.source.port = 0;
	return key;
}

bool pressure_is_pool_of(const struct pressure_pool *pool, const struct pool_key *failure, bool unsure)
{
	static const uint8_t any[16];
	const struct pool_key *key = &pool->key;
	bool source = event_is_same_address(&key->source, &failure->source);

	if (key->kind != failure->kind)
		return false;
	if (key->kind != POOL_CONNECT)
		return source;
	if (!event_is_same_endpoint(&key->destination, &failure->destination))
		return false;
	if (source && !unsure)
		return true;
	return (source || unsure || !memcmp(failure->source.addr, any, sizeof(any))) && !pool->measure.free.max;
}

/* Its place: a pool that is known, a free place, or the one that has been quiet for longest. */
static struct pressure_failure *pressure_place_of(struct pressure_session *s, uint32_t netns_inum,
						  const struct pool_key *key)
{
	uint64_t id = pressure_pool_id(netns_inum, key);
	struct pressure_failure *oldest = &s->failures[0];

	for (size_t i = 0; i < PRESSURE_FAILURES_MAX; i++) {
		struct pressure_failure *f = &s->failures[i];

		if (f->second && f->netns_inum == netns_inum && pressure_pool_id(netns_inum, &f->key) == id)
			return f;
		if (f->second < oldest->second)
			oldest = f;
	}
	*oldest = (struct pressure_failure){ .netns_inum = netns_inum, .key = *key };
	return oldest;
}

/* Seconds that have gone by without one count nothing. */
static void pressure_age_failure(struct pressure_failure *f, uint64_t second)
{
	for (uint64_t i = f->second + 1; f->second && i <= second && i <= f->second + PRESSURE_FAILURES_S; i++)
		f->in_second[i % PRESSURE_FAILURES_S] = 0;
}

void pressure_session_event(struct pressure_session *session, const struct event *ev)
{
	uint64_t second = pressure_now_ns(session) / 1000000000;
	struct pool_key key = pressure_key_of_failure(ev);
	struct pressure_failure *f;

	if (ev->cause != CAUSE_PORT_EXHAUSTED)
		return;
	f = pressure_place_of(session, ev->netns_inum, &key);
	f->netns_cookie = ev->netns_cookie;
	pressure_age_failure(f, second);
	f->second = second;
	f->in_second[second % PRESSURE_FAILURES_S]++;
	f->total++;
}

static uint32_t pressure_recent(struct pressure_failure *f, uint64_t second)
{
	uint32_t sum = 0;

	pressure_age_failure(f, second);
	for (int i = 0; i < PRESSURE_FAILURES_S && f->second + PRESSURE_FAILURES_S > second; i++)
		sum += f->in_second[i];
	return sum;
}

static void pressure_fill_failures(struct pressure_session *s, const struct snapshot_netns *facts,
				   struct pressure_netns *ns)
{
	uint64_t second = pressure_now_ns(s) / 1000000000;

	for (size_t k = 0; k < PRESSURE_FAILURES_MAX; k++) {
		struct pressure_failure *f = &s->failures[k];
		bool here = f->netns_inum ? f->netns_inum == facts->facts.inum :
					    f->netns_cookie == facts->facts.cookie;

		for (size_t i = 0; f->second && here && i < ns->count; i++) {
			if (!pressure_is_pool_of(&ns->pools[i], &f->key, false))
				continue;
			ns->pools[i].failures = pressure_recent(f, second);
			pressure_judge(&ns->pools[i]);
		}
	}
	pressure_sort(ns);
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
	pressure_fill_failures(s, &view->picture.snap.netns[i], &view->netns[view->count]);
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
	uint64_t now_ns = pressure_now_ns(s);
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

/* What is remembered of owners, if it is not too old, and whether those of other sockets may be looked for. */
static int pressure_begin_look(struct pressure_recall *recall, uint64_t begin_ns)
{
	struct pressure_session *s = recall->session;

	recall->may_search = !s->patient || begin_ns >= s->search_ns;
	if (recall->may_search && begin_ns >= s->cache.since_ns + PRESSURE_CACHE_NS) {
		pressure_cache_clear(&s->cache);
		s->cache.since_ns = begin_ns;
	}
	pressure_cache_refresh(&s->cache);
	return s->cache.size ? 0 : pressure_open_history(recall);
}

/* Of the processor: on a busy machine the clock tells of others too. */
static uint64_t pressure_cost_ns(const struct pressure_recall *recall)
{
	return clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - recall->cpu_ns;
}

static int pressure_take(void *arg, struct snapshot *ret)
{
	struct pressure_recall *recall = arg;

	return recall->session->take(recall->session->take_arg, ret);
}

static int pressure_end_look(struct pressure_recall *recall, struct pressure_view *view)
{
	struct pressure_session *s = recall->session;

	if (recall->searched)
		s->search_ns = clock_now_ns(CLOCK_MONOTONIC) + pressure_cost_ns(recall) * PRESSURE_SEARCH_SHARE;
	s->remembers |= recall->history || s->ledger;
	view->remembers = s->remembers;
	view->counts_failures = s->ledger;
	list_history_close(recall->history);
	return recall->error;
}

int pressure_session_look(struct pressure_session *session, struct pressure_view *ret)
{
	struct pressure_recall recall = { .session = session,
					  .now_ns = session->take ? session->recorded_ns : clock_now_ns(CLOCK_REALTIME),
					  .cpu_ns = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) };
	struct pressure_read_options opts = { .netns_inum = session->netns_inum,
					      .read_buckets = session->no_bpf ? NULL : bucket_read,
					      .has_owner = pressure_has_owner,
					      .recall = pressure_recall,
					      .take = session->take ? pressure_take : NULL,
					      .arg = &recall };
	int r, error;

	*ret = (struct pressure_view){ .time_ns = recall.now_ns,
				       .evicted = session->ledger ? sockets_evicted_sum(session->ledger) : 0,
				       .recorded = session->take };
	r = pressure_begin_look(&recall, clock_now_ns(CLOCK_MONOTONIC));
	if (r == 0)
		r = pressure_read(&opts, &ret->picture);
	error = pressure_end_look(&recall, ret);
	if (r == 0)
		r = error;
	if (r == 0)
		r = pressure_cache_fill(&session->cache, &ret->picture);
	if (r == 0)
		r = pressure_look_all(session, ret);
	if (r < 0)
		pressure_view_free(ret);
	if (!session->patient || !recall.searched) /* that has a limit of its own then */
		session->took_ns = pressure_cost_ns(&recall);
	return r;
}

void pressure_session_begin(void)
{
	sigset_t ends;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
}

int pressure_session_wait(uint64_t ns)
{
	struct timespec time = { (time_t)(ns / 1000000000), (long)(ns % 1000000000) };
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	do
		r = sigtimedwait(&ends, NULL, &time);
	while (r < 0 && errno == EINTR);
	return r < 0 ? 0 : -EINTR;
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
	pressure_cache_clear(&session->cache);
	bucket_end();
}
