// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The cgroup backend: stable cgroup socket hooks, UAPI only, for kernels that refuse tracing programs. A pure
 * observer: every program returns 1 and writes nothing that the kernel or another program reads, but for the one
 * sockops flag that asks for state changes, which is or-ed in.
 *
 * These hooks run before an operation or after its success, never after its failure. So what was asked for waits in
 * the socket's state (`pending`), and is told as failed when the socket is used next or closed.
 */
#include <stdbool.h>
#include <stddef.h>
#include <linux/bpf.h>
#include <linux/types.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "porttrace/config.h"
#include "porttrace/raw_event.h"

#include "emit.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_UDPLITE 136
#define ECONNREFUSED 111

#include "select.bpf.h"
#include "who.bpf.h"

/* Context fields must be read by loads of their own size: clang joins neighbours, the verifier refuses that. */
#define FIELD(f) (*(volatile __u32 *)&(f))
#define FIELD64(f) (*(volatile __u64 *)&(f))
/* Of a change of state. Read anew by each function: of a number that was compared verifiers follow each value to the
 * end. */
#define OLD_STATE(ctx) FIELD((ctx)->args[0])
#define NEW_STATE(ctx) FIELD((ctx)->args[1])
#define FIELD4(f) { FIELD((f)[0]), FIELD((f)[1]), FIELD((f)[2]), FIELD((f)[3]) }

#include "cgroup_state.bpf.h"

/* A connection begins: nothing is known of its end. */
static __always_inline void end_reset(struct state *st)
{
	st->end = (struct end){};
	st->released = 0;
}

/* The running process: right in all hooks but sockops. */
static __always_inline void state_set_process(struct state *st)
{
	__u64 id = bpf_get_current_pid_tgid();

	st->pid = id >> 32;
	st->tid = (__u32)id;
	st->uid = (__u32)bpf_get_current_uid_gid();
	st->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(st->comm, sizeof(st->comm));
}

/* The same in sockops, for what runs inside listen() and shutdown(). Kernels before 6.18 do not tell it there. */
static __always_inline void ops_set_process(struct state *st)
{
	if (config.has_ops_process)
		state_set_process(st);
}

/* Whose child it is, user space finds out. */
static __always_inline bool wanted_pid(const struct state *st)
{
	return !config.pid_count || config.follow || who_has_pid(st->pid);
}

/* What is known here is the name of the thread; the event will have that of the leader. */
static __always_inline bool wanted_comm(const struct state *st)
{
	__u64 comm[2];

	if (!config.comm_count || st->tid != st->pid)
		return true;
	__builtin_memcpy(comm, st->comm, sizeof(comm));
	return who_has_comm(comm);
}

/* Without a process, user space may know the socket's owner. */
static __always_inline bool wanted_process(const struct state *st)
{
	if (!st->pid)
		return true;
	return wanted_pid(st) && (!config.uid_count || who_has_uid(st->uid)) && wanted_comm(st) &&
	       who_has_cgroup(st->cgroup_id);
}

/* Stands once in each program, as event_tell: most of a program is the tests of filters, and what metrics count. The
 * kernel cuts out what is not asked for, at a price that grows with the square of the program's length. */
static __noinline bool event_is_selected(const struct state *st, const struct raw_event *ev)
{
	bool udp = st->protocol != IPPROTO_TCP;

	if (config.kinds && !(config.kinds & (1 << ev->kind)))
		return false;
	if (config.failed_only && !(ev->flags & (RAW_F_FAILED | RAW_F_UNKNOWN)))
		return false;
	if ((config.want_tcp || config.want_udp) && !(udp ? config.want_udp : config.want_tcp))
		return false;
	if (config.netns_cookie && st->netns_cookie && config.netns_cookie != st->netns_cookie)
		return false;
	return wanted_process(st) && select_event(ev);
}

static __always_inline bool wanted(const struct state *st, const struct raw_event *ev)
{
	return !config.selects || event_is_selected(st, ev);
}

