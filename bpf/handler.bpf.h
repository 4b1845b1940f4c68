/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What each hook of the tracing backend does, written once for both attach modes. Handlers get the kernel's own
 * objects; `btf` says that `sk` is a typed pointer (fentry, fexit, tp_btf), which helpers that give a socket its
 * cookie need. Return values of kernel functions are 0 or -errno unless said otherwise.
 */
#ifndef HANDLER_BPF_H
#define HANDLER_BPF_H

#define EPERM 1
#define EAGAIN 11
#define EACCES 13
#define EINVAL 22
#define EINTR 4
#define EADDRINUSE 98
#define EPIPE 32
#define ECONNRESET 104
#define TIME_WAIT_NS (60ULL * 1000000000) /* TCP_TIMEWAIT_LEN, include/net/tcp.h */
#define ERESTARTSYS 512 /* include/linux/errno.h: the call is begun again, the program sees no result */

/* A connect() whose result is not known yet. Inserted by handle_connect_enter; deleted by the one who tells the
 * result, so deletion is the claim that makes it one event (mode X sees each state change twice), at the latest by
 * handle_release. An entry outlives its socket only where our programs were skipped: handle_connect_enter finds it. */
struct attempt {
	struct raw_event ev;
	__u32 error; /* reported by the kernel before the state changed; 0 = none yet */
	__u8 in_call; /* tcp_v*_connect() has not returned: 1; nested in tcp_v6_connect() (v4-mapped): 2 */
	__u8 reserved[3];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* struct sock * */
	__type(value, struct attempt);
} attempts SEC(".maps");

/* A close() under way of a connection whose FIN is still to be exchanged. Inserted by handle_release; whoever deletes
 * it tells: the change to CLOSE, or else the return of the close. */
struct close_call {
	struct raw_event ev;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct sock * */
	__type(value, struct close_call);
} closes SEC(".maps");

/* How a connection ended whose socket the program has not closed yet. Inserted when it ends (most end with or after
 * the close, and are not here), deleted by handle_release or, for one that nobody accepted, by handle_disconnect. */
struct end {
	__u64 time_ns;
	__u32 error;
	__u8 closer; /* enum raw_closer */
	__u8 after; /* enum raw_after, of the moment of the end */
	__u16 reserved;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* struct sock * */
	__type(value, struct end);
} ends SEC(".maps");

enum mark {
	MARK_LISTEN_UNBOUND, /* inside listen() on a socket without a port */
	MARK_BIND_TOLD, /* inside bind() that a cgroup program denied after the port was taken: told already */
};

struct mark_key {
	__u64 pid_tgid;
	__u64 mark; /* enum mark */
};

/* What a thread is in the middle of. Inserted and deleted inside one call; LRU, so a lost return cannot fill it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct mark_key);
	__type(value, __u8); /* not used */
} marks SEC(".maps");

static __always_inline void mark_set(enum mark mark)
{
	struct mark_key key = { bpf_get_current_pid_tgid(), mark };
	__u8 one = 1;

	bpf_map_update_elem(&marks, &key, &one, BPF_ANY);
}

static __always_inline bool mark_take(enum mark mark)
{
	struct mark_key key = { bpf_get_current_pid_tgid(), mark };

	return bpf_map_delete_elem(&marks, &key) == 0;
}

