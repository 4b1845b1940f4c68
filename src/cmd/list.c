// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace list: the sockets of this machine now, with their owners. */
#include "../cmd.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cache.h"
#include "../cgroup_tree.h"
#include "../cleanup.h"
#include "../clock.h"
#include "../enrich.h"
#include "../report.h"
#include "../sink.h"
#include "list_history.h"
#include "list_text.h"

/* Which local ports of a namespace have somebody who waits for others: one bit a port. */
struct list_servers {
	uint8_t ports[PROTO_COUNT][65536 / 8];
};

/* What could not be seen of the sockets that were shown. */
struct list_unseen {
	size_t time_wait; /* sockets in TIME_WAIT of which the owner is not known */
	size_t hidden; /* sockets of processes that may not be looked into */
};

/* Everything one run owns. */
struct list {
	struct list_options opts;
	struct list_columns columns; /* those shown */
	struct enrich *enrich;
	void *sink; /* JSON */
	struct report out; /* the table, the help */
	char hostname[HOST_NAME_MAX + 1];
	uint64_t *cgroups; /* ids of those wanted, sorted; NULL = all */
	size_t cgroup_count;
	bool remarked;

	/* of one round */
	struct snapshot snap;
	struct list_history *history;
	struct list_servers *servers; /* of each namespace */
	struct list_unseen unseen;
	uint64_t now_ns; /* CLOCK_REALTIME */
	uint64_t sequence;
};

static int list_fail(int error, const char *what)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return EXIT_STATUS_FAILED;
}

/* ---- one socket as an event ---- */

static bool list_has_remote(const struct sockdiag_socket *sock)
{
	return sock->remote.port || (sock->proto == PROTO_UDP && sock->state == SOCKDIAG_ESTABLISHED);
}

static bool list_is_server(const struct sockdiag_socket *sock)
{
	return sock->state == SOCKDIAG_LISTEN ||
	       (sock->proto == PROTO_UDP && sock->state == SOCKDIAG_CLOSE && !sock->remote.port);
}

static int list_find_servers(struct list *list)
{
	free(list->servers);
	list->servers = calloc(list->snap.namespaces + 1, sizeof(*list->servers));
	if (!list->servers)
		return -ENOMEM;
	for (size_t i = 0; i < list->snap.count; i++) {
		const struct snapshot_socket *ss = &list->snap.sockets[i];
		uint16_t port = ss->sock.local.port;

		if (list_is_server(&ss->sock))
			list->servers[ss->netns].ports[ss->sock.proto][port / 8] |= (uint8_t)(1u << port % 8);
	}
	return 0;
}

static void list_fill_socket(const struct list *list, const struct snapshot_socket *ss, struct event *ev)
{
	const struct sockdiag_socket *sock = &ss->sock;
	const uint8_t *servers = list->servers[ss->netns].ports[sock->proto];
	bool waits_for_accept = sock->state == SOCKDIAG_LISTEN;

	ev->kind = waits_for_accept ? EVENT_LISTEN : EVENT_CLOSE;
	ev->socket_state = sockdiag_state_name(sock->proto, sock->state);
	ev->snapshot = true;
	ev->proto = sock->proto;
	ev->protocol = sock->protocol;
	ev->ip_version = sock->local.ip_version;
	ev->is_ipv6 = sock->is_ipv6;
	ev->mptcp = sock->mptcp;
	ev->local = sock->local;
	if (list_has_remote(sock))
		ev->remote = sock->remote;
	ev->serves_remote = list_has_remote(sock) && !(servers[sock->local.port / 8] >> sock->local.port % 8 & 1);
	ev->has_backlog = waits_for_accept;
	ev->backlog = sock->backlog;
	ev->has_queue = !sock->waits;
	ev->queue = sock->queue;
	ev->has_expires = sock->waits;
	ev->expires_ms = sock->expires_ms;
	ev->has_bytes = sock->has_bytes;
	ev->bytes_sent = sock->bytes_sent;
	ev->bytes_received = sock->bytes_received;
	/* in TIME_WAIT and before accept() there is no user yet or any more */
	ev->has_uid = !sock->waits && sock->state != SOCKDIAG_SYN_RECV && sock->state != SOCKDIAG_NEW_SYN_RECV;
	ev->uid = sock->uid;
	ev->cookie = sock->cookie;
	ev->cgroup_id = sock->cgroup_id;
	ev->mark = sock->mark;
	ev->bound_ifindex = sock->ifindex;
}

