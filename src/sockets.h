/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What earlier events told of a socket that a later one needs: since when it lives, which side opened the connection,
 * whose it is, and which port it holds, also after its end. The seed of the ledger. Pure: no I/O, no clock of its
 * own.
 */
#ifndef PORTTRACE_SOCKETS_H
#define PORTTRACE_SOCKETS_H

#include <stddef.h>

#include "event.h"

struct sockets;

#define SOCKETS_DEFAULT_LIMIT 1000000 /* 140 MB, if there ever are so many */

/*
 * 0 or -ENOMEM. Remembers at most `limit` sockets (1 or more), alive, or closed and may still hold their port, for 62 s
 * at most. For one more another is forgotten, and counted: closed ones before live ones, of these such as have given
 * back their port, then connections, and bound and listening sockets last; and of each kind the one whose last event is
 * the longest ago. Its close has no duration and no owner then. At most 146 bytes a socket and 64 a process, taken as
 * they come. The caller ends *ret with sockets_free, which accepts NULL.
 */
int sockets_new(size_t limit, struct sockets **ret);
void sockets_free(struct sockets *s);
/* Forgets all: events were lost, and nobody knows which sockets are still there. Lives go on to be counted. */
void sockets_clear(struct sockets *s);
/*
 * Remembers what `ev` tells of its socket, and fills in what was remembered: role and duration of a close, and the
 * creator. Events have to come in the order in which they happened, with process and name.
 */
void sockets_track(struct sockets *s, struct event *ev);
/* Brings into the processor's cache what sockets_track is going to need, while other things are done. */
void sockets_expect(const struct sockets *s, const struct event *ev);
/*
 * What a timer, an answer from the network or a kernel thread did to a socket, it did for the socket's owner: gives the
 * event that process, if its own is not known; and a close that shows no ends those of its socket. Before enrich, which
 * looks up the rest of the process.
 */
void sockets_lend(const struct sockets *s, struct event *ev);
/*
 * A socket of a snapshot: `ev` is the event (not: a close) that would have brought it there, with time (of the
 * snapshot) and cookie, and gets a life. until_ns: of one in TIME_WAIT, when that ends; 0 = it is alive. Those in
 * TIME_WAIT have to come in the order of their ends. False, and nothing happens, if the cookie is known already:
 * events win.
 */
bool sockets_adopt(struct sockets *s, struct event *ev, uint64_t until_ns);

/* One entry, to look at. */
struct sockets_view {
	uint64_t life, cookie, netns; /* cookie 0 = unknown; netns: sockets_netns() */
	uint64_t begin_ns, until_ns; /* as in struct event; until_ns: of one in TIME_WAIT */
	enum life_state state; /* LIFE_BOUND to LIFE_TIME_WAIT */
	enum event_how how;
	enum event_proto proto;
	bool udplite, mptcp;
	bool unsure; /* TIME_WAIT is a guess: its close did not tell */
	bool adopted; /* no event of it has come */
	bool doubted; /* see sockets_each */
	bool locked; /* the port was asked for by number: it outlives the end of a connection */
	struct endpoint local, remote;
	uint32_t pid; /* 0 = unknown */
};

/*
 * All that have a port, in no order. `keep` false: it is forgotten; but one of which events have told only the second
 * time, when `doubted` is set: the event of its end may be under way.
 */
void sockets_each(struct sockets *s, bool (*keep)(void *arg, const struct sockets_view *view), void *arg);
/* How many were forgotten for want of room. */
struct sockets_evictions {
	uint64_t closed, open;
};
struct sockets_evictions sockets_evicted(const struct sockets *s);

/* Both together. */
static inline uint64_t sockets_evicted_sum(const struct sockets *s)
{
	struct sockets_evictions evicted = sockets_evicted(s);

	return evicted.closed + evicted.open;
}

/* The memory that it takes. */
size_t sockets_bytes(const struct sockets *s);
/* How many live sockets are remembered, and how many closed ones. */
size_t sockets_count(const struct sockets *s);
size_t sockets_held(const struct sockets *s);

/*
 * Whether a socket at one local address is in the way of another at the same port: the addresses are equal, or one of
 * them is the wildcard. The IPv6 wildcard takes IPv4 too, unless its socket is v6only. Ports are not compared.
 */
bool sockets_overlap(const struct endpoint *a, bool a_v6only, const struct endpoint *b, bool b_v6only);

/* Whether sockets bound to these devices (SO_BINDTODEVICE; 0 = to none) can be in each other's way. */
static inline bool sockets_share_device(uint32_t a, uint32_t b)
{
	return !a || !b || a == b;
}

/* Which socket is meant. */
struct sockets_key {
	uint64_t netns; /* sockets_netns() */
	enum event_proto proto;
	uint16_t protocol; /* IPPROTO_UDPLITE has ports of its own; 0 = the usual one of proto */
	struct endpoint local;
	bool v6only;
	uint32_t device; /* sockets_find_holder only: of who asks, by SO_BINDTODEVICE; 0 = none */
	struct endpoint remote; /* sockets_find_owner; sockets_find_holder: only of this peer; no port = any */
	uint64_t cookie; /* sockets_find_owner only; 0 = unknown */
	uint64_t other_than; /* sockets_find_holder only: socket_id of a socket that is not meant; 0 = none */
	uint64_t before_ns; /* sockets_find_holder only: that held its port by then, CLOCK_REALTIME; 0 = any */
	uint64_t now_ns; /* sockets_find_holder only: of the question, CLOCK_REALTIME; 0 = tell no expires */
	bool guess; /* sockets_find_holder only: also a closed one of which nobody told that it holds the port still */
};

/* A number for the event's network namespace; 0 = unknown. */
uint64_t sockets_netns(const struct event *ev);
/*
 * The socket that is in the way of key->local, as far as events told: a listener rather than a bound socket, that
 * rather than a connection, and one in TIME_WAIT last. False if none is known. User, container and exited are
 * not filled in; expires if now_ns is given.
 */
bool sockets_find_holder(const struct sockets *s, const struct sockets_key *key, struct holder *ret);
/*
 * The owner of the socket with key->cookie, else of the one with exactly these endpoints, alive or closed. False if
 * it is not known.
 */
bool sockets_find_owner(const struct sockets *s, const struct sockets_key *key, struct holder *ret);

/* The same, and how its port was assigned. */
bool sockets_find_life(const struct sockets *s, const struct sockets_key *key, struct holder *ret, enum event_how *how);

#endif
