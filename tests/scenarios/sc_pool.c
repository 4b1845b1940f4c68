// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The two halves of the ephemeral range, and the wall between them: 100 ports in a namespace of its own, so the 51st
 * is the first of the second half, and for the 101st there is none.
 */
#define _GNU_SOURCE
#include <unistd.h>

#include "workload.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

#define POOL_RANGE "/proc/sys/net/ipv4/ip_local_port_range"

enum { POOL_LOW = 40000, POOL_PORTS = 100, POOL_HALF = POOL_PORTS / 2 };

static int pool_begin(void)
{
	return write_text(POOL_RANGE, "40000 40099") ? sc_skip("ip_local_port_range cannot be set") : 0;
}

/* The cgroup backend reads the range in /proc of the process. */
static void pool_stay(void)
{
	usleep(300000);
}

static bool pool_is_even(const struct sock *s)
{
	return s->local.port % 2 == 0;
}

typedef int (*pool_take_fn)(struct sock *s, const struct variant *v, struct sock *l);

static int pool_connect(struct sock *s, const struct variant *v, struct sock *l)
{
	int rc = s_connect(s, v->ip, l->local.port);

	if (rc)
		return rc;
	return s_accept(l, true) ? 0 : -EIO;
}

static int pool_bind(struct sock *s, const struct variant *v, struct sock *l)
{
	(void)l;
	if (v->flags & V_REUSEADDR && s_set(s, SOL_SOCKET, SO_REUSEADDR, 1))
		return -errno;
	return s_bind(s, v->ip, 0);
}

static int pool_listen(struct sock *s, const struct variant *v, struct sock *l)
{
	(void)v;
	(void)l;
	return s_listen(s, 1);
}

/* One more; `wall`: it is to be announced. */
static int pool_one(const struct variant *v, pool_take_fn take, struct sock *l, bool wall, struct sock **ret)
{
	struct sock *s = s_open(v->family, v->type);

	if (!s)
		return -EMFILE;
	s->wall = wall;
	*ret = s;
	return take(s, v, l);
}

/*
 * All of them, and one too many. `first_even`: the first half are the even ports. `wall`: how many are taken before
 * the one that is announced.
 */
static int pool_fill(const struct variant *v, pool_take_fn take, struct sock *l, bool first_even, int wall)
{
	struct sock *s;

	for (int i = 0; i < POOL_PORTS; i++) {
		WANT(pool_one(v, take, l, i == wall, &s) == 0);
		if (wall == POOL_HALF)
			WANT(pool_is_even(s) == (first_even == (i < POOL_HALF)));
	}
	WANT(pool_one(v, take, l, false, &s) == -v->err);
	pool_stay();
	return 0;
}

static int pool_fill_connect(const struct variant *v)
{
	struct sock *l;

	WANT(pool_begin() == 0);
	l = s_listener(v->family, v->ip, 128);
	WANT(l);
	return pool_fill(v, pool_connect, l, true, POOL_HALF);
}

/* SO_REUSEADDR: both parities of 40000 to 40049, then those above. */
static int pool_fill_bind(const struct variant *v)
{
	WANT(pool_begin() == 0);
	return pool_fill(v, pool_bind, NULL, false, v->flags & V_REUSEADDR ? POOL_PORTS * 3 / 4 : POOL_HALF);
}

static int pool_fill_listen(const struct variant *v)
{
	WANT(pool_begin() == 0);
	return pool_fill(v, pool_listen, NULL, false, POOL_HALF);
}

/* Both ends, without TIME_WAIT. */
static int pool_hang_up(struct sock *c, struct sock *a)
{
	WANT(s_linger0(c) == 0);
	WANT(s_close(c) == 0);
	WANT(s_wait_end(a));
	return s_close(a);
}

/* More connections than the half has ports, but not at once: it is enough. */
static int pool_churn(const struct variant *v)
{
	struct sock *l, *c, *a;

	WANT(pool_begin() == 0);
	l = s_listener(v->family, v->ip, 8);
	WANT(l);
	for (int i = 0; i < v->n; i++) {
		WANT(s_pair(l, v->ip, &c, &a) == 0);
		WANT(pool_is_even(c));
		WANT(pool_hang_up(c, a) == 0);
	}
	return 0;
}

/* Past the wall, down to 40 %, and up again: announced twice. */
static int pool_again(const struct variant *v)
{
	struct sock *l, *c[POOL_HALF], *a[POOL_HALF], *s;

	WANT(pool_begin() == 0);
	l = s_listener(v->family, v->ip, 128);
	WANT(l);
	for (int i = 0; i < POOL_HALF; i++)
		WANT(s_pair(l, v->ip, &c[i], &a[i]) == 0);
	WANT(pool_one(v, pool_connect, l, true, &s) == 0 && !pool_is_even(s));
	for (int i = 0; i < v->n; i++)
		WANT(pool_hang_up(c[i], a[i]) == 0);
	for (int i = 0; i < v->n; i++)
		WANT(pool_one(v, pool_connect, l, false, &s) == 0 && pool_is_even(s));
	WANT(pool_one(v, pool_connect, l, v->n * 10 >= POOL_PORTS, &s) == 0 && !pool_is_even(s));
	pool_stay();
	return 0;
}

/* The socket's own range: 10 ports for each of the two ways. */
static int pool_own_range(const struct variant *v)
{
	struct sock *l, *s;

	WANT(pool_begin() == 0);
	l = s_listener(v->family, v->ip, 16);
	WANT(l);
	for (int i = 0; i < 10; i++) {
		s = s_open(v->family, v->type);
		WANT(s);
		if (s_set(s, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 40011 | 40020 << 16))
			return sc_skip("no IP_LOCAL_PORT_RANGE here");
		WANT((v->flags & V_ZERO ? s_bind(s, v->ip, 0) : s_connect(s, v->ip, l->local.port)) == 0);
		WANT(s->local.port >= 40011 && s->local.port <= 40020);
	}
	pool_stay();
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_STREAM, "::ffff:127.0.0.1")

const struct scenario pool_scenarios[] = {
	SC("pool_tcp4_connect", pool_fill_connect, OWN_NETNS, TCP4, .err = EADDRNOTAVAIL),
	SC("pool_tcp6_connect", pool_fill_connect, OWN_NETNS | NEED_IPV6, TCP6, .err = EADDRNOTAVAIL),
	SC("pool_tcp6_mapped_connect", pool_fill_connect, OWN_NETNS | NEED_IPV6, MAPPED, .err = EADDRNOTAVAIL),
	SC("pool_tcp4_bind0", pool_fill_bind, OWN_NETNS, TCP4, .err = EADDRINUSE),
	SC("pool_tcp6_bind0", pool_fill_bind, OWN_NETNS | NEED_IPV6, TCP6, .err = EADDRINUSE),
	SC("pool_tcp4_bind0_reuseaddr", pool_fill_bind, OWN_NETNS, TCP4, .err = EADDRINUSE,
	   .flags = V_REUSEADDR),
	SC("pool_tcp_listen", pool_fill_listen, OWN_NETNS, TCP4, .err = EADDRINUSE),
	SC("pool_churn", pool_churn, OWN_NETNS, TCP4, .n = 60),
	SC("pool_again", pool_again, OWN_NETNS, TCP4, .n = 20),
	SC("pool_not_yet_again", pool_again, OWN_NETNS, TCP4, .n = 5),
	SC("pool_own_range_connect", pool_own_range, OWN_NETNS, TCP4),
	SC("pool_own_range_bind0", pool_own_range, OWN_NETNS, TCP4, .flags = V_ZERO),
	SC_END,
};
