/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* struct sock and struct task_struct -> fields of a raw event. The only file that reads kernel structures. */
#ifndef SOCK_BPF_H
#define SOCK_BPF_H

/* include/net/tcp_states.h, include/linux/socket.h, include/uapi/linux/in.h */
#define AF_UNSPEC 0
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10
#define TCP_CLOSING 11
#define SOCK_BINDPORT_LOCK 8 /* include/net/sock.h: the port was asked for by number */
#define SHUTDOWN_MASK 3 /* include/net/sock.h: __tcp_close() sets it first */
#define SOCK_DEAD 0 /* bits of sk_flags, enum sock_flags in include/net/sock.h */
#define SOCK_DONE 1
/* include/linux/sched.h */
#define PF_IO_WORKER 0x00000010
#define PF_EXITING 0x00000004
#define PF_KTHREAD 0x00200000
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define IPPROTO_MPTCP 262

/* What the kernel asks of the length of an address, before it reads it. */
#define SOCKADDR_MIN_SIZE 2 /* the family: any connect */
#define SOCKADDR_IN_SIZE 16
#define SOCKADDR_IN6_SIZE 24 /* SIN6_LEN_RFC2133: inet6_bind(), tcp_v6_connect() */

/* An address as a program passed it, copied by the kernel. What it was too short for is 0. */
struct request {
	__u16 family;
	__u16 port;
	__u8 addr[16] __attribute__((aligned(8)));
};

/* All ones if an address of this length holds `size` bytes, else 0. Without a jump: the verifier would follow what
 * comes after it once for each way. */
static __always_inline __u64 sock_request_holds(int addr_len, int size)
{
	__u64 mask = (__u64)((__s64)size - 1 - addr_len);

	asm volatile("%0 s>>= 63" : "+r"(mask));
	return mask;
}

/* The kernel has it in a buffer that is always large enough. */
static __always_inline void sock_read_request(struct request *req, const void *uaddr, int addr_len)
{
	__u64 all = sock_request_holds(addr_len, SOCKADDR_IN6_SIZE), ipv4 = sock_request_holds(addr_len, 8);
	struct {
		__u16 family, port;
		__u32 addr4;
		__u64 addr6[2];
	} in;
	__u64 *addr = (__u64 *)req->addr, zero = unknown_zero;
	__u16 family;

	bpf_probe_read_kernel(&in, SOCKADDR_IN6_SIZE, uaddr);
	family = in.family & sock_request_holds(addr_len, SOCKADDR_MIN_SIZE);
	req->port = bpf_ntohs(in.port & ipv4);
	addr[0] = family != AF_INET6 ? in.addr4 & ipv4 : in.addr6[0] & all;
	addr[1] = family != AF_INET6 ? zero : in.addr6[1] & all;
	req->family = (__u16)unknown(family, zero);
}

/* The remote address as it was asked for, in the family of the socket: IPv4 on an IPv6 socket is v4-mapped. */
static __always_inline void sock_fill_remote(struct raw_event *ev, const struct request *req)
{
	__u64 zero = unknown_zero, *addr = (__u64 *)ev->remote_addr;

	addr[0] = addr[1] = zero;
	ev->remote_port = req->port;
	if (req->family == ev->family) {
		__builtin_memcpy(ev->remote_addr, req->addr, 16);
	} else if (req->family == AF_INET) {
		ev->remote_addr[10] = ev->remote_addr[11] = 0xff;
		__builtin_memcpy(ev->remote_addr + 12, req->addr, 4);
	}
}

/* TCP (with MPTCP's outer socket) and UDP over IPv4 or IPv6; raw, ping and kernel control sockets are not. */
static __always_inline bool sock_is_traced_as(struct sock *sk, __u16 protocol, enum pointer ptr)
{
	__u16 family = READ(ptr, sk, __sk_common.skc_family);
	__u16 type = READ(ptr, sk, sk_type);

	if (family != AF_INET && family != AF_INET6)
		return false;
	if (protocol == IPPROTO_TCP || protocol == IPPROTO_MPTCP)
		return type == SOCK_STREAM;
	return (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE) && type == SOCK_DGRAM;
}

static __always_inline bool sock_is_traced(struct sock *sk, enum pointer ptr)
{
	return sock_is_traced_as(sk, READ(ptr, sk, sk_protocol), ptr);
}

/* The socket at an address, PTR_CAST. Only where config.sock_type says that there is the cast. */
static __always_inline struct sock *sock_cast(struct sock *address)
{
	return cast(address, config.sock_type);
}

static __always_inline bool sock_is_udp(struct sock *sk, enum pointer ptr)
{
	__u16 protocol = READ(ptr, sk, sk_protocol);

	return protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;
}

