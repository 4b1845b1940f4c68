// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connections and listeners end: who was first, by FIN or by RST, and what had been sent. */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "workload.h"

struct pair {
	struct sock *l, *c, *a;
};

static int pair_open(struct pair *p, const struct variant *v)
{
	p->l = s_listener(v->family, v->ip, 8);
	WANT(p->l);
	WANT(s_pair(p->l, v->ip, &p->c, &p->a) == 0);
	return 0;
}

static struct sock *first_of(const struct pair *p, const struct variant *v)
{
	return v->flags & V_SERVER_FIRST ? p->a : p->c;
}

static struct sock *second_of(const struct pair *p, const struct variant *v)
{
	return v->flags & V_SERVER_FIRST ? p->c : p->a;
}

/* ---- FIN ---- */

/* One side closes, the other sees it and closes too. */
static int close_in_order(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_recv(second_of(&p, v), 1) == 0);
	WANT(s_close(second_of(&p, v)) == 0);
	return 0;
}

/* shutdown(SHUT_WR) counts as closing: the other side is second although its close() is first. */
static int shutdown_first(const struct variant *v)
{
	struct sock *first, *second;
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	first = first_of(&p, v);
	second = second_of(&p, v);
	WANT(s_shutdown(first, SHUT_WR) == 0);
	WANT(s_recv(second, 1) == 0);
	WANT(s_close(second) == 0);
	WANT(s_close(first) == 0);
	return 0;
}

static int shutdown_rdwr(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_shutdown(first_of(&p, v), SHUT_RDWR) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_close(second_of(&p, v)) == 0);
	return 0;
}

/* Both shut down, the second one closes first. */
static int shutdown_both(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_shutdown(first_of(&p, v), SHUT_WR) == 0);
	WANT(s_shutdown(second_of(&p, v), SHUT_WR) == 0);
	WANT(s_close(second_of(&p, v)) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	return 0;
}

/* What the first one shut down for: the answer still comes. */
static int half_closed_answer(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_transfer(p.c, p.a, 10) == 0);
	WANT(s_shutdown(p.c, SHUT_WR) == 0);
	WANT(s_transfer(p.a, p.c, v->n) == 0);
	WANT(s_close(p.a) == 0);
	WANT(s_recv(p.c, 1) == 0);
	WANT(s_close(p.c) == 0);
	return 0;
}

/* ---- payload ---- */

static int bytes_each_way(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_transfer(p.c, p.a, v->n) == 0);
	WANT(s_transfer(p.a, p.c, v->n / 3) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_recv(second_of(&p, v), 1) == 0);
	WANT(s_close(second_of(&p, v)) == 0);
	return 0;
}

/* Nothing comes or goes any more: TCP_USER_TIMEOUT ends the connection, and nobody closed it. */
static int user_timeout(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_set(p.c, IPPROTO_TCP, TCP_USER_TIMEOUT, 300) == 0);
	WANT(netns_down("lo") == 0);
	WANT(s_send(p.c, 1) == 1);
	WANT(poll(&(struct pollfd){ .fd = p.c->fd }, 1, 10000) == 1);
	if (v->flags & V_READ_ERROR)
		WANT(s_error(p.c) == -ETIMEDOUT);
	p.c->broken = ETIMEDOUT;
	WANT(s_close(p.c) == 0);
	return netns_up("lo");
}

/* It arrived; that nobody read it makes the close a RST. */
static int close_unread(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_send(second_of(&p, v), v->n) == v->n);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_error(second_of(&p, v)) == -ECONNRESET);
	WANT(s_close(second_of(&p, v)) == 0);
	return 0;
}

/* The FIN stands behind data that was not read: RST, though the other side closed first. */
static int close_unread_after_fin(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_send(p.c, v->n) == v->n);
	WANT(s_close(p.c) == 0);
	WANT(s_close(p.a) == 0);
	return 0;
}