/* The cookie the socket has, or in typed programs of 5.12 and newer the one it gets now. */
static __always_inline __u64 handler_cookie(struct sock *sk, bool btf)
{
	if (btf && config.has_cookie_helper)
		return bpf_get_socket_cookie(sk);
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/* Does anyone want this event, of the running process? If not, it is counted. */
static __always_inline bool handler_wanted(struct sock *sk, __u8 kind, int error)
{
	if (!armed)
		return false;
	if (prefilter_kind(kind) && !(config.failed_only && !error) && prefilter_process() && prefilter_socket(sk))
		return true;
	emit_filtered();
	return false;
}

/* Everything common, for an event of the running process. `ev` may hold anything. */
static __always_inline void handler_fill(struct raw_event *ev, struct sock *sk, __u8 kind, int error, bool btf)
{
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->magic = RAW_EVENT_MAGIC;
	ev->version = RAW_EVENT_VERSION;
	ev->kind = kind;
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->error = error;
	ev->flags = error ? RAW_F_FAILED : 0;
	sock_fill(ev, sk);
	if (ev->socket_id == (__u64)sk)
		ev->cookie = handler_cookie(sk, btf);
	sock_fill_process(ev);
}

/* Room for an event about `sk` by the running process, with everything common filled in; NULL if none is wanted or
 * there is no room (both counted). */
static __always_inline struct raw_event *handler_begin(struct sock *sk, __u8 kind, int error, bool btf)
{
	struct raw_event *ev;

	if (!handler_wanted(sk, kind, error))
		return NULL;
	process_tell();
	ev = bpf_ringbuf_reserve(&ring, sizeof(*ev), 0);
	if (!ev) {
		emit_lost();
		return NULL;
	}
	handler_fill(ev, sk, kind, error, btf);
	return ev;
}

static __always_inline void handler_end(struct raw_event *ev, struct sock *sk)
{
	sock_fill_truth(ev, sk, BPF_CORE_READ(sk, __sk_common.skc_net.net));
	emit_submit(ev);
}

static __always_inline void handler_request(struct raw_event *ev, const struct request *req)
{
	ev->requested_family = req->family == AF_INET || req->family == AF_INET6 ? req->family : ev->family;
	ev->requested_port = req->port;
	__builtin_memcpy(ev->requested_addr, req->addr, 16);
	ev->flags |= RAW_F_REQUESTED;
}

/* bind(), after the kernel's __inet_bind() or __inet6_bind(); also a denial before it (RAW_F_DENIED). */
static __always_inline void handle_bind(struct sock *sk, const struct request *req, int ret, __u32 flags, bool btf)
{
	struct raw_event *ev;

	if (!sock_is_traced(sk))
		return;
	ev = handler_begin(sk, RAW_BIND, -ret, btf);
	if (!ev)
		return;
	if (req->family || req->port)
		handler_request(ev, req);
	ev->flags |= flags;
	sock_fill_options(ev, sk);
	ev->how = req->port ? RAW_HOW_EXPLICIT : RAW_HOW_BIND0;
	if (ret) /* what the socket holds now is from before, or half undone */
		ev->local_port = 0;
	else if (!ev->local_port) /* IP_BIND_ADDRESS_NO_PORT: connect() will choose */
		ev->how = RAW_HOW_NONE;
	handler_end(ev, sk);
}

/* __inet_bind() returned. -EPERM there is a cgroup/post_bind program's, and inet_bind() will return it again. */
static __always_inline void handle_inet_bind(struct sock *sk, const struct request *req, int ret, bool btf)
{
	if (ret == -EPERM)
		mark_set(MARK_BIND_TOLD);
	handle_bind(sk, req, ret, 0, btf);
}

/* inet_bind() or inet6_bind() returned: only what they refuse before __inet_bind() is news. */
static __always_inline void handle_bind_early(struct sock *sk, const struct request *req, int addr_len, int ret,
					      int addr_len_min, bool btf)
{
	if (ret == -EPERM && !mark_take(MARK_BIND_TOLD))
		handle_bind(sk, req, ret, RAW_F_DENIED, btf);
	if (ret == -EINVAL && addr_len < addr_len_min)
		handle_bind(sk, req, ret, 0, btf);
}

/* The kernel binds a UDP socket by itself: first send, or connect(). */
static __always_inline void handle_autobind(struct sock *sk, int ret, bool btf)
{
	struct raw_event *ev;

	if (!sock_is_traced(sk))
		return;
	ev = handler_begin(sk, RAW_BIND, -ret, btf);
	if (!ev)
		return;
	ev->flags |= RAW_F_REQUESTED;
	ev->requested_family = ev->family;
	ev->how = RAW_HOW_AUTOBIND;
	sock_fill_options(ev, sk);
	handler_end(ev, sk);
}

static __always_inline void handle_listen_enter(struct sock *sk)
{
	if (!BPF_CORE_READ(sk, __sk_common.skc_num))
		mark_set(MARK_LISTEN_UNBOUND);
}

static __always_inline void handle_listen_exit(struct sock *sk, int ret, bool btf)
{
	bool autobind = mark_take(MARK_LISTEN_UNBOUND);
	struct raw_event *ev;

	if (!sock_is_traced(sk))
		return;
	/* 5.10's get_port() fails with 1, which reaches the program as EADDRINUSE (inet_csk_listen_start()) */
	ev = handler_begin(sk, RAW_LISTEN, ret > 0 ? EADDRINUSE : -ret, btf);
	if (!ev)
		return;
	ev->backlog = BPF_CORE_READ(sk, sk_max_ack_backlog);
	ev->flags |= RAW_F_BACKLOG;
	sock_fill_options(ev, sk);
	if (autobind) {
		ev->how = RAW_HOW_AUTOBIND;
		ev->flags |= RAW_F_REQUESTED;
		ev->requested_family = ev->family;
	}
	handler_end(ev, sk);
}

/* accept() has a new socket, which belongs to the running process. */
static __always_inline void handle_accept(struct sock *child, bool btf)
{
	struct raw_event *ev;

	if (!sock_is_traced(child))
		return;
	ev = handler_begin(child, RAW_ACCEPT, 0, btf);
	if (!ev)
		return;
	ev->how = RAW_HOW_INHERITED;
	ev->flags |= RAW_F_INGRESS;
	handler_end(ev, child);
}

/* accept() failed. Nothing waiting (EAGAIN) and interruptions are not news. */
static __always_inline void handle_accept_failed(struct sock *listener, int err, bool btf)
{
	struct raw_event *ev;

	if (!err || err == -EAGAIN || err == -EINTR || err <= -ERESTARTSYS || !sock_is_traced(listener))
		return;
	ev = handler_begin(listener, RAW_ACCEPT, -err, btf);
	if (ev)
		handler_end(ev, listener);
}

/* UDP connect(): only notes the peer. connect(AF_UNSPEC) undoes it and assigns nothing. */
static __always_inline void handle_udp_connect(struct sock *sk, const struct request *req, int ret, bool btf)
{
	struct raw_event *ev;

	if (req->family == AF_UNSPEC || !sock_is_udp(sk) || !sock_is_traced(sk))
		return;
	ev = handler_begin(sk, RAW_CONNECT, -ret, btf);
	if (!ev)
		return;
	ev->flags |= RAW_F_EGRESS;
	sock_fill_options(ev, sk);
	if (ret) /* the socket keeps its old peer, if any: show the one that was asked for */
		sock_fill_remote(ev, req);
	handler_end(ev, sk);
}

/* An LSM refused bind() or connect() before the protocol saw it. */
static __always_inline void handle_denied(struct sock *sk, const struct request *req, int ret, __u8 kind, bool btf)
{
	struct raw_event *ev;

	if (!ret || !sk || !sock_is_traced(sk))
		return;
	if (kind == RAW_BIND) {
		handle_bind(sk, req, ret, RAW_F_DENIED, btf);
		return;
	}
	ev = handler_begin(sk, kind, -ret, btf);
	if (!ev)
		return;
	ev->flags |= RAW_F_EGRESS | (ret == -EPERM || ret == -EACCES ? RAW_F_DENIED : 0);
	sock_fill_options(ev, sk);
	sock_fill_remote(ev, req);
	handler_end(ev, sk);
}

/* --- TCP connect: entry, return, and the state change that is the result ------------------------------------- */

static __always_inline void attempt_fill(struct attempt *at, struct sock *sk, const struct request *req, bool btf)
{
	struct raw_event *ev = &at->ev;

	at->error = 0;
	at->in_call = 1;
	handler_fill(ev, sk, RAW_CONNECT, 0, btf);
	ev->flags |= RAW_F_EGRESS;
	sock_fill_options(ev, sk);
	sock_fill_remote(ev, req);
	if (!ev->local_port) {
		ev->how = RAW_HOW_CONNECT;
		ev->flags |= RAW_F_REQUESTED;
		ev->requested_family = ev->family;
		__builtin_memcpy(ev->requested_addr, ev->local_addr, 16);
	}
}

/* `v4`: in tcp_v4_connect(). tcp_v6_connect() hands v4-mapped addresses to it, which is the same attempt. */
static __always_inline void handle_connect_enter(struct sock *sk, const struct request *req, bool v4, bool btf)
{
	__u64 key = (__u64)sk;
	struct attempt at, *before = bpf_map_lookup_elem(&attempts, &key);

	if (v4 && BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET6) {
		if (before)
			before->in_call = 2;
		return;
	}
	if (before && armed) /* of an older socket at this address, whose end was lost */
		COUNT(lost_state);
	if (!armed || !sock_is_traced(sk))
		return;
	if (!prefilter_kind(RAW_CONNECT) || !prefilter_process() || !prefilter_socket(sk)) {
		emit_filtered();
		return;
	}
	process_tell();
	__builtin_memset(&at, 0, sizeof(at));
	attempt_fill(&at, sk, req, btf);
	if (bpf_map_update_elem(&attempts, &key, &at, BPF_ANY))
		COUNT(lost_state);
}

/* Tells the result of an attempt and forgets it. Works on a copy: whoever deletes the entry tells, the other twin of
 * mode X finds none. (A reserved record that may have to be given back is more than the verifiers up to 6.1 follow.) */
static __always_inline void attempt_end(struct sock *sk, struct attempt *at, int error, __u32 flags)
{
	__u64 key = (__u64)sk, now = bpf_ktime_get_boot_ns();
	struct raw_event ev = at->ev;

	if (bpf_map_delete_elem(&attempts, &key) || !armed)
		return;
	if (config.failed_only && !error && !(flags & RAW_F_ABORTED)) {
		emit_filtered();
		return;
	}
	ev.duration_ns = now - ev.time_ns;
	ev.time_ns = now;
	ev.error = error;
	ev.flags |= flags | (error ? RAW_F_FAILED : 0);
	if (!ev.cookie && ev.socket_id == key)
		ev.cookie = BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
	sock_fill_truth(&ev, sk, BPF_CORE_READ(sk, __sk_common.skc_net.net));
	emit_copy(&ev);
}

/* tcp_v4_connect() or tcp_v6_connect() returned: failed at once, or the SYN is out and the socket has its port. */
static __always_inline void handle_connect_exit(struct sock *sk, int ret)
{
	__u64 key = (__u64)sk;
	struct attempt *at = bpf_map_lookup_elem(&attempts, &key);

	if (!at)
		return;
	if (at->in_call == 2) {
		at->in_call = 1;
		return;
	}
	at->in_call = 0;
	if (ret) {
		attempt_end(sk, at, -ret, 0);
		return;
	}
	sock_fill_addresses(&at->ev, sk);
}

/* A cgroup/connect program refused: the protocol's connect was not called. */
static __always_inline void handle_pre_connect(struct sock *sk, const struct request *req, int ret, bool btf)
{
	if (ret)
		handle_denied(sk, req, ret, RAW_CONNECT, btf);
}

/* --- the end of a connection, and close() ----------------------------------------------------------------------- */

static __always_inline bool state_is_connected(int state)
{
	return state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT || sock_has_sent_fin(state);
}

/* Who has closed, or closes now if nobody has, a connection in this state. */
static __always_inline __u8 state_closer(int state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ? RAW_CLOSER_REMOTE : RAW_CLOSER_LOCAL;
}

/*
 * A connection is about to end with this error (positive), and whoever waits for it to be woken. Noted ahead of the
 * change of state: a program on another CPU may take the error by SO_ERROR before, and sk_err is 0 then. The kernel
 * sets it in tcp_done_with_error() (6.10, and stable kernels from 6.1), before that in many places, and reports it
 * ahead of the change of state.
 */
static __always_inline void handle_error(struct sock *sk, int error)
{
	__u64 key = (__u64)sk;
	struct attempt *at = bpf_map_lookup_elem(&attempts, &key);
	struct end end = { .time_ns = bpf_ktime_get_boot_ns(), .error = error };

	if (at)
		at->error = error;
	else if (error && armed && BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP && sock_is_traced(sk) &&
		 !sock_flag(sk, SOCK_DEAD) && state_is_connected(BPF_CORE_READ(sk, __sk_common.skc_state)))
		bpf_map_update_elem(&ends, &key, &end, BPF_ANY);
}

/* A close() is over as far as the port is concerned. Twins and the close's own return come here: one of them deletes. */
static __always_inline void close_tell(struct sock *sk, struct close_call *call, __u8 after)
{
	__u64 key = (__u64)sk;
	struct raw_event ev = call->ev;

	if (bpf_map_delete_elem(&closes, &key) || !armed)
		return;
	if (ev.after == RAW_AFTER_NONE)
		ev.after = after;
	emit_copy(&ev);
}

/* A connection came to its end: tells the close() under way, or notes how it ended for the close() to come. */
static __always_inline void close_state(struct sock *sk, int old)
{
	__u64 key = (__u64)sk;
	struct close_call *call = bpf_map_lookup_elem(&closes, &key);
	struct end end = { .time_ns = bpf_ktime_get_boot_ns(), .after = RAW_AFTER_CLOSED }, *before;

	if (call) {
		close_tell(sk, call, RAW_AFTER_CLOSED);
		return;
	}
	if (sock_flag(sk, SOCK_DEAD)) /* closed before, and told */
		return;
	before = bpf_map_lookup_elem(&ends, &key);
	if (before)
		end = *before;
	if (end.after == RAW_AFTER_NONE)
		end.after = RAW_AFTER_CLOSED;
	if (!end.error)
		end.error = BPF_CORE_READ(sk, sk_err);
	if (!end.error && old != TCP_FIN_WAIT2 && old != TCP_CLOSING && old != TCP_LAST_ACK)
		return; /* tcp_disconnect(): told by handle_disconnect */
	end.closer = state_closer(old);
	if (end.error == ECONNRESET || end.error == EPIPE)
		end.closer = old == TCP_ESTABLISHED ? RAW_CLOSER_REMOTE : end.closer;
	else if (end.error && old == TCP_ESTABLISHED)
		end.closer = RAW_CLOSER_NONE;
	bpf_map_update_elem(&ends, &key, &end, BPF_ANY);
}

/* TIME_WAIT takes over from the socket, whose state becomes CLOSE right after. */
static __always_inline void handle_time_wait(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct close_call *call = bpf_map_lookup_elem(&closes, &key);
	struct end end = { .time_ns = bpf_ktime_get_boot_ns(), .after = RAW_AFTER_TIME_WAIT };

	if (call)
		call->ev.after = RAW_AFTER_TIME_WAIT;
	else if (!sock_flag(sk, SOCK_DEAD) && armed && sock_is_traced(sk))
		bpf_map_update_elem(&ends, &key, &end, BPF_ANY);
}

/* A TCP socket changed its state; softirq or timer, so the running process means nothing here. */
static __always_inline void handle_state(struct sock *sk, int old, int new, bool btf)
{
	__u64 key = (__u64)sk;
	struct attempt *at;
	int error = 0;

	if (btf && config.has_cookie_helper && old == TCP_SYN_RECV && new == TCP_ESTABLISHED)
		bpf_get_socket_cookie(sk); /* so that accept() finds one */
	if (new == TCP_CLOSE && state_is_connected(old)) {
		close_state(sk, old);
		return;
	}
	/* SYN_SENT to SYN_RECV is a simultaneous open: no result yet */
	if (!(old == TCP_CLOSE && new == TCP_SYN_SENT) &&
	    ((old != TCP_SYN_SENT && old != TCP_SYN_RECV) || (new != TCP_ESTABLISHED && new != TCP_CLOSE)))
		return;
	at = bpf_map_lookup_elem(&attempts, &key);
	if (!at)
		return;
	if (new == TCP_SYN_SENT)
		at->ev.flags |= RAW_F_SYN_SENT;
	if (new == TCP_SYN_SENT || (at->in_call && new == TCP_CLOSE)) /* fails at once: handle_connect_exit tells */
		return;
	if (new == TCP_CLOSE)
		error = BPF_CORE_READ(sk, sk_err);
	if (new == TCP_CLOSE && !error)
		error = at->error;
	attempt_end(sk, at, error, new == TCP_CLOSE && !error ? RAW_F_ABORTED | RAW_F_FAILED : 0);
}

/* Has the socket a peer, or had it one? After a reset a TCP port is free already and the state says nothing, but
 * tcp_sock.rcv_nxt does: tcp_connect_init() zeroes it, the first segment of the peer sets it. */
static __always_inline bool sock_was_connected(struct sock *sk)
{
	if (!BPF_CORE_READ(sk, __sk_common.skc_dport))
		return false;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return true;
	return BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_SYN_SENT ||
	       BPF_CORE_READ((struct tcp_sock *)sk, rcv_nxt);
}

/* A socket is closed with its connect still open: given up; or the program that should have told was skipped. */
static __always_inline void handle_open_attempt(struct sock *sk, struct attempt *at)
{
	__u64 key = (__u64)sk;

	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	if (!at->in_call && (state == TCP_SYN_SENT || state == TCP_SYN_RECV))
		attempt_end(sk, at, 0, RAW_F_ABORTED | RAW_F_FAILED);
	else if (!bpf_map_delete_elem(&attempts, &key) && armed)
		COUNT(lost_state);
}

/* The end of a TCP connection as it stands when it is closed; `end` is NULL where it has not ended before. */
static __always_inline void close_fill_end(struct raw_event *ev, struct sock *sk, const struct end *end)
{
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);

	sock_fill_bytes(ev, sk);
	if (state != TCP_CLOSE) {
		ev->closer = state_closer(state);
	} else if (end) {
		ev->closer = end->closer;
		ev->after = end->after;
		if (end->after == RAW_AFTER_TIME_WAIT && ev->time_ns - end->time_ns > TIME_WAIT_NS)
			ev->after = RAW_AFTER_CLOSED;
	}
}

