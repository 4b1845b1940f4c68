/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many more ports the kernel can still assign, and what has become of the others: the kernel's own rules, over a
 * picture of one network namespace. Pure: no I/O, no clock. The rules are those of inet_csk_find_open_port()
 * (net/ipv4/inet_connection_sock.c), __inet_hash_connect() (net/ipv4/inet_hashtables.c), udp_lib_get_port()
 * (net/ipv4/udp.c) and tcp_twsk_unique() (net/ipv4/tcp_ipv4.c), Linux 5.10 to 7.2.
 *
 * A *pool* is the set of ports that one more assignment can come from. connect() takes from (namespace, source address,
 * destination address and port), bind(0) from (namespace, source address), UDP's autobind from the whole namespace.
 * TCP searches the ports of one parity first, the *first half*: while those last a search is cheap.
 */
#ifndef PORTTRACE_POOL_H
#define PORTTRACE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns.h"
#include "sockdiag.h"

#define POOL_PORTS 65536
#define POOL_TIME_WAIT_MS 60000 /* TCP_TIMEWAIT_LEN */

enum pool_kind {
	POOL_CONNECT, /* connect() of a TCP socket without a port: also after bind() with IP_BIND_ADDRESS_NO_PORT */
	POOL_BIND, /* bind() of a TCP socket to port 0; from the wildcard address also listen() without bind() */
	POOL_UDP, /* the first sendto() or connect() of a UDP socket, and its bind() to port 0 */
	POOL_KIND_COUNT,
};
extern const char *const pool_kind_names[POOL_KIND_COUNT]; /* "connect", "bind", "udp" */

enum pool_answer { POOL_UNKNOWN, POOL_NO, POOL_YES };

struct pool_socket {
	enum event_proto proto;
	enum sockdiag_state state;
	bool waits; /* TIME_WAIT, or closed in FIN_WAIT2 */
	uint32_t expires_ms; /* of one that waits: how long that still takes */
	struct endpoint local, remote; /* v4-mapped addresses as IPv4; remote.port 0 = not connected */
	bool is_ipv6; /* an AF_INET6 socket, whatever it talks */
	enum pool_answer v6only; /* IPV6_V6ONLY; only of AF_INET6. bind() to an IPv6 address sets it too */
	enum event_how how; /* how it came by its port; HOW_NONE = not known */
	uint32_t ifindex; /* SO_BINDTODEVICE; 0 = none */
	uint64_t cookie; /* SO_COOKIE; 0 = not known */
};

/* One network namespace at one moment. A cleared one with its range filled in is ready for pool_add. */
struct pool_state {
	uint32_t netns_inum;
	uint16_t range_low, range_high; /* ip_local_port_range, both ends included */
	uint8_t reserved[POOL_PORTS / 8]; /* ip_local_reserved_ports, one bit each */
	int tw_reuse; /* tcp_tw_reuse: 0 off, 1 on, 2 for loopback */
	bool timestamps; /* tcp_timestamps is not 0 */
	uint32_t tw_reuse_delay_ms; /* tcp_tw_reuse_delay; 0 = this kernel has none, or it is off: whole seconds */
	bool shows_bound; /* `sockets` has those that are bound and no more */
	bool no_udp; /* the kernel has no udp_diag: `sockets` has no UDP */
	/*
	 * enum pool_answer of each port: whether its bind bucket keeps connect() away (fastreuse or fastreuseport is 0
	 * or more). POOL_UNKNOWN: not read; then the sockets tell what they can.
	 */
	uint8_t explicit[POOL_PORTS];
	uint8_t hidden[POOL_PORTS / 8]; /* one bit a port: `sockets` may lack some of it in spite of shows_bound */
	struct pool_socket *sockets;
	size_t count, room;
};

/* 0 or -ENOMEM. The caller ends a state that has sockets with pool_free. */
int pool_add(struct pool_state *s, const struct pool_socket *sock);
void pool_free(struct pool_state *s);
bool pool_is_hidden(const struct pool_state *s, uint16_t port);

