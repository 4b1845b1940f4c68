// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "pool.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"

const char *const pool_kind_names[POOL_KIND_COUNT] = {
	[POOL_CONNECT] = "connect", [POOL_BIND] = "bind", [POOL_UDP] = "udp"
};

const char *const pool_port_names[POOL_PORT_COUNT] = {
	[POOL_PORT_FREE] = "free",	   [POOL_PORT_REUSABLE] = "reusable",
	[POOL_PORT_SOON] = "soon",	   [POOL_PORT_UNKNOWN] = "unknown",
	[POOL_PORT_USED] = "used",	   [POOL_PORT_LISTEN] = "listen",
	[POOL_PORT_BOUND] = "bound",	   [POOL_PORT_BIND_CONNECT] = "bind_connect",
	[POOL_PORT_ACCEPTED] = "accepted", [POOL_PORT_PHANTOM] = "phantom",
	[POOL_PORT_BLOCKED] = "blocked",   [POOL_PORT_RESERVED] = "reserved",
};

/* What the sockets of a port say about it; bits of a byte a port. */
enum pool_mark {
	POOL_MARK_TAKEN = 1, /* for this pool, for certain */
	POOL_MARK_MAYBE = 2, /* for this pool, or not */
	POOL_MARK_REUSABLE = 4,
	POOL_MARK_LISTEN = 8, /* the rest is of any TCP socket */
	POOL_MARK_BOUND = 16,
	POOL_MARK_BY_BIND = 32, /* connected, the port from bind() */
	POOL_MARK_INHERITED = 64,
	POOL_MARK_UNTOLD = 128, /* connected, and how it came by its port is not known */
};
#define POOL_MARKS_BIND (POOL_MARK_LISTEN | POOL_MARK_BOUND | POOL_MARK_BY_BIND | POOL_MARK_INHERITED)

int pool_add(struct pool_state *s, const struct pool_socket *sock)
{
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 256;
		struct pool_socket *grown = reallocarray(s->sockets, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		s->sockets = grown;
		s->room = room;
	}
	s->sockets[s->count++] = *sock;
	return 0;
}

void pool_free(struct pool_state *s)
{
	free(s->sockets);
	s->sockets = NULL;
	s->count = s->room = 0;
}

bool pool_is_hidden(const struct pool_state *s, uint16_t port)
{
	return s->hidden[port / 8] >> (port % 8) & 1;
}

void pool_range(const struct pool_state *s, const struct pool_key *key, uint16_t *ret_low, uint16_t *ret_high)
{
	bool low_counts = key->range_low >= s->range_low && key->range_low <= s->range_high;
	bool high_counts = key->range_high >= s->range_low && key->range_high <= s->range_high;

	*ret_low = key->range_low && low_counts ? key->range_low : s->range_low;
	*ret_high = key->range_high && high_counts ? key->range_high : s->range_high;
}

bool pool_is_first_half(enum pool_kind kind, uint16_t range_low, uint16_t port)
{
	bool same = (port & 1) == (range_low & 1);

	return kind == POOL_BIND ? !same : same;
}

/* ---- addresses ---- */

static bool pool_is_any(const struct endpoint *ep)
{
	static const uint8_t any[16];

	return !memcmp(ep->addr, any, ep->ip_version == 6 ? 16 : 4);
}

static bool pool_same_address(const struct endpoint *a, const struct endpoint *b)
{
	return a->ip_version == b->ip_version && !memcmp(a->addr, b->addr, a->ip_version == 6 ? 16 : 4);
}

bool pool_is_loopback(const struct endpoint *ep)
{
	static const uint8_t one[16] = { [15] = 1 };

	return ep->ip_version == 6 ? !memcmp(ep->addr, one, 16) : ep->addr[0] == 127;
}

static enum pool_answer pool_not(enum pool_answer answer)
{
	return answer == POOL_UNKNOWN ? POOL_UNKNOWN : answer == POOL_YES ? POOL_NO : POOL_YES;
}

/*
 * An IPv4 address against a socket of IPv6 that talks IPv6: its IPv4 address is the wildcard, or LOOPBACK4_IPV6, which
 * is 127.0.0.6. Whether the latter is compared depends on the kernel: not any more where bind() uses bhash2 (6.1).
 */
static enum pool_answer pool_conflicts_4_6(const struct endpoint *address, const struct pool_socket *sock)
{
	static const uint8_t loopback4_ipv6[4] = { 127, 0, 0, 6 };

	if (pool_is_any(address) || pool_is_any(&sock->local))
		return pool_not(sock->v6only);
	if (sock->v6only != POOL_YES && !memcmp(address->addr, loopback4_ipv6, 4))
		return POOL_UNKNOWN;
	return POOL_NO;
}

enum pool_answer pool_conflicts(const struct endpoint *address, const struct pool_socket *sock)
{
	const struct endpoint *local = &sock->local;

