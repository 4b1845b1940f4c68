/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What moved between kernels: one accessor a field, each with the release that moved it. No other file knows
 * about kernel versions; nothing here tests a version either, only whether a field exists.
 */
#ifndef COMPAT_BPF_H
#define COMPAT_BPF_H

#include "zero.bpf.h"

/* How the memory behind a pointer may be read. */
enum pointer {
	PTR_PLAIN = 0, /* an address: by a helper */
	PTR_WALKED, /* typed: directly, which costs a tenth. Found in an argument of a typed program */
	PTR_CAST, /* typed, made by cast() in a program that has addresses only: no helper takes it */
	PTR_HOOK, /* typed, an argument of a typed program (fentry, fexit, tp_btf): helpers take it too */
};

/*
 * The kernel's bpf_rdonly_cast(), 6.2: an address becomes a pointer to a struct that may be read directly. The type is
 * a number of the kernel's BTF, and so is the function, which the loader writes into the calls: libbpf, asked for it by
 * name, would read all the kernel's types. Where config says that there is none, the verifier removes the calls.
 */
static void *(*const cast)(const void *address, __u32 type) = (void *)CONFIG_CALL_CAST;

/* Helpers whose answer is the same as long as a program runs: asked again, clang takes the first answer. */
static struct tcp_sock *(*const once_tcp_sock)(void *sk) __attribute__((const)) = (void *)BPF_FUNC_skc_to_tcp_sock;
static __u64 (*const once_cookie)(void *sk) __attribute__((const)) = (void *)BPF_FUNC_get_socket_cookie;
static __u64 (*const once_pid_tgid)(void) __attribute__((const)) = (void *)BPF_FUNC_get_current_pid_tgid;

#define READ(ptr, from, field) ((ptr) ? (from)->field : BPF_CORE_READ(from, field))
#define READ_BITS(ptr, from, field) \
	((ptr) ? BPF_CORE_READ_BITFIELD(from, field) : BPF_CORE_READ_BITFIELD_PROBED(from, field))

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
static __always_inline void compat_netns_range(struct net *net, enum pointer ptr, __u16 *low, __u16 *high)
{
	struct local_ports___word *word = (void *)__builtin_preserve_access_index(&net->ipv4.ip_local_ports);
	struct local_ports___ints *ints = (void *)word;

	if (bpf_core_field_exists(struct local_ports___word, range)) {
		__u32 range = READ(ptr, word, range);

		*low = (__u16)range;
		*high = (__u16)(range >> 16);
	} else {
		*low = (__u16)READ(ptr, ints, range[0]);
		*high = (__u16)READ(ptr, ints, range[1]);
	}
}

/* The range set on the socket itself; 0 and 0 where none is, or where the kernel has no such option. `inet`: a struct
 * inet_sock, or what begins with one. */
static __always_inline void compat_sock_range(void *inet, enum pointer ptr, __u16 *low, __u16 *high)
{
	struct inet_sock___pair *pair = inet;
	struct inet_sock___word *word = inet;

	*low = *high = 0;
	if (bpf_core_field_exists(struct inet_sock___pair, local_port_range.lo)) {
		*low = READ(ptr, pair, local_port_range.lo);
		*high = READ(ptr, pair, local_port_range.hi);
	} else if (bpf_core_field_exists(struct inet_sock___word, local_port_range)) {
		__u32 range = READ(ptr, word, local_port_range);

		*low = (__u16)range;
		*high = (__u16)(range >> 16);
	}
}

/* Bit fields: their place moves between kernels. */
struct sock_common___bits {
	unsigned char skc_reuse : 4;
	unsigned char skc_reuseport : 1;
	unsigned char skc_ipv6only : 1;
} __attribute__((preserve_access_index));

/* Up to 6.5; 6.6 made them bits of inet_flags. */
struct inet_sock___bits {
	__u8 freebind : 1;
	__u8 transparent : 1;
	__u8 bind_address_no_port : 1;
} __attribute__((preserve_access_index));

struct inet_sock___flags {
	unsigned long inet_flags;
} __attribute__((preserve_access_index));

/* include/net/inet_sock.h since 6.6: a nameless enum, so CO-RE cannot find them. */
#define INET_FLAGS_FREEBIND 11
#define INET_FLAGS_TRANSPARENT 15
#define INET_FLAGS_BIND_ADDRESS_NO_PORT 18

