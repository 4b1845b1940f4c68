// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The rules P01 to P25, but for those of rule_event.c; the first that holds explains a pool. Numbers: the shares at
 * which one cause is the cause.
 */
#include "rule.h"

#include <stdio.h>

#include "human.h"
#include "visible.h"

#define RULE_TIME_WAIT_S 61.0 /* TCP_TIMEWAIT_LEN, and the slack of its timer */

/* ---- words ---- */

void rule_number(struct buf *b, uint64_t n)
{
	if (n >= 1000) {
		rule_number(b, n / 1000);
		buf_char(b, ',');
		buf_u64_padded(b, n % 1000, 3);
	} else {
		buf_u64(b, n);
	}
}

void rule_process(struct buf *b, const struct pressure_netns *netns, uint32_t process)
{
	const struct pressure_process *p = &netns->in.processes[process];

	if (!p->pid) {
		buf_lit(b, "the program that opens them");
		return;
	}
	human_process(b, p->name, sizeof(p->name), p->pid, p->exited);
}

static void rule_owner(const struct rule_case *c, struct buf *b)
{
	rule_process(b, c->netns, c->pool && c->pool->owner_count ? c->pool->owners[0].process : 0);
}

static void rule_blocker(const struct rule_case *c, struct buf *b)
{
	rule_process(b, c->netns, c->netns->blocker_count ? c->netns->blockers[0].process : 0);
}

static void rule_count(struct buf *b, uint64_t n, const char *words)
{
	rule_number(b, n);
	buf_str(b, words);
}

/* A process of another namespace: it is not sure which one is its main one. 0 = none is known. */
static uint32_t rule_way_in(const struct rule_case *c)
{
	const struct pressure_input *in = &c->netns->in;

	for (size_t i = 0; in->process && i < in->pool->count; i++)
		if (in->process[i] && !in->processes[in->process[i]].exited)
			return in->processes[in->process[i]].pid;
	return 0;
}

/* "sysctl -w NAME=VALUE", in the namespace that it is about. */
static void rule_sysctl(const struct rule_case *c, struct buf *b, const char *setting)
{
	uint32_t pid = c->netns->in.is_own ? 0 : rule_way_in(c);

	if (c->netns->in.name[0]) {
		buf_lit(b, "ip netns exec ");
		visible_text(b, c->netns->in.name, sizeof(c->netns->in.name));
		buf_char(b, ' ');
	} else if (pid) {
		buf_lit(b, "nsenter -t ");
		buf_u64(b, pid);
		buf_lit(b, " -n ");
	}
	buf_lit(b, "sysctl -w ");
	buf_str(b, setting);
}

/* ---- shares ---- */

static const struct pool_state *rule_state(const struct rule_case *c)
{
	return c->netns->in.pool;
}

static bool rule_is_share(const struct rule_case *c, enum pressure_state state, uint32_t percent)
{
	uint32_t sum = 0;

	for (int i = 0; i < PRESSURE_STATE_COUNT; i++)
		sum += c->pool->ports[i];
	return sum && (uint64_t)c->pool->ports[state] * 100 >= (uint64_t)sum * percent;
}

static uint32_t rule_blocked(const struct rule_case *c)
{
	const uint32_t *blocked = c->netns->blocked;

	return blocked[POOL_PORT_BOUND] + blocked[POOL_PORT_BIND_CONNECT] + blocked[POOL_PORT_ACCEPTED] +
	       blocked[POOL_PORT_PHANTOM] + blocked[POOL_PORT_BLOCKED];
}

static uint32_t rule_range(const struct rule_case *c)
{
	return (uint32_t)rule_state(c)->range_high - rule_state(c)->range_low + 1;
}

static bool rule_is_connect(const struct rule_case *c)
{
	return c->pool->key.kind == POOL_CONNECT;
}

static bool rule_is_pressed(const struct rule_case *c)
{
	return c->pool->severity > PRESSURE_OK;
}

static bool rule_is_waiting(const struct rule_case *c)
{
	return rule_is_connect(c) && rule_is_pressed(c) && rule_is_share(c, PRESSURE_TIME_WAIT, 60);
}

