// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* MPTCP: one socket of the program's, one or several TCP connections of the kernel's below it. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/mptcp.h>
#include <stdio.h>
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

/* ---- a second path ---- */

#define SECOND_PATH "192.0.2.2"

/* How many established ends of TCP connections have the address. */
static int ends_at(const char *ip)
{
	unsigned int want = inet_addr(ip), local, remote, state;
	FILE *f = fopen("/proc/thread-self/net/tcp", "re");
	char line[512];
	int count = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %x:%*x %x:%*x %x", &local, &remote, &state) == 3 &&
		    state == 1 && (local == want || remote == want))
			count++;
	if (f)
		fclose(f);
	return count;
}

static bool second_path_comes(void)
{
	for (int i = 0; i < 500 && ends_at(SECOND_PATH) < 2; i++)
		usleep(10000);
	return ends_at(SECOND_PATH) == 2;
}

struct pair_of_mptcp {
	struct sock *c, *a;
};

/* A connection that is ready for a second path. */
static int mptcp_pair(const struct variant *v, const char *listen_at, struct pair_of_mptcp *ret)
{
	struct sock *l;

	if (have_mptcp(v))
		return SC_SKIP;
	WANT(netns_addr4("lo", v->ip, 32) == 0);
	WANT(netns_addr4("lo", SECOND_PATH, 32) == 0);
	if (netns_mptcp_endpoint4(SECOND_PATH, v->n))
		return sc_skip("no paths of MPTCP can be configured");
	l = mptcp(v);
	ret->c = mptcp(v);
	WANT(l && ret->c);
	WANT(s_bind(l, listen_at, next_port()) == 0);
	WANT(s_listen(l, 4) == 0);
	WANT(s_connect(ret->c, v->ip, l->local.port) == 0);
	ret->a = s_accept(l, true);
	WANT(ret->a);
	WANT(s_transfer(ret->c, ret->a, 100) == 0);
	return s_transfer(ret->a, ret->c, 50);
}

/*
 * The kernel opens another path, from the second address or (n: MPTCP_PM_ADDR_FLAG_SIGNAL) to it:
 * for the programs there is still one connection.
 */
static int mptcp_joined(const struct variant *v)
{
	struct pair_of_mptcp p;
	int rc = mptcp_pair(v, "0.0.0.0", &p);

	if (rc)
		return rc;
	WANT(second_path_comes());
	WANT(s_transfer(p.c, p.a, 100000) == 0);
	return s_close(v->flags & V_SERVER_FIRST ? p.a : p.c);
}

/* Attempts to connect that failed, of this namespace. */
static int failed_attempts(void)
{
	FILE *f = fopen("/proc/thread-self/net/snmp", "re");
	char line[512];
	int count = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Tcp: %*d %*d %*d %*d %*d %*d %d", &count) == 1)
			break;
	if (f)
		fclose(f);
	return count;
}

/* Nobody listens at the address that was signalled: no program made that attempt. */
static int mptcp_join_refused(const struct variant *v)
{
	struct pair_of_mptcp p;
	int rc = mptcp_pair(v, v->ip, &p);

	if (rc)
		return rc;
	for (int i = 0; i < 500 && !failed_attempts(); i++)
		usleep(10000);
	WANT(failed_attempts() > 0);
	WANT(s_transfer(p.c, p.a, 100000) == 0);
	return s_close(p.c);
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
	{ .name = "mptcp_second_path", .fn = mptcp_joined, .needs = OWN_NETNS,
	  .v = { AT(AF_INET, SOCK_STREAM, "192.0.2.1"), .n = MPTCP_PM_ADDR_FLAG_SUBFLOW },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_second_path_server_first", .fn = mptcp_joined, .needs = OWN_NETNS,
	  .v = { AT(AF_INET, SOCK_STREAM, "192.0.2.1"), .n = MPTCP_PM_ADDR_FLAG_SUBFLOW, .flags = V_SERVER_FIRST },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_second_path_signalled", .fn = mptcp_joined, .needs = OWN_NETNS,
	  .v = { AT(AF_INET, SOCK_STREAM, "192.0.2.1"), .n = MPTCP_PM_ADDR_FLAG_SIGNAL },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	{ .name = "mptcp_second_path_refused", .fn = mptcp_join_refused, .needs = OWN_NETNS,
	  .v = { AT(AF_INET, SOCK_STREAM, "192.0.2.1"), .n = MPTCP_PM_ADDR_FLAG_SIGNAL },
	  .cgroup_blind = "cgroup programs see the paths of an MPTCP socket, not the socket" },
	SC_END,
};