/* Bits of enum raw_option. By multiplication: each branch doubles the ways that the verifier has to follow. */
static __always_inline __u32 compat_common_options(struct sock *sk, enum pointer ptr)
{
	struct sock_common___bits *common = (struct sock_common___bits *)sk; /* struct sock begins with it */
	__u32 options = 0;

	options |= READ_BITS(ptr, common, skc_reuse) * RAW_OPT_REUSEADDR;
	options |= READ_BITS(ptr, common, skc_reuseport) * RAW_OPT_REUSEPORT;
	options |= READ_BITS(ptr, common, skc_ipv6only) * RAW_OPT_V6ONLY;
	return options;
}

/* More of them. `inet_sock`: a struct inet_sock, or what begins with one. */
static __always_inline __u32 compat_inet_options(void *inet_sock, enum pointer ptr)
{
	struct inet_sock___flags *newer = inet_sock;
	struct inet_sock___bits *inet = inet_sock;
	__u32 options = 0;

	if (bpf_core_field_exists(struct inet_sock___flags, inet_flags)) {
		unsigned long flags = READ(ptr, newer, inet_flags);

		options |= (flags >> INET_FLAGS_FREEBIND & 1) * RAW_OPT_FREEBIND;
		options |= (flags >> INET_FLAGS_TRANSPARENT & 1) * RAW_OPT_TRANSPARENT;
		options |= (flags >> INET_FLAGS_BIND_ADDRESS_NO_PORT & 1) * RAW_OPT_NO_PORT;
	} else if (bpf_core_field_exists(struct inet_sock___bits, freebind)) {
		options |= READ_BITS(ptr, inet, freebind) * RAW_OPT_FREEBIND;
		options |= READ_BITS(ptr, inet, transparent) * RAW_OPT_TRANSPARENT;
		options |= READ_BITS(ptr, inet, bind_address_no_port) * RAW_OPT_NO_PORT;
	}
	return options;
}

static __always_inline bool compat_is_v6only(struct sock *sk)
{
	struct sock_common___bits *common = (struct sock_common___bits *)sk; /* struct sock begins with it */

	return BPF_CORE_READ_BITFIELD_PROBED(common, skc_ipv6only);
}

/* Who holds a port hangs on struct inet_bind_bucket up to 6.7; from 6.8 on, on its inet_bind2_buckets. */
struct inet_bind_bucket___owners {
	struct hlist_head owners;
} __attribute__((preserve_access_index));

struct inet_bind_bucket___bhash2 {
	struct hlist_head bhash2;
} __attribute__((preserve_access_index));

struct inet_bind2_bucket {
	struct hlist_node bhash_node;
	struct hlist_head owners;
} __attribute__((preserve_access_index));

static __always_inline bool compat_is_single(struct hlist_head *head)
{
	struct hlist_node *first = BPF_CORE_READ(head, first);

	return first && !BPF_CORE_READ(first, next);
}

/* RAW_F_PORT_FREE if the holder that is about to go is the last one, else RAW_F_PORT_SHARED. */
static __always_inline __u32 compat_port_after(struct inet_bind_bucket *bucket)
{
	struct inet_bind_bucket___owners *old = (void *)bucket;
	struct inet_bind_bucket___bhash2 *new = (void *)bucket;
	struct inet_bind2_bucket *second;
	bool single;

	if (bpf_core_field_exists(struct inet_bind_bucket___owners, owners)) {
		single = compat_is_single(__builtin_preserve_access_index(&old->owners));
	} else {
		second = (void *)BPF_CORE_READ(new, bhash2.first) -
			 __builtin_preserve_field_info(((struct inet_bind2_bucket *)0)->bhash_node,
						       BPF_FIELD_BYTE_OFFSET);
		single = compat_is_single(__builtin_preserve_access_index(&new->bhash2)) &&
			 compat_is_single(__builtin_preserve_access_index(&second->owners));
	}
	return single ? RAW_F_PORT_FREE : RAW_F_PORT_SHARED;
}

/* Whether a bucket tells all of its sockets; from 6.8 on those that are only bound are in sock_diag's list. */
static __always_inline bool compat_has_owners(void)
{
	return bpf_core_field_exists(struct inet_bind_bucket___owners, owners);
}

