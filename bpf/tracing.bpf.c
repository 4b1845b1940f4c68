// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The tracing backend: a table of contents of its hooks. Each hook takes its arguments out of the context and
 * calls one handler (handler.bpf.h). The loader attaches one of two sets (src/attach/tracing.c):
 *
 *   mode F  f_*  fentry, fexit and tp_btf: the cheapest, but on preemptible kernels they lose events
 *   mode X  x_*  kprobe and kretprobe, and what runs with bottom halves disabled by fentry and fexit; beside t_state
 *                the functions in which a state changes, or the classic tracepoint: loses nothing there
 *
 * Each function's name stands in its SEC(); src/attach/tracing.c has one row a program.
 */
#include "vmlinux.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "porttrace/config.h"
#include "porttrace/raw_event.h"

#include "emit.bpf.h"
#include "notes.bpf.h"
#include "compat.bpf.h"
#include "sock.bpf.h"
#include "prefilter.bpf.h"
#include "process.bpf.h"
#include "search.bpf.h"
#include "handler.bpf.h"
#include "connect.bpf.h"
#include "release.bpf.h"
#include "close.bpf.h"
#include "seccomp.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* No hook, and never run: room for what bpf/share.c puts there, one instruction of each kind that names a field. */
SEC("shared/fields")
int fields(void *ctx)
{
	asm volatile(".rept 512\nr0 = 0\n.endr");
	return 0;
}

/* The argument in slot n of a fentry/fexit context, for what the verifiers do not let a program read: arguments that
 * one kernel has and another has not, and pointers to numbers. */
static __always_inline __u64 slot(const __u64 *ctx, int n)
{
	__u64 value = 0;

	bpf_probe_read_kernel(&value, sizeof(value), (const void *)ctx + 8 * n);
	return value;
}

/* What a function with n arguments returned. n is of config, so the verifier sees one of these reads and removes the
 * others, which reach beyond some kernel's context; in C the compiler would make one read of them all. */
static __always_inline __u64 returned(const __u64 *ctx, int n)
{
	__u64 value = 0;

	if (n == 1)
		asm volatile("%0 = *(u64 *)(%1 + 8)" : "=r"(value) : "r"(ctx));
	else if (n == 2)
		asm volatile("%0 = *(u64 *)(%1 + 16)" : "=r"(value) : "r"(ctx));
	else if (n == 3)
		asm volatile("%0 = *(u64 *)(%1 + 24)" : "=r"(value) : "r"(ctx));
	else if (n == 4)
		asm volatile("%0 = *(u64 *)(%1 + 32)" : "=r"(value) : "r"(ctx));
	return value;
}

/* Calls a handler for a program that has only the socket's address. By the cast, where there is one, reading a field
 * costs a tenth. */
#define BY_SOCK(handler, sk, ...)                                       \
	handler(config.sock_type ? sock_cast(sk) : (sk), ##__VA_ARGS__, \
		config.sock_type ? PTR_CAST : PTR_PLAIN)

/* --- mode F -------------------------------------------------------------------------------------------------- */

SEC("fexit/__inet_bind")
int BPF_PROG(f_bind4, struct sock *sk, void *uaddr, int addr_len, __u32 flags, int ret)
{
	struct request req;

	if (!ret && handler_turns_away(sk, PTR_HOOK))
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_inet_bind(sk, &req, ret, PTR_HOOK);
	return 0;
}

SEC("fexit/__inet6_bind")
int BPF_PROG(f_bind6, struct sock *sk, void *uaddr, int addr_len, __u32 flags, int ret)
{
	struct request req;

	if (!ret && handler_turns_away(sk, PTR_HOOK))
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_inet_bind(sk, &req, ret, PTR_HOOK);
	return 0;
}

SEC("fexit/inet_bind")
int BPF_PROG(f_bind4_early, struct socket *sock, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_bind_early(sock->sk, &req, addr_len, ret, SOCKADDR_IN_SIZE, PTR_WALKED);
	return 0;
}

SEC("fexit/inet6_bind")
int BPF_PROG(f_bind6_early, struct socket *sock, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_bind_early(sock->sk, &req, addr_len, ret, SOCKADDR_IN6_SIZE, PTR_WALKED);
	return 0;
}

/* Since 6.6, MPTCP calls these instead of the two above, which call them too. */
SEC("fexit/inet_bind_sk")
int BPF_PROG(f_bind4_early_sk, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_bind_early(sk, &req, addr_len, ret, SOCKADDR_IN_SIZE, PTR_WALKED);
	return 0;
}

