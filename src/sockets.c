// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Entries in one array, found in two ways: live sockets by socket_id, and all that hold a port by namespace, protocol,
 * port and class. Each class of a port has a chain of its own, so that a listener is found at once among the
 * connections that it has accepted. Links are indices; entry 0 is none. Each entry stands in one list by age too, from
 * whose old end those are taken that make room.
 */
#include "sockets.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "processes.h"

#define SOCKETS_FIRST_SIZE 1024
#define SOCKETS_LIMIT_MAX (UINT32_MAX / 2)
/* TIME_WAIT lasts 60 s (TCP_TIMEWAIT_LEN) on all kernels; and a little for the way of an event. */
#define SOCKETS_LATE_NS (UINT64_C(2) * 1000000000)
#define SOCKETS_HELD_NS (UINT64_C(60) * 1000000000 + SOCKETS_LATE_NS)
/* How much of a chain is looked at: many connections of one port, all at other addresses. */
#define SOCKETS_SEARCH_MAX 1024
#define SOCKETS_OWNER_SEARCH_MAX 65536
/* A socket that has lost its port may get another, but if not, no close will tell of its end. */
#define SOCKETS_PORTLESS_MAX 1024

enum sockets_class { SOCKETS_RESTING, SOCKETS_CONNECTED, SOCKETS_CLOSED, SOCKETS_CLASS_COUNT };

/* Who makes room first, and of each the one whose last event is the longest ago. */
enum sockets_age { SOCKETS_AGE_CLOSED, SOCKETS_AGE_CONNECTION, SOCKETS_AGE_RESTING, SOCKETS_AGE_COUNT };

struct socket_entry {
	uint64_t socket_id; /* 0: closed */
	uint64_t born_ns; /* time of the first event, CLOCK_REALTIME; 0: it was there before us */
	uint64_t until_ns; /* closed: when the port is free again at the latest */
	uint64_t cookie, netns;
	uint64_t life;
	struct endpoint local, remote;
	uint32_t creator, owner; /* of `processes`: who acted on it first, and last */
	uint32_t next; /* of the chain by id; unused: the next unused */
	uint32_t next_port, prev_port; /* of the chain by port, or of the list of those without one */
	uint32_t older, newer; /* of its list by age */
	uint32_t device; /* SO_BINDTODEVICE; 0 = none, or not known */
	uint8_t role; /* enum event_role */
	uint8_t kind; /* enum holder_kind */
	uint8_t proto; /* enum event_proto */
	bool udplite : 1, v6only : 1, mptcp : 1;
	bool locked : 1; /* the port was asked for by number: it outlives a disconnect */
	bool indexed : 1; /* in the chains by port */
	bool unsure : 1; /* closed: nobody has told that it still holds the port */
	bool doubted : 1; /* sockets_each was told once, since its last event, that it is gone */
	bool adopted : 1; /* from a snapshot, and no event has come: socket_id is the cookie */
	bool portless : 1; /* in the list of those: alive, but it has given back its port */
	uint8_t age : 2; /* enum sockets_age: the list that it is in */
	uint8_t how; /* enum event_how: the assignment of its port */
};
_Static_assert(sizeof(struct socket_entry) <= 128, "what sockets.h promises");

struct sockets {
	struct socket_entry *entries;
	uint32_t *by_id, *by_port; /* `size` chains each */
	size_t size; /* power of two; of entries too */
	unsigned int shift; /* leaves the bits of a place */
	uint32_t used, unused; /* entries that were ever taken; the first that was given back */
	uint32_t oldest[SOCKETS_AGE_COUNT], newest[SOCKETS_AGE_COUNT];
	uint32_t portless_first, portless_last; /* live sockets that have given back their port */
	size_t count, held, portless, limit;
	size_t adopted; /* of `count` */
	uint64_t adopted_ns; /* when the last snapshot was taken */
	uint64_t lives;
	struct sockets_evictions evicted;
	struct processes processes;
};

/* ---- the chains ---- */

/* The highest bits depend on all. */
static size_t sockets_mix(const struct sockets *s, uint64_t x)
{
	return (size_t)(x * 0xbf58476d1ce4e5b9ull >> s->shift);
}

static uint32_t *sockets_id_chain(const struct sockets *s, uint64_t id)
{
	return &s->by_id[sockets_mix(s, id)];
}

static uint32_t *sockets_port_chain(const struct sockets *s, uint64_t netns, enum event_proto proto, uint16_t port,
				    enum sockets_class class)
{
	uint64_t rest = (uint64_t)port << 8 | (uint64_t)proto << 4 | class;

	return &s->by_port[sockets_mix(s, netns * 0x9e3779b97f4a7c15ull ^ rest << 32 ^ rest)];
}

static enum sockets_class sockets_class_of(const struct socket_entry *entry)
{
	if (!entry->socket_id)
		return SOCKETS_CLOSED;
	return entry->kind == HOLDER_CONNECTION ? SOCKETS_CONNECTED : SOCKETS_RESTING;
}

static uint32_t *sockets_chain_of(const struct sockets *s, const struct socket_entry *entry)
{
	return sockets_port_chain(s, entry->netns, entry->proto, entry->local.port, sockets_class_of(entry));
}

static uint32_t sockets_find(const struct sockets *s, uint64_t id)
{
	uint32_t i = *sockets_id_chain(s, id);

	while (i && s->entries[i].socket_id != id)
		i = s->entries[i].next;
	return i;
}

static void sockets_link_id(struct sockets *s, uint32_t i)
{
	uint32_t *chain = sockets_id_chain(s, s->entries[i].socket_id);

	s->entries[i].next = *chain;
	*chain = i;
}

