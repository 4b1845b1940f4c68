/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What each hook of the tracing backend does, written once for both attach modes: bind, listen, accept, UDP connect,
 * denials. TCP connect is in connect.bpf.h, the end of connections and close() in close.bpf.h. Handlers get the
 * kernel's own objects; `ptr` says how the memory of `sk` may be read. Return values of kernel functions are 0 or
 * -errno unless said otherwise.
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

/* Does anyone want this event, if its process is wanted? If not, it is counted. `failed`: it has, or may yet. */
static __always_inline bool handler_wants(struct sock *sk, __u8 kind, bool failed, enum pointer ptr)
{
	if (!config.selects)
		return true;
	if (prefilter_kind(kind) && !(config.failed_only && !failed) && prefilter_socket(sk, ptr) &&
	    prefilter_ends(sk, kind, failed, ptr))
		return true;
	emit_filtered();
	return false;
}

/* The same, of the running process. */
static __always_inline bool handler_wanted(struct sock *sk, __u8 kind, bool failed, enum pointer ptr)
{
	if (!armed)
		return false;
	if (!config.selects)
		return true;
	if (prefilter_kind(kind) && !(config.failed_only && !failed) && prefilter_process() &&
	    prefilter_socket(sk, ptr) && prefilter_ends(sk, kind, failed, ptr))
		return true;
	emit_filtered();
	return false;
}

/* Does nobody want events of the running process? Asked ahead of what costs more to read; counted like the above. */
static __always_inline bool handler_turns_away(struct sock *sk, enum pointer ptr)
{
	if (!config.selects || !prefilter_asks_process() || (armed && prefilter_process()))
		return false;
	if (armed && sock_is_traced(sk, ptr) && !sock_is_second_path(sk, ptr))
		emit_filtered();
	return true;
}

/* The same of the peer of a connect(), ahead of it. */
static __always_inline bool handler_wants_peer(struct sock *sk, const struct request *req, enum pointer ptr)
{
	if (!armed || !config.selects || prefilter_peer(sk, req, ptr))
		return true;
	emit_filtered();
	return false;
}

/* Everything common, for an event of the running process. */
static __always_inline void handler_fill_common(struct raw_event *ev, struct sock *sk, int error, enum pointer ptr)
{
	ev->time_ns = bpf_ktime_get_boot_ns();
	ev->error = error;
	ev->flags = error ? RAW_F_FAILED : 0;
	sock_fill(ev, sk, ptr);
	sock_fill_process(ev);
}

/* The same with the beginning. `ev` may hold anything. */
static __always_inline void handler_fill(struct raw_event *ev, struct sock *sk, __u8 kind, int error, enum pointer ptr)
{
	emit_init(ev, kind);
	handler_fill_common(ev, sk, error, ptr);
}

/* The same on the stack, of a process that is told with it. */
static __always_inline void handler_fill_on_stack(struct raw_event *ev, struct sock *sk, __u8 kind, int error,
						  enum pointer ptr)
{
	emit_init_on_stack(ev, kind);
	handler_fill_common(ev, sk, error, ptr);
	process_tell_as(ev->pid, ev->exec_id, ev->process_start_ns);
}

/* Room for an event about `sk` by the running process, with everything common filled in; NULL if there is none, which
 * is counted. */
static __always_inline struct raw_event *handler_begin_wanted(struct sock *sk, __u8 kind, int error, bool failed,
							       enum pointer ptr)
{
	struct raw_event *ev;

	process_tell();
	ev = emit_reserve(kind, failed);
	if (!ev)
		return NULL;
	handler_fill(ev, sk, kind, error, ptr);
	return ev;
}

/* The same, or NULL if nobody wants it (counted too). `failed`: also without an error. */
static __always_inline struct raw_event *handler_begin_as(struct sock *sk, __u8 kind, int error, bool failed,
							   enum pointer ptr)
{
	return handler_wanted(sk, kind, failed, ptr) ? handler_begin_wanted(sk, kind, error, failed, ptr) : NULL;
}

static __always_inline struct raw_event *handler_begin(struct sock *sk, __u8 kind, int error, enum pointer ptr)
{
	return handler_begin_as(sk, kind, error, error != 0, ptr);
}

static __always_inline void handler_end(struct raw_event *ev, struct sock *sk, enum pointer ptr)
{
	sock_fill_truth(ev, sk, ptr);
	emit_submit(ev);
}

static __always_inline void handler_request(struct raw_event *ev, const struct request *req)
{
	ev->requested_family = req->family == AF_INET || req->family == AF_INET6 ? req->family : ev->family;
	ev->requested_port = req->port;
	__builtin_memcpy(ev->requested_addr, req->addr, 16);
	ev->flags |= RAW_F_REQUESTED;
}

