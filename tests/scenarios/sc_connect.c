// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* TCP connect() whose result is there when the call is done, or as good as. */
#define _GNU_SOURCE
#include <linux/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workload.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

static struct sock *client(const struct variant *v)
{
	return s_open(v->family, SOCK_STREAM | (v->flags & V_NONBLOCK ? SOCK_NONBLOCK : 0));
}

/* V_EXPLICIT, V_ZERO or V_NO_PORT: how the client binds before, if at all. */
static int client_binds(struct sock *s, const struct variant *v)
{
	if (v->flags & V_NO_PORT && s_set(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1))
		return -errno;
	if (v->flags & (V_EXPLICIT | V_ZERO | V_NO_PORT))
		return s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0);
	return 0;
}

static int connects(struct sock *s, const struct variant *v, int port)
{
	int rc = v->flags & V_FASTOPEN ? s_fastopen(s, v->ip, port) : s_connect(s, v->ip, port);

	return rc == -EINPROGRESS ? s_connect_result(s, 5000) : rc;
}

static struct sock *listener_for(const struct variant *v)
{
	return s_listener(v->lfamily ? v->lfamily : v->family, v->lip ? v->lip : v->ip, 8);
}

static int connect_ok(const struct variant *v)
{
	struct sock *l = listener_for(v), *c = client(v), *a;

	WANT(l && c);
	WANT(client_binds(c, v) == 0);
	WANT(connects(c, v, l->local.port) == 0);
	a = s_accept(l, true);
	WANT(a);
	s_close(v->flags & V_SERVER_FIRST ? a : c);
	return 0;
}

static int connect_refused(const struct variant *v)
{
	struct sock *c = client(v);

	WANT(c);
	WANT(client_binds(c, v) == 0);
	WANT(connects(c, v, next_port()) == -ECONNREFUSED);
	return 0;
}

/* The same socket is used again after a refusal. */
static int connect_refused_then_ok(const struct variant *v)
{
	struct sock *l = listener_for(v), *c = client(v);

	WANT(l && c);
	WANT(connects(c, v, next_port()) == -ECONNREFUSED);
	WANT(connects(c, v, l->local.port) == 0);
	WANT(s_accept(l, true));
	return 0;
}

/* Errors of the call itself: no packet is sent. */
static int connect_sync_error(const struct variant *v)
{
	struct sock *c = client(v);

	WANT(c);
	WANT(client_binds(c, v) == 0);
	WANT(s_connect(c, v->ip, 9) == -v->err);
	return 0;
}

static int connect_unreachable_route(const struct variant *v)
{
	WANT(netns_unreachable4("192.0.2.0", 24) == 0);
	return connect_sync_error(v);
}

/* Which errno it is differs between kernels and routes. */
static int connect_broadcast(const struct variant *v)
{
	struct sock *c = client(v);

	WANT(c);
	WANT(s_connect(c, v->ip, 9) < 0);
	return 0;
}

static int connect_wrong_family(const struct variant *v)
{
	struct sock *c = s_open(AF_INET, SOCK_STREAM);
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, v->family, v->ip, next_port());

	WANT(c);
	WANT(s_connect_sa(c, &ss, len, F_REMOTE_IP | F_REMOTE_PORT | F_TYPE) == -EAFNOSUPPORT);
	return 0;
}

/* Once connected, connect() says 0 to a non-blocking program and then EISCONN: no events. */
static int connect_again(const struct variant *v)
{
	struct sock *l = listener_for(v), *c = client(v);
	int rc;

	WANT(l && c);
	WANT(connects(c, v, l->local.port) == 0);
	rc = s_connect(c, v->ip, l->local.port);
	WANT(rc == 0 || rc == -EISCONN);
	WANT(s_connect(c, v->ip, l->local.port) == -EISCONN);
	WANT(s_accept(l, true));
	return 0;
}

/* V_SERVER_FIRST: who sends the RST. The other side's close comes after its port is gone. */
static int connect_reset(const struct variant *v)
{
	struct sock *l = listener_for(v), *c = client(v), *a, *first;

	WANT(l && c);
	WANT(connects(c, v, l->local.port) == 0);
	a = s_accept(l, true);
	WANT(a);
	first = v->flags & V_SERVER_FIRST ? a : c;
	WANT(s_linger0(first) == 0);
	s_close(first);
	s_close(first == a ? c : a);
	return 0;
}

