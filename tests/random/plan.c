// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Which call comes next. Each step draws from numbers of its own (seed, process, step), so that a call that ends
 * otherwise than last time does not change all that follow.
 */
#include <netinet/tcp.h>
#include <stdio.h>

#include "random.h"

#define ANSWER_PATIENCE 500 /* ms, more than a SYN that was answered by a mere ACK waits (TCP_RTO_MIN) */

static uint64_t random_state;

static uint64_t mix(uint64_t z)
{
	z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
	z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
	return z ^ (z >> 31);
}

/* For two processes: the same numbers in both. */
void plan_seed_pair(uint32_t index)
{
	random_state = mix(shared->seed + mix((uint64_t)(self->lead / 2) << 56 ^ 1ULL << 52 ^ index));
}

void plan_seed(uint32_t index)
{
	uint64_t generation = self->is_child ? self->generation : 0;

	random_state = mix(shared->seed + mix((uint64_t)self->lead << 56 ^ generation << 32 ^ index));
}

uint32_t draw(uint32_t below)
{
	random_state += 0x9E3779B97F4A7C15ULL;
	return (uint32_t)(mix(random_state) >> 16) % below;
}

bool draw_percent(uint32_t percent)
{
	return draw(100) < percent;
}

/* ---- addresses ---- */

static int draw_port(const struct slot *s)
{
	uint32_t kind = draw(100);

	if (kind < 45)
		return 0;
	/* Two processes that listen at one port with SO_REUSEPORT would take each other's connections. */
	if (kind < 70 || s->reuseport)
		return OWN_FIRST(self->lead) + (int)draw(OWN_PORTS);
	if (kind < 88)
		return SHARED_FIRST + (int)draw(SHARED_PORTS);
	if (kind < 93)
		return 80 + (int)draw(5); /* privileged */
	return RANGE_LOW + (int)draw(RANGE_HIGH - RANGE_LOW + 1);
}

static struct addr draw_own_address(const struct slot *s)
{
	static const char *const v4[] = { "127.0.0.1", "0.0.0.0", "127.0.0.2", "10.9.9.9" };
	static const char *const v6[] = { "::1", "::", "::ffff:127.0.0.1", "2001:db8::1" };
	uint32_t kind = draw(100), i = kind < 38 ? 0 : kind < 80 ? 1 : kind < 93 ? 2 : 3;

	return net_addr(s->family, s->family == AF_INET ? v4[i] : v6[i], draw_port(s));
}

static uint32_t full_length(const struct addr *a)
{
	return a->family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

/*
 * Can this socket talk IPv4, or IPv6? One that is bound to an address of one cannot talk the other. A TCP socket that
 * has once tried a v4-mapped address sends IPv4 ever after, and so do the connections that it accepts as a listener
 * (the kernel keeps icsk_af_ops): each has one for life.
 */
static bool talks(const struct slot *s, int family, const struct addr *local)
{
	bool bound = local->family && !net_is_any(local);

	if (s->family == AF_INET)
		return family == AF_INET;
	if (s->type == SOCK_STREAM && s->speaks4 != (family == AF_INET))
		return false;
	if (family == AF_INET)
		return !s->v6only && (!bound || net_is_mapped(local));
	return !bound || !net_is_mapped(local);
}

static struct addr loopback(const struct slot *s, int family, int port)
{
	if (family == AF_INET6)
		return net_addr(AF_INET6, "::1", port);
	return s->family == AF_INET ? net_addr(AF_INET, "127.0.0.1", port) :
				      net_addr(AF_INET6, "::ffff:127.0.0.1", port);
}

static struct addr as_seen_by(const struct slot *s, const struct addr *a)
{
	struct addr out = *a;

	if (s->family == AF_INET && net_is_mapped(a)) {
		out = net_addr(AF_INET, "0.0.0.0", a->port);
		memcpy(out.ip, a->ip + 12, 4);
	} else if (s->family == AF_INET6 && a->family == AF_INET) {
		out = net_addr(AF_INET6, "::ffff:0.0.0.0", a->port);
		memcpy(out.ip + 12, a->ip, 4);
	}
	return out;
}

/* The address at which s reaches what is bound to `at`; family 0: it does not. */
static struct addr reach(const struct slot *s, const struct addr *at, bool v6only)
{
	struct addr local = net_local(s->fds[0]);
	bool v4 = at->family == AF_INET || net_is_mapped(at) || (net_is_any(at) && !v6only);
	bool v6 = at->family == AF_INET6 && !net_is_mapped(at);

	v4 = v4 && talks(s, AF_INET, &local);
	v6 = v6 && talks(s, AF_INET6, &local);
	if (!v4 && !v6)
		return (struct addr){};
	if (net_is_any(at))
		return loopback(s, v6 && (!v4 || draw_percent(50)) ? AF_INET6 : AF_INET, at->port);
	return as_seen_by(s, at);
}

/* Refused, unreachable, or of the wrong family. */
static struct addr dead_address(const struct slot *s, uint32_t *ret_len)
{
	struct addr local = net_local(s->fds[0]), a;
	uint32_t kind = draw(100);
	int family = talks(s, AF_INET, &local) && (!talks(s, AF_INET6, &local) || draw_percent(40)) ? AF_INET :
												      AF_INET6;

	a = loopback(s, family, DEAD_PORT);
	if (!talks(s, family, &local)) /* bound to the other family */
		a = net_addr(AF_INET, "127.0.0.1", DEAD_PORT);
	else if (kind >= 93) /* another family */
		a = s->family == AF_INET ? net_addr(AF_INET6, "::1", DEAD_PORT) :
					   net_addr(AF_INET, "127.0.0.1", DEAD_PORT);
	else if (kind >= 75 && s->family == AF_INET)
		a = net_addr(AF_INET, "10.9.9.9", DEAD_PORT);
	else if (kind >= 75 && family == AF_INET6)
		a = net_addr(AF_INET6, "2001:db8::9", DEAD_PORT);
	else if (kind >= 68)
		a = s->family == AF_INET ? net_addr(AF_INET, "0.0.0.0", DEAD_PORT) :
		    talks(s, AF_INET6, &local) ? net_addr(AF_INET6, "::", DEAD_PORT) : a;
	*ret_len = full_length(&a);
	if (draw_percent(4))
		*ret_len = draw_percent(50) ? draw(2) : 8;
	return a;
}

/* ---- TCP ---- */

static struct slot *draw_listener(const struct slot *s, struct addr *ret_at)
{
	uint32_t first = draw(SLOTS);

	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *l = &self->slots[(first + i) % SLOTS];

		if (l == s || !slot_listens(l) || l->ns != s->ns)
			continue;
		*ret_at = net_local(l->fds[0]);
		*ret_at = reach(s, ret_at, l->v6only);
		if (ret_at->family && (!l->speaks4 || ret_at->family == AF_INET || net_is_mapped(ret_at)))
			return l;
	}
	return NULL;
}

