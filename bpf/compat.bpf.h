/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What moved between kernels: one accessor a field, each with the release that moved it. No other file knows
 * about kernel versions; nothing here tests a version either, only whether a field exists.
 */
#ifndef COMPAT_BPF_H
#define COMPAT_BPF_H

/* 6.8 packed net->ipv4.ip_local_ports.range into one word: low port in the low half, high port in the high half. */
struct local_ports___word {
	__u32 range;
} __attribute__((preserve_access_index));

/* Before: two ints. */
struct local_ports___ints {
	int range[2];
} __attribute__((preserve_access_index));

/* IP_LOCAL_PORT_RANGE came in 6.3 as two u16 (and into 6.1 stable), 6.8 packed it like the above. */
struct inet_sock___word {
	__u32 local_port_range;
} __attribute__((preserve_access_index));

struct inet_sock___pair {
	struct {
		__u16 lo;
		__u16 hi;
	} local_port_range;
} __attribute__((preserve_access_index));

/* The ephemeral range of a namespace, both ends included. */
static __always_inline void compat_netns_range(struct net *net, __u16 *low, __u16 *high)
{
	void *ports = __builtin_preserve_access_index(&net->ipv4.ip_local_ports);

	if (bpf_core_field_exists(struct local_ports___word, range)) {
		__u32 range = BPF_CORE_READ((struct local_ports___word *)ports, range);

		*low = (__u16)range;
		*high = (__u16)(range >> 16);
	} else {
		int range[2] = {};

		BPF_CORE_READ_INTO(&range, (struct local_ports___ints *)ports, range);
		*low = (__u16)range[0];
		*high = (__u16)range[1];
	}
}

/* The range set on the socket itself; 0 and 0 where none is, or where the kernel has no such option. */
static __always_inline void compat_sock_range(struct sock *sk, __u16 *low, __u16 *high)
{
	*low = *high = 0;
	if (bpf_core_field_exists(struct inet_sock___pair, local_port_range.lo)) {
		*low = BPF_CORE_READ((struct inet_sock___pair *)sk, local_port_range.lo);
		*high = BPF_CORE_READ((struct inet_sock___pair *)sk, local_port_range.hi);
	} else if (bpf_core_field_exists(struct inet_sock___word, local_port_range)) {
		__u32 range = BPF_CORE_READ((struct inet_sock___word *)sk, local_port_range);

		*low = (__u16)range;
		*high = (__u16)(range >> 16);
	}
}

/* The errno (negative) that inet_csk_accept() left for its caller: through `int *err` (argument 2) up to 6.9, in the
 * struct proto_accept_arg that is argument 1 from 6.10 on. `arg` is the one of the two that this kernel has. The loader
 * looks up the offset: a CO-RE relocation by a struct that the kernel lacks makes libbpf search the modules' BTF, for
 * which it needs CAP_SYS_ADMIN. */
static __always_inline int compat_accept_error(__u64 arg)
{
	int err = 0;

	bpf_probe_read_kernel(&err, sizeof(err), (void *)arg + config.accept_err_offset);
	return err;
}

#endif