SEC("fexit/inet6_bind_sk")
int BPF_PROG(f_bind6_early_sk, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_bind_early(sk, &req, addr_len, ret, SOCKADDR_IN6_SIZE, PTR_WALKED);
	return 0;
}

SEC("fexit/inet_autobind")
int BPF_PROG(f_autobind, struct sock *sk, int ret)
{
	handle_autobind(sk, ret, PTR_HOOK);
	return 0;
}

SEC("fentry/inet_csk_listen_start")
int f_listen_enter(__u64 *ctx)
{
	handle_listen_enter((struct sock *)ctx[0], PTR_HOOK);
	return 0;
}

SEC("fexit/inet_csk_listen_start")
int f_listen(__u64 *ctx)
{
	handle_listen_exit((struct sock *)ctx[0], (int)returned(ctx, config.listen_nargs), PTR_HOOK);
	return 0;
}

SEC("fentry/tcp_v4_connect")
int BPF_PROG(f_connect4_enter, struct sock *sk, void *uaddr, int addr_len)
{
	handle_connect_enter(sk, uaddr, addr_len, true, PTR_HOOK);
	return 0;
}

SEC("fexit/tcp_v4_connect")
int BPF_PROG(f_connect4, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	handle_connect_exit(sk, ret, PTR_HOOK);
	return 0;
}

SEC("fentry/tcp_v6_connect")
int BPF_PROG(f_connect6_enter, struct sock *sk, void *uaddr, int addr_len)
{
	handle_connect_enter(sk, uaddr, addr_len, false, PTR_HOOK);
	return 0;
}

SEC("fexit/tcp_v6_connect")
int BPF_PROG(f_connect6, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	handle_connect_exit(sk, ret, PTR_HOOK);
	return 0;
}

SEC("fentry/tcp_connect")
int BPF_PROG(f_search, struct sock *sk)
{
	handle_connect_search(sk, PTR_HOOK);
	return 0;
}

SEC("fentry/inet_csk_get_port")
int BPF_PROG(f_get_port_enter, struct sock *sk, unsigned short port)
{
	search_begin(sk, port, PTR_HOOK);
	return 0;
}

SEC("fexit/inet_csk_get_port")
int BPF_PROG(f_get_port, struct sock *sk, unsigned short port)
{
	if (!port)
		search_end(sk);
	return 0;
}

SEC("fentry/udp_lib_get_port")
int BPF_PROG(f_udp_get_port_enter, struct sock *sk, unsigned short port)
{
	search_begin(sk, port, PTR_HOOK);
	return 0;
}

SEC("fexit/udp_lib_get_port")
int BPF_PROG(f_udp_get_port, struct sock *sk, unsigned short port)
{
	if (!port)
		search_end(sk);
	return 0;
}

SEC("fexit/inet_dgram_connect")
int BPF_PROG(f_udp_connect, struct socket *sock, void *uaddr, int addr_len, int flags, int ret)
{
	struct request req;

	sock_read_request(&req, uaddr, addr_len);
	handle_udp_connect(sock->sk, &req, ret, PTR_WALKED);
	return 0;
}

SEC("fexit/inet_csk_accept")
int f_accept(__u64 *ctx)
{
	struct sock *child = (struct sock *)returned(ctx, config.accept_nargs);

	if (child && !config.accept_by_graft)
		handle_accept(child, PTR_PLAIN);
	if (!child)
		handle_accept_failed((struct sock *)ctx[0],
				     compat_accept_error(slot(ctx, config.accept_nargs == 2 ? 1 : 2)), PTR_WALKED);
	return 0;
}

/* fexit misses the accepts that had begun before it was attached; this function runs when they return. */
SEC("fentry/security_sock_graft")
int BPF_PROG(f_graft, struct sock *sk)
{
	handle_accept(sk, PTR_HOOK);
	return 0;
}

/* close() by protocols and not by inet_release(): TCP's has locked the socket by then, so its state stays until the
 * function itself changes it. */
SEC("fentry/__tcp_close")
int BPF_PROG(f_release, struct sock *sk)
{
	handle_tcp_close(sk, PTR_HOOK);
	return 0;
}

SEC("fentry/sk_common_release")
int BPF_PROG(f_release_udp, struct sock *sk)
{
	if (sock_is_udp(sk, PTR_HOOK) && sock_is_traced_as(sk, IPPROTO_UDP, PTR_HOOK))
		handle_release_as(sk, IPPROTO_UDP, CLAIMER_CLOSE, PTR_HOOK);
	return 0;
}

