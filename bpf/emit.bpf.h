/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The ring buffer and its bookkeeping: reserve, submit, count. Every event that a hook sees is counted exactly
 * once as submitted, filtered or lost: by these three it is known how many there were.
 */
#ifndef EMIT_BPF_H
#define EMIT_BPF_H

#include "zero.bpf.h"

/* Read by the running kernel's verifier as constants: set by the loader before load. */
const volatile struct bpf_config config = {};

#include "count.bpf.h"

/* -P, -L, -D: filled in by the loader. */
struct config_ports port_sets = {};

/* Set by user space when everything is attached and cleared before it reads the last record, so that the counters and
 * the ring tell of the same events. */
bool armed = false;

/* The reader sleeps until it is woken: set by it, before it looks at the ring for the last time, and cleared by the
 * first event after that, which wakes it. */
volatile bool sleeping = false;

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

static __always_inline struct raw_counters *emit_counters(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&counters, &zero);
}

#define COUNT(field)                                                           \
	do {                                                                   \
		struct raw_counters *c_ = emit_counters();                     \
		if (c_)                                                        \
			__sync_fetch_and_add(&c_->field, 1);                   \
	} while (0)

static __always_inline void emit_head(struct raw_event *ev, __u8 kind)
{
	ev->magic = RAW_EVENT_MAGIC;
	ev->version = RAW_EVENT_VERSION;
	ev->kind = kind;
}

/* The beginning of a record; the rest is 0. `ev` may hold anything. */
static __always_inline void emit_init(struct raw_event *ev, __u8 kind)
{
	__builtin_memset(ev, 0, sizeof(*ev));
	emit_head(ev, kind);
}

/* The same of one on the stack. */
static __always_inline void emit_init_on_stack(struct raw_event *ev, __u8 kind)
{
	__u64 zero = unknown_zero, *words = (__u64 *)ev;

#pragma unroll
	for (__u32 i = 0; i < sizeof(*ev) / sizeof(*words); i++)
		words[i] = zero;
	emit_head(ev, kind);
}

/* An event that no one asked for. */
static __always_inline void emit_filtered(void)
{
	COUNT(filtered);
}

/*
 * Functions that are not static are verified once in each program, and not once for each way that leads to them. They
 * take numbers only: other arguments came in 5.13.
 */

/* An event for which the ring had no room. */
__noinline int emit_lost(__u32 kind, __u32 failed)
{
	struct raw_counters *c = emit_counters();
	__u32 place = raw_loss(kind, failed);

	if (!c)
		return 0;
	__sync_fetch_and_add(&c->lost_ring, 1);
	if (place < RAW_LOSSES)
		__sync_fetch_and_add(&c->lost[place], 1);
	return 0;
}

/* Bytes in the ring that were not read yet. */
static __always_inline __u64 emit_unread(void)
{
	return bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
}

/* May a record of this size still be put into the ring? The last part of it is kept for what failed: a storm of
 * successes does not push that out. */
static __always_inline bool emit_has_room(__u64 unread, __u64 size, bool failed)
{
	return failed || unread + size <= config.room_bytes;
}

/*
 * Is the reader to be woken by this event? Only in the short stretch where unread data crosses the mark: a wake-up
 * costs several times what the rest of an event does, and a reader that is behind is awake already.
 */
static __always_inline bool emit_crosses(__u64 unread)
{
	__u64 mark = config.wakeup_bytes;

	return unread >= mark && unread < mark + 16 * sizeof(struct raw_event);
}

/* By a record that is given up. Whoever clears the switch wakes the reader after it: one that has set it again in the
 * meantime looks once too often, but never sleeps on. Without room the mark has been crossed: somebody wakes it. */
__noinline int emit_rouse(void)
{
	void *nothing = bpf_ringbuf_reserve(&ring, sizeof(__u64), 0);

	if (!nothing)
		return 0;
	sleeping = false;
	bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
	return 0;
}

/* After a record was submitted, which orders memory: either we see the switch, or the reader sees the record. */
static __always_inline void emit_rouse_sleeper(void)
{
	if (!config.immediate && sleeping)
		emit_rouse();
}

/* How an event goes into the ring: flags of bpf_ringbuf_output(). -1 = there is no room. */
__noinline int emit_how(__u32 failed)
{
	__u64 unread = emit_unread();

	if (!emit_has_room(unread, sizeof(struct raw_event), failed))
		return -1;
	return config.immediate || emit_crosses(unread) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

/* Room in the ring for an event; or NULL, and it is counted. */
static __always_inline struct raw_event *emit_reserve(__u8 kind, bool failed)
{
	struct raw_event *ev = NULL;
	int how;

	failed = unknown(failed, unknown_zero);
	how = emit_how(failed);
	if (how >= 0)
		ev = bpf_ringbuf_reserve(&ring, sizeof(*ev), 0);
	if (!ev)
		emit_lost(kind, failed);
	else if (!config.immediate && how == BPF_RB_FORCE_WAKEUP)
		emit_rouse();
	return ev;
}

/* Instead of a record, where nobody reads events. */
static __always_inline bool emit_counted(const struct raw_event *ev)
{
	if (!config.counts || !count_takes(ev))
		return false;
	COUNT(counted);
	return true;
}

/* A record that was reserved in the ring. */
static __always_inline void emit_submit(struct raw_event *ev)
{
	if (emit_counted(ev)) {
		bpf_ringbuf_discard(ev, BPF_RB_NO_WAKEUP);
		return;
	}
	COUNT(submitted);
	bpf_ringbuf_submit(ev, config.immediate ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
	emit_rouse_sleeper();
}

/* One that was on the stack is in the ring. */
__noinline int emit_submitted(void)
{
	COUNT(submitted);
	emit_rouse_sleeper();
	return 0;
}

/* A record on the stack. */
static __always_inline void emit_copy(struct raw_event *ev)
{
	bool failed;
	int how;

	if (emit_counted(ev))
		return;
	failed = ev->flags & RAW_F_FAILED;
	how = emit_how(failed);
	if (how >= 0 && !bpf_ringbuf_output(&ring, ev, sizeof(*ev), (__u32)how))
		emit_submitted();
	else
		emit_lost(ev->kind, failed);
}

#endif