/* The error that broke a connection before it was closed, taken by the program or not; 0 = none did. */
static __always_inline int close_error(struct sock *sk, const struct end *end)
{
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_CLOSE)
		return 0;
	return end && end->error ? (int)end->error : BPF_CORE_READ(sk, sk_err);
}

static __always_inline void close_fill(struct raw_event *ev, struct sock *sk, bool was_connected)
{
	ev->local_port = sock_local_port(sk);
	if (!was_connected) /* the peer of a connect that failed */
		ev->remote_port = 0;
	sock_fill_truth(ev, sk, BPF_CORE_READ(sk, __sk_common.skc_net.net));
}

/* A connection that the kernel goes on closing: what becomes of the port is told when it is known. */
static __always_inline void close_later(struct sock *sk, bool btf)
{
	__u64 key = (__u64)sk;
	struct close_call call;

	if (!handler_wanted(sk, RAW_CLOSE, 0))
		return;
	process_tell();
	handler_fill(&call.ev, sk, RAW_CLOSE, 0, btf);
	close_fill_end(&call.ev, sk, NULL);
	close_fill(&call.ev, sk, true);
	if (!bpf_map_update_elem(&closes, &key, &call, BPF_NOEXIST))
		return;
	if (bpf_map_update_elem(&closes, &key, &call, BPF_EXIST)) /* full: told without what becomes of the port */
		emit_copy(&call.ev);
	else
		COUNT(lost_state); /* of an older socket at this address, which was never told */
}

