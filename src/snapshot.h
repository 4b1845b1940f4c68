/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All TCP and UDP sockets of this machine at one moment, in every network namespace, with the processes that have
 * them open: sock_diag and /proc alone, no BPF. Namespaces are found through the processes, their threads, and what is
 * mounted, as under /run/netns; one that only a socket or an open file keeps alive is not found.
 */
#ifndef PORTTRACE_SNAPSHOT_H
#define PORTTRACE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "netns.h"
#include "owners.h"
#include "sockdiag.h"

#define SNAPSHOT_NAME_SIZE 64

/* A network namespace that was looked at. */
struct snapshot_netns {
	struct netns_facts facts; /* inum and is_own always; of the rest what `known` says */
	bool known;
	char name[SNAPSHOT_NAME_SIZE]; /* of its mount: "blue" for /run/netns/blue; "" = none; any bytes */
};

struct snapshot_socket {
	struct sockdiag_socket sock;
	uint64_t netns_cookie; /* SO_NETNS_COOKIE; 0 = this kernel does not tell (before 5.14) */
	uint32_t netns_inum; /* inode of its network namespace */
	uint32_t netns; /* in snapshot.netns */
	uint32_t owner_first, owner_count; /* in snapshot.owners.list; a socket may be open in several processes */
};

struct snapshot {
	struct snapshot_socket *sockets; /* no socket twice */
	uint64_t *cookies; /* with only_cookies, and no sockets then; some may be there twice */
	size_t count, room; /* of either */
	struct owners owners;
	struct snapshot_netns *netns; /* our own first */
	size_t namespaces; /* in netns: that were looked at */
	size_t hidden_namespaces; /* that could not be entered: it takes CAP_SYS_ADMIN */
	size_t torn; /* namespaces whose lists changed so fast that sockets may be missing */
	bool no_udp; /* the kernel has no udp_diag */
};

struct snapshot_options {
	const char *proc_path; /* NULL = /proc */
	uint32_t netns_inum; /* only this network namespace; 0 = all that can be found */
	bool detail; /* bytes and MPTCP of TCP connections too */
	bool no_owners; /* leave out the look at every process's descriptors */
	bool only_cookies; /* which sockets there are, and nothing of them, nor of their namespaces and owners */
	/* Sockets whose owners need not be looked for; NULL = none. If it is all, no descriptor is looked at. */
	bool (*has_owner)(void *arg, const struct snapshot_socket *sock);
	void *arg;
};

/* 0 or -errno; -ENOMEM, -ENOENT if the kernel has no tcp_diag. The caller ends *ret with snapshot_free. */
int snapshot_take(const struct snapshot_options *opts, struct snapshot *ret);
/* What a socket of the kernel is, as far as its port goes. */
enum life_state snapshot_life_state(const struct sockdiag_socket *sock);
void snapshot_free(struct snapshot *snap);

#endif
