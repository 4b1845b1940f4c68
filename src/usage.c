// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "usage.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"

static bool usage_is_wanted(const struct usage *usage, uint16_t port)
{
	return usage->wanted[port / 8] >> (port % 8) & 1;
}

/* ---- reading ---- */

static int usage_add(void *arg, const struct sockdiag_socket *sock)
{
	struct usage *usage = arg;

	if (!usage_is_wanted(usage, sock->local.port) && !usage_is_wanted(usage, sock->remote.port))
		return 0;
	if (usage->count == usage->room) {
		size_t room = usage->room ? 2 * usage->room : 64;
		struct usage_socket *grown = reallocarray(usage->sockets, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		usage->sockets = grown;
		usage->room = room;
	}
	usage->sockets[usage->count++] = (struct usage_socket){ .sock = *sock };
	return 0;
}

/* An unreadable protocol is a finding, not a failure. */
static void usage_dump(struct usage *usage)
{
	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		int ipv4 = sockdiag_dump(proto, 4, usage_add, usage);
		int ipv6 = sockdiag_dump(proto, 6, usage_add, usage);

		/* -ENOENT of IPv6 alone: switched off */
		usage->error[proto] = ipv4 < 0 ? ipv4 : ipv6 == -ENOENT ? 0 : ipv6;
	}
}

static int usage_compare_inode(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int usage_find_owners(struct usage *usage)
{
	_free_ uint32_t *inodes = calloc(usage->count + 1, sizeof(*inodes));
	size_t n = 0;
	int r;

	if (!inodes)
		return -ENOMEM;
	for (size_t i = 0; i < usage->count; i++)
		if (usage->sockets[i].sock.inode)
			inodes[n++] = usage->sockets[i].sock.inode;
	qsort(inodes, n, sizeof(*inodes), usage_compare_inode);
	r = owners_read(NULL, inodes, n, &usage->owners);
	if (r < 0)
		return r;
	for (size_t i = 0; i < usage->count; i++) {
		struct usage_socket *us = &usage->sockets[i];

		us->owner_count = owners_find(&usage->owners, us->sock.inode, &us->owners);
	}
	return 0;
}

int usage_read(const uint16_t *ports, size_t port_count, struct usage *ret)
{
	int r;

	memset(ret, 0, sizeof(*ret));
	/* Port 0 is nobody's: every unconnected socket has it on the far side. */
	for (size_t i = 0; i < port_count; i++)
		if (ports[i])
			ret->wanted[ports[i] / 8] |= (uint8_t)(1u << (ports[i] % 8));
	usage_dump(ret);
	r = usage_find_owners(ret);
	if (r < 0)
		usage_free(ret);
	return r;
}

void usage_free(struct usage *usage)
{
	owners_free(&usage->owners);
	free(usage->sockets);
	usage->sockets = NULL;
	usage->count = usage->room = 0;
}

/* ---- grouping ---- */

static bool usage_is_resting(const struct sockdiag_socket *sock)
{
	return sock->state == SOCKDIAG_LISTEN || sock->state == SOCKDIAG_BOUND ||
	       sock->state == SOCKDIAG_CLOSE;
}

static int usage_rank(const struct sockdiag_socket *sock)
{
	return sock->state == SOCKDIAG_LISTEN	   ? 0
	       : usage_is_resting(sock)		   ? 1
	       : sock->state == SOCKDIAG_TIME_WAIT ? 1000
						   : 1 + (int)sock->state;
}

static int usage_order(uint64_t a, uint64_t b)
{
	return (a > b) - (a < b);
}

static uint32_t usage_pid(const struct usage_socket *us)
{
	return us->owner_count ? us->owners->pid : 0;
}

/* Of listeners and bound sockets the address tells them apart. */
static int usage_compare_address(const struct endpoint *a, const struct endpoint *b)
{
	int r = usage_order(a->ip_version, b->ip_version);

	return r ? r : memcmp(a->addr, b->addr, sizeof(a->addr));
}

static int usage_compare(const void *a, const void *b)
{
	const struct usage_socket *x = *(const struct usage_socket *const *)a;
	const struct usage_socket *y = *(const struct usage_socket *const *)b;
	int r = usage_order(x->sock.proto, y->sock.proto);

	if (!r)
		r = usage_order((uint64_t)usage_rank(&x->sock), (uint64_t)usage_rank(&y->sock));
	if (!r && x->sock.state == SOCKDIAG_TIME_WAIT)
		return 0;
	if (!r && usage_is_resting(&x->sock))
		r = usage_compare_address(&x->sock.local, &y->sock.local);
	if (!r)
		r = usage_order(usage_pid(x), usage_pid(y));
	return r ? r : usage_order(x->sock.uid, y->sock.uid);
}

static size_t usage_pick(const struct usage *usage, uint16_t port, bool local, unsigned int protos,
			 const struct usage_socket **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < usage->count; i++) {
		const struct sockdiag_socket *sock = &usage->sockets[i].sock;

		if ((local ? sock->local.port : sock->remote.port) == port &&
		    protos & 1u << sock->proto)
			ret[n++] = &usage->sockets[i];
	}
	return n;
}

int usage_groups(const struct usage *usage, uint16_t port, bool local, unsigned int protos,
		 size_t single_max, struct usage_group **ret, size_t *ret_count)
{
	_free_ const struct usage_socket **list = calloc(usage->count + 1, sizeof(*list));
	_free_ struct usage_group *groups = calloc(usage->count + 1, sizeof(*groups));
	size_t n, count = 0;

	if (!list || !groups)
		return -ENOMEM;
	n = usage_pick(usage, port, local, protos, list);
	qsort(list, n, sizeof(*list), usage_compare);
	for (size_t i = 0; i < n; i++) {
		bool alike = i && !usage_compare(&list[i - 1], &list[i]);

		if (alike && (n > single_max || list[i]->sock.state == SOCKDIAG_TIME_WAIT))
			groups[count - 1].count++;
		else
			groups[count++] = (struct usage_group){ list[i], 1 };
	}
	*ret = TAKE_PTR(groups);
	*ret_count = count;
	return 0;
}