static void list_fill_netns(const struct snapshot_netns *ns, struct event *ev)
{
	ev->netns_inum = ns->facts.inum;
	ev->netns_cookie = ns->facts.cookie;
	if (!ns->known)
		return;
	ev->has_truth = true;
	ev->range_low = ns->facts.range_low;
	ev->range_high = ns->facts.range_high;
	ev->unprivileged_start = ns->facts.unprivileged_start;
	ev->local_reserved = ev->local.has_port && netns_is_reserved(&ns->facts, ev->local.port);
	ev->remote_reserved = ev->remote.has_port && netns_is_reserved(&ns->facts, ev->remote.port);
}

static void list_fill_owner(const struct owner *owner, struct event *ev)
{
	ev->pid = owner->pid;
	memcpy(ev->name, owner->name, sizeof(ev->name));
	ev->name_is_leader = owner->name[0];
	ev->has_fd = true;
	ev->fd = owner->fd;
}

static void list_fill(const struct list *list, const struct snapshot_socket *ss, size_t owner, struct event *ev)
{
	memset(ev, 0, sizeof(*ev));
	ev->time_ns = list->now_ns;
	list_fill_socket(list, ss, ev);
	list_fill_netns(&list->snap.netns[ss->netns], ev);
	ev->owner_count = ss->owner_count;
	ev->owners = ss->owner_count ? &list->snap.owners.list[ss->owner_first] : NULL;
	if (ss->owner_count)
		list_fill_owner(&ev->owners[owner], ev);
	list_history_fill(list->history, list->now_ns, ev);
	enrich_event(list->enrich, ev);
}

static bool list_is_in_cgroup(const struct list *list, const struct snapshot_socket *ss)
{
	return !list->opts.cgroup || cgroup_tree_has(list->cgroups, list->cgroup_count, ss->sock.cgroup_id);
}

/* Fills in the event if the socket is to be shown; of several owners, the first that the options choose. */
static bool list_wants(const struct list *list, const struct snapshot_socket *ss, struct event *ev)
{
	if ((list->opts.states && !(list->opts.states >> ss->sock.state & 1)) || !list_is_in_cgroup(list, ss))
		return false;
	list_fill(list, ss, 0, ev);
	if (filter_match(&list->opts.filter, ev))
		return true;
	for (size_t i = 1; i < ss->owner_count; i++) {
		list_fill_owner(&ev->owners[i], ev);
		if (!filter_match(&list->opts.filter, ev))
			continue;
		list_fill(list, ss, i, ev);
		return true;
	}
	return false;
}

/* ---- the order ---- */

static int list_compare_keys(const void *a, const void *b)
{
	const struct list_key *x = a, *y = b;
	int r = x->number != y->number ? (x->number < y->number ? -1 : 1) : strcmp(x->text, y->text);

	return r ? r : (x->index > y->index) - (x->index < y->index);
}

/* Namespace, protocol, who waits for others first, port: in one number. */
static uint64_t list_place(const struct snapshot_socket *ss)
{
	const struct sockdiag_socket *sock = &ss->sock;
	uint64_t rank = list_is_server(sock) ? 0 : sock->state == SOCKDIAG_TIME_WAIT ? 2 : 1;

	return (uint64_t)ss->netns << 40 | (uint64_t)sock->proto << 36 | rank << 32 |
	       (uint64_t)sock->local.port << 16 | sock->remote.port;
}

static int list_compare_places(const void *a, const void *b, void *arg)
{
	const struct snapshot_socket *sockets = arg;
	size_t i = *(const size_t *)a, j = *(const size_t *)b;
	uint64_t x = list_place(&sockets[i]), y = list_place(&sockets[j]);

	return x != y ? (x < y ? -1 : 1) : (i > j) - (i < j);
}

/* Sorts the first `count` places by the column that was asked for, and leaves those out that are not wanted. */
static int list_sort(const struct list *list, size_t *places, size_t *count)
{
	_free_ struct list_key *keys = calloc(*count + 1, sizeof(*keys));
	struct event ev;
	size_t n = 0;

	if (!keys)
		return -ENOMEM;
	for (size_t i = 0; i < *count; i++) {
		const struct snapshot_socket *ss = &list->snap.sockets[places[i]];

		if (!list_wants(list, ss, &ev))
			continue;
		list_text_key(&keys[n], list->opts.sort.column, &ev, &list->snap.netns[ss->netns]);
		keys[n++].index = places[i];
	}
	qsort(keys, n, sizeof(*keys), list_compare_keys);
	for (size_t i = 0; i < n; i++)
		places[i] = keys[list->opts.sort.descending ? n - 1 - i : i].index;
	*count = n;
	return 0;
}

/* ---- output ---- */

static size_t list_screen_columns(const struct list *list)
{
	return list->opts.wide ? 0 : report_columns(STDOUT_FILENO);
}

static void list_count_unseen(struct list *list, const struct snapshot_socket *ss, const struct event *ev)
{
	if (ss->sock.state == SOCKDIAG_TIME_WAIT && !ev->pid)
		list->unseen.time_wait++;
	if (ss->sock.inode && !ss->owner_count)
		list->unseen.hidden++;
}

