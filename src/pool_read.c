// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pool_read.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/utsname.h>

#include "cleanup.h"
#include "proc.h"

#define POOL_READ_TRIES 4 /* of a list that changes under the look at it */

/*
 * sock_diag tells sockets that are bound and no more since 6.8, and does not say whether it can. An older kernel that
 * can is taken for one that cannot: the safe side.
 */
static bool pool_read_shows_bound(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname uts;

	return uname(&uts) == 0 && sscanf(uts.release, "%u.%u", &major, &minor) == 2 &&
	       (major > 6 || (major == 6 && minor >= 8));
}

/* IPV6_V6ONLY is told of listeners and of bound sockets. */
static enum pool_answer pool_read_v6only(const struct sockdiag_socket *sock)
{
	if (!sock->is_ipv6)
		return POOL_NO;
	if (sock->state != SOCKDIAG_LISTEN && sock->state != SOCKDIAG_CLOSE)
		return POOL_UNKNOWN;
	return sock->v6only ? POOL_YES : POOL_NO;
}

static int pool_read_socket(void *arg, const struct sockdiag_socket *sock)
{
	struct pool_socket to = {
		.proto = sock->proto, .state = sock->state, .waits = sock->waits, .expires_ms = sock->expires_ms,
		.local = sock->local, .remote = sock->remote, .is_ipv6 = sock->is_ipv6,
		.v6only = pool_read_v6only(sock), .ifindex = sock->ifindex, .cookie = sock->cookie,
	};

	return sock->local.port ? pool_add(arg, &to) : 0;
}

static int pool_read_list(struct pool_state *s, enum event_proto proto, uint8_t ip_version)
{
	struct sockdiag_query query = { .proto = proto, .ip_version = ip_version };
	size_t before = s->count;
	int r = -EINTR;

	for (int i = 0; i < POOL_READ_TRIES && r == -EINTR; i++) {
		s->count = before;
		r = sockdiag_dump_some(&query, pool_read_socket, s);
	}
	return r;
}

/* A number of /proc/sys/net/ipv4; `missing` where the kernel has no such file. */
static int pool_read_number(int dir_fd, const char *name, int missing, int *ret)
{
	char text[32];
	ssize_t n = proc_read(dir_fd, name, text, sizeof(text));

	*ret = missing;
	if (n == -ENOENT || n == -ESRCH) /* proc_read takes it for a process that has gone */
		return 0;
	if (n < 0)
		return (int)n;
	return sscanf(text, "%d", ret) == 1 ? 0 : -EINVAL;
}

static int pool_read_reuse(const char *proc, struct pool_state *s)
{
	int timestamps = 0, delay = 0, r;
	_close_ int fd = -1;
	char path[256];

	snprintf(path, sizeof(path), "%s/sys/net/ipv4", proc);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = pool_read_number(fd, "tcp_tw_reuse", 0, &s->tw_reuse);
	if (r == 0)
		r = pool_read_number(fd, "tcp_timestamps", 1, &timestamps);
	if (r == 0)
		r = pool_read_number(fd, "tcp_tw_reuse_delay", 0, &delay);
	s->timestamps = timestamps != 0;
	s->tw_reuse_delay_ms = (uint32_t)delay;
	return r;
}

static int pool_read_sysctls(const char *proc, struct pool_state *s)
{
	_free_ struct netns_facts *facts = calloc(1, sizeof(*facts));
	int r = facts ? netns_read_sysctls(proc, 0, facts) : -ENOMEM;

	if (r < 0)
		return r;
	s->netns_inum = facts->inum;
	s->range_low = facts->range_low;
	s->range_high = facts->range_high;
	memcpy(s->reserved, facts->reserved, sizeof(s->reserved));
	return pool_read_reuse(proc, s);
}

int pool_read(const char *proc, struct pool_state *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = pool_read_sysctls(proc ? proc : "/proc", ret);
	ret->shows_bound = pool_read_shows_bound();
	if (r == 0)
		r = pool_read_list(ret, PROTO_TCP, 0);
	for (uint8_t version = 4; version <= 6 && r == 0; version += 2) {
		r = pool_read_list(ret, PROTO_UDP, version);
		ret->no_udp |= r == -ENOENT;
		r = r == -ENOENT ? 0 : r;
	}
	if (r < 0)
		pool_free(ret);
	return r;
}
