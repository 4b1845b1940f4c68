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
#define CONFIG_MAX_COMMS 16
#define CONFIG_MAX_UIDS 64
#define CONFIG_MAX_CIDRS 16 /* for each of enum config_side */
#define CONFIG_MAX_OTHER_CGROUPS 16384
#define CONFIG_MAX_FOLLOWED 65536
#define CONFIG_MAX_HOLDERS 131072 /* ports that outlive the close of their socket, with -e release */
#define CONFIG_MAX_PROCESSES 4096 /* whose program is remembered, on both sides of the ring */
#define CONFIG_RING_BYTES (8 * 1024 * 1024) /* unless --ringbuf says otherwise */

/* What stands in the programs for bpf_rdonly_cast(): the number of no helper. */
#define CONFIG_CALL_CAST 0x7ffffff1

/* The functions whose arguments a kretprobe needs again: the highest bits of a key of the tracing backend's calls,
 * above the numbers of process and thread. */
enum call_fn {
	CALL_BIND, CALL_BIND_EARLY, CALL_AUTOBIND, CALL_LISTEN, CALL_CONNECT4, CALL_CONNECT6,
	CALL_UDP_CONNECT, CALL_ACCEPT, CALL_DENIED_BIND, CALL_DENIED_CONNECT, CALL_PRE_CONNECT,
};

#define CALL_FN_SHIFT 58

/* Is each return an event? Of the others most returns tell nothing, blocking accepts lose theirs by design of
 * kretprobes, and a TCP connect without its return is found in the map `attempts`. */
#define CALL_IS_EVENT(fn)                                                                                    \
	((fn) == CALL_BIND || (fn) == CALL_AUTOBIND || (fn) == CALL_LISTEN || (fn) == CALL_UDP_CONNECT)

/* Which end of a socket a selection is about. */
enum config_side { CONFIG_EITHER, CONFIG_LOCAL, CONFIG_REMOTE, CONFIG_SIDES };

/* A range of addresses, network order: IPv6, or IPv4 as ::ffff:a.b.c.d. No bit of the address is outside the mask. */
struct config_cidr {
	__u64 addr[2];
	__u64 mask[2];
};

/* Sets of ports, one bit each: port % 64 of word port / 64. In .bss: only looked at where config.port_sides says so. */
struct config_ports {
	__u64 bits[CONFIG_SIDES][65536 / 64];
};

/*
 * The part of the filter that the kernel decides (src/prefilter.c). A field that is 0 selects everything. But for
 * under_cgroup, follow_pid and follow, user space evaluates the same selection again (filter.c), so a backend may
 * leave it out, and pass what it cannot judge.
 */
struct bpf_config {
	__u8 selects; /* is anything given of what selects? (attach.c) If not, all tests are cut out at once */
	__u32 kinds; /* bit (1 << enum raw_kind): wanted events */
	__u32 netns_inum; /* tracing backend only */
	__u32 under_cgroup; /* only processes in the cgroup of map `cgroups` or below it (tracing backend) */
	__u32 follow_pid; /* only this process and its descendants (tracing backend) */
	__u32 self_pid; /* ancestors are looked for up to this process: porttrace itself, a child subreaper */
	__u32 pid_count; /* entries used in pids[] */
	__u32 pids[CONFIG_MAX_PIDS]; /* thread group ids */
	__u32 uid_count;
	__u32 uids[CONFIG_MAX_UIDS];
	__u32 comm_count;
	__u64 comms[CONFIG_MAX_COMMS][2]; /* names of thread group leaders, zeros behind the NUL */
	__u64 netns_cookie; /* cgroup backend: of the namespace netns_inum; 0 = not known */
	__u8 follow; /* also descendants of pids[] (tracing backend) */
	__u8 other_cgroups; /* the map of that name holds cgroups whose processes nobody wants */
	__u8 selects_ends; /* any of the next five */
	__u8 port_sides, cidr_sides; /* bit (1 << enum config_side): a set, a list is given */
	__u8 classes; /* bit 1 well-known, 2 registered, 3 dynamic: the port of the service */
	__u8 want_ipv4, want_ipv6; /* both 0 = both */
	__u8 keeps_lives; /* a close may be shown, for which user space remembers what came before on its socket */
	__u32 cidr_count[CONFIG_SIDES];
	struct config_cidr cidrs[CONFIG_SIDES][CONFIG_MAX_CIDRS];
	__u8 want_tcp, want_udp; /* both 0 = both */
	__u8 failed_only;
	__u8 want_release; /* RAW_RELEASE is asked for (tracing backend) */
	__u8 immediate; /* each event wakes the reader */
	__u8 counts; /* nobody reads events: those that need no record are counted (bpf/count.bpf.h) */
	__u8 counts_connects; /* also ports that connect() picked: the bind buckets tell user space which these are */
	__u8 counts_pids; /* each process by itself: its cgroup does not say which container it is in */
	__u16 counts_low, counts_high; /* cgroup backend, whose events tell no range: where ephemeral ports may be */
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
	__u32 sock_type, tcp_sock_type, socket_type; /* for bpf_rdonly_cast(), 6.2; 0 = there is none */
	__u16 mptcp_first_offset; /* of first in struct mptcp_sock */
	__u16 mptcp_conn_offset; /* of conn in struct mptcp_subflow_context; 0 = the kernel has no MPTCP */
};

#endif
