// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Who has the port, or the pair of endpoints, that an event asked for in vain: what earlier events told (sockets.c),
 * joined with the kernel's own list of sockets, which also has those that are older than us, and the seconds left of
 * TIME_WAIT.
 *
 * It runs on the reader's thread, so the kernel's answer for a port is kept for a second, and the questions are
 * limited in number and in time: when the limit is reached, what earlier events told has to do.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "cache.h"
#include "clock.h"
#include "enrich.h"
#include "netns.h"
#include "owners.h"
#include "proc.h"
#include "sockdiag.h"
#include "sockets.h"

#define ENRICH_HOLDER_ENTRIES 256
#define ENRICH_HOLDER_EXPIRY_NS NS_PER_SEC
#define ENRICH_HOLDER_QUESTIONS 20 /* a second */
#define ENRICH_HOLDER_SCANS 1 /* of /proc, a second */
/* Beyond a burst, the share of the time that questions may take, and scans. */
#define ENRICH_HOLDER_BURST_NS (NS_PER_SEC / 5)
#define ENRICH_HOLDER_SHARE 20 /* 1/20 */

/* So many a second, and only a share of the time. */
struct enrich_holder_budget {
	uint64_t second_ns, debt_since_ns; /* CLOCK_MONOTONIC */
	uint64_t debt_ns; /* time spent, less what has been waited since */
	unsigned int count;
};

struct enrich_holder_state {
	const struct sockets *sockets; /* not owned; NULL = nothing is remembered */
	const char *proc;
	struct cache *answers; /* struct enrich_holder_answer by namespace, port and address */
	struct cache *visits; /* uint32_t: the process by which a namespace was entered, by its inode */
	struct cache *owners; /* struct owner by inode and cookie of the socket */
	struct enrich_holder_budget questions, scans;
};

/* What the kernel said. */
struct enrich_holder_answer {
	uint64_t read_ns; /* cache_now_ns(); 0 = not yet */
	struct sockets_key asked; /* with the cookie of a socket that is not meant */
	bool listen; /* by a socket that is bound there itself */
	bool found;
	uint32_t expires_ms; /* at read_ns */
	struct holder holder;
};

static void enrich_holder_close(void *state)
{
	struct enrich_holder_state *st = state;

	if (!st)
		return;
	cache_free(st->answers);
	cache_free(st->visits);
	cache_free(st->owners);
	free(st);
}

static int enrich_holder_open(const struct enrich_options *opts, void **ret_state)
{
	struct enrich_holder_state *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->sockets = opts->sockets;
	st->proc = opts->proc_path ? opts->proc_path : "/proc";
	st->answers = cache_new(ENRICH_HOLDER_ENTRIES, sizeof(struct enrich_holder_answer));
	st->visits = cache_new(ENRICH_HOLDER_ENTRIES, sizeof(uint32_t));
	st->owners = cache_new(ENRICH_HOLDER_ENTRIES, sizeof(struct owner));
	if (!st->answers || !st->visits || !st->owners) {
		enrich_holder_close(st);
		return -ENOMEM;
	}
	*ret_state = st;
	return 0;
}

/* ---- limits ---- */

static bool enrich_holder_may(struct enrich_holder_budget *budget, unsigned int per_second, uint64_t now)
{
	uint64_t paid = (now - budget->debt_since_ns) / ENRICH_HOLDER_SHARE;

	budget->debt_since_ns = now;
	budget->debt_ns -= paid < budget->debt_ns ? paid : budget->debt_ns;
	if (now - budget->second_ns >= NS_PER_SEC) {
		budget->second_ns = now;
		budget->count = 0;
	}
	if (budget->count >= per_second || budget->debt_ns >= ENRICH_HOLDER_BURST_NS)
		return false;
	budget->count++;
	return true;
}

static void enrich_holder_spend(struct enrich_holder_budget *budget, uint64_t since_ns)
{
	budget->debt_ns += clock_now_ns(CLOCK_MONOTONIC) - since_ns;
}

/* ---- what is asked ---- */

/* A connect from a port that the socket had before: there is a connection of these very endpoints. */
static bool enrich_holder_is_clash(const struct event *ev)
{
	return ev->kind == EVENT_CONNECT && ev->cause == CAUSE_TUPLE_CLASH;
}

