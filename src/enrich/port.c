// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What the port numbers of an event mean: IANA class, and how the namespace of the socket treats
 * them.
 *
 * The tracing backend sends the kernel's own values along. For the cgroup backend they are read
 * here, at most once a second for a namespace. The namespace's cookie proves that what was read is
 * of the socket's namespace, and not of one that the process has moved to meanwhile, or that a new
 * process of the same pid lives in.
 */
#include <errno.h>
#include "cache.h"
#include "cleanup.h"
#include "enrich.h"
#include "netns.h"
#include "service.h"

#define ENRICH_PORT_ENTRIES 64
#define ENRICH_PORT_EXPIRY_NS NS_PER_SEC

struct enrich_port_state {
	struct cache *netns; /* struct enrich_port_netns by cookie */
	const char *proc;
	uint64_t own_cookie; /* 0 = this kernel does not tell */
};

struct enrich_port_netns {
	uint64_t read_ns; /* cache_now_ns() at the last try that need not be made again at once */
	bool known;	  /* facts are filled in */
	uint32_t pid;	  /* the process that they were read from; 0 = ourselves */
	struct netns_facts facts;
};

static void enrich_port_close(void *state)
{
	struct enrich_port_state *st = state;

	if (!st)
		return;
	cache_free(st->netns);
	free(st);
}

static int enrich_port_open(const struct enrich_options *opts, void **ret_state)
{
	struct enrich_port_state *st;

	if (opts->recorded) {
		*ret_state = NULL; /* there is nothing to be read */
		return 0;
	}
	st = calloc(1, sizeof(*st));
	if (!st)
		return -ENOMEM;
	st->proc = opts->proc_path ? opts->proc_path : "/proc";
	st->own_cookie = netns_cookie();
	st->netns = cache_new(ENRICH_PORT_ENTRIES, sizeof(struct enrich_port_netns));
	if (!st->netns) {
		enrich_port_close(st);
		return -ENOMEM;
	}
	*ret_state = st;
	return 0;
}

/*
 * Reads the facts through one process. Kernels before 5.14 do not tell the cookie: there the inode
 * must be the one that was seen before, and the first time the process's namespace is taken for the
 * socket's.
 */
static int enrich_port_read(const struct enrich_port_state *st, uint64_t cookie, uint32_t pid,
			    struct enrich_port_netns *ns)
{
	uint32_t inum_before = ns->facts.inum;
	_free_ struct netns_facts *facts = calloc(1, sizeof(*facts));
	int err;

	if (!facts)
		return -ENOMEM;
	err = netns_read_sysctls(st->proc, pid, facts);
	if (err < 0)
		return err;
	if (facts->cookie ? facts->cookie != cookie : inum_before && facts->inum != inum_before)
		return -ESRCH;
	ns->facts = *facts;
	ns->pid = pid;
	return 0;
}

/* By way of the event's process; if that has ended, of the one that served the last time. */
static void enrich_port_renew(const struct enrich_port_state *st, const struct event *ev,
			      struct enrich_port_netns *ns, uint64_t now)
{
	bool own = st->own_cookie && ev->netns_cookie == st->own_cookie;
	int err = own || ev->pid ? enrich_port_read(st, ev->netns_cookie, own ? 0 : ev->pid, ns)
				 : -ESRCH;

	if (err == -ESRCH && ns->pid && ns->pid != ev->pid)
		err = enrich_port_read(st, ev->netns_cookie, ns->pid, ns);
	ns->known = err == 0;
	/* The next event may come from a process that still lives; but what is forbidden now stays
	 * so for a while. */
	ns->read_ns = err == -ESRCH ? 0 : now;
}

static const struct netns_facts *enrich_port_find_netns(const struct enrich_port_state *st,
							const struct event *ev)
{
	struct enrich_port_netns *ns;
	uint64_t now = cache_now_ns();

	if (!ev->netns_cookie)
		return NULL;
	ns = cache_find(st->netns, ev->netns_cookie, 0);
	if (!ns)
		ns = cache_claim(st->netns, ev->netns_cookie, 0);
	if (!ns->read_ns || now - ns->read_ns >= ENRICH_PORT_EXPIRY_NS)
		enrich_port_renew(st, ev, ns, now);
	return ns->known ? &ns->facts : NULL;
}

/* Puts what is known of the namespace where the tracing backend puts it. */
static void enrich_port_add_truth(struct event *ev, const struct netns_facts *facts)
{
	uint16_t port;

	ev->has_truth = true;
	if (!ev->netns_inum)
		ev->netns_inum = facts->inum;
	ev->range_low = facts->range_low;
	ev->range_high = facts->range_high;
	ev->unprivileged_start = facts->unprivileged_start;
	ev->local_reserved = event_local_port(ev, &port) && netns_is_reserved(facts, port);
	ev->remote_reserved = ev->remote.has_port && netns_is_reserved(facts, ev->remote.port);
}

static void enrich_port_set(const struct event *ev, uint16_t port, bool reserved,
			    struct port_facts *ret)
{
	ret->class = port_class_of(port);
	ret->ephemeral = ev->has_truth && port >= ev->range_low && port <= ev->range_high;
	ret->reserved = ev->has_truth && reserved;
	ret->privileged = ev->has_truth && port < ev->unprivileged_start;
}

static void enrich_port_fill(void *state, struct event *ev)
{
	const struct netns_facts *facts = ev->has_truth || !state ? NULL : enrich_port_find_netns(state, ev);
	uint16_t port;

	if (facts)
		enrich_port_add_truth(ev, facts);
	if (event_local_port(ev, &port)) {
		enrich_port_set(ev, port, ev->local_reserved, &ev->local_facts);
		if (ev->sock_range_high)
			ev->local_facts.ephemeral = port >= ev->sock_range_low && port <= ev->sock_range_high;
	}
	if (ev->remote.has_port)
		enrich_port_set(ev, ev->remote.port, ev->remote_reserved, &ev->remote_facts);
}

const struct enricher enrich_port = {
	.name = "port",
	.open = enrich_port_open,
	.fill = enrich_port_fill,
	.close = enrich_port_close,
};
