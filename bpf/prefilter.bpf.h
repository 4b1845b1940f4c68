/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Early drop of what no one asked for. Only tests that are cheaper than a record; filter.c in user space
 * evaluates the whole filter, and what it would show passes here. A test whose setting is 0 is removed by the
 * verifier (config is read-only). What the ends of a socket tell is in select.bpf.h.
 */
#ifndef PREFILTER_BPF_H
#define PREFILTER_BPF_H

#include "select.bpf.h"
#include "who.bpf.h"

/* Longest chain of parents that is walked; a process deeper than that below the command is not followed. */
#define PREFILTER_MAX_DEPTH 64

/* --cgroup: its one element is set by the loader before the first program is attached. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

static __always_inline bool prefilter_kind(__u8 kind)
{
	return !config.kinds || (config.kinds & (1 << kind));
}

/* The switches come first here and below: what the verifier cannot leave out is read, and each field costs eight
 * instructions. */
static __always_inline bool prefilter_protocol(struct sock *sk, enum pointer ptr)
{
	if (!config.want_tcp && !config.want_udp)
		return true;
	return sock_is_udp(sk, ptr) ? config.want_udp : config.want_tcp;
}

/*
 * Is the running process the traced command or a descendant of it? porttrace is the subreaper of the command's
 * tree (prctl PR_SET_CHILD_SUBREAPER), so an orphan's parent is porttrace itself: every descendant's chain of
 * parents meets one of the two, and no fork hook is needed.
 */
static __always_inline bool prefilter_follow(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = once_pid_tgid() >> 32;

	if (tgid == config.self_pid)
		return false;
	for (int i = 0; i < PREFILTER_MAX_DEPTH; i++) {
		if (tgid == config.follow_pid || tgid == config.self_pid)
			return true;
		if (tgid <= 1)
			return false;
		task = BPF_CORE_READ(task, real_parent);
		tgid = BPF_CORE_READ(task, tgid);
	}
	return false;
}

/* --follow: the processes of pids[] and all that descend from them, also where those between have ended. Filled by
 * prefilter_fork, and by prefilter_follow_pids with who was there before; LRU: a process that ends leaves its entry,
 * and one that fell out is found by its parents. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, CONFIG_MAX_FOLLOWED); /* the loader's: 1 without --follow */
	__type(key, __u32); /* thread group id */
	__type(value, __u64); /* start of its leader, for the number may come again */
} followed SEC(".maps");

static __always_inline bool prefilter_is_followed(struct task_struct *task, __u32 tgid)
{
	__u64 *start_ns = bpf_map_lookup_elem(&followed, &tgid);

	return start_ns && *start_ns == BPF_CORE_READ(task, group_leader, start_boottime);
}

static __always_inline void prefilter_note(struct task_struct *task, __u32 tgid)
{
	__u64 start_ns = BPF_CORE_READ(task, group_leader, start_boottime);

	bpf_map_update_elem(&followed, &tgid, &start_ns, BPF_ANY);
}

/* The parents are asked only for processes that were there before. */
static __always_inline bool prefilter_follow_pids(void)
{
	struct task_struct *self = (void *)bpf_get_current_task(), *task = self;
	__u32 own = once_pid_tgid() >> 32, tgid = own;

	for (int i = 0; i < PREFILTER_MAX_DEPTH && tgid > 1; i++) {
		if (prefilter_is_followed(task, tgid) || who_has_pid(tgid)) {
			if (i)
				prefilter_note(self, own);
			return true;
		}
		task = BPF_CORE_READ(task, real_parent);
		tgid = BPF_CORE_READ(task, tgid);
	}
	return who_has_pid(own);
}

/* A new process. Its parent is in pids[] or noted, or else asked for when it has an event. */
static __always_inline void prefilter_fork(struct task_struct *parent, struct task_struct *child)
{
	__u32 from = BPF_CORE_READ(parent, tgid), to = BPF_CORE_READ(child, tgid);

	if (from != to && (who_has_pid(from) || prefilter_is_followed(parent, from)))
		prefilter_note(child, to);
}

/* A name in two words: behind its end may stand what is left of a longer one. The lowest 0 among the bytes of a word
 * leaves its highest bit set, and borrows from none below. */
static __always_inline void prefilter_end_comm(__u64 comm[2])
{
	__u64 first = (comm[0] - 0x0101010101010101ULL) & ~comm[0] & 0x8080808080808080ULL;
	__u64 second = (comm[1] - 0x0101010101010101ULL) & ~comm[1] & 0x8080808080808080ULL;

	comm[0] &= ((first & -first) >> 7) - 1;
	comm[1] &= first ? 0 : ((second & -second) >> 7) - 1;
}

/* The name of the leader, as in the event. */
static __always_inline bool prefilter_leader_comm(void)
{
	struct task_struct *task;
	__u64 comm[2] = {};

	if (config.has_task_btf) {
		task = bpf_get_current_task_btf()->group_leader;
		sock_read16(comm, __builtin_preserve_access_index(&task->comm), PTR_WALKED);
		prefilter_end_comm(comm);
	} else {
		task = (void *)bpf_get_current_task();
		bpf_probe_read_kernel_str(comm, sizeof(comm), &BPF_CORE_READ(task, group_leader)->comm);
	}
	return who_has_comm(comm);
}