static bool port_is_full(const struct slot *s, int port)
{
	unsigned int length, max;

	for (size_t i = 0; i < SLOTS; i++) {
		const struct slot *l = &self->slots[i];

		if (l->used && l->type == SOCK_STREAM && l->ns == s->ns && net_queue(l->fds[0], &length, &max) &&
		    net_local(l->fds[0]).port == port && length > max)
			return true;
	}
	return false;
}

/* A connect that gets no answer must not be waited for. */
static void connect_to(struct slot *s, const struct addr *to, uint32_t len)
{
	bool full;

	if (!s->nonblock && (port_is_full(s, to->port) || slot_pending(s)))
		call_option(s, OPT_NONBLOCK, 1);
	call_connect(s, to, len);
	if (!slot_pending(s))
		return;
	full = port_is_full(s, to->port);
	/* Not the queue: the SYN met what is left of an older connection, and is sent again in a moment. */
	if (!full && call_answered(s, ANSWER_PATIENCE))
		call_result(s, 0);
	/* its owner, or nobody, could know how it ends */
	if (slot_pending(s) && (!full || self->borrowed[s - self->slots]))
		call_disconnect(s);
}

/* One that nobody else can have: what getsockname() says may be a port that was given back. */
static bool binds_own_port(const struct addr *local)
{
	return local->port >= OWN_FIRST(self->lead) && local->port < OWN_FIRST(self->lead) + OWN_PORTS;
}

static void tcp_connect(struct slot *s)
{
	struct addr local = net_local(s->fds[0]), to;
	uint32_t kind = draw(100), len;

	if (kind < 70 && draw_listener(s, &to)) {
		connect_to(s, &to, full_length(&to));
	} else if (kind < 76 && binds_own_port(&local) && !s->connected && !slot_listens(s) &&
		   (to = reach(s, &local, s->v6only)).family) {
		connect_to(s, &to, full_length(&to)); /* to itself */
	} else {
		to = dead_address(s, &len);
		connect_to(s, &to, len);
	}
}

/* What waits for an answer would get one at a time that nobody knows, once there is room in the queue. */
void plan_give_up(void)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &self->slots[i];

		if (!slot_pending(s))
			continue;
		if (draw_percent(30))
			call_disconnect(s);
		else if (draw_percent(30))
			call_shutdown(s, (int)draw(3));
		else
			call_close_all(s);
		if (slot_pending(s)) /* a copy is elsewhere */
			die("an attempt that cannot be given up");
	}
}

