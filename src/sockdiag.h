/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel's own list of sockets (NETLINK_SOCK_DIAG): TCP and UDP of the caller's network
 * namespace. Takes no capability and no BPF.
 */
#ifndef PORTTRACE_SOCKDIAG_H
#define PORTTRACE_SOCKDIAG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event.h"

/* The kernel's numbers (include/net/tcp_states.h). UDP has SOCKDIAG_ESTABLISHED (connected) and
 * SOCKDIAG_CLOSE (not). */
enum sockdiag_state {
	SOCKDIAG_ESTABLISHED = 1,
	SOCKDIAG_SYN_SENT,
	SOCKDIAG_SYN_RECV,
	SOCKDIAG_FIN_WAIT1,
	SOCKDIAG_FIN_WAIT2,
	SOCKDIAG_TIME_WAIT,
	SOCKDIAG_CLOSE,
	SOCKDIAG_CLOSE_WAIT,
	SOCKDIAG_LAST_ACK,
	SOCKDIAG_LISTEN,
	SOCKDIAG_CLOSING,
	SOCKDIAG_NEW_SYN_RECV,
	SOCKDIAG_BOUND, /* since 6.8 asks for TCP sockets that only have a port; told as CLOSE */
	SOCKDIAG_STATE_COUNT,
};

/* There may be very many at a time: in an order that leaves no gaps. */
struct sockdiag_socket {
	uint64_t cookie; /* SO_COOKIE */
	uint64_t cgroup_id; /* cgroup v2 in which it was made; 0 = unknown */
	uint64_t bytes_sent, bytes_received; /* payload: that the program wrote; that arrived in order */
	struct endpoint local, remote; /* v4-mapped addresses have been turned into IPv4 */
	uint32_t inode; /* that /proc/PID/fd shows; 0 = no process has it open */
	uint32_t uid; /* of whoever created it */
	uint32_t queue; /* listening: connections waiting for accept(); else bytes to read */
	uint32_t backlog; /* listening: how many may wait */
	uint32_t expires_ms; /* with `waits`: how long that still takes */
	uint32_t ifindex; /* SO_BINDTODEVICE, or the scope of a link-local address; 0 = none */
	uint32_t mark; /* SO_MARK; 0 = none, or not told: it takes CAP_NET_ADMIN */
	uint16_t protocol; /* IPPROTO_* that was asked for; 0 = the usual one of proto */
	enum event_proto proto : 8;
	enum sockdiag_state state : 8;
	bool takes_ipv4 : 1; /* an IPv6 socket on [::] that gets IPv4 too */
	bool v6only : 1; /* IPV6_V6ONLY; told of IPv6 sockets in SOCKDIAG_LISTEN and SOCKDIAG_CLOSE */
	bool waits : 1; /* closed, and only waiting for TIME_WAIT or FIN_WAIT2 to end; inode and uid are 0 then */
	bool is_ipv6 : 1; /* an AF_INET6 socket, whatever it talks */
	bool mptcp : 1; /* a path of an MPTCP connection; told with `detail` */
	bool has_bytes : 1; /* told with `detail`, of TCP connections */
};

/* A non-zero result ends the dump, which returns it. */
typedef int (*sockdiag_fn)(void *arg, const struct sockdiag_socket *sock);

/* "listen", "established", "time-wait"...; UDP's words differ: "bound", "connected". */
const char *sockdiag_state_name(enum event_proto proto, enum sockdiag_state state);

/*
 * Calls `fn` for each socket of one protocol and IP version (4 or 6), in all states. 0, what `fn`
 * returned, or -errno: -ENOENT if the kernel has not the module for it (tcp_diag, udp_diag), -EINTR
 * if the list changed so much meanwhile that it may have holes.
 */
int sockdiag_dump(enum event_proto proto, uint8_t ip_version, sockdiag_fn fn, void *arg);

/* Which sockets are asked for. */
struct sockdiag_query {
	enum event_proto proto;
	uint16_t protocol; /* IPPROTO_*; 0 = the usual one of proto */
	uint8_t ip_version; /* 4 or 6; 0 = both in one go, of TCP only */
	uint16_t local_port; /* 0 = any */
	bool detail; /* also what costs the kernel something: struct tcp_info */
};

/* The same for a part of them, which the kernel chooses. */
int sockdiag_dump_some(const struct sockdiag_query *query, sockdiag_fn fn, void *arg);

/* Pure: reads one message of the kernel's answer. 0 or -EBADMSG. */
int sockdiag_parse(enum event_proto proto, const void *message, size_t size,
		   struct sockdiag_socket *ret);

#endif
