/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The end of connections: changes of state, close(), and what becomes of connections that nobody accepted. */
#ifndef CLOSE_BPF_H
#define CLOSE_BPF_H

/* Whether all is attached that the end of a connection takes: set by the loader. Before that no close is told, for much
 * of what it says would not be known. */
bool sees_ends = false;

/* A close() under way of a connection whose FIN is still to be exchanged. Noted by handle_release; whoever forgets it
 * tells: the change to CLOSE, or else the return of the close. Both have locked the socket. Those that are alone at
 * their place stand here, the others in the map. */
static struct close_slot {
	__u64 sk; /* struct sock *; 0 = nothing stands here */
	struct raw_event ev;
} close_slots[NOTES_PLACES] = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* struct sock * */
	__type(value, struct raw_event);
} closes SEC(".maps");

static __always_inline struct close_slot *close_slot(__u64 key)
{
	return &close_slots[note_place(key)];
}

static __always_inline struct raw_event *close_find(__u64 key)
{
	struct close_slot *slot = close_slot(key);

	if (!note_count(note_place(key), NOTE_CLOSE))
		return NULL;
	return slot->sk == key ? &slot->ev : bpf_map_lookup_elem(&closes, &key);
}

/* False if it was forgotten already. */
static __always_inline bool close_forget(__u64 key)
{
	volatile struct close_slot *slot = close_slot(key);

	if (slot->sk == key)
		slot->sk = 0;
	else if (bpf_map_delete_elem(&closes, &key))
		return false;
	note_drop(note_place(key), NOTE_CLOSE);
	return true;
}

/* What stands there of an older socket at this address was never told. False if there is no room. */
static __always_inline bool close_remember(__u64 key, const struct raw_event *ev)
{
	struct close_slot *slot = close_slot(key);
	bool old = slot->sk == key;

	if (old || note_claim(note_place(key), NOTE_CLOSE)) {
		slot->ev = *ev;
		*(volatile __u64 *)&slot->sk = key;
	} else if (bpf_map_update_elem(&closes, &key, ev, BPF_NOEXIST)) {
		note_drop(note_place(key), NOTE_CLOSE);
		old = !bpf_map_update_elem(&closes, &key, ev, BPF_EXIST);
		if (!old)
			return false;
	}
	if (old)
		COUNT(lost_state);
	return true;
}

/* How a connection ended whose socket the program has not closed yet. Inserted when it ends (most end with or after
 * the close, and are not here), deleted by handle_release or, for one that nobody accepted, by handle_disconnect. */
struct end {
	__u64 time_ns; /* of RAW_AFTER_TIME_WAIT and RAW_AFTER_CLOSING */
	__u32 error;
	__u8 closer; /* enum raw_closer */
	__u8 after; /* enum raw_after, of the moment of the end */
	__u16 reserved;
};

/* Those that are alone at their place stand here, the others in the map. */
static struct end_slot {
	__u64 sk; /* struct sock *; 0 = nothing stands here */
	struct end end;
} end_slots[NOTES_PLACES] = {};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__type(key, __u64); /* struct sock * */
	__type(value, struct end);
} ends SEC(".maps");

static __always_inline volatile struct end_slot *end_slot(__u64 key)
{
	return &end_slots[note_place(key)];
}

static __always_inline void end_copy(volatile struct end *to, const volatile struct end *from)
{
	to->time_ns = from->time_ns;
	to->error = from->error;
	to->closer = from->closer;
	to->after = from->after;
}

/* Nothing noted. By a 0 that the verifier does not know (`zero`: unknown_zero), as what end_find may write there. */
static __always_inline void end_blank(struct end *end, __u64 zero)
{
	end->time_ns = zero;
	end->error = (__u32)zero;
	end->closer = (__u8)zero;
	end->after = (__u8)zero;
}

