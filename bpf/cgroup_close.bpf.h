/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The end of TCP sockets, for the cgroup backend. sock_release runs in the process that closes, ahead of the kernel's
 * work: who closed first is known then, but what was sent, and what becomes of the port, shows in the changes of state
 * that follow. So the close of a connection waits for its end: in the socket's slot, or in `closing`.
 *
 * No hook shows an errno. What is told here follows from the kernel's own rules for a change of state and its counters;
 * where these leave two possibilities, nothing is told.
 */
#ifndef CGROUP_CLOSE_BPF_H
#define CGROUP_CLOSE_BPF_H

#define LATE_NS 10000000ULL /* a close told within the reader's interval is in time */
#define TIME_WAIT_NS (60ULL * 1000000000) /* TCP_TIMEWAIT_LEN, include/net/tcp.h */
#define DISPOSAL_NS 1000000000ULL /* within which inet_csk_listen_stop() is done with a queue */

/* Closes of connections without a slot, whose end is still to come. Inserted by c_release; whoever deletes one tells
 * it: the change to CLOSE, or c_rest for user space, which does not wait for ever. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64); /* cookie */
	__type(value, struct raw_event);
} closing SEC(".maps");

/* Who closed or shut down a listener, for the connections in its queue, which the kernel drops right after. LRU: it
 * is of use for a moment. */
struct owner {
	__u64 time_ns;
	__u64 cgroup_id;
	__u32 pid, tid, uid, reserved;
	char comm[RAW_COMM_SIZE];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, __u64); /* cookie of the listener */
	__type(value, struct owner);
} ended_listeners SEC(".maps");

/* Set by user space ahead of a run of c_rest: which close to tell. */
__u64 rest_cookie = 0;

static __always_inline bool state_is_connected(__u32 state)
{
	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_FIN_WAIT1 ||
	       state == BPF_TCP_FIN_WAIT2 || state == BPF_TCP_CLOSING || state == BPF_TCP_LAST_ACK;
}

/* Who has closed, or closes now if nobody has, a connection in this state. */
static __always_inline __u8 state_closer(__u32 state)
{
	return state == BPF_TCP_CLOSE_WAIT || state == BPF_TCP_LAST_ACK ? RAW_CLOSER_REMOTE : RAW_CLOSER_LOCAL;
}

/* Segments without payload. A reset is one. */
static __always_inline __u32 ops_bare_segments(struct bpf_sock_ops *ctx)
{
	return FIELD(ctx->segs_in) - FIELD(ctx->data_segs_in);
}

/* --- bytes ------------------------------------------------------------------------------------------------------ */

/*
 * bytes_received counts a FIN, which has arrived once the state is CLOSE_WAIT or CLOSING. In FIN_WAIT2 a FIN and a
 * reset end in the same change; it was a FIN if the count rose by one without a segment that carries data.
 */
static __always_inline void end_note_received(struct bpf_sock_ops *ctx, struct state *st)
{
	__u32 old = OLD_STATE(ctx), new = NEW_STATE(ctx);
	struct end *end = &st->end;
	__u64 received = FIELD64(ctx->bytes_received);
	__u32 segments = FIELD(ctx->data_segs_in);

	if (end->received_known)
		return;
	if (new == BPF_TCP_CLOSE_WAIT || new == BPF_TCP_CLOSING) {
		end->received = received - 1;
		end->received_known = 1;
	} else if (old == BPF_TCP_FIN_WAIT2) {
		end->has_fin = received == end->received + 1 && segments == end->segments_in;
		end->received_known = end->has_fin || received == end->received;
	} else if (new == BPF_TCP_FIN_WAIT1 || new == BPF_TCP_CLOSE || st->released) {
		end->received = received;
		end->segments_in = segments;
		end->received_known = new == BPF_TCP_CLOSE || st->released;
	}
}

/*
 * What the program wrote is known once a FIN has been sent, which comes behind all of it: FIN_WAIT2 says that it was
 * acknowledged. Else it is known if since close() or shutdown() no data went out, and one number was used: the FIN's.
 * bytes_acked counts the FIN, and the SYN of the side that connected.
 */