/* The first of them, by its skc_bind_node; NULL = none, or not told. */
static __always_inline struct hlist_node *compat_bucket_owners(struct inet_bind_bucket *bucket)
{
	return compat_has_owners() ? BPF_CORE_READ((struct inet_bind_bucket___owners *)bucket, owners.first) : NULL;
}

/* A part of struct netns_ipv4, but from 5.18 to 6.0, when it was a pointer. */
struct netns_ipv4___row {
	struct inet_timewait_death_row tcp_death_row;
} __attribute__((preserve_access_index));

/* Where TCP's tables are. */
static __always_inline struct inet_hashinfo *compat_tcp_hashinfo(struct net *net)
{
	struct netns_ipv4___row *ipv4 = (void *)__builtin_preserve_access_index(&net->ipv4);
	struct inet_timewait_death_row *row = __builtin_preserve_access_index(&ipv4->tcp_death_row);

	if (bpf_core_field_size(ipv4->tcp_death_row) == sizeof(void *))
		bpf_probe_read_kernel(&row, sizeof(row), row);
	return BPF_CORE_READ(row, hashinfo);
}

/* The registers with which the running thread entered the kernel. Their place on the stack has a helper from 5.15
 * on; before, it was the end of the stack without padding (arch/x86/include/asm/processor.h, task_pt_regs()). */
#define COMPAT_THREAD_SIZE 16384 /* x86-64 without KASAN, arm64 with 4 KiB pages */

static __always_inline void *compat_task_regs(struct task_struct *task, unsigned int size)
{
	if (config.has_task_regs)
		return (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	return (void *)BPF_CORE_READ(task, stack) + COMPAT_THREAD_SIZE - size;
}

/* A field of those registers. */
#define READ_REGS(regs, field) READ(config.has_task_regs, regs, field)

/* A system call about a socket, as its registers tell it. */
struct compat_call {
	__u8 kind; /* enum raw_kind */
	__u32 fd;
	const void *addr; /* bind, connect: user memory */
	int addr_len;
	long result; /* what it returns, once that is set; negative errno */
};

#define COMPAT_MSG_FASTOPEN 0x20000000 /* include/linux/socket.h */

#ifdef __TARGET_ARCH_x86
#define COMPAT_TS_COMPAT 2 /* in a 32-bit system call (arch/x86/include/asm/thread_info.h) */

struct thread_info___x86 {
	__u32 status;
} __attribute__((preserve_access_index));

/* Is this one of the 64-bit system calls whose first argument is a socket: connect, sendto, sendmsg, bind, listen,
 * sendmmsg (arch/x86/entry/syscalls/syscall_64.tbl)? */
static __always_inline bool compat_is_socket_call(unsigned long nr)
{
	return nr == 42 || nr == 44 || nr == 46 || nr == 49 || nr == 50 || nr == 307;
}

/* The socket's descriptor in the system call under way; -1 where it does not say (io_uring, 32-bit calls). */
static __always_inline int compat_syscall_fd(struct task_struct *task, enum pointer ptr)
{
	struct pt_regs *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs));
	struct thread_info___x86 *info = (void *)&task->thread_info;

	if (!compat_is_socket_call(READ_REGS(regs, orig_ax)) || READ(ptr, info, status) & COMPAT_TS_COMPAT)
		return (int)unknown_zero - 1;
	return (int)READ_REGS(regs, di);
}

/* connect, accept, bind, listen, accept4 */
static __always_inline __u8 compat_call_kind(unsigned long nr)
{
	return nr == 42		       ? RAW_CONNECT :
	       nr == 43 || nr == 288 ? RAW_ACCEPT :
	       nr == 49		       ? RAW_BIND :
	       nr == 50		       ? RAW_LISTEN :
					 0;
}