/* The endpoint that somebody else has; NULL if the event failed for another reason. */
static const struct endpoint *enrich_holder_wanted(const struct event *ev)
{
	bool bind = ev->kind == EVENT_BIND && ev->how == HOW_EXPLICIT && ev->has_requested;
	bool listen = ev->kind == EVENT_LISTEN && ev->how == HOW_NONE;
	/* The cgroup backend sees no errno of a bind: then whoever has the port is the likely reason. */
	bool unseen = bind && !ev->error && ev->cause == CAUSE_NONE;
	const struct endpoint *wanted = bind ? &ev->requested : &ev->local;

	if (ev->outcome != OUTCOME_FAILURE ||
	    (!enrich_holder_is_clash(ev) && ((!bind && !listen) || (ev->error != EADDRINUSE && !unseen))))
		return NULL;
	return wanted->has_port && wanted->port ? wanted : NULL;
}

static struct sockets_key enrich_holder_key(const struct event *ev, const struct endpoint *wanted)
{
	return (struct sockets_key){ .netns = sockets_netns(ev),
				     .proto = ev->proto,
				     .protocol = ev->proto == PROTO_UDP ? ev->protocol : 0,
				     .local = *wanted,
				     .remote = enrich_holder_is_clash(ev) ? ev->remote : (struct endpoint){ .port = 0 },
				     .v6only = ev->has_options && ev->v6only,
				     .device = ev->has_options ? ev->bound_ifindex : 0,
				     .cookie = ev->kind == EVENT_LISTEN ? ev->cookie : 0,
				     .other_than = ev->socket_id,
				     .before_ns = ev->late ? ev->time_ns : 0,
				     .now_ns = ev->time_ns };
}

static bool enrich_holder_is_same_question(const struct sockets_key *a, const struct sockets_key *b)
{
	return a->netns == b->netns && a->proto == b->proto && a->protocol == b->protocol &&
	       a->v6only == b->v6only && a->device == b->device && a->cookie == b->cookie &&
	       event_is_same_endpoint(&a->local, &b->local) && event_is_same_endpoint(&a->remote, &b->remote);
}

/* Two numbers for a question; different questions with the same ones are told apart by it. */
static struct enrich_holder_answer *enrich_holder_claim(struct cache *answers, const struct sockets_key *key,
							bool listen)
{
	uint64_t port = (uint64_t)key->proto << 16 | key->local.port, addr[2];
	struct enrich_holder_answer *answer;

	memcpy(addr, key->local.addr, sizeof(addr));
	addr[0] = addr[0] * 0x9e3779b97f4a7c15ull + addr[1] + key->local.ip_version;
	answer = cache_find(answers, key->netns << 20 ^ port, addr[0]);
	if (answer && answer->listen == listen && enrich_holder_is_same_question(&answer->asked, key))
		return answer;
	if (!answer)
		answer = cache_claim(answers, key->netns << 20 ^ port, addr[0]);
	memset(answer, 0, sizeof(*answer));
	answer->asked = *key;
	answer->listen = listen;
	return answer;
}

/* ---- the kernel's list ---- */

struct enrich_holder_search {
	const struct sockets_key *key;
	bool no_bound; /* the socket that asks is a bound one itself, and cannot be told from others */
	bool found;
	enum holder_kind kind;
	struct sockdiag_socket best, waits; /* waits.waits = there is one in TIME_WAIT */
};

static enum holder_kind enrich_holder_kind_of(const struct sockdiag_socket *sock)
{
	if (sock->waits || sock->state == SOCKDIAG_TIME_WAIT)
		return HOLDER_TIME_WAIT;
	if (sock->state == SOCKDIAG_LISTEN)
		return HOLDER_LISTENER;
	return sock->state == SOCKDIAG_CLOSE || sock->state == SOCKDIAG_BOUND ? HOLDER_BOUND : HOLDER_CONNECTION;
}