/* What was noted of the end of the socket's connection; false = nothing was. */
static __always_inline bool end_find(__u64 key, struct end *ret)
{
	volatile struct end_slot *slot = end_slot(key);
	struct end *noted;

	if (!note_count(note_place(key), NOTE_END))
		return false;
	if (slot->sk == key) {
		end_copy(ret, &slot->end);
		return true;
	}
	noted = bpf_map_lookup_elem(&ends, &key);
	if (noted)
		end_copy(ret, noted);
	return noted;
}

/* The kernel has locked the socket. */
static __always_inline void end_note(__u64 key, const struct end *end)
{
	volatile struct end_slot *slot = end_slot(key);

	if (slot->sk == key) {
		end_copy(&slot->end, end);
	} else if (note_claim(note_place(key), NOTE_END)) {
		end_copy(&slot->end, end);
		slot->sk = key;
	} else if (bpf_map_update_elem(&ends, &key, end, BPF_NOEXIST)) {
		note_drop(note_place(key), NOTE_END); /* noted before, or the map is full */
		bpf_map_update_elem(&ends, &key, end, BPF_EXIST);
	}
}

/* By the process that closes or disconnects. */
static __always_inline void end_forget(__u64 key)
{
	volatile struct end_slot *slot = end_slot(key);

	if (!note_count(note_place(key), NOTE_END))
		return;
	if (slot->sk == key)
		slot->sk = 0;
	else if (bpf_map_delete_elem(&ends, &key))
		return;
	note_drop(note_place(key), NOTE_END);
}

static __always_inline bool end_take(__u64 key, struct end *ret)
{
	if (!end_find(key, ret))
		return false;
	end_forget(key);
	return true;
}

/* Only a close tells how the connection ended. */
static __always_inline bool end_matters(void)
{
	return armed && sees_ends && prefilter_kind(RAW_CLOSE);
}

#define STATES_CONNECTED (1 << TCP_ESTABLISHED | 1 << TCP_CLOSE_WAIT | SOCK_FIN_SENT)
#define STATES_OPENING (1 << TCP_SYN_SENT | 1 << TCP_SYN_RECV)

static __always_inline bool state_is_connected(int state)
{
	return 1U << state & STATES_CONNECTED;
}

/* Who has closed, or closes now if nobody has, a connection in this state. */
static __always_inline __u8 state_closer(int state)
{
	return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK ? RAW_CLOSER_REMOTE : RAW_CLOSER_LOCAL;
}

/* Who has ended a connection that comes from this state, with this error (positive). */
static __always_inline __u8 end_closer(int state, int error)
{
	if (state != TCP_ESTABLISHED || !error)
		return state_closer(state);
	return error == ECONNRESET || error == EPIPE ? RAW_CLOSER_REMOTE : RAW_CLOSER_NONE;
}

/*
 * A connection is about to end with this error (positive), and whoever waits for it to be woken. Noted ahead of the
 * change of state: a program on another CPU may take the error by SO_ERROR before, and sk_err is 0 then. The kernel
 * sets it in tcp_done_with_error() (6.10, and stable kernels from 6.1), before that in many places, and reports it
 * ahead of the change of state. `after`: RAW_AFTER_CLOSED where that change is sure to follow.
 */
static __always_inline void handle_error(struct sock *sk, int error, __u8 after, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct attempt *at = attempt_find(key);
	struct end end = { .error = error, .after = after };
	__u8 state;

	if (at) {
		at->error = error;
		return;
	}
	if (!error || !end_matters())
		return;
	/* what is not sure to be closed is told by a function of all sockets */
	if (after != RAW_AFTER_CLOSED && !(READ(ptr, sk, sk_protocol) == IPPROTO_TCP &&
					   sock_is_traced_as(sk, IPPROTO_TCP, ptr)))
		return;
	state = READ(ptr, sk, __sk_common.skc_state);
	if (!state_is_connected(state) || sock_flag(sk, SOCK_DEAD, ptr) || close_find(key) ||
	    sock_is_mptcp_path(sk, ptr))
		return;
	end.closer = end_closer(state, error);
	end_note(key, &end);
}

/* A close() is over as far as the port is concerned. Twins and its own return come here, one after the other, for all
 * have locked the socket: the first one tells. */
