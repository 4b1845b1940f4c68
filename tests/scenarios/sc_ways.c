// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* More ways to get a port: options, devices, VRF, UDP-Lite, sendmsg(), fast open. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "workload.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif
#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif
#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif

/* ---- addresses that are not there ---- */

/* .n: the option, IP_FREEBIND or IP_TRANSPARENT. */
static int bind_elsewhere(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);

	WANT(s);
	WANT(s_set(s, IPPROTO_IP, v->n, 1) == 0);
	WANT(s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == 0);
	if (v->type == SOCK_STREAM)
		WANT(s_listen(s, 4) == 0);
	return 0;
}

/* ---- devices ---- */

static int with_dummy(const char *name)
{
	if (netns_link(name, "dummy", 0) || netns_up(name))
		return sc_skip("the kernel has no dummy devices");
	return netns_addr4(name, "192.0.2.1", 24) ? SC_BAD : 0;
}

static int to_device(struct sock *s, const char *name)
{
	return setsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, name, strlen(name) + 1) ? -errno : 0;
}

static int bind_on(const struct variant *v, const char *device, int port, struct sock **ret)
{
	struct sock *s = *ret = s_open(v->family, v->type);

	WANT(s);
	if (device)
		WANT(to_device(s, device) == 0);
	return s_bind(s, v->ip, port);
}

static int bind_device(const struct variant *v)
{
	struct sock *s;
	int rc = with_dummy("ptd0");

	if (rc)
		return rc;
	WANT(bind_on(v, "ptd0", v->flags & V_ZERO ? 0 : next_port(), &s) == 0);
	return v->type == SOCK_STREAM ? s_listen(s, 4) : 0;
}

/* One port, two devices: each has its own; a third socket on the first device is refused. */
static int bind_two_devices(const struct variant *v)
{
	struct sock *s[3];
	int rc = with_dummy("ptd0"), port = next_port();

	if (rc)
		return rc;
	WANT(bind_on(v, "ptd0", port, &s[0]) == 0);
	WANT(bind_on(v, "lo", port, &s[1]) == 0);
	s[2] = s_open(v->family, v->type);
	WANT(s[2] && to_device(s[2], "lo") == 0);
	s_held(s[2], "bound", s[1]);
	WANT(s_bind(s[2], v->ip, port) == -EADDRINUSE);
	return 0;
}

static int connect_device(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 4), *c = s_open(v->family, SOCK_STREAM);

	WANT(l && c);
	WANT(to_device(c, "lo") == 0);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(s_accept(l, true));
	return 0;
}

/* The device that connect() is bound to has no way to the address. */
static int connect_wrong_device(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	if (netns_link("ptd0", "dummy", 0))
		return sc_skip("the kernel has no dummy devices");
	WANT(to_device(c, "ptd0") == 0);
	WANT(s_connect(c, v->ip, 9) < 0);
	return 0;
}

/* A VRF is a space of ports of its own; for UDP only against other VRFs and devices. */
static int vrf_own_ports(const struct variant *v)
{
	struct sock *s[3];
	int port = next_port();

	if (netns_link("ptvrf", "vrf", 10) || netns_up("ptvrf"))
		return sc_skip("the kernel has no VRF devices");
	if (netns_link("ptd0", "dummy", 0) || netns_up("ptd0"))
		return sc_skip("the kernel has no dummy devices");
	WANT(netns_enslave("ptd0", "ptvrf") == 0);
	WANT(netns_addr4("ptd0", "192.0.2.1", 24) == 0);
	WANT(bind_on(v, "ptvrf", port, &s[0]) == 0);
	WANT(bind_on(v, "ptvrf", 0, &s[1]) == 0);
	s[2] = s_open(v->family, v->type);
	WANT(s[2]);
	s_held(s[2], "bound", s[0]);
	WANT(s_bind(s[2], v->ip, port) == (v->type == SOCK_DGRAM ? -EADDRINUSE : 0));
	return v->type == SOCK_STREAM ? s_listen(s[0], 4) : 0;
}

/* ---- SO_REUSEADDR, SO_REUSEPORT ---- */

static int both(const struct variant *v, struct sock **s, int option)
{
	for (int i = 0; i < 2; i++) {
		s[i] = s_open(v->family, v->type);
		WANT(s[i]);
		if (option)
			WANT(s_set(s[i], SOL_SOCKET, option, 1) == 0);
	}
	return 0;
}