/* The TCP socket that `sk` is; NULL if it is none. */
static __always_inline struct tcp_sock *sock_tcp(struct sock *sk, enum pointer ptr)
{
	if (ptr && ptr != PTR_CAST)
		return once_tcp_sock(sk);
	if (READ(ptr, sk, sk_protocol) != IPPROTO_TCP)
		return NULL;
	return ptr ? cast(sk, config.tcp_sock_type) : (struct tcp_sock *)sk;
}

/* For a program that needs it on more than one of its ways: asks here, ahead of them. */
static __always_inline void sock_ask_tcp(struct sock *sk, enum pointer ptr)
{
	if (ptr && ptr != PTR_CAST)
		asm volatile("" : : "r"(once_tcp_sock(sk)));
}

static __always_inline bool sock_port_bit(const unsigned long *bitmap, __u16 port)
{
	__u8 byte = 0;

	if (!bitmap || !port)
		return false;
	/* Both supported machines are little-endian: bit n of the bitmap is bit n % 8 of byte n / 8. */
	bpf_probe_read_kernel(&byte, 1, (const __u8 *)bitmap + port / 8);
	return byte & (1 << (port % 8));
}

/*
 * A list of reserved ports, net->ipv4.sysctl_local_reserved_ports, that was empty when somebody read it: then two looks
 * at it, which cost a helper each, say nothing. The loader reads that of its own namespace. Once anyone has written a
 * list, none is taken for empty any more.
 */
static volatile __u64 reserved_empty = 0; /* its address */
static volatile bool reserved_written = false;

static __always_inline bool sock_has_reserved(const unsigned long *bitmap)
{
	return (__u64)bitmap != reserved_empty || reserved_written;
}

/* proc_do_large_bitmap() returned: it has written what `buffer` says into the list, or the list into `buffer`. */
static __always_inline void sock_see_reserved(struct ctl_table *table, int write, const char *buffer, const __u64 *size)
{
	unsigned long *bitmap = NULL;
	__u64 length = 0;
	char first = 0;

	if (write)
		reserved_written = true;
	if (reserved_empty || reserved_written)
		return;
	bpf_probe_read_kernel(&length, sizeof(length), size);
	bpf_probe_read_kernel(&first, sizeof(first), buffer);
	bpf_probe_read_kernel(&bitmap, sizeof(bitmap), BPF_CORE_READ(table, data));
	if (length == 1 && first == '\n')
		reserved_empty = (__u64)bitmap;
}

/* What the kernel of this namespace thinks of the event's ports, at this moment. */
static __always_inline void sock_fill_truth(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	struct net *net = READ(ptr, sk, __sk_common.skc_net.net);
	const unsigned long *reserved = READ(ptr, net, ipv4.sysctl_local_reserved_ports);
	__u16 low, high, local = ev->local_port ? ev->local_port : ev->requested_port;
	struct tcp_sock *tcp = ptr ? sock_tcp(sk, ptr) : NULL;

	compat_netns_range(net, ptr, &ev->range_low, &ev->range_high);
	if (tcp)
		compat_sock_range(tcp, ptr, &low, &high);
	else
		compat_sock_range(sk, PTR_PLAIN, &low, &high);
	if (low || high) {
		/* clamped as inet_sk_get_local_port_range() does (net/ipv4/inet_connection_sock.c) */
		ev->sock_range_low = low > ev->range_low && low <= ev->range_high ? low : ev->range_low;
		ev->sock_range_high = high && high < ev->range_high && high >= ev->range_low ? high :
											       ev->range_high;
	}
	ev->unprivileged_start = (__u16)READ(ptr, net, ipv4.sysctl_ip_prot_sock);
	ev->flags |= RAW_F_TRUTH;
	if (!sock_has_reserved(reserved))
		return;
	if (sock_port_bit(reserved, local))
		ev->flags |= RAW_F_LOCAL_RESERVED;
	if (sock_port_bit(reserved, ev->remote_port))
		ev->flags |= RAW_F_REMOTE_RESERVED;
}

/* Local port: once the kernel has taken a port back inet_num is 0, while inet_sport still says which it was. */
static __always_inline __u16 sock_local_port(struct sock *sk, enum pointer ptr)
{
	__u16 port = READ(ptr, sk, __sk_common.skc_num);
	struct tcp_sock *tcp;

	if (port)
		return port;
	tcp = ptr ? sock_tcp(sk, ptr) : NULL;
	if (tcp)
		return bpf_ntohs(READ(ptr, (struct inet_sock *)tcp, inet_sport));
	return bpf_ntohs(BPF_CORE_READ((struct inet_sock *)sk, inet_sport));
}

