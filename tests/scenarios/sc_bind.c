// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* bind(): each way to get a port and each way to be refused one; listen(). */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <unistd.h>

#include "workload.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* V_EXPLICIT or V_ZERO; V_V6ONLY; V_NO_PORT. */
static int bind_one(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	if (v->flags & V_V6ONLY)
		WANT(s_set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0);
	if (v->flags & V_NO_PORT)
		WANT(s_set(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) == 0);
	WANT(s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == -v->err);
	return 0;
}

/* A v4 and a v6-only socket share a port number. */
static int bind_v6only_pair(const struct variant *v)
{
	struct sock *a = s_open(AF_INET6, v->type), *b = s_open(AF_INET, v->type);
	int port = next_port();

	WANT(a && b);
	WANT(s_set(a, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0);
	WANT(s_bind(a, "::", port) == 0);
	WANT(s_bind(b, "0.0.0.0", port) == 0);
	return 0;
}

static int bind_taken(const struct variant *v)
{
	struct sock *a = s_open(v->family, v->type), *b = s_open(v->family, v->type);
	int port = next_port();

	WANT(a && b);
	WANT(s_bind(a, v->ip, port) == 0);
	s_held(b, "bound", a);
	WANT(s_bind(b, v->ip, port) == -EADDRINUSE);
	return 0;
}

/* Refused first, then the same socket gets another port. */
static int bind_taken_then_ok(const struct variant *v)
{
	struct sock *a = s_open(v->family, v->type), *b = s_open(v->family, v->type);
	int port = next_port();

	WANT(a && b);
	WANT(s_bind(a, v->ip, port) == 0);
	s_held(b, "bound", a);
	WANT(s_bind(b, v->ip, port) == -EADDRINUSE);
	WANT(s_bind(b, v->ip, next_port()) == 0);
	return 0;
}

static int bind_privileged(const struct variant *v)
{
	int start = read_number("/proc/sys/net/ipv4/ip_unprivileged_port_start", 1024);
	struct sock *s;

	if (start < 2)
		return sc_skip("no privileged port here");
	s = s_open(v->family, v->type);
	WANT(s);
	WANT(s_bind(s, v->ip, start - 1) == -EACCES);
	return 0;
}

static int bind_twice(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(s_bind(s, v->ip, next_port()) == -EINVAL);
	return 0;
}

static int bind_short(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	struct sockaddr_storage ss;

	WANT(s);
	sa_fill(&ss, v->family, v->ip, next_port());
	/* Half an address: what porttrace makes of it is its own choice. */
	WANT(s_bind_sa(s, &ss, 8,
		       F_LOCAL_IP | F_LOCAL_PORT | F_REQ_IP | F_REQ_PORT | F_HOW | F_TYPE) == -EINVAL);
	return 0;
}

/* A v4 socket and a v6 address. */
static int bind_wrong_family(const struct variant *v)
{
	struct sock *s = s_open(AF_INET, v->type);
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, AF_INET6, "::1", next_port());

	WANT(s);
	WANT(s_bind_sa(s, &ss, len, F_LOCAL_IP | F_REQ_IP | F_TYPE) == -EAFNOSUPPORT);
	return 0;
}

static int listen_bound(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	WANT(s_bind(s, v->ip, v->flags & V_ZERO ? 0 : next_port()) == 0);
	WANT(s_listen(s, 7) == 0);
	return 0;
}

static int listen_nobind(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	WANT(s_listen(s, 9) == 0);
	return 0;
}

/* The kernel cuts the backlog to net.core.somaxconn. */
static int listen_clamped(const struct variant *v)
{
	return s_listener(v->family, v->ip, 1 << 20) ? 0 : SC_BAD;
}

static int listen_twice(const struct variant *v)
{
	struct sock *s = s_listener(v->family, v->ip, 3);

	WANT(s);
	WANT(s_listen(s, 6) == 0);
	return 0;
}