static __noinline int event_tell(struct raw_event *ev)
{
	emit_copy(ev);
	return 0;
}

/* `time_ns`: 0 = now. */
static __always_inline void event_fill(struct raw_event *ev, const struct state *st, __u64 cookie, __u8 kind,
				       __u32 flags, __u64 time_ns)
{
	emit_init(ev, kind);
	ev->flags = flags | st->role;
	ev->time_ns = time_ns ?: bpf_ktime_get_boot_ns();
	ev->socket_id = ev->cookie = cookie;
	ev->cgroup_id = st->cgroup_id;
	ev->netns_cookie = st->netns_cookie;
	ev->pid = st->pid;
	ev->tid = st->tid;
	ev->uid = st->uid;
	ev->family = st->family;
	ev->protocol = st->protocol;
	__builtin_memcpy(ev->local_addr, st->local_addr, 16);
	__builtin_memcpy(ev->remote_addr, st->remote_addr, 16);
	ev->local_port = st->local_port;
	ev->remote_port = st->remote_port;
	__builtin_memcpy(ev->comm, st->comm, sizeof(ev->comm));
}

/* Of the options the hooks show these two. */
static __always_inline void event_options(struct raw_event *ev, const struct state *st)
{
	ev->mark = st->mark;
	ev->bound_ifindex = st->bound_ifindex;
}

static __always_inline void event_request(struct raw_event *ev, const struct state *st)
{
	ev->flags |= RAW_F_REQUESTED;
	ev->requested_family = st->family;
	ev->requested_port = st->requested_port;
	__builtin_memcpy(ev->requested_addr, st->requested_addr, 16);
}

/* Sends a finished event, if anyone wants it. */
static __always_inline void event_send(struct raw_event *ev, const struct state *st)
{
	if (!armed)
		return;
	if (wanted(st, ev))
		event_tell(ev);
	else
		emit_filtered();
}

/* Tells a bind() that no success followed. `at_connect`: a bind to port 0 that comes to connect() was not a failure:
 * IP_BIND_ADDRESS_NO_PORT leaves the choice to connect(). */
static __always_inline void tell_pending_bind(struct state *st, __u64 cookie, bool at_connect)
{
	struct raw_event ev;
	__u32 flags = RAW_F_LATE;

	if (st->pending != PENDING_BIND)
		return;
	st->pending = PENDING_NONE;
	if (st->requested_port)
		flags |= RAW_F_FAILED;
	else if (!at_connect)
		flags |= RAW_F_UNKNOWN;
	event_fill(&ev, st, cookie, RAW_BIND, flags, st->asked_ns);
	event_request(&ev, st);
	event_options(&ev, st);
	ev.local_port = 0;
	if (at_connect)
		__builtin_memcpy(ev.local_addr, st->requested_addr, 16);
	ev.how = st->requested_port ? RAW_HOW_EXPLICIT : at_connect ? RAW_HOW_NONE : RAW_HOW_BIND0;
	event_send(&ev, st);
}

/* Tells the result of the connect under way. */
static __always_inline void tell_connect(struct state *st, __u64 cookie, __u32 error, __u32 flags)
{
	struct raw_event ev;

	st->pending = PENDING_NONE;
	st->role = RAW_F_EGRESS;
	event_fill(&ev, st, cookie, RAW_CONNECT, flags, flags & RAW_F_LATE ? st->asked_ns : 0);
	event_options(&ev, st);
	ev.error = error;
	if (!(flags & RAW_F_LATE))
		ev.duration_ns = ev.time_ns - st->asked_ns;
	ev.how = st->how;
	if (st->how == RAW_HOW_CONNECT) {
		st->requested_port = 0;
		event_request(&ev, st);
	}
	event_send(&ev, st);
	if ((flags & RAW_F_FAILED) && !(flags & RAW_F_ABORTED)) { /* the port is given back */
		if (!st->port_locked)
			st->local_port = 0;
		st->remote_port = 0;
		st->role = 0;
	}
}