static int reuseaddr_two(const struct variant *v)
{
	struct sock *s[2];
	int port = next_port();

	WANT(both(v, s, SO_REUSEADDR) == 0);
	WANT(s_bind(s[0], v->ip, port) == 0);
	WANT(s_bind(s[1], v->ip, port) == 0);
	return 0;
}

/* It takes both: the second one does not say it. */
static int reuse_one_sided(const struct variant *v)
{
	struct sock *s[2];
	int port = next_port();

	WANT(both(v, s, 0) == 0);
	WANT(s_set(s[0], SOL_SOCKET, v->n, 1) == 0);
	WANT(s_bind(s[0], v->ip, port) == 0);
	s_held(s[1], "bound", s[0]);
	WANT(s_bind(s[1], v->ip, port) == -EADDRINUSE);
	return 0;
}

/* SO_REUSEADDR does not help against a listener. */
static int reuseaddr_listener(const struct variant *v)
{
	struct sock *s[2];
	int port = next_port();

	WANT(both(v, s, SO_REUSEADDR) == 0);
	WANT(s_bind(s[0], v->ip, port) == 0);
	WANT(s_listen(s[0], 4) == 0);
	s_held(s[1], "listener", s[0]);
	WANT(s_bind(s[1], v->ip, port) == -EADDRINUSE);
	return 0;
}

/* Different addresses, one port; the wildcard then is refused. */
static int two_addresses(const struct variant *v)
{
	struct sock *s[3];
	int port = next_port();

	for (int i = 0; i < 3; i++)
		s[i] = s_open(AF_INET, v->type);
	WANT(s[0] && s[1] && s[2]);
	WANT(s_bind(s[0], "127.0.0.1", port) == 0);
	WANT(s_bind(s[1], "127.0.0.2", port) == 0);
	WANT(s_close(s[0]) == 0);
	s_held(s[2], "bound", s[1]);
	WANT(s_bind(s[2], "0.0.0.0", port) == -EADDRINUSE);
	return 0;
}

/* ---- every option at once ---- */

static int options_all(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 4), *s = s_open(v->family, v->type);

	WANT(l && s);
	WANT(s_set(s, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_set(s, SOL_SOCKET, SO_REUSEPORT, 1) == 0);
	WANT(s_set(s, SOL_SOCKET, SO_MARK, 0x1234) == 0);
	WANT(s_set(s, IPPROTO_IP, IP_FREEBIND, 1) == 0);
	WANT(s_set(s, IPPROTO_IP, IP_TRANSPARENT, 1) == 0);
	WANT(s_set(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) == 0);
	if (v->family == AF_INET6)
		WANT(s_set(s, IPPROTO_IPV6, IPV6_V6ONLY, 1) == 0);
	WANT(to_device(s, "lo") == 0);
	WANT(s_bind(s, v->ip, 0) == 0);
	if (v->type == SOCK_DGRAM)
		return s_udp_connect(s, v->ip, next_port());
	WANT(s_connect(s, v->ip, l->local.port) == 0);
	WANT(s_accept(l, true));
	return 0;
}

/* They are those of the moment of the call. */
static int options_change(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	WANT(s_set(s, SOL_SOCKET, SO_REUSEADDR, 1) == 0);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(s_set(s, SOL_SOCKET, SO_REUSEADDR, 0) == 0);
	WANT(s_set(s, SOL_SOCKET, SO_REUSEPORT, 1) == 0);
	WANT(s_set(s, SOL_SOCKET, SO_MARK, 7) == 0);
	WANT(s_listen(s, 4) == 0);
	return 0;
}

/* A descriptor with a number that is not the next one. */
static int high_descriptor(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	int fd;

	WANT(s);
	fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 700);
	WANT(fd >= 700);
	close(s->fd);
	s->fd = fd;
	WANT(s_bind(s, v->ip, next_port()) == 0);
	return v->type == SOCK_STREAM ? s_listen(s, 4) : s_udp_connect(s, v->ip, next_port());
}

/* ---- a range of the socket's own ---- */

static int bind0_own_range(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	int low = 45000; /* only what lies within the namespace's range counts */
	uint32_t range = low | (uint32_t)(low + 3) << 16;

	WANT(s);
	if (s_set(s, IPPROTO_IP, IP_LOCAL_PORT_RANGE, range))
		return sc_skip("the kernel has no IP_LOCAL_PORT_RANGE");
	WANT(s_bind(s, v->ip, 0) == 0);
	WANT(s->local.port >= low && s->local.port <= low + 3);
	return 0;
}

