/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * All TCP and UDP sockets of this machine at one moment, in every network namespace, with the processes that have
 * them open: sock_diag and /proc alone, no BPF. Namespaces are found through the processes and under /run/netns.
 */
#ifndef PORTTRACE_SNAPSHOT_H
#define PORTTRACE_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "owners.h"
#include "sockdiag.h"

struct snapshot_socket {
	struct sockdiag_socket sock;
	uint32_t netns_inum; /* inode of its network namespace */
	uint64_t netns_cookie; /* SO_NETNS_COOKIE; 0 = this kernel does not tell (before 5.14) */
	size_t owner_first, owner_count; /* in snapshot.owners.list; a socket may be open in several processes */
};

struct snapshot {
	struct snapshot_socket *sockets; /* no socket twice */
	size_t count, room;
	struct owners owners;
	size_t namespaces; /* that were looked at */
	size_t hidden_namespaces; /* that could not be entered: it takes CAP_SYS_ADMIN */
	bool no_udp; /* the kernel has no udp_diag */
};

struct snapshot_options {
	const char *proc_path; /* NULL = /proc */
	uint32_t netns_inum; /* only this network namespace; 0 = all that can be found */
	bool no_owners; /* leave out the look at every process's descriptors */
};

/* 0 or -errno; -ENOMEM, -ENOENT if the kernel has no tcp_diag. The caller ends *ret with snapshot_free. */
int snapshot_take(const struct snapshot_options *opts, struct snapshot *ret);
void snapshot_free(struct snapshot *snap);

#endif