static void sockets_unlink_id(struct sockets *s, uint32_t i)
{
	uint32_t *at = sockets_id_chain(s, s->entries[i].socket_id);

	while (*at != i)
		at = &s->entries[*at].next;
	*at = s->entries[i].next;
}

/* Entries without a port or a namespace hold none that anybody could ask for. */
static void sockets_link_port(struct sockets *s, uint32_t i)
{
	struct socket_entry *entry = &s->entries[i];
	uint32_t *chain;

	entry->indexed = entry->netns && entry->local.has_port && entry->local.port;
	if (!entry->indexed)
		return;
	chain = sockets_chain_of(s, entry);
	entry->prev_port = 0;
	entry->next_port = *chain;
	if (*chain)
		s->entries[*chain].prev_port = i;
	*chain = i;
}

static void sockets_unlink_portless(struct sockets *s, uint32_t i)
{
	struct socket_entry *entry = &s->entries[i];

	if (entry->prev_port)
		s->entries[entry->prev_port].next_port = entry->next_port;
	else
		s->portless_first = entry->next_port;
	if (entry->next_port)
		s->entries[entry->next_port].prev_port = entry->prev_port;
	else
		s->portless_last = entry->prev_port;
	entry->portless = false;
	s->portless--;
}

static void sockets_unlink_port(struct sockets *s, uint32_t i)
{
	struct socket_entry *entry = &s->entries[i];

	if (entry->portless)
		sockets_unlink_portless(s, i);
	if (!entry->indexed)
		return;
	if (entry->prev_port)
		s->entries[entry->prev_port].next_port = entry->next_port;
	else
		*sockets_chain_of(s, entry) = entry->next_port;
	if (entry->next_port)
		s->entries[entry->next_port].prev_port = entry->prev_port;
	entry->indexed = false;
}

/* ---- the lists by age ---- */

static void sockets_link_age(struct sockets *s, uint32_t i, enum sockets_age age)
{
	struct socket_entry *entry = &s->entries[i];

	entry->age = age;
	entry->newer = 0;
	entry->older = s->newest[age];
	if (entry->older)
		s->entries[entry->older].newer = i;
	else
		s->oldest[age] = i;
	s->newest[age] = i;
}

static void sockets_unlink_age(struct sockets *s, uint32_t i)
{
	const struct socket_entry *entry = &s->entries[i];

	if (entry->older)
		s->entries[entry->older].newer = entry->newer;
	else
		s->oldest[entry->age] = entry->newer;
	if (entry->newer)
		s->entries[entry->newer].older = entry->older;
	else
		s->newest[entry->age] = entry->older;
}

static enum sockets_age sockets_age_of(const struct socket_entry *entry)
{
	return entry->kind == HOLDER_CONNECTION ? SOCKETS_AGE_CONNECTION : SOCKETS_AGE_RESTING;
}

/* A live one, of which an event has told. */
static void sockets_touch(struct sockets *s, uint32_t i)
{
	const struct socket_entry *entry = &s->entries[i];
	enum sockets_age age = sockets_age_of(entry);

	if (entry->age == age && s->newest[age] == i)
		return;
	sockets_unlink_age(s, i);
	sockets_link_age(s, i, age);
}

static void sockets_expect_entry(const struct socket_entry *entry)
{
	for (size_t at = 0; at < sizeof(*entry); at += 64)
		__builtin_prefetch((const char *)entry + at, 1);
}

void sockets_expect(const struct sockets *s, const struct event *ev)
{
	uint64_t netns = sockets_netns(ev);

	__builtin_prefetch(sockets_id_chain(s, ev->socket_id), 1);
	__builtin_prefetch(sockets_port_chain(s, netns, ev->proto, ev->local.port, SOCKETS_CONNECTED), 1);
	if (ev->kind == EVENT_CLOSE)
		__builtin_prefetch(sockets_port_chain(s, netns, ev->proto, ev->local.port, SOCKETS_CLOSED), 1);
	else
		sockets_expect_entry(&s->entries[s->unused ? s->unused : s->used]);
}

/* ---- room ---- */

static int sockets_resize(struct sockets *s, size_t size)
{
	struct socket_entry *entries = reallocarray(s->entries, size, sizeof(*entries));
	uint32_t *chains = calloc(2 * size, sizeof(*chains));

	if (entries)
		s->entries = entries;
	if (!entries || !chains) {
		free(chains);
		return -ENOMEM;
	}
	free(s->by_id);
	s->by_id = chains;
	s->by_port = chains + size;
	s->size = size;
	s->shift = 64 - (unsigned int)__builtin_ctzll(size);
	for (uint32_t i = 1; i < s->used; i++) {
		if (entries[i].socket_id)
			sockets_link_id(s, i);
		if (entries[i].indexed)
			sockets_link_port(s, i);
	}
	return 0;
}

static void sockets_give_back(struct sockets *s, uint32_t i)
{
	processes_drop(&s->processes, s->entries[i].creator);
	processes_drop(&s->processes, s->entries[i].owner);
	s->entries[i].socket_id = 0; /* and it is not indexed: nobody takes it for one */
	s->entries[i].next = s->unused;
	s->unused = i;
}

/* A live one. */
static void sockets_forget(struct sockets *s, uint32_t i)
{
	sockets_unlink_port(s, i);
	sockets_unlink_id(s, i);
	sockets_unlink_age(s, i);
	s->adopted -= s->entries[i].adopted;
	s->count--;
	sockets_give_back(s, i);
}

/* A closed one. */
static void sockets_forget_held(struct sockets *s, uint32_t i)
{
	sockets_unlink_port(s, i);
	sockets_unlink_age(s, i);
	s->held--;
	sockets_give_back(s, i);
}

