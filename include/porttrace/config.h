/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What user space tells the BPF programs before they are loaded: kept in .rodata, so that the verifier
 * removes the branches that this run does not need.
 */
#ifndef PORTTRACE_CONFIG_H
#define PORTTRACE_CONFIG_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define CONFIG_MAX_PIDS 64
#define CONFIG_MAX_HOLDERS 131072 /* ports that outlive the close of their socket, with -e release */
#define CONFIG_MAX_PROCESSES 4096 /* whose program is remembered, on both sides of the ring */
#define CONFIG_RING_BYTES (8 * 1024 * 1024) /* unless --ringbuf says otherwise */

/* The functions whose arguments a kretprobe needs again: key of the map `calls` of the tracing backend. */
enum call_fn {
	CALL_BIND, CALL_BIND_EARLY, CALL_AUTOBIND, CALL_LISTEN, CALL_CONNECT4, CALL_CONNECT6,
	CALL_UDP_CONNECT, CALL_ACCEPT, CALL_CLOSE, CALL_DENIED_BIND, CALL_DENIED_CONNECT, CALL_PRE_CONNECT,
};

/* Is each return an event? Of the others most returns tell nothing, blocking accepts lose theirs by design of
 * kretprobes, and a TCP connect without its return is found in the map `attempts`. */
#define CALL_IS_EVENT(fn)                                                                                    \
	((fn) == CALL_BIND || (fn) == CALL_AUTOBIND || (fn) == CALL_LISTEN || (fn) == CALL_UDP_CONNECT)

/*
 * The part of the filter that the kernel decides. A field that is 0 selects everything. But for under_cgroup and
 * follow_pid, user space evaluates the same selection again (filter.c), so a backend may leave it out.
 */
struct bpf_config {
	__u32 kinds; /* bit (1 << enum raw_kind): wanted events */
	__u32 netns_inum; /* tracing backend only */
	__u32 under_cgroup; /* only processes in the cgroup of map `cgroups` or below it (tracing backend) */
	__u32 follow_pid; /* only this process and its descendants (tracing backend) */
	__u32 self_pid; /* ancestors are looked for up to this process: porttrace itself, a child subreaper */
	__u32 pid_count; /* entries used in pids[] */
	__u32 pids[CONFIG_MAX_PIDS]; /* thread group ids */
	__u8 want_tcp, want_udp; /* both 0 = both */
	__u8 failed_only;
	__u8 want_release; /* RAW_RELEASE is asked for (tracing backend) */
	__u8 immediate; /* each event wakes the reader */
	__u32 wakeup_bytes; /* unread bytes in the ring at which the reader is woken */
	__u32 room_bytes; /* of the ring, for what did not fail; the rest is for what did */
	/* What this kernel has, found out by the loader (see kernel.c): */
	__u8 has_cookie_helper; /* bpf_get_socket_cookie in tracing programs, 5.12 */
	__u8 accept_nargs; /* arguments of inet_csk_accept(): 4 to 6.9, 2 from 6.10 */
	__u8 accept_err_offset; /* of err in struct proto_accept_arg; 0 up to 6.9 */
	__u8 listen_nargs; /* arguments of inet_csk_listen_start(): 2 to 5.15, 1 from 5.16 */
	__u8 accept_by_graft; /* successful accepts are told at security_sock_graft() */
	__u8 seccomp_nargs; /* arguments of __seccomp_filter(): 3, fewer on the newest */
	__u8 has_task_regs; /* bpf_task_pt_regs(), 5.15 */
	__u8 has_task_btf; /* bpf_get_current_task_btf(), 5.11 */
	__u8 has_ops_process; /* cgroup backend: sockops programs may ask for the running process, 6.18 */
	__u16 mptcp_first_offset; /* of first in struct mptcp_sock */
	__u16 mptcp_conn_offset; /* of conn in struct mptcp_subflow_context; 0 = the kernel has no MPTCP */
};

#endif