SEC("fentry/mptcp_close")
int BPF_PROG(f_release_mptcp, struct sock *sk)
{
	handle_release_as(sk, IPPROTO_MPTCP, CLAIMER_CLOSE, PTR_HOOK);
	return 0;
}

SEC("fentry/tcp_disconnect")
int BPF_PROG(f_disconnect, struct sock *sk)
{
	handle_disconnect(sk, PTR_HOOK);
	return 0;
}

SEC("fentry/sock_def_error_report")
int BPF_PROG(f_error_report, struct sock *sk)
{
	handle_error(sk, READ(PTR_HOOK, sk, sk_err), RAW_AFTER_NONE, PTR_HOOK);
	return 0;
}

SEC("fexit/security_socket_bind")
int BPF_PROG(f_denied_bind, struct socket *sock, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_denied_bind(sock->sk, &req, ret, PTR_WALKED);
	return 0;
}

SEC("fexit/security_socket_connect")
int BPF_PROG(f_denied_connect, struct socket *sock, void *uaddr, int addr_len, int ret)
{
	struct request req;

	if (!ret && addr_len >= SOCKADDR_MIN_SIZE)
		return 0;
	sock_read_request(&req, uaddr, addr_len);
	handle_denied_connect(sock->sk, &req, addr_len, ret, PTR_WALKED);
	return 0;
}

SEC("fexit/tcp_v4_pre_connect")
int BPF_PROG(f_pre_connect4, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	struct request req;

	sock_read_request(&req, uaddr, addr_len);
	handle_pre_connect(sk, &req, ret, PTR_HOOK);
	return 0;
}

SEC("fexit/tcp_v6_pre_connect")
int BPF_PROG(f_pre_connect6, struct sock *sk, void *uaddr, int addr_len, int ret)
{
	struct request req;

	sock_read_request(&req, uaddr, addr_len);
	handle_pre_connect(sk, &req, ret, PTR_HOOK);
	return 0;
}

SEC("fexit/proc_do_large_bitmap")
int f_reserved(__u64 *ctx)
{
	sock_see_reserved((struct ctl_table *)slot(ctx, 0), (int)slot(ctx, 1), (const char *)slot(ctx, 2),
			  (const __u64 *)slot(ctx, 3));
	return 0;
}

/* Only with --seccomp: runs in every system call of a process that has a filter. */
SEC("fexit/__seccomp_filter")
int f_seccomp(__u64 *ctx)
{
	handle_seccomp((int)returned(ctx, config.seccomp_nargs));
	return 0;
}

/* Before landlock_log_denial() there was: of bind, connect, and sendto with MSG_FASTOPEN. */
SEC("fexit/current_check_access_socket")
int f_landlock_check(__u64 *ctx)
{
	if ((int)slot(ctx, 4))
		handle_landlock_denial();
	return 0;
}

SEC("fentry/landlock_log_denial")
int BPF_PROG(f_landlock)
{
	handle_landlock_denial();
	return 0;
}

/* --- both modes: the result of a TCP connect ------------------------------------------------------------------ */

