/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which ends of a socket anybody wants: ports, addresses, family, class of the port. Pure, for both backends and for
 * tests/unit/test_prefilter.c, which holds it against filter.c: whatever filter.c would show has to pass here. So what
 * is not known yet passes, and where user space reads an event in two ways, both pass.
 *
 * Whoever includes this has AF_INET6, `config` (struct bpf_config) and `port_sets` (struct config_ports).
 */
#ifndef SELECT_BPF_H
#define SELECT_BPF_H

/* What is known of the ends when an event is judged. */
struct select_ends {
	__u64 local[2], remote[2]; /* IPv6 in network order; IPv4 as ::ffff:a.b.c.d */
	__u16 local_port, remote_port; /* host order */
	__u8 kind; /* enum raw_kind */
	__u8 has_local; /* local is what it is going to be */
	__u8 has_remote;
};

#define SELECT_MAPPED 0xffff0000ULL /* bytes 8 to 11 of ::ffff:0.0.0.0, as a little-endian number */

static __always_inline void select_set_ipv4(__u64 to[2], __u32 addr)
{
	to[0] = 0;
	to[1] = SELECT_MAPPED | (__u64)addr << 32;
}

static __always_inline bool select_is_ipv4(const __u64 addr[2])
{
	return !addr[0] && (__u32)addr[1] == SELECT_MAPPED;
}

/*
 * A socket's bind and listen are not shown for the peer that they do not have; but a close that may be needs them. And
 * so the close of a socket without a peer is needed too: else what has ended is remembered, and told of as who has the
 * port.
 */
static __always_inline bool select_is_remembered(const struct select_ends *e)
{
	return config.keeps_lives &&
	       (e->kind == RAW_BIND || e->kind == RAW_LISTEN || (e->kind == RAW_CLOSE && !e->has_remote));
}

static __always_inline bool select_has_port(enum config_side side, __u16 port)
{
	return port_sets.bits[side][port / 64] >> (port % 64) & 1;
}

/* A port of 0 is none: sets that hold it are not given to the kernel. Later, the socket may get one. */
static __always_inline bool select_local_port(const struct select_ends *e, enum config_side side)
{
	if (!e->has_local || (!e->local_port && (select_is_remembered(e) || e->kind >= RAW_CLOSE)))
		return true;
	return select_has_port(side, e->local_port);
}

static __always_inline bool select_remote_port(const struct select_ends *e, enum config_side side)
{
	return (e->has_remote && select_has_port(side, e->remote_port)) || select_is_remembered(e);
}

static __always_inline bool select_ports(const struct select_ends *e)
{
	if ((config.port_sides & 1 << CONFIG_LOCAL) && !select_local_port(e, CONFIG_LOCAL))
		return false;
	if ((config.port_sides & 1 << CONFIG_REMOTE) && !select_remote_port(e, CONFIG_REMOTE))
		return false;
	return !(config.port_sides & 1 << CONFIG_EITHER) || select_local_port(e, CONFIG_EITHER) ||
	       select_remote_port(e, CONFIG_EITHER);
}

static __always_inline bool select_is_in(const volatile struct config_cidr *cidr, const __u64 addr[2])
{
	if (select_is_ipv4(addr) && (__u32)cidr->mask[1] != 0xffffffff) /* an IPv6 range such as ::/0 */
		return false;
	return (addr[0] & cidr->mask[0]) == cidr->addr[0] && (addr[1] & cidr->mask[1]) == cidr->addr[1];
}

static __always_inline bool select_has_address(enum config_side side, const __u64 addr[2])
{
	for (__u32 i = 0; i < CONFIG_MAX_CIDRS; i++) {
		if (i >= config.cidr_count[side])
			return false;
		if (select_is_in(&config.cidrs[side][i], addr))
			return true;
	}
	return false;
}