/* ---- UDP ---- */

static int udp_sendmsg(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);
	int port = next_port();

	WANT(s);
	WANT(s_sendmsg(s, v->ip, port) == -v->err);
	WANT(s_sendmsg(s, v->ip, port) <= 0);
	return 0;
}

/* A socket's port goes and another comes: bound by sendto, connected, and closed. */
static int udp_sendto_then_connect(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_DGRAM);

	WANT(s);
	WANT(s_sendto(s, v->ip, next_port()) == 0);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	return 0;
}

static struct sock *udplite(int family)
{
	return s_open_proto(family, SOCK_DGRAM, IPPROTO_UDPLITE);
}

#define NO_UDPLITE "the kernel has no UDP-Lite"

static int udplite_bind(const struct variant *v)
{
	struct sock *s = udplite(v->family);

	if (!s)
		return sc_skip(NO_UDPLITE);
	WANT(s_bind(s, v->ip, v->flags & V_EXPLICIT ? next_port() : 0) == 0);
	return 0;
}

static int udplite_sendto(const struct variant *v)
{
	struct sock *s = udplite(v->family);

	if (!s)
		return sc_skip(NO_UDPLITE);
	WANT(s_sendto(s, v->ip, next_port()) == 0);
	return 0;
}

static int udplite_connect(const struct variant *v)
{
	struct sock *s = udplite(v->family);

	if (!s)
		return sc_skip(NO_UDPLITE);
	WANT(s_udp_connect(s, v->ip, next_port()) == 0);
	return 0;
}

/* Its ports are not those of UDP. */
static int udplite_own_ports(const struct variant *v)
{
	struct sock *u = s_open(v->family, SOCK_DGRAM), *a = udplite(v->family),
		    *b = udplite(v->family);
	int port = next_port();

	if (!a || !b)
		return sc_skip(NO_UDPLITE);
	WANT(u);
	WANT(s_bind(u, v->ip, port) == 0);
	WANT(s_bind(a, v->ip, port) == 0);
	s_held(b, "bound", a);
	WANT(s_bind(b, v->ip, port) == -EADDRINUSE);
	return 0;
}

/* ---- fast open ---- */

/* Both ways, and no cookie needed: bits 0x1, 0x2, 0x4, 0x200 of ip-sysctl.rst. */
static int fastopen_on(void)
{
	return write_text("/proc/sys/net/ipv4/tcp_fastopen", "519");
}

/* The connection is in the queue, and can be accepted, before the handshake is over. */
static int fastopen_server(const struct variant *v)
{
	struct sock *l, *c = s_open(v->family, SOCK_STREAM), *a;

	WANT(c);
	if (fastopen_on())
		return sc_skip("net.ipv4.tcp_fastopen cannot be set");
	l = s_listener(v->family, v->ip, 4);
	WANT(l);
	WANT(s_set(l, IPPROTO_TCP, TCP_FASTOPEN, 4) == 0);
	WANT(s_fastopen(c, v->ip, l->local.port) == 0);
	a = s_accept(l, true);
	WANT(a);
	WANT(s_recv(a, 10) == 1);
	WANT(s_transfer(a, c, 20) == 0);
	WANT(s_close(a) == 0);
	WANT(s_recv(c, 1) == 0);
	return 0;
}

