// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What must not be shown: other protocols, and calls that never reach the inet code. */
#define _GNU_SOURCE
#include <linux/netlink.h>
#include <netinet/ip_icmp.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

#include "workload.h"

/* A whole connection over an abstract name. */
static int unix_noise(const struct variant *v)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	int l = socket(AF_UNIX, SOCK_STREAM, 0), c = socket(AF_UNIX, SOCK_STREAM, 0), a;
	socklen_t len;

	(void)v;
	len = offsetof(struct sockaddr_un, sun_path) + 1 +
	      snprintf(sun.sun_path + 1, sizeof(sun.sun_path) - 1, "porttrace-%d", getpid());
	WANT(bind(l, (void *)&sun, len) == 0);
	WANT(listen(l, 5) == 0);
	WANT(connect(c, (void *)&sun, len) == 0);
	a = accept(l, NULL, NULL);
	WANT(a >= 0);
	close(a);
	close(c);
	close(l);
	return 0;
}

static int netlink_noise(const struct variant *v)
{
	struct sockaddr_nl nl = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);

	(void)v;
	WANT(bind(fd, (void *)&nl, sizeof(nl)) == 0);
	close(fd);
	return 0;
}

static int bind_connect_send(int fd, const struct variant *v)
{
	struct icmphdr echo = { .type = ICMP_ECHO };
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, v->family, v->ip, 0);

	WANT(bind(fd, (void *)&ss, len) == 0);
	WANT(connect(fd, (void *)&ss, len) == 0);
	WANT(send(fd, &echo, sizeof(echo), 0) == sizeof(echo));
	close(fd);
	return 0;
}

/* ICMP sockets have a "port", their echo id, and go through the same bind(). */
static int ping_noise(const struct variant *v)
{
	int fd;

	write_text("/proc/sys/net/ipv4/ping_group_range", "0 2147483647");
	fd = socket(v->family, SOCK_DGRAM, IPPROTO_ICMP);
	if (fd < 0)
		return sc_skip("the kernel has no ping sockets");
	return bind_connect_send(fd, v);
}

static int raw_noise(const struct variant *v)
{
	int fd = socket(v->family, SOCK_RAW, IPPROTO_ICMP);

	if (fd < 0)
		return sc_skip("no raw sockets here");
	return bind_connect_send(fd, v);
}

/* Refused by the UDP socket's own operations. */
static int udp_listen_noise(const struct variant *v)
{
	int fd = socket(v->family, SOCK_DGRAM, 0);

	WANT(fd >= 0);
	WANT(listen(fd, 5) == -1 && errno == EOPNOTSUPP);
	WANT(accept(fd, NULL, NULL) == -1 && errno == EOPNOTSUPP);
	close(fd);
	return 0;
}

static int early_errors(const struct variant *v)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, v->family, v->ip, next_port());
	int fd = socket(v->family, SOCK_STREAM, 0), pipe_fd[2];

	WANT(fd >= 0 && pipe(pipe_fd) == 0);
	WANT(bind(-1, (void *)&ss, len) == -1 && errno == EBADF);
	WANT(connect(-1, (void *)&ss, len) == -1 && errno == EBADF);
	WANT(bind(pipe_fd[0], (void *)&ss, len) == -1 && errno == ENOTSOCK);
	WANT(listen(pipe_fd[0], 1) == -1 && errno == ENOTSOCK);
	WANT(bind(fd, (void *)8, len) == -1 && errno == EFAULT);
	WANT(connect(fd, (void *)8, len) == -1 && errno == EFAULT);
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	close(fd);
	return 0;
}

#define LOOP4 AT(AF_INET, 0, "127.0.0.1")

const struct scenario noise_scenarios[] = {
	SC("unix_noise", unix_noise, 0, LOOP4),
	SC("netlink_noise", netlink_noise, 0, LOOP4),
	SC("ping_sock", ping_noise, OWN_NETNS, LOOP4),
	SC("raw_sock", raw_noise, OWN_NETNS, LOOP4),
	SC("listen_udp_EOPNOTSUPP", udp_listen_noise, 0, LOOP4),
	SC("errors_before_inet", early_errors, 0, LOOP4),
	SC_END,
};
