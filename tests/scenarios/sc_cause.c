// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who has the port, and what else stands between a program and one. */
#define _GNU_SOURCE
#include <grp.h>
#include <net/if.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "workload.h"

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* ---- holders ---- */

static int refused_bind(const struct variant *v, int port, const char *kind, const struct sock *by)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	s_held(s, kind, by);
	WANT(s_bind(s, v->ip, port) == -EADDRINUSE);
	return 0;
}

static int held_by_listener(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3);

	WANT(l);
	return refused_bind(v, l->local.port, "listener", l);
}

/* A client that bound its port itself, and is connected. */
static int held_by_connection(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);
	int port = next_port();

	WANT(l && c);
	WANT(s_bind(c, v->ip, port) == 0);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(s_accept(l, true));
	return refused_bind(v, port, "connection", c);
}

/* The listener is gone, a connection that it accepted still has the port. */
static int held_by_accepted(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a;
	int port;

	WANT(l);
	port = l->local.port;
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(s_close(l) == 0);
	return refused_bind(v, port, "connection", a);
}

/* The server closes first, so that its port waits; SO_REUSEADDR has to be said by both. */
static int make_time_wait(const struct variant *v, struct sock *ret)
{
	struct sock *l = s_open(v->family, SOCK_STREAM), *c, *a;

	WANT(l);
	WANT(s_set(l, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_bind(l, v->ip, next_port()) == 0);
	WANT(s_listen(l, 3) == 0);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	*ret = *a;
	WANT(s_close(a) == 0);
	WANT(s_recv(c, 1) == 0);
	WANT(s_close(c) == 0);
	WANT(s_close(l) == 0);
	return 0;
}

static int bind_in_time_wait(const struct variant *v, const struct sock *was, bool exited)
{
	struct sock *s = s_open(v->family, v->type), *t = s_open(v->family, v->type);

	WANT(s && t);
	s_held(s, "time-wait", was);
	s->held.expires = 60;
	s->held.exited = exited;
	WANT(s_bind(s, v->ip, was->local.port) == -EADDRINUSE);
	/* Which is what SO_REUSEADDR is for. */
	WANT(s_set(t, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_bind(t, v->ip, was->local.port) == 0);
	return 0;
}

static int held_by_time_wait(const struct variant *v)
{
	struct sock was;

	WANT(make_time_wait(v, &was) == 0);
	return bind_in_time_wait(v, &was, false);
}

struct other {
	const struct variant *v;
	int fd[2];
	int (*make)(const struct variant *v, struct sock *ret);
};

static int other_process(void *arg)
{
	struct other *o = arg;
	struct sock s;

	prctl(PR_SET_NAME, "wl-other");
	if (o->v->flags & V_EXPLICIT && (setgroups(0, NULL) || setuid(NOBODY_UID)))
		return SC_BAD;
	prctl(PR_SET_DUMPABLE, 1);
	if (o->make(o->v, &s) || write(o->fd[1], &s, sizeof(s)) != sizeof(s))
		return SC_BAD;
	close(o->fd[1]);
	/* Until the parent has tried. */
	if (!o->v->n)
		pause();
	return 0;
}

static int make_listener(const struct variant *v, struct sock *ret)
{
	struct sock *l = s_listener(v->family, v->ip, 3);

	WANT(l);
	*ret = *l;
	return 0;
}

static int make_udp(const struct variant *v, struct sock *ret)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s && s_bind(s, v->ip, next_port()) == 0);
	*ret = *s;
	return 0;
}

static pid_t other_start(struct other *o, struct sock *ret)
{
	pid_t pid;

	if (pipe(o->fd))
		return -errno;
	pid = spawn(other_process, o);
	close(o->fd[1]);
	if (read(o->fd[0], ret, sizeof(*ret)) != sizeof(*ret))
		return -EIO;
	close(o->fd[0]);
	return pid;
}

/* V_EXPLICIT: and another user's. */
static int held_by_other(const struct variant *v)
{
	struct other o = { .v = v, .make = v->type == SOCK_DGRAM ? make_udp : make_listener };
	struct sock theirs;
	pid_t pid = other_start(&o, &theirs);
	struct who who;
	int rc;

	WANT(pid > 0);
	rc = refused_bind(v, theirs.local.port, v->type == SOCK_DGRAM ? "bound" : "listener",
			  &theirs);
	kill(pid, SIGKILL);
	WANT(reap(pid) == -SIGKILL);
	who = theirs.maker;
	strcpy(who.ended, "SIGKILL");
	rec_close(&theirs, &who);
	return rc;
}

/* Its process is gone, the port waits on. */
static int held_by_exited(const struct variant *v)
{
	struct other o = { .v = v, .make = make_time_wait };
	struct sock theirs;
	pid_t pid = other_start(&o, &theirs);

	WANT(pid > 0);
	WANT(reap(pid) == 0);
	return bind_in_time_wait(v, &theirs, true);
}