/* The second of two sockets with the same port cannot reach the same peer. */
static int connect_tuple_taken(const struct variant *v)
{
	struct sock *l = listener_for(v), *c[2];
	int port = next_port();

	WANT(l);
	for (int i = 0; i < 2; i++) {
		c[i] = client(v);
		WANT(c[i]);
		WANT(s_set(c[i], SOL_SOCKET, SO_REUSEADDR, 1) == 0);
		WANT(s_bind(c[i], v->ip, port) == 0);
	}
	WANT(s_connect(c[0], v->ip, l->local.port) == 0);
	s_held(c[1], "connection", c[0]);
	WANT(s_connect(c[1], v->ip, l->local.port) == -EADDRNOTAVAIL);
	return 0;
}

static int connect_own_range(const struct variant *v)
{
	struct sock *l, *c = client(v);
	uint32_t range = 41000 | 41005U << 16;

	WANT(c);
	if (s_set(c, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range))
		return sc_skip("the kernel has no IP_LOCAL_PORT_RANGE");
	l = listener_for(v);
	WANT(l);
	WANT(connects(c, v, l->local.port) == 0);
	WANT(c->local.port >= 41000 && c->local.port <= 41005);
	WANT(s_accept(l, true));
	return 0;
}

/* Three connections to one listener, each closed by the client first. */
static int timewait_cycle(const struct variant *v)
{
	struct sock *l = listener_for(v);

	WANT(l);
	for (int i = 0; i < 3; i++) {
		struct sock *c = client(v), *a;
		char byte;

		WANT(c);
		WANT(connects(c, v, l->local.port) == 0);
		a = s_accept(l, true);
		WANT(a);
		s_close(c);
		WANT(read(a->fd, &byte, 1) == 0);
		s_close(a);
	}
	return 0;
}

/* ---- TCP_FASTOPEN_CONNECT ---- */

/*
 * Without a cookie from before, only TCP_FASTOPEN_NO_COOKIE makes the SYN wait for the data. That
 * it waits is seen by a socket that has a port and no peer.
 */
static int connect_defers(struct sock *s, const struct variant *v, int port)
{
	WANT(s);
	WANT(client_binds(s, v) == 0);
	if (s_set(s, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1) ||
	    s_set(s, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1))
		return sc_skip("the kernel has no TCP_FASTOPEN_CONNECT");
	WANT(s_connect_deferred(s, v->ip, port) == 0);
	WANT(s->local.port > 0 && ep_peer(s->fd).port <= 0);
	return 0;
}

static int write_connects(struct sock *s)
{
	int rc = s_connect_write(s);

	return rc == -EINPROGRESS ? s_connect_result(s, 5000) : rc;
}

/* V_ACCEPT: the listener takes the data that comes with the SYN. */
static int deferred_ok(const struct variant *v)
{
	struct sock *l = s_open(v->family, SOCK_STREAM), *c = client(v), *a;
	int rc;

	WANT(l);
	if (v->flags & V_ACCEPT && (write_text("/proc/sys/net/ipv4/tcp_fastopen", "3") ||
				    s_set(l, IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, 1) ||
				    s_set(l, IPPROTO_TCP, TCP_FASTOPEN, 5)))
		return sc_skip("the kernel has no TCP_FASTOPEN for listeners");
	WANT(s_bind(l, v->ip, next_port()) == 0);
	WANT(s_listen(l, 8) == 0);
	rc = connect_defers(c, v, l->local.port);
	if (rc)
		return rc;
	WANT(write_connects(c) == 0);
	a = s_accept(l, true);
	WANT(a);
	WANT(s_recv(a, 10) == 1);
	WANT(s_transfer(a, c, 5) == 0);
	return s_close(v->flags & V_SERVER_FIRST ? a : c);
}

static int deferred_refused(const struct variant *v)
{
	struct sock *c = client(v);
	int rc = connect_defers(c, v, next_port());

	if (rc)
		return rc;
	WANT(write_connects(c) == -ECONNREFUSED);
	return 0;
}

/* Closed, or disconnected, before a byte was written: nothing was ever sent. */
static int deferred_unused(const struct variant *v)
{
	struct sock *c = client(v);
	int rc = connect_defers(c, v, next_port());

	if (rc)
		return rc;
	return v->n ? s_disconnect(c) : s_close(c);
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_STREAM, "::ffff:127.0.0.1")
#define TO_V4 .lfamily = AF_INET, .lip = "127.0.0.1"