/* ---- RST ---- */

static int peer_resets(const struct variant *v)
{
	struct sock *left;
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	left = second_of(&p, v);
	WANT(s_transfer(p.c, p.a, v->n) == 0);
	WANT(s_linger0(first_of(&p, v)) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_wait_end(left));
	if (v->flags & V_READ_ERROR)
		WANT(s_error(left) == -ECONNRESET);
	WANT(s_close(left) == 0);
	return 0;
}

/* read() takes the error, as most programs do. */
static int peer_resets_read(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_linger0(first_of(&p, v)) == 0);
	WANT(s_close(first_of(&p, v)) == 0);
	WANT(s_recv(second_of(&p, v), 1) == -ECONNRESET);
	WANT(s_recv(second_of(&p, v), 1) == 0);
	WANT(s_close(second_of(&p, v)) == 0);
	return 0;
}

/* FIN, then RST: EPIPE. */
static int peer_resets_after_fin(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_shutdown(p.c, SHUT_WR) == 0);
	WANT(s_linger0(p.c) == 0);
	WANT(s_close(p.c) == 0);
	WANT(s_wait_end(p.a));
	if (v->flags & V_READ_ERROR)
		WANT(s_error(p.a) == -EPIPE);
	WANT(s_close(p.a) == 0);
	return 0;
}

/* This side has shut down; the other one resets. */
static int reset_in_fin_wait(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_shutdown(p.c, SHUT_WR) == 0);
	WANT(s_linger0(p.a) == 0);
	WANT(s_close(p.a) == 0);
	WANT(s_close(p.c) == 0);
	return 0;
}

/* connect(AF_UNSPEC) resets the connection and keeps the socket. */
static int drop_connection(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c = s_open(v->family, SOCK_STREAM), *a;

	WANT(l && c);
	if (v->flags & V_EXPLICIT)
		WANT(s_bind(c, v->ip, next_port()) == 0);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	a = s_accept(l, true);
	WANT(a);
	WANT(s_drop_connection(c) == 0);
	WANT(s_close(a) == 0);
	WANT(s_close(c) == 0);
	return 0;
}

/* The socket of a dropped connection connects again. */
static int drop_and_connect(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_drop_connection(p.c) == 0);
	WANT(s_connect(p.c, v->ip, p.l->local.port) == 0);
	WANT(s_accept(p.l, true));
	return 0;
}

/* ---- the accept queue ---- */

static int queue_up(const struct variant *v, struct sock *l, struct sock **c)
{
	struct pollfd pfd = { .fd = l->fd, .events = POLLIN };

	*c = s_open(v->family, SOCK_STREAM);
	WANT(*c);
	WANT(s_connect(*c, v->ip, l->local.port) == 0);
	WANT(poll(&pfd, 1, 2000) == 1);
	return 0;
}

/* Reset while it waits. V_ACCEPT: and accepted all the same. */
static int reset_in_queue(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c, *a;

	WANT(l);
	WANT(queue_up(v, l, &c) == 0);
	WANT(s_send(c, v->n ? v->n : 1) > 0);
	WANT(s_linger0(c) == 0);
	WANT(s_close(c) == 0);
	if (!(v->flags & V_ACCEPT))
		return s_close(l);
	a = s_accept(l, true);
	WANT(a);
	WANT(s_wait_end(a));
	if (v->flags & V_READ_ERROR)
		WANT(s_error(a) == -ECONNRESET);
	return s_close(a);
}

/* n connections wait, the listener is closed. */
static int queue_closed(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c;

	WANT(l);
	for (int i = 0; i < v->n; i++)
		WANT(queue_up(v, l, &c) == 0);
	WANT(s_close(l) == 0);
	return 0;
}

/* The client has come, written and gone before its connection is thrown away. */
static int queue_closed_client_gone(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c;

	WANT(l);
	WANT(queue_up(v, l, &c) == 0);
	if (v->n)
		WANT(s_send(c, v->n) == v->n);
	WANT(s_close(c) == 0);
	WANT(s_close(l) == 0);
	return 0;
}