/* The one that makes room for another: what is missed least. 0 while there is room. */
static uint32_t sockets_victim(const struct sockets *s)
{
	if (s->count + s->held < s->limit)
		return 0;
	if (s->oldest[SOCKETS_AGE_CLOSED])
		return s->oldest[SOCKETS_AGE_CLOSED];
	if (s->portless_first)
		return s->portless_first;
	return s->oldest[s->oldest[SOCKETS_AGE_CONNECTION] ? SOCKETS_AGE_CONNECTION : SOCKETS_AGE_RESTING];
}

static void sockets_make_room(struct sockets *s)
{
	uint32_t i = sockets_victim(s);

	if (i && s->entries[i].socket_id) {
		sockets_forget(s, i);
		s->evicted.open++;
	} else if (i) {
		sockets_forget_held(s, i);
		s->evicted.closed++;
	}
}

/* The index of an empty entry; 0 if there is no memory. Pointers to entries are stale then. */
static uint32_t sockets_take(struct sockets *s)
{
	uint32_t i;

	sockets_make_room(s);
	i = s->unused;
	if (i) {
		s->unused = s->entries[i].next;
	} else {
		if (s->used >= s->size && sockets_resize(s, s->size * 2) < 0)
			return 0;
		i = s->used++;
	}
	memset(&s->entries[i], 0, sizeof(s->entries[i]));
	return i;
}

/* A live socket has given back its port. Of too many such the first is forgotten. */
static void sockets_lose_port(struct sockets *s, uint32_t i)
{
	struct socket_entry *entry = &s->entries[i];

	sockets_unlink_port(s, i);
	entry->portless = true;
	entry->next_port = 0;
	entry->prev_port = s->portless_last;
	if (s->portless_last)
		s->entries[s->portless_last].next_port = i;
	else
		s->portless_first = i;
	s->portless_last = i;
	if (++s->portless > SOCKETS_PORTLESS_MAX)
		sockets_forget(s, s->portless_first);
}

int sockets_new(size_t limit, struct sockets **ret)
{
	struct sockets *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->limit = limit < SOCKETS_LIMIT_MAX ? limit : SOCKETS_LIMIT_MAX;
	s->used = 1;
	if (processes_init(&s->processes) < 0 || sockets_resize(s, SOCKETS_FIRST_SIZE) < 0) {
		sockets_free(s);
		return -ENOMEM;
	}
	memset(&s->entries[0], 0, sizeof(s->entries[0]));
	*ret = s;
	return 0;
}

void sockets_clear(struct sockets *s)
{
	memset(s->by_id, 0, s->size * sizeof(*s->by_id));
	memset(s->by_port, 0, s->size * sizeof(*s->by_port));
	s->used = 1;
	s->unused = s->portless_first = s->portless_last = 0;
	memset(s->oldest, 0, sizeof(s->oldest));
	memset(s->newest, 0, sizeof(s->newest));
	processes_clear(&s->processes);
	s->count = s->held = s->portless = s->adopted = 0;
}

void sockets_free(struct sockets *s)
{
	if (!s)
		return;
	processes_free(&s->processes);
	free(s->entries);
	free(s->by_id);
	free(s);
}

/* ---- what an event tells ---- */

uint64_t sockets_netns(const struct event *ev)
{
	return ev->netns_cookie ? ev->netns_cookie : ev->netns_inum;
}

static struct process_name sockets_process_of(const struct event *ev)
{
	struct process_name who = { .start_ns = ev->process_start_ns, .cgroup_id = ev->cgroup_id, .pid = ev->pid };

	/* A kernel thread that acts for somebody else owns nothing. */
	if (!ev->pid || ev->confidence == CONFIDENCE_KERNEL)
		return (struct process_name){ 0 };
	who.uid = ev->uid;
	memcpy(who.name, ev->name, sizeof(who.name));
	return who;
}

static bool sockets_is_same_process(const struct process_name *a, const struct process_name *b)
{
	return a->pid == b->pid && (!a->start_ns || !b->start_ns || a->start_ns == b->start_ns);
}

static void sockets_tell_creator(const struct process_name *creator, struct event *ev)
{
	struct process_name who = sockets_process_of(ev);

	if (!creator->pid || !who.pid || sockets_is_same_process(creator, &who))
		return;
	ev->creator_pid = creator->pid;
	memcpy(ev->creator_name, creator->name, sizeof(ev->creator_name));
}

static enum holder_kind sockets_kind_after(const struct event *ev, enum holder_kind before)
{
	if (ev->kind == EVENT_CONNECT || ev->kind == EVENT_ACCEPT)
		return HOLDER_CONNECTION;
	return ev->kind == EVENT_LISTEN ? HOLDER_LISTENER : ev->how != HOW_NONE ? HOLDER_BOUND : before;
}

/* Stays as it is if the event tells of no process. */
static void sockets_set_owner(struct sockets *s, struct socket_entry *entry, const struct event *ev)
{
	struct process_name who = sockets_process_of(ev);
	uint32_t owner;

	if (!who.pid || processes_is(processes_at(&s->processes, entry->owner), &who))
		return;
	owner = processes_use(&s->processes, &who);
	if (!owner)
		return;
	processes_drop(&s->processes, entry->owner);
	entry->owner = owner;
}

/* Everything but the owner, and what a later event of the same socket leaves as it is. */
static void sockets_update(struct socket_entry *entry, const struct event *ev)
{
	if (ev->role != ROLE_UNKNOWN)
		entry->role = ev->role;
	if (ev->cookie)
		entry->cookie = ev->cookie;
	if (ev->has_options) {
		entry->v6only = ev->v6only;
		entry->device = ev->bound_ifindex;
	}
	if (ev->local.has_port)
		entry->local = ev->local;
	if (ev->kind == EVENT_LISTEN) { /* what it was connected to before is over */
		entry->remote = (struct endpoint){ 0 };
		entry->role = ROLE_UNKNOWN;
	} else if (ev->remote.has_port) {
		entry->remote = ev->remote;
	}
	entry->doubted = false;
	entry->netns = sockets_netns(ev);
	entry->proto = ev->proto;
	entry->udplite = ev->protocol == IPPROTO_UDPLITE;
	entry->mptcp |= ev->mptcp;
	entry->locked |= ev->how == HOW_EXPLICIT;
	if (ev->how != HOW_NONE)
		entry->how = ev->how;
	entry->kind = sockets_kind_after(ev, entry->kind);
}