struct slot *plan_room(int wanted)
{
	while (true) {
		int n = 0;

		for (size_t i = 0; i < SLOTS; i++)
			n += !self->slots[i].used;
		if (n >= wanted)
			return slot_free();
		plan_give_up();
		for (size_t i = draw(SLOTS);; i = (i + 1) % SLOTS)
			if (self->slots[i].used) {
				call_close_all(&self->slots[i]);
				break;
			}
	}
}

/* Mostly one where somebody waits. */
static struct slot *draw_accepting(struct slot *s)
{
	uint32_t first = draw(SLOTS);
	unsigned int length, max;

	if (draw_percent(15))
		return s;
	for (uint32_t i = 0; i < SLOTS; i++) {
		struct slot *l = &self->slots[(first + i) % SLOTS];

		if (l->used && l->type == SOCK_STREAM && net_queue(l->fds[0], &length, &max) && length)
			return l;
	}
	return s;
}

static void accept_on(struct slot *s)
{
	bool nonblock = draw_percent(40), cloexec = draw_percent(20);

	s = draw_accepting(s);
	if (slot_listens(s))
		plan_give_up();
	if (!slot_free())
		return;
	if (s->used)
		call_accept(s, nonblock, cloexec);
}

static void bind_slot(struct slot *s)
{
	struct addr to = draw_own_address(s);
	uint32_t kind = draw(100);

	if (s->connected && net_state(s->fds[0]) == 7 /* TCP_CLOSE */) {
		call_disconnect(s); /* what a bound socket with a connection behind it is, is nobody's business */
		return;
	}
	if (kind < 2)
		to = s->family == AF_INET ? net_addr(AF_INET6, "::1", 0) : net_addr(AF_INET, "127.0.0.1", 0);
	call_bind(s, &to, kind > 95 ? 2 + draw(2) * 6 : full_length(&to));
}

static void listen_slot(struct slot *s)
{
	if (slot_listens(s)) /* there may be more room then */
		plan_give_up();
	call_listen(s, (int)draw(3));
}

static void set_option(struct slot *s)
{
	uint32_t kind = draw(100);
	int value = draw_percent(75);

	if (kind < 40)
		call_option(s, OPT_REUSEADDR, value);
	else if (kind < 60)
		call_option(s, OPT_NO_PORT, value);
	else if (kind < 70)
		call_option(s, OPT_V6ONLY, value);
	else if (kind < 90)
		call_option(s, OPT_LINGER0, value);
	else
		call_option(s, OPT_NONBLOCK, value);
}

static void close_slot(struct slot *s)
{
	if (slot_listens(s))
		plan_give_up();
	if (s->nfds > 1 && draw_percent(60))
		call_close(s, (int)draw((uint32_t)s->nfds));
	else
		call_close_all(s);
}

static void end_some(struct slot *s, uint32_t kind)
{
	if (slot_listens(s))
		plan_give_up();
	if (kind < 6)
		call_disconnect(s);
	else if (net_state(s->fds[0]) == 7 /* TCP_CLOSE */) /* SHUT_WR there would end a later connection at once */
		call_shutdown(s, SHUT_RD);
	else
		call_shutdown(s, draw_percent(50) ? SHUT_WR : (int)draw(3));
}

static void tcp_step(struct slot *s)
{
	uint32_t kind = draw(100);

	if (kind < 14)
		bind_slot(s);
	else if (kind < 26)
		listen_slot(s);
	else if (kind < 48)
		tcp_connect(s);
	else if (kind < 60)
		accept_on(s);
	else if (kind < 73)
		close_slot(s);
	else if (kind < 83)
		end_some(s, draw(10));
	else if (kind < 87)
		call_dup(s);
	else if (kind < 91)
		set_option(s);
	else if (kind < 95)
		call_send(s, NULL, 1 + (int)draw(200));
	else if (kind < 98)
		call_recv(s);
	else
		call_error(s);
}

/* ---- UDP ---- */

static struct addr udp_address(const struct slot *s, uint32_t *ret_len)
{
	const struct slot *other = &self->slots[draw(SLOTS)];
	struct addr to = {};

	if (other->used && other->type == SOCK_DGRAM && other->ns == s->ns && draw_percent(50)) {
		struct addr at = net_local(other->fds[0]);

		to = at.port ? reach(s, &at, other->v6only) : to;
		*ret_len = full_length(&to);
	}
	return to.family ? to : dead_address(s, ret_len);
}

static void udp_step(struct slot *s)
{
	uint32_t kind = draw(100), len;
	struct addr to;

	if (kind < 20) {
		bind_slot(s);
	} else if (kind < 42) {
		to = udp_address(s, &len);
		call_connect(s, &to, len);
	} else if (kind < 52) {
		call_disconnect(s);
	} else if (kind < 66) {
		to = udp_address(s, &len);
		call_send(s, &to, 1 + (int)draw(50));
	} else if (kind < 70) {
		call_send(s, NULL, 1);
	} else if (kind < 86) {
		close_slot(s);
	} else if (kind < 88) {
		call_listen(s, 1);
	} else if (kind < 90) {
		call_shutdown(s, (int)draw(3));
	} else if (kind < 93) {
		call_dup(s);
	} else if (kind < 98) {
		set_option(s);
	} else {
		call_recv(s);
	}
}