/* bind(), after the kernel's __inet_bind() or __inet6_bind(); also a denial before it (RAW_F_DENIED). `req` NULL: the
 * address was too short to be read. */
static __always_inline void handle_bind(struct sock *sk, const struct request *req, int ret, __u32 flags,
					enum pointer ptr)
{
	struct raw_event *ev;
	__u64 searched_ns;

	searched_ns = req && !req->port ? search_take(sk) : 0;
	if (!sock_is_traced(sk, ptr) || sock_is_second_path(sk, ptr))
		return;
	ev = handler_begin(sk, RAW_BIND, -ret, ptr);
	if (!ev)
		return;
	if (req)
		handler_request(ev, req);
	search_fill(ev, searched_ns);
	ev->flags |= flags;
	sock_fill_options(ev, sk, ptr);
	ev->how = !req ? RAW_HOW_NONE : req->port ? RAW_HOW_EXPLICIT : RAW_HOW_BIND0;
	if (ret) /* what the socket holds now is from before, or half undone */
		ev->local_port = 0;
	else if (!ev->local_port) /* IP_BIND_ADDRESS_NO_PORT: connect() will choose */
		ev->how = RAW_HOW_NONE;
	handler_end(ev, sk, ptr);
}

/* __inet_bind() returned. -EPERM there is a cgroup/post_bind program's, and inet_bind() will return it again. */
static __always_inline void handle_inet_bind(struct sock *sk, const struct request *req, int ret, enum pointer ptr)
{
	if (ret == -EPERM)
		mark_set(MARK_BIND_TOLD);
	ret = (int)unknown((__u32)ret, unknown_zero);
	handle_bind(sk, req, ret, 0, ptr);
}

/* inet_bind() or inet6_bind() returned: only what they refuse before __inet_bind() is news. */
static __always_inline void handle_bind_early(struct sock *sk, const struct request *req, int addr_len, int ret,
					      int addr_len_min, enum pointer ptr)
{
	bool denied = ret == -EPERM && !mark_take(MARK_BIND_TOLD);

	if (!denied && (ret != -EINVAL || addr_len >= addr_len_min))
		return;
	denied = unknown(denied, unknown_zero);
	handle_bind(sk, denied ? req : NULL, ret, denied ? RAW_F_DENIED : 0, ptr);
}

/* The kernel binds a UDP socket by itself: first send, or connect(). */
static __always_inline void handle_autobind(struct sock *sk, int ret, enum pointer ptr)
{
	struct raw_event *ev;
	__u64 searched_ns;

	if (!sock_is_traced(sk, ptr))
		return;
	searched_ns = search_take(sk);
	ev = handler_begin(sk, RAW_BIND, -ret, ptr);
	if (!ev)
		return;
	search_fill(ev, searched_ns);
	ev->flags |= RAW_F_REQUESTED;
	ev->requested_family = ev->family;
	ev->how = RAW_HOW_AUTOBIND;
	sock_fill_options(ev, sk, ptr);
	handler_end(ev, sk, ptr);
}

static __always_inline void handle_listen_enter(struct sock *sk, enum pointer ptr)
{
	if (!READ(ptr, sk, __sk_common.skc_num))
		mark_set(MARK_LISTEN_UNBOUND);
}

static __always_inline void handle_listen_exit(struct sock *sk, int ret, enum pointer ptr)
{
	bool autobind = mark_take(MARK_LISTEN_UNBOUND);
	struct raw_event *ev;
	__u64 searched_ns;

	if (!sock_is_traced(sk, ptr))
		return;
	searched_ns = autobind ? search_take(sk) : 0;
	/* 5.10's get_port() fails with 1, which reaches the program as EADDRINUSE (inet_csk_listen_start()) */
	ev = handler_begin(sk, RAW_LISTEN, ret > 0 ? EADDRINUSE : -ret, ptr);
	if (!ev)
		return;
	ev->backlog = READ(ptr, sk, sk_max_ack_backlog);
	ev->flags |= RAW_F_BACKLOG;
	sock_fill_options(ev, sk, ptr);
	if (autobind) {
		search_fill(ev, searched_ns);
		ev->how = RAW_HOW_AUTOBIND;
		ev->flags |= RAW_F_REQUESTED;
		ev->requested_family = ev->family;
	}
	handler_end(ev, sk, ptr);
}