/* Not MPTCP: asking for its storage or cookie would make accepted sockets share the listener's. */
static __always_inline bool sock_is_traced(const struct bpf_sock *ctx)
{
	if (ctx->family != AF_INET && ctx->family != AF_INET6)
		return false;
	return (ctx->type == SOCK_STREAM && ctx->protocol == IPPROTO_TCP) ||
	       (ctx->type == SOCK_DGRAM && (ctx->protocol == IPPROTO_UDP || ctx->protocol == IPPROTO_UDPLITE));
}

/* --- creation, bind ------------------------------------------------------------------------------------------- */

SEC("cgroup/sock_create")
int c_create(struct bpf_sock *ctx)
{
	struct slot *slot;
	struct state *st;

	if (!sock_is_traced(ctx))
		return 1;
	slot = slot_take(bpf_get_socket_cookie(ctx));
	st = slot ? &slot->state : state_make(ctx);
	if (!st)
		return 1;
	st->born_ns = bpf_ktime_get_boot_ns();
	st->family = ctx->family;
	st->protocol = ctx->protocol;
	st->netns_cookie = bpf_get_netns_cookie(ctx);
	st->complete = 1;
	/* For the hooks of TCP that do not see who runs; all others ask anew. */
	if (ctx->protocol == IPPROTO_TCP && !config.has_ops_process)
		state_set_process(st);
	return 1;
}

/* The state of the socket of a sock_addr hook, made if it is older than us; NULL for sockets that are not traced. */
static __always_inline struct state *addr_state(struct bpf_sock_addr *ctx, __u64 *cookie)
{
	struct bpf_sock *sk = ctx->sk;
	struct slot *slot;
	struct state *st;

	if (!sk || (ctx->protocol != IPPROTO_TCP && ctx->protocol != IPPROTO_UDP &&
		    ctx->protocol != IPPROTO_UDPLITE))
		return NULL;
	*cookie = bpf_get_socket_cookie(ctx);
	slot = slot_find(*cookie);
	st = slot ? &slot->state : state_make(sk);
	if (!st)
		return NULL;
	if (!st->family) {
		st->family = sk->family;
		st->protocol = ctx->protocol;
		st->local_port = sk->src_port;
		st->netns_cookie = bpf_get_netns_cookie(ctx);
	}
	st->mark = sk->mark;
	st->bound_ifindex = sk->bound_dev_if;
	return st;
}

static __always_inline void bind_asked(struct state *st, __u64 cookie, __u16 port)
{
	tell_pending_bind(st, cookie, false);
	state_set_process(st);
	st->pending = PENDING_BIND;
	st->asked_ns = bpf_ktime_get_boot_ns();
	st->requested_port = port;
}

SEC("cgroup/bind4")
int c_bind4(struct bpf_sock_addr *ctx)
{
	__u32 ip = ctx->user_ip4;
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cookie;
	struct state *st = addr_state(ctx, &cookie);

	if (!st)
		return 1;
	bind_asked(st, cookie, port);
	__builtin_memset(st->requested_addr, 0, 16);
	*(__u32 *)st->requested_addr = ip;
	return 1;
}

SEC("cgroup/bind6")
int c_bind6(struct bpf_sock_addr *ctx)
{
	__u32 ip[4] = FIELD4(ctx->user_ip6);
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cookie;
	struct state *st = addr_state(ctx, &cookie);

	if (!st)
		return 1;
	bind_asked(st, cookie, port);
	__builtin_memcpy(st->requested_addr, ip, 16);
	return 1;
}

static __always_inline struct state *bound_state(struct bpf_sock *ctx, __u64 *cookie)
{
	if (!sock_is_traced(ctx))
		return NULL;
	*cookie = bpf_get_socket_cookie(ctx);
	return state_find(ctx, slot_find(*cookie));
}