static int held_listen(const struct variant *v)
{
	struct sock *a = s_open(v->family, SOCK_STREAM), *b = s_open(v->family, SOCK_STREAM);
	int port = next_port();

	WANT(a && b);
	WANT(s_set(a, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_set(b, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_bind(a, v->ip, port) == 0);
	WANT(s_bind(b, "0.0.0.0", port) == 0);
	WANT(s_listen(b, 4) == 0);
	s_held(a, "listener", b);
	WANT(s_listen(a, 4) == -EADDRINUSE);
	return 0;
}

/* ---- addresses ---- */

/* A listener on another device is in nobody's way: it is the bound socket of one's own. */
static int held_on_own_device(const struct variant *v)
{
	struct sock *s[3];
	int port = next_port();

	if (netns_link("ptd0", "dummy", 0))
		return sc_skip("the kernel has no dummy devices");
	for (int i = 0; i < 3; i++) {
		s[i] = s_open(v->family, v->type);
		WANT(s[i]);
		WANT(s_set(s[i], SOL_SOCKET, SO_BINDTOIFINDEX, if_nametoindex(i ? "ptd0" : "lo")) == 0);
	}
	WANT(s_bind(s[0], v->ip, port) == 0);
	WANT(s_listen(s[0], 3) == 0);
	WANT(s_bind(s[1], v->ip, port) == 0);
	s_held(s[2], "bound", s[1]);
	WANT(s_bind(s[2], v->ip, port) == -EADDRINUSE);
	return 0;
}

/* A route, but nothing to be seen as: IPv6 has no address of its own here. */
static int no_address(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	if (netns_link("ptd0", "dummy", 0))
		return sc_skip("the kernel has no dummy devices");
	write_text("/proc/sys/net/ipv6/conf/lo/disable_ipv6", "1");
	WANT(write_text("/proc/sys/net/ipv6/conf/ptd0/addr_gen_mode", "1") == 0);
	WANT(netns_up("ptd0") == 0);
	WANT(netns_route6("2001:db8::", 64, "ptd0") == 0);
	s->cause = "no_address";
	if (v->type == SOCK_DGRAM)
		WANT(s_udp_connect(s, v->ip, 9) == -EADDRNOTAVAIL);
	else
		WANT(s_connect(s, v->ip, 9) == -EADDRNOTAVAIL);
	return 0;
}

/* Privileged is not what the number says but what the namespace says. */
static int privileged_start(const struct variant *v)
{
	struct sock *s;
	int port;

	if (write_text("/proc/sys/net/ipv4/ip_unprivileged_port_start", "30100"))
		return sc_skip("ip_unprivileged_port_start cannot be set");
	if (setgroups(0, NULL) || setresuid(NOBODY_UID, NOBODY_UID, NOBODY_UID))
		return sc_skip("cannot become uid 65534");
	prctl(PR_SET_DUMPABLE, 1);
	port = 30099;
	s = s_open(v->family, v->type);
	WANT(s);
	WANT(s_bind(s, v->ip, port) == -EACCES);
	WANT(s_bind(s, v->ip, port + 1) == 0);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define OUT6(t) AT(AF_INET6, t, "2001:db8::1")

const struct scenario cause_scenarios[] = {
	SC("held_by_listener", held_by_listener, 0, TCP4),
	SC("held_by_listener_tcp6", held_by_listener, NEED_IPV6, TCP6),
	SC("held_by_connection", held_by_connection, 0, TCP4),
	SC("held_by_accepted", held_by_accepted, 0, TCP4),
	SC("held_by_time_wait", held_by_time_wait, 0, TCP4),
	SC("held_by_time_wait_tcp6", held_by_time_wait, NEED_IPV6, TCP6),
	SC("held_by_other", held_by_other, 0, TCP4),
	SC("held_by_other_user", held_by_other, NEED_ROOT, TCP4, .flags = V_EXPLICIT),
	SC("held_by_other_udp", held_by_other, 0, UDP4),
	SC("held_by_exited", held_by_exited, 0, TCP4, .n = 1),
	SC("held_listen_any", held_listen, 0, TCP4),
	SC("held_on_own_device", held_on_own_device, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "0.0.0.0")),
	SC("no_address_tcp6", no_address, OWN_NETNS | NEED_IPV6, OUT6(SOCK_STREAM)),
	SC("no_address_udp6", no_address, OWN_NETNS | NEED_IPV6, OUT6(SOCK_DGRAM)),
	SC("privileged_start_tcp4", privileged_start, OWN_NETNS, TCP4),
	SC("privileged_start_udp4", privileged_start, OWN_NETNS, UDP4),
	SC_END,
};
