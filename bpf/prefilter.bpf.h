/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Early drop of what no one asked for. Only tests that are cheaper than a record; filter.c in user space
 * evaluates the whole filter. A test whose setting is 0 is removed by the verifier (config is read-only).
 */
#ifndef PREFILTER_BPF_H
#define PREFILTER_BPF_H

/* Longest chain of parents that is walked; a process deeper than that below the command is not followed. */
#define PREFILTER_MAX_DEPTH 64

/* --cgroup: its one element is set by the loader before the first program is attached. */
struct {
	__uint(type, BPF_MAP_TYPE_CGROUP_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} cgroups SEC(".maps");

static __always_inline bool prefilter_pid(__u32 pid)
{
	for (__u32 i = 0; i < CONFIG_MAX_PIDS; i++) {
		if (i >= config.pid_count)
			return false;
		if (config.pids[i] == pid)
			return true;
	}
	return false;
}

static __always_inline bool prefilter_kind(__u8 kind)
{
	return !config.kinds || (config.kinds & (1 << kind));
}

static __always_inline bool prefilter_protocol(__u16 protocol)
{
	bool udp = protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE;

	return (!config.want_tcp && !config.want_udp) || (udp ? config.want_udp : config.want_tcp);
}

/*
 * Is the running process the traced command or a descendant of it? porttrace is the subreaper of the command's
 * tree (prctl PR_SET_CHILD_SUBREAPER), so an orphan's parent is porttrace itself: every descendant's chain of
 * parents meets one of the two, and no fork hook is needed.
 */
static __always_inline bool prefilter_follow(void)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

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

/* Does anyone want events of the running process? */
static __always_inline bool prefilter_process(void)
{
	if (config.pid_count && !prefilter_pid(bpf_get_current_pid_tgid() >> 32))
		return false;
	if (config.under_cgroup && bpf_current_task_under_cgroup(&cgroups, 0) != 1)
		return false;
	return !config.follow_pid || prefilter_follow();
}

/* Does anyone want events of this socket? */
static __always_inline bool prefilter_socket(struct sock *sk, enum pointer ptr)
{
	struct net *net;

	if (!prefilter_protocol(READ(ptr, sk, sk_protocol)))
		return false;
	if (!config.netns_inum)
		return true;
	net = READ(ptr, sk, __sk_common.skc_net.net);
	return config.netns_inum == READ(ptr, net, ns.inum);
}

#endif