static __always_inline void close_tell(struct sock *sk, struct raw_event *closing, __u8 after)
{
	if (armed) {
		if (closing->after == RAW_AFTER_NONE)
			closing->after = after;
		emit_copy(closing);
	}
	close_forget((__u64)sk);
}

/* A connection came to its end: tells the close() under way, or notes how it ended for the close() to come. */
static __always_inline void close_state(struct sock *sk, __u64 old, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct raw_event *closing = close_find(key);
	struct end end = {};

	if (closing) {
		close_tell(sk, closing, RAW_AFTER_CLOSED);
		return;
	}
	if (!end_matters() || (end_find(key, &end) && end.error && end.after == RAW_AFTER_CLOSED))
		return; /* not asked for; or noted whole by handle_error */
	if (!end.error)
		end.error = READ(ptr, sk, sk_err);
	if (!end.error && old != TCP_FIN_WAIT2 && old != TCP_CLOSING && old != TCP_LAST_ACK)
		return; /* tcp_disconnect(): told by handle_disconnect */
	if (sock_flag(sk, SOCK_DEAD, ptr) || sock_is_mptcp_path(sk, ptr))
		return; /* closed and told; or another socket's to tell */
	if (end.after == RAW_AFTER_NONE)
		end.after = RAW_AFTER_CLOSED;
	end.closer = end_closer((int)old, (int)end.error);
	end_note(key, &end);
}

/* A small socket takes over from this one, whose state becomes CLOSE right after: for TIME_WAIT, or for FIN_WAIT2 if
 * the program has closed it before the peer's FIN has come. */
static __always_inline void handle_time_wait(struct inet_timewait_sock *tw, struct sock *sk, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct raw_event *closing = close_find(key);
	bool fin_wait2 = BPF_CORE_READ(tw, tw_substate) == TCP_FIN_WAIT2;
	struct end end = { .after = fin_wait2 ? RAW_AFTER_CLOSING : RAW_AFTER_TIME_WAIT };

	if (closing) {
		closing->after = end.after;
	} else if (end_matters() && !sock_flag(sk, SOCK_DEAD, ptr) && sock_is_traced(sk, ptr) &&
		   !sock_is_mptcp_path(sk, ptr)) {
		end.time_ns = bpf_ktime_get_boot_ns();
		end_note(key, &end);
	}
	release_move(sk, tw, ptr);
}

/* Changes of a TCP socket's state that say something. Most do not. */
enum change { CHANGE_NONE, CHANGE_LISTEN, CHANGE_CONNECT, CHANGE_RESULT, CHANGE_END };

/* Of 64 bits, as the tracepoint has them: to make ints of them costs more than to ask. */
static __always_inline enum change state_change(__u64 old, __u64 new)
{
	__u64 from = 1ULL << old;

	if (new == TCP_CLOSE && (from & STATES_CONNECTED))
		return CHANGE_END;
	if (new == TCP_CLOSE || new == TCP_ESTABLISHED) /* SYN_SENT to SYN_RECV is a simultaneous open: no result yet */
		return from & STATES_OPENING ? CHANGE_RESULT : CHANGE_NONE;
	if (old != TCP_CLOSE)
		return CHANGE_NONE;
	if (new == TCP_SYN_SENT)
		return CHANGE_CONNECT;
	return new == TCP_LISTEN && config.want_release ? CHANGE_LISTEN : CHANGE_NONE;
}

