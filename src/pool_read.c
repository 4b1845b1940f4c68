// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pool_read.h"

#include <errno.h>
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

int pool_read_add(struct pool_state *s, const struct sockdiag_socket *sock, enum event_how how)
{
	struct pool_socket to = {
		.proto = sock->proto, .state = sock->state, .waits = sock->waits, .expires_ms = sock->expires_ms,
		.local = sock->local, .remote = sock->remote, .is_ipv6 = sock->is_ipv6,
		.v6only = pool_read_v6only(sock), .how = how, .ifindex = sock->ifindex, .cookie = sock->cookie,
	};

	return pool_add(s, &to);
}

static int pool_read_socket(void *arg, const struct sockdiag_socket *sock)
{
	return sock->local.port ? pool_read_add(arg, sock, HOW_NONE) : 0;
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

void pool_read_facts(const struct netns_facts *facts, struct pool_state *ret)
{
	ret->netns_inum = facts->inum;
	ret->range_low = facts->range_low;
	ret->range_high = facts->range_high;
	memcpy(ret->reserved, facts->reserved, sizeof(ret->reserved));
	ret->tw_reuse = facts->tw_reuse;
	ret->timestamps = facts->timestamps;
	ret->tw_reuse_delay_ms = facts->tw_reuse_delay_ms;
	ret->shows_bound = pool_read_shows_bound();
}

static int pool_read_sysctls(const char *proc, struct pool_state *s)
{
	_free_ struct netns_facts *facts = calloc(1, sizeof(*facts));
	int r = facts ? netns_read_sysctls(proc, 0, facts) : -ENOMEM;

	if (r < 0)
		return r;
	pool_read_facts(facts, s);
	return 0;
}

int pool_read(const char *proc, struct pool_state *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	r = pool_read_sysctls(proc ? proc : "/proc", ret);
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
