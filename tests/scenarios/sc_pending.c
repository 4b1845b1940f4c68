// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * TCP connect() that waits: a listener whose queue is full drops the SYN, so the attempt stays
 * in SYN_SENT for as long as the scenario likes, on loopback and without any device.
 */
#define _GNU_SOURCE
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <sys/time.h>
#include <unistd.h>

#include "workload.h"

struct full {
	struct sock *listener, *filler;
};

/* Backlog 0 takes one connection, once it is in the queue; the next SYN is dropped. */
static int full_listener(struct full *f)
{
	struct pollfd pfd = { .events = POLLIN };

	f->listener = s_listener(AF_INET, "127.0.0.1", 0);
	f->filler = s_open(AF_INET, SOCK_STREAM);
	if (!f->listener || !f->filler)
		return -EINVAL;
	if (s_connect(f->filler, "127.0.0.1", f->listener->local.port))
		return -errno;
	pfd.fd = f->listener->fd;
	return poll(&pfd, 1, 5000) == 1 ? 0 : -ETIMEDOUT;
}

static int join(struct full *f, struct sock *c)
{
	return s_connect(c, "127.0.0.1", f->listener->local.port);
}

/* Room in the queue, and the retried SYN of c, a second after the first, is answered. */
static int drain(struct full *f, struct sock *c)
{
	WANT(s_accept(f->listener, true));
	WANT(s_connect_result(c, 10000) == 0);
	WANT(s_accept(f->listener, true));
	return 0;
}

static int delayed_ok(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM | SOCK_NONBLOCK);
	struct full f;

	WANT(c && full_listener(&f) == 0);
	WANT(join(&f, c) == -EINPROGRESS);
	WANT(join(&f, c) == -EALREADY);
	return drain(&f, c);
}

static int closed_in_syn_sent(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM | SOCK_NONBLOCK);
	struct full f;

	WANT(c && full_listener(&f) == 0);
	WANT(join(&f, c) == -EINPROGRESS);
	s_close(c);
	return 0;
}

static int disconnect_in_syn_sent(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM | SOCK_NONBLOCK);
	struct full f;

	WANT(c && full_listener(&f) == 0);
	WANT(join(&f, c) == -EINPROGRESS);
	WANT(s_disconnect(c) == 0);
	return 0;
}

/* connect() returns early, the attempt goes on and succeeds. */
static int send_timeout(const struct variant *v)
{
	struct timeval tv = { .tv_usec = 100000 };
	struct sock *c = s_open(v->family, SOCK_STREAM);
	struct full f;

	WANT(c && full_listener(&f) == 0);
	WANT(setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv)) == 0);
	WANT(join(&f, c) == -EINPROGRESS);
	return drain(&f, c);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static int interrupted(const struct variant *v)
{
	struct itimerval in = { .it_value = { .tv_usec = 100000 } };
	struct sigaction sa = { .sa_handler = on_alarm };
	struct sock *c = s_open(v->family, SOCK_STREAM);
	struct full f;

	WANT(c && full_listener(&f) == 0);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &in, NULL);
	WANT(join(&f, c) == -EINTR);
	s_close(c);
	return 0;
}

static int timed_out(const struct variant *v)
{
	struct sock *c = s_open(v->family,
				SOCK_STREAM | (v->flags & V_NONBLOCK ? SOCK_NONBLOCK : 0));
	struct full f;

	WANT(c && full_listener(&f) == 0);
	WANT(s_set(c, IPPROTO_TCP, TCP_SYNCNT, 1) == 0);
	if (!(v->flags & V_NONBLOCK)) {
		WANT(join(&f, c) == -ETIMEDOUT);
		return 0;
	}
	WANT(join(&f, c) == -EINPROGRESS);
	WANT(s_connect_result(c, 15000) == -ETIMEDOUT);
	return 0;
}

/* Nobody answers ARP on a veth whose other end has no address. */
static int dead_neighbour(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM | SOCK_NONBLOCK);

	WANT(c);
	if (netns_veth("pt0", "pt1") || netns_up("pt0") || netns_up("pt1"))
		return sc_skip("the kernel has no veth devices");
	WANT(netns_addr4("pt0", "192.0.2.1", 24) == 0);
	write_text("/proc/sys/net/ipv4/neigh/pt0/mcast_solicit", "1");
	write_text("/proc/sys/net/ipv4/neigh/pt0/retrans_time_ms", "200");
	WANT(s_connect(c, v->ip, 9) == -EINPROGRESS);
	WANT(s_connect_result(c, 15000) == -EHOSTUNREACH);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")

const struct scenario pending_scenarios[] = {
	SC("tcp4_delayed_ok_nb", delayed_ok, OWN_NETNS, TCP4),
	SC("tcp4_closed_in_SYN_SENT", closed_in_syn_sent, OWN_NETNS, TCP4),
	SC("tcp4_disconnect_SYN_SENT", disconnect_in_syn_sent, OWN_NETNS, TCP4),
	SC("tcp4_SNDTIMEO", send_timeout, OWN_NETNS, TCP4),
	SC("tcp4_EINTR", interrupted, OWN_NETNS, TCP4),
	SC("tcp4_ETIMEDOUT", timed_out, OWN_NETNS, TCP4),
	SC("tcp4_ETIMEDOUT_nb", timed_out, OWN_NETNS, TCP4, .flags = V_NONBLOCK),
	SC("tcp4_EHOSTUNREACH_neigh", dead_neighbour, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "192.0.2.99")),
	SC_END,
};
