/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* TCP connect: entry, return, and the end of an attempt. The state change that is the result is in close.bpf.h. */
#ifndef CONNECT_BPF_H
#define CONNECT_BPF_H

/* A connect() whose result is not known yet. Noted by handle_connect_enter; forgotten by the one who tells the
 * result, so forgetting is the claim that makes it one event (mode X sees each state change twice), at the latest by
 * handle_release. A note outlives its socket only where our programs were skipped: handle_connect_enter finds it. */
struct attempt {
	struct raw_event ev;
	__u64 search_from_ns; /* the kernel began to look for a port; 0 = it has one, or looks for none */
	__u32 error; /* reported by the kernel before the state changed; 0 = none yet */
	__u8 in_call; /* tcp_v*_connect() has not returned: 1; nested in tcp_v6_connect() (v4-mapped): 2 */
	__u8 reserved[3];
};

/* Those that are alone at their place stand here, the others in the map. */
static struct attempt_slot {
	__u64 sk; /* struct sock *; 0 = nothing stands here */
	__u32 claims; /* only ever counted up: by enum claimer */
	__u32 claims_before; /* what it was when the attempt was noted */
	struct attempt at;
} attempt_slots[NOTES_PLACES] = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* struct sock * */
	__type(value, struct attempt);
} attempts SEC(".maps");

/* Who forgets an attempt: who has locked the socket, or its close(), before it locks it. */
enum claimer { CLAIMER_LOCKED = 1, CLAIMER_CLOSE = 1 << 16 };

struct claim {
	__u64 sk;
	__u64 time_ns; /* of the attempt */
};

/* Attempts in a slot that both may want to forget: inserted by the first, deleted by the second. LRU: there may be no
 * second. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct claim);
	__type(value, __u8); /* not used */
} claims SEC(".maps");

static __always_inline struct attempt_slot *attempt_slot(__u64 key)
{
	return &attempt_slots[note_place(key)];
}

static __always_inline struct attempt *attempt_find(__u64 key)
{
	struct attempt_slot *slot = attempt_slot(key);

	if (!note_count(note_place(key), NOTE_ATTEMPT))
		return NULL;
	return slot->sk == key ? &slot->at : bpf_map_lookup_elem(&attempts, &key);
}

/*
 * False if it is the other one's. Each counts itself and looks for the other: who locked the socket and sees nobody has
 * it, and a close() that comes later sees that. Otherwise the first in the map has it.
 */
static __always_inline bool attempt_claim(volatile struct attempt_slot *slot, __u64 key, enum claimer who)
{
	struct claim claim = { key, slot->at.ev.time_ns };
	__u32 before = slot->claims_before, now;
	__u8 one = 1;

	__sync_fetch_and_add(&slot->claims, who);
	now = slot->claims;
	if (slot->sk != key || (who == CLAIMER_CLOSE && (__u16)now != (__u16)before))
		return false;
	if (now == before + CLAIMER_LOCKED || !bpf_map_update_elem(&claims, &claim, &one, BPF_NOEXIST))
		return true;
	bpf_map_delete_elem(&claims, &claim);
	return false;
}

/* False if it is not ours to tell. A slot is given back by who locked the socket: after a close() that finds it open
 * (`last`: not in SYN_SENT) the state changes once more. */
static __always_inline bool attempt_forget(__u64 key, enum claimer who, bool last)
{
	volatile struct attempt_slot *slot = attempt_slot(key);
	bool ours;

	if (slot->sk == key) {
		ours = attempt_claim(slot, key, who);
		if (!last || slot->sk != key)
			return ours;
		slot->sk = 0;
	} else if (bpf_map_delete_elem(&attempts, &key)) {
		return false;
	} else {
		ours = true;
	}
	note_drop(note_place(key), NOTE_ATTEMPT);
	return ours;
}

/* What stands there of an older socket at this address, whose end was lost, is counted as that; so is a full map. */
static __always_inline void attempt_remember(__u64 key, const struct attempt *at)
{
	struct attempt_slot *slot = attempt_slot(key);
	bool old = slot->sk == key;

	if (old || note_claim(note_place(key), NOTE_ATTEMPT)) {
		slot->at = *at;
		slot->claims_before = *(volatile __u32 *)&slot->claims;
		*(volatile __u64 *)&slot->sk = key;
	} else if (bpf_map_update_elem(&attempts, &key, at, BPF_NOEXIST)) {
		note_drop(note_place(key), NOTE_ATTEMPT);
		bpf_map_update_elem(&attempts, &key, at, BPF_EXIST);
		old = true;
	}
	if (old)
		COUNT(lost_state);
}

static __always_inline void attempt_fill(struct attempt *at, struct sock *sk, const struct request *req,
					 enum pointer ptr)
{
	struct raw_event *ev = &at->ev;