/* ---- whole stories, now and then ---- */

/* A listener without room, one connection that waits in it, and attempts that get no answer. */
static int stuck_attempts(struct slot **ret_listener, struct slot **ret, int wanted)
{
	struct addr at = net_addr(AF_INET, "127.0.0.1", OWN_FIRST(self->lead) + OWN_PORTS + (int)draw(OWN_PORTS));
	struct slot *l, *first;
	int one = 1;

	plan_room(wanted + 3);
	l = call_socket(AF_INET, SOCK_STREAM, false, true);
	call_option(l, OPT_REUSEADDR, 1);
	*ret_listener = l;
	if (call_bind(l, &at, sizeof(struct sockaddr_in)) || call_listen(l, 0))
		return 0;
	first = call_socket(AF_INET, SOCK_STREAM, true, false);
	if (call_connect(first, &at, sizeof(struct sockaddr_in)) != EINPROGRESS || slot_pending(first) ||
	    !first->connected)
		return 0; /* no port is free */
	for (int i = 0; i < wanted; i++) {
		ret[i] = call_socket(AF_INET, SOCK_STREAM, true, false);
		setsockopt(ret[i]->fds[0], IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one));
		call_connect(ret[i], &at, sizeof(struct sockaddr_in));
	}
	return wanted;
}

/* SYNs without an answer: the timer gives up. Or there is room at last, and the second SYN is answered. */
static void story_of_waiting(void)
{
	struct slot *l, *stuck[3];
	bool answered = draw_percent(50);
	int n = stuck_attempts(&l, stuck, 3);

	if (n && answered) {
		n = 1;
		call_close_all(stuck[1]);
		call_close_all(stuck[2]);
		call_accept(l, false, false);
	}
	for (int i = 0; i < n; i++)
		call_result(stuck[i], 30000);
	call_close_all(l);
}

/* ---- steps ---- */

static void open_slot(void)
{
	int family = draw_percent(50) ? AF_INET : AF_INET6, type = draw_percent(65) ? SOCK_STREAM : SOCK_DGRAM;
	bool nonblock = draw_percent(40), cloexec = draw_percent(20), reuseport = draw_percent(12);
	struct slot *s;

	if (draw_percent(10) && !self->nobody && !helper_is_me())
		net_enter(1 - self->ns);
	s = call_socket(family, type, nonblock, cloexec);
	s->speaks4 = draw_percent(35);
	if (reuseport)
		call_option(s, OPT_REUSEPORT, 1);
	if (draw_percent(25))
		call_option(s, OPT_REUSEADDR, 1);
	if (draw_percent(10))
		call_option(s, OPT_NO_PORT, 1);
	if (type == SOCK_STREAM && draw_percent(10))
		call_option(s, OPT_LINGER0, 1);
}

void plan_one(void)
{
	struct slot *s = &self->slots[draw(SLOTS)];

	if (!s->used)
		open_slot();
	else if (s->type == SOCK_STREAM)
		tcp_step(s);
	else
		udp_step(s);
}

/* Of two ends of one connection that a process takes with it, the order in which they end would be unknown. */
void plan_before_end(bool only_cloexec)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &self->slots[i];
		struct addr peer, local;
		bool both = false;

		if (!s->used || s->type != SOCK_STREAM || self->borrowed[i] || (only_cloexec && !s->cloexec))
			continue;
		peer = net_peer(s->fds[0]);
		for (size_t k = 0; k < SLOTS && peer.family; k++) {
			if (k == i || !self->slots[k].used || self->slots[k].type != SOCK_STREAM || self->borrowed[k])
				continue;
			local = net_local(self->slots[k].fds[0]);
			both |= net_same(&local, &peer) || (local.port == peer.port && slot_listens(&self->slots[k]));
		}
		if (both)
			call_close_all(s);
	}
}

void plan_run(uint32_t steps)
{
	for (; self->index < steps; self->index++) {
		plan_seed(self->index);
		if (!self->is_child && self->index % 64 == 63)
			family_meet();
		else if (!self->is_child && self->index % 4000 == 500 + 100 * (uint32_t)self->lead)
			story_of_waiting();
		else if (!self->is_child && draw(60) == 0)
			family_child();
		else if (draw(self->is_child ? 120 : 300) == 0)
			family_exec();
		else if (draw_percent(15))
			helper_run(plan_one);
		else
			plan_one();
	}
}