SEC("tp_btf/inet_sock_set_state")
int t_state(__u64 *ctx)
{
	enum change change = state_change(ctx[1], ctx[2]);
	struct sock *sk = (struct sock *)ctx[0];

	if (!change)
		return 0;
	/* of another protocol no attempt is noted */
	if ((change == CHANGE_END || config.want_release) && READ(PTR_HOOK, sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	handle_change(sk, change, ctx[1], ctx[2], PTR_HOOK);
	return 0;
}

/* Mode X only: the twin that a preempted t_state cannot make the kernel skip, and the other way round. Where releases
 * are wanted: it comes after the port was given back, which is told first. */
SEC("tp/sock/inet_sock_set_state")
int t_state_classic(struct trace_event_raw_inet_sock_set_state *ctx)
{
	int old = ctx->oldstate, new = ctx->newstate;

	/* read once, and here: read in each way of BY_SOCK, clang makes one read of an address it reckons from ctx */
	asm volatile("" : "+r"(old), "+r"(new));
	if (ctx->protocol == IPPROTO_TCP)
		BY_SOCK(handle_state, (struct sock *)ctx->skaddr, old, new);
	return 0;
}

/*
 * Else these: the state changes inside them. The tracepoint runs at each of a connection's six changes and costs as
 * much as a kprobe. What else changes a state that matters runs in a process, and has a hook there: connect() that
 * fails at once, close(), disconnect.
 */
SEC("kprobe/tcp_finish_connect")
int BPF_KPROBE(x_established, struct sock *sk)
{
	BY_SOCK(handle_state, sk, TCP_SYN_SENT, TCP_ESTABLISHED);
	return 0;
}

SEC("kprobe/tcp_done")
int BPF_KPROBE(x_done, struct sock *sk)
{
	BY_SOCK(handle_done, sk);
	return 0;
}

/* Of the change to SYN_SENT, for a connect that fails after it: what undoes that, since 6.2; before, the search for a
 * port, which comes next. Where the connect returns 0 it has no need of a twin. */
SEC("kprobe/inet_bhash2_reset_saddr")
int BPF_KPROBE(x_syn_undone, struct sock *sk)
{
	handle_syn_sent(sk);
	return 0;
}

SEC("kprobe/inet_hash_connect")
int BPF_KPROBE(x_syn_sent4, void *death_row, struct sock *sk)
{
	handle_syn_sent(sk);
	return 0;
}

SEC("kprobe/inet6_hash_connect")
int BPF_KPROBE(x_syn_sent6, void *death_row, struct sock *sk)
{
	handle_syn_sent(sk);
	return 0;
}

/*
 * The last of __tcp_close(), for less than its return costs, where the socket has a FIN still to send or to get: it
 * asks if there is memory to wait for that, with bottom halves disabled, so nobody is preempted in it. If there is none
 * (`oom`) the state becomes CLOSE.
 */
SEC("fexit/tcp_check_oom")
int BPF_PROG(t_close, struct sock *sk, int shift, __u8 oom)
{
	if (!oom)
		handle_close_exit(sk, PTR_HOOK);
	return 0;
}

/* In softirq mostly: with a twin in mode X, like t_state. Says an error before anyone can take it. */
SEC("fentry/tcp_done_with_error")
int BPF_PROG(t_error, struct sock *sk, int error)
{
	handle_error(sk, error, RAW_AFTER_CLOSED, PTR_HOOK);
	return 0;
}

SEC("kprobe/tcp_done_with_error")
int BPF_KPROBE(x_error, struct sock *sk, int error)
{
	BY_SOCK(handle_error, sk, error, RAW_AFTER_CLOSED);
	return 0;
}

/* One of the two names is there: renamed in 6.10 (with the timer armed inside). */
SEC("fentry/inet_twsk_hashdance")
int BPF_PROG(t_time_wait, struct inet_timewait_sock *tw, struct sock *sk)
{
	handle_time_wait(tw, sk, PTR_HOOK);
	return 0;
}

SEC("fentry/inet_twsk_hashdance_schedule")
int BPF_PROG(t_time_wait2, struct inet_timewait_sock *tw, struct sock *sk)
{
	handle_time_wait(tw, sk, PTR_HOOK);
	return 0;
}

static __always_inline void time_wait_begins(struct inet_timewait_sock *tw, struct sock *sk)
{
	enum pointer ptr = config.sock_type ? PTR_CAST : PTR_PLAIN;

	handle_time_wait(tw, ptr ? sock_cast(sk) : sk, ptr);
}

/* Twins, mode X only. */
SEC("kprobe/inet_twsk_hashdance")
int BPF_KPROBE(x_time_wait, struct inet_timewait_sock *tw, struct sock *sk)
{
	time_wait_begins(tw, sk);
	return 0;
}

SEC("kprobe/inet_twsk_hashdance_schedule")
int BPF_KPROBE(x_time_wait2, struct inet_timewait_sock *tw, struct sock *sk)
{
	time_wait_begins(tw, sk);
	return 0;
}

/* Only with --follow. */
SEC("tp_btf/sched_process_fork")
int BPF_PROG(t_fork, struct task_struct *parent, struct task_struct *child)
{
	prefilter_fork(parent, child);
	return 0;
}

/* Only with -e release. */
SEC("fentry/inet_put_port")
int BPF_PROG(t_put_port, struct sock *sk)
{
	handle_put_port(sk, PTR_HOOK);
	return 0;
}

SEC("fentry/inet_twsk_bind_unhash")
int BPF_PROG(t_time_wait_end, struct inet_timewait_sock *tw)
{
	handle_time_wait_end(tw);
	return 0;
}

SEC("fentry/udp_lib_unhash")
int BPF_PROG(t_udp_release, struct sock *sk)
{
	handle_udp_release(sk, false, PTR_HOOK);
	return 0;
}

SEC("fentry/__udp_disconnect")
int BPF_PROG(t_udp_disconnect, struct sock *sk)
{
	handle_udp_disconnect(sk, PTR_HOOK);
	return 0;
}

/* Mode X. */
SEC("kprobe/inet_put_port")
int BPF_KPROBE(x_put_port, struct sock *sk)
{
	BY_SOCK(handle_put_port, sk);
	return 0;
}

SEC("kprobe/inet_twsk_bind_unhash")
int BPF_KPROBE(x_time_wait_end, struct inet_timewait_sock *tw)
{
	handle_time_wait_end(tw);
	return 0;
}

SEC("kprobe/udp_lib_unhash")
int BPF_KPROBE(x_udp_release, struct sock *sk)
{
	BY_SOCK(handle_udp_release, sk, false);
	return 0;
}

SEC("kprobe/__udp_disconnect")
int BPF_KPROBE(x_udp_disconnect, struct sock *sk)
{
	BY_SOCK(handle_udp_disconnect, sk);
	return 0;
}

/* --- mode X --------------------------------------------------------------------------------------------------- */

struct call {
	__u64 sk; /* struct sock * */
	/* The address that was passed: the caller's, so it is there still when the function returns. CALL_ACCEPT: where
	 * the kernel leaves the error. */
	__u64 uaddr;
	__u64 addr_len;
};

/*
 * Calls under way, by call_key(). Inserted by a kprobe, deleted by its kretprobe; an entry that is still there when the
 * same thread calls again tells that the return was lost. Those that are alone at their place stand in the array, their
 * keys apart, for the loader counts them; the others in the map. LRU: threads that ended inside a call leave theirs.
 */
__u64 call_keys[NOTES_PLACES] = {}; /* 0 = nothing stands here */
static struct call call_slots[NOTES_PLACES] = {};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct call);
} calls SEC(".maps");

