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
#define ERESTARTSYS 512 /* include/linux/errno.h: the call is begun again, the program sees no result */

/* A connect() whose result is not known yet. Inserted by handle_connect_enter; deleted by the one who tells the
 * result, so deletion is the claim that makes it one event (mode X sees each state change twice), at the latest by
 * handle_release. An entry outlives its socket only where our programs were skipped: handle_connect_enter finds it. */
struct attempt {
	struct raw_event ev;
	__u32 error; /* reported by the kernel before the state changed; 0 = none yet */
	__u8 in_call; /* tcp_v*_connect() has not returned: 1; nested in tcp_v6_connect() (v4-mapped): 2 */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* struct sock * */
	__type(value, struct attempt);
} attempts SEC(".maps");

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

/* Room for an event about `sk` by the running process, with everything common filled in; NULL if none is wanted or
 * there is no room (both counted). */
static __always_inline struct raw_event *handler_begin(struct sock *sk, __u8 kind, int error, bool btf)
{
	struct raw_event *ev;

	if (!armed)
		return NULL;
	if (!prefilter_kind(kind) || (config.failed_only && !error) || !prefilter_process() ||
	    !prefilter_socket(sk)) {
		emit_filtered();
		return NULL;
	}
	ev = bpf_ringbuf_reserve(&ring, sizeof(*ev), 0);
	if (!ev) {
		emit_lost();
		return NULL;
	}
	__builtin_memset(ev, 0, sizeof(*ev));
	ev->magic = RAW_EVENT_MAGIC;
	ev->version = RAW_EVENT_VERSION;
	ev->kind = kind;
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->error = error;
	ev->flags = error ? RAW_F_FAILED : 0;
	sock_fill(ev, sk);
	ev->cookie = handler_cookie(sk, btf);
	sock_fill_process(ev);
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
	sock_fill_remote(ev, req);
	handler_end(ev, sk);
}

/* --- TCP connect: entry, return, and the state change that is the result ------------------------------------- */

static __always_inline void attempt_fill(struct attempt *at, struct sock *sk, const struct request *req, bool btf)
{
	struct raw_event *ev = &at->ev;

	__builtin_memset(at, 0, sizeof(*at));
	at->in_call = 1;
	ev->magic = RAW_EVENT_MAGIC;
	ev->version = RAW_EVENT_VERSION;
	ev->kind = RAW_CONNECT;
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->flags = RAW_F_EGRESS;
	sock_fill(ev, sk);
	ev->cookie = handler_cookie(sk, btf);
	sock_fill_remote(ev, req);
	if (!ev->local_port) {
		ev->how = RAW_HOW_CONNECT;
		ev->flags |= RAW_F_REQUESTED;
		ev->requested_family = ev->family;
		__builtin_memcpy(ev->requested_addr, ev->local_addr, 16);
	}
	sock_fill_process(ev);
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
	if (!ev.cookie)
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

/*
 * The kernel is about to wake whoever waits for the socket's error. Before tcp_done_with_error() (6.10, and stable
 * kernels from 6.1) that came ahead of the state change: a program on another CPU may take the error by SO_ERROR in
 * between, and sk_err is 0 when the state changes.
 */
static __always_inline void handle_error_report(struct sock *sk)
{
	__u64 key = (__u64)sk;
	struct attempt *at = bpf_map_lookup_elem(&attempts, &key);

	if (at)
		at->error = BPF_CORE_READ(sk, sk_err);
}

/* A TCP socket changed its state; softirq or timer, so the running process means nothing here. */
static __always_inline void handle_state(struct sock *sk, int old, int new, bool btf)
{
	__u64 key = (__u64)sk;
	struct attempt *at;
	int error = 0;

	if (btf && config.has_cookie_helper && old == TCP_SYN_RECV && new == TCP_ESTABLISHED)
		bpf_get_socket_cookie(sk); /* so that accept() finds one */
	/* SYN_SENT to SYN_RECV is a simultaneous open: no result yet */
	if ((old != TCP_SYN_SENT && old != TCP_SYN_RECV) || (new != TCP_ESTABLISHED && new != TCP_CLOSE))
		return;
	at = bpf_map_lookup_elem(&attempts, &key);
	if (!at || (at->in_call && new == TCP_CLOSE)) /* fails at once: handle_connect_exit tells */
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

/*
 * The last reference to a socket is gone, in the process that had it. A socket that holds no port now and never
 * was connected has nothing to tell: its failed connect() or bind() has been told.
 */
static __always_inline void handle_release(struct sock *sk, bool btf)
{
	__u64 key = (__u64)sk;
	struct attempt *at;
	struct raw_event *ev;
	__u16 num;
	bool was_connected;

	if (!sk || !sock_is_traced(sk))
		return;
	at = bpf_map_lookup_elem(&attempts, &key);
	if (at)
		handle_open_attempt(sk, at);
	num = BPF_CORE_READ(sk, __sk_common.skc_num);
	was_connected = sock_was_connected(sk);
	if (!num && !was_connected)
		return;
	ev = handler_begin(sk, RAW_CLOSE, 0, btf);
	if (!ev)
		return;
	ev->local_port = sock_local_port(sk);
	if (!was_connected) /* the peer of a connect that failed */
		ev->remote_port = 0;
	handler_end(ev, sk);
}

#endif
