// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* UDP: the binds that sendto() and connect() make by themselves; and ranges that run out. */
#define _GNU_SOURCE
#include <unistd.h>

#include "workload.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

/* Two sends: only the first one binds. */
static int udp_sendto(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);
	int port = next_port();

	WANT(s);
	WANT(s_sendto(s, v->ip, port) == -v->err);
	WANT(s_sendto(s, v->ip, port) <= 0);
	return 0;
}

static int udp_sendto_bound(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(s_sendto(s, v->ip, next_port()) == 0);
	return 0;
}

static int udp_bind(struct sock *s, const struct variant *v)
{
	if (v->flags & V_NO_PORT && s_set(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1))
		return -errno;
	if (v->flags & (V_EXPLICIT | V_NO_PORT))
		return s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0);
	return 0;
}

static int udp_connect(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(udp_bind(s, v) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == -v->err);
	return 0;
}

static int udp_connect_twice(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	return 0;
}

/* A port that was bound stays after connect(AF_UNSPEC); one that connect() took goes. */
static int udp_disconnect(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(udp_bind(s, v) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	WANT(s_disconnect(s) == 0);
	return 0;
}

#define NO_HOOK "the kernel runs no cgroup program for connect(AF_UNSPEC)"
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define UDP6 AT(AF_INET6, SOCK_DGRAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_DGRAM, "::ffff:127.0.0.1")
#define NOWHERE AT(AF_INET, SOCK_DGRAM, "198.51.100.1"), .err = ENETUNREACH

const struct scenario udp_scenarios[] = {
	SC("udp4_sendto_auto", udp_sendto, 0, UDP4),
	SC("udp6_sendto_auto", udp_sendto, NEED_IPV6, UDP6),
	SC("udp6_sendto_mapped_auto", udp_sendto, NEED_IPV6, MAPPED),
	SC("udp4_sendto_bound", udp_sendto_bound, 0, UDP4),
	SC("udp4_sendto_ENETUNREACH", udp_sendto, OWN_NETNS, NOWHERE),
	SC("udp4_conn", udp_connect, 0, UDP4),
	SC("udp6_conn", udp_connect, NEED_IPV6, UDP6),
	SC("udp6_mapped_conn", udp_connect, NEED_IPV6, MAPPED),
	SC("udp4_conn_bound", udp_connect, 0, UDP4, .flags = V_EXPLICIT),
	SC("udp4_conn_addr_no_port", udp_connect, 0, UDP4, .flags = V_NO_PORT),
	SC("udp4_conn_twice", udp_connect_twice, 0, UDP4),
	{ .name = "udp4_conn_disconnect", .fn = udp_disconnect, .v = { UDP4 },
	  .cgroup_blind = NO_HOOK },
	{ .name = "udp4_conn_disconnect_bound", .fn = udp_disconnect,
	  .v = { UDP4, .flags = V_EXPLICIT }, .cgroup_blind = NO_HOOK },
	SC("udp4_conn_ENETUNREACH", udp_connect, OWN_NETNS, NOWHERE),
	SC_END,
};

/* ---- a range of 11 ports ---- */

/*
 * The kernel may say "exhausted" with a port still free, so what counts is its word for each
 * call, and that the word comes before there are more sockets than ports.
 */
enum { TRIES = SMALL_RANGE_HI - SMALL_RANGE_LO + 2 };

static int exhaust(const struct variant *v, int (*take)(struct sock *s, const struct variant *v,
							 int port), int port)
{
	int rc = 0, i;

	for (i = 0; i < TRIES && rc == 0; i++) {
		struct sock *s = s_open(v->family, v->type);

		WANT(s);
		rc = take(s, v, port);
	}
	WANT(i > 2 && rc == -v->err);
	return 0;
}

static int take_by_connect(struct sock *s, const struct variant *v, int port)
{
	return s_connect(s, v->ip, port);
}

static int take_by_bind(struct sock *s, const struct variant *v, int port)
{
	return s_bind(s, v->ip, port);
}

static int take_by_listen(struct sock *s, const struct variant *v, int port)
{
	(void)v;
	return s_listen(s, port + 1);
}

static int take_by_sendto(struct sock *s, const struct variant *v, int port)
{
	return s_sendto(s, v->ip, port);
}

static int take_by_udp_connect(struct sock *s, const struct variant *v, int port)
{
	return s_udp_connect(s, v->ip, port);
}

static int exhaust_connect(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 32);

	WANT(l);
	return exhaust(v, take_by_connect, l->local.port);
}

static int exhaust_bind0(const struct variant *v)
{
	return exhaust(v, take_by_bind, 0);
}

static int exhaust_listen(const struct variant *v)
{
	return exhaust(v, take_by_listen, 0);
}

static int exhaust_sendto(const struct variant *v)
{
	return exhaust(v, take_by_sendto, next_port());
}

static int exhaust_udp_connect(const struct variant *v)
{
	return exhaust(v, take_by_udp_connect, next_port());
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define RANGE (OWN_NETNS | SMALL_RANGE)

const struct scenario exhaust_scenarios[] = {
	SC("exhaust_tcp4_connect", exhaust_connect, RANGE, TCP4, .err = EADDRNOTAVAIL),
	SC("exhaust_tcp6_connect", exhaust_connect, RANGE | NEED_IPV6, TCP6, .err = EADDRNOTAVAIL),
	SC("exhaust_tcp4_bind0", exhaust_bind0, RANGE, TCP4, .err = EADDRINUSE),
	SC("exhaust_tcp_listen", exhaust_listen, RANGE, TCP4, .err = EADDRINUSE),
	SC("exhaust_udp4_sendto", exhaust_sendto, RANGE, UDP4, .err = EAGAIN),
	SC("exhaust_udp6_bind0", exhaust_bind0, RANGE | NEED_IPV6, UDP6, .err = EADDRINUSE),
	{ .name = "exhaust_udp4_connect", .fn = exhaust_udp_connect, .v = { UDP4, .err = EAGAIN },
	  .needs = RANGE, .cgroup_blind = "connect() shows, that it found no port does not" },
	SC_END,
};
