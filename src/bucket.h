/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP's bind buckets, out of the kernel's memory: which ports connect() may not share, whatever sock_diag shows of
 * their sockets; and before 6.8 the sockets that are bound and no more. A BPF iterator: it takes what the tracing
 * backend takes, CAP_BPF, CAP_PERFMON and the kernel's type information (BTF), and Linux 5.9.
 */
#ifndef PORTTRACE_BUCKET_H
#define PORTTRACE_BUCKET_H

#include "pool.h"

/*
 * Fills in, for the ports low to high of the calling thread's network namespace, `explicit`, and adds the sockets that
 * only the buckets tell, after which s->shows_bound holds. A port whose bucket could not be read to its end stays as it
 * was. 0 or -errno: -EPERM without the right to load it. Keeps what it has loaded for the next call; one thread at a
 * time.
 */
int bucket_read(struct pool_state *s, uint16_t low, uint16_t high);
/* Gives back what is kept. */
void bucket_end(void);

#endif
