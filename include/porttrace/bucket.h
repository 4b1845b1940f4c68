/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What bpf/bucket.bpf.c tells of TCP's bind buckets: one bucket a port and network namespace, in which all sockets of
 * that port are, whatever they do. Shared by the BPF program and src/attach/bucket.c. Numbers in host byte order.
 */
#ifndef PORTTRACE_PORTTRACE_BUCKET_H
#define PORTTRACE_PORTTRACE_BUCKET_H

#include <linux/types.h>

#define BUCKET_CHAIN 64 /* buckets of all namespaces in one slot of the kernel's table that are looked at */
#define BUCKET_OWNERS 32 /* sockets of one port that are looked at; the verifier looks at each by itself */

enum bucket_what {
	BUCKET_PORT, /* the port has a bucket */
	BUCKET_SOCKET, /* a socket of it. Before 6.8 the kernel's list lacks those that are bound and no more */
	BUCKET_CUT, /* the port's bucket, or its sockets, could not be read to the end */
};

struct bucket_record {
	__u64 cookie; /* BUCKET_SOCKET: 0 = it has none yet */
	__u32 ifindex; /* BUCKET_SOCKET: SO_BINDTODEVICE */
	__u16 port;
	__u8 what; /* enum bucket_what */
	__u8 blocks; /* BUCKET_PORT: fastreuse or fastreuseport is 0 or more, so connect() may not share the port */
	__u16 family; /* BUCKET_SOCKET: AF_INET, AF_INET6 */
	__u8 v6only; /* BUCKET_SOCKET */
	__u8 state; /* BUCKET_SOCKET: enum sockdiag_state */
	__u8 addr4[4], addr6[16]; /* BUCKET_SOCKET: network order; of the two the family's */
	__u8 pad2[4];
};

#endif