static enum life_state sockets_life_state(const struct socket_entry *entry)
{
	static const enum life_state states[HOLDER_KIND_COUNT] = {
		[HOLDER_LISTENER] = LIFE_LISTENING,
		[HOLDER_BOUND] = LIFE_BOUND,
		[HOLDER_CONNECTION] = LIFE_CONNECTED,
		[HOLDER_TIME_WAIT] = LIFE_TIME_WAIT,
	};

	return states[entry->kind];
}

static void sockets_tell_life(const struct socket_entry *entry, struct event *ev)
{
	ev->life = entry->life;
	ev->life_begin_ns = entry->born_ns;
	ev->life_state = sockets_life_state(entry);
	ev->life_how = entry->how;
}

/* ---- closed sockets that may hold their port ---- */

/* All are kept for the same time: the first was closed first. */
static void sockets_expire(struct sockets *s, uint64_t now_ns)
{
	uint32_t i;

	while ((i = s->oldest[SOCKETS_AGE_CLOSED]) && s->entries[i].until_ns <= now_ns)
		sockets_forget_held(s, i);
}

/* In no list by age yet. */
static void sockets_hold(struct sockets *s, uint32_t i, const struct event *ev)
{
	struct socket_entry *entry = &s->entries[i];

	entry->socket_id = 0;
	entry->until_ns = ev->time_ns + SOCKETS_HELD_NS;
	entry->unsure = ev->close_state != CLOSE_STATE_TIME_WAIT;
	entry->kind = HOLDER_TIME_WAIT;
	sockets_link_port(s, i);
	sockets_link_age(s, i, SOCKETS_AGE_CLOSED);
	s->held++;
}

/*
 * A TCP connection whose close does not say that the port is free: in TIME_WAIT, on the way there, or not known. Who
 * closes after the peer does not come to TIME_WAIT.
 */
static bool sockets_may_hold(const struct event *ev)
{
	if (ev->close_state == CLOSE_STATE_NONE && ev->closer == CLOSER_REMOTE)
		return false;
	return ev->proto == PROTO_TCP && ev->remote.has_port && ev->close_state != CLOSE_STATE_CLOSED;
}

/*
 * A connection whose end no event has told. Shut down both ways, it may have gone into TIME_WAIT while the program had
 * it open; then connect(AF_UNSPEC) makes the socket forget it, so that a close tells of no connection, or, if the port
 * went too, there is none.
 */
static bool sockets_is_dropped(const struct socket_entry *entry)
{
	return entry->proto == PROTO_TCP && entry->kind == HOLDER_CONNECTION && !entry->portless &&
	       entry->remote.port;
}

/* Before the socket, or one at the same address, begins another life. */
static void sockets_hold_dropped(struct sockets *s, uint32_t i, const struct event *ev)
{
	uint32_t held;

	if (!sockets_is_dropped(&s->entries[i]) || sockets_victim(s) == i)
		return;
	held = sockets_take(s);
	if (!held)
		return;
	s->entries[held] = s->entries[i];
	s->entries[held].indexed = false;
	processes_share(&s->processes, s->entries[i].creator);
	processes_share(&s->processes, s->entries[i].owner);
	sockets_hold(s, held, ev);
	s->entries[held].unsure = true;
}

/* ---- is it this one? ---- */

static struct sockets_key sockets_key_of(const struct event *ev)
{
	return (struct sockets_key){ .netns = sockets_netns(ev),
				     .proto = ev->proto,
				     .protocol = ev->protocol,
				     .local = ev->local,
				     .remote = ev->remote,
				     .cookie = ev->cookie };
}

static bool sockets_has_port(const struct socket_entry *entry, const struct sockets_key *key)
{
	return entry->netns == key->netns && entry->proto == key->proto && entry->local.port == key->local.port &&
	       entry->udplite == (key->protocol == IPPROTO_UDPLITE);
}

/* One of both knows no cookie, or it is that of MPTCP's outer socket: then the endpoints have to do. */
static bool sockets_is_meant(const struct socket_entry *entry, const struct sockets_key *key)
{
	bool connected = entry->remote.has_port && entry->remote.port;

	if (entry->cookie && key->cookie && !entry->mptcp)
		return entry->cookie == key->cookie;
	if (connected != (key->remote.has_port && key->remote.port) ||
	    !event_is_same_address(&entry->local, &key->local))
		return false;
	return !connected || event_is_same_endpoint(&entry->remote, &key->remote);
}

/* ---- events ---- */

/* In no list by age yet. */
static uint32_t sockets_add(struct sockets *s, const struct event *ev)
{
	uint32_t i = sockets_take(s);

	if (!i)
		return 0;
	s->entries[i].socket_id = ev->socket_id;
	sockets_link_id(s, i);
	s->count++;
	return i;
}

/* The first event of a socket that a snapshot has told of: from now on it is found by the event's id. */
static uint32_t sockets_claim(struct sockets *s, uint32_t i, const struct event *ev)
{
	struct socket_entry *entry = &s->entries[i];

	if (!i || !entry->adopted)
		return i;
	sockets_unlink_id(s, i);
	entry->socket_id = ev->socket_id;
	entry->adopted = false;
	s->adopted--;
	sockets_link_id(s, i);
	return i;
}