	if (address->ip_version == 4 && local->ip_version == 6)
		return pool_conflicts_4_6(address, sock);
	if (address->ip_version == 6 && local->ip_version == 4)
		return pool_is_any(address) ? POOL_YES : POOL_NO;
	if (pool_is_any(address) || pool_is_any(local) || pool_same_address(address, local))
		return POOL_YES;
	return POOL_NO;
}

/* ---- one socket ---- */

enum pool_answer pool_can_reuse(const struct pool_state *s, const struct pool_socket *sock)
{
	bool loopback = sock->ifindex == 1 || pool_is_loopback(&sock->local) || pool_is_loopback(&sock->remote);
	uint32_t wait_ms = s->tw_reuse_delay_ms ? s->tw_reuse_delay_ms : 1000;
	uint32_t age_ms = sock->expires_ms < POOL_TIME_WAIT_MS ? POOL_TIME_WAIT_MS - sock->expires_ms : 0;

	if (!sock->waits || !s->timestamps || !s->tw_reuse || (s->tw_reuse == 2 && !loopback))
		return POOL_NO;
	/* Until 6.12 (0d9e5df4a257, in some older ones too) it may be taken over as well. */
	if (sock->state == SOCKDIAG_FIN_WAIT2)
		return POOL_UNKNOWN;
	return age_ms >= wait_ms ? POOL_YES : POOL_UNKNOWN;
}

static bool pool_is_pair(const struct pool_key *key, const struct pool_socket *sock)
{
	return sock->state != SOCKDIAG_LISTEN && sock->state != SOCKDIAG_CLOSE && sock->remote.port &&
	       sock->remote.port == key->destination.port && pool_same_address(&sock->remote, &key->destination) &&
	       pool_same_address(&sock->local, &key->source);
}

static uint8_t pool_mark_pair(const struct pool_state *s, const struct pool_key *key, const struct pool_socket *sock)
{
	enum pool_answer reuse;

	if (!pool_is_pair(key, sock))
		return 0;
	reuse = pool_can_reuse(s, sock);
	return reuse == POOL_YES ? POOL_MARK_REUSABLE : reuse == POOL_NO ? POOL_MARK_TAKEN : POOL_MARK_MAYBE;
}

/* What it says about the port's bind bucket. */
static uint8_t pool_mark_bucket(const struct pool_socket *sock)
{
	if (sock->state == SOCKDIAG_LISTEN)
		return POOL_MARK_LISTEN;
	if (sock->state == SOCKDIAG_CLOSE)
		return POOL_MARK_BOUND;
	switch (sock->how) {
	case HOW_CONNECT:
		return 0;
	case HOW_INHERITED:
		return POOL_MARK_INHERITED;
	case HOW_EXPLICIT:
	case HOW_BIND0:
	case HOW_AUTOBIND:
		return POOL_MARK_BY_BIND;
	default:
		return POOL_MARK_UNTOLD;
	}
}

static uint8_t pool_mark_socket(const struct pool_state *s, const struct pool_key *key, const struct pool_socket *sock)
{
	enum pool_answer conflict;

	if ((key->kind == POOL_UDP) != (sock->proto == PROTO_UDP))
		return 0;
	if (key->kind == POOL_CONNECT)
		return pool_mark_bucket(sock) | pool_mark_pair(s, key, sock);
	conflict = pool_conflicts(&key->source, sock);
	return conflict == POOL_YES ? POOL_MARK_TAKEN : conflict == POOL_UNKNOWN ? POOL_MARK_MAYBE : 0;
}

/* ---- one port ---- */

static bool pool_is_reserved(const struct pool_state *s, uint16_t port)
{
	return s->reserved[port / 8] >> (port % 8) & 1;
}

/* Does the bind bucket keep connect() away? */
static enum pool_answer pool_is_explicit(const struct pool_state *s, uint16_t port, uint8_t marks)
{
	if (s->explicit[port] != POOL_UNKNOWN)
		return s->explicit[port];
	if (marks & POOL_MARKS_BIND)
		return POOL_YES;
	/* A socket of a connect() says nothing about who had the port bound beside it: a phantom is not seen. */
	return s->shows_bound && !pool_is_hidden(s, port) && !(marks & POOL_MARK_UNTOLD) ? POOL_NO : POOL_UNKNOWN;
}

static enum pool_port pool_why_blocked(uint8_t marks)
{
	if (marks & POOL_MARK_LISTEN)
		return POOL_PORT_LISTEN;
	if (marks & POOL_MARK_BOUND)
		return POOL_PORT_BOUND;
	if (marks & POOL_MARK_BY_BIND)
		return POOL_PORT_BIND_CONNECT;
	if (marks & POOL_MARK_INHERITED)
		return POOL_PORT_ACCEPTED;
	return marks & POOL_MARK_UNTOLD ? POOL_PORT_BLOCKED : POOL_PORT_PHANTOM;
}

static enum pool_port pool_port_of_connect(const struct pool_state *s, uint16_t port, uint8_t marks)
{
	enum pool_answer explicit = pool_is_explicit(s, port, marks);