/* False if the system call under way is none of a 64-bit program's bind, listen, connect, accept. */
static __always_inline bool compat_read_call(struct task_struct *task, struct compat_call *call)
{
	struct pt_regs *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs));
	struct thread_info___x86 *info = (void *)&task->thread_info;

	call->kind = compat_call_kind(BPF_CORE_READ(regs, orig_ax));
	if (!call->kind || BPF_CORE_READ(info, status) & COMPAT_TS_COMPAT)
		return false;
	call->fd = (__u32)BPF_CORE_READ(regs, di);
	call->addr = (const void *)BPF_CORE_READ(regs, si);
	call->addr_len = (int)BPF_CORE_READ(regs, dx);
	call->result = BPF_CORE_READ(regs, ax);
	return true;
}
/* False if it is not a 64-bit program's sendto() with MSG_FASTOPEN. */
static __always_inline bool compat_read_fastopen(struct task_struct *task, struct compat_call *call)
{
	struct pt_regs *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs));
	struct thread_info___x86 *info = (void *)&task->thread_info;

	if (BPF_CORE_READ(regs, orig_ax) != 44 || BPF_CORE_READ(info, status) & COMPAT_TS_COMPAT ||
	    !(BPF_CORE_READ(regs, r10) & COMPAT_MSG_FASTOPEN))
		return false;
	call->fd = (__u32)BPF_CORE_READ(regs, di);
	call->addr = (const void *)BPF_CORE_READ(regs, r8);
	call->addr_len = (int)BPF_CORE_READ(regs, r9);
	return true;
}
#else
/* arm64: registers are struct user_pt_regs, then orig_x0 and syscallno (arch/arm64/include/asm/ptrace.h). */
struct pt_regs___arm64 {
	__u64 orig_x0;
	int syscallno;
} __attribute__((preserve_access_index));

#define COMPAT_TIF_32BIT 22 /* arch/arm64/include/asm/thread_info.h */

/* bind, listen, connect, sendto, sendmsg, sendmmsg (include/uapi/asm-generic/unistd.h) */
static __always_inline bool compat_is_socket_call(int nr)
{
	return nr == 200 || nr == 201 || nr == 203 || nr == 206 || nr == 211 || nr == 269;
}

static __always_inline int compat_syscall_fd(struct task_struct *task, enum pointer ptr)
{
	struct pt_regs___arm64 *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs___arm64));

	if (!compat_is_socket_call(READ_REGS(regs, syscallno)) ||
	    READ(ptr, task, thread_info.flags) & (1UL << COMPAT_TIF_32BIT))
		return (int)unknown_zero - 1;
	return (int)READ_REGS(regs, orig_x0);
}

/* bind, listen, accept, connect, accept4 */
static __always_inline __u8 compat_call_kind(int nr)
{
	return nr == 200	       ? RAW_BIND :
	       nr == 201	       ? RAW_LISTEN :
	       nr == 202 || nr == 242 ? RAW_ACCEPT :
	       nr == 203	       ? RAW_CONNECT :
					 0;
}

static __always_inline bool compat_read_call(struct task_struct *task, struct compat_call *call)
{
	struct pt_regs___arm64 *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs___arm64));
	struct user_pt_regs *user = (void *)regs; /* struct pt_regs begins with it */

	call->kind = compat_call_kind(BPF_CORE_READ(regs, syscallno));
	if (!call->kind || BPF_CORE_READ(task, thread_info.flags) & (1UL << COMPAT_TIF_32BIT))
		return false;
	call->fd = (__u32)BPF_CORE_READ(regs, orig_x0);
	call->addr = (const void *)BPF_CORE_READ(user, regs[1]);
	call->addr_len = (int)BPF_CORE_READ(user, regs[2]);
	call->result = (long)BPF_CORE_READ(user, regs[0]);
	return true;
}

static __always_inline bool compat_read_fastopen(struct task_struct *task, struct compat_call *call)
{
	struct pt_regs___arm64 *regs = compat_task_regs(task, bpf_core_type_size(struct pt_regs___arm64));
	struct user_pt_regs *user = (void *)regs; /* struct pt_regs begins with it */

	if (BPF_CORE_READ(regs, syscallno) != 206 || !(BPF_CORE_READ(user, regs[3]) & COMPAT_MSG_FASTOPEN) ||
	    BPF_CORE_READ(task, thread_info.flags) & (1UL << COMPAT_TIF_32BIT))
		return false;
	call->fd = (__u32)BPF_CORE_READ(regs, orig_x0);
	call->addr = (const void *)BPF_CORE_READ(user, regs[4]);
	call->addr_len = (int)BPF_CORE_READ(user, regs[5]);
	return true;
}
#endif

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