static __always_inline void end_note_sent(struct bpf_sock_ops *ctx, struct state *st)
{
	struct end *end = &st->end;
	__u32 new = NEW_STATE(ctx);
	__u32 next = FIELD(ctx->snd_nxt), unacked = next - FIELD(ctx->snd_una);
	__u32 segments = FIELD(ctx->data_segs_out);

	end->unacked = unacked != 0;
	if (new == BPF_TCP_FIN_WAIT1 || new == BPF_TCP_LAST_ACK) {
		end->fin_queued = 1;
		end->fin_seq = next;
		end->segments_out = segments;
	} else if (!end->sent_known && end->fin_queued) {
		end->sent_known = new == BPF_TCP_FIN_WAIT2 ||
				  (next == end->fin_seq + 1 && segments == end->segments_out);
		end->sent = FIELD64(ctx->bytes_acked) + unacked - 1 - !!(st->role & RAW_F_EGRESS);
	}
}

/* --- the end of a connection ------------------------------------------------------------------------------------ */

/* TIME_WAIT begins in FIN_WAIT2 and CLOSING alone (tcp_time_wait() and its callers). */
static __always_inline __u8 end_after(const struct state *st, __u32 old)
{
	const struct end *end = &st->end;

	if (old == BPF_TCP_FIN_WAIT2 && !st->released)
		return end->has_fin ? RAW_AFTER_TIME_WAIT : end->received_known ? RAW_AFTER_CLOSED : RAW_AFTER_NONE;
	if (old == BPF_TCP_FIN_WAIT2)
		return RAW_AFTER_TIME_WAIT;
	if (old == BPF_TCP_CLOSING && !end->unacked)
		return end->sent_known ? RAW_AFTER_TIME_WAIT : RAW_AFTER_NONE;
	return RAW_AFTER_CLOSED;
}

/* Ended by something else than FINs and their acknowledgements? False if not sure. */
static __always_inline bool end_is_broken(const struct state *st, __u32 old)
{
	if (old == BPF_TCP_FIN_WAIT2)
		return st->end.received_known && !st->end.has_fin;
	if (old == BPF_TCP_CLOSING || old == BPF_TCP_LAST_ACK)
		return st->end.unacked;
	return true;
}

static __always_inline void end_note(struct bpf_sock_ops *ctx, struct state *st)
{
	struct end *end = &st->end;
	__u32 old, new;

	if (!st->met_late) { /* else it is not known what the counters had counted before */
		end_note_received(ctx, st);
		end_note_sent(ctx, st);
	}
	old = OLD_STATE(ctx);
	new = NEW_STATE(ctx);
	if (new == BPF_TCP_ESTABLISHED || new == BPF_TCP_CLOSE_WAIT)
		end->bare_segments = ops_bare_segments(ctx);
	if (new != BPF_TCP_CLOSE)
		return;
	end->after = end_after(st, old);
	if (st->released || end->after == RAW_AFTER_TIME_WAIT) /* of others nobody asks for it */
		end->time_ns = bpf_ktime_get_boot_ns();
	if (st->released)
		return;
	end->ended = 1;
	end->broken = end_is_broken(st, old);
	end->closer = old == BPF_TCP_ESTABLISHED ? RAW_CLOSER_NONE : state_closer(old);
}

static __always_inline void close_fill_bytes(struct raw_event *ev, const struct end *end)
{
	if (!end->sent_known || !end->received_known)
		return;
	ev->flags |= RAW_F_BYTES;
	ev->bytes_sent = end->sent;
	ev->bytes_received = end->received;
}

/* Tells a close that waited. */
static __always_inline void close_tell(struct raw_event *ev, const struct state *st)
{
	ev->after = st->end.after;
	close_fill_bytes(ev, &st->end);
	if (st->end.time_ns > ev->time_ns + LATE_NS) /* an end before the close is not late, nor one without a time */
		ev->flags |= RAW_F_LATE;
	event_tell(ev);
}

/* The same of one without a slot, for who comes first. `ev` is a copy on the stack. */
static __always_inline void close_take(struct raw_event *ev, const struct state *st, __u64 cookie)
{
	if (armed && !bpf_map_delete_elem(&closing, &cookie))
		close_tell(ev, st);
}

/* A connection whose close waits changed its state. */
static __always_inline void close_note(struct raw_event *waiting, __u32 old, __u32 new)
{
	if (old == BPF_TCP_ESTABLISHED) /* the peer's FIN may have come in ahead of the kernel's close */
		waiting->closer = new == BPF_TCP_CLOSE_WAIT ? RAW_CLOSER_REMOTE : RAW_CLOSER_LOCAL;
	if (new != BPF_TCP_CLOSE && new != BPF_TCP_CLOSE_WAIT)
		waiting->after = RAW_AFTER_CLOSING;
}