/* Of three, the second one is accepted late, after its client is gone. */
static int queue_half_accepted(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c[3], *a;

	WANT(l);
	for (int i = 0; i < 3; i++)
		WANT(queue_up(v, l, &c[i]) == 0);
	WANT(s_accept(l, true));
	WANT(s_send(c[1], 7) == 7);
	WANT(s_close(c[1]) == 0);
	a = s_accept(l, false);
	WANT(a);
	WANT(s_recv(a, 10) == 7);
	WANT(s_recv(a, 10) == 0);
	WANT(s_close(l) == 0);
	return 0;
}

/* ---- listeners that stop ---- */

static int stop(struct sock *l, const struct variant *v)
{
	return s_shutdown_listener(l, v->err ? -1 : v->flags & V_EXPLICIT ? SHUT_RD : SHUT_RDWR);
}

/* n connections wait, the listener is shut down, and closed later. */
static int listener_stops(const struct variant *v)
{
	struct sock *l = s_open(v->family, SOCK_STREAM), *c;

	WANT(l);
	if (v->flags & (V_EXPLICIT | V_ZERO))
		WANT(s_bind(l, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == 0);
	WANT(s_listen(l, 8) == 0);
	for (int i = 0; i < v->n; i++)
		WANT(queue_up(v, l, &c) == 0);
	WANT(stop(l, v) == 0);
	return s_close(l);
}

static int listener_stops_and_listens(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 8), *c;

	WANT(l);
	WANT(stop(l, v) == 0);
	WANT(s_listen(l, 5) == 0);
	WANT(queue_up(v, l, &c) == 0);
	WANT(s_accept(l, true));
	return 0;
}

/* Accepted connections outlive their listener. */
static int listener_goes_first(const struct variant *v)
{
	struct pair p;

	WANT(pair_open(&p, v) == 0);
	WANT(s_close(p.l) == 0);
	WANT(s_transfer(p.c, p.a, 100) == 0);
	WANT(s_close(p.a) == 0);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_STREAM, "::ffff:127.0.0.1")
#define SERVER .flags = V_SERVER_FIRST