static __always_inline __u64 call_key(enum call_fn fn)
{
	return once_pid_tgid() | (__u64)fn << CALL_FN_SHIFT;
}

/* False if the one before it was never deleted, or there is no room for this one. */
static __always_inline bool call_insert(__u64 key, const struct call *call)
{
	__u64 place = note_hash(key);
	bool is_lost = call_keys[place] == key;

	if (is_lost || note_claim(place, NOTE_CALL)) {
		call_slots[place] = *call;
		call_keys[place] = key;
		return !is_lost;
	}
	if (!bpf_map_update_elem(&calls, &key, call, BPF_NOEXIST))
		return true;
	note_drop(place, NOTE_CALL);
	bpf_map_update_elem(&calls, &key, call, BPF_EXIST);
	return false;
}

static __always_inline void call_read_request(struct request *req, const struct call *call)
{
	sock_read_request(req, (const void *)call->uaddr, (int)call->addr_len);
}

/* Is what this call is going to return told, whoever asks for it? */
static __always_inline bool call_is_event(enum call_fn fn, const struct call *call)
{
	struct sock *sk = (struct sock *)call->sk;
	struct request req;

	if (!CALL_IS_EVENT(fn) || !sk || !BY_SOCK(sock_is_traced, sk) || BY_SOCK(sock_is_second_path, sk))
		return false;
	if (fn != CALL_UDP_CONNECT)
		return true;
	call_read_request(&req, call);
	return req.family != AF_UNSPEC && BY_SOCK(sock_is_udp, sk); /* as handle_udp_connect() */
}

/* Does nobody want what this process does? Asked ahead of all else. */
static __always_inline bool call_turns_away(enum call_fn fn, const struct call *call)
{
	if (!armed)
		return true;
	if (!prefilter_asks_process() || prefilter_process())
		return false;
	if (call_is_event(fn, call))
		emit_filtered();
	return true;
}

static __always_inline int call_note(enum call_fn fn, const struct call *call)
{
	if (!call_insert(call_key(fn), call) && CALL_IS_EVENT(fn))
		COUNT(lost_state);
	return 0;
}

static __always_inline int call_enter(enum call_fn fn, struct sock *sk, const void *uaddr, int addr_len)
{
	struct call call = { (__u64)sk, (__u64)uaddr, (__u32)addr_len };

	if (call_turns_away(fn, &call) || !sk || !BY_SOCK(sock_is_traced, sk))
		return 0;
	return call_note(fn, &call);
}

