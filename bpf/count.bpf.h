/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What needs no record where nobody reads events (config.counts): it is counted by what the metrics tell apart
 * (src/metrics.c). Records stay for
 *
 *   - binds, listens and connects that failed, as far as it may be for want of a port: user space says why
 *   - closes that leave a TIME_WAIT, or may: nobody but the ledger knows whose it is
 *   - sockets at ephemeral ports that a connect() did not pick: the ledger tells what keeps the port from others. From
 *     their first event to their last, so that it forgets them.
 *
 * Whoever includes this has `config` (struct bpf_config).
 */
#ifndef COUNT_BPF_H
#define COUNT_BPF_H

#include "porttrace/count.h"

/* The names proper are defined by whoever includes this, or not at all. */
enum { COUNT_EAGAIN = 11, COUNT_EADDRINUSE = 98, COUNT_EADDRNOTAVAIL = 99, COUNT_UDP = 17, COUNT_UDPLITE = 136 };

/* Inserted by count_add, never deleted. The loader makes it small where events are read. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, COUNT_SETS);
	__type(key, struct count_key);
	__type(value, struct count);
} counts SEC(".maps");

/* How many keys there are, or a few less: user space looks up what they stand for while it can. */
__u32 count_sets = 0;

static const struct count count_none = {};

static __always_inline bool count_is_udp(const struct raw_event *ev)
{
	return ev->protocol == COUNT_UDP || ev->protocol == COUNT_UDPLITE;
}

/* Might it have got no port? */
static __always_inline bool count_lacks_port(const struct raw_event *ev)
{
	if (ev->kind > RAW_CONNECT)
		return false;
	if (!ev->local_port && (ev->flags & RAW_F_SEARCH))
		return true;
	if (ev->kind != RAW_CONNECT)
		return ev->error || (ev->flags & (RAW_F_FAILED | RAW_F_UNKNOWN));
	return ev->error == COUNT_EAGAIN || ev->error == COUNT_EADDRINUSE || ev->error == COUNT_EADDRNOTAVAIL ||
	       (ev->flags & RAW_F_NO_ROUTE_HINT);
}

/* A close after which the port may be in TIME_WAIT: of whoever closed first. */
static __always_inline bool count_may_wait(const struct raw_event *ev)
{
	return ev->kind == RAW_CLOSE && !count_is_udp(ev) && ev->remote_port && ev->after != RAW_AFTER_CLOSED &&
	       ev->closer != RAW_CLOSER_REMOTE;
}

static __always_inline bool count_is_ephemeral(const struct raw_event *ev)
{
	__u16 low = ev->flags & RAW_F_TRUTH ? ev->range_low : config.counts_low;
	__u16 high = ev->flags & RAW_F_TRUTH ? ev->range_high : config.counts_high;

	return ev->local_port >= low && ev->local_port <= high;
}

/* Does the ledger keep this socket? In a close, `how` says what is known of the port. UDP shows all its sockets, and
 * one that did not ask for its port by number is in the one pool there is. */
static __always_inline bool count_is_kept(const struct raw_event *ev)
{
	if (count_is_udp(ev))
		return ev->how == RAW_HOW_EXPLICIT && count_is_ephemeral(ev);
	return ev->how == RAW_HOW_CONNECT ? !config.counts_connects : count_is_ephemeral(ev);
}

/* As pool_kind_half() in src/pool_kind.c. */
static __always_inline __u8 count_half(const struct raw_event *ev)
{
	if (ev->how != RAW_HOW_CONNECT || count_is_udp(ev) || ev->sock_range_high || !ev->range_low ||
	    ev->local_port < ev->range_low || ev->local_port > ev->range_high)
		return COUNT_HALF_UNKNOWN;
	if (ev->range_low == ev->range_high)
		return COUNT_HALF_FIRST;
	return (ev->local_port - ev->range_low) & 1 ? COUNT_HALF_SECOND : COUNT_HALF_FIRST;
}

static __always_inline void count_search(struct count *count, __u64 ns)
{
	const __u64 limits[COUNT_BUCKETS] = COUNT_LIMITS_NS;

	count->searches++;
	count->search_ns += ns;
	for (int i = 0; i < COUNT_BUCKETS; i++)
		if (ns <= limits[i]) {
			count->buckets[i]++;
			return;
		}
}

/* The key's place; NULL = there is none left. */
static __always_inline struct count *count_place(const struct count_key *key)
{
	struct count *count = bpf_map_lookup_elem(&counts, key);

	if (count || count_sets >= COUNT_SETS)
		return count;
	if (!bpf_map_update_elem(&counts, key, &count_none, BPF_NOEXIST))
		__sync_fetch_and_add(&count_sets, 1);
	return bpf_map_lookup_elem(&counts, key);
}

/* A port that was assigned. False if there is no place for it. */
static __always_inline bool count_add(const struct raw_event *ev)
{
	struct count_key key = {
		.cgroup_id = ev->cgroup_id,
		.netns_cookie = ev->netns_cookie,
		.netns_inum = ev->netns_inum,
		.pid = config.counts_pids ? ev->pid : 0,
		.protocol = ev->protocol,
		.kind = ev->kind,
		.how = ev->how,
		.half = count_half(ev),
	};
	struct count *count;

	__builtin_memcpy(key.comm, ev->comm, sizeof(key.comm));
	count = count_place(&key);
	if (!count)
		return false;
	count->events++;
	count->pid = ev->pid;
	if (ev->flags & RAW_F_SEARCH)
		count_search(count, ev->search_ns);
	return true;
}

static __always_inline bool count_is_assignment(const struct raw_event *ev)
{
	return (ev->kind == RAW_BIND || ev->kind == RAW_CONNECT || ev->kind == RAW_LISTEN) &&
	       ev->how != RAW_HOW_NONE && ev->local_port;
}

/* Is the name that of the process, and the process whose event it is? */
static __always_inline bool count_has_process(const struct raw_event *ev)
{
	return ev->pid && (ev->pid == ev->tid || (ev->flags & RAW_F_LEADER_COMM)) &&
	       !(ev->flags & RAW_F_KERNEL_THREAD);
}

/* Whether it is enough that the event is counted. Stands once in each program, and is cut out where events are read. */
static __noinline int count_takes(const struct raw_event *ev)
{
	if (count_lacks_port(ev) || count_may_wait(ev) || count_is_kept(ev))
		return false;
	return !count_is_assignment(ev) || (count_has_process(ev) && count_add(ev));
}

#endif
