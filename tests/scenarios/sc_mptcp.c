// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* MPTCP: one socket of the program's, one or several TCP connections of the kernel's below it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <unistd.h>

#include "workload.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

#define NO_MPTCP "the kernel has no MPTCP"

static struct sock *mptcp(const struct variant *v)
{
	return s_open_proto(v->family, SOCK_STREAM | (v->flags & V_NONBLOCK ? SOCK_NONBLOCK : 0),
			    IPPROTO_MPTCP);
}

static int have_mptcp(const struct variant *v)
{
	int fd = socket(v->family, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_MPTCP);

	if (fd < 0)
		return sc_skip(NO_MPTCP);
	close(fd);
	return 0;
}

static int mptcp_bind(const struct variant *v)
{
	struct sock *s;

	if (have_mptcp(v))
		return SC_SKIP;
	s = mptcp(v);
	WANT(s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == 0);
	return 0;
}

static int mptcp_bind_taken(const struct variant *v)
{
	struct sock *a = s_open(v->family, SOCK_STREAM), *b;
	int port = next_port();

	if (have_mptcp(v))
		return SC_SKIP;
	b = mptcp(v);
	WANT(a && b);
	WANT(s_bind(a, v->ip, port) == 0);
	s_held(b, "bound", a);
	WANT(s_bind(b, v->ip, port) == -EADDRINUSE);
	return 0;
}

static int mptcp_listen_nobind(const struct variant *v)
{
	struct sock *s;

	if (have_mptcp(v))
		return SC_SKIP;
	s = mptcp(v);
	WANT(s_listen(s, 4) == 0);
	return 0;
}

/* .n: which side is of MPTCP: 1 the client, 2 the server, 3 both. */
static struct sock *side(const struct variant *v, int bit)
{
	return v->n & bit ? mptcp(v) :
			    s_open(v->family, SOCK_STREAM | (v->flags & V_NONBLOCK ? SOCK_NONBLOCK : 0));
}

static int mptcp_connect(const struct variant *v)
{
	struct sock *l, *c, *a;
	int rc;

	if (have_mptcp(v))
		return SC_SKIP;
	l = side(v, 2);
	c = side(v, 1);
	WANT(l && c);
	WANT(s_bind(l, v->ip, next_port()) == 0);
	WANT(s_listen(l, 4) == 0);
	rc = s_connect(c, v->ip, l->local.port);
	if (rc == -EINPROGRESS)
		rc = s_connect_result(c, 5000);
	WANT(rc == 0);
	fcntl(l->fd, F_SETFL, 0);
	a = s_accept(l, true);
	WANT(a);
	WANT(s_transfer(c, a, 100) == 0);
	WANT(s_transfer(a, c, 50) == 0);
	WANT(s_close(v->flags & V_SERVER_FIRST ? a : c) == 0);
	return 0;
}

static int mptcp_refused(const struct variant *v)
{
	struct sock *c;
	int rc;

	if (have_mptcp(v))
		return SC_SKIP;
	c = mptcp(v);
	rc = s_connect(c, v->ip, next_port());
	if (rc == -EINPROGRESS)
		rc = s_connect_result(c, 5000);
	WANT(rc == -ECONNREFUSED);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")

const struct scenario mptcp_scenarios[] = {
	{ .name = "mptcp4_bind", .fn = mptcp_bind, .needs = 0,
	  .v = { TCP4, .flags = V_EXPLICIT },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp6_bind_zero", .fn = mptcp_bind, .needs = NEED_IPV6,
	  .v = { TCP6 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_bind_EADDRINUSE", .fn = mptcp_bind_taken, .needs = 0,
	  .v = { TCP4 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_listen_nobind", .fn = mptcp_listen_nobind, .needs = 0,
	  .v = { TCP4 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp4", .fn = mptcp_connect, .needs = 0,
	  .v = { TCP4, .n = 3 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp4_server_first", .fn = mptcp_connect, .needs = 0,
	  .v = { TCP4, .n = 3, .flags = V_SERVER_FIRST },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp6", .fn = mptcp_connect, .needs = NEED_IPV6,
	  .v = { TCP6, .n = 3 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp4_nb", .fn = mptcp_connect, .needs = 0,
	  .v = { TCP4, .n = 3, .flags = V_NONBLOCK },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_client_tcp_server", .fn = mptcp_connect, .needs = 0,
	  .v = { TCP4, .n = 1 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "tcp_client_mptcp_server", .fn = mptcp_connect, .needs = 0,
	  .v = { TCP4, .n = 2 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_refused", .fn = mptcp_refused, .needs = 0,
	  .v = { TCP4 },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp6_refused_nb", .fn = mptcp_refused, .needs = NEED_IPV6,
	  .v = { TCP6, .flags = V_NONBLOCK },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	SC_END,
};
