/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where nobody reads events, the BPF programs count those that need no record (bpf/count.bpf.h), by all that the
 * metrics of events tell apart. src/counted.c reads it.
 */
#ifndef PORTTRACE_PORTTRACE_COUNT_H
#define PORTTRACE_PORTTRACE_COUNT_H

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define COUNT_SETS 2048 /* of keys; events for which there is no place become records */
#define COUNT_BUCKETS 8 /* of searches, by time: */
#define COUNT_LIMITS_NS { 10000, 30000, 100000, 300000, 1000000, 3000000, 10000000, 30000000 }

/* Which half of the range a port is from. */
enum count_half { COUNT_HALF_UNKNOWN, COUNT_HALF_FIRST, COUNT_HALF_SECOND };

/* Fields as in struct raw_event. */
struct count_key {
	__u64 cgroup_id;
	__u64 netns_cookie; /* cgroup backend only */
	__u32 netns_inum; /* tracing backend only */
	__u32 pid; /* 0 where the cgroup says which container it is: config.counts_pids */
	__u16 protocol;
	__u8 kind;
	__u8 how;
	__u8 half; /* enum count_half */
	__u8 reserved[3];
	char comm[16];
};

_Static_assert(sizeof(struct count_key) == 48, "count_key has no hidden padding");

/* A per-CPU value. */
struct count {
	__u64 events;
	__u64 searches, search_ns; /* of these: with RAW_F_SEARCH */
	__u64 buckets[COUNT_BUCKETS]; /* searches by time, each without those below; longer ones are in none */
	__u32 pid; /* one of the processes; 0 = none on this CPU */
	__u32 reserved;
};

#endif
