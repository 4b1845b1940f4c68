// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* How connections end: who closes first, what each side has sent, what breaks them, and what is left of the port. */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "workload.h"

struct pair {
	struct sock *listener, *client, *server;
};

static int connected(struct pair *p, const struct variant *v)
{
	p->listener = s_listener(v->family, v->ip, 5);
	p->client = s_open(v->family, SOCK_STREAM);
	WANT(p->listener && p->client);
	WANT(s_connect(p->client, v->ip, p->listener->local.port) == 0);
	p->server = s_accept(p->listener, true);
	WANT(p->server);
	p->client->counted = p->server->counted = true;
	return 0;
}

/* The FIN of the other side has come. */
static bool wait_fin(const struct sock *s)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLRDHUP };

	return poll(&pfd, 1, 5000) == 1;
}

/* The socket's error, which the reset left; takes it, as a program would. */
static int take_error(const struct sock *s)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLIN };
	socklen_t len = sizeof(int);
	int err = 0;

	poll(&pfd, 1, 5000);
	getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	return err;
}

/* One side closes, then the other: FIN, ACK, FIN, ACK. What the first one's port is held by then is only known to be
 * something: on loopback the peer's answer is a matter of who runs first. */
static int close_in_order(struct sock *first, struct sock *second)
{
	first->closed_by = "local";
	first->state = "closing";
	WANT(s_close(first) == 0);
	WANT(wait_fin(second));
	second->closed_by = "remote";
	second->state = "closed";
	return s_close(second);
}

/* v->err: bytes that the client writes; the server writes twice as many. */
static int bytes_both_ways(const struct variant *v)
{
	bool server_first = v->flags & V_SERVER_FIRST;
	struct pair p;

	if (connected(&p, v))
		return SC_BAD;
	WANT(s_send(p.client, p.server, v->err) == 0);
	WANT(s_send(p.server, p.client, v->err * 2) == 0);
	return server_first ? close_in_order(p.server, p.client) : close_in_order(p.client, p.server);
}

/* shutdown(SHUT_WR) is the first FIN; when the other side has closed, the port is in TIME_WAIT while the socket is
 * still open, and so it is at the close. */
static int half_close(const struct variant *v)
{
	struct pair p;
	struct sock *first, *second;

	if (connected(&p, v))
		return SC_BAD;
	first = v->flags & V_SERVER_FIRST ? p.server : p.client;
	second = first == p.client ? p.server : p.client;
	WANT(s_send(second, first, 10) == 0);
	WANT(shutdown(first->fd, SHUT_WR) == 0);
	WANT(wait_fin(second));
	WANT(s_send(second, first, 7) == 0);
	second->closed_by = "remote";
	second->state = "closed";
	WANT(s_close(second) == 0);
	WANT(wait_fin(first));
	first->closed_by = "local";
	first->state = "time-wait";
	return s_close(first);
}

/* Closing with data that nobody has read resets the connection. */
static int close_unread(const struct variant *v)
{
	struct pair p;
	struct pollfd pfd;

	if (connected(&p, v))
		return SC_BAD;
	WANT(s_send(p.client, NULL, 100) == 0);
	pfd = (struct pollfd){ .fd = p.server->fd, .events = POLLIN };
	WANT(poll(&pfd, 1, 5000) == 1);
	p.server->got = 100;
	p.server->closed_by = "local";
	p.server->state = "closed";
	WANT(s_close(p.server) == 0);
	p.client->end_err = ECONNRESET;
	p.client->closed_by = "remote";
	p.client->state = "closed";
	if (v->flags & V_EXPLICIT)
		WANT(take_error(p.client) == ECONNRESET);
	return s_close(p.client);
}