/* 16 bytes, both ends aligned to 8. */
static __always_inline void sock_read16(void *to, const void *from, enum pointer ptr)
{
	if (ptr) {
		((__u64 *)to)[0] = ((const __u64 *)from)[0];
		((__u64 *)to)[1] = ((const __u64 *)from)[1];
	} else {
		bpf_probe_read_kernel(to, 16, from);
	}
}

/* What the kernel compares at once we read at once: daddr and dport are the lower half on little-endian machines. */
static __always_inline void sock_fill_addresses(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	__u64 addresses;
	__u32 ports;

	if (ev->family == AF_INET6) {
		sock_read16(ev->local_addr, __builtin_preserve_access_index(&sk->__sk_common.skc_v6_rcv_saddr), ptr);
		sock_read16(ev->remote_addr, __builtin_preserve_access_index(&sk->__sk_common.skc_v6_daddr), ptr);
	} else {
		addresses = READ(ptr, sk, __sk_common.skc_addrpair);
		*(__be32 *)ev->local_addr = addresses >> 32;
		*(__be32 *)ev->remote_addr = (__be32)addresses;
	}
	ports = READ(ptr, sk, __sk_common.skc_portpair);
	ev->local_port = ports >> 16;
	ev->remote_port = bpf_ntohs((__be16)ports);
}

static __always_inline bool sock_flag(struct sock *sk, int bit, enum pointer ptr)
{
	return READ(ptr, sk, __sk_common.skc_flags) & (1UL << bit);
}

/* Is it the TCP socket of one path of an MPTCP connection? */
static __always_inline bool sock_is_mptcp_path(struct sock *sk, enum pointer ptr)
{
	struct inet_connection_sock *tcp;
	struct tcp_ulp_ops *ops;
	char name[8] = {};

	if (!config.mptcp_conn_offset)
		return false;
	tcp = (struct inet_connection_sock *)sock_tcp(sk, ptr);
	if (!tcp)
		return false;
	ops = READ(ptr, tcp, icsk_ulp_ops);
	if (!ops)
		return false;
	bpf_probe_read_kernel(name, sizeof(name) - 1, &ops->name);
	return name[0] == 'm' && name[1] == 'p' && name[2] == 't' && name[3] == 'c' && name[4] == 'p' && !name[5];
}

/* The MPTCP socket that programs see, where `sk` is one of its paths and still belongs to it; else NULL. */
static __always_inline struct sock *sock_mptcp_parent(struct sock *sk, enum pointer ptr)
{
	struct sock *parent = NULL;

	if (sock_is_mptcp_path(sk, ptr))
		bpf_probe_read_kernel(&parent, sizeof(parent),
				      BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_ulp_data) +
					      config.mptcp_conn_offset);
	return parent;
}

/* Another path of an MPTCP connection than its first: the kernel opened it, no program did. */
static __always_inline bool sock_is_second_path(struct sock *sk, enum pointer ptr)
{
	struct sock *parent = sock_mptcp_parent(sk, ptr), *first = NULL;

	if (!parent || !config.mptcp_first_offset)
		return false;
	bpf_probe_read_kernel(&first, sizeof(first), (void *)parent + config.mptcp_first_offset);
	return (__u64)first != (__u64)sk;
}

/* The cookie the socket has, or where the program may ask for one (5.12) the one it gets now. */
static __always_inline __u64 sock_cookie(struct sock *sk, enum pointer ptr)
{
	if (ptr == PTR_HOOK && config.has_cookie_helper)
		return once_cookie(sk);
	return READ(ptr, sk, __sk_common.skc_cookie.counter);
}

/* For its later events, which only read it. */
static __always_inline void sock_give_cookie(struct sock *sk, enum pointer ptr)
{
	asm volatile("" : : "r"(sock_cookie(sk, ptr)));
}

/* Everything that the socket itself tells. ev has been zeroed. The events of an MPTCP connection happen to the TCP
 * sockets of its paths; they are told as those of the socket that the program has. */
static __always_inline void sock_fill(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	struct net *net = READ(ptr, sk, __sk_common.skc_net.net);
	struct sock *parent = sock_mptcp_parent(sk, ptr);

	ev->family = READ(ptr, sk, __sk_common.skc_family);
	if (parent) {
		ev->socket_id = (__u64)parent;
		ev->cookie = BPF_CORE_READ(parent, __sk_common.skc_cookie.counter);
		ev->protocol = IPPROTO_MPTCP;
	} else {
		ev->socket_id = (__u64)sk;
		ev->cookie = sock_cookie(sk, ptr);
		ev->protocol = READ(ptr, sk, sk_protocol);
	}
	ev->netns_inum = READ(ptr, net, ns.inum);
	sock_fill_addresses(ev, sk, ptr);
}