static bool enrich_holder_is_in_the_way(const struct enrich_holder_search *search, const struct sockdiag_socket *sock)
{
	const struct sockets_key *key = search->key;

	if (sock->local.port != key->local.port || sock->state == SOCKDIAG_NEW_SYN_RECV ||
	    (key->cookie && sock->cookie == key->cookie) ||
	    (key->remote.has_port && !event_is_same_endpoint(&key->remote, &sock->remote)))
		return false;
	return sockets_share_device(key->device, sock->ifindex) &&
	       sockets_overlap(&key->local, key->v6only, &sock->local, !sock->takes_ipv4);
}

/* Of those in TIME_WAIT, the one that is there the longest: only then is the port free. */
static int enrich_holder_look_at(void *arg, const struct sockdiag_socket *sock)
{
	struct enrich_holder_search *search = arg;
	enum holder_kind kind = enrich_holder_kind_of(sock);

	if (!enrich_holder_is_in_the_way(search, sock) || (kind == HOLDER_BOUND && search->no_bound))
		return 0;
	if (sock->waits && (!search->waits.waits || sock->expires_ms > search->waits.expires_ms))
		search->waits = *sock;
	if (search->found && (kind > search->kind ||
			      (kind == search->kind && sock->expires_ms <= search->best.expires_ms)))
		return 0;
	search->found = true;
	search->kind = kind;
	search->best = *sock;
	return 0;
}

/* Runs in the namespace. An IPv6 socket is in the way of IPv4 too, but not the other way round: see sockets_overlap. */
static int enrich_holder_dump(void *arg)
{
	struct enrich_holder_search *search = arg;
	struct sockdiag_query query = { .proto = search->key->proto,
					.protocol = search->key->protocol,
					.ip_version = 6,
					.local_port = search->key->local.port };
	int ipv6 = sockdiag_dump_some(&query, enrich_holder_look_at, search), ipv4;

	query.ip_version = 4;
	ipv4 = sockdiag_dump_some(&query, enrich_holder_look_at, search);
	return ipv4 < 0 && ipv6 < 0 ? ipv4 : 0;
}

/* By way of the process that failed, one that has the port, the one that served before, or any. */
static int enrich_holder_visit(struct enrich_holder_state *st, const struct event *ev, uint32_t owner_pid,
			       struct enrich_holder_search *search)
{
	uint32_t *before = cache_find(st->visits, ev->netns_inum, 0);
	uint32_t pids[] = { ev->pid, owner_pid, before ? *before : 0, 0 };
	uint64_t now;
	int r = -ESRCH;

	for (size_t i = 0; i < 4 && r == -ESRCH; i++) {
		if (i == 3) {
			now = clock_now_ns(CLOCK_MONOTONIC);
			if (!enrich_holder_may(&st->scans, ENRICH_HOLDER_SCANS, now))
				break;
			pids[i] = netns_find_process(st->proc, ev->netns_inum);
			enrich_holder_spend(&st->scans, now);
		}
		r = netns_run(st->proc, pids[i], ev->netns_inum, enrich_holder_dump, search);
		if (r == -ESRCH || !pids[i])
			continue;
		if (!before)
			before = cache_claim(st->visits, ev->netns_inum, 0);
		*before = pids[i];
	}
	return r;
}

/* ---- whose is it? ---- */

/*
 * By a look at all processes. Of several that have it open the first one, which is the parent as a rule; NULL = nobody.
 * False if there was no look.
 */
static bool enrich_holder_scan(struct enrich_holder_state *st, const struct sockdiag_socket *sock,
			       const struct owner **ret)
{
	uint64_t now = clock_now_ns(CLOCK_MONOTONIC);
	const struct owner *first;
	struct owner *kept = NULL;
	struct owners owners;

	if (!enrich_holder_may(&st->scans, ENRICH_HOLDER_SCANS, now) ||
	    owners_read(st->proc, &sock->inode, 1, &owners) < 0)
		return false;
	if (owners_find(&owners, sock->inode, &first)) {
		kept = cache_find(st->owners, sock->inode, sock->cookie);
		if (!kept)
			kept = cache_claim(st->owners, sock->inode, sock->cookie);
		*kept = *first;
	}
	owners_free(&owners);
	enrich_holder_spend(&st->scans, now);
	*ret = kept;
	return true;
}

static bool enrich_holder_has(struct enrich_holder_state *st, uint32_t pid, uint64_t start_ns, uint32_t inode)
{
	uint64_t now = clock_now_ns(CLOCK_MONOTONIC);
	int r = owners_has(st->proc, pid, start_ns, inode);

	enrich_holder_spend(&st->questions, now);
	return r != 0; /* what may not be looked into has it as far as is known */
}