/* SO_REUSEADDR lets both bind; the second finds out at listen(). */
static int listen_taken(const struct variant *v)
{
	struct sock *a = s_open(v->family, SOCK_STREAM), *b = s_open(v->family, SOCK_STREAM);
	int port = next_port();

	WANT(a && b);
	WANT(s_set(a, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_set(b, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_bind(a, v->ip, port) == 0);
	WANT(s_bind(b, v->ip, port) == 0);
	WANT(s_listen(a, 4) == 0);
	s_held(b, "listener", a);
	WANT(s_listen(b, 4) == -EADDRINUSE);
	return 0;
}

static int reuseport_two(const struct variant *v)
{
	struct sock *s[2];
	int port = next_port();

	for (int i = 0; i < 2; i++) {
		s[i] = s_open(v->family, v->type);
		WANT(s[i]);
		WANT(s_set(s[i], SOL_SOCKET, SO_REUSEPORT, 1) == 0);
		WANT(s_bind(s[i], v->ip, port) == 0);
		if (v->type == SOCK_STREAM)
			WANT(s_listen(s[i], 5) == 0);
	}
	return 0;
}

#define NO_HOOK "the kernel runs no cgroup program for a too short address"
#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define UDP6 AT(AF_INET6, SOCK_DGRAM, "::1")
#define MAPPED "::ffff:127.0.0.1"

const struct scenario bind_scenarios[] = {
	SC("tcp4_bind_explicit", bind_one, 0, TCP4, .flags = V_EXPLICIT),
	SC("tcp4_bind_zero", bind_one, 0, TCP4, .flags = V_ZERO),
	SC("tcp4_bind_any", bind_one, 0,
	   AT(AF_INET, SOCK_STREAM, "0.0.0.0"), .flags = V_EXPLICIT),
	SC("tcp4_bind_no_port", bind_one, 0, TCP4, .flags = V_NO_PORT),
	SC("tcp6_bind_explicit", bind_one, NEED_IPV6, TCP6, .flags = V_EXPLICIT),
	SC("tcp6_bind_zero", bind_one, NEED_IPV6, TCP6, .flags = V_ZERO),
	SC("tcp6_v6only_bind", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, "::"), .flags = V_EXPLICIT | V_V6ONLY),
	SC("tcp6_dual_bind", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, "::"), .flags = V_EXPLICIT),
	SC("tcp6_mapped_bind", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, MAPPED), .flags = V_EXPLICIT),
	SC("tcp6_mapped_bind_zero", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, MAPPED), .flags = V_ZERO),
	SC("udp4_bind_explicit", bind_one, 0, UDP4, .flags = V_EXPLICIT),
	SC("udp4_bind_zero", bind_one, 0, UDP4, .flags = V_ZERO),
	SC("udp6_bind_explicit", bind_one, NEED_IPV6, UDP6, .flags = V_EXPLICIT),
	SC("udp6_bind_zero", bind_one, NEED_IPV6, UDP6, .flags = V_ZERO),
	SC("udp6_mapped_bind", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_DGRAM, MAPPED), .flags = V_EXPLICIT),
	SC("udp6_mapped_bind_zero", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_DGRAM, MAPPED), .flags = V_ZERO),
	SC("tcp_v6only_pair", bind_v6only_pair, NEED_IPV6, .type = SOCK_STREAM),
	SC("udp_v6only_pair", bind_v6only_pair, NEED_IPV6, .type = SOCK_DGRAM),
	SC("bind_EADDRINUSE_tcp4", bind_taken, 0, TCP4),
	SC("bind_EADDRINUSE_tcp6", bind_taken, NEED_IPV6, TCP6),
	SC("bind_EADDRINUSE_udp4", bind_taken, 0, UDP4),
	SC("bind_EADDRINUSE_udp6", bind_taken, NEED_IPV6, UDP6),
	SC("bind_EADDRINUSE_then_ok", bind_taken_then_ok, 0, TCP4),
	SC("bind_EACCES_tcp4", bind_privileged, AS_NOBODY, TCP4),
	SC("bind_EACCES_udp6", bind_privileged, AS_NOBODY | NEED_IPV6, UDP6),
	SC("bind_EADDRNOTAVAIL_tcp4", bind_one, 0,
	   AT(AF_INET, SOCK_STREAM, "203.0.113.77"), .flags = V_EXPLICIT, .err = EADDRNOTAVAIL),
	SC("bind_EADDRNOTAVAIL_tcp6", bind_one, NEED_IPV6,
	   AT(AF_INET6, SOCK_STREAM, "2001:db8::77"), .flags = V_EXPLICIT, .err = EADDRNOTAVAIL),
	SC("bind_EADDRNOTAVAIL_zero", bind_one, 0,
	   AT(AF_INET, SOCK_DGRAM, "203.0.113.77"), .flags = V_ZERO, .err = EADDRNOTAVAIL),
	SC("bind_EINVAL_twice", bind_twice, 0, TCP4),
	{ .name = "bind_EINVAL_short", .fn = bind_short, .v = { TCP4 }, .cgroup_blind = NO_HOOK },
	{ .name = "bind_EINVAL_short_tcp6", .fn = bind_short, .v = { TCP6 },
	  .needs = NEED_IPV6, .cgroup_blind = NO_HOOK },
	SC("bind_EAFNOSUPPORT", bind_wrong_family, 0, .type = SOCK_STREAM),
	SC_END,
};

const struct scenario listen_scenarios[] = {
	SC("tcp4_listen_bound", listen_bound, 0, TCP4),
	SC("tcp4_listen_bound_zero", listen_bound, 0, TCP4, .flags = V_ZERO),
	SC("tcp6_listen_bound", listen_bound, NEED_IPV6, TCP6),
	SC("tcp4_listen_nobind", listen_nobind, 0, TCP4),
	SC("tcp6_listen_nobind", listen_nobind, NEED_IPV6, TCP6),
	SC("tcp4_listen_clamped", listen_clamped, 0, TCP4),
	SC("tcp4_listen_twice", listen_twice, 0, TCP4),
	SC("listen_EADDRINUSE", listen_taken, 0, TCP4),
	SC("reuseport_two", reuseport_two, 0, TCP4),
	SC("reuseport_two_udp", reuseport_two, 0, UDP4),
	SC_END,
};
