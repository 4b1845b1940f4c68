// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Namespaces, addresses, and what the kernel tells about a socket without an event. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "random.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* The longest chain of packets that one call starts: SYN, SYN-ACK, ACK, or FIN, ACK; one more for the answer to it. */
#define SETTLE_ROUNDS 4

static void loopback_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr))
		die("lo up");
	close(fd);
}

static void set_range(void)
{
	int fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);

	if (fd < 0 || dprintf(fd, "%d %d\n", RANGE_LOW, RANGE_HIGH) < 0)
		die("ip_local_port_range");
	close(fd);
}

void net_make_namespaces(void)
{
	struct stat st;

	for (int i = 0; i < NAMESPACES; i++) {
		if (unshare(CLONE_NEWNET))
			die("unshare");
		loopback_up();
		set_range();
		shared->ns_fds[i] = open("/proc/thread-self/ns/net", O_RDONLY);
		if (shared->ns_fds[i] < 0 || fstat(shared->ns_fds[i], &st))
			die("ns/net");
		shared->netns[i] = (uint32_t)st.st_ino;
	}
}

void net_enter(int ns)
{
	if (setns(shared->ns_fds[ns], CLONE_NEWNET))
		die("setns");
	self->ns = ns;
}

struct addr net_of(const void *sa, socklen_t len)
{
	const struct sockaddr_in6 *in6 = sa;
	const struct sockaddr_in *in = sa;
	struct addr a = {};

	if (len >= sizeof(*in6) && in->sin_family == AF_INET6) {
		a = (struct addr){ AF_INET6, ntohs(in6->sin6_port), {} };
		memcpy(a.ip, &in6->sin6_addr, 16);
	} else if (len >= sizeof(*in) && in->sin_family == AF_INET) {
		a = (struct addr){ AF_INET, ntohs(in->sin_port), {} };
		memcpy(a.ip, &in->sin_addr, 4);
	}
	return a;
}

static struct addr ask(int fd, int (*fn)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (fn(fd, (struct sockaddr *)&ss, &len))
		return (struct addr){};
	return net_of(&ss, len);
}

struct addr net_local(int fd)
{
	return ask(fd, getsockname);
}

struct addr net_peer(int fd)
{
	return ask(fd, getpeername);
}

struct addr net_addr(int family, const char *ip, int port)
{
	struct addr a = { (uint16_t)family, (uint16_t)port, {} };

	inet_pton(family, ip, a.ip);
	return a;
}

socklen_t net_fill(struct sockaddr_storage *ss, const struct addr *a)
{
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_in *in = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = a->family;
	if (a->family == AF_INET6) {
		in6->sin6_port = htons(a->port);
		memcpy(&in6->sin6_addr, a->ip, 16);
		return sizeof(*in6);
	}
	in->sin_port = htons(a->port);
	memcpy(&in->sin_addr, a->ip, 4);
	return sizeof(*in);
}

bool net_is_mapped(const struct addr *a)
{
	return a->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)a->ip);
}

/* v4-mapped and IPv4 are the same address. */
bool net_same(const struct addr *a, const struct addr *b)
{
	const uint8_t *ip_a = net_is_mapped(a) ? a->ip + 12 : a->ip, *ip_b = net_is_mapped(b) ? b->ip + 12 : b->ip;
	bool v6_a = a->family == AF_INET6 && !net_is_mapped(a), v6_b = b->family == AF_INET6 && !net_is_mapped(b);

	return a->family && b->family && a->port == b->port && v6_a == v6_b && !memcmp(ip_a, ip_b, v6_a ? 16 : 4);
}

bool net_is_any(const struct addr *a)
{
	static const uint8_t zero[16];

	return net_is_mapped(a) ? !memcmp(a->ip + 12, zero, 4) : !memcmp(a->ip, zero, 16);
}

/* Asking makes the kernel give one, so ask before the first event. */
uint64_t net_cookie(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

static bool info(int fd, struct tcp_info *ret)
{
	socklen_t len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	return !getsockopt(fd, IPPROTO_TCP, TCP_INFO, ret, &len);
}

/* 0: not TCP. */
int net_state(int fd)
{
	struct tcp_info ti;

	return info(fd, &ti) ? ti.tcpi_state : 0;
}

/* Of a listener: connections that wait for accept(). */
bool net_queue(int fd, unsigned int *ret_length, unsigned int *ret_max)
{
	struct tcp_info ti;

	if (!info(fd, &ti) || ti.tcpi_state != 10 /* TCP_LISTEN */)
		return false;
	*ret_length = ti.tcpi_unacked;
	*ret_max = ti.tcpi_sacked;
	return true;
}

/* A UDP socket that talks to itself. Its own events are part of the test. */
void net_settle_open(void)
{
	struct addr at = net_addr(AF_INET, "127.0.0.1", SETTLE_FIRST + self->lead);
	struct slot *s = call_socket(AF_INET, SOCK_DGRAM, false, false);
	struct timeval patience = { .tv_sec = 5 };

	if (!s || call_bind(s, &at, sizeof(struct sockaddr_in)) ||
	    call_connect(s, &at, sizeof(struct sockaddr_in)))
		die("the socket to settle with");
	setsockopt(s->fds[0], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	self->settle_fd = s->fds[0];
	memset(s, 0, sizeof(*s));
}

/*
 * The loopback device puts each packet into one queue of the CPU, and this process stays on one: when its own
 * datagram comes back, what was sent before it has arrived.
 */
void net_settle(void)
{
	char c = 'x';

	for (int i = 0; i < SETTLE_ROUNDS; i++)
		if (send(self->settle_fd, &c, 1, 0) != 1 || recv(self->settle_fd, &c, 1, 0) != 1)
			die("settle");
}