/* A TCP socket changed its state; softirq or timer, so the running process means nothing here. */
static __always_inline void handle_change(struct sock *sk, enum change change, __u64 old, __u64 new, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct attempt *at;
	int error = 0;

	if (!config.accept_by_graft && ptr == PTR_HOOK && config.has_cookie_helper && old == TCP_SYN_RECV &&
	    new == TCP_ESTABLISHED)
		bpf_get_socket_cookie(sk); /* so that accept() finds one */
	if (change == CHANGE_END) {
		close_state(sk, old, ptr);
		return;
	}
	if (change != CHANGE_RESULT)
		release_begin(sk);
	if (change == CHANGE_LISTEN)
		return;
	at = attempt_find(key);
	if (!at || (old == TCP_SYN_RECV && !READ(ptr, sk, sk_socket))) /* not accepted yet: it never connected */
		return;
	if (change == CHANGE_CONNECT) {
		attempt_syn_sent(at);
		return;
	}
	if (at->in_call && new == TCP_CLOSE) { /* fails at once, handle_connect_exit tells */
		handle_connect_searched(sk, at, ptr);
		return;
	}
	if (new == TCP_CLOSE)
		error = READ(ptr, sk, sk_err);
	if (new == TCP_CLOSE && !error)
		error = at->error;
	attempt_end(sk, at, error, new == TCP_CLOSE && !error ? RAW_F_ABORTED | RAW_F_FAILED : 0, CLAIMER_LOCKED,
		    ptr);
}

static __always_inline void handle_state(struct sock *sk, __u64 old, __u64 new, enum pointer ptr)
{
	enum change change = state_change(old, new);

	if (change)
		handle_change(sk, change, old, new, ptr);
}

/*
 * A socket is closed with its connect still open: given up; or the program that should have told was skipped. One that
 * is connected tells its success itself. (In mode X the end of a simultaneous open, which a socket has that connects to
 * itself, is the one change that no twin sees.)
 */
static __always_inline void handle_open_attempt(struct sock *sk, struct attempt *at, __u8 state, enum claimer who,
						enum pointer ptr)
{
	bool connected = state_is_connected(state);
	__u64 key = (__u64)sk;

	if (!at->in_call && (connected || state == TCP_SYN_SENT || state == TCP_SYN_RECV))
		attempt_end(sk, at, 0, connected ? RAW_F_LATE : RAW_F_ABORTED | RAW_F_FAILED, who, ptr);
	else if (attempt_forget(key, who, true) && armed)
		COUNT(lost_state);
}

/* handle_state() before the change, which is to CLOSE. Ahead of the end of a connection comes its success, if that was
 * not seen. */
static __always_inline void handle_done(struct sock *sk, enum pointer ptr)
{
	__u8 state = READ(ptr, sk, __sk_common.skc_state);
	enum change change = state_change(state, TCP_CLOSE);
	struct attempt *at;

	if (!change || READ(ptr, sk, sk_protocol) != IPPROTO_TCP)
		return;
	at = change == CHANGE_END ? attempt_find((__u64)sk) : NULL;
	if (at)
		handle_open_attempt(sk, at, state, CLAIMER_LOCKED, ptr);
	handle_change(sk, change, state, TCP_CLOSE, ptr);
}

/* Has a TCP socket with a peer's address heard of that peer? After a reset the port is free already and the state says
 * nothing, but rcv_nxt does: tcp_connect_init() zeroes it, the first segment of the peer sets it. */
static __always_inline bool sock_has_answer(struct sock *sk, __u8 state, enum pointer ptr)
{
	struct tcp_sock *tcp;

	if (state == TCP_SYN_SENT)
		return true;
	tcp = sock_tcp(sk, ptr);
	return tcp && READ(ptr, tcp, rcv_nxt);
}

/* Has the socket a peer, or had it one? Of an MPTCP socket its first path knows, while it has one. */
static __always_inline bool sock_was_connected(struct sock *sk, __u16 protocol, __u8 state, enum pointer ptr)
{
	struct sock *first = NULL;

	if (!READ(ptr, sk, __sk_common.skc_dport))
		return false;
	if (protocol == IPPROTO_TCP)
		return sock_has_answer(sk, state, ptr);
	if (protocol == IPPROTO_MPTCP && config.mptcp_first_offset)
		bpf_probe_read_kernel(&first, sizeof(first), (void *)sk + config.mptcp_first_offset);
	return !first || sock_has_answer(first, BPF_CORE_READ(first, __sk_common.skc_state), PTR_PLAIN);
}

/*
 * Which side connected: RAW_F_INGRESS or RAW_F_EGRESS. A connection that a listener got has the device that its SYN
 * came by (tcp_v4_syn_recv_sock(), net/ipv4/tcp_ipv4.c; tcp_v6_syn_recv_sock()); nothing else sets that of a stream.
 */