/* ---- P01, P02, P13, P14: TIME_WAIT ---- */

static void rule_say_waits(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_TIME_WAIT], " of ");
	rule_count(b, c->pool->measure.used,
		   " used ports are in TIME_WAIT: this side closes first, and each port rests"
		   " for 60 s");
	if (c->pool->owner_count) {
		buf_lit(b, "; opened by ");
		rule_owner(c, b);
	}
	if (c->pool->has_rates && c->pool->opens_per_s >= 1) {
		buf_lit(b, "; ");
		rule_number(b, (uint64_t)(c->pool->opens_per_s + 0.5));
		buf_lit(b, " are opened a second, ");
		rule_number(b, (uint64_t)(pressure_capacity(c->pool) / RULE_TIME_WAIT_S));
		buf_lit(b, " can be sustained");
	}
	if (c->counters->known && c->counters->rose.tw_recycled) {
		buf_lit(b, "; ");
		rule_count(b, c->counters->rose.tw_recycled,
			   " ports were borrowed from TIME_WAIT since the look before");
	}
	buf_char(b, '\n');
}

static void rule_say_stop_gap(const struct rule_case *c, struct buf *b)
{
	const struct pool_state *s = rule_state(c);

	if (s->tw_reuse == 1 || !s->timestamps || (s->tw_reuse == 2 && pool_is_loopback(&c->pool->key.destination)))
		return;
	buf_lit(b, "Until then: ");
	rule_sysctl(c, b, "net.ipv4.tcp_tw_reuse=1");
	buf_lit(b, "   (now ");
	buf_u64(b, (uint64_t)s->tw_reuse);
	buf_str(b, s->tw_reuse == 2 ? ", loopback only" : ", off");
	buf_lit(b, "; timestamps are on): up to ");
	rule_number(b, pressure_capacity(c->pool));
	buf_lit(b, " connections a second\n");
}

static void rule_mend_waits(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "Keep connections open in ");
	rule_owner(c, b);
	buf_lit(b, " (connection pool, keep-alive): then no port is spent on each request\n");
	rule_say_stop_gap(c, b);
	buf_lit(b, "More addresses or ports on the other side give ");
	rule_number(b, pressure_capacity(c->pool));
	buf_lit(b, " ports each\n");
}

/* The other end is a process here: a proxy or a sidecar. */
static bool rule_p02(const struct rule_case *c)
{
	const struct pool_state *s = rule_state(c);
	const struct pool_key *key = &c->pool->key;

	if (!rule_is_waiting(c) || !pool_is_loopback(&key->destination) || !c->pool->owner_count)
		return false;
	for (size_t i = 0; i < s->count; i++)
		if (s->sockets[i].state == SOCKDIAG_LISTEN && s->sockets[i].local.port == key->destination.port)
			return c->netns->in.process[i] && c->netns->in.process[i] != c->pool->owners[0].process;
	return false;
}

static void rule_mend_hop(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "Talk to the local proxy by a unix socket, or keep connections to it open in ");
	rule_owner(c, b);
	buf_lit(b, "; several listening ports give ");
	rule_number(b, pressure_capacity(c->pool));
	buf_lit(b, " each\n");
	rule_say_stop_gap(c, b);
}

static bool rule_p13(const struct rule_case *c)
{
	return rule_is_waiting(c) && rule_state(c)->tw_reuse && !rule_state(c)->timestamps;
}

static void rule_mend_timestamps(const struct rule_case *c, struct buf *b)
{
	rule_sysctl(c, b, "net.ipv4.tcp_timestamps=1");
	buf_lit(b, "   (now 0): without timestamps tcp_tw_reuse does nothing\n");
}

static bool rule_p14(const struct rule_case *c)
{
	return rule_is_waiting(c) && rule_state(c)->tw_reuse == 2 && rule_state(c)->timestamps &&
	       !pool_is_loopback(&c->pool->key.destination);
}

/* ---- P03, P04, P05, P06, P07: what bind() keeps away ---- */