static __always_inline void sock_fill_fd(struct raw_event *ev, struct task_struct *task, enum pointer ptr)
{
	if (READ(ptr, task, flags) & (PF_KTHREAD | PF_IO_WORKER))
		return;
	ev->fd = compat_syscall_fd(task, ptr);
	if (ev->fd >= 0)
		ev->flags |= RAW_F_FD;
}

/* What the socket asked for, and by which descriptor the program named it. */
static __always_inline void sock_fill_options(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	struct tcp_sock *tcp = ptr ? sock_tcp(sk, ptr) : NULL;

	ev->options = compat_common_options(sk, ptr);
	ev->options |= tcp ? compat_inet_options(tcp, ptr) : compat_inet_options(sk, PTR_PLAIN);
	ev->mark = READ(ptr, sk, sk_mark);
	ev->bound_ifindex = READ(ptr, sk, __sk_common.skc_bound_dev_if);
	ev->flags |= RAW_F_OPTIONS;
	if (config.has_task_btf)
		sock_fill_fd(ev, bpf_get_current_task_btf(), PTR_WALKED);
	else
		sock_fill_fd(ev, (void *)bpf_get_current_task(), PTR_PLAIN);
}

#define SOCK_FIN_SENT (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_CLOSING | 1 << TCP_LAST_ACK)

static __always_inline bool sock_has_sent_fin(__u8 state)
{
	return 1U << state & SOCK_FIN_SENT;
}

/* Payload in both directions. Sent: all that the program wrote, so what is still queued counts, what was sent again
 * does not, and neither does a FIN that is queued. Received: the kernel counts the peer's FIN as a byte. */
static __always_inline void sock_fill_bytes(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	struct tcp_sock *tp = sock_tcp(sk, ptr);
	__u32 queued;

	if (!tp)
		return;
	queued = READ(ptr, tp, write_seq) - READ(ptr, tp, snd_nxt);
	if (queued && sock_has_sent_fin(READ(ptr, sk, __sk_common.skc_state)))
		queued--;
	ev->bytes_sent = READ(ptr, tp, bytes_sent) - READ(ptr, tp, bytes_retrans) + queued;
	ev->bytes_received = READ(ptr, tp, bytes_received);
	if (ev->bytes_received && sock_flag(sk, SOCK_DONE, ptr))
		ev->bytes_received--;
	ev->flags |= RAW_F_BYTES;
}

/* pid as the process itself sees it; 0 in the first pid namespace. */
static __always_inline __u32 sock_read_vpid(struct task_struct *leader, enum pointer ptr)
{
	struct pid *pid = READ(ptr, leader, thread_pid);
	__u32 level = READ(ptr, pid, level);
	struct upid *upid;

	if (!level)
		return (__u32)unknown_zero;
	upid = (void *)__builtin_preserve_access_index(&pid->numbers) + level * bpf_core_type_size(struct upid);
	return BPF_CORE_READ(upid, nr);
}

static __always_inline void sock_fill_task(struct raw_event *ev, struct task_struct *task, enum pointer ptr)
{
	struct task_struct *leader = READ(ptr, task, group_leader), *parent = READ(ptr, task, real_parent);
	struct cred *cred = READ(ptr, task, cred);
	__u32 flags = READ(ptr, task, flags);

	ev->uid = READ(ptr, cred, uid.val);
	ev->parent_pid = READ(ptr, parent, tgid);
	ev->process_start_ns = READ(ptr, leader, start_boottime);
	ev->exec_id = (__u32)READ(ptr, task, self_exec_id);
	ev->vpid = sock_read_vpid(leader, ptr);
	sock_read16(ev->comm, __builtin_preserve_access_index(&leader->comm), ptr);
	ev->flags |= RAW_F_LEADER_COMM | (flags & PF_KTHREAD ? RAW_F_KERNEL_THREAD : 0);
	if (flags & PF_EXITING) {
		ev->flags |= RAW_F_EXITING;
		ev->exit_signal = READ(ptr, task, exit_code) & 0x7f;
	}
}

/* The process that runs now. Only right where the kernel works for that process, not in softirq or timers. */
static __always_inline void sock_fill_process(struct raw_event *ev)
{
	__u64 id = once_pid_tgid();

	ev->pid = id >> 32;
	ev->tid = (__u32)id;
	ev->cgroup_id = bpf_get_current_cgroup_id();
	if (config.has_task_btf)
		sock_fill_task(ev, bpf_get_current_task_btf(), PTR_WALKED);
	else
		sock_fill_task(ev, (void *)bpf_get_current_task(), PTR_PLAIN);
}

#endif
