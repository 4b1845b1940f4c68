// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Two lists, joined by cookie, else by namespace and endpoints (a socket of which no event has carried a cookie; and
 * MPTCP, where the kernel lists the path and the ledger the socket that the program has).
 */
#include "audit.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup_tree.h"

const char *const audit_fault_names[AUDIT_FAULT_COUNT] = {
	[AUDIT_MISSING] = "missing",
	[AUDIT_STALE] = "stale",
	[AUDIT_STATE] = "state",
	[AUDIT_UNSEEN] = "unseen",
	[AUDIT_PASSED_ON] = "passed on",
	[AUDIT_LOST] = "lost",
};

/* One entry of the ledger, and whether the kernel has it. */
struct audit_entry {
	struct sockets_view view;
	bool found;
};

struct audit_run {
	const struct audit_options *opts;
	const struct snapshot *snap;
	struct audit_entry *entries;
	size_t count, room;
	struct audit_entry **by_cookie, **by_tuple; /* sorted */
	struct audit *out;
	int error;
};

/* ---- the ledger's side ---- */

static bool audit_collect(void *arg, const struct sockets_view *view)
{
	struct audit_run *run = arg;

	if (run->count == run->room) {
		size_t room = run->room ? 2 * run->room : 1024;
		struct audit_entry *entries = reallocarray(run->entries, room, sizeof(*entries));

		if (!entries) {
			run->error = -ENOMEM;
			return true;
		}
		run->entries = entries;
		run->room = room;
	}
	run->entries[run->count++] = (struct audit_entry){ .view = *view };
	return true;
}

static int audit_compare_endpoints(const struct endpoint *a, const struct endpoint *b)
{
	if (a->ip_version != b->ip_version)
		return a->ip_version - b->ip_version;
	if (a->port != b->port)
		return a->port - b->port;
	return memcmp(a->addr, b->addr, sizeof(a->addr));
}

static int audit_compare_tuples(const struct sockets_view *a, const struct sockets_view *b)
{
	static const struct endpoint none;
	int r;

	if (a->netns != b->netns)
		return a->netns < b->netns ? -1 : 1;
	if (a->proto != b->proto)
		return (int)a->proto - (int)b->proto;
	r = audit_compare_endpoints(&a->local, &b->local);
	if (r)
		return r;
	return audit_compare_endpoints(a->remote.has_port && a->remote.port ? &a->remote : &none,
				       b->remote.has_port && b->remote.port ? &b->remote : &none);
}

static int audit_sort_cookies(const void *a, const void *b)
{
	const struct audit_entry *x = *(struct audit_entry *const *)a, *y = *(struct audit_entry *const *)b;

	return (x->view.cookie > y->view.cookie) - (x->view.cookie < y->view.cookie);
}

static int audit_sort_tuples(const void *a, const void *b)
{
	const struct audit_entry *x = *(struct audit_entry *const *)a, *y = *(struct audit_entry *const *)b;

	return audit_compare_tuples(&x->view, &y->view);
}

static int audit_index(struct audit_run *run)
{
	run->by_cookie = calloc(run->count + 1, sizeof(*run->by_cookie));
	run->by_tuple = calloc(run->count + 1, sizeof(*run->by_tuple));
	if (run->error || !run->by_cookie || !run->by_tuple)
		return -ENOMEM;
	for (size_t i = 0; i < run->count; i++)
		run->by_cookie[i] = run->by_tuple[i] = &run->entries[i];
	qsort(run->by_cookie, run->count, sizeof(*run->by_cookie), audit_sort_cookies);
	qsort(run->by_tuple, run->count, sizeof(*run->by_tuple), audit_sort_tuples);
	return 0;
}

/* ---- one socket of the kernel ---- */

static struct sockets_view audit_view_of(const struct audit_run *run, const struct snapshot_socket *sock)
{
	struct sockets_view view = {
		.cookie = sock->sock.cookie,
		.netns = run->opts->by_cookie && sock->netns_cookie ? sock->netns_cookie : sock->netns_inum,
		.proto = sock->sock.proto,
		.state = snapshot_life_state(&sock->sock),
		.local = sock->sock.local,
		.remote = sock->sock.remote,
	};