/* Which pool is meant. */
struct pool_key {
	enum pool_kind kind;
	struct endpoint source; /* the address; the wildcard for UDP's autobind, and listen() without bind() */
	struct endpoint destination; /* POOL_CONNECT only */
	uint16_t range_low, range_high; /* IP_LOCAL_PORT_RANGE of the socket; 0 = that end is not set */
};

/* What a port is for one pool. Of several things that keep it away, the first of these. */
enum pool_port {
	POOL_PORT_FREE,
	POOL_PORT_REUSABLE, /* a TIME_WAIT that connect() may take over */
	POOL_PORT_SOON, /* a TIME_WAIT, or FIN_WAIT2, of which that cannot be said for certain */
	POOL_PORT_UNKNOWN, /* whether bind() keeps it away is not known, or IPV6_V6ONLY of its socket */
	POOL_PORT_USED, /* connect: this very pair has a connection; bind, udp: a socket of an address in the way */
	POOL_PORT_LISTEN, /* these are kept away by a bind bucket: somebody listens */
	POOL_PORT_BOUND, /* bound, and no more */
	POOL_PORT_BIND_CONNECT, /* bound, then connected */
	POOL_PORT_ACCEPTED, /* a connection whose listener has gone */
	POOL_PORT_PHANTOM, /* nobody on it has bound it: who did has closed (before 6.18) */
	POOL_PORT_BLOCKED, /* which of the last three is not known */
	POOL_PORT_RESERVED,
	POOL_PORT_COUNT,
};
/* "free", "reusable", "soon", "unknown", "used", "listen", "bound", "bind_connect", ... */
extern const char *const pool_port_names[POOL_PORT_COUNT];

/* Both ends are the same where the number is exact. */
struct pool_bounds {
	uint32_t min, max;
};

/* How full a pool is. */
struct pool_measure {
	uint16_t low, high; /* the range that holds for it */
	uint32_t size; /* high - low + 1 */
	bool odd; /* and TCP: each search leaves out one end of the range */
	bool has_half; /* the search goes by halves: not UDP; not known with IP_LOCAL_PORT_RANGE (not since 6.8) */
	uint32_t ports[POOL_PORT_COUNT]; /* add up to size */
	uint32_t half[POOL_PORT_COUNT]; /* those of the first half; 0 without has_half */
	struct pool_bounds free; /* how many more assignments will succeed, reusable TIME_WAITs included */
	struct pool_bounds half_free; /* of those, in the first half: without odd's end */
	uint32_t used; /* by sockets of this pool */
	struct pool_bounds capacity; /* used + free */
	uint32_t half_used;
	struct pool_bounds half_capacity;
	uint32_t blocked; /* by bind buckets, for whatever reason */
};

/* 0 or -ENOMEM; -EINVAL if the two addresses are of different IP versions, -ENOENT if UDP is not known. */
int pool_measure(const struct pool_state *s, const struct pool_key *key, struct pool_measure *ret);
/* The same, port by port: ret[0] is key's range's low port, as pool_range tells it. Room for POOL_PORTS. */
int pool_map(const struct pool_state *s, const struct pool_key *key, uint8_t *ret);
/* The range that holds for a socket of this pool (inet_sk_get_local_port_range(): an end outside does not count). */
void pool_range(const struct pool_state *s, const struct pool_key *key, uint16_t *ret_low, uint16_t *ret_high);
/* Whether a port's parity is that of the half which this kind of pool is searched in first. Not for UDP. */
bool pool_is_first_half(enum pool_kind kind, uint16_t range_low, uint16_t port);
/* Can connect() take over what waits: tcp_twsk_unique(). POOL_UNKNOWN: it depends on the second, or on the kernel. */
enum pool_answer pool_can_reuse(const struct pool_state *s, const struct pool_socket *sock);
/* Is a socket in the way of bind(address, 0): inet_rcv_saddr_equal() with wildcards. Ports are not compared. */
enum pool_answer pool_conflicts(const struct endpoint *address, const struct pool_socket *sock);

/* 127.0.0.0/8, ::1 */
bool pool_is_loopback(const struct endpoint *ep);

#endif