static int list_write(struct list *list, const struct list_table *table, const struct event *ev,
		      const struct snapshot_netns *ns)
{
	if (list->opts.json)
		return sink_json.event(list->sink, ev);
	list_text_line(&list->out.b, table, ev, ns);
	buf_char(&list->out.b, '\n');
	report_flush(&list->out);
	return list->out.error;
}

static int list_show(struct list *list, const size_t *places, size_t count)
{
	struct list_table table = { &list->columns, list->opts.wide, list_screen_columns(list) };
	struct event ev;
	int r = 0;

	if (list->opts.header && !list->opts.json)
		r = list_write(list, &table, NULL, NULL);
	for (size_t i = 0; i < count && r == 0; i++) {
		const struct snapshot_socket *ss = &list->snap.sockets[places[i]];

		if (!list_wants(list, ss, &ev))
			continue;
		ev.sequence = ++list->sequence;
		list_count_unseen(list, ss, &ev);
		r = list_write(list, &table, &ev, &list->snap.netns[ss->netns]);
	}
	if (r == 0)
		r = list->opts.json ? sink_json.flush(list->sink) : report_end(&list->out);
	return r;
}

/* Columns that tell nothing here are left out, unless they were asked for. */
static void list_choose_columns(struct list *list)
{
	static const enum list_column usual[] = { LIST_PROTO,  LIST_STATE, LIST_PID,	 LIST_PROCESS, LIST_LOCAL,
						  LIST_REMOTE, LIST_CLASS, LIST_SERVICE, LIST_HOW,     LIST_AGE,
						  LIST_NETNS };

	list->columns = list->opts.columns;
	for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]) && !list->opts.columns.count; i++) {
		if (usual[i] == LIST_NETNS && list->snap.namespaces < 2)
			continue;
		if ((usual[i] == LIST_HOW || usual[i] == LIST_AGE) && !list->history)
			continue;
		list->columns.list[list->columns.count++] = usual[i];
	}
}

/* ---- remarks ---- */

/* What is missing, and the command that mends it: once in a run. */
static void list_remark(struct list *list)
{
	const struct snapshot *snap = &list->snap;
	bool root = geteuid() == 0;

	if (list->opts.quiet || list->remarked)
		return;
	list->remarked = true;
	if (list->unseen.hidden && snap->owners.hidden)
		fprintf(stderr, "porttrace: the processes of %zu sockets are not visible: %s\n", list->unseen.hidden,
			root ? "it takes CAP_SYS_PTRACE" : "sudo porttrace list");
	if (snap->hidden_namespaces)
		fprintf(stderr, "porttrace: %zu network namespaces could not be entered: %s\n",
			snap->hidden_namespaces, root ? "it takes CAP_SYS_ADMIN" : "sudo porttrace list");
	if (snap->no_udp)
		fprintf(stderr, "porttrace: UDP sockets are not listed: this kernel has no udp_diag "
				"(modprobe udp_diag)\n");
	if (snap->torn)
		fprintf(stderr, "porttrace: the sockets of %zu namespaces changed too fast: some may be missing\n",
			snap->torn);
	if (list->unseen.time_wait)
		fprintf(stderr, "porttrace: who had %zu sockets in time-wait is not known: a history tells, "
				"kept by 'porttrace --history' while it runs\n",
			list->unseen.time_wait);
}

/* ---- the run ---- */

/* The history that was named must be there; the usual one need not. */
static int list_open_history(struct list *list)
{
	const char *path = list->opts.history ? list->opts.history : HISTORY_DEFAULT_PATH;
	char err[HISTORY_ERR_SIZE] = "";
	int r = list_history_open(path, list->now_ns, &list->history, err);

	if (r == 0 || (!list->opts.history && r == -ENOENT))
		return 0;
	fprintf(stderr, "porttrace: history %s: %s\n", path, err[0] ? err : strerrordesc_np(-r));
	return list->opts.history ? r : 0;
}

static void list_forget(struct list *list)
{
	list_history_close(list->history);
	list->history = NULL;
	free(list->servers);
	list->servers = NULL;
	snapshot_free(&list->snap);
	memset(&list->unseen, 0, sizeof(list->unseen));
}

static int list_print(struct list *list)
{
	_free_ size_t *places = calloc(list->snap.count + 1, sizeof(*places));
	size_t count = list->snap.count;
	int r;

	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++)
		places[i] = i;
	qsort_r(places, count, sizeof(*places), list_compare_places, list->snap.sockets);
	r = list->opts.sort.given ? list_sort(list, places, &count) : 0;
	return r < 0 ? r : list_show(list, places, count);
}

