/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The record that BPF programs put into the ring buffer, one for each event of one socket.
 *
 * This header is the whole contract from kernel to user space; both sides include it. All numbers are in
 * the machine's byte order and ports in host order, unless the name ends in _be. Addresses are 16 bytes in
 * network order; IPv4 stands in the first 4 bytes (family says which). 0 means "not known" unless said otherwise.
 */
#ifndef PORTTRACE_RAW_EVENT_H
#define PORTTRACE_RAW_EVENT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

/* Raised by every change of struct raw_event; decode refuses any other. */
#define RAW_EVENT_VERSION 3
/* "pt" : the first two bytes of each record, so that a torn or foreign record is told from a real one. */
#define RAW_EVENT_MAGIC 0x7470

/* TASK_COMM_LEN of the kernel (include/linux/sched.h), 16 since 2.6. */
#define RAW_COMM_SIZE 16

enum raw_kind {
	RAW_BIND = 1, /* bind(), or the kernel binding a UDP socket by itself (RAW_HOW_AUTOBIND) */
	RAW_LISTEN,
	RAW_CONNECT, /* the result of a connect(), not its start */
	RAW_ACCEPT,
	RAW_CLOSE, /* last reference gone; or the connection is (see RAW_F_NEVER_ACCEPTED and the two after it) */
	RAW_RELEASE, /* the kernel takes the port back from a socket, or from what it left in TIME_WAIT */
	RAW_KIND_COUNT,
	RAW_PROCESS = 64, /* struct raw_process: no event, but what the events of a process need */
};

/* How the local port was chosen; see "assignment" in the design's words. */
enum raw_how {
	RAW_HOW_NONE = 0, /* this event assigned no port */
	RAW_HOW_EXPLICIT,
	RAW_HOW_BIND0,
	RAW_HOW_CONNECT,
	RAW_HOW_AUTOBIND,
	RAW_HOW_INHERITED,
	RAW_HOW_COUNT,
};

enum raw_flag {
	RAW_F_REQUESTED = 1 << 0, /* requested_addr / requested_port are set (0 there means "any") */
	RAW_F_ABORTED = 1 << 1, /* connect given up by the program before an answer came; error is 0 */
	RAW_F_FAILED = 1 << 2, /* failed; error may be 0 where the hook cannot see the errno */
	RAW_F_UNKNOWN = 1 << 3, /* the hook cannot see whether it succeeded */
	RAW_F_TRUTH = 1 << 4, /* range_*, unprivileged_start and the reserved flags are set */
	RAW_F_LOCAL_RESERVED = 1 << 5, /* local port is in net.ipv4.ip_local_reserved_ports */
	RAW_F_REMOTE_RESERVED = 1 << 6,
	RAW_F_INGRESS = 1 << 7, /* the socket was accepted (else unknown, or see RAW_F_EGRESS) */
	RAW_F_EGRESS = 1 << 8, /* the socket was connected */
	RAW_F_LATE = 1 << 9, /* told later than it happened: time_ns is that of the event, not of the telling */
	RAW_F_LEADER_COMM = 1 << 10, /* comm is the thread group leader's (else the calling thread's) */
	RAW_F_NO_ROUTE_HINT = 1 << 11, /* cgroup backend: connect failed before a SYN was sent (errno unseen) */
	RAW_F_TIMEOUT_HINT = 1 << 13, /* cgroup backend: retransmissions without an answer */
	RAW_F_UNREACH_HINT = 1 << 14, /* cgroup backend: ended without answer and without retransmission */
	RAW_F_BACKLOG = 1 << 12, /* listen: backlog is set */
	RAW_F_SEARCH = 1 << 15, /* search_ns is set */
	RAW_F_DENIED = 1 << 16, /* refused by an LSM or a cgroup program before the kernel's inet code */
	RAW_F_OPTIONS = 1 << 17, /* options are set */
	RAW_F_FD = 1 << 18, /* fd is set */
	RAW_F_BYTES = 1 << 19, /* bytes_sent and bytes_received are set */
	RAW_F_EXITING = 1 << 20, /* closed by the end of the process; exit_signal says by which signal, 0 = none */
	RAW_F_KERNEL_THREAD = 1 << 21, /* a kernel thread acted, for whom is not known */
	RAW_F_NEVER_ACCEPTED = 1 << 22, /* close of a connection that waited for accept() when its listener ended */
	RAW_F_SHUT_DOWN = 1 << 23, /* close: stopped listening, but the socket stays open */
	RAW_F_DISCONNECTED = 1 << 24, /* close: connection dropped by connect(AF_UNSPEC), but the socket stays open */
	RAW_F_SYN_SENT = 1 << 25, /* connect: came as far as looking for a port or sending a SYN */
	RAW_F_PORT_FREE = 1 << 26, /* release: no other socket has the port */
	RAW_F_PORT_SHARED = 1 << 27, /* release: others have it still */
	RAW_F_NO_REMOTE = 1 << 29, /* connect: the kernel read no address */
	RAW_F_SECCOMP = 1 << 28, /* refused by a seccomp filter: the kernel did not run the call */
};