/* Adopted and at these very endpoints: for events of before the snapshot, which gave the socket its cookie. */
static uint32_t sockets_find_adopted(const struct sockets *s, const struct event *ev)
{
	struct sockets_key key = sockets_key_of(ev);
	enum sockets_class class = ev->remote.has_port ? SOCKETS_CONNECTED : SOCKETS_RESTING;
	uint32_t i = *sockets_port_chain(s, key.netns, key.proto, key.local.port, class);

	for (int n = 0; i && n < SOCKETS_SEARCH_MAX; i = s->entries[i].next_port, n++)
		if (s->entries[i].adopted && sockets_has_port(&s->entries[i], &key) &&
		    sockets_is_meant(&s->entries[i], &key))
			return i;
	return 0;
}

static __attribute__((noinline)) uint32_t sockets_find_claimed(struct sockets *s, uint32_t i, const struct event *ev)
{
	if (i || !s->adopted)
		return sockets_claim(s, i, ev);
	if (ev->cookie)
		return sockets_claim(s, sockets_find(s, ev->cookie), ev);
	return ev->time_ns <= s->adopted_ns ? sockets_claim(s, sockets_find_adopted(s, ev), ev) : 0;
}

/* The entry of an event's socket; 0 = none. */
static uint32_t sockets_find_event(struct sockets *s, const struct event *ev)
{
	uint32_t i = sockets_find(s, ev->socket_id);

	return s->adopted ? sockets_find_claimed(s, i, ev) : i;
}

/*
 * An event that assigns a port begins the life that a close ends. Whatever was remembered under this id before was
 * of an older socket, or of a port that was given back (a failed connect has no close); but for one of the same cookie.
 */
static bool sockets_is_same(const struct socket_entry *entry, const struct event *ev)
{
	if (entry->cookie && ev->cookie && !entry->mptcp)
		return entry->cookie == ev->cookie;
	return ev->how == HOW_NONE;
}

/* Nothing is left of the life before. */
static void sockets_clear_entry(struct sockets *s, struct socket_entry *entry)
{
	processes_drop(&s->processes, entry->creator);
	processes_drop(&s->processes, entry->owner);
	*entry = (struct socket_entry){ .socket_id = entry->socket_id,
					.next = entry->next,
					.older = entry->older,
					.newer = entry->newer,
					.age = entry->age };
}

/* Of an empty entry. */
static void sockets_begin(struct sockets *s, struct socket_entry *entry, const struct event *ev)
{
	struct process_name who = sockets_process_of(ev);

	entry->creator = entry->owner = processes_use(&s->processes, &who);
	processes_share(&s->processes, entry->owner);
	entry->born_ns = ev->time_ns;
	entry->kind = HOLDER_BOUND;
	entry->life = ++s->lives;
}

/* The first event of a socket that is not known. 0 if there is no memory. */
static uint32_t sockets_remember_new(struct sockets *s, const struct event *ev)
{
	uint32_t i = sockets_add(s, ev);

	if (!i)
		return 0;
	sockets_begin(s, &s->entries[i], ev);
	sockets_update(&s->entries[i], ev);
	sockets_link_age(s, i, sockets_age_of(&s->entries[i]));
	return i;
}

/* `fresh`: a life of its own begins. */
static void sockets_remember_known(struct sockets *s, uint32_t i, const struct event *ev, bool fresh)
{
	if (fresh || ev->how != HOW_NONE || ev->kind == EVENT_CONNECT || ev->kind == EVENT_LISTEN)
		sockets_hold_dropped(s, i, ev);
	sockets_unlink_port(s, i);
	if (fresh) {
		sockets_clear_entry(s, &s->entries[i]);
		sockets_begin(s, &s->entries[i], ev);
	} else {
		sockets_set_owner(s, &s->entries[i], ev);
	}
	sockets_update(&s->entries[i], ev);
	sockets_touch(s, i);
}

static void sockets_remember(struct sockets *s, struct event *ev)
{
	uint32_t i = sockets_find_event(s, ev);
	bool fresh = !i || !sockets_is_same(&s->entries[i], ev), lost_port = false;

	if (!fresh)
		sockets_tell_creator(processes_at(&s->processes, s->entries[i].creator), ev);
	if (i && ev->gave_back && !s->entries[i].locked) {
		sockets_hold_dropped(s, i, ev);
		sockets_lose_port(s, i);
	}
	if (i)
		sockets_touch(s, i);
	if (ev->outcome == OUTCOME_FAILURE || (ev->kind == EVENT_BIND && ev->outcome == OUTCOME_UNKNOWN))
		return; /* no port: if the socket gets none later, there will be no close to forget it at */
	if (i) {
		lost_port = s->entries[i].portless && !ev->local.port;
		sockets_remember_known(s, i, ev, fresh);
	} else {
		i = sockets_remember_new(s, ev);
	}
	if (!i)
		return;
	if (lost_port || (ev->kind == EVENT_ACCEPT && ev->gave_back) ||
	    (s->entries[i].netns && !s->entries[i].local.port))
		sockets_lose_port(s, i); /* still, or reset in the queue, or IP_BIND_ADDRESS_NO_PORT */
	else
		sockets_link_port(s, i);
	sockets_tell_life(&s->entries[i], ev);
}

/* The socket lives on, and so does its port. */
static void sockets_rest(struct sockets *s, uint32_t i)
{
	struct socket_entry *entry = &s->entries[i];

	sockets_unlink_port(s, i);
	entry->kind = HOLDER_BOUND;
	entry->role = ROLE_UNKNOWN;
	entry->remote = (struct endpoint){ 0 };
	sockets_link_port(s, i);
	sockets_touch(s, i);
}