/* What was found by a scan before, if it still holds; else by another one. */
static bool enrich_holder_process(struct enrich_holder_state *st, const struct sockdiag_socket *sock,
				  const struct owner **ret)
{
	*ret = cache_find(st->owners, sock->inode, sock->cookie);
	if (*ret && enrich_holder_has(st, (*ret)->pid, 0, sock->inode))
		return true;
	*ret = NULL;
	return enrich_holder_scan(st, sock, ret);
}

static void enrich_holder_set_process(struct holder *holder, const struct owner *owner,
				      const struct sockdiag_socket *sock)
{
	holder->has_uid = true;
	holder->uid = sock->uid;
	if (!owner)
		return;
	holder->pid = owner->pid;
	memcpy(holder->name, owner->name, sizeof(holder->name));
}

/*
 * A process that acted on a socket may have given it away since. If it has ended and nobody has the socket open, it
 * ended just now, after the failure.
 */
static void enrich_holder_find_user(struct enrich_holder_state *st, const struct sockdiag_socket *sock, bool known,
				    struct holder *ret)
{
	const struct owner *owner;
	bool looked;

	if (known && enrich_holder_has(st, ret->pid, ret->process_start_ns, sock->inode))
		return;
	looked = enrich_holder_process(st, sock, &owner);
	if (known && !owner && proc_has_ended(st->proc, ret->pid, ret->process_start_ns)) {
		ret->exited = !looked;
		return;
	}
	*ret = (struct holder){ 0 };
	enrich_holder_set_process(ret, owner, sock);
}

/* What earlier events told of a socket that the kernel lists. */
static bool enrich_holder_recall(const struct enrich_holder_state *st, const struct sockets_key *key,
				 const struct sockdiag_socket *sock, struct holder *ret)
{
	struct sockets_key its = { .netns = key->netns,
				   .proto = key->proto,
				   .protocol = key->protocol,
				   .local = sock->local,
				   .remote = sock->remote,
				   .cookie = sock->cookie };

	return st->sockets && sockets_find_owner(st->sockets, &its, ret);
}

static void enrich_holder_find_owner(struct enrich_holder_state *st, const struct sockets_key *key,
				     const struct sockdiag_socket *sock, struct holder *ret)
{
	bool known = enrich_holder_recall(st, key, sock, ret);
	enum event_how how = known ? ret->how : HOW_NONE;

	if (sock->inode)
		enrich_holder_find_user(st, sock, known, ret);
	else
		ret->exited = known && proc_has_ended(st->proc, ret->pid, ret->process_start_ns);
	ret->how = how; /* also if it is another process that has the socket now */
}

/* ---- the answer ---- */

/*
 * Beside a socket in TIME_WAIT, a bound one of which no event has told: with SO_REUSEADDR, and as a rule since the
 * failure. Seen on kernels that list bound sockets (6.8).
 */
static void enrich_holder_prefer_older(const struct enrich_holder_state *st, struct enrich_holder_search *search)
{
	struct holder any;

	if (search->kind != HOLDER_BOUND || !search->waits.waits ||
	    enrich_holder_recall(st, search->key, &search->best, &any))
		return;
	search->kind = HOLDER_TIME_WAIT;
	search->best = search->waits;
}

/* A process that has ended, and nobody looked who else may have its socket: if that is gone too, both ended at once. */
static bool enrich_holder_outlived(struct enrich_holder_state *st, const struct event *ev,
				   const struct enrich_holder_search *was)
{
	struct enrich_holder_search now = { .key = was->key, .no_bound = was->no_bound };

	return enrich_holder_visit(st, ev, 0, &now) == 0 && now.found && now.best.cookie == was->best.cookie;
}

static void enrich_holder_ask(struct enrich_holder_state *st, const struct event *ev, uint32_t owner_pid,
			      struct enrich_holder_answer *answer)
{
	struct enrich_holder_search search = { .key = &answer->asked, .no_bound = answer->listen && !ev->cookie };
	uint64_t now = clock_now_ns(CLOCK_MONOTONIC);