/* The same where a table has an entry about the socket, which is why its call matters. */
static __always_inline int call_enter_known(enum call_fn fn, struct sock *sk, bool is_known)
{
	struct call call = { .sk = (__u64)sk };

	return is_known ? call_note(fn, &call) : 0;
}

/* The call that returns now, which is over; false if its entry was not seen. */
static __always_inline bool call_leave(enum call_fn fn, struct call *ret_call)
{
	__u64 key = call_key(fn), place = note_hash(key);
	struct call *call;

	if (call_keys[place] == key) {
		*ret_call = call_slots[place];
		call_keys[place] = 0;
	} else {
		call = note_count(place, NOTE_CALL) ? bpf_map_lookup_elem(&calls, &key) : NULL;
		if (!call)
			return false;
		*ret_call = *call;
		bpf_map_delete_elem(&calls, &key);
	}
	note_drop(place, NOTE_CALL);
	return true;
}

static __always_inline struct sock *sock_of(struct socket *sock)
{
	if (config.sock_type)
		return ((struct socket *)cast(sock, config.socket_type))->sk;
	return BPF_CORE_READ(sock, sk);
}

SEC("kprobe/__inet_bind")
int BPF_KPROBE(x_bind4_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND, sk, uaddr, addr_len);
}

SEC("kprobe/__inet6_bind")
int BPF_KPROBE(x_bind6_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND, sk, uaddr, addr_len);
}

static __always_inline int x_bind_return(int ret)
{
	struct request req;
	struct call call;

	if (!call_leave(CALL_BIND, &call))
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_inet_bind, (struct sock *)call.sk, &req, ret);
	return 0;
}

SEC("kretprobe/__inet_bind")
int BPF_KRETPROBE(x_bind4, int ret)
{
	return x_bind_return(ret);
}

SEC("kretprobe/__inet6_bind")
int BPF_KRETPROBE(x_bind6, int ret)
{
	return x_bind_return(ret);
}

SEC("kprobe/inet_bind")
int BPF_KPROBE(x_bind4_early_enter, struct socket *sock, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND_EARLY, sock_of(sock), uaddr, addr_len);
}

SEC("kprobe/inet6_bind")
int BPF_KPROBE(x_bind6_early_enter, struct socket *sock, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND_EARLY, sock_of(sock), uaddr, addr_len);
}

static __always_inline int x_bind_early_return(int ret, int addr_len_min)
{
	struct request req;
	struct call call;

	if (!call_leave(CALL_BIND_EARLY, &call) || !ret)
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_bind_early, (struct sock *)call.sk, &req, (int)call.addr_len, ret, addr_len_min);
	return 0;
}

SEC("kretprobe/inet_bind")
int BPF_KRETPROBE(x_bind4_early, int ret)
{
	return x_bind_early_return(ret, SOCKADDR_IN_SIZE);
}

SEC("kretprobe/inet6_bind")
int BPF_KRETPROBE(x_bind6_early, int ret)
{
	return x_bind_early_return(ret, SOCKADDR_IN6_SIZE);
}

SEC("kprobe/inet_bind_sk")
int BPF_KPROBE(x_bind4_early_sk_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND_EARLY, sk, uaddr, addr_len);
}

SEC("kprobe/inet6_bind_sk")
int BPF_KPROBE(x_bind6_early_sk_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_BIND_EARLY, sk, uaddr, addr_len);
}

SEC("kretprobe/inet_bind_sk")
int BPF_KRETPROBE(x_bind4_early_sk, int ret)
{
	return x_bind_early_return(ret, SOCKADDR_IN_SIZE);
}

SEC("kretprobe/inet6_bind_sk")
int BPF_KRETPROBE(x_bind6_early_sk, int ret)
{
	return x_bind_early_return(ret, SOCKADDR_IN6_SIZE);
}

SEC("kprobe/inet_autobind")
int BPF_KPROBE(x_autobind_enter, struct sock *sk)
{
	return call_enter(CALL_AUTOBIND, sk, NULL, 0);
}

SEC("kretprobe/inet_autobind")
int BPF_KRETPROBE(x_autobind, int ret)
{
	struct call call;

	if (call_leave(CALL_AUTOBIND, &call))
		BY_SOCK(handle_autobind, (struct sock *)call.sk, ret);
	return 0;
}