/* The bytes of each connection cost the kernel something: only where they are shown. */
static bool list_wants_detail(const struct list_options *opts)
{
	bool wanted = opts->json || (opts->sort.given && (opts->sort.column == LIST_SENT ||
							  opts->sort.column == LIST_RECEIVED));

	for (size_t i = 0; i < opts->columns.count; i++)
		wanted |= opts->columns.list[i] == LIST_SENT || opts->columns.list[i] == LIST_RECEIVED;
	return wanted;
}

/* The exit status, with a message told if that is not 0; -EPIPE if the reader of the output has gone. */
static int list_round(struct list *list)
{
	struct snapshot_options opts = { .netns_inum = list->opts.filter.netns_inum,
					 .detail = list_wants_detail(&list->opts) };
	int r = snapshot_take(&opts, &list->snap);

	if (r < 0)
		return list_fail(r, r == -ENOENT ? "this kernel lists no sockets: modprobe tcp_diag" :
						   "cannot read the sockets");
	list->now_ns = clock_now_ns(CLOCK_REALTIME);
	if (list_open_history(list) < 0)
		return EXIT_STATUS_FAILED;
	list_choose_columns(list);
	r = list_find_servers(list);
	if (r == 0)
		r = list_print(list);
	if (r == -EPIPE)
		return r;
	if (r < 0)
		return list_fail(r, "cannot write the output");
	list_remark(list);
	return EXIT_STATUS_OK;
}

/* Waits; false if a signal to end came. */
static bool list_wait(uint64_t ns)
{
	struct timespec time = { (time_t)(ns / NS_PER_SEC), (long)(ns % NS_PER_SEC) };
	sigset_t ends;
	int r;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	do
		r = sigtimedwait(&ends, NULL, &time);
	while (r < 0 && errno == EINTR);
	return r < 0;
}

/* On a terminal each round takes the place of the one before; elsewhere an empty line parts them. */
static void list_part(struct list *list)
{
	if (isatty(STDOUT_FILENO))
		report_screen(&list->out);
	else if (list->sequence && !list->opts.json)
		buf_char(&list->out.b, '\n');
}

static int list_watch(struct list *list)
{
	sigset_t ends;
	int status;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	do {
		list_forget(list);
		if (!list->opts.json)
			list_part(list);
		status = list_round(list);
	} while (status == EXIT_STATUS_OK && list_wait(list->opts.watch_ns));
	return status;
}

static int list_run(struct list *list)
{
	struct enrich_options enrich = { .numeric = list->opts.numeric };
	struct sink_options sink = { .fd = STDOUT_FILENO, .hostname = list->hostname };
	const char *netns = list->opts.netns;
	char path[PATH_MAX];
	int r = netns ? netns_resolve(netns, &list->opts.filter.netns_inum, path, sizeof(path)) : 0;

	if (r < 0) {
		fprintf(stderr, "porttrace: option '--netns': %s\n",
			r == -EINVAL ? "this is no network namespace" : strerrordesc_np(-r));
		return EXIT_STATUS_USAGE;
	}
	if (list->opts.cgroup && (r = cgroup_tree_ids(list->opts.cgroup, &list->cgroups, &list->cgroup_count)) < 0) {
		fprintf(stderr, "porttrace: option '--cgroup': %.200s: %s\n", list->opts.cgroup, strerrordesc_np(-r));
		return EXIT_STATUS_USAGE;
	}
	gethostname(list->hostname, sizeof(list->hostname) - 1);
	r = enrich_open(&enrich, &list->enrich);
	if (r == 0 && list->opts.json)
		r = sink_json.open(&sink, &list->sink);
	if (r < 0)
		return list_fail(r, "cannot start");
	return list->opts.watch_ns ? list_watch(list) : list_round(list);
}

static int list_help(struct list *list)
{
	int r;

	cli_help(&list_command, &list->out.b);
	r = report_end(&list->out);
	return r == 0 || r == -EPIPE ? EXIT_STATUS_OK : list_fail(r, "cannot write the output");
}

static int list_main(int argc, char **argv)
{
	_free_ struct list *list = calloc(1, sizeof(*list));
	char err[CLI_ERR_SIZE];
	int status;

	if (!list)
		return list_fail(-ENOMEM, "cannot start");
	signal(SIGPIPE, SIG_IGN);
	report_init(&list->out, STDOUT_FILENO);
	if (list_options_parse(&list->opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace list --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	status = list->opts.help ? list_help(list) : list_run(list);
	list_forget(list);
	free(list->cgroups);
	enrich_close(list->enrich);
	if (list->sink)
		sink_json.close(list->sink);
	return status == -EPIPE ? EXIT_STATUS_OK : status;
}

const struct command cmd_list = { "list", "the sockets of this machine now, with their owners", list_main };