static __always_inline __u32 close_role(struct sock *sk, enum pointer ptr)
{
	struct inet_sock *inet = (struct inet_sock *)sk;
	int device = 0;

	if (READ(ptr, sk, __sk_common.skc_family) == AF_INET)
		device = BPF_CORE_READ(inet, mc_index);
	else if (bpf_core_field_exists(inet->pinet6)) /* not in a kernel without IPv6 */
		device = BPF_CORE_READ(inet, pinet6, mcast_oif);
	return device ? RAW_F_INGRESS : RAW_F_EGRESS;
}

/* The end of a TCP connection as it stands when it is closed; `end` is NULL where it has not ended before. */
static __always_inline void close_fill_end(struct raw_event *ev, struct sock *sk, __u8 state, const struct end *end,
					   enum pointer ptr)
{
	sock_fill_bytes(ev, sk, ptr);
	if (config.selects) /* else the ledger knows: it was told of the beginning */
		ev->flags |= close_role(sk, ptr);
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
static __always_inline int close_error(struct sock *sk, __u8 state, const struct end *end, enum pointer ptr)
{
	if (state != TCP_CLOSE)
		return 0;
	return end && end->error ? (int)end->error : READ(ptr, sk, sk_err);
}

/* How the socket came by its port, as far as it can be seen: for count.bpf.h. */
static __always_inline __u8 close_how(struct sock *sk, enum pointer ptr)
{
	struct inet_bind_bucket *bucket;

	if (sock_is_udp(sk, ptr))
		return READ_BITS(ptr, sk, sk_userlocks) & SOCK_BINDPORT_LOCK ? RAW_HOW_EXPLICIT : RAW_HOW_NONE;
	bucket = BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_bind_hash);
	/* connect() marks a bucket that it makes (__inet_hash_connect()) */
	return bucket && (signed char)BPF_CORE_READ(bucket, fastreuse) < 0 ? RAW_HOW_CONNECT : RAW_HOW_NONE;
}

static __always_inline void close_fill(struct raw_event *ev, struct sock *sk, bool was_connected, enum pointer ptr)
{
	if (config.counts)
		ev->how = close_how(sk, ptr);
	if (!ev->local_port)
		ev->local_port = sock_local_port(sk, ptr);
	if (!was_connected) /* the peer of a connect that failed */
		ev->remote_port = 0;
	sock_fill_truth(ev, sk, ptr);
}

/* A connection that the kernel goes on closing: what becomes of the port is told when it is known. */
static __always_inline void close_later(struct sock *sk, __u8 state, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct raw_event ev;

	if (!handler_wants(sk, RAW_CLOSE, false, ptr))
		return;
	handler_fill_on_stack(&ev, sk, RAW_CLOSE, 0, ptr);
	close_fill_end(&ev, sk, state, NULL, ptr);
	close_fill(&ev, sk, true, ptr);
	release_remember(sk, &ev, ptr);
	if (!close_remember(key, &ev)) /* told without what becomes of the port */
		emit_copy(&ev);
}

static __always_inline void close_now(struct sock *sk, __u16 protocol, __u8 state, bool was_connected,
				      const struct end *end, enum pointer ptr)
{
	bool tcp = protocol == IPPROTO_TCP;
	int error = tcp && was_connected ? close_error(sk, state, end, ptr) : 0;
	struct raw_event ev;

	error = (int)unknown((__u32)error, unknown_zero);
	if (!handler_wants(sk, RAW_CLOSE, error, ptr))
		return;
	handler_fill_on_stack(&ev, sk, RAW_CLOSE, error, ptr);
	if (tcp && state == TCP_SYN_SENT)
		ev.flags |= RAW_F_EGRESS;
	else if (tcp && was_connected)
		close_fill_end(&ev, sk, state, end, ptr);
	if (protocol != IPPROTO_MPTCP && ev.after == RAW_AFTER_NONE)
		ev.after = RAW_AFTER_CLOSED;
	close_fill(&ev, sk, was_connected, ptr);
	if (tcp && READ(ptr, sk, __sk_common.skc_num))
		release_remember(sk, &ev, ptr);
	emit_copy(&ev);
}