SEC("kprobe/inet_csk_listen_start")
int BPF_KPROBE(x_listen_enter, struct sock *sk)
{
	if (armed && prefilter_process())
		BY_SOCK(handle_listen_enter, sk);
	return call_enter(CALL_LISTEN, sk, NULL, 0);
}

SEC("kretprobe/inet_csk_listen_start")
int BPF_KRETPROBE(x_listen, int ret)
{
	struct call call;

	if (call_leave(CALL_LISTEN, &call))
		BY_SOCK(handle_listen_exit, (struct sock *)call.sk, ret);
	return 0;
}

SEC("kprobe/tcp_v4_connect")
int BPF_KPROBE(x_connect4_enter, struct sock *sk, void *uaddr, int addr_len)
{
	BY_SOCK(handle_connect_enter, sk, uaddr, addr_len, true);
	return call_enter_known(CALL_CONNECT4, sk, attempt_find((__u64)sk));
}

SEC("kretprobe/tcp_v4_connect")
int BPF_KRETPROBE(x_connect4, int ret)
{
	struct call call;

	if (call_leave(CALL_CONNECT4, &call))
		BY_SOCK(handle_connect_exit, (struct sock *)call.sk, ret);
	return 0;
}

SEC("kprobe/tcp_v6_connect")
int BPF_KPROBE(x_connect6_enter, struct sock *sk, void *uaddr, int addr_len)
{
	BY_SOCK(handle_connect_enter, sk, uaddr, addr_len, false);
	return call_enter_known(CALL_CONNECT6, sk, attempt_find((__u64)sk));
}

SEC("kretprobe/tcp_v6_connect")
int BPF_KRETPROBE(x_connect6, int ret)
{
	struct call call;

	if (call_leave(CALL_CONNECT6, &call))
		BY_SOCK(handle_connect_exit, (struct sock *)call.sk, ret);
	return 0;
}

SEC("kprobe/tcp_connect")
int BPF_KPROBE(x_search, struct sock *sk)
{
	BY_SOCK(handle_connect_search, sk);
	return 0;
}

SEC("kprobe/inet_csk_get_port")
int BPF_KPROBE(x_get_port_enter, struct sock *sk, unsigned short port)
{
	BY_SOCK(search_begin, sk, port);
	return 0;
}

SEC("kretprobe/inet_csk_get_port")
int BPF_KRETPROBE(x_get_port)
{
	search_end(NULL);
	return 0;
}

SEC("kprobe/udp_lib_get_port")
int BPF_KPROBE(x_udp_get_port_enter, struct sock *sk, unsigned short port)
{
	BY_SOCK(search_begin, sk, port);
	return 0;
}

SEC("kretprobe/udp_lib_get_port")
int BPF_KRETPROBE(x_udp_get_port)
{
	search_end(NULL);
	return 0;
}

SEC("kprobe/inet_dgram_connect")
int BPF_KPROBE(x_udp_connect_enter, struct socket *sock, void *uaddr, int addr_len)
{
	return call_enter(CALL_UDP_CONNECT, sock_of(sock), uaddr, addr_len);
}

SEC("kretprobe/inet_dgram_connect")
int BPF_KRETPROBE(x_udp_connect, int ret)
{
	struct request req;
	struct call call;

	if (!call_leave(CALL_UDP_CONNECT, &call))
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_udp_connect, (struct sock *)call.sk, &req, ret);
	return 0;
}

/* A kretprobe on a blocking function is useless; sock_graft() runs once for each accepted socket, in the process that
 * accepts. Other protocols' accepts go through it too. With bottom halves disabled: nobody is preempted in it. */
SEC("fentry/security_sock_graft")
int BPF_PROG(x_accept, struct sock *sk)
{
	if (sock_is_traced(sk, PTR_HOOK))
		sock_give_cookie(sk, PTR_HOOK);
	handle_accept(sk, PTR_HOOK);
	return 0;
}

SEC("kprobe/inet_csk_accept")
int BPF_KPROBE(x_accept_enter, struct sock *sk, void *arg1, void *arg2)
{
	return call_enter(CALL_ACCEPT, sk, config.accept_nargs == 2 ? arg1 : arg2, 0);
}

/* For failures only, and of those of threads that waited only some: a kretprobe has no place for more. A fexit program
 * is skipped while another one is preempted in it, which loses failures that nobody waited for. */
SEC("kretprobe/inet_csk_accept")
int BPF_KRETPROBE(x_accept_failed, struct sock *child)
{
	struct call call;

	if (call_leave(CALL_ACCEPT, &call) && !child)
		BY_SOCK(handle_accept_failed, (struct sock *)call.sk, compat_accept_error(call.uaddr));
	return 0;
}