static __always_inline void bound(struct state *st, __u64 cookie, __u16 port)
{
	struct raw_event ev;

	if (st->pending != PENDING_BIND)
		return;
	st->pending = PENDING_NONE;
	st->local_port = port;
	st->port_locked = st->requested_port != 0; /* SOCK_BINDPORT_LOCK */
	event_fill(&ev, st, cookie, RAW_BIND, 0, 0);
	event_request(&ev, st);
	event_options(&ev, st);
	ev.how = st->requested_port ? RAW_HOW_EXPLICIT : RAW_HOW_BIND0;
	event_send(&ev, st);
}

SEC("cgroup/post_bind4")
int c_bound4(struct bpf_sock *ctx)
{
	__u32 ip = FIELD(ctx->src_ip4), port = FIELD(ctx->src_port);
	__u64 cookie;
	struct state *st = bound_state(ctx, &cookie);

	if (!st)
		return 1;
	*(__u32 *)st->local_addr = ip;
	bound(st, cookie, port);
	return 1;
}

SEC("cgroup/post_bind6")
int c_bound6(struct bpf_sock *ctx)
{
	__u32 ip[4] = FIELD4(ctx->src_ip6);
	__u32 port = ctx->src_port;
	__u64 cookie;
	struct state *st = bound_state(ctx, &cookie);

	if (!st)
		return 1;
	__builtin_memcpy(st->local_addr, ip, 16);
	bound(st, cookie, port);
	return 1;
}

/* --- connect -------------------------------------------------------------------------------------------------- */

static __always_inline void connect_asked(struct state *st, __u64 cookie, __u16 port)
{
	struct raw_event ev;

	st->remote_port = port;
	st->asked_ns = bpf_ktime_get_boot_ns();
	if (st->protocol == IPPROTO_TCP) {
		st->pending = PENDING_CONNECT;
		st->started = 0;
		end_reset(st);
		st->how = st->local_port ? RAW_HOW_NONE : RAW_HOW_CONNECT;
		return;
	}
	/* UDP: no hook follows */
	st->role = RAW_F_EGRESS;
	event_fill(&ev, st, cookie, RAW_CONNECT, RAW_F_UNKNOWN, st->asked_ns);
	event_options(&ev, st);
	event_send(&ev, st);
}

static __always_inline void connect_before(struct state *st, __u64 cookie)
{
	tell_pending_bind(st, cookie, true);
	if (st->pending == PENDING_CONNECT && !st->started)
		tell_connect(st, cookie, 0, RAW_F_FAILED | RAW_F_LATE | RAW_F_NO_ROUTE_HINT);
	state_set_process(st);
}

SEC("cgroup/connect4")
int c_connect4(struct bpf_sock_addr *ctx)
{
	__u32 ip = ctx->user_ip4;
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cookie;
	struct state *st = addr_state(ctx, &cookie);

	if (!st)
		return 1;
	connect_before(st, cookie);
	__builtin_memset(st->remote_addr, 0, 16);
	*(__u32 *)st->remote_addr = ip;
	connect_asked(st, cookie, port);
	return 1;
}

SEC("cgroup/connect6")
int c_connect6(struct bpf_sock_addr *ctx)
{
	__u32 ip[4] = FIELD4(ctx->user_ip6);
	__u16 port = bpf_ntohs(ctx->user_port);
	__u64 cookie;
	struct state *st = addr_state(ctx, &cookie);

	if (!st)
		return 1;
	connect_before(st, cookie);
	__builtin_memcpy(st->remote_addr, ip, 16);
	connect_asked(st, cookie, port);
	return 1;
}

/* --- sockops: runs in any context, so the process is the one in the state ---------------------------------------- */

