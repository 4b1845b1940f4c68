/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer and its bookkeeping: reserve, submit, count. Every event that a hook sees is counted exactly
 * once as submitted, filtered or lost, so that seen = submitted + filtered + lost_ring always holds.
 */
#ifndef EMIT_BPF_H
#define EMIT_BPF_H

/* Read by the running kernel's verifier as constants: set by the loader before load. */
const volatile struct bpf_config config = {};

/* -P, -L, -D: filled in by the loader. */
struct config_ports port_sets = {};

/* Set by user space when everything is attached and cleared before it reads the last record, so that the counters and
 * the ring tell of the same events. */
bool armed = false;

/* Written by every hook, read by user space (capture/ring.c). The loader sets its size. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, CONFIG_RING_BYTES);
} ring SEC(".maps");

/* One element: struct raw_counters. Added to by every hook, summed over CPUs by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct raw_counters);
} counters SEC(".maps");

#define COUNT(field)                                                           \
	do {                                                                   \
		__u32 zero_ = 0;                                               \
		struct raw_counters *c_ = bpf_map_lookup_elem(&counters, &zero_); \
		if (c_)                                                        \
			__sync_fetch_and_add(&c_->field, 1);                   \
	} while (0)

/* The beginning of a record; the rest is 0. `ev` may hold anything. */
static __always_inline void emit_init(struct raw_event *ev, __u8 kind)
{
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->magic = RAW_EVENT_MAGIC;
	ev->version = RAW_EVENT_VERSION;
	ev->kind = kind;
}

/* An event that no one asked for. */
static __always_inline void emit_filtered(void)
{
	COUNT(seen);
	COUNT(filtered);
}

/* An event for which the ring had no room. */
static __always_inline void emit_lost(void)
{
	COUNT(seen);
	COUNT(lost_ring);
}

/*
 * Wakes the reader only in the short stretch where unread data crosses the mark: a wake-up costs several times
 * what the rest of an event does, and a reader that is behind is awake already.
 */
static __always_inline __u64 emit_wakeup(void)
{
	__u64 unread = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u64 mark = config.wakeup_bytes;

	if (unread >= mark && unread < mark + 16 * sizeof(struct raw_event))
		return BPF_RB_FORCE_WAKEUP;
	return BPF_RB_NO_WAKEUP;
}

/* A record that was reserved in the ring. */
static __always_inline void emit_submit(struct raw_event *ev)
{
	COUNT(seen);
	COUNT(submitted);
	bpf_ringbuf_submit(ev, emit_wakeup());
}

/* A record on the stack. */
static __always_inline void emit_copy(struct raw_event *ev)
{
	COUNT(seen);
	if (bpf_ringbuf_output(&ring, ev, sizeof(*ev), emit_wakeup()))
		COUNT(lost_ring);
	else
		COUNT(submitted);
}

#endif