/* The end of listening or of a connection of a socket with a port that was asked for by number. */
static bool sockets_lives_on(struct sockets *s, uint32_t i, const struct event *ev)
{
	if ((ev->cause != CAUSE_SHUT_DOWN && ev->cause != CAUSE_DISCONNECTED) || !s->entries[i].locked)
		return false;
	sockets_rest(s, i);
	return true;
}

/* The end of a socket: forgotten, or kept as one that may hold its port. */
static void sockets_end(struct sockets *s, uint32_t i, struct event *ev)
{
	bool dropped = !ev->remote.port && sockets_is_dropped(&s->entries[i]);

	if (!dropped && !sockets_may_hold(ev)) {
		sockets_tell_life(&s->entries[i], ev);
		ev->life_state = LIFE_OVER;
		sockets_forget(s, i);
		return;
	}
	sockets_unlink_port(s, i);
	sockets_unlink_id(s, i);
	sockets_unlink_age(s, i);
	s->count--;
	if (ev->local.has_port && !dropped)
		s->entries[i].local = ev->local;
	if (!dropped)
		s->entries[i].remote = ev->remote;
	if (ev->cookie)
		s->entries[i].cookie = ev->cookie;
	sockets_hold(s, i, ev);
	sockets_tell_life(&s->entries[i], ev);
}

/* The end of a socket that is older than us: all that is known of it is what its close tells. */
static void sockets_end_unknown(struct sockets *s, struct event *ev)
{
	uint32_t i;

	ev->life = ++s->lives;
	ev->life_state = LIFE_OVER;
	i = sockets_may_hold(ev) ? sockets_take(s) : 0;
	if (!i)
		return;
	s->entries[i].socket_id = ev->socket_id;
	s->entries[i].life = ev->life;
	sockets_set_owner(s, &s->entries[i], ev);
	sockets_update(&s->entries[i], ev);
	sockets_hold(s, i, ev);
	ev->life_state = LIFE_TIME_WAIT;
}

/*
 * A socket of which nothing was told before its close (never accepted) may have the address of an older one, whose
 * close was lost, or filtered by the kernel.
 */
static bool sockets_is_other(const struct socket_entry *entry, const struct event *ev)
{
	if (entry->cookie && ev->cookie)
		return !entry->mptcp && entry->cookie != ev->cookie;
	return ev->never_accepted;
}

static void sockets_recall(struct sockets *s, struct event *ev)
{
	uint32_t i = sockets_find_event(s, ev);
	struct socket_entry *entry = &s->entries[i];

	if (i && sockets_is_other(entry, ev)) {
		sockets_hold_dropped(s, i, ev);
		sockets_forget(s, i);
		i = 0;
	}
	if (!i) {
		sockets_end_unknown(s, ev);
		return;
	}
	if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
		ev->role = entry->role;
	if (!ev->duration_ns && entry->born_ns && ev->time_ns > entry->born_ns)
		ev->duration_ns = ev->time_ns - entry->born_ns;
	sockets_tell_creator(processes_at(&s->processes, entry->creator), ev);
	if (sockets_lives_on(s, i, ev))
		sockets_tell_life(&s->entries[i], ev);
	else
		sockets_end(s, i, ev);
}

/* A socket that was connected or accepted before we came: the end with an ephemeral port is the initiator's. */
static void sockets_guess_role(struct event *ev)
{
	bool local_eph = ev->local.port >= ev->range_low && ev->local.port <= ev->range_high;
	bool remote_eph = ev->remote.port >= ev->range_low && ev->remote.port <= ev->range_high;

	if (ev->has_truth && local_eph != remote_eph)
		ev->role = local_eph ? ROLE_EGRESS : ROLE_INGRESS;
}

size_t sockets_count(const struct sockets *s)
{
	return s->count;
}

size_t sockets_held(const struct sockets *s)
{
	return s->held;
}

/* ---- looking for a port ---- */

static bool sockets_is_any(const struct endpoint *end)
{
	static const uint8_t any[16];

	return memcmp(end->addr, any, sizeof(any)) == 0;
}

bool sockets_overlap(const struct endpoint *a, bool a_v6only, const struct endpoint *b, bool b_v6only)
{
	if (!a->ip_version || !b->ip_version)
		return false;
	if (a->ip_version == b->ip_version)
		return sockets_is_any(a) || sockets_is_any(b) || event_is_same_address(a, b);
	if (a->ip_version == 6)
		return sockets_is_any(a) && !a_v6only;
	return sockets_is_any(b) && !b_v6only;
}

static bool sockets_is_out(const struct socket_entry *entry, const struct sockets_key *key)
{
	bool other_peer = key->remote.has_port && !event_is_same_endpoint(&entry->remote, &key->remote);

	return other_peer || (entry->unsure && !key->guess) ||
	       (entry->socket_id && entry->socket_id == key->other_than) ||
	       (key->before_ns && entry->born_ns > key->before_ns);
}

static void sockets_describe(const struct sockets *s, const struct socket_entry *entry, struct holder *ret)
{
	const struct process_name *owner = processes_at(&s->processes, entry->owner);

	*ret = (struct holder){ .kind = entry->kind,
				.local = entry->local,
				.how = entry->how,
				.pid = owner->pid,
				.process_start_ns = owner->start_ns,
				.cgroup_id = owner->cgroup_id,
				.has_uid = owner->pid != 0,
				.uid = owner->uid };
	memcpy(ret->name, owner->name, sizeof(ret->name));
}

/* The best of one class: the lowest kind, which is the first in the order of preference. */
static const struct socket_entry *sockets_search(const struct sockets *s, const struct sockets_key *key,
						 enum sockets_class class)
{
	uint32_t i = *sockets_port_chain(s, key->netns, key->proto, key->local.port, class);
	const struct socket_entry *best = NULL;