/* SO_LINGER 0. V_EXPLICIT: the other side takes the error by SO_ERROR before it closes. */
static int reset_seen(const struct variant *v)
{
	struct linger hard = { .l_onoff = 1 };
	struct sock *first, *second;
	struct pair p;

	if (connected(&p, v))
		return SC_BAD;
	first = v->flags & V_SERVER_FIRST ? p.server : p.client;
	second = first == p.client ? p.server : p.client;
	WANT(setsockopt(first->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	first->closed_by = "local";
	first->state = "closed";
	WANT(s_close(first) == 0);
	second->closed_by = "remote";
	second->state = "closed";
	if (v->flags & V_EXPLICIT)
		WANT(take_error(second) == ECONNRESET);
	return s_close(second);
}

/* A reset that finds the connection half closed: EPIPE (tcp_reset()). */
static int reset_after_fin(const struct variant *v)
{
	struct linger hard = { .l_onoff = 1 };
	struct pair p;

	if (connected(&p, v))
		return SC_BAD;
	WANT(shutdown(p.client->fd, SHUT_WR) == 0);
	WANT(wait_fin(p.server));
	WANT(setsockopt(p.client->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	p.client->closed_by = "local";
	p.client->state = "closed";
	WANT(s_close(p.client) == 0);
	p.server->end_err = EPIPE;
	p.server->closed_by = "remote";
	p.server->state = "closed";
	return s_close(p.server);
}

/* ---- the accept queue ---- */

/* v->err connections, none accepted; V_SERVER_FIRST: the listener is shut down, not closed. */
static int queue_dropped(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 16), *c[8];

	WANT(l);
	for (int i = 0; i < v->err; i++) {
		c[i] = s_open(v->family, SOCK_STREAM);
		WANT(c[i] && s_connect(c[i], v->ip, l->local.port) == 0);
		c[i]->closed_by = "remote";
		c[i]->state = "closed";
	}
	WANT((v->flags & V_SERVER_FIRST ? s_shutdown_listener(l) : s_close(l)) == 0);
	for (int i = 0; i < v->err; i++)
		WANT(s_close(c[i]) == 0);
	return 0;
}

/* The client resets while it waits; V_EXPLICIT: it is accepted all the same. */
static int queue_reset(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM), *a;
	struct linger hard = { .l_onoff = 1 };

	WANT(l && c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) == 0);
	WANT(s_close(c) == 0);
	if (!(v->flags & V_EXPLICIT))
		return s_close(l);
	a = s_accept(l, true);
	WANT(a);
	a->closed_by = "remote";
	return s_close(a);
}

/* The client has closed in order while it waits. */
static int queue_closed(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM);

	WANT(l && c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(s_close(c) == 0);
	return s_close(l);
}

/* ---- what the program does to its own connection ---- */

/* connect(AF_UNSPEC) drops a connection; the socket can connect again. */
static int disconnect_established(const struct variant *v)
{
	struct pair p;

	if (connected(&p, v))
		return SC_BAD;
	WANT(s_disconnect(p.client) == 0);
	p.server->closed_by = "remote";
	p.server->end_err = ECONNRESET;
	return s_close(p.server);
}

/* The peer's machine is gone: TCP_USER_TIMEOUT ends the connection. */
static int user_timeout(const struct variant *v)
{
	struct pair p;

	if (netns_veth("pt0", "pt1") || netns_up("pt0") || netns_up("pt1"))
		return sc_skip("the kernel has no veth devices");
	WANT(netns_addr4("pt0", "192.0.2.1", 24) == 0);
	if (connected(&p, v))
		return SC_BAD;
	WANT(s_set(p.client, IPPROTO_TCP, TCP_USER_TIMEOUT, 300) == 0);
	WANT(netns_down("lo") == 0);
	WANT(send(p.client->fd, "x", 1, MSG_NOSIGNAL) == 1);
	p.client->sent = 1;
	WANT(take_error(p.client) == ETIMEDOUT);
	p.client->end_err = ETIMEDOUT;
	p.client->state = "closed";
	p.server->counted = false;
	WANT(s_close(p.client) == 0);
	WANT(netns_up("lo") == 0);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_STREAM, "::ffff:127.0.0.1")

const struct scenario end_scenarios[] = {
	SC("bytes_none", bytes_both_ways, 0, TCP4, .err = 0),
	SC("bytes_one", bytes_both_ways, 0, TCP4, .err = 1),
	SC("bytes_one_server_first", bytes_both_ways, 0, TCP4, .err = 1, .flags = V_SERVER_FIRST),
	SC("bytes_1M", bytes_both_ways, 0, TCP4, .err = 1 << 20),
	SC("bytes_1M_server_first", bytes_both_ways, 0, TCP4, .err = 1 << 20, .flags = V_SERVER_FIRST),
	SC("bytes_tcp6", bytes_both_ways, NEED_IPV6, TCP6, .err = 5000),
	SC("bytes_mapped", bytes_both_ways, NEED_IPV6, MAPPED, .err = 5000),
	SC("half_close", half_close, 0, TCP4),
	SC("half_close_server_first", half_close, 0, TCP4, .flags = V_SERVER_FIRST),
	SC("half_close_tcp6", half_close, NEED_IPV6, TCP6),
	SC("close_unread", close_unread, 0, TCP4),
	SC("close_unread_error_taken", close_unread, 0, TCP4, .flags = V_EXPLICIT),
	SC("close_unread_tcp6", close_unread, NEED_IPV6, TCP6),
	SC("reset_by_client", reset_seen, 0, TCP4),
	SC("reset_by_server", reset_seen, 0, TCP4, .flags = V_SERVER_FIRST),
	SC("reset_by_server_error_taken", reset_seen, 0, TCP4, .flags = V_SERVER_FIRST | V_EXPLICIT),
	SC("reset_by_client_error_taken", reset_seen, 0, TCP4, .flags = V_EXPLICIT),
	SC("reset_tcp6", reset_seen, NEED_IPV6, TCP6),
	SC("reset_after_fin", reset_after_fin, 0, TCP4),
	SC("never_accepted_five", queue_dropped, 0, TCP4, .err = 5),
	SC("never_accepted_tcp6", queue_dropped, NEED_IPV6, TCP6, .err = 2),
	SC("never_accepted_shutdown", queue_dropped, 0, TCP4, .err = 2, .flags = V_SERVER_FIRST),
	SC("reset_in_queue_accepted", queue_reset, 0, TCP4, .flags = V_EXPLICIT),
	SC("reset_in_queue_never_accepted", queue_reset, 0, TCP4),
	SC("closed_in_queue", queue_closed, 0, TCP4),
	SC("disconnect_established", disconnect_established, 0, TCP4),
	SC("user_timeout", user_timeout, OWN_NETNS, AT(AF_INET, SOCK_STREAM, "192.0.2.1")),
	SC_END,
};