static __always_inline void close_now(struct sock *sk, bool was_connected, const struct end *end, bool btf)
{
	bool tcp = BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
	struct raw_event *ev = handler_begin(sk, RAW_CLOSE, tcp && was_connected ? close_error(sk, end) : 0, btf);

	if (!ev)
		return;
	if (tcp && was_connected)
		close_fill_end(ev, sk, end);
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP && ev->after == RAW_AFTER_NONE)
		ev->after = RAW_AFTER_CLOSED;
	close_fill(ev, sk, was_connected);
	emit_submit(ev);
}

/*
 * The last reference to a socket is gone, in the process that had it. A socket that holds no port now and never
 * was connected has nothing to tell: its failed connect() or bind() has been told.
 */
static __always_inline void handle_release(struct sock *sk, bool btf)
{
	__u64 key = (__u64)sk;
	bool tcp, was_connected;
	struct attempt *at;
	struct end *noted, end = {};

	if (!sk || !sock_is_traced(sk))
		return;
	tcp = BPF_CORE_READ(sk, sk_protocol) == IPPROTO_TCP;
	at = tcp ? bpf_map_lookup_elem(&attempts, &key) : NULL;
	if (at)
		handle_open_attempt(sk, at);
	was_connected = sock_was_connected(sk);
	if (tcp && state_is_connected(BPF_CORE_READ(sk, __sk_common.skc_state))) {
		bpf_map_delete_elem(&ends, &key);
		close_later(sk, btf);
		return;
	}
	noted = tcp ? bpf_map_lookup_elem(&ends, &key) : NULL;
	if (noted) {
		end = *noted;
		bpf_map_delete_elem(&ends, &key);
	}
	if (was_connected || BPF_CORE_READ(sk, __sk_common.skc_num))
		close_now(sk, was_connected, noted ? &end : NULL, btf);
}

