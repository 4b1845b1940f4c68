/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How long the kernel looks for a port that it picks itself, in bind() to port 0, in listen() of an unbound socket and
 * when UDP binds by itself: the time inside inet_csk_get_port() or udp_lib_get_port(). That of connect() is in
 * connect.bpf.h. A program that was skipped costs the figure, not the event.
 */
#ifndef SEARCH_BPF_H
#define SEARCH_BPF_H

struct search {
	__u64 sk; /* struct sock * */
	__u64 from_ns;
	__u64 took_ns; /* 0 = under way */
};

/* In mode F: searches that are alone at their place. The others are in the map. */
static struct search_slot {
	__u64 thread; /* the one that searches for search.sk */
	struct search search; /* sk 0 = nothing stands here */
} search_slots[NOTES_PLACES] = {};

/* The last search of each thread. Inserted by search_begin, deleted by search_take when the call around it returns;
 * LRU, so a lost return cannot fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* thread */
	__type(value, struct search);
} searches SEC(".maps");

/* False if there is no place for it. The socket is locked. */
static __always_inline bool search_place(const struct search *search, __u64 thread)
{
	volatile struct search_slot *slot = &search_slots[note_place(search->sk)];

	if (slot->search.sk != search->sk && !note_claim(note_place(search->sk), NOTE_SEARCH)) {
		note_drop(note_place(search->sk), NOTE_SEARCH);
		return false;
	}
	slot->thread = thread;
	slot->search.from_ns = search->from_ns;
	slot->search.took_ns = 0;
	slot->search.sk = search->sk;
	return true;
}

/* `port`: that the program asked for; with any but 0 the kernel does not search. */
static __always_inline void search_begin(struct sock *sk, __u16 port, enum pointer ptr)
{
	struct search search = { .sk = (__u64)sk };
	__u64 thread = once_pid_tgid();

	if (port || !armed || !prefilter_process() || !sock_is_traced(sk, ptr) || !prefilter_socket(sk, ptr))
		return;
	search.from_ns = bpf_ktime_get_boot_ns();
	if (ptr == PTR_HOOK && search_place(&search, thread))
		return;
	bpf_map_update_elem(&searches, &thread, &search, BPF_ANY);
}

/* `sk` NULL: not known here (mode X). */
static __always_inline void search_end(struct sock *sk)
{
	volatile struct search_slot *slot = sk ? &search_slots[note_place((__u64)sk)] : NULL;
	__u64 thread = once_pid_tgid();
	struct search *search;

	if (slot && slot->search.sk == (__u64)sk) {
		if (slot->thread == thread)
			slot->search.took_ns = bpf_ktime_get_boot_ns() - slot->search.from_ns;
		return;
	}
	search = bpf_map_lookup_elem(&searches, &thread);
	if (search && !search->took_ns)
		search->took_ns = bpf_ktime_get_boot_ns() - search->from_ns;
}

/* Nanoseconds of the search for this socket, which is forgotten; 0 = there was none, or it was not seen. To be called
 * also where nobody wants the event: the next one of this thread must not find it. */
static __always_inline __u64 search_take(struct sock *sk)
{
	volatile struct search_slot *slot = &search_slots[note_place((__u64)sk)];
	__u64 thread = once_pid_tgid(), took = 0;
	struct search *search;

	if (slot->search.sk == (__u64)sk && slot->thread == thread) {
		took = slot->search.took_ns;
		slot->search.sk = 0;
		note_drop(note_place((__u64)sk), NOTE_SEARCH);
		return took;
	}
	search = bpf_map_lookup_elem(&searches, &thread);
	if (!search)
		return 0;
	if (search->sk == (__u64)sk)
		took = search->took_ns;
	bpf_map_delete_elem(&searches, &thread);
	return took;
}

static __always_inline void search_fill(struct raw_event *ev, __u64 took_ns)
{
	if (!took_ns)
		return;
	ev->search_ns = took_ns;
	ev->flags |= RAW_F_SEARCH;
}

#endif