static __always_inline void close_state(const struct state *st, __u64 cookie, __u32 old, __u32 new)
{
	struct raw_event *waiting = bpf_map_lookup_elem(&closing, &cookie), ev;

	if (!waiting)
		return;
	close_note(waiting, old, new);
	if (new != BPF_TCP_CLOSE)
		return;
	ev = *waiting;
	close_take(&ev, st, cookie);
}

/* The change to CLOSE of a socket with a slot, when all else is done: tells the close, if it waits. */
static __always_inline void slot_over(struct slot *slot, __u64 cookie)
{
	__u32 place = cookie % SLOTS;
	bool on = armed, waits, left;

	bpf_spin_lock(&slot->lock);
	slot->over = 1;
	left = slot->left;
	waits = waiting_cookies[place] == cookie;
	if (waits && on)
		waiting_cookies[place] = 0;
	bpf_spin_unlock(&slot->lock);
	if (waits && !on) /* c_rest tells it, and after that nobody needs slots */
		return;
	if (waits)
		close_tell(&slot->close, &slot->state);
	if (left)
		slot_free(slot);
}

/* --- listeners -------------------------------------------------------------------------------------------------- */

static __always_inline void listener_ended(const struct state *st, __u64 cookie)
{
	struct owner owner = { .time_ns = bpf_ktime_get_boot_ns() };

	owner.cgroup_id = st->cgroup_id;
	owner.pid = st->pid;
	owner.tid = st->tid;
	owner.uid = st->uid;
	__builtin_memcpy(owner.comm, st->comm, sizeof(owner.comm));
	bpf_map_update_elem(&ended_listeners, &cookie, &owner, BPF_ANY);
}

/* shutdown() of a listener, in the process that called it. A port that it did not ask for by number is given back. */
static __always_inline void tell_shut_down(struct state *st, __u64 cookie)
{
	struct raw_event ev;

	ops_set_process(st);
	listener_ended(st, cookie);
	event_fill(&ev, st, cookie, RAW_CLOSE, RAW_F_SHUT_DOWN, 0);
	if (st->complete)
		ev.duration_ns = ev.time_ns - st->born_ns;
	event_send(&ev, st);
	if (!st->port_locked)
		st->local_port = 0;
}

/*
 * A connection ended that nobody was seen to accept: was it dropped with its listener's queue, or did the peer reset it
 * after an accept() that no hook shows? It was dropped if its listener has just ended and no segment came that could
 * be the reset. `complete` is the listener's: of an MPTCP listener the connections' accept and close are not visible.
 */
static __always_inline void tell_never_accepted(struct bpf_sock_ops *ctx, struct state *st, __u64 cookie, __u32 old)
{
	struct owner *owner;
	struct raw_event ev;
	__u64 listener = st->listener;

	if (!(st->role & RAW_F_INGRESS) || st->accepted || !st->complete || FIELD(ctx->data_segs_out) ||
	    st->end.bare_segments != ops_bare_segments(ctx))
		return;
	owner = bpf_map_lookup_elem(&ended_listeners, &listener);
	if (!owner)
		return;
	st->end.time_ns = bpf_ktime_get_boot_ns();
	if (st->end.time_ns - owner->time_ns > DISPOSAL_NS)
		return;
	st->accepted = 1;
	st->cgroup_id = owner->cgroup_id;
	st->pid = owner->pid;
	st->tid = owner->tid;
	st->uid = owner->uid;
	__builtin_memcpy(st->comm, owner->comm, sizeof(st->comm));
	st->end.sent = 0; /* who should have written? */
	st->end.sent_known = 1;
	event_fill(&ev, st, cookie, RAW_CLOSE, RAW_F_NEVER_ACCEPTED | RAW_F_FAILED, st->end.time_ns);
	ev.duration_ns = ev.time_ns - st->born_ns;
	ev.closer = state_closer(old);
	ev.after = RAW_AFTER_CLOSED;
	close_fill_bytes(&ev, &st->end);
	event_send(&ev, st);
}

/* The answer to connect() has a hook of its own, and of a connection that is over nothing more is asked. */
static __always_inline bool ops_state_concerns_us(__u32 old, __u32 new)
{
	return old != BPF_TCP_CLOSE && !(old == BPF_TCP_SYN_SENT && new == BPF_TCP_ESTABLISHED);
}