/* __tcp_close() returned, and no change to CLOSE has told it: the FIN's way is not over. */
static __always_inline void handle_close_exit(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct close_call *call = bpf_map_lookup_elem(&closes, &key);

	if (call)
		close_tell(sk, call,
			   BPF_CORE_READ(sk, __sk_common.skc_state) == TCP_CLOSE ? RAW_AFTER_CLOSED : RAW_AFTER_CLOSING);
}

/*
 * tcp_disconnect(): a listener that is shut down, a connection that the program drops with connect(AF_UNSPEC), and
 * each connection that still waits for accept() when its listener ends. All in the process that did it.
 */
static __always_inline void handle_disconnect(struct sock *sk, bool btf)
{
	__u64 key = (__u64)sk;
	__u8 state = BPF_CORE_READ(sk, __sk_common.skc_state);
	bool waiting = !BPF_CORE_READ(sk, sk_socket) && !sock_flag(sk, SOCK_DEAD);
	struct end *noted, end = {};
	struct raw_event *ev;

	if (!sock_is_traced(sk) || (!waiting && state != TCP_LISTEN && !state_is_connected(state)) ||
	    (!waiting && (sock_mptcp_parent(sk) || bpf_map_lookup_elem(&closes, &key))))
		return; /* nothing ends; or a path of an MPTCP connection, or a close() does it (SO_LINGER 0) */
	noted = bpf_map_lookup_elem(&ends, &key);
	if (noted) {
		end = *noted;
		bpf_map_delete_elem(&ends, &key);
	}
	ev = handler_begin(sk, RAW_CLOSE, state == TCP_CLOSE ? close_error(sk, noted ? &end : NULL) : 0, btf);
	if (!ev)
		return;
	if (waiting)
		ev->flags |= RAW_F_NEVER_ACCEPTED | RAW_F_INGRESS | RAW_F_FAILED;
	else
		ev->flags |= state == TCP_LISTEN ? RAW_F_SHUT_DOWN : RAW_F_DISCONNECTED;
	if (state != TCP_LISTEN)
		close_fill_end(ev, sk, noted ? &end : NULL);
	if (waiting)
		ev->after = RAW_AFTER_CLOSED;
	close_fill(ev, sk, state != TCP_LISTEN);
	emit_submit(ev);
}

#endif