static bool rule_p03(const struct rule_case *c)
{
	return c->pool->key.kind == POOL_BIND &&
	       (rule_is_pressed(c) || pressure_percent(c->pool->measure.used, pressure_capacity(c->pool)) >= 50) &&
	       !rule_is_share(c, PRESSURE_BOUND, 50);
}

static void rule_say_bound_first(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->measure.used, " ports of this address are taken, whatever their destinations: ");
	rule_owner(c, b);
	buf_lit(b, " binds to it, port 0, before it connects\n");
}

static void rule_mend_bound_first(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "In ");
	rule_owner(c, b);
	buf_lit(b,
		": setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1) before bind(), so that connect() picks the "
		"port; or do not bind if there is one source address\n");
}

static bool rule_p04(const struct rule_case *c)
{
	return rule_is_connect(c) && rule_is_pressed(c) && rule_blocked(c) * 10 >= rule_range(c) &&
	       rule_blocked(c) > c->netns->blocked[POOL_PORT_PHANTOM] * 2;
}

static void rule_say_blocked(const struct rule_case *c, struct buf *b)
{
	rule_count(b, rule_blocked(c), " of ");
	rule_count(b, rule_range(c),
		   " ports are kept from every connect() of this namespace by sockets that were bound "
		   "first");
	if (c->netns->blocker_count) {
		buf_lit(b, ", most of them of ");
		rule_blocker(c, b);
	}
	buf_char(b, '\n');
}

static void rule_mend_blocked(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "In ");
	rule_blocker(c, b);
	buf_lit(b, ": IP_BIND_ADDRESS_NO_PORT before bind(), or no bind() before connect()\n");
}

static bool rule_p05(const struct rule_case *c)
{
	return c->netns->blocked[POOL_PORT_BOUND] * 20 >= rule_range(c);
}

static bool rule_p05_pool(const struct rule_case *c)
{
	return c->pool->key.kind == POOL_BIND && rule_is_pressed(c) && rule_is_share(c, PRESSURE_BOUND, 50);
}

static void rule_say_forgotten(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->netns->blocked[POOL_PORT_BOUND],
		   " ports of the range are bound by sockets that neither listen nor "
		   "are connected; ss -tan does not show them\n");
}

static void rule_mend_forgotten(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "Find the leak in ");
	rule_blocker(c, b);
	buf_lit(b, ": porttrace list -s bound\n");
}

static bool rule_p06(const struct rule_case *c)
{
	return (c->netns->listening + c->netns->reserved) * 20 > rule_range(c);
}

static void rule_say_services(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->netns->listening, " ports of the range are listened on, ");
	rule_count(b, c->netns->reserved, " are reserved: no connection can have them\n");
}

static void rule_mend_services(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b,
		"Move the services or the range (net.ipv4.ip_local_port_range): porttrace list -l, porttrace doctor\n");
}

static bool rule_p07(const struct rule_case *c)
{
	return c->netns->blocked[POOL_PORT_PHANTOM] * 100 >= rule_range(c);
}

static void rule_say_phantoms(const struct rule_case *c, struct buf *b)
{
	rule_count(
		b, c->netns->blocked[POOL_PORT_PHANTOM],
		" ports are kept from connect() by a bind() whose socket has gone: until the last connection on them "
		"ends (kernels before 6.18)\n");
}

static void rule_mend_phantoms(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "A kernel since 6.18 (commit d57f4b874946); or IP_BIND_ADDRESS_NO_PORT in the program that binds\n");
}

/* ---- P08 to P12: who holds on ---- */

static bool rule_p08(const struct rule_case *c)
{
	return rule_is_pressed(c) && rule_is_share(c, PRESSURE_CLOSE_WAIT, 30);
}

static void rule_say_close_wait(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_CLOSE_WAIT],
		   " connections are in CLOSE_WAIT: the other side has closed, ");
	rule_owner(c, b);
	buf_lit(b, " has not\n");
}

static void rule_mend_close_wait(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "A leak in ");
	rule_owner(c, b);
	buf_lit(b, ": it has to close() what it has read to the end\n");
}

static bool rule_p09(const struct rule_case *c)
{
	return rule_is_pressed(c) && rule_is_share(c, PRESSURE_FIN_WAIT2, 30);
}

