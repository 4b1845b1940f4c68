/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a network namespace says about its ports, now. */
#ifndef PORTTRACE_NETNS_H
#define PORTTRACE_NETNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct netns_facts {
	uint32_t inum;	 /* inode of /proc/PID/ns/net; 0 = unknown */
	bool is_own; /* that of the calling thread */
	uint64_t cookie; /* SO_NETNS_COOKIE; 0 = this kernel does not tell (before 5.14) */
	uint16_t range_low, range_high; /* ip_local_port_range, both ends included */
	uint16_t unprivileged_start;	/* ip_unprivileged_port_start */
	uint8_t reserved[65536 / 8];	/* ip_local_reserved_ports, one bit each */
	int tw_reuse; /* tcp_tw_reuse: 0 off, 1 on, 2 for loopback */
	bool timestamps; /* tcp_timestamps is not 0 */
	bool no_ipv6; /* disable_ipv6 of all interfaces, or a kernel without it */
	uint32_t tw_reuse_delay_ms; /* tcp_tw_reuse_delay; 0 = this kernel has none, or it is off: whole seconds */
};

/*
 * Reads the facts of our own namespace (pid 0) or of a process's. For another namespace a
 * short-lived thread enters it, which takes CAP_SYS_ADMIN; the calling thread never leaves its own.
 * `proc` NULL = /proc. 0 or -errno: -ESRCH if there is no such process.
 */
int netns_read_sysctls(const char *proc, uint32_t pid, struct netns_facts *ret);
/* SO_NETNS_COOKIE of the calling thread's namespace; 0 = this kernel does not tell. */
uint64_t netns_cookie(void);
/* The same for a namespace's file, such as /proc/PID/ns/net or /run/netns/blue; 0 also if it cannot be entered. */
uint64_t netns_cookie_at(const char *path);
/*
 * A process id or a path such as /run/netns/blue -> the inode of the namespace, and the path to it. 0 or -errno:
 * -EINVAL if what is there is no network namespace.
 */
int netns_resolve(const char *text, uint32_t *ret_inum, char *ret_path, size_t size);
/*
 * Calls `fn` in the namespace with this inode: of the calling thread if it is in it, else of a short-lived one that
 * enters it by way of a process that should be in it, which takes CAP_SYS_ADMIN. `proc` NULL = /proc. What `fn`
 * returned, or -errno: -ESRCH if there is no such process or it is in another namespace.
 */
int netns_run(const char *proc, uint32_t pid, uint32_t inum, int (*fn)(void *arg), void *arg);
/* Calls `fn` in the namespace of an open file, in a short-lived thread. What `fn` returned, or -errno. */
int netns_run_fd(int ns_fd, int (*fn)(void *arg), void *arg);
/* Some process in the namespace with this inode, by a look at all of them; 0 = none found. `proc` NULL = /proc. */
uint32_t netns_find_process(const char *proc, uint32_t inum);
bool netns_is_reserved(const struct netns_facts *facts, uint16_t port);
/* Pure: reads "40010-40019,40050\n" into a cleared bitmap. 0 or -EINVAL. */
int netns_parse_reserved(const char *text, uint8_t bits[65536 / 8]);

#endif
