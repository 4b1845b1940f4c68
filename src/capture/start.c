// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The sockets that were there before the first event. */
#include "../capture.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "../cleanup.h"
#include "../proc.h"
#include "../snapshot.h"

#define START_STEP 4096 /* sockets whose memory is given back at once */

/* What is known of the last process: sockets of one process often stand together. */
struct start_process {
	uint32_t pid;
	uint64_t start_ns; /* since boot; 0 = unknown */
};

struct start {
	struct snapshot *snap;
	uint64_t *listening; /* sorted: netns_inum << 32 | port << 1 | protocol */
	size_t listening_count;
	struct start_process process;
	uint64_t time_ns;
	bool by_cookie;
};

static uint64_t start_port_key(const struct snapshot_socket *sock)
{
	return (uint64_t)sock->netns_inum << 32 | (uint64_t)sock->sock.local.port << 1 | sock->sock.proto;
}

static int start_compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static int start_compare_ends(const void *a, const void *b)
{
	const struct snapshot_socket *x = a, *y = b;

	return (x->sock.expires_ms < y->sock.expires_ms) - (x->sock.expires_ms > y->sock.expires_ms);
}

static void start_swap(struct snapshot_socket *a, struct snapshot_socket *b)
{
	struct snapshot_socket kept = *a;

	*a = *b;
	*b = kept;
}

/* Those that wait to the front, and of them the last to end first: they are told of from behind. */
static int start_sort(struct start *st)
{
	struct snapshot_socket *sockets = st->snap->sockets;
	size_t waiting = 0;

	st->listening = calloc(st->snap->count + 1, sizeof(*st->listening));
	if (!st->listening)
		return -ENOMEM;
	for (size_t i = 0; i < st->snap->count; i++) {
		if (sockets[i].sock.state == SOCKDIAG_LISTEN)
			st->listening[st->listening_count++] = start_port_key(&sockets[i]);
		if (sockets[i].sock.waits)
			start_swap(&sockets[i], &sockets[waiting++]);
	}
	qsort(st->listening, st->listening_count, sizeof(*st->listening), start_compare_keys);
	if (waiting)
		qsort(sockets, waiting, sizeof(*sockets), start_compare_ends);
	return 0;
}

/* What is made of the sockets takes as much memory as they do: both are not there in full. */
static void start_give_back(struct snapshot *snap)
{
	struct snapshot_socket *kept;

	if (snap->room < snap->count + START_STEP)
		return;
	kept = reallocarray(snap->sockets, snap->count + 1, sizeof(*kept));
	if (!kept)
		return;
	snap->sockets = kept;
	snap->room = snap->count + 1;
}

static bool start_is_listened_on(const struct start *st, const struct snapshot_socket *sock)
{
	uint64_t key = start_port_key(sock);

	return bsearch(&key, st->listening, st->listening_count, sizeof(key), start_compare_keys);
}

/* A connection whose port is listened on was accepted; of another one it cannot be said: its listener may be gone. */
static void start_fill_kind(const struct start *st, const struct snapshot_socket *sock, struct event *ev)
{
	ev->kind = sock->sock.state == SOCKDIAG_LISTEN ? EVENT_LISTEN :
		   sock->sock.remote.port	       ? EVENT_CONNECT :
							 EVENT_BIND;
	if (ev->kind == EVENT_CONNECT && ev->proto == PROTO_TCP && start_is_listened_on(st, sock)) {
		ev->kind = EVENT_ACCEPT;
		ev->role = ROLE_INGRESS;
		ev->how = HOW_INHERITED;
	}
}

static uint64_t start_of_process(struct start_process *last, uint32_t pid)
{
	struct proc_stat stat;

	if (last->pid != pid) {
		_close_ int dir = proc_open("/proc", pid, 0);

		last->pid = pid;
		last->start_ns = dir >= 0 && !proc_read_stat(dir, &stat) ? proc_ticks_to_ns(stat.start_ticks) : 0;
	}
	return last->start_ns;
}

/* The first of several that have it open: which of them will act on it is not known. */
static void start_fill_process(struct start *st, const struct snapshot_socket *sock, struct event *ev)
{
	const struct owner *owner = &st->snap->owners.list[sock->owner_first];

	if (!sock->owner_count)
		return;
	ev->pid = owner->pid;
	memcpy(ev->name, owner->name, sizeof(ev->name));
	ev->name_is_leader = true;
	ev->process_start_ns = start_of_process(&st->process, owner->pid);
	ev->has_uid = true;
	ev->uid = sock->sock.uid;
}

static void start_tell(struct start *st, const struct snapshot_socket *sock, capture_socket_fn fn, void *arg)
{
	struct event ev = { .outcome = OUTCOME_SUCCESS, .snapshot = true, .time_ns = st->time_ns };

	ev.proto = sock->sock.proto;
	ev.protocol = ev.proto == PROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	ev.local = sock->sock.local;
	ev.remote = sock->sock.remote;
	ev.remote.has_port = ev.remote.port != 0;
	ev.ip_version = ev.local.ip_version;
	ev.is_ipv6 = ev.ip_version == 6;
	ev.has_options = true;
	ev.v6only = ev.is_ipv6 && !sock->sock.takes_ipv4;
	ev.cookie = sock->sock.cookie;
	ev.netns_inum = sock->netns_inum;
	ev.netns_cookie = st->by_cookie ? sock->netns_cookie : 0;
	start_fill_kind(st, sock, &ev);
	start_fill_process(st, sock, &ev);
	fn(arg, &ev, sock->sock.waits ? st->time_ns + (uint64_t)sock->sock.expires_ms * 1000000 : 0);
}

int capture_snapshot(struct snapshot *snap, uint64_t time_ns, bool by_cookie, capture_socket_fn fn, void *arg)
{
	struct start st = { .snap = snap, .time_ns = time_ns, .by_cookie = by_cookie };
	int r = start_sort(&st);

	while (r == 0 && snap->count) {
		const struct snapshot_socket *sock = &snap->sockets[--snap->count];

		if (sock->sock.waits || sock->sock.local.port)
			start_tell(&st, sock, fn, arg);
		start_give_back(snap);
	}
	free(st.listening);
	return r;
}