	view.remote.has_port = view.remote.port != 0;
	return view;
}

/* The first that is not less; run->count if there is none. */
static size_t audit_lower(struct audit_entry **sorted, size_t count, struct audit_entry *key,
			  int (*compare)(const void *, const void *))
{
	size_t low = 0, high = count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&sorted[middle], &key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* TIME_WAIT has the cookie of its socket, which may be open still, with another connection: of several, the like. */
static struct audit_entry *audit_choose(const struct audit_run *run, size_t first, const struct sockets_view *view)
{
	bool waits = view->state == LIFE_TIME_WAIT;

	for (size_t i = first; i < run->count && run->by_cookie[i]->view.cookie == view->cookie; i++)
		if (!run->by_cookie[i]->found && (run->by_cookie[i]->view.state == LIFE_TIME_WAIT) == waits)
			return run->by_cookie[i];
	return run->by_cookie[first];
}

static struct audit_entry *audit_find(const struct audit_run *run, const struct sockets_view *view)
{
	struct audit_entry key = { .view = *view };
	size_t i = audit_lower(run->by_cookie, run->count, &key, audit_sort_cookies);

	if (view->cookie && i < run->count && run->by_cookie[i]->view.cookie == view->cookie)
		return audit_choose(run, i, view);
	for (i = audit_lower(run->by_tuple, run->count, &key, audit_sort_tuples); i < run->count; i++) {
		struct audit_entry *entry = run->by_tuple[i];

		if (audit_compare_tuples(&entry->view, view))
			break;
		if (!entry->found && (!entry->view.cookie || entry->view.mptcp))
			return entry;
	}
	return NULL;
}

/* ---- differences ---- */

static int audit_sort_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void audit_add(struct audit_run *run, enum audit_fault fault, const struct sockets_view *kernel,
		      const struct sockets_view *ledger)
{
	const struct sockets_view *any = kernel ? kernel : ledger;
	struct audit *out = run->out;
	struct audit_difference *list = out->list;

	if (run->opts->lossy && fault < AUDIT_DIFFERENCE_COUNT)
		fault = AUDIT_LOST;
	if (out->count == out->room) {
		list = reallocarray(list, out->room ? 2 * out->room : 64, sizeof(*list));
		if (!list) {
			run->error = -ENOMEM;
			return;
		}
		out->list = list;
		out->room = out->room ? 2 * out->room : 64;
	}
	out->faults[fault]++;
	list[out->count++] = (struct audit_difference){
		.fault = fault,
		.cookie = any->cookie,
		.netns = any->netns,
		.proto = any->proto,
		.local = any->local,
		.remote = any->remote,
		.kernel = kernel ? kernel->state : LIFE_NONE,
		.kernel_pid = kernel ? kernel->pid : 0,
		.ledger = ledger ? ledger->state : LIFE_NONE,
		.ledger_pid = ledger ? ledger->pid : 0,
		.life = ledger ? ledger->life : 0,
	};
}

/* A connection that was reset, of a socket that is still open and keeps the port that it asked for by number. */
static bool audit_may_be_reset(const struct sockets_view *ledger)
{
	return ledger->proto == PROTO_TCP && ledger->state == LIFE_CONNECTED && ledger->locked;
}

/*
 * Closed by its program and not yet at its end (FIN_WAIT1 and the like), reset and not yet closed, or shut down both
 * ways: then it is in TIME_WAIT although the program has it still open.
 */
static bool audit_is_ending(const struct sockdiag_socket *sock, const struct sockets_view *ledger)
{
	if (sock->waits)
		return ledger->state == LIFE_CONNECTED;
	if (sock->state == SOCKDIAG_CLOSE)
		return audit_may_be_reset(ledger);
	return !sock->inode && ledger->state == LIFE_TIME_WAIT;
}

/* Nothing tells when connect(AF_UNSPEC) takes the peer from a UDP socket that keeps its port. */
static bool audit_is_disconnected(const struct sockets_view *kernel, const struct sockets_view *ledger)
{
	return ledger->proto == PROTO_UDP && kernel->state == LIFE_BOUND && ledger->state == LIFE_CONNECTED;
}

static bool audit_is_owned(const struct snapshot *snap, const struct snapshot_socket *sock, uint32_t pid)
{
	for (size_t i = 0; i < sock->owner_count; i++)
		if (snap->owners.list[sock->owner_first + i].pid == pid)
			return true;
	return !sock->owner_count;
}

/* Of a TIME_WAIT the kernel does not tell the cgroup. */
static bool audit_is_outside(const struct audit_options *opts, const struct sockdiag_socket *sock)
{
	return opts->cgroups && !cgroup_tree_has(opts->cgroups, opts->cgroup_count, sock->cgroup_id);
}

/*
 * A connect is told with its result. Cgroup programs run before the kernel connects a UDP socket, and before UDP's
 * autobind: that is told at the close.
 */
static bool audit_is_untold(const struct audit_options *opts, const struct sockdiag_socket *sock)
{
	return sock->state == SOCKDIAG_SYN_SENT || (opts->by_cookie && sock->proto == PROTO_UDP);
}

/* The ledger has it not. */
static void audit_not_there(struct audit_run *run, const struct sockdiag_socket *sock,
			    const struct sockets_view *kernel)
{
	if (audit_is_outside(run->opts, sock))
		run->out->outside++;
	else if (!sock->inode && !sock->waits)
		run->out->unaccepted++;
	else
		audit_add(run, audit_is_untold(run->opts, sock) ? AUDIT_UNSEEN : AUDIT_MISSING, kernel, NULL);
}

static void audit_socket(struct audit_run *run, const struct snapshot_socket *sock)
{
	struct sockets_view kernel = audit_view_of(run, sock);
	struct audit_entry *entry;

	if (!sock->sock.local.port)
		return;
	if (sock->owner_count)
		kernel.pid = run->snap->owners.list[sock->owner_first].pid;
	entry = audit_find(run, &kernel);
	if (!entry) {
		audit_not_there(run, &sock->sock, &kernel);
		return;
	}
	entry->found = true;
	run->out->compared++;
	if (audit_is_disconnected(&kernel, &entry->view))
		audit_add(run, AUDIT_UNSEEN, &kernel, &entry->view);
	else if (kernel.state != entry->view.state && audit_is_untold(run->opts, &sock->sock))
		audit_add(run, AUDIT_UNSEEN, &kernel, &entry->view);
	else if (kernel.state != entry->view.state && !audit_is_ending(&sock->sock, &entry->view))
		audit_add(run, AUDIT_STATE, &kernel, &entry->view);
	else if (!audit_is_owned(run->snap, sock, entry->view.pid))
		audit_add(run, AUDIT_PASSED_ON, &kernel, &entry->view);
}

/* The kernel has it not. What no kernel lists, or no event could tell, is no difference. */
static void audit_leftover(struct audit_run *run, const struct sockets_view *view)
{
	bool waits = view->state == LIFE_TIME_WAIT;
	bool may_hide = (view->state == LIFE_BOUND && view->proto == PROTO_TCP) || audit_may_be_reset(view);

	if (view->udplite || (waits && (view->unsure || view->until_ns <= run->opts->now_ns + UINT64_C(2500000000))))
		return; /* the ledger keeps a TIME_WAIT a little longer than the kernel */
	if (may_hide && !run->opts->lists_bound)
		run->out->hidden++;
	else if (waits || view->proto == PROTO_UDP || run->opts->by_cookie)
		audit_add(run, AUDIT_UNSEEN, NULL, view);
	else
		audit_add(run, AUDIT_STALE, NULL, view);
}

int audit_compare(struct sockets *s, const struct snapshot *snap, const struct audit_options *opts, struct audit *ret)
{
	struct audit_run run = { .opts = opts, .snap = snap, .out = ret };

	*ret = (struct audit){ 0 };
	sockets_each(s, audit_collect, &run);
	if (audit_index(&run) < 0)
		run.error = -ENOMEM;
	for (size_t i = 0; !run.error && i < snap->count; i++)
		audit_socket(&run, &snap->sockets[i]);
	for (size_t i = 0; !run.error && i < run.count; i++)
		if (!run.entries[i].found)
			audit_leftover(&run, &run.entries[i].view);
	free(run.entries);
	free(run.by_cookie);
	free(run.by_tuple);
	if (run.error)
		audit_free(ret);
	return run.error;
}

/* ---- what no event tells ---- */

struct audit_known {
	uint64_t *cookies; /* of the kernel's sockets, sorted */
	size_t count;
	const struct audit_options *opts;
	void (*gone)(void *arg, const struct sockets_view *view);
	void *arg;
};

static bool audit_keep(void *arg, const struct sockets_view *view)
{
	struct audit_known *known = arg;
	bool may_hide = view->proto == PROTO_TCP && view->state == LIFE_BOUND && !known->opts->lists_bound;
	bool doubtful = view->adopted || view->state == LIFE_TIME_WAIT || view->proto == PROTO_UDP ||
			((known->opts->by_cookie || known->opts->lossy) && !may_hide);

	if (!doubtful || !view->cookie || view->mptcp || view->udplite ||
	    bsearch(&view->cookie, known->cookies, known->count, sizeof(view->cookie), audit_sort_numbers))
		return true;
	if (known->opts->missed)
		known->opts->missed(known->opts->missed_arg, view);
	if (known->gone && (view->adopted || view->doubted || view->state == LIFE_TIME_WAIT))
		known->gone(known->arg, view);
	return false;
}

int audit_reconcile(struct sockets *s, const struct snapshot *snap, const struct audit_options *opts,
		    void (*gone)(void *arg, const struct sockets_view *view), void *arg)
{
	struct audit_known known = { .opts = opts, .gone = gone, .arg = arg };

	known.cookies = calloc(snap->count + 1, sizeof(*known.cookies));
	if (!known.cookies)
		return -ENOMEM;
	for (size_t i = 0; i < snap->count; i++)
		known.cookies[known.count++] = snap->cookies ? snap->cookies[i] : snap->sockets[i].sock.cookie;
	qsort(known.cookies, known.count, sizeof(*known.cookies), audit_sort_numbers);
	sockets_each(s, audit_keep, &known);
	free(known.cookies);
	return 0;
}

static bool audit_is_same(const struct audit_difference *a, const struct audit_difference *b)
{
	return a->fault == b->fault && a->cookie == b->cookie && a->life == b->life && a->kernel == b->kernel &&
	       a->ledger == b->ledger && a->netns == b->netns && a->proto == b->proto &&
	       !audit_compare_endpoints(&a->local, &b->local) && !audit_compare_endpoints(&a->remote, &b->remote);
}

static bool audit_has(const struct audit *a, const struct audit_difference *difference)
{
	for (size_t i = 0; i < a->count; i++)
		if (audit_is_same(&a->list[i], difference))
			return true;
	return false;
}

void audit_intersect(struct audit *now, const struct audit *before)
{
	size_t kept = 0;

	memset(now->faults, 0, sizeof(now->faults));
	for (size_t i = 0; i < now->count; i++) {
		if (!audit_has(before, &now->list[i]))
			continue;
		now->faults[now->list[i].fault]++;
		now->list[kept++] = now->list[i];
	}
	now->count = kept;
}

size_t audit_differences(const struct audit *a)
{
	size_t sum = 0;

	for (int i = 0; i < AUDIT_DIFFERENCE_COUNT; i++)
		sum += a->faults[i];
	return sum;
}

void audit_free(struct audit *a)
{
	free(a->list);
	*a = (struct audit){ 0 };
}