	for (int n = 0; i && n < SOCKETS_SEARCH_MAX; i = s->entries[i].next_port, n++) {
		const struct socket_entry *entry = &s->entries[i];

		if (!sockets_has_port(entry, key) || sockets_is_out(entry, key) ||
		    sockets_class_of(entry) != class || (best && best->kind <= entry->kind) ||
		    !sockets_share_device(key->device, entry->device) ||
		    !sockets_overlap(&key->local, key->v6only, &entry->local, entry->v6only))
			continue;
		best = entry;
		if (class != SOCKETS_RESTING || best->kind == HOLDER_LISTENER)
			break;
	}
	return best;
}

bool sockets_find_holder(const struct sockets *s, const struct sockets_key *key, struct holder *ret)
{
	const struct socket_entry *entry = NULL;

	for (enum sockets_class class = 0; class < SOCKETS_CLASS_COUNT && !entry; class++)
		entry = sockets_search(s, key, class);
	if (!entry)
		return false;
	sockets_describe(s, entry, ret);
	if (entry->kind == HOLDER_TIME_WAIT && key->now_ns && entry->until_ns > key->now_ns + SOCKETS_LATE_NS) {
		ret->has_expires = true;
		ret->expires_s = (uint32_t)((entry->until_ns - SOCKETS_LATE_NS - key->now_ns + 999999999) / 1000000000);
	}
	return true;
}

static const struct socket_entry *sockets_find_meant(const struct sockets *s, const struct sockets_key *key)
{
	for (enum sockets_class class = 0; class < SOCKETS_CLASS_COUNT; class++) {
		uint32_t i = *sockets_port_chain(s, key->netns, key->proto, key->local.port, class);

		for (int n = 0; i && n < SOCKETS_OWNER_SEARCH_MAX; i = s->entries[i].next_port, n++)
			if (sockets_has_port(&s->entries[i], key) && s->entries[i].owner &&
			    sockets_is_meant(&s->entries[i], key))
				return &s->entries[i];
	}
	return NULL;
}

bool sockets_find_owner(const struct sockets *s, const struct sockets_key *key, struct holder *ret)
{
	const struct socket_entry *entry = sockets_find_meant(s, key);

	if (entry)
		sockets_describe(s, entry, ret);
	return entry;
}

bool sockets_find_life(const struct sockets *s, const struct sockets_key *key, struct holder *ret, enum event_how *how)
{
	const struct socket_entry *entry = sockets_find_meant(s, key);

	if (!entry)
		return false;
	sockets_describe(s, entry, ret);
	*how = entry->how;
	return true;
}

/* ---- whose listener has accepted? ---- */

/*
 * Where several listeners share a port (SO_REUSEPORT), the one that the connection came by is not known: then the
 * creator is told only if it is the same for all of them.
 */
static const struct process_name *sockets_listener_creator(const struct sockets *s, const struct event *ev)
{
	struct sockets_key key = {
		.netns = sockets_netns(ev), .proto = ev->proto, .protocol = ev->protocol, .local = ev->local
	};
	uint32_t i = *sockets_port_chain(s, key.netns, key.proto, key.local.port, SOCKETS_RESTING);
	const struct process_name *found = NULL;

	for (int n = 0; i && n < SOCKETS_SEARCH_MAX; i = s->entries[i].next_port, n++) {
		const struct socket_entry *entry = &s->entries[i];

		if (!sockets_has_port(entry, &key) || entry->kind != HOLDER_LISTENER ||
		    !sockets_overlap(&key.local, false, &entry->local, entry->v6only))
			continue;
		if (found && !sockets_is_same_process(found, processes_at(&s->processes, entry->creator)))
			return NULL;
		found = processes_at(&s->processes, entry->creator);
	}
	return found;
}

static void sockets_accepted(const struct sockets *s, struct event *ev)
{
	const struct process_name *creator;

	if (ev->outcome == OUTCOME_FAILURE || !ev->local.has_port)
		return;
	creator = sockets_listener_creator(s, ev);
	if (creator)
		sockets_tell_creator(creator, ev);
}

static bool sockets_is_peer(const struct socket_entry *entry, const struct event *ev)
{
	return entry->remote.port == ev->remote.port &&
	       (!ev->remote.port || event_is_same_address(&entry->remote, &ev->remote));
}

/* It may be of an earlier connection of the socket, whose TIME_WAIT ends while the socket has another port or peer. */
static bool sockets_is_of(const struct socket_entry *entry, const struct event *ev)
{
	return entry->local.port == ev->local.port &&
	       (entry->proto != PROTO_TCP || !ev->remote.port || sockets_is_peer(entry, ev));
}

/*
 * From a socket that is still open: UDP that was disconnected, which has no close before its next port; a reset
 * connection, whose close is still to come; or TIME_WAIT of one that was shut down both ways: then a port that was
 * asked for by number stays with the socket.
 */
static void sockets_released_alive(struct sockets *s, uint32_t i, struct event *ev)
{
	sockets_tell_life(&s->entries[i], ev);
	ev->life_state = LIFE_OVER;
	if (ev->proto == PROTO_UDP)
		sockets_forget(s, i);
	else if (s->entries[i].locked)
		sockets_rest(s, i);
	else
		sockets_lose_port(s, i);
}