static void rule_say_fin_wait2(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_FIN_WAIT2], " connections are closed here and not by the other side\n");
}

static void rule_mend_fin_wait2(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "The other side has to close. Until then: ");
	rule_sysctl(c, b, "net.ipv4.tcp_fin_timeout=10");
	buf_char(b, '\n');
}

static bool rule_p10(const struct rule_case *c)
{
	return rule_is_pressed(c) && rule_is_share(c, PRESSURE_SYN_SENT, 30);
}

static void rule_say_syn_sent(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_SYN_SENT],
		   " connections wait for a first answer: nobody answers there\n");
}

static void rule_mend_syn_sent(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "A shorter connect timeout and a circuit breaker in ");
	rule_owner(c, b);
	buf_lit(b, "; ");
	rule_sysctl(c, b, "net.ipv4.tcp_syn_retries=3");
	buf_lit(b, " lets each go after 15 s, not 127\n");
}

/* Do its connections last for more than a minute, at the rate at which they are opened? */
static bool rule_is_lasting(const struct rule_case *c)
{
	return !c->pool->has_rates || c->pool->opens_per_s * 60 <= c->pool->measure.used;
}

static bool rule_p11(const struct rule_case *c)
{
	return rule_is_connect(c) && rule_is_pressed(c) && rule_is_share(c, PRESSURE_ESTABLISHED, 70) &&
	       rule_range(c) >= 20000 && rule_is_lasting(c);
}

static void rule_say_established(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_ESTABLISHED], " connections are open");
	if (c->pool->owner_count) {
		buf_lit(b, ", most of them of ");
		rule_owner(c, b);
	}
	buf_char(b, '\n');
}

static void rule_mend_established(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b,
		"More source addresses (bind() with IP_BIND_ADDRESS_NO_PORT), or more addresses or ports on the other "
		"side; or a wider net.ipv4.ip_local_port_range, with the services in it reserved\n");
}

static bool rule_p12(const struct rule_case *c)
{
	return rule_is_pressed(c) && c->pool->measure.size < 20000;
}

/* IP_LOCAL_PORT_RANGE */
static bool rule_is_own_range(const struct rule_case *c)
{
	return c->pool->key.range_low || c->pool->key.range_high;
}

static void rule_say_range(const struct rule_case *c, struct buf *b)
{
	buf_str(b, rule_is_own_range(c) ? "the socket has a range of its own (IP_LOCAL_PORT_RANGE) of " :
					  "the range of this namespace has ");
	rule_count(b, c->pool->measure.size, " ports (");
	buf_u64(b, c->pool->measure.low);
	buf_char(b, '-');
	buf_u64(b, c->pool->measure.high);
	buf_lit(b, "); the kernel's default has 28,232\n");
}

static void rule_mend_range(const struct rule_case *c, struct buf *b)
{
	if (rule_is_own_range(c)) {
		buf_lit(b, "A wider IP_LOCAL_PORT_RANGE, or none, in ");
		rule_owner(c, b);
		buf_char(b, '\n');
		return;
	}
	rule_sysctl(c, b, "net.ipv4.ip_local_port_range=\"10240 65535\"");
	buf_lit(b, "   (now ");
	buf_u64(b, c->pool->measure.low);
	buf_char(b, '-');
	buf_u64(b, c->pool->measure.high);
	buf_lit(b, ", in this namespace)\n"
		   "First reserve the services that listen in it: porttrace doctor has the line\n");
}

/* ---- P15 to P19: UDP, the wall, storms, NAT ---- */

static bool rule_p15(const struct rule_case *c)
{
	return c->pool->key.kind == POOL_UDP && rule_is_pressed(c) &&
	       pressure_percent(c->pool->measure.used, pressure_capacity(c->pool)) >= 80;
}

static void rule_say_udp(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->measure.used, " UDP ports are taken, most of them by ");
	rule_owner(c, b);
	buf_lit(b, "; the next connect() or sendto() gets EAGAIN, which is not \"would block\"\n");
}

static void rule_mend_udp(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "Close or use again the sockets in ");
	rule_owner(c, b);
	buf_lit(b, " (one socket for many queries, a DNS cache)\n");
}