static __always_inline void ops_connection(struct bpf_sock_ops *ctx, struct slot *slot, struct state *st, __u64 cookie)
{
	__u32 old, new;

	end_note(ctx, st);
	old = OLD_STATE(ctx);
	new = NEW_STATE(ctx);
	if (st->released && slot)
		close_note(&slot->close, old, new);
	else if (st->released)
		close_state(st, cookie, old, new);
	else if (new == BPF_TCP_CLOSE && (old == BPF_TCP_ESTABLISHED || old == BPF_TCP_CLOSE_WAIT))
		tell_never_accepted(ctx, st, cookie, old);
}

static __always_inline void ops_state(struct bpf_sock_ops *ctx, struct slot *slot, struct state *st, __u64 cookie)
{
	__u32 old = OLD_STATE(ctx), new = NEW_STATE(ctx);

	if (old == BPF_TCP_SYN_SENT && new == BPF_TCP_CLOSE && st->pending == PENDING_CONNECT && st->started)
		ops_syn_failed(ctx, st, cookie);
	if (old == BPF_TCP_LISTEN && new == BPF_TCP_CLOSE && !st->released)
		tell_shut_down(st, cookie);
	if (state_is_connected(old) || new == BPF_TCP_ESTABLISHED)
		ops_connection(ctx, slot, st, cookie);
	if (slot && NEW_STATE(ctx) == BPF_TCP_CLOSE)
		slot_over(slot, cookie);
}

/* --- close() ---------------------------------------------------------------------------------------------------- */

static __always_inline void close_fill_tcp(struct raw_event *ev, const struct state *st, __u32 state)
{
	const struct end *end = &st->end;

	if (state_is_connected(state)) {
		ev->closer = state_closer(state);
	} else if (end->ended) {
		ev->closer = end->closer;
		ev->after = end->after;
		if (end->after == RAW_AFTER_TIME_WAIT && ev->time_ns - end->time_ns > TIME_WAIT_NS)
			ev->after = RAW_AFTER_CLOSED;
		if (end->broken) /* reset, timed out, or dropped by the program itself: no hook tells which */
			ev->flags |= RAW_F_UNKNOWN;
		close_fill_bytes(ev, end);
	} else if (state == BPF_TCP_LISTEN || state == BPF_TCP_SYN_SENT || (st->complete && !st->role)) {
		ev->after = RAW_AFTER_CLOSED;
	}
}

static __always_inline bool close_may_wait(const struct state *st, const struct raw_event *ev, __u32 state)
{
	return st->protocol == IPPROTO_TCP && st->watched && armed && state_is_connected(state) && wanted(st, ev);
}

/* Leaves the close to the end of the connection. False: there is no room. */
static __always_inline bool close_wait(struct bpf_sock *ctx, struct state *st, __u64 cookie, struct raw_event *ev)
{
	if (bpf_map_update_elem(&closing, &cookie, ev, BPF_NOEXIST))
		return false;
	if (FIELD(ctx->state) == BPF_TCP_CLOSE) /* it ended on another CPU, before the entry was there */
		close_take(ev, st, cookie);
	return true;
}

/* The same in the slot, where the close stands already; or tells it. */
static __always_inline void close_slot(struct slot *slot, struct state *st, __u64 cookie, __u32 state)
{
	bool waits = close_may_wait(st, &slot->close, state);

	if (waits)
		waiting_times[cookie % SLOTS] = slot->close.time_ns;
	else
		event_send(&slot->close, st);
	if (!slot_leave(slot, cookie, waits))
		return;
	if (waits) /* it ended on another CPU */
		close_tell(&slot->close, st);
	slot_free(slot);
}

/* User space asks for a close whose end is long in coming, or comes after the end of the trace. */
static __always_inline bool rest_take(__u64 cookie, struct raw_event *ret)
{
	struct slot *slot = slot_at(cookie);
	__u32 place = cookie % SLOTS;
	struct raw_event *waiting;
	bool taken;

	if (slot && waiting_cookies[place] == cookie) {
		bpf_spin_lock(&slot->lock);
		taken = waiting_cookies[place] == cookie;
		if (taken)
			waiting_cookies[place] = 0;
		*ret = slot->close;
		bpf_spin_unlock(&slot->lock);
		return taken;
	}
	waiting = bpf_map_lookup_elem(&closing, &cookie);
	if (!waiting)
		return false;
	*ret = *waiting;
	return !bpf_map_delete_elem(&closing, &cookie);
}

SEC("tc") /* a type that may take locks, and is run by user space alone */
int c_rest(struct __sk_buff *ctx)
{
	struct raw_event ev;

	if (!rest_take(rest_cookie, &ev))
		return 0;
	ev.flags |= RAW_F_LATE;
	emit_copy(&ev);
	return 0;
}

#endif
