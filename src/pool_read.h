/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The state of a network namespace's pools as sock_diag and /proc tell it: without BPF, and without privileges. */
#ifndef PORTTRACE_POOL_READ_H
#define PORTTRACE_POOL_READ_H

#include "pool.h"

/*
 * Fills *ret for the calling thread's network namespace. What bind() keeps away is known only where a socket of the
 * port shows it: bucket.h tells the rest. `proc` NULL = /proc. 0 or -errno: -ENOENT without tcp_diag, -EINTR if the
 * list of sockets changes too fast to be read. The caller ends *ret with pool_free.
 */
int pool_read(const char *proc, struct pool_state *ret);
/* The same in pieces, for who has read them already: into a cleared state; 0 or -ENOMEM. */
void pool_read_facts(const struct netns_facts *facts, struct pool_state *ret);
int pool_read_add(struct pool_state *s, const struct sockdiag_socket *sock, enum event_how how);

#endif