/* "::" of a socket that talks IPv4 is called 0.0.0.0, once it is known to do so. */
static __always_inline bool select_local_address(const struct select_ends *e, enum config_side side)
{
	const __u64 any[2] = { 0, SELECT_MAPPED };

	if (!e->has_local || select_is_remembered(e) || (e->kind >= RAW_CLOSE && !e->local_port))
		return true;
	return select_has_address(side, e->local) ||
	       (!e->local[0] && !e->local[1] && e->has_remote && select_has_address(side, any));
}

static __always_inline bool select_remote_address(const struct select_ends *e, enum config_side side)
{
	return (e->has_remote && select_has_address(side, e->remote)) || select_is_remembered(e);
}

static __always_inline bool select_addresses(const struct select_ends *e)
{
	if ((config.cidr_sides & 1 << CONFIG_LOCAL) && !select_local_address(e, CONFIG_LOCAL))
		return false;
	if ((config.cidr_sides & 1 << CONFIG_REMOTE) && !select_remote_address(e, CONFIG_REMOTE))
		return false;
	return !(config.cidr_sides & 1 << CONFIG_EITHER) || select_local_address(e, CONFIG_EITHER) ||
	       select_remote_address(e, CONFIG_EITHER);
}

static __always_inline bool select_is_class(__u16 port)
{
	return config.classes >> (port < 1024 ? 1 : port < 49152 ? 2 : 3) & 1;
}

/* Which side is the service's, the ledger may have to say: so either will do. */
static __always_inline bool select_class(const struct select_ends *e)
{
	if (!config.classes || select_is_remembered(e) || (!e->has_local && config.keeps_lives))
		return true;
	if (e->kind >= RAW_CLOSE && !e->local_port)
		return true;
	/* connect() may ask for port 0; a local port of 0 is none */
	return (e->has_local && e->local_port && select_is_class(e->local_port)) ||
	       (e->has_remote && select_is_class(e->remote_port));
}

static __always_inline bool select_is_version(const __u64 addr[2])
{
	return select_is_ipv4(addr) ? config.want_ipv4 : config.want_ipv6;
}

/* The peer decides where there is one. A close may have lost it; and an IPv6 socket may yet talk IPv4. */
static __always_inline bool select_version(const struct select_ends *e)
{
	if (!config.want_ipv4 && !config.want_ipv6)
		return true;
	if (select_is_remembered(e) && !select_is_ipv4(e->local))
		return true;
	if (e->kind >= RAW_CLOSE && !e->local_port)
		return true;
	if (e->has_remote && e->kind < RAW_CLOSE)
		return select_is_version(e->remote);
	return select_is_version(e->local) || (e->has_remote && select_is_version(e->remote));
}

static __always_inline bool select_wants(const struct select_ends *e)
{
	return select_version(e) && select_ports(e) && select_addresses(e) && select_class(e);
}

/* Where `addr` begins, in a struct on the stack, need be no place for a number: verifiers refuse to load one there. */
static __always_inline void select_copy(__u64 to[2], const __u8 addr[16], bool ipv6)
{
	__u32 ipv4;

	if (ipv6) {
		__builtin_memcpy(to, addr, 16);
	} else {
		__builtin_memcpy(&ipv4, addr, 4);
		select_set_ipv4(to, ipv4);
	}
}

/* A whole record: what filter.c is going to see of it. The address that a failed bind asked for is not looked at. */
static __always_inline bool select_event(const struct raw_event *ev)
{
	struct select_ends e = { .kind = ev->kind, .has_local = 1 };

	if (!config.selects_ends || (ev->flags & RAW_F_NO_REMOTE) ||
	    (ev->kind == RAW_BIND && (ev->flags & (RAW_F_FAILED | RAW_F_UNKNOWN))))
		return true;
	e.local_port = ev->local_port;
	e.remote_port = ev->remote_port;
	e.has_remote = ev->kind == RAW_CONNECT || (ev->kind == RAW_ACCEPT && !ev->error) ||
		       (ev->kind >= RAW_CLOSE && ev->remote_port);
	select_copy(e.local, ev->local_addr, ev->family == AF_INET6);
	select_copy(e.remote, ev->remote_addr, ev->family == AF_INET6);
	return select_wants(&e);
}

#endif
