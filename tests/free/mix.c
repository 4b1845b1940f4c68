// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets of all kinds, by chance, in a network namespace of their own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "mix.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

uint32_t mix_random(struct mix *m, uint32_t below)
{
	m->random += 0x9e3779b97f4a7c15ull; /* splitmix64 */
	uint64_t x = m->random;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ x >> 27) * 0x94d049bb133111ebull;
	return (uint32_t)((x ^ x >> 31) % below);
}

void mix_keep(struct mix *m, int fd)
{
	if (fd < 0)
		return;
	if (m->fd_count < MIX_MAX_FDS)
		m->fds[m->fd_count++] = fd;
	else
		close(fd);
}

socklen_t mix_address(union mix_address *ret, const char *text, int port)
{
	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		ret->in6.sin6_family = AF_INET6;
		ret->in6.sin6_port = htons((uint16_t)port);
		inet_pton(AF_INET6, text, &ret->in6.sin6_addr);
		return sizeof(ret->in6);
	}
	ret->in4.sin_family = AF_INET;
	ret->in4.sin_port = htons((uint16_t)port);
	inet_pton(AF_INET, text, &ret->in4.sin_addr);
	return sizeof(ret->in4);
}

int mix_socket(const union mix_address *address, int type)
{
	return socket(address->any.sa_family, type | SOCK_CLOEXEC, 0);
}

int mix_option(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof(value));
}

/* ---- the namespace ---- */

static int mix_write(const char *name, const char *value)
{
	char path[128];
	int fd, n = -1;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv4/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = (int)write(fd, value, strlen(value));
		close(fd);
	}
	return n < 0 ? -1 : 0;
}

static int mix_lo_up(void)
{
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), r = ioctl(fd, SIOCSIFFLAGS, &ifr);

	close(fd);
	return r;
}

static int mix_sysctls(struct mix *m)
{
	static const int sizes[] = { 40, 40, 40, 40, 40, 41, 39, 20 };
	char text[128];
	int n = 0;

	m->low = MIX_LOW + (int)mix_random(m, 2);
	m->high = m->low + sizes[mix_random(m, 8)] - 1;
	m->tw_reuse = (int)mix_random(m, 3);
	snprintf(text, sizeof(text), "%d %d", m->low, m->high);
	if (mix_write("ip_local_port_range", text) < 0)
		return -1;
	snprintf(text, sizeof(text), "%d", m->tw_reuse);
	if (mix_write("tcp_tw_reuse", text) < 0)
		return -1;
	text[0] = '\0';
	for (int i = (int)mix_random(m, 6); i > 0; i--)
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%s%d", n ? "," : "",
			      MIX_LOW + (int)mix_random(m, 40));
	return n ? mix_write("ip_local_reserved_ports", text) : 0;
}

static int mix_serve(const char *at, int port)
{
	union mix_address address;
	socklen_t len = mix_address(&address, at, port);
	int fd = mix_socket(&address, SOCK_STREAM | SOCK_NONBLOCK);

	mix_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (address.any.sa_family == AF_INET6)
		mix_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	return bind(fd, &address.any, len) < 0 || listen(fd, 4000) < 0 ? -1 : fd;
}

static bool mix_knows_range(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool known = mix_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0) == 0;

	close(fd);
	return known;
}

int mix_begin(struct mix *m)
{
	if (unshare(CLONE_NEWNET) < 0 || mix_lo_up() < 0 || mix_sysctls(m) < 0)
		return -1;
	m->has_range_option = mix_knows_range();
	for (int i = 0; i < MIX_SERVERS; i++) {
		m->servers[2 * i] = mix_serve("0.0.0.0", MIX_SERVER_PORT + i);
		m->servers[2 * i + 1] = mix_serve("::", MIX_SERVER_PORT + i);
		if (m->servers[2 * i] < 0 || m->servers[2 * i + 1] < 0)
			return -1;
	}
	return 0;
}

void mix_accept(struct mix *m)
{
	for (int i = 0; i < 2 * MIX_SERVERS; i++)
		for (int fd; (fd = accept4(m->servers[i], NULL, NULL, SOCK_CLOEXEC)) >= 0;) {
			if (m->peer_count < MIX_MAX_FDS)
				m->peers[m->peer_count++] = fd;
			else
				close(fd);
		}
}

void mix_end(struct mix *m)
{
	for (int i = 0; i < m->fd_count; i++)
		close(m->fds[i]);
	for (int i = 0; i < m->peer_count; i++)
		close(m->peers[i]);
	for (int i = 0; i < 2 * MIX_SERVERS; i++)
		close(m->servers[i]);
}

/* ---- things that happen ---- */

static const char *mix_source(struct mix *m, bool *ret_six)
{
	static const char *const four[] = { "127.0.0.1", "127.0.0.1", "127.0.0.2", "127.0.0.3", "0.0.0.0" };
	static const char *const six[] = { "::1", "::1", "::", "::ffff:127.0.0.1" };

	*ret_six = mix_random(m, 4) == 0;
	return *ret_six ? six[mix_random(m, 4)] : four[mix_random(m, 5)];
}

static int mix_port(struct mix *m)
{
	return m->low + (int)mix_random(m, (uint32_t)(m->high - m->low + 1));
}

/* To a server, from a socket that may be bound. Accepts, so that the newest peer is its own. */
static int mix_connect(struct mix *m, int fd, bool six)
{
	static const char *const hosts[] = { "127.0.0.1", "127.0.0.1", "127.0.0.2" };
	static const char *const hosts6[] = { "::1", "::1", "::ffff:127.0.0.1" };
	union mix_address to;
	socklen_t len = mix_address(&to, six ? hosts6[mix_random(m, 3)] : hosts[mix_random(m, 3)],
				    MIX_SERVER_PORT + (int)mix_random(m, MIX_SERVERS));
	int r = connect(fd, &to.any, len);

	mix_accept(m);
	return r;
}

