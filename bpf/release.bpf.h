/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When the kernel takes a port back (-e release): from a socket, or from the TIME_WAIT that took over from it. Mostly
 * long after the close and in softirq, so the process is remembered from the close.
 */
#ifndef RELEASE_BPF_H
#define RELEASE_BPF_H

/* Ports that outlive the close of their socket. Inserted by release_remember, moved to the address of the TIME_WAIT by
 * release_move, deleted when the port is taken back. The loader makes it small where nobody asks for releases. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CONFIG_MAX_HOLDERS);
	__type(key, __u64); /* struct sock * or struct inet_timewait_sock * */
	__type(value, struct raw_event); /* kind 0: the port has moved to a TIME_WAIT */
} holders SEC(".maps");

/* A socket is being closed by the running process: `ev` is that event. */
static __always_inline void release_remember(struct sock *sk, const struct raw_event *ev, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct raw_event *held;

	if (!config.want_release || !ev->local_port)
		return;
	held = bpf_map_lookup_elem(&holders, &key);
	if ((held && !held->kind && READ(ptr, sk, __sk_common.skc_state) == TCP_CLOSE) ||
	    bpf_map_update_elem(&holders, &key, ev, BPF_ANY))
		return; /* in TIME_WAIT since it was shut down both ways: the port is given back when that ends */
	held = bpf_map_lookup_elem(&holders, &key);
	if (!held)
		return;
	held->kind = RAW_RELEASE;
	held->flags &= ~(RAW_F_BYTES | RAW_F_FAILED);
	held->error = 0;
	held->closer = held->after = 0;
}

/* An open socket connects or listens: what its last connection left in TIME_WAIT holds the port of that one alone. */
static __always_inline void release_begin(struct sock *sk)
{
	__u64 key = (__u64)sk;

	if (config.want_release)
		bpf_map_delete_elem(&holders, &key);
}

/* A socket whose process is not known here: user space may remember it. */
static __always_inline void release_blank(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	emit_init(ev, RAW_RELEASE);
	sock_fill(ev, sk, ptr);
	sock_fill_truth(ev, sk, ptr);
}

/* A connect that failed gives back the port it had got. */
static __always_inline void release_of_attempt(struct raw_event *ev, const struct attempt *at, struct sock *sk,
					       enum pointer ptr)
{
	*ev = at->ev;
	ev->kind = RAW_RELEASE;
	ev->flags = (ev->flags & ~(RAW_F_OPTIONS | RAW_F_FD | RAW_F_REQUESTED | RAW_F_SEARCH)) | RAW_F_EGRESS;
	ev->time_ns = 0;
	ev->how = RAW_HOW_NONE;
	sock_fill_addresses(ev, sk, ptr);
	sock_fill_truth(ev, sk, ptr);
}

/* TIME_WAIT takes over the port: inet_put_port() of the socket, which follows, gives nothing back. */
static __always_inline void release_move(struct sock *sk, struct inet_timewait_sock *tw, enum pointer ptr)
{
	__u64 from = (__u64)sk, to = (__u64)tw;
	struct raw_event *known, ev;

	if (!config.want_release || !armed || !sock_is_traced(sk, ptr) || !prefilter_socket(sk, ptr))
		return;
	known = bpf_map_lookup_elem(&holders, &from);
	if (known && !known->kind && known->socket_id == to) /* by our twin of mode X */
		return;
	if (known && known->kind) {
		ev = *known;
	} else { /* still open (shut down both ways), or closed before the start */
		release_blank(&ev, sk, ptr);
	}
	bpf_map_update_elem(&holders, &to, &ev, BPF_ANY);
	ev.kind = 0;
	ev.socket_id = to; /* of an open socket it stays: another of its connections may follow */
	bpf_map_update_elem(&holders, &from, &ev, BPF_ANY);
}

/* Tells it and forgets. `ev` is a copy on the stack. */
static __always_inline void release_tell(__u64 key, struct raw_event *ev, struct inet_bind_bucket *bucket)
{
	__u64 now = bpf_ktime_get_boot_ns();

	bpf_map_delete_elem(&holders, &key);
	if (!ev->kind || !armed)
		return;
	if (ev->time_ns)
		ev->duration_ns = now - ev->time_ns;
	ev->time_ns = now;
	ev->flags |= compat_port_after(bucket);
	emit_copy(ev);
}

/* inet_twsk_bind_unhash(): the end of a TIME_WAIT, by time, by a reset, or by a connect() that takes over. */
static __always_inline void handle_time_wait_end(struct inet_timewait_sock *tw)
{
	__u64 key = (__u64)tw;
	struct inet_bind_bucket *bucket = BPF_CORE_READ(tw, tw_tb);
	struct raw_event *known = bpf_map_lookup_elem(&holders, &key), ev;

	if (!known || !bucket)
		return; /* begun before the start, or not asked for */
	ev = *known;
	release_tell(key, &ev, bucket);
}

/* udp_lib_unhash(): always by the process that closes or disconnects. */
static __always_inline void handle_udp_release(struct sock *sk, bool disconnects, enum pointer ptr)
{
	struct raw_event *ev;

	if (!sock_is_traced(sk, ptr) || !READ(ptr, sk, __sk_common.skc_num))
		return;
	ev = handler_begin(sk, RAW_RELEASE, 0, ptr);
	if (!ev)
		return;
	if (disconnects) {
		ev->remote_port = 0;
		__builtin_memset(ev->remote_addr, 0, sizeof(ev->remote_addr));
	}
	if (ev->remote_port)
		ev->flags |= RAW_F_EGRESS;
	handler_end(ev, sk, ptr);
}

/* __udp_disconnect() gives back a port that was not asked for by number. Up to 6.x through udp_lib_unhash(); since 7.1,
 * without UDP-Lite, the compiler puts the best part of that function into this one. */
static __always_inline void handle_udp_disconnect(struct sock *sk, enum pointer ptr)
{
	if (!(READ_BITS(ptr, sk, sk_userlocks) & SOCK_BINDPORT_LOCK))
		handle_udp_release(sk, true, ptr);
}

#endif
