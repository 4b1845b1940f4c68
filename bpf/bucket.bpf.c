// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Reads TCP's bind buckets of the network namespace of whoever reads this iterator. It goes over a map with one element
 * a port, whose values mean nothing: so the kernel runs the program once for each port, and passes on what it writes.
 *
 * Why the kernel's table of buckets (bhash), and no iterator over sockets: iter/tcp lists what listens and what is
 * connected, and leaves out what is bound and no more; iter/task_file finds only what a process has open. The table has
 * each port once, with the very two bytes that connect() decides by, also where the socket that set them has gone.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "porttrace/bucket.h"
#include "porttrace/config.h"
#include "porttrace/raw_event.h"

const volatile struct bpf_config config; /* compat.bpf.h knows it */
const volatile __u32 bucket_first; /* the port of the map's element 0 */

#include "compat.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* the loader's: how many ports */
	__type(key, __u32);
	__type(value, __u32);
} bucket_ports SEC(".maps");

static __always_inline struct net *bucket_net(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();

	return BPF_CORE_READ(task, nsproxy, net_ns);
}

/* inet_bhashfn() */
static __always_inline struct inet_bind_hashbucket *bucket_slot(struct net *net, __u32 port)
{
	struct inet_hashinfo *info = compat_tcp_hashinfo(net);
	__u32 slot = (port + BPF_CORE_READ(net, hash_mix)) & (BPF_CORE_READ(info, bhash_size) - 1);

	return (void *)BPF_CORE_READ(info, bhash) + slot * bpf_core_type_size(struct inet_bind_hashbucket);
}

static __always_inline void bucket_tell_port(struct seq_file *seq, struct inet_bind_bucket *tb, __u32 port)
{
	struct bucket_record record = { .port = (__u16)port, .what = BUCKET_PORT };
	signed char reuse = (signed char)BPF_CORE_READ(tb, fastreuse);
	signed char reuseport = (signed char)BPF_CORE_READ(tb, fastreuseport);

	record.blocks = reuse >= 0 || reuseport >= 0;
	bpf_seq_write(seq, &record, sizeof(record));
}

static __always_inline void bucket_tell_cut(struct seq_file *seq, __u32 port)
{
	struct bucket_record record = { .port = (__u16)port, .what = BUCKET_CUT };

	bpf_seq_write(seq, &record, sizeof(record));
}

static __always_inline void bucket_tell_socket(struct seq_file *seq, struct sock *sk, __u32 port)
{
	struct bucket_record record = { .port = (__u16)port, .what = BUCKET_SOCKET };

	record.state = BPF_CORE_READ(sk, __sk_common.skc_state);
	record.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	record.ifindex = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	record.family = BPF_CORE_READ(sk, __sk_common.skc_family);
	record.v6only = compat_is_v6only(sk);
	BPF_CORE_READ_INTO(&record.addr4, sk, __sk_common.skc_rcv_saddr);
	BPF_CORE_READ_INTO(&record.addr6, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	bpf_seq_write(seq, &record, sizeof(record));
}

/* Its sockets. No branch in the loop: the verifier follows each of them, and on 5.10 to 6.7 this has to be quick. */
static __always_inline void bucket_tell_sockets(struct seq_file *seq, struct inet_bind_bucket *tb, __u32 port)
{
	struct hlist_node *node = compat_bucket_owners(tb);
	struct sock *sk;

	for (int i = 0; node && i < BUCKET_OWNERS; i++) {
		sk = (void *)node - __builtin_preserve_field_info(((struct sock_common *)0)->skc_bind_node,
								  BPF_FIELD_BYTE_OFFSET);
		bucket_tell_socket(seq, sk, port);
		node = BPF_CORE_READ(node, next);
	}
	if (node)
		bucket_tell_cut(seq, port);
}

/* VRFs have buckets of their own, which are not meant. */
static __always_inline bool bucket_is_of(struct inet_bind_bucket *tb, struct net *net, __u32 port)
{
	return BPF_CORE_READ(tb, port) == port && BPF_CORE_READ(tb, ib_net.net) == net && !BPF_CORE_READ(tb, l3mdev);
}

/* The bucket of a port; NULL = it has none, or, with *ret_cut, that cannot be said. */
static __always_inline struct inet_bind_bucket *bucket_find(struct net *net, __u32 port, bool *ret_cut)
{
	struct hlist_node *node = BPF_CORE_READ(bucket_slot(net, port), chain.first);
	struct inet_bind_bucket *tb = NULL;

	for (int i = 0; node && i < BUCKET_CHAIN; i++) {
		tb = (void *)node - __builtin_preserve_field_info(((struct inet_bind_bucket *)0)->node,
								  BPF_FIELD_BYTE_OFFSET);
		if (bucket_is_of(tb, net, port))
			return tb;
		node = BPF_CORE_READ(node, next);
	}
	*ret_cut = node;
	return NULL;
}

SEC("iter/bpf_map_elem")
int bucket_read(struct bpf_iter__bpf_map_elem *ctx)
{
	struct seq_file *seq = ctx->meta->seq;
	__u32 *key = ctx->key, port;
	struct inet_bind_bucket *tb;
	bool cut = false;

	if (!key)
		return 0;
	port = bucket_first + *key;
	tb = bucket_find(bucket_net(), port, &cut);
	if (tb) {
		bucket_tell_port(seq, tb, port);
		bucket_tell_sockets(seq, tb, port);
	} else if (cut) {
		bucket_tell_cut(seq, port);
	}
	return 0;
}
