/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of the free test share: a namespace full of sockets, made by chance. */
#ifndef MIX_H
#define MIX_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define MIX_LOW 40000
#define MIX_SERVERS 2 /* listeners at MIX_SERVER_PORT and the next, IPv4 and IPv6, outside of the range */
#define MIX_SERVER_PORT 8080
#define MIX_MAX_FDS 4096

union mix_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

struct mix {
	uint64_t random;
	int low, high; /* ip_local_port_range */
	int tw_reuse;
	bool has_range_option; /* IP_LOCAL_PORT_RANGE */
	bool time_waits; /* there are some */
	bool only_seen; /* only what sock_diag shows: nothing that is unknown without BPF */
	bool inside; /* never ask from another namespace */
	int servers[2 * MIX_SERVERS];
	int fds[MIX_MAX_FDS]; /* the program's sockets */
	int fd_count;
	int peers[MIX_MAX_FDS]; /* accepted from them */
	int peer_count;
};

uint32_t mix_random(struct mix *m, uint32_t below);
void mix_keep(struct mix *m, int fd);
/* "127.0.0.1", "::1", "0.0.0.0", "::" */
socklen_t mix_address(union mix_address *ret, const char *text, int port);
int mix_socket(const union mix_address *address, int type);
int mix_option(int fd, int level, int name, int value);
/* A namespace of our own with its sysctls and servers. 0 or -1. */
int mix_begin(struct mix *m);
/* One thing more, by chance. */
void mix_step(struct mix *m);
/* Takes what waits at the servers. */
void mix_accept(struct mix *m);
void mix_end(struct mix *m);

#endif