static bool rule_p16(const struct rule_case *c)
{
	const struct pool_measure *m = &c->pool->measure;

	return m->has_half && m->used && !m->half_free.max && m->free.max && !c->pool->failures;
}

static void rule_say_wall(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "the first half is full: each search goes through its ");
	rule_number(b, c->pool->measure.half_capacity.max);
	buf_lit(b, " ports in vain before it finds one, at some 50 times the CPU. No error shows that\n");
}

static void rule_mend_wall(const struct rule_case *c, struct buf *b)
{
	char range[64];

	snprintf(range, sizeof(range), "%u-%u", rule_state(c)->range_low, rule_state(c)->range_high);
	buf_lit(b, "Open less, or to more destinations; since Linux 6.8 setsockopt(IP_LOCAL_PORT_RANGE) to all of ");
	buf_str(b, range);
	buf_lit(b, " makes connect() search without halves\n");
}

static bool rule_p17(const struct rule_case *c)
{
	return c->pool->failures > 200; /* of 10 s */
}

static void rule_say_storm(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->failures, " attempts failed in the last 10 s: each burns 3 to 18 ms of CPU\n");
}

static void rule_mend_storm(const struct rule_case *c, struct buf *b)
{
	buf_lit(b, "Back off in ");
	rule_owner(c, b);
	buf_lit(b, ": wait between attempts\n");
}

static bool rule_is_unanswered(const struct rule_case *c)
{
	return rule_is_connect(c) && c->counters->known && c->counters->rose.syn_retrans > 0 && !rule_is_pressed(c) &&
	       c->pool->ports[PRESSURE_SYN_SENT] >= 3 && rule_is_share(c, PRESSURE_SYN_SENT, 20) &&
	       pressure_percent(c->pool->measure.used, pressure_capacity(c->pool)) < 50;
}

static bool rule_p18(const struct rule_case *c)
{
	return rule_is_unanswered(c) && c->counters->rose.nat_failed > 0;
}

static void rule_say_nat(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_SYN_SENT], " connections wait for an answer while this pool has ports; ");
	rule_count(b, c->counters->rose.nat_failed,
		   " translations failed since the look before (insert_failed): the NAT of this "
		   "host has run out, not its ports\n");
}

static void rule_mend_nat(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "More SNAT addresses or ports, --random-fully; "
		   "sysctl -w net.netfilter.nf_conntrack_tcp_timeout_time_wait=30\n");
}

static bool rule_p19(const struct rule_case *c)
{
	return rule_is_unanswered(c) && !c->counters->rose.nat_failed;
}

static void rule_say_far_nat(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->pool->ports[PRESSURE_SYN_SENT],
		   " connections to one destination wait for an answer while this pool "
		   "has ports: it is not the ports of this host\n");
}

static void rule_mend_far_nat(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "Look at the destination, and at the counters of a NAT gateway on the way\n");
}

/* ---- P22 to P24: the namespace ---- */

static bool rule_p22(const struct rule_case *c)
{
	const struct pool_state *s = rule_state(c);

	for (size_t i = 0; i < s->count; i++) {
		const struct pool_socket *sock = &s->sockets[i];
		bool same = sock->remote.port && sock->local.port == sock->remote.port &&
			    sock->local.ip_version == sock->remote.ip_version;

		for (int k = 0; same && k < 16; k++)
			same = sock->local.addr[k] == sock->remote.addr[k];
		if (same && sock->proto == PROTO_TCP)
			return true;
	}
	return false;
}

static void rule_say_self(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "a socket is connected to itself: it asked for a port of the ephemeral range that nobody listened "
		   "on, and "
		   "the kernel picked that very port for it\n");
}

static void rule_mend_self(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b,
		"A service port outside the range, or in net.ipv4.ip_local_reserved_ports; compare getsockname() with "
		"getpeername() after connect()\n");
}

static bool rule_is_calm(const struct rule_case *c)
{
	for (size_t i = 0; i < c->netns->count; i++)
		if (c->netns->pools[i].severity > PRESSURE_OK)
			return false;
	return true;
}

static bool rule_p23(const struct rule_case *c)
{
	return rule_is_calm(c) && c->netns->server_waits >= 5000;
}