SEC("kprobe/inet_release")
int BPF_KPROBE(x_release, struct socket *sock)
{
	struct sock *sk = sock_of(sock);

	BY_SOCK(handle_release, sk);
	return 0;
}

/* The other last thing in __tcp_close(), where the state is CLOSE. Also in softirq, when that comes later: where it is
 * missed then, x_done tells. Where close() gave up a connect, t_state has no other twin. */
SEC("kprobe/inet_csk_destroy_sock")
int BPF_KPROBE(x_closed, struct sock *sk)
{
	BY_SOCK(handle_close_exit, sk);
	BY_SOCK(handle_state, sk, TCP_SYN_SENT, TCP_CLOSE);
	return 0;
}

/* Changes the state to CLOSE: of a connect under way too. */
SEC("kprobe/tcp_disconnect")
int BPF_KPROBE(x_disconnect, struct sock *sk)
{
	if (!config.want_release) /* else t_state_classic tells */
		BY_SOCK(handle_disconnected_attempt, sk);
	BY_SOCK(handle_disconnect, sk);
	return 0;
}

SEC("kprobe/sock_def_error_report")
int BPF_KPROBE(x_error_report, struct sock *sk)
{
	BY_SOCK(handle_error, sk, BPF_CORE_READ(sk, sk_err), RAW_AFTER_NONE);
	return 0;
}

SEC("kprobe/security_socket_bind")
int BPF_KPROBE(x_denied_bind_enter, struct socket *sock, void *uaddr, int addr_len)
{
	return call_enter(CALL_DENIED_BIND, sock_of(sock), uaddr, addr_len);
}

SEC("kretprobe/security_socket_bind")
int BPF_KRETPROBE(x_denied_bind, int ret)
{
	struct request req;
	struct call call;

	if (!call_leave(CALL_DENIED_BIND, &call) || !ret)
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_denied_bind, (struct sock *)call.sk, &req, ret);
	return 0;
}

SEC("kprobe/security_socket_connect")
int BPF_KPROBE(x_denied_connect_enter, struct socket *sock, void *uaddr, int addr_len)
{
	return call_enter(CALL_DENIED_CONNECT, sock_of(sock), uaddr, addr_len);
}

SEC("kretprobe/security_socket_connect")
int BPF_KRETPROBE(x_denied_connect, int ret)
{
	struct request req;
	struct call call;
	int addr_len;

	if (!call_leave(CALL_DENIED_CONNECT, &call))
		return 0;
	addr_len = (int)call.addr_len;
	if (!ret && addr_len >= SOCKADDR_MIN_SIZE)
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_denied_connect, (struct sock *)call.sk, &req, addr_len, ret);
	return 0;
}

SEC("kretprobe/__seccomp_filter")
int BPF_KRETPROBE(x_seccomp, int ret)
{
	handle_seccomp(ret);
	return 0;
}

SEC("kretprobe/current_check_access_socket")
int BPF_KRETPROBE(x_landlock_check, int ret)
{
	if (ret)
		handle_landlock_denial();
	return 0;
}

SEC("kprobe/landlock_log_denial")
int BPF_KPROBE(x_landlock)
{
	handle_landlock_denial();
	return 0;
}

static __always_inline int x_pre_connect_return(int ret)
{
	struct request req;
	struct call call;

	if (!call_leave(CALL_PRE_CONNECT, &call) || !ret)
		return 0;
	call_read_request(&req, &call);
	BY_SOCK(handle_pre_connect, (struct sock *)call.sk, &req, ret);
	return 0;
}

SEC("kprobe/tcp_v4_pre_connect")
int BPF_KPROBE(x_pre_connect4_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_PRE_CONNECT, sk, uaddr, addr_len);
}

SEC("kretprobe/tcp_v4_pre_connect")
int BPF_KRETPROBE(x_pre_connect4, int ret)
{
	return x_pre_connect_return(ret);
}

SEC("kprobe/tcp_v6_pre_connect")
int BPF_KPROBE(x_pre_connect6_enter, struct sock *sk, void *uaddr, int addr_len)
{
	return call_enter(CALL_PRE_CONNECT, sk, uaddr, addr_len);
}

SEC("kretprobe/tcp_v6_pre_connect")
int BPF_KRETPROBE(x_pre_connect6, int ret)
{
	return x_pre_connect_return(ret);
}