/* Does nobody want a close of the running process? If there is one to tell of it is counted, and how the connection
 * ended is forgotten. */
static __always_inline bool close_turns_away(struct sock *sk, __u16 protocol, __u8 state, enum pointer ptr)
{
	if (armed && prefilter_process())
		return false;
	end_forget((__u64)sk);
	if (armed && (READ(ptr, sk, __sk_common.skc_num) || sock_was_connected(sk, protocol, state, ptr)))
		emit_filtered();
	return true;
}

/*
 * The last reference to a socket is gone, in the process that had it. A socket that holds no port now and never
 * was connected has nothing to tell: its failed connect() or bind() has been told. `protocol`: IPPROTO_UDP also of
 * UDP-Lite. `who`: whether the kernel has locked it.
 */
static __always_inline void handle_release_as(struct sock *sk, __u16 protocol, enum claimer who, enum pointer ptr)
{
	__u64 key = (__u64)sk, zero = unknown_zero;
	bool tcp = protocol == IPPROTO_TCP, was_connected, noted;
	struct attempt *at;
	struct end end;
	__u8 state;

	if (!sees_ends)
		return;
	at = tcp ? attempt_find(key) : NULL;
	state = READ(ptr, sk, __sk_common.skc_state);
	if (at)
		handle_open_attempt(sk, at, state, who, ptr);
	if (close_turns_away(sk, protocol, state, ptr))
		return;
	sock_ask_tcp(sk, ptr);
	if (tcp && state_is_connected(state)) {
		end_forget(key);
		close_later(sk, state, ptr);
		return;
	}
	was_connected = unknown(sock_was_connected(sk, protocol, state, ptr), zero);
	end_blank(&end, zero);
	noted = unknown(tcp && end_take(key, &end), zero);
	if (!was_connected && !READ(ptr, sk, __sk_common.skc_num))
		return;
	close_now(sk, protocol, (__u8)unknown(state, zero), was_connected, noted ? &end : NULL, ptr);
}

/* The same in inet_release(), which has not locked it. */
static __always_inline void handle_release(struct sock *sk, enum pointer ptr)
{
	__u16 protocol;

	if (!sk)
		return;
	protocol = READ(ptr, sk, sk_protocol);
	if (sock_is_traced_as(sk, protocol, ptr))
		handle_release_as(sk, (__u16)unknown(protocol, unknown_zero), CLAIMER_CLOSE, ptr);
}

/* __tcp_close(): also of a path of an MPTCP connection, which is not the socket that a program has. */
static __always_inline void handle_tcp_close(struct sock *sk, enum pointer ptr)
{
	struct socket *sock = READ(ptr, sk, sk_socket);
	struct sock *own = sock ? READ(ptr, sock, sk) : NULL;

	if (sock && (!own || own == sk))
		handle_release_as(sk, IPPROTO_TCP, CLAIMER_LOCKED, ptr);
}

/* __tcp_close() is over, and no change to CLOSE has told it: the FIN's way is not. Or the state had changed before the
 * close was noted, which mode X does without a lock. */
static __always_inline void handle_close_exit(struct sock *sk, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct raw_event *closing = close_find(key);
	__u8 after = RAW_AFTER_CLOSING;

	if (!closing)
		return;
	if (READ(ptr, sk, __sk_common.skc_state) == TCP_CLOSE)
		after = RAW_AFTER_CLOSED;
	close_tell(sk, closing, after);
}

/* __tcp_close() disconnects with SO_LINGER 0. It has shut down both ways by then without sending a FIN, which a program
 * cannot: so it shows also where handle_release was skipped. */
static __always_inline bool disconnect_by_close(struct sock *sk, __u8 state, enum pointer ptr)
{
	return close_find((__u64)sk) ||
	       ((state == TCP_ESTABLISHED || state == TCP_CLOSE_WAIT) &&
		READ(ptr, sk, sk_shutdown) == SHUTDOWN_MASK);
}

