/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the cgroup backend knows of a socket, and where that is kept.
 *
 * The kernel's storage of a socket is made, cloned and freed with it, but to make and free one costs as much as all
 * else that is done for a connection. So a socket that is seen from its creation has a slot: the place in an array that
 * its cookie leads to. If another socket has that place, it has the storage. Cookies are never given twice: a slot is a
 * socket's if its cookie is in it, and only hooks of that socket look for it.
 *
 * Who frees a slot must be the last to use it. Hooks of one socket run under its lock, but for sock_release, during
 * which the network may still change the state of a connection. So these two agree, by `over` and `left`: whoever comes
 * second frees. Where no change comes, as another's program has taken away the flag that asks for it, a slot stays
 * taken: that costs those who would have had it what they cost without slots.
 */
#ifndef CGROUP_STATE_BPF_H
#define CGROUP_STATE_BPF_H

enum pending { PENDING_NONE, PENDING_BIND, PENDING_CONNECT };

/* What the changes of state have told of a connection's end; see cgroup_close.bpf.h. */
struct end {
	__u64 time_ns; /* of a close that waits, of a TIME_WAIT, or of a drop; else 0 */
	__u64 sent, received; /* payload, with *_known */
	__u32 fin_seq; /* of the FIN, if it is all that is still to be sent */
	__u32 segments_out, segments_in; /* that carry data, when the FIN was queued */
	__u32 bare_segments; /* came in without data, when the connection began or the peer's FIN came */
	__u8 sent_known, received_known;
	__u8 fin_queued, has_fin; /* ours is to be sent; in FIN_WAIT2: the peer's came */
	__u8 unacked; /* not all that was sent has been acknowledged */
	__u8 ended; /* before it was closed; only then: */
	__u8 broken; /* not by FINs */
	__u8 closer; /* enum raw_closer */
	__u8 after; /* enum raw_after */
	__u8 reserved[7];
};

/* What is known of a socket. All 0 at its creation, or at its first hook, if it is older than us. */
struct state {
	__u64 born_ns;
	__u64 asked_ns; /* when what is pending was asked for */
	__u64 cgroup_id;
	__u64 netns_cookie;
	__u64 listener; /* cookie of the socket that listens, also in those that it accepts */
	struct end end;
	__u32 pid, tid, uid; /* of whoever asked last */
	__u32 mark, bound_ifindex; /* when it asked */
	__u16 family, protocol;
	__u8 local_addr[16], remote_addr[16], requested_addr[16];
	__u16 local_port, remote_port, requested_port;
	__u8 pending; /* enum pending */
	__u8 started; /* connect: the SYN is out */
	__u8 how; /* of the connect under way */
	__u8 port_locked; /* the port outlives a failed connect: it was asked for by number */
	__u8 complete; /* seen since its creation */
	__u8 accepted; /* accept has been told */
	__u8 watched; /* its changes of state are told to us */
	__u8 released; /* closed by the program; its connection may live on */
	__u8 met_late; /* its close is the first that is seen of it */
	__u8 reserved[3];
	__u32 role; /* RAW_F_EGRESS, RAW_F_INGRESS or 0 */
	char comm[RAW_COMM_SIZE];
};

/* Of sockets without a slot, and of those that listen: cloned by the kernel to accepted sockets. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC | BPF_F_CLONE);
	__type(key, int);
	__type(value, struct state);
} states SEC(".maps");

#define SLOTS 1024

struct slot {
	struct bpf_spin_lock lock; /* where more than one may be at it */
	__u8 over; /* no change to CLOSE is to come that we are told of */
	__u8 left; /* sock_release is done with it */
	__u8 reserved[2];
	__u64 cookie; /* 0 = free */
	struct state state;
	struct raw_event close; /* is to be told if the cookie stands in waiting_cookies */
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* By slot, and under its lock: whose close waits (0: nobody's). For user space, which has no lock: since when. */
__u64 waiting_cookies[SLOTS] = {};
__u64 waiting_times[SLOTS] = {};

static __always_inline struct slot *slot_at(__u64 cookie)
{
	__u32 place = cookie % SLOTS;

	return bpf_map_lookup_elem(&slots, &place);
}

/* The socket's own slot, or NULL. */
static __always_inline struct slot *slot_find(__u64 cookie)
{
	struct slot *slot = slot_at(cookie);

	return slot && *(volatile __u64 *)&slot->cookie == cookie ? slot : NULL;
}

/* For a new socket, of which no other hook can run yet: cleared; or NULL, if another has the place. */
static __always_inline struct slot *slot_take(__u64 cookie)
{
	struct slot *slot = slot_at(cookie);
	bool free;

	if (!slot)
		return NULL;
	bpf_spin_lock(&slot->lock);
	free = !slot->cookie;
	if (free)
		slot->cookie = cookie;
	bpf_spin_unlock(&slot->lock);
	if (!free)
		return NULL;
	__builtin_memset(&slot->state, 0, sizeof(slot->state));
	slot->over = 1;
	slot->left = 0;
	return slot;
}

/* By the last who uses it. With the lock, so that whoever takes it next comes after all that was done here. */
static __always_inline void slot_free(struct slot *slot)
{
	bpf_spin_lock(&slot->lock);
	slot->cookie = 0;
	bpf_spin_unlock(&slot->lock);
}

/* sock_release is done. True: the socket is over too, and the slot is to be freed. Else the change to CLOSE does that,
 * and tells the close, if it `waits`. */
static __always_inline bool slot_leave(struct slot *slot, __u64 cookie, bool waits)
{
	__u32 place = cookie % SLOTS;
	bool over;

	bpf_spin_lock(&slot->lock);
	over = slot->over;
	slot->left = 1;
	if (waits && !over)
		waiting_cookies[place] = cookie;
	bpf_spin_unlock(&slot->lock);
	return over;
}

static __always_inline struct state *state_find(struct bpf_sock *sk, struct slot *slot)
{
	return slot ? &slot->state : bpf_sk_storage_get(&states, sk, NULL, 0);
}

/* The state of a socket that is met for the first time. */
static __always_inline struct state *state_make(struct bpf_sock *sk)
{
	return bpf_sk_storage_get(&states, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
}

#endif
