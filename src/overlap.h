/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ports that a service needs and the kernel may give to anybody: inside ip_local_port_range and not in
 * ip_local_reserved_ports. A client that gets one keeps the service from starting. Pure.
 */
#ifndef PORTTRACE_OVERLAP_H
#define PORTTRACE_OVERLAP_H

#include "buf.h"
#include "netns.h"
#include "sockdiag.h"

#define OVERLAP_UNIT_SIZE 80

/* Why a port is taken for that of a service. */
enum overlap_use {
	OVERLAP_LISTENER, /* TCP, listened on */
	OVERLAP_BOUND, /* UDP, bound and not connected */
	OVERLAP_NAMED, /* /etc/services and a unit of this machine have the same name */
	OVERLAP_USE_COUNT,
};

/* "listener", "bound", "named": the words of the output. */
extern const char *const overlap_use_names[OVERLAP_USE_COUNT];

struct overlap_port {
	enum event_proto proto;
	uint16_t port;
	enum overlap_use use;
	const char *service; /* NULL = no name; owned by the service table */
	char unit[OVERLAP_UNIT_SIZE]; /* "dircproxy.service"; only of OVERLAP_NAMED */
	uint32_t inode; /* of the socket; 0 = none */
	uint64_t cookie; /* of the socket; 0 = none */
};

/* One network namespace. Zeroed but for the facts it is ready for overlap_add. */
struct overlap {
	struct netns_facts facts;
	struct overlap_port *ports; /* sorted after overlap_sort: by port, then protocol; each pair once */
	size_t count, room;
	uint8_t seen[PROTO_COUNT][65536 / 8];
};

/* Inside the range and not reserved. */
bool overlap_is_at_risk(const struct netns_facts *facts, uint16_t port);
/*
 * Whether a socket is one that waits for others at its port. `how` it got the port decides where that is known
 * (HOW_NONE = it is not): one that the kernel chose is no service's. Where it is not known, a TCP listener counts
 * (after bind() to port 0 it looks the same), and a UDP socket if its port has a name: others are mostly clients.
 */
bool overlap_is_service(const struct sockdiag_socket *sock, const char *service, enum event_how how);
/* Takes a port that is at risk and not there yet: 1; 0 if it is not taken, or -ENOMEM. */
int overlap_add(struct overlap *o, const struct overlap_port *port);
void overlap_sort(struct overlap *o);
/* What ip_local_reserved_ports has to be: what it is, and these ports. */
void overlap_reserve(const struct overlap *o, uint8_t ret[65536 / 8]);
/*
 * The next range of neighbours in a bitmap of ports, from *cursor on, which it moves behind it: false at the end.
 * To begin, *cursor = 0.
 */
bool overlap_next_range(const uint8_t bits[65536 / 8], uint32_t *cursor, uint16_t *ret_low, uint16_t *ret_high);
/* "sudo nsenter -t 812 -n sysctl -w net.ipv4.ip_local_reserved_ports="; pid 0 = it is our own namespace. */
void overlap_command(struct buf *b, uint32_t pid);
/* The next range of such a bitmap in words: "40000", then ",40010-40019". False at the end. */
bool overlap_next_words(const uint8_t bits[65536 / 8], uint32_t *cursor, struct buf *b);
void overlap_free(struct overlap *o);

#endif