static __always_inline void ops_read_tuple(struct bpf_sock_ops *ctx, struct state *st)
{
	__u32 local_port = FIELD(ctx->local_port), remote_port = FIELD(ctx->remote_port);

	st->local_port = local_port;
	st->remote_port = bpf_ntohl(remote_port);
	if (st->family == AF_INET6) {
		__u32 l[4] = FIELD4(ctx->local_ip6);
		__u32 r[4] = FIELD4(ctx->remote_ip6);

		__builtin_memcpy(st->local_addr, l, 16);
		__builtin_memcpy(st->remote_addr, r, 16);
	} else {
		__u32 l = FIELD(ctx->local_ip4), r = FIELD(ctx->remote_ip4);

		*(__u32 *)st->local_addr = l;
		*(__u32 *)st->remote_addr = r;
	}
}

/* Asks for the changes of state. Again at each step: a program of somebody else may have cleared the flag. */
static __always_inline void ops_watch(struct bpf_sock_ops *ctx, struct slot *slot, struct state *st)
{
	__u32 flags = ctx->bpf_sock_ops_cb_flags;

	st->watched = (flags & BPF_SOCK_OPS_STATE_CB_FLAG) ||
		      bpf_sock_ops_cb_flags_set(ctx, flags | BPF_SOCK_OPS_STATE_CB_FLAG) == 0;
	if (slot)
		slot->over = !st->watched;
}

/* What listens has storage: those that it accepts get theirs from it. */
static __always_inline void ops_move(struct bpf_sock *sk, struct slot **slot, struct state **st)
{
	struct state *moved = state_make(sk);

	if (!moved)
		return;
	*moved = **st;
	slot_free(*slot);
	*slot = NULL;
	*st = moved;
}

static __always_inline void ops_listen(struct bpf_sock_ops *ctx, struct state *st, __u64 cookie)
{
	bool autobind = st->complete && !st->local_port;
	struct bpf_sock *sk = ctx->sk;
	struct raw_event ev;

	tell_pending_bind(st, cookie, false);
	ops_set_process(st);
	ops_read_tuple(ctx, st);
	st->remote_port = 0;
	__builtin_memset(st->remote_addr, 0, 16);
	st->role = 0;
	st->listener = cookie;
	end_reset(st);
	if (sk) {
		st->mark = sk->mark;
		st->bound_ifindex = sk->bound_dev_if;
	}
	event_fill(&ev, st, cookie, RAW_LISTEN, 0, 0);
	event_options(&ev, st);
	if (autobind) {
		__builtin_memset(st->requested_addr, 0, 16);
		st->requested_port = 0;
		event_request(&ev, st);
		ev.how = RAW_HOW_AUTOBIND;
	}
	event_send(&ev, st);
}

static __always_inline void ops_passive(struct bpf_sock_ops *ctx, struct state *st)
{
	ops_read_tuple(ctx, st);
	st->born_ns = bpf_ktime_get_boot_ns();
	st->role = RAW_F_INGRESS;
	st->pending = PENDING_NONE;
	st->accepted = 0;
	st->port_locked = 0;
	end_reset(st);
}

static __always_inline void ops_syn_failed(struct bpf_sock_ops *ctx, struct state *st, __u64 cookie)
{
	__u32 segs_in = FIELD(ctx->segs_in), retransmitted = FIELD(ctx->total_retrans);

	if (segs_in) /* only a reset ends SYN_SENT after a segment came in (tcp_rcv_synsent_state_process()) */
		tell_connect(st, cookie, ECONNREFUSED, RAW_F_FAILED);
	else
		tell_connect(st, cookie, 0, RAW_F_FAILED | (retransmitted ? RAW_F_TIMEOUT_HINT : RAW_F_UNREACH_HINT));
}

#include "cgroup_close.bpf.h"

/* Most calls are not for us, or tell what another has told: they are turned away before anything else is read. */
static __always_inline bool ops_concerns_us(struct bpf_sock_ops *ctx, __u32 op)
{
	if (op == BPF_SOCK_OPS_STATE_CB)
		return ops_state_concerns_us(OLD_STATE(ctx), NEW_STATE(ctx));
	return op == BPF_SOCK_OPS_TCP_CONNECT_CB || op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB ||
	       op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB || op == BPF_SOCK_OPS_TCP_LISTEN_CB;
}