/* Socket options that decide what becomes of a bind or a connect. */
enum raw_option {
	RAW_OPT_REUSEADDR = 1 << 0, /* SO_REUSEADDR */
	RAW_OPT_REUSEPORT = 1 << 1, /* SO_REUSEPORT */
	RAW_OPT_V6ONLY = 1 << 2, /* IPV6_V6ONLY */
	RAW_OPT_FREEBIND = 1 << 3, /* IP_FREEBIND */
	RAW_OPT_TRANSPARENT = 1 << 4, /* IP_TRANSPARENT */
	RAW_OPT_NO_PORT = 1 << 5, /* IP_BIND_ADDRESS_NO_PORT */
};

/* Who sent the first FIN or RST. */
enum raw_closer { RAW_CLOSER_NONE = 0, RAW_CLOSER_LOCAL, RAW_CLOSER_REMOTE, RAW_CLOSER_COUNT };

/* What a close left of the socket's hold on its port. */
enum raw_after {
	RAW_AFTER_NONE = 0, /* not known */
	RAW_AFTER_CLOSED, /* it holds the port no more */
	RAW_AFTER_TIME_WAIT,
	RAW_AFTER_CLOSING, /* the other side's answer to the FIN, or its own FIN, is still to come */
	RAW_AFTER_COUNT,
};

/* One event. Times are nanoseconds of CLOCK_BOOTTIME. */
struct raw_event {
	__u16 magic; /* RAW_EVENT_MAGIC */
	__u8 version; /* RAW_EVENT_VERSION */
	__u8 kind; /* enum raw_kind */
	__u32 flags; /* enum raw_flag */

	__u64 time_ns; /* when the event happened */
	__u64 duration_ns; /* connect: from the call to the result; close: life, where the hook knows it */
	__u64 socket_id; /* the same for all events of one socket while it lives; never printed */
	__u64 cookie; /* SO_COOKIE; 0 while the kernel has not given one */
	__u64 cgroup_id; /* cgroup v2 id of the process */
	__u64 netns_cookie; /* SO_NETNS_COOKIE (cgroup backend only) */
	__u64 process_start_ns; /* start of the process (thread group leader) since boot */
	union {
		__u64 bytes_sent; /* close, with RAW_F_BYTES: payload that the program wrote */
		/* bind, listen, connect, with RAW_F_SEARCH: how long the kernel looked for a port to pick, also in vain
		 * (tracing backend only) */
		__u64 search_ns;
	};
	__u64 bytes_received; /* close, with RAW_F_BYTES: payload that arrived in order for it */