	if (marks & POOL_MARK_TAKEN)
		return POOL_PORT_USED;
	if (explicit == POOL_YES)
		return pool_why_blocked(marks);
	if (explicit == POOL_UNKNOWN)
		return POOL_PORT_UNKNOWN;
	if (marks & POOL_MARK_MAYBE)
		return POOL_PORT_SOON;
	return marks & POOL_MARK_REUSABLE ? POOL_PORT_REUSABLE : POOL_PORT_FREE;
}

static enum pool_port pool_port(const struct pool_state *s, const struct pool_key *key, uint16_t port, uint8_t marks)
{
	if (pool_is_reserved(s, port))
		return POOL_PORT_RESERVED;
	if (key->kind == POOL_CONNECT)
		return pool_port_of_connect(s, port, marks);
	if (marks & POOL_MARK_TAKEN)
		return POOL_PORT_USED;
	if (marks & POOL_MARK_MAYBE)
		return POOL_PORT_UNKNOWN;
	/* UDP shows all its sockets; TCP those that are only bound not always. */
	if (key->kind == POOL_UDP || (s->shows_bound && !pool_is_hidden(s, port)))
		return POOL_PORT_FREE;
	return POOL_PORT_UNKNOWN;
}

int pool_map(const struct pool_state *s, const struct pool_key *key, uint8_t *ret)
{
	_free_ uint8_t *marks = NULL;
	uint16_t low, high;

	if (key->kind == POOL_CONNECT && key->source.ip_version != key->destination.ip_version)
		return -EINVAL;
	if (key->kind == POOL_UDP && s->no_udp)
		return -ENOENT;
	marks = calloc(POOL_PORTS, 1);
	if (!marks)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		marks[s->sockets[i].local.port] |= pool_mark_socket(s, key, &s->sockets[i]);
	pool_range(s, key, &low, &high);
	for (uint32_t port = low; port <= high; port++)
		ret[port - low] = (uint8_t)pool_port(s, key, (uint16_t)port, marks[port]);
	return 0;
}

/* ---- all of them ---- */

static struct pool_bounds pool_count_free(const uint32_t ports[POOL_PORT_COUNT])
{
	uint32_t sure = ports[POOL_PORT_FREE] + ports[POOL_PORT_REUSABLE];

	return (struct pool_bounds){ sure, sure + ports[POOL_PORT_SOON] + ports[POOL_PORT_UNKNOWN] };
}

static bool pool_can_be_free(uint8_t port)
{
	return port <= POOL_PORT_UNKNOWN;
}

/*
 * TCP searches an even number of ports: of an odd range each search leaves out the last one if it began at the first
 * of its half, else the first one. Three ports have only one beginning. One port is searched as it is.
 */
static void pool_leave_out(struct pool_measure *m, uint8_t first, uint8_t last)
{
	if (!m->odd)
		return;
	if (m->size == 3 && m->has_half) {
		m->free.min -= last <= POOL_PORT_REUSABLE;
		m->free.max -= pool_can_be_free(last);
	} else if ((pool_can_be_free(first) || pool_can_be_free(last)) && m->free.min) {
		m->free.min--;
	}
}

static void pool_sum(struct pool_measure *m)
{
	uint32_t half_size = 0;

	m->free = pool_count_free(m->ports);
	m->half_free = pool_count_free(m->half);
	m->used = m->ports[POOL_PORT_USED];
	m->half_used = m->half[POOL_PORT_USED];
	for (enum pool_port p = POOL_PORT_LISTEN; p < POOL_PORT_RESERVED; p++)
		m->blocked += m->ports[p];
	for (enum pool_port p = 0; p < POOL_PORT_COUNT; p++)
		half_size += m->half[p];
	m->half_capacity = (struct pool_bounds){ m->half_used + m->half_free.min, m->half_used + m->half_free.max };
	m->has_half = m->has_half && half_size;
}

int pool_measure(const struct pool_state *s, const struct pool_key *key, struct pool_measure *ret)
{
	_free_ uint8_t *map = calloc(POOL_PORTS, 1);
	struct pool_measure m = { 0 };
	int r = map ? pool_map(s, key, map) : -ENOMEM;

	if (r < 0)
		return r;
	pool_range(s, key, &m.low, &m.high);
	if (m.high < m.low) /* IP_LOCAL_PORT_RANGE with one end outside can do that: no port at all */
		m.high = m.low;
	m.size = (uint32_t)m.high - m.low + 1;
	m.odd = key->kind != POOL_UDP && m.size % 2 && m.size > 1;
	m.has_half = key->kind == POOL_BIND || (key->kind == POOL_CONNECT && !key->range_low && !key->range_high);
	for (uint32_t i = 0; i < m.size; i++) {
		m.ports[map[i]]++;
		if (m.has_half && pool_is_first_half(key->kind, m.low, (uint16_t)(m.low + i)))
			m.half[map[i]]++;
	}
	pool_sum(&m);
	pool_leave_out(&m, map[0], map[m.size - 1]);
	m.capacity = (struct pool_bounds){ m.used + m.free.min, m.used + m.free.max };
	*ret = m;
	return 0;
}
