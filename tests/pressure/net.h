/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the scenarios of load.c are made of: a namespace, servers, sockets that are opened until the kernel refuses. */
#ifndef NET_H
#define NET_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#define NET_PORTS 30000

union net_address {
	struct sockaddr any;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

/* How sockets are opened. */
struct net_how {
	bool udp;
	bool no_block;
	bool no_port; /* IP_BIND_ADDRESS_NO_PORT */
	bool no_connect; /* bind() and no more */
	bool reuse; /* SO_REUSEADDR */
	bool abort; /* SO_LINGER 0, then close() */
	bool close; /* at once: this side first */
	bool await_close; /* wait until the other side has closed, then close() */
	const char *source; /* bind() to it first; NULL = not */
	int source_port;
	const char *host;
	int port;
	int range_low, range_high; /* IP_LOCAL_PORT_RANGE; 0 = not set */
};

/* What the program saw. */
struct net_sum {
	int tried, ok, even; /* even: ports */
	int first_odd; /* the number of the first success with an odd port; 0 = none */
	int error; /* errno of the first failure; 0 = none */
	bool error_at_bind;
};

/* A new namespace: lo up, 127.0.0.0/8. Ends the program if it cannot be. */
void net_begin(int low, int high, int tw_reuse);
/* Below /proc/sys/net, as "ipv4/tcp_timestamps". False: this kernel has none such. */
bool net_sysctl(const char *name, const char *value);
socklen_t net_address(union net_address *ret, const char *text, int port);

/* What a server does with connections. */
enum net_server { NET_KEEP, NET_CLOSE_AFTER, NET_CLOSE_FIRST };

/* Listens, and serves from a thread of its own. NET_KEEP: in the backlog, nobody accepts. The descriptor. */
int net_serve(const char *host, int port, enum net_server what);
/* A listener whose queue is full: who connects waits for an answer. */
void net_serve_nobody(int port);
/* One more socket: it stays open unless `how` says otherwise. The descriptor, 0 if it was closed, or -errno. */
int net_open(const struct net_how *how, struct net_sum *sum);
/* `count` of them, or until one fails. */
struct net_sum net_open_many(const struct net_how *how, int count);
/* What leaves the namespace, by its loopback too, gets this source address and one of these ports. False: not here. */
bool net_snat(const char *address, int low, int high);
/* A counter of TcpExt. */
uint64_t net_counter(const char *name);
/* Translations that found no port: insert_failed of conntrack. */
uint64_t net_nat_failed(void);
/* Waits until no socket of this namespace is in FIN_WAIT1, FIN_WAIT2, CLOSING, LAST_ACK (hexadecimal, as in
 * /proc/net/tcp). */
void net_settle(const char *states);
uint64_t net_now_ms(void);
void net_sleep_ms(long ms);

#endif
