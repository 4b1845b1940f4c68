// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* When a port is given back (-e release): at close, when a connect fails, at the end of TIME_WAIT. */
#define _GNU_SOURCE
#include <unistd.h>

#include "workload.h"

static int release_bound(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	WANT(s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == 0);
	if (v->n)
		WANT(s_listen(s, 3) == 0);
	return s_close(s);
}

/* The first of two that share a port does not free it. */
static int release_shared(const struct variant *v)
{
	struct sock *s[2];
	int port = next_port();

	for (int i = 0; i < 2; i++) {
		s[i] = s_open(v->family, v->type);
		WANT(s[i]);
		WANT(s_set(s[i], SOL_SOCKET, SO_REUSEPORT, 1) == 0);
		WANT(s_bind(s[i], v->ip, port) == 0);
	}
	WANT(s_close(s[0]) == 0);
	return s_close(s[1]);
}

static int release_refused(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	WANT(s_connect(c, v->ip, next_port()) == -ECONNREFUSED);
	return 0;
}

/* Both ends, reset by SO_LINGER 0: the other one's port goes when the RST comes, not at close. */
static int release_reset(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(s_linger0(c) == 0);
	return s_close(c);
}

static int release_udp_connected(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	return s_close(s);
}

/* Disconnected, then used again: each port is given back once. */
static int release_udp_disconnected(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	if (v->flags & V_EXPLICIT)
		WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	WANT(s_disconnect(s) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	return s_close(s);
}

/* ---- the end of TIME_WAIT ---- */

/* V_EXPLICIT: both clients, the one that leaves TIME_WAIT and the one that takes over, ask for it. */
static int client_connects(const struct variant *v, int port, const struct sock *l, struct sock **ret)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	if (v->flags & V_EXPLICIT) {
		WANT(s_set(c, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
		WANT(s_bind(c, v->ip, port) == 0);
	}
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	*ret = c;
	return 0;
}

/* The client first: then the TIME_WAIT is not on the listener's port. */
static int client_ends(struct sock *c, struct sock *a)
{
	WANT(a);
	WANT(s_close(c) == 0);
	WANT(s_recv(a, 1) == 0);
	return s_close(a);
}

/* *was is the client, closed first. The other end is closed too, unless a FIN_WAIT2 is wanted. */
static int client_leaves(const struct variant *v, int port, struct sock *l, struct sock *was)
{
	struct sock *c, *a;

	WANT(client_connects(v, port, l, &c) == 0);
	a = s_accept(l, true);
	WANT(a);
	*was = *c;
	if (!v->err)
		return client_ends(c, a);
	WANT(s_close(c) == 0);
	return s_recv(a, 1);
}

/* The only port there is, after the second for which the kernel does not give away a TIME_WAIT. */
static int release_taken_over(const struct variant *v)
{
	const int port = 40000;
	struct sock *l, *c, was;

	if (write_text("/proc/sys/net/ipv4/ip_local_port_range", "40000 40000") ||
	    write_text("/proc/sys/net/ipv4/tcp_tw_reuse", "1"))
		return sc_skip("tcp_tw_reuse cannot be set");
	l = s_listener(v->family, v->ip, 3);
	WANT(l);
	WANT(client_leaves(v, port, l, &was) == 0);
	usleep(2100000);
	WANT(client_connects(v, port, l, &c) == 0);
	WANT(c->local.port == was.local.port);
	rec_port_back(&was);
	return client_ends(c, s_accept(l, true));
}

/* By time. err: the other end stays open, so it is FIN_WAIT2 that ends, after tcp_fin_timeout. */
static int release_by_time(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), was;

	if (write_text("/proc/sys/net/ipv4/tcp_fin_timeout", "1"))
		return sc_skip("tcp_fin_timeout cannot be set");
	WANT(l);
	WANT(client_leaves(v, next_port(), l, &was) == 0);
	WANT(s_wait_gone(&was, 90000));
	rec_port_back(&was);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define IN_NETNS (NEED_RELEASE | OWN_NETNS)

const struct scenario release_scenarios[] = {
	SC("release_tcp4_bound", release_bound, NEED_RELEASE, TCP4, .flags = V_EXPLICIT),
	SC("release_tcp4_zero", release_bound, NEED_RELEASE, TCP4),
	SC("release_tcp6_bound", release_bound, NEED_RELEASE | NEED_IPV6, TCP6,
	   .flags = V_EXPLICIT),
	SC("release_listener", release_bound, NEED_RELEASE, TCP4, .flags = V_EXPLICIT, .n = 1),
	SC("release_udp4", release_bound, NEED_RELEASE, UDP4, .flags = V_EXPLICIT),
	SC("release_udp4_connected", release_udp_connected, NEED_RELEASE, UDP4),
	SC("release_udp4_disconnected", release_udp_disconnected, NEED_RELEASE, UDP4),
	SC("release_udp4_disconnected_bound", release_udp_disconnected, NEED_RELEASE, UDP4, .flags = V_EXPLICIT),
	SC("release_shared_tcp4", release_shared, NEED_RELEASE, TCP4),
	SC("release_shared_udp4", release_shared, NEED_RELEASE, UDP4),
	SC("release_refused", release_refused, NEED_RELEASE, TCP4),
	SC("release_reset", release_reset, NEED_RELEASE, TCP4),
	SC("release_taken_over", release_taken_over, IN_NETNS, TCP4),
	SC("release_taken_over_tcp6", release_taken_over, IN_NETNS | NEED_IPV6, TCP6),
	SC("release_taken_over_bound", release_taken_over, IN_NETNS, TCP4, .flags = V_EXPLICIT),
	SC("release_fin_wait2", release_by_time, IN_NETNS, TCP4, .err = 1),
	SC("release_fin_wait2_tcp6", release_by_time, IN_NETNS | NEED_IPV6, TCP6, .err = 1),
	SC("release_time_wait", release_by_time, IN_NETNS | NEED_SOAK, TCP4),
	SC_END,
};