SEC("sockops")
int c_ops(struct bpf_sock_ops *ctx)
{
	__u32 op = ctx->op;
	struct bpf_sock *sk;
	struct slot *slot;
	struct state *st;
	__u64 cookie;

	if (!ops_concerns_us(ctx, op))
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	slot = slot_find(cookie);
	st = slot ? &slot->state :
		    bpf_sk_storage_get(&states, sk, NULL,
				       op == BPF_SOCK_OPS_STATE_CB ? 0 : BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return 1;
	if (!st->family) {
		st->family = ctx->family;
		st->protocol = IPPROTO_TCP;
	}
	switch (op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		ops_read_tuple(ctx, st);
		st->started = 1;
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		if (st->pending == PENDING_CONNECT)
			tell_connect(st, cookie, 0, 0);
		break;
	case BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB:
		if (st->pending == PENDING_CONNECT && st->started) /* both sides connected at the same time */
			tell_connect(st, cookie, 0, 0);
		else
			ops_passive(ctx, st);
		break;
	case BPF_SOCK_OPS_TCP_LISTEN_CB:
		if (slot)
			ops_move(sk, &slot, &st);
		ops_listen(ctx, st, cookie);
		break;
	case BPF_SOCK_OPS_STATE_CB:
		ops_state(ctx, slot, st, cookie);
		return 1;
	}
	ops_watch(ctx, slot, st);
	return 1;
}

/* --- accept, UDP send, close ------------------------------------------------------------------------------------ */

/* The process that accepted, which the caller has set, shows itself: inside accept() when it asks for the peer's
 * address, else at close. */
static __always_inline void tell_accept(struct state *st, __u64 cookie, __u32 flags)
{
	struct raw_event ev;

	if (st->role != RAW_F_INGRESS || st->accepted)
		return;
	st->accepted = 1;
	event_fill(&ev, st, cookie, RAW_ACCEPT, flags, flags & RAW_F_LATE ? st->born_ns : 0);
	ev.how = RAW_HOW_INHERITED;
	event_send(&ev, st);
}

static __always_inline int getpeername(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct state *st;
	__u64 cookie;

	if (!sk || ctx->protocol != IPPROTO_TCP)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	st = state_find(sk, slot_find(cookie));
	if (!st || st->role != RAW_F_INGRESS || st->accepted)
		return 1;
	if (!st->netns_cookie)
		st->netns_cookie = bpf_get_netns_cookie(ctx);
	state_set_process(st);
	tell_accept(st, cookie, 0);
	return 1;
}

SEC("cgroup/getpeername4")
int c_peer4(struct bpf_sock_addr *ctx)
{
	return getpeername(ctx);
}

SEC("cgroup/getpeername6")
int c_peer6(struct bpf_sock_addr *ctx)
{
	return getpeername(ctx);
}

/* The kernel has bound an unbound UDP socket just before this hook. Older sockets may have been bound before. */
static __always_inline int udp_send(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *sk = ctx->sk;
	struct raw_event ev;
	struct state *st;
	__u64 cookie;

	if (!sk)
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	st = state_find(sk, slot_find(cookie));
	if (!st || !st->complete || st->local_port || !sk->src_port)
		return 1;
	st->local_port = sk->src_port;
	state_set_process(st);
	st->requested_port = 0;
	__builtin_memset(st->requested_addr, 0, 16);
	st->mark = sk->mark;
	st->bound_ifindex = sk->bound_dev_if;
	event_fill(&ev, st, cookie, RAW_BIND, 0, 0);
	event_request(&ev, st);
	event_options(&ev, st);
	ev.how = RAW_HOW_AUTOBIND;
	event_send(&ev, st);
	return 1;
}

SEC("cgroup/sendmsg4")
int c_send4(struct bpf_sock_addr *ctx)
{
	return udp_send(ctx);
}

SEC("cgroup/sendmsg6")
int c_send6(struct bpf_sock_addr *ctx)
{
	return udp_send(ctx);
}

/*
 * Of a socket that is older than us and that no hook has met, this one shows the far end only: the near one is in the
 * snapshot of user space. Whether its changes of state are told to us is not known, but to be hoped for: a porttrace
 * that ran before has asked for them.
 */
static __always_inline struct state *release_unmet(struct bpf_sock *ctx)
{
	__u32 ip4 = FIELD(ctx->dst_ip4), ip6[4] = FIELD4(ctx->dst_ip6);
	__u16 port = *(volatile __u16 *)&ctx->dst_port;
	struct state *st = state_make(ctx);

	if (!st)
		return NULL;
	st->family = ctx->family;
	st->protocol = ctx->protocol;
	st->netns_cookie = bpf_get_netns_cookie(ctx);
	st->remote_port = bpf_ntohs(port);
	if (st->family == AF_INET6)
		__builtin_memcpy(st->remote_addr, ip6, 16);
	else
		*(__u32 *)st->remote_addr = ip4;
	st->met_late = st->watched = 1;
	return st;
}

/* What comes before the close, and was not told yet. */
static __always_inline void release_settle(struct state *st, __u64 cookie)
{
	tell_pending_bind(st, cookie, false);
	if (st->pending == PENDING_CONNECT)
		tell_connect(st, cookie, 0,
			     st->started ? RAW_F_FAILED | RAW_F_ABORTED :
					   RAW_F_FAILED | RAW_F_LATE | RAW_F_NO_ROUTE_HINT);
	state_set_process(st);
	tell_accept(st, cookie, RAW_F_LATE);
}

static __always_inline void release_fill(struct raw_event *ev, const struct state *st, __u64 cookie, __u32 state)
{
	event_fill(ev, st, cookie, RAW_CLOSE, 0, 0);
	if (config.counts) /* how it came by its port, for count.bpf.h */
		ev->how = st->port_locked ? RAW_HOW_EXPLICIT :
			  st->role == RAW_F_EGRESS && st->protocol == IPPROTO_TCP ? RAW_HOW_CONNECT : RAW_HOW_NONE;
	if (st->complete || st->role == RAW_F_INGRESS)
		ev->duration_ns = ev->time_ns - st->born_ns;
	if (st->protocol == IPPROTO_TCP)
		close_fill_tcp(ev, st, state);
	else
		ev->after = RAW_AFTER_CLOSED;
}

/* Tells the close, or leaves it to the end of the connection; in the slot, where there is one. */
static __always_inline void release_tell(struct bpf_sock *ctx, struct slot *slot, struct state *st, __u64 cookie)
{
	__u32 state = FIELD(ctx->state);
	struct raw_event ev;

	st->released = 1;
	if (state == BPF_TCP_LISTEN)
		listener_ended(st, cookie);
	if (slot) {
		release_fill(&slot->close, st, cookie, state);
		close_slot(slot, st, cookie, state);
		return;
	}
	release_fill(&ev, st, cookie, state);
	if (!close_may_wait(st, &ev, state) || !close_wait(ctx, st, cookie, &ev))
		event_send(&ev, st);
}

SEC("cgroup/sock_release")
int c_release(struct bpf_sock *ctx)
{
	struct slot *slot;
	struct state *st;
	__u64 cookie;

	if (!sock_is_traced(ctx))
		return 1;
	cookie = bpf_get_socket_cookie(ctx);
	slot = slot_find(cookie);
	st = state_find(ctx, slot);
	if (!st)
		st = release_unmet(ctx);
	if (!st)
		return 1;
	release_settle(st, cookie);
	if (st->local_port || st->met_late || (st->protocol != IPPROTO_TCP && st->role))
		release_tell(ctx, slot, st, cookie);
	else if (slot && slot_leave(slot, cookie, false))
		slot_free(slot);
	return 1;
}