static __always_inline __u32 prefilter_uid(void)
{
	if (config.has_task_btf)
		return bpf_get_current_task_btf()->cred->uid.val;
	return (__u32)bpf_get_current_uid_gid();
}

/* What user space may take for an event of the socket's owner (sockets_lend). */
static __always_inline bool prefilter_is_kernel_thread(void)
{
	if (config.has_task_btf)
		return bpf_get_current_task_btf()->flags & PF_KTHREAD;
	return BPF_CORE_READ((struct task_struct *)bpf_get_current_task(), flags) & PF_KTHREAD;
}

/* The tests that user space makes again. */
static __always_inline bool prefilter_who(void)
{
	if (config.pid_count && !config.follow && !who_has_pid(once_pid_tgid() >> 32))
		return false;
	if (config.uid_count && !who_has_uid(prefilter_uid()))
		return false;
	if (config.comm_count && !prefilter_leader_comm())
		return false;
	return !config.other_cgroups || who_has_cgroup(bpf_get_current_cgroup_id());
}

/* Are processes asked for at all? Constants. */
static __always_inline bool prefilter_asks_who(void)
{
	return config.pid_count || config.uid_count || config.comm_count || config.other_cgroups;
}

static __always_inline bool prefilter_asks_process(void)
{
	return prefilter_asks_who() || config.under_cgroup || config.follow || config.follow_pid;
}

/* Does anyone want events of the running process? */
static __always_inline bool prefilter_process(void)
{
	if (!config.selects)
		return true;
	if (prefilter_asks_who() && !prefilter_who() && !prefilter_is_kernel_thread())
		return false;
	if (config.under_cgroup && bpf_current_task_under_cgroup(&cgroups, 0) != 1)
		return false;
	if (config.follow && !prefilter_follow_pids())
		return false;
	return !config.follow_pid || prefilter_follow();
}

static __always_inline void prefilter_read_address(__u64 to[2], struct sock *sk, __u16 family, bool local,
						   enum pointer ptr)
{
	__u32 ipv4;

	if (family == AF_INET6 && local) {
		bpf_probe_read_kernel(to, 16, &sk->__sk_common.skc_v6_rcv_saddr);
	} else if (family == AF_INET6) {
		bpf_probe_read_kernel(to, 16, &sk->__sk_common.skc_v6_daddr);
	} else {
		ipv4 = local ? READ(ptr, sk, __sk_common.skc_rcv_saddr) : READ(ptr, sk, __sk_common.skc_daddr);
		select_set_ipv4(to, ipv4);
	}
}

static __always_inline bool prefilter_these_ends(struct sock *sk, __u8 kind, bool failed, enum pointer ptr)
{
	struct select_ends e = { .kind = kind, .has_local = 1 };
	__u16 family = READ(ptr, sk, __sk_common.skc_family);

	e.local_port = sock_local_port(sk, ptr);
	e.remote_port = bpf_ntohs(READ(ptr, sk, __sk_common.skc_dport));
	e.has_remote = kind == RAW_ACCEPT ? !failed : e.remote_port != 0;
	if (config.cidr_sides || config.want_ipv4 || config.want_ipv6) {
		prefilter_read_address(e.local, sk, family, true, ptr);
		prefilter_read_address(e.remote, sk, family, false, ptr);
	}
	return select_wants(&e);
}

/* Does anyone want an event of a socket with its ends? A bind that failed is judged by what it asked for: later. A TCP
 * connect by prefilter_peer, and again when its port is known (select_event). */
static __always_inline bool prefilter_ends(struct sock *sk, __u8 kind, bool failed, enum pointer ptr)
{
	if (!config.selects_ends || kind == RAW_CONNECT || (failed && kind == RAW_BIND))
		return true;
	return prefilter_these_ends(sk, kind, failed, ptr);
}

/* Does anyone want a connect to `req`? Its own end is not known yet. */
static __always_inline bool prefilter_peer(struct sock *sk, const struct request *req, enum pointer ptr)
{
	struct select_ends e = { .kind = RAW_CONNECT, .has_remote = 1 };
	__u16 family;

	if (!config.selects_ends)
		return true;
	family = READ(ptr, sk, __sk_common.skc_family);
	e.remote_port = req->port;
	/* as sock_fill_remote() */
	if (req->family == AF_INET || req->family == family)
		select_copy(e.remote, req->addr, req->family == AF_INET6);
	else if (family == AF_INET)
		select_set_ipv4(e.remote, 0);
	return select_wants(&e);
}

/* Does anyone want events of this socket? */
static __always_inline bool prefilter_socket(struct sock *sk, enum pointer ptr)
{
	struct net *net;

	if (!config.selects)
		return true;
	if (!prefilter_protocol(sk, ptr))
		return false;
	if (!config.netns_inum)
		return true;
	net = READ(ptr, sk, __sk_common.skc_net.net);
	return config.netns_inum == READ(ptr, net, ns.inum);
}

#endif