const struct scenario connect_scenarios[] = {
	SC("tcp4_conn_blk", connect_ok, 0, TCP4),
	SC("tcp4_conn_nb", connect_ok, 0, TCP4, .flags = V_NONBLOCK),
	SC("tcp4_conn_server_closes_first", connect_ok, 0, TCP4, .flags = V_SERVER_FIRST),
	SC("tcp6_conn_blk", connect_ok, NEED_IPV6, TCP6),
	SC("tcp6_conn_nb", connect_ok, NEED_IPV6, TCP6, .flags = V_NONBLOCK),
	SC("tcp6_mapped_conn", connect_ok, NEED_IPV6, MAPPED, TO_V4),
	SC("tcp6_mapped_conn_nb", connect_ok, NEED_IPV6, MAPPED, TO_V4, .flags = V_NONBLOCK),
	SC("tcp4_conn_bound_explicit", connect_ok, 0, TCP4, .flags = V_EXPLICIT),
	SC("tcp4_conn_bound_zero", connect_ok, 0, TCP4, .flags = V_ZERO),
	SC("tcp6_conn_bound_explicit", connect_ok, NEED_IPV6, TCP6, .flags = V_EXPLICIT),
	SC("tcp4_conn_addr_no_port", connect_ok, 0, TCP4, .flags = V_NO_PORT),
	SC("tcp6_conn_addr_no_port", connect_ok, NEED_IPV6, TCP6, .flags = V_NO_PORT),
	SC("tcp4_refused_blk", connect_refused, 0, TCP4),
	SC("tcp4_refused_nb", connect_refused, 0, TCP4, .flags = V_NONBLOCK),
	SC("tcp6_refused_blk", connect_refused, NEED_IPV6, TCP6),
	SC("tcp6_refused_nb", connect_refused, NEED_IPV6, TCP6, .flags = V_NONBLOCK),
	SC("tcp6_mapped_refused", connect_refused, NEED_IPV6, MAPPED),
	SC("tcp6_mapped_refused_nb", connect_refused, NEED_IPV6, MAPPED, .flags = V_NONBLOCK),
	SC("tcp4_refused_bound", connect_refused, 0, TCP4, .flags = V_EXPLICIT),
	SC("tcp4_refused_bound_zero", connect_refused, 0, TCP4, .flags = V_ZERO),
	SC("tcp4_refused_then_ok", connect_refused_then_ok, 0, TCP4),
	SC("tcp4_ENETUNREACH", connect_sync_error, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "198.51.100.1"), .err = ENETUNREACH),
	SC("tcp6_ENETUNREACH", connect_sync_error, OWN_NETNS | NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, "2001:db8::1"), .err = ENETUNREACH),
	SC("tcp4_EHOSTUNREACH_route", connect_unreachable_route, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "192.0.2.9"), .flags = V_NONBLOCK, .err = EHOSTUNREACH),
	SC("tcp4_conn_broadcast", connect_broadcast, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "255.255.255.255")),
	SC("tcp4_conn_EAFNOSUPPORT", connect_wrong_family, 0,
	   AT(AF_INET6, SOCK_STREAM, "::1")),
	SC("tcp4_conn_again", connect_again, 0, TCP4, .flags = V_NONBLOCK),
	SC("tcp4_RST_linger0", connect_reset, 0, TCP4),
	SC("tcp4_RST_linger0_server", connect_reset, 0, TCP4, .flags = V_SERVER_FIRST),
	SC("tcp4_FASTOPEN_sendto", connect_ok, NEED_TFO, TCP4, .flags = V_FASTOPEN),
	SC("tcp4_deferred", deferred_ok, NEED_TFO, TCP4),
	SC("tcp4_deferred_nb", deferred_ok, NEED_TFO, TCP4, .flags = V_NONBLOCK),
	SC("tcp4_deferred_bound", deferred_ok, NEED_TFO, TCP4, .flags = V_EXPLICIT),
	SC("tcp6_deferred", deferred_ok, NEED_TFO | NEED_IPV6, TCP6, .flags = V_SERVER_FIRST),
	SC("tcp4_deferred_data_in_syn", deferred_ok, NEED_TFO | OWN_NETNS, TCP4, .flags = V_ACCEPT),
	SC("tcp4_deferred_refused", deferred_refused, NEED_TFO, TCP4),
	SC("tcp4_deferred_refused_nb", deferred_refused, NEED_TFO, TCP4, .flags = V_NONBLOCK),
	SC("tcp6_deferred_refused", deferred_refused, NEED_TFO | NEED_IPV6, TCP6),
	SC("tcp4_deferred_closed", deferred_unused, NEED_TFO, TCP4),
	SC("tcp4_deferred_unspec", deferred_unused, NEED_TFO, TCP4, .n = 1),
	SC("conn_EADDRNOTAVAIL_tuple", connect_tuple_taken, 0, TCP4),
	SC("sock_local_port_range", connect_own_range, 0, TCP4),
	SC("timewait_cycle", timewait_cycle, 0, TCP4),
	SC_END,
};