	at->search_from_ns = 0;
	at->error = 0;
	at->in_call = 1;
	__builtin_memset(at->reserved, 0, sizeof(at->reserved));
	handler_fill_on_stack(ev, sk, RAW_CONNECT, 0, ptr);
	ev->flags |= RAW_F_EGRESS;
	sock_fill_options(ev, sk, ptr);
	sock_fill_remote(ev, req);
	handler_ask_port(ev);
}

/* `v4`: in tcp_v4_connect(). tcp_v6_connect() hands v4-mapped addresses to it, which is the same attempt. */
static __always_inline void handle_connect_enter(struct sock *sk, const void *uaddr, int addr_len, bool v4,
						 enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct attempt at, *before;
	struct request req;

	if (v4 && READ(ptr, sk, __sk_common.skc_family) == AF_INET6) {
		before = attempt_find(key);
		if (before)
			before->in_call = 2;
		return;
	}
	sock_ask_tcp(sk, ptr);
	if (!armed || sock_is_second_path(sk, ptr) || !handler_wanted(sk, RAW_CONNECT, true, ptr))
		return;
	sock_read_request(&req, uaddr, addr_len);
	if (!handler_wants_peer(sk, &req, ptr))
		return;
	attempt_fill(&at, sk, &req, ptr);
	attempt_remember(key, &at);
}

/* Tells the result of an attempt and forgets it. Works on a copy: whoever deletes the entry tells, the other twin of
 * mode X finds none. (A reserved record that may have to be given back is more than the verifiers up to 6.1 follow.) */
static __always_inline void attempt_end(struct sock *sk, struct attempt *at, int error, __u32 flags,
					enum claimer who, enum pointer ptr)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_boot_ns();
	struct raw_event ev = at->ev;

	if (!attempt_forget(key, who, who == CLAIMER_LOCKED || READ(ptr, sk, __sk_common.skc_state) != TCP_SYN_SENT) ||
	    !armed)
		return;
	if ((config.failed_only && !error && !(flags & RAW_F_ABORTED)) || !select_event(&ev)) {
		emit_filtered();
		return;
	}
	if (!(flags & RAW_F_LATE)) { /* else it was between the two */
		ev.duration_ns = now - ev.time_ns;
		ev.time_ns = now;
	}
	ev.error = error;
	ev.flags |= flags | (error ? RAW_F_FAILED : 0);
	if (!ev.cookie && ev.socket_id == key)
		ev.cookie = READ(ptr, sk, __sk_common.skc_cookie.counter);
	sock_fill_truth(&ev, sk, ptr);
	emit_copy(&ev);
}

/* tcp_v*_connect() sets SYN_SENT right before inet_hash_connect(). In mode X the later of the twins counts. */
static __always_inline void attempt_syn_sent(struct attempt *at)
{
	at->ev.flags |= RAW_F_SYN_SENT;
	if (at->ev.how == RAW_HOW_CONNECT)
		at->search_from_ns = bpf_ktime_get_boot_ns();
}

/* The same where the change itself was not seen: when the search began is not known. */
static __always_inline void handle_syn_sent(struct sock *sk)
{
	struct attempt *at = attempt_find((__u64)sk);

	if (at)
		at->ev.flags |= RAW_F_SYN_SENT;
}

/* The search is over. */
static __always_inline void attempt_searched(struct attempt *at)
{
	if (!at->search_from_ns)
		return;
	search_fill(&at->ev, bpf_ktime_get_boot_ns() - at->search_from_ns);
	at->search_from_ns = 0;
}

/* It has brought a port: tcp_connect(), which comes next, or nothing: then the state becomes CLOSE, and the address
 * goes after that. */
static __always_inline void handle_connect_searched(struct sock *sk, struct attempt *at, enum pointer ptr)
{
	if (!at->search_from_ns)
		return;
	attempt_searched(at);
	sock_fill_addresses(&at->ev, sk, ptr);
}

static __always_inline void handle_connect_search(struct sock *sk, enum pointer ptr)
{
	struct attempt *at = attempt_find((__u64)sk);

	if (at)
		handle_connect_searched(sk, at, ptr);
}

/* tcp_v4_connect() or tcp_v6_connect() returned: failed at once, or the SYN is out and the socket has its port. */
static __always_inline void handle_connect_exit(struct sock *sk, int ret, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct attempt *at = attempt_find(key);

	if (!at)
		return;
	if (at->in_call == 2) {
		at->in_call = 1;
		return;
	}
	at->in_call = 0;
	if (ret) {
		attempt_end(sk, at, -ret, 0, CLAIMER_LOCKED, ptr);
		return;
	}
	at->ev.flags |= RAW_F_SYN_SENT; /* the change may have been missed */
	attempt_searched(at); /* fast open may leave the SYN for later */
	sock_fill_addresses(&at->ev, sk, ptr);
}

/* A cgroup/connect program refused: the protocol's connect was not called. */
static __always_inline void handle_pre_connect(struct sock *sk, const struct request *req, int ret, enum pointer ptr)
{
	if (ret)
		handle_connect_early(sk, req, ret, ptr);
}

#endif