/*
 * tcp_disconnect(): a listener that is shut down, a connection that the program drops with connect(AF_UNSPEC), and
 * each connection that still waits for accept() when its listener ends. All in the process that did it.
 */
static __always_inline void handle_disconnect(struct sock *sk, enum pointer ptr)
{
	__u64 key = (__u64)sk, zero;
	__u8 state = READ(ptr, sk, __sk_common.skc_state);
	bool held = READ(ptr, sk, sk_socket) || sock_flag(sk, SOCK_DEAD, ptr), listening = state == TCP_LISTEN;
	struct end end = {};
	struct raw_event *ev;
	bool noted, waiting, path;
	int error;

	if (!sees_ends)
		return;
	if (held && state == TCP_CLOSE) /* how its last connection ended is no matter of the next one's */
		end_forget(key);
	if (held && !listening && (!state_is_connected(state) || disconnect_by_close(sk, state, ptr)))
		return; /* nothing ends; or handle_release tells */
	path = sock_mptcp_parent(sk, ptr);
	waiting = !held && !path;
	if (!sock_is_traced(sk, ptr) || (path && !listening)) /* only one path of an MPTCP connection */
		return;
	zero = unknown_zero;
	noted = unknown(end_take(key, &end), zero);
	state = (__u8)unknown(state, zero);
	listening = unknown(listening, zero);
	waiting = unknown(waiting, zero);
	error = close_error(sk, state, noted ? &end : NULL, ptr);
	error = (int)unknown((__u32)error, zero);
	ev = handler_begin_as(sk, RAW_CLOSE, error, waiting || error, ptr);
	if (!ev)
		return;
	if (waiting)
		ev->flags |= RAW_F_NEVER_ACCEPTED | RAW_F_INGRESS | RAW_F_FAILED;
	else
		ev->flags |= listening ? RAW_F_SHUT_DOWN : RAW_F_DISCONNECTED;
	if (!listening)
		close_fill_end(ev, sk, state, noted ? &end : NULL, ptr);
	if (waiting)
		ev->after = RAW_AFTER_CLOSED;
	close_fill(ev, sk, !listening, ptr);
	emit_submit(ev);
}

/* Mode X: tcp_disconnect() of a socket whose connect is under way, ahead of the change of state that tells it too; or
 * whose success was not seen. */
static __always_inline void handle_disconnected_attempt(struct sock *sk, enum pointer ptr)
{
	__u8 state = READ(ptr, sk, __sk_common.skc_state);
	struct attempt *at = attempt_find((__u64)sk);

	if (at && state_is_connected(state))
		handle_open_attempt(sk, at, state, CLAIMER_LOCKED, ptr);
	else if (state == TCP_SYN_SENT || state == TCP_SYN_RECV)
		handle_state(sk, state, TCP_CLOSE, ptr);
}

/* inet_put_port(): a TCP socket loses its port. Its close, if it is under way, comes first. */
static __always_inline void handle_put_port(struct sock *sk, enum pointer ptr)
{
	__u64 key = (__u64)sk;
	struct inet_bind_bucket *bucket = BPF_CORE_READ((struct inet_connection_sock *)sk, icsk_bind_hash);
	struct raw_event *closing, *known, ev;
	struct attempt *at;

	if (!bucket || !armed || !sock_is_traced(sk, ptr))
		return;
	closing = close_find(key);
	if (closing)
		close_tell(sk, closing, RAW_AFTER_CLOSED);
	known = bpf_map_lookup_elem(&holders, &key);
	at = attempt_find(key);
	if (known) {
		ev = *known;
	} else if (at) {
		release_of_attempt(&ev, at, sk, ptr);
	} else if (config.follow_pid || config.follow || config.under_cgroup || !prefilter_socket(sk, ptr)) {
		return;
	} else { /* the socket stays open, but its connection is over */
		release_blank(&ev, sk, ptr);
	}
	release_tell(key, &ev, bucket);
}

#endif