	__u32 netns_inum; /* inode of /proc/PID/ns/net (tracing backend only) */
	__u32 pid; /* thread group id, as seen from the first pid namespace */
	__u32 tid;
	__u32 parent_pid;
	__u32 vpid; /* pid as seen in the process's own pid namespace; 0 = the same */
	__u32 exec_id; /* task_struct.self_exec_id: execve() counts it up (tracing backend only) */
	__u32 uid; /* as seen from the first user namespace */
	__u32 error; /* errno, positive; 0 = none or not seen (see flags) */
	__u32 backlog; /* listen: sk_max_ack_backlog */
	__u32 options; /* enum raw_option, with RAW_F_OPTIONS */
	__u32 mark; /* SO_MARK */
	__u32 bound_ifindex; /* SO_BINDTODEVICE; 0 = none */
	__s32 fd; /* with RAW_F_FD */
	__u16 family; /* AF_INET or AF_INET6, of the socket */
	__u16 protocol; /* IPPROTO_TCP, IPPROTO_UDP, IPPROTO_MPTCP (262) ... */

	__u8 local_addr[16];
	__u8 remote_addr[16];
	__u8 requested_addr[16]; /* with RAW_F_REQUESTED: the local address that was asked for */
	__u16 local_port; /* assigned; 0 = none */
	__u16 remote_port;
	__u16 requested_port; /* with RAW_F_REQUESTED; 0 = any */
	__u16 unprivileged_start; /* net.ipv4.ip_unprivileged_port_start; 0 = none is privileged */
	__u16 range_low; /* ephemeral range of the network namespace, both ends included */
	__u16 range_high;
	__u8 how; /* enum raw_how */
	__u8 requested_family; /* family of requested_addr */
	__u16 sock_range_low; /* IP_LOCAL_PORT_RANGE, clamped to the namespace's; 0 and 0 = not set */
	__u16 sock_range_high;
	__u8 closer; /* close: enum raw_closer */
	__u8 after; /* close, and accept of what was reset in the queue: enum raw_after */
	__u8 exit_signal; /* with RAW_F_EXITING */
	__u8 reserved[3];
	char comm[RAW_COMM_SIZE]; /* may hold any bytes; NUL terminated by the kernel */
};

_Static_assert(sizeof(struct raw_event) == 224, "raw_event has no hidden padding");

#define RAW_PATH_SIZE 512
#define RAW_ARGS_SIZE 256

/*
 * What /proc would tell of a process, told by the kernel ahead of the process's first event (and of the first after
 * each execve): the process may have ended by the time its events are read. The first four bytes are as in struct
 * raw_event.
 */
struct raw_process {
	__u16 magic;
	__u8 version;
	__u8 kind; /* RAW_PROCESS */
	__u32 pid;
	__u64 process_start_ns;
	__u32 exec_id;
	__u16 path_size; /* bytes used in path */
	__u16 args_size; /* bytes used in args */
	__u32 args_total; /* how long all the arguments are; more than args_size: cut */
	__u32 reserved;
	char path[RAW_PATH_SIZE]; /* of the executable: names from the last to the first, each with a NUL behind it */
	char args[RAW_ARGS_SIZE]; /* argv, each with a NUL behind it */
};

_Static_assert(sizeof(struct raw_process) == 800, "raw_process has no hidden padding");

/* Places of struct raw_counters.lost: a kind's successes, then its failures. */
#define RAW_LOSSES (2 * (RAW_KIND_COUNT - RAW_BIND))

static inline __u32 raw_loss(__u32 kind, __u32 failed)
{
	return 2 * (kind - RAW_BIND) + (failed ? 1 : 0);
}

/* Counters kept by the BPF programs, one set a CPU (per-CPU array with one element). Each event that a hook has seen is
 * in one of the first four. */
struct raw_counters {
	__u64 submitted; /* put into the ring */
	__u64 filtered; /* dropped in the kernel because no one asked for them */
	__u64 counted; /* in the kernel, instead of a record: config.counts */
	__u64 lost_ring; /* no room in the ring */
	__u64 lost_state; /* a result came whose beginning had been lost (map full, return probe missed) */
	__u64 lost[RAW_LOSSES]; /* lost_ring by kind and result: see raw_loss() */
};

#endif