/* tcp_tw_reuse at work, and a pool that lives on it: now and then one is taken over anywhere. */
static bool rule_p23_borrowed(const struct rule_case *c)
{
	bool lives = false;

	for (size_t i = 0; i < c->netns->count; i++)
		lives |= c->netns->pools[i].ports[PRESSURE_TIME_WAIT] * 2 >= pressure_capacity(&c->netns->pools[i]);
	return lives && rule_is_calm(c) && c->counters->known && c->counters->rose.tw_recycled;
}

static void rule_say_borrowed(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->counters->rose.tw_recycled,
		   " ports were borrowed from TIME_WAIT since the look before: tcp_tw_reuse lets connect() take them "
		   "over\n");
}

static void rule_say_harmless(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->netns->server_waits,
		   " sockets are in TIME_WAIT on ports that are listened on: they take nothing from "
		   "any pool\n");
}

static void rule_mend_nothing(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "Nothing has to be done\n");
}

static bool rule_p24(const struct rule_case *c)
{
	return c->counters->known && c->counters->rose.tw_overflow > 0;
}

static void rule_say_overflow(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->counters->rose.tw_overflow,
		   " sockets went without TIME_WAIT since the look before: there are more than "
		   "tcp_max_tw_buckets\n");
}

static void rule_mend_overflow(const struct rule_case *c, struct buf *b)
{
	rule_sysctl(c, b, "net.ipv4.tcp_max_tw_buckets=262144");
	buf_char(b, '\n');
}

/* More than a mishap now and then. */
static bool rule_p25(const struct rule_case *c)
{
	return c->counters->known && c->counters->rose.aborted > 20 * c->counters->seconds;
}

static void rule_say_aborted(const struct rule_case *c, struct buf *b)
{
	rule_count(b, c->counters->rose.aborted,
		   " connections were ended by RST since the look before (SO_LINGER 0, or close() while data came): no "
		   "TIME_WAIT, but ports are saved by aborting connections, and data may be lost\n");
}

static void rule_mend_aborted(const struct rule_case *c, struct buf *b)
{
	(void)c;
	buf_lit(b, "Close without SO_LINGER 0, and keep connections open: that saves the ports, too\n");
}

#define RULE_WAITS_WRONG                                                                                               \
	"tcp_fin_timeout (does not touch TIME_WAIT), tcp_tw_recycle (gone since 4.12), a lower tcp_max_tw_buckets, "   \
	"SO_LINGER 0 (loses data)"