/* The kernel took the port back: whoever closed it holds it no more. */
static void sockets_released(struct sockets *s, struct event *ev)
{
	struct sockets_key key = sockets_key_of(ev);
	uint32_t i = sockets_find_event(s, ev);

	if (i && sockets_is_of(&s->entries[i], ev)) {
		sockets_released_alive(s, i, ev);
		return;
	}
	i = *sockets_port_chain(s, key.netns, key.proto, key.local.port, SOCKETS_CLOSED);

	while (i && (!sockets_has_port(&s->entries[i], &key) || s->entries[i].socket_id ||
		     !sockets_is_meant(&s->entries[i], &key) || !sockets_is_peer(&s->entries[i], ev)))
		i = s->entries[i].next_port;
	if (i) {
		sockets_tell_life(&s->entries[i], ev);
		ev->life_state = LIFE_OVER;
		sockets_forget_held(s, i);
	}
}

/* The close of a socket that is older than us may show no near end, but the snapshot did. */
static void sockets_lend_ends(const struct socket_entry *entry, struct event *ev)
{
	if (!entry->local.has_port)
		return;
	ev->local = entry->local;
	ev->remote = entry->remote;
}

void sockets_lend(const struct sockets *s, struct event *ev)
{
	bool has_process = ev->pid && ev->confidence != CONFIDENCE_KERNEL;
	bool has_ends = ev->kind != EVENT_CLOSE || ev->local.has_port;
	const struct process_name *owner;
	const struct socket_entry *entry;

	if ((has_process && has_ends) || !ev->socket_id)
		return;
	entry = &s->entries[sockets_find(s, ev->socket_id)];
	owner = processes_at(&s->processes, entry->owner);
	if (sockets_is_other(entry, ev))
		return;
	if (!has_ends)
		sockets_lend_ends(entry, ev);
	if (has_process || !owner->pid)
		return;
	if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
		ev->role = entry->role;
	ev->pid = owner->pid;
	ev->tid = ev->parent_pid = ev->vpid = ev->exec_id = 0;
	ev->has_uid = true;
	ev->uid = owner->uid;
	ev->cgroup_id = owner->cgroup_id;
	ev->process_start_ns = owner->start_ns;
	memcpy(ev->name, owner->name, sizeof(ev->name));
	ev->name_is_leader = true;
	ev->confidence = CONFIDENCE_SURE;
}

void sockets_track(struct sockets *s, struct event *ev)
{
	sockets_expire(s, ev->time_ns);
	if (!ev->socket_id)
		return;
	switch (ev->kind) {
	case EVENT_ACCEPT:
		sockets_accepted(s, ev);
		sockets_remember(s, ev);
		break;
	case EVENT_BIND:
	case EVENT_LISTEN:
	case EVENT_CONNECT:
		sockets_remember(s, ev);
		break;
	case EVENT_CLOSE:
		sockets_recall(s, ev);
		if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
			sockets_guess_role(ev);
		break;
	case EVENT_RELEASE:
		sockets_released(s, ev);
		if (ev->role == ROLE_UNKNOWN && ev->remote.has_port)
			sockets_guess_role(ev);
		break;
	case EVENT_KIND_COUNT:
		break;
	}
}

/* ---- snapshots, and what is remembered ---- */

bool sockets_adopt(struct sockets *s, struct event *ev, uint64_t until_ns)
{
	uint32_t i = ev->cookie ? sockets_find(s, ev->cookie) : 0;

	s->adopted_ns = ev->time_ns;
	if (!ev->cookie || (i && (!until_ns || event_is_same_endpoint(&s->entries[i].local, &ev->local))))
		return false;
	ev->socket_id = ev->cookie;
	i = until_ns ? sockets_take(s) : sockets_add(s, ev);
	if (!i)
		return false;
	s->entries[i].life = ++s->lives;
	s->entries[i].kind = HOLDER_BOUND;
	sockets_set_owner(s, &s->entries[i], ev);
	sockets_update(&s->entries[i], ev);
	if (until_ns) {
		sockets_hold(s, i, ev);
		s->entries[i].until_ns = until_ns;
		s->entries[i].unsure = false;
	} else {
		s->entries[i].adopted = true;
		s->adopted++;
		sockets_link_port(s, i);
		sockets_link_age(s, i, sockets_age_of(&s->entries[i]));
	}
	sockets_tell_life(&s->entries[i], ev);
	return true;
}

static struct sockets_view sockets_view_of(const struct sockets *s, const struct socket_entry *entry)
{
	return (struct sockets_view){ .life = entry->life,
				      .cookie = entry->cookie,
				      .netns = entry->netns,
				      .begin_ns = entry->born_ns,
				      .until_ns = entry->until_ns,
				      .state = sockets_life_state(entry),
				      .how = entry->how,
				      .proto = entry->proto,
				      .udplite = entry->udplite,
				      .mptcp = entry->mptcp,
				      .unsure = entry->unsure,
				      .adopted = entry->adopted,
				      .doubted = entry->doubted,
				      .locked = entry->locked,
				      .local = entry->local,
				      .remote = entry->remote,
				      .pid = processes_at(&s->processes, entry->owner)->pid };
}

void sockets_each(struct sockets *s, bool (*keep)(void *arg, const struct sockets_view *view), void *arg)
{
	for (uint32_t i = 1; i < s->used; i++) {
		struct socket_entry *entry = &s->entries[i];
		struct sockets_view view = sockets_view_of(s, entry);

		if (!entry->indexed || keep(arg, &view))
			continue;
		if (entry->socket_id && !entry->adopted && !entry->doubted)
			entry->doubted = true;
		else if (entry->socket_id)
			sockets_forget(s, i);
		else
			sockets_forget_held(s, i);
	}
}

struct sockets_evictions sockets_evicted(const struct sockets *s)
{
	return s->evicted;
}

size_t sockets_bytes(const struct sockets *s)
{
	return sizeof(*s) + s->used * sizeof(*s->entries) + 2 * s->size * sizeof(*s->by_id) +
	       s->processes.used * sizeof(*s->processes.entries) + s->processes.size * sizeof(*s->processes.chains);
}