static void mix_reuse_options(struct mix *m, int fd)
{
	uint32_t which = mix_random(m, 6);

	if (which == 0 || which == 2)
		mix_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (which == 1 || which == 2)
		mix_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
}

/* A socket that is bound: to port 0, or to one of the range. -1 if that did not work. */
static int mix_bound(struct mix *m, int type, bool *ret_six)
{
	union mix_address from;
	const char *at = mix_source(m, ret_six);
	socklen_t len = mix_address(&from, at, mix_random(m, 2) ? mix_port(m) : 0);
	int fd = mix_socket(&from, type);

	mix_reuse_options(m, fd);
	if (*ret_six && mix_random(m, 3) == 0)
		mix_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
	if (bind(fd, &from.any, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void mix_step_bind(struct mix *m)
{
	bool six;

	mix_keep(m, mix_bound(m, SOCK_STREAM, &six));
}

static void mix_step_listen(struct mix *m)
{
	bool six;
	int fd = mix_bound(m, SOCK_STREAM, &six);

	if (fd >= 0)
		listen(fd, 8);
	mix_keep(m, fd);
}

static void mix_step_bind_connect(struct mix *m)
{
	bool six;
	int fd = mix_bound(m, SOCK_STREAM, &six);

	if (fd >= 0)
		mix_connect(m, fd, six);
	mix_keep(m, fd);
}

/* Without a port of its own: a plain connect(), or after bind() with IP_BIND_ADDRESS_NO_PORT. */
static int mix_plain(struct mix *m)
{
	bool six;
	union mix_address from;
	socklen_t len = mix_address(&from, mix_source(m, &six), 0);
	int fd = mix_socket(&from, SOCK_STREAM);

	if (mix_random(m, 2)) {
		mix_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
		bind(fd, &from.any, len);
	}
	if (m->has_range_option && mix_random(m, 8) == 0)
		mix_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, (MIX_LOW + 19) << 16 | (MIX_LOW + 10));
	if (mix_connect(m, fd, six) == 0)
		return fd;
	close(fd);
	return -1;
}

static void mix_step_connect(struct mix *m)
{
	mix_keep(m, mix_plain(m));
}

static void mix_close_peer(struct mix *m)
{
	if (m->peer_count)
		close(m->peers[--m->peer_count]);
}

/* The client closes first; so it is its port that waits. Or the server never answers the FIN; or closes first. */
static void mix_step_close(struct mix *m)
{
	struct linger abort_it = { 1, 0 };
	int fd = mix_random(m, 4) ? mix_plain(m) : -1;
	uint32_t how = mix_random(m, 8);
	bool six;

	if (fd < 0) {
		fd = mix_bound(m, SOCK_STREAM, &six);
		if (fd < 0 || mix_connect(m, fd, six) < 0)
			how = 0;
	}
	if (fd < 0)
		return;
	if (how == 7) {
		mix_close_peer(m);
		mix_keep(m, fd);
		return;
	}
	if (how == 0)
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &abort_it, sizeof(abort_it));
	close(fd);
	if (how != 6)
		mix_close_peer(m);
	m->time_waits = true;
}

/* A listener in the range, a connection to it from outside, and the listener goes. */
static void mix_step_accepted(struct mix *m)
{
	union mix_address at, from;
	socklen_t len;
	int port = mix_port(m), listener, client, child;

	len = mix_address(&at, mix_random(m, 2) ? "127.0.0.1" : "127.0.0.2", port);
	listener = mix_socket(&at, SOCK_STREAM);
	mix_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
	if (bind(listener, &at.any, len) == 0 && listen(listener, 4) == 0) {
		client = mix_socket(&at, SOCK_STREAM);
		len = mix_address(&from, "127.0.0.1", 20000 + m->fd_count);
		if (bind(client, &from.any, len) == 0 && connect(client, &at.any, sizeof(at.in4)) == 0) {
			child = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
			mix_keep(m, child);
		}
		mix_keep(m, client);
	}
	if (mix_random(m, 4))
		close(listener);
	else
		mix_keep(m, listener);
}

static void mix_step_udp(struct mix *m)
{
	union mix_address address;
	socklen_t len;
	bool six = mix_random(m, 3) == 0;
	int fd;

	if (mix_random(m, 2)) {
		fd = mix_bound(m, SOCK_DGRAM, &six);
		if (fd >= 0 && mix_random(m, 2) == 0)
			mix_connect(m, fd, six);
		mix_keep(m, fd);
		return;
	}
	len = mix_address(&address, six ? "::1" : "127.0.0.1", 53);
	fd = mix_socket(&address, SOCK_DGRAM);
	if (connect(fd, &address.any, len) < 0)
		perror("udp connect");
	mix_keep(m, fd);
}

/* One of them goes: a bucket may outlive who bound it. */
static void mix_step_forget(struct mix *m)
{
	int i;

	if (!m->fd_count)
		return;
	i = (int)mix_random(m, (uint32_t)m->fd_count);
	close(m->fds[i]);
	m->fds[i] = m->fds[--m->fd_count];
	m->time_waits = true;
}

void mix_step(struct mix *m)
{
	static void (*const steps[])(struct mix *m) = {
		mix_step_bind,	  mix_step_listen,  mix_step_udp,   mix_step_bind_connect,
		mix_step_connect, mix_step_connect, mix_step_connect, mix_step_close,
		mix_step_close,	  mix_step_accepted, mix_step_forget,
	};

	steps[mix_random(m, m->only_seen ? 3 : sizeof(steps) / sizeof(steps[0]))](m);
}