	answer->found = enrich_holder_visit(st, ev, owner_pid, &search) == 0 && search.found;
	enrich_holder_spend(&st->questions, now);
	if (!answer->found)
		return;
	enrich_holder_prefer_older(st, &search);
	answer->expires_ms = search.best.expires_ms;
	enrich_holder_find_owner(st, &answer->asked, &search.best, &answer->holder);
	if (answer->holder.exited && search.best.inode)
		answer->holder.exited = enrich_holder_outlived(st, ev, &search);
	answer->holder.kind = search.kind;
	answer->holder.local = search.best.local;
	answer->holder.has_expires = search.best.waits;
}

/* The kernel's answer, at most a second old; NULL if there is none. `memory` is what is known without it, or NULL. */
static const struct enrich_holder_answer *enrich_holder_answer(struct enrich_holder_state *st, const struct event *ev,
							       const struct sockets_key *key,
							       const struct holder *memory)
{
	struct enrich_holder_answer *answer = enrich_holder_claim(st->answers, key, ev->kind == EVENT_LISTEN);
	uint64_t now = cache_now_ns();

	if (!answer->read_ns || now - answer->read_ns >= ENRICH_HOLDER_EXPIRY_NS) {
		if (!ev->netns_inum ||
		    !enrich_holder_may(&st->questions, ENRICH_HOLDER_QUESTIONS, clock_now_ns(CLOCK_MONOTONIC)))
			return NULL;
		memset(&answer->holder, 0, sizeof(answer->holder));
		enrich_holder_ask(st, ev, memory ? memory->pid : 0, answer);
		answer->read_ns = now;
	}
	return answer->found ? answer : NULL;
}

static struct holder enrich_holder_of(const struct enrich_holder_answer *answer)
{
	struct holder holder = answer->holder;
	uint64_t age_ms = (cache_now_ns() - answer->read_ns) / 1000000;

	if (holder.has_expires)
		holder.expires_s = age_ms >= answer->expires_ms ? 0 :
				   (uint32_t)((answer->expires_ms - age_ms + 999) / 1000);
	return holder;
}

/*
 * The kernel is right about now, and earlier events about the moment of the failure. A listener or bound socket of
 * theirs goes before a mere connection: it has been closed since, or is bound only, which kernels before 6.8 do not
 * list.
 */
static void enrich_holder_find(struct enrich_holder_state *st, const struct endpoint *wanted, struct event *ev)
{
	struct sockets_key key = enrich_holder_key(ev, wanted);
	const struct enrich_holder_answer *answer;
	struct holder memory;
	bool known, sure, alive;

	known = st->sockets && sockets_find_holder(st->sockets, &key, &memory);
	sure = known;
	if (!known && st->sockets && ev->error) { /* somebody was in the way */
		key.guess = true;
		known = sockets_find_holder(st->sockets, &key, &memory);
		key.guess = false;
	}
	/* where the errno is not seen, a connection at the port may be no reason */
	alive = known && (ev->error ? memory.kind != HOLDER_TIME_WAIT : memory.kind <= HOLDER_BOUND);
	answer = enrich_holder_answer(st, ev, &key, known ? &memory : NULL);
	/* what the events told is of the moment; the kernel's tables are of now */
	if (answer && !(alive && answer->holder.kind > memory.kind) &&
	    !(sure && memory.pid && !answer->holder.pid)) {
		ev->holder = enrich_holder_of(answer);
	} else if (known && (ev->error || alive)) {
		ev->holder = memory;
		ev->holder.exited = memory.kind == HOLDER_TIME_WAIT && memory.pid &&
				    proc_has_ended(st->proc, memory.pid, memory.process_start_ns);
	} else {
		return;
	}
	ev->has_holder = true;
}

/* Of most events there is nothing to be found. */
static void enrich_holder_fill(void *state, struct event *ev)
{
	const struct endpoint *wanted = ev->outcome == OUTCOME_FAILURE ? enrich_holder_wanted(ev) : NULL;

	if (wanted && sockets_netns(ev))
		enrich_holder_find(state, wanted, ev);
}

const struct enricher enrich_holder = {
	.name = "holder",
	.open = enrich_holder_open,
	.fill = enrich_holder_fill,
	.close = enrich_holder_close,
};