static int fastopen_refused(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	if (fastopen_on())
		return sc_skip("net.ipv4.tcp_fastopen cannot be set");
	WANT(s_fastopen(c, v->ip, next_port()) == -ECONNREFUSED);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")
#define UDP6 AT(AF_INET6, SOCK_DGRAM, "::1")
#define MAPPED AT(AF_INET6, SOCK_DGRAM, "::ffff:127.0.0.1")
#define AWAY4 "203.0.113.77"
#define AWAY6 "2001:db8::77"
#define ANY4(t) AT(AF_INET, t, "0.0.0.0")

const struct scenario ways_scenarios[] = {
	SC("freebind_tcp4", bind_elsewhere, 0, AT(AF_INET, SOCK_STREAM, AWAY4),
	   .flags = V_EXPLICIT, .n = IP_FREEBIND),
	SC("freebind_tcp6", bind_elsewhere, NEED_IPV6, AT(AF_INET6, SOCK_STREAM, AWAY6),
	   .flags = V_EXPLICIT, .n = IP_FREEBIND),
	SC("freebind_udp4_zero", bind_elsewhere, 0, AT(AF_INET, SOCK_DGRAM, AWAY4),
	   .n = IP_FREEBIND),
	SC("transparent_tcp4", bind_elsewhere, NEED_ROOT, AT(AF_INET, SOCK_STREAM, AWAY4),
	   .flags = V_EXPLICIT, .n = IP_TRANSPARENT),
	SC("transparent_udp4", bind_elsewhere, NEED_ROOT, AT(AF_INET, SOCK_DGRAM, AWAY4),
	   .flags = V_EXPLICIT, .n = IP_TRANSPARENT),
	SC("device_tcp4", bind_device, OWN_NETNS, ANY4(SOCK_STREAM)),
	SC("device_udp4_zero", bind_device, OWN_NETNS, ANY4(SOCK_DGRAM), .flags = V_ZERO),
	SC("device_two_tcp4", bind_two_devices, OWN_NETNS, ANY4(SOCK_STREAM)),
	SC("device_two_udp4", bind_two_devices, OWN_NETNS, ANY4(SOCK_DGRAM)),
	SC("device_connect", connect_device, NEED_ROOT, TCP4),
	SC("device_connect_no_way", connect_wrong_device, OWN_NETNS,
	   AT(AF_INET, SOCK_STREAM, "192.0.2.9")),
	SC("vrf_tcp4", vrf_own_ports, OWN_NETNS, ANY4(SOCK_STREAM)),
	SC("vrf_udp4", vrf_own_ports, OWN_NETNS, ANY4(SOCK_DGRAM)),
	SC("reuseaddr_two_tcp4", reuseaddr_two, 0, TCP4),
	SC("reuseaddr_two_udp4", reuseaddr_two, 0, UDP4),
	SC("reuseaddr_one_sided", reuse_one_sided, 0, TCP4, .n = SO_REUSEADDR),
	SC("reuseaddr_one_sided_udp6", reuse_one_sided, NEED_IPV6, UDP6, .n = SO_REUSEADDR),
	SC("reuseport_one_sided", reuse_one_sided, 0, TCP4, .n = SO_REUSEPORT),
	SC("reuseaddr_listener", reuseaddr_listener, 0, TCP4),
	SC("two_addresses_tcp4", two_addresses, 0, TCP4),
	SC("two_addresses_udp4", two_addresses, 0, UDP4),
	SC("options_all_tcp4", options_all, NEED_ROOT, TCP4),
	SC("options_all_tcp6", options_all, NEED_ROOT | NEED_IPV6, TCP6),
	SC("options_all_udp4", options_all, NEED_ROOT, UDP4),
	SC("options_change", options_change, NEED_ROOT, TCP4),
	SC("high_descriptor_tcp4", high_descriptor, 0, TCP4),
	SC("high_descriptor_udp4", high_descriptor, 0, UDP4),
	SC("bind0_own_range_tcp4", bind0_own_range, 0, TCP4),
	SC("bind0_own_range_udp4", bind0_own_range, 0, UDP4),
	SC("udp4_sendmsg_auto", udp_sendmsg, 0, UDP4),
	SC("udp6_sendmsg_auto", udp_sendmsg, NEED_IPV6, UDP6),
	SC("udp6_sendmsg_mapped_auto", udp_sendmsg, NEED_IPV6, MAPPED),
	SC("udp4_sendto_then_connect", udp_sendto_then_connect, 0, UDP4),
	SC("udplite4_bind", udplite_bind, 0, UDP4, .flags = V_EXPLICIT),
	SC("udplite6_bind_zero", udplite_bind, NEED_IPV6, UDP6),
	SC("udplite4_sendto_auto", udplite_sendto, 0, UDP4),
	{ .name = "udplite4_conn", .fn = udplite_connect, .v = { UDP4 },
	  .cgroup_blind = "the kernel runs no cgroup program for connect() of UDP-Lite" },
	SC("udplite_own_ports", udplite_own_ports, 0, UDP4),
	SC("tcp4_FASTOPEN_server", fastopen_server, OWN_NETNS, TCP4),
	SC("tcp6_FASTOPEN_server", fastopen_server, OWN_NETNS | NEED_IPV6, TCP6),
	SC("tcp4_FASTOPEN_refused", fastopen_refused, OWN_NETNS, TCP4),
	SC_END,
};