static const struct rule rule_rows[] = {
	{ "P15", "UDP sockets that are kept, or one for each query", true, false, rule_p15, rule_say_udp, rule_mend_udp,
	  "SO_REUSEADDR on UDP sockets (a later one then gets the earlier one's datagrams)" },
	{ "P08", "connections that the program does not close", true, false, rule_p08, rule_say_close_wait,
	  rule_mend_close_wait, "any sysctl" },
	{ "P09", "the other side does not close", true, false, rule_p09, rule_say_fin_wait2, rule_mend_fin_wait2,
	  "tcp_tw_reuse (FIN_WAIT2 is not taken over)" },
	{ "P10", "nobody answers", true, false, rule_p10, rule_say_syn_sent, rule_mend_syn_sent, "a wider range" },
	{ "P13", "TIME_WAIT is not taken over: TCP timestamps are off", true, false, rule_p13, rule_say_waits,
	  rule_mend_timestamps, "another value of tcp_tw_reuse" },
	{ "P14", "short-lived connections, and tcp_tw_reuse=2 is for loopback alone", true, false, rule_p14,
	  rule_say_waits, rule_mend_waits, RULE_WAITS_WRONG },
	{ "P02", "short-lived connections to a proxy on this machine", true, false, rule_p02, rule_say_waits,
	  rule_mend_hop, RULE_WAITS_WRONG },
	{ "P01", "short-lived connections to one place, closed by this side", true, false, rule_is_waiting,
	  rule_say_waits, rule_mend_waits, RULE_WAITS_WRONG },
	{ "P03", "bind() before connect()", true, false, rule_p03, rule_say_bound_first, rule_mend_bound_first,
	  "SO_REUSEADDR, SO_REUSEPORT, tcp_tw_reuse (no effect on bind() to port 0)" },
	{ "P05", "bound and forgotten sockets", true, false, rule_p05_pool, rule_say_forgotten, rule_mend_forgotten,
	  "SO_REUSEADDR, SO_REUSEPORT (no effect on bind() to port 0)" },
	{ "P04", "ports that others have bound", true, false, rule_p04, rule_say_blocked, rule_mend_blocked,
	  "a wider range only puts it off; another source address does not help a plain connect()" },
	{ "P12", "a small range", true, false, rule_p12, rule_say_range, rule_mend_range,
	  "the host's sysctl, for a container" },
	{ "P11", "too many connections for one pair of addresses", true, false, rule_p11, rule_say_established,
	  rule_mend_established, "tcp_tw_reuse, tcp_fin_timeout" },
	{ "P16", "the wall: the first half is full", true, false, rule_p16, rule_say_wall, rule_mend_wall,
	  "ip_local_port_step_width" },
	{ "P18", "this host's NAT has run out", true, false, rule_p18, rule_say_nat, rule_mend_nat,
	  "ip_local_port_range" },
	{ "P19", "no answer, perhaps from a NAT on the way", true, false, rule_p19, rule_say_far_nat, rule_mend_far_nat,
	  "ip_local_port_range" },
	{ "P17", "a storm of attempts that fail", true, false, rule_p17, rule_say_storm, rule_mend_storm,
	  "more threads" },
	{ "P05", "bound and forgotten sockets", false, false, rule_p05, rule_say_forgotten, rule_mend_forgotten, NULL },
	{ "P06", "services inside the range", false, false, rule_p06, rule_say_services, rule_mend_services, NULL },
	{ "P07", "ports kept away by sockets that have gone", false, false, rule_p07, rule_say_phantoms,
	  rule_mend_phantoms, NULL },
	{ "P22", "connected to itself", false, false, rule_p22, rule_say_self, rule_mend_self, NULL },
	{ "P23", "TIME_WAIT that costs nothing", false, true, rule_p23, rule_say_harmless, rule_mend_nothing,
	  "everything that is said against TIME_WAIT" },
	{ "P23", "TIME_WAIT that is borrowed from", false, true, rule_p23_borrowed, rule_say_borrowed,
	  rule_mend_nothing, NULL },
	{ "P24", "too many TIME_WAITs for tcp_max_tw_buckets", false, false, rule_p24, rule_say_overflow,
	  rule_mend_overflow, NULL },
	{ "P25", "connections that this side aborts", false, false, rule_p25, rule_say_aborted, rule_mend_aborted,
	  NULL },
};
#define RULE_COUNT (sizeof(rule_rows) / sizeof(rule_rows[0]))

const struct rule *rule_of_pool(const struct pressure_netns *netns, const struct pressure_pool *pool,
				const struct rule_counters *counters)
{
	struct rule_case c = { .netns = netns, .pool = pool, .counters = counters };

	for (size_t i = 0; i < RULE_COUNT; i++)
		if (rule_rows[i].of_pool && rule_rows[i].holds(&c))
			return &rule_rows[i];
	return NULL;
}

const struct rule *rule_beside(const struct pressure_netns *netns, const struct pressure_pool *pool,
			       const struct rule_counters *counters, const struct rule *cause)
{
	struct rule_case c = { .netns = netns, .pool = pool, .counters = counters };

	for (size_t i = 0; i < RULE_COUNT; i++)
		if (rule_rows[i].holds == rule_p17 && &rule_rows[i] != cause && rule_p17(&c))
			return &rule_rows[i];
	return NULL;
}

const struct rule *rule_of_netns(const struct pressure_netns *netns, const struct rule_counters *counters, size_t n)
{
	struct rule_case c = { .netns = netns, .counters = counters };

	for (size_t i = 0; i < RULE_COUNT; i++)
		if (!rule_rows[i].of_pool && rule_rows[i].holds(&c) && n-- == 0)
			return &rule_rows[i];
	return NULL;
}