const struct scenario end_scenarios[] = {
	SC("end_client_first", close_in_order, 0, TCP4),
	SC("end_server_first", close_in_order, 0, TCP4, SERVER),
	SC("end_client_first_tcp6", close_in_order, NEED_IPV6, TCP6),
	SC("end_server_first_mapped", close_in_order, NEED_IPV6, MAPPED, SERVER),
	SC("shutdown_wr_client_first", shutdown_first, 0, TCP4),
	SC("shutdown_wr_server_first", shutdown_first, 0, TCP4, SERVER),
	SC("shutdown_rdwr_client", shutdown_rdwr, 0, TCP4),
	SC("shutdown_rdwr_server", shutdown_rdwr, 0, TCP4, SERVER),
	SC("shutdown_both_client_first", shutdown_both, 0, TCP4),
	SC("shutdown_both_server_first", shutdown_both, 0, TCP4, SERVER),
	SC("half_closed_answer", half_closed_answer, 0, TCP4, .n = 5000),
	SC("half_closed_answer_1M", half_closed_answer, 0, TCP4, .n = 1 << 20),
	SC("bytes_1", bytes_each_way, 0, TCP4, .n = 1),
	SC("bytes_1_server_first", bytes_each_way, 0, TCP4, SERVER, .n = 3),
	SC("bytes_1M", bytes_each_way, 0, TCP4, .n = 1 << 20),
	SC("bytes_mapped", bytes_each_way, NEED_IPV6, MAPPED, .n = 5000),
	SC("bytes_1M_tcp6", bytes_each_way, NEED_IPV6, TCP6, SERVER, .n = 1 << 20),
	SC("user_timeout", user_timeout, OWN_NETNS, TCP4),
	SC("user_timeout_read", user_timeout, OWN_NETNS, TCP4, .flags = V_READ_ERROR),
	SC("close_unread", close_unread, 0, TCP4, .n = 5),
	SC("close_unread_server", close_unread, 0, TCP4, SERVER, .n = 5000),
	SC("close_unread_after_fin", close_unread_after_fin, 0, TCP4, .n = 11),
	SC("reset_by_client", peer_resets, 0, TCP4),
	SC("reset_by_client_read", peer_resets, 0, TCP4, .flags = V_READ_ERROR),
	SC("reset_by_server", peer_resets, 0, TCP4, SERVER),
	SC("reset_by_server_read", peer_resets, 0, TCP4, .flags = V_SERVER_FIRST | V_READ_ERROR),
	SC("reset_by_server_tcp6", peer_resets, NEED_IPV6, TCP6, SERVER),
	SC("reset_after_data", peer_resets, 0, TCP4, .n = 1000),
	SC("reset_seen_by_read", peer_resets_read, 0, TCP4),
	SC("reset_seen_by_read_server", peer_resets_read, 0, TCP4, SERVER),
	SC("reset_after_fin", peer_resets_after_fin, 0, TCP4),
	SC("reset_after_fin_read", peer_resets_after_fin, 0, TCP4, .flags = V_READ_ERROR),
	SC("reset_in_fin_wait", reset_in_fin_wait, 0, TCP4),
	SC("drop_connection", drop_connection, 0, TCP4),
	{ .name = "drop_connection_bound", .fn = drop_connection, .v = { TCP4, .flags = V_EXPLICIT },
	  .cgroup_blind = "connect(AF_UNSPEC) runs no program" },
	{ .name = "drop_and_connect", .fn = drop_and_connect, .v = { TCP4 },
	  .cgroup_blind = "connect(AF_UNSPEC) runs no program" },
	SC("reset_in_queue", reset_in_queue, 0, TCP4),
	SC("reset_in_queue_tcp6", reset_in_queue, NEED_IPV6, TCP6, .n = 100),
	SC("reset_in_queue_accepted", reset_in_queue, 0, TCP4, .flags = V_ACCEPT),
	SC("reset_in_queue_accepted_read", reset_in_queue, 0, TCP4,
	   .flags = V_ACCEPT | V_READ_ERROR),
	SC("queue_closed_3", queue_closed, 0, TCP4, .n = 3),
	SC("queue_closed_tcp6", queue_closed, NEED_IPV6, TCP6, .n = 2),
	SC("queue_closed_client_gone", queue_closed_client_gone, 0, TCP4),
	SC("queue_closed_client_wrote", queue_closed_client_gone, 0, TCP4, .n = 100),
	SC("queue_half_accepted", queue_half_accepted, 0, TCP4),
	SC("listener_shutdown", listener_stops, 0, TCP4, .flags = V_EXPLICIT),
	SC("listener_shutdown_bind0", listener_stops, 0, TCP4, .flags = V_ZERO),
	SC("listener_shutdown_nobind", listener_stops, 0, TCP4),
	SC("listener_shutdown_waiting", listener_stops, 0, TCP4, .flags = V_EXPLICIT, .n = 2),
	SC("listener_shutdown_tcp6", listener_stops, NEED_IPV6, TCP6, .flags = V_EXPLICIT),
	SC("listener_unspec", listener_stops, 0, TCP4, .flags = V_EXPLICIT, .err = 1),
	SC("listener_unspec_waiting", listener_stops, 0, TCP4, .flags = V_EXPLICIT, .err = 1,
	   .n = 1),
	SC("listener_again", listener_stops_and_listens, 0, TCP4, .flags = V_EXPLICIT),
	SC("listener_goes_first", listener_goes_first, 0, TCP4),
	SC_END,
};