/* accept() has a new socket, which belongs to the running process. */
static __always_inline void handle_accept(struct sock *child, enum pointer ptr)
{
	struct raw_event *ev;

	if (!sock_is_traced(child, ptr))
		return;
	if (!handler_wanted(child, RAW_ACCEPT, false, ptr))
		return;
	sock_ask_tcp(child, ptr);
	ev = handler_begin_wanted(child, RAW_ACCEPT, 0, false, ptr);
	if (!ev)
		return;
	if (!ev->local_port) { /* reset in the queue: its port was given back, but it still says which */
		ev->after = ev->protocol == IPPROTO_TCP ? RAW_AFTER_CLOSED : RAW_AFTER_NONE;
		ev->local_port = sock_local_port(child, ptr);
	}
	ev->how = RAW_HOW_INHERITED;
	ev->flags |= RAW_F_INGRESS;
	handler_end(ev, child, ptr);
}

/* accept() failed. Nothing waiting (EAGAIN) and interruptions are not news. */
static __always_inline void handle_accept_failed(struct sock *listener, int err, enum pointer ptr)
{
	struct raw_event *ev;

	if (!err || err == -EAGAIN || err == -EINTR || err <= -ERESTARTSYS || !sock_is_traced(listener, ptr))
		return;
	ev = handler_begin(listener, RAW_ACCEPT, -err, ptr);
	if (ev)
		handler_end(ev, listener, ptr);
}

/* UDP connect(): only notes the peer. connect(AF_UNSPEC) undoes it and assigns nothing. */
static __always_inline void handle_udp_connect(struct sock *sk, const struct request *req, int ret, enum pointer ptr)
{
	struct raw_event *ev;

	if (req->family == AF_UNSPEC || !sock_is_udp(sk, ptr) || !sock_is_traced(sk, ptr))
		return; /* of AF_UNSPEC: or too short, told as early */
	if (!handler_wants_peer(sk, req, ptr))
		return;
	ev = handler_begin(sk, RAW_CONNECT, -ret, ptr);
	if (!ev)
		return;
	ev->flags |= RAW_F_EGRESS;
	sock_fill_options(ev, sk, ptr);
	if (ret) /* the socket keeps its old peer, if any: show the one that was asked for */
		sock_fill_remote(ev, req);
	handler_end(ev, sk, ptr);
}

/* connect() of a socket that has no port: the kernel picks one, or would have. */
static __always_inline void handler_ask_port(struct raw_event *ev)
{
	if (ev->local_port || (ev->protocol != IPPROTO_TCP && ev->protocol != IPPROTO_MPTCP))
		return;
	ev->how = RAW_HOW_CONNECT;
	ev->flags |= RAW_F_REQUESTED;
	ev->requested_family = ev->family;
	__builtin_memcpy(ev->requested_addr, ev->local_addr, 16);
}

/* connect() failed before a protocol saw it. `req` NULL: the address was too short to be read. */
static __always_inline void handle_connect_early(struct sock *sk, const struct request *req, int ret, enum pointer ptr)
{
	struct raw_event *ev;

	if (!sk || !sock_is_traced(sk, ptr) || (req && !handler_wants_peer(sk, req, ptr)))
		return;
	ev = handler_begin(sk, RAW_CONNECT, -ret, ptr);
	if (!ev)
		return;
	ev->flags |= RAW_F_EGRESS | (ret == -EPERM || ret == -EACCES ? RAW_F_DENIED : 0);
	sock_fill_options(ev, sk, ptr);
	if (req) {
		handler_ask_port(ev);
		sock_fill_remote(ev, req);
	} else {
		ev->flags |= RAW_F_NO_REMOTE;
	}
	handler_end(ev, sk, ptr);
}

/* security_socket_connect() returned. What it lets pass without an address that can be read fails in the next line:
 * __inet_stream_connect(), inet_dgram_connect(), mptcp_stream_connect(). */
static __always_inline void handle_denied_connect(struct sock *sk, const struct request *req, int addr_len, int ret,
						  enum pointer ptr)
{
	bool readable = addr_len >= SOCKADDR_MIN_SIZE;
	__u64 zero = unknown_zero;

	if (!ret && readable)
		return;
	ret = (int)unknown((__u32)(ret ? ret : -EINVAL), zero);
	handle_connect_early(sk, unknown(readable, zero) ? req : NULL, ret, ptr);
}

/* An LSM refused bind() before the protocol saw it. */
static __always_inline void handle_denied_bind(struct sock *sk, const struct request *req, int ret, enum pointer ptr)
{
	if (ret && sk)
		handle_bind(sk, req, ret, RAW_F_DENIED, ptr);
}

#endif
