// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Raw record -> event: checks, clocks, addresses, outcome and reason. */
#include "decode.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "porttrace/raw_event.h"
#include "proc.h"

/* What these say is numbered alike in records and in events. */
_Static_assert((int)RAW_KIND_COUNT - (int)RAW_BIND == (int)EVENT_KIND_COUNT && (int)RAW_LISTEN == EVENT_LISTEN + 1 &&
	       (int)RAW_CONNECT == EVENT_CONNECT + 1 && (int)RAW_ACCEPT == EVENT_ACCEPT + 1 &&
	       (int)RAW_CLOSE == EVENT_CLOSE + 1 && (int)RAW_RELEASE == EVENT_RELEASE + 1, "kinds, but for 1");
_Static_assert((int)RAW_HOW_COUNT == (int)HOW_COUNT && (int)RAW_HOW_EXPLICIT == (int)HOW_EXPLICIT &&
	       (int)RAW_HOW_BIND0 == (int)HOW_BIND0 && (int)RAW_HOW_CONNECT == (int)HOW_CONNECT &&
	       (int)RAW_HOW_AUTOBIND == (int)HOW_AUTOBIND && (int)RAW_HOW_INHERITED == (int)HOW_INHERITED, "hows");
_Static_assert((int)RAW_CLOSER_COUNT == (int)CLOSER_COUNT && (int)RAW_CLOSER_LOCAL == (int)CLOSER_LOCAL &&
	       (int)RAW_CLOSER_REMOTE == (int)CLOSER_REMOTE, "closers");
_Static_assert((int)RAW_AFTER_COUNT == (int)CLOSE_STATE_COUNT && (int)RAW_AFTER_CLOSED == (int)CLOSE_STATE_CLOSED &&
	       (int)RAW_AFTER_TIME_WAIT == (int)CLOSE_STATE_TIME_WAIT &&
	       (int)RAW_AFTER_CLOSING == (int)CLOSE_STATE_CLOSING, "states after a close");

void decode_sync_clock(struct decode *dec)
{
	dec->boot_offset_ns = (int64_t)proc_boot_offset_ns();
}

/* Fields that follow each other in records as in events: as one block. */
#define DECODE_RUN_SIZE(first, last)                                                       \
	(offsetof(struct event, last) + sizeof(((struct event *)0)->last) - offsetof(struct event, first))
#define DECODE_IS_RUN(first, last)                                                          \
	(offsetof(struct event, last) - offsetof(struct event, first) ==                    \
		 offsetof(struct raw_event, last) - offsetof(struct raw_event, first) &&     \
	 sizeof(((struct event *)0)->last) == sizeof(((struct raw_event *)0)->last))

static bool decode_valid(const struct raw_event *raw)
{
	return raw->magic == RAW_EVENT_MAGIC && raw->version == RAW_EVENT_VERSION && raw->kind >= RAW_BIND &&
	       raw->kind < RAW_KIND_COUNT && raw->how < RAW_HOW_COUNT &&
	       raw->closer < RAW_CLOSER_COUNT && raw->after < RAW_AFTER_COUNT &&
	       (raw->family == AF_INET || raw->family == AF_INET6);
}

/* ::ffff:a.b.c.d is what a v6 socket calls an IPv4 peer. */
static bool decode_is_mapped(const uint8_t addr[16])
{
	static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };

	return !memcmp(addr, prefix, sizeof(prefix));
}

static bool decode_is_zero(const uint8_t addr[16])
{
	static const uint8_t zero[16];

	return !memcmp(addr, zero, sizeof(zero));
}

/* Of an endpoint that is cleared. */
static void decode_address(struct endpoint *to, const uint8_t addr[16], unsigned int family)
{
	if (family == AF_INET6 && !decode_is_mapped(addr)) {
		to->ip_version = 6;
		memcpy(to->addr, addr, 16);
		return;
	}
	to->ip_version = 4;
	memcpy(to->addr, family == AF_INET6 ? addr + 12 : addr, 4);
}

/* A v6 socket that talks IPv4 and is bound to nothing has "::" as its own address: call that 0.0.0.0. */
static void decode_match_version(struct endpoint *local, const struct endpoint *remote)
{
	if (remote->ip_version == 4 && local->ip_version == 6 && decode_is_zero(local->addr))
		local->ip_version = 4;
}

static bool decode_has_remote(const struct raw_event *raw)
{
	return (raw->kind == RAW_CONNECT && !(raw->flags & RAW_F_NO_REMOTE)) ||
	       (raw->kind == RAW_ACCEPT && !raw->error) ||
	       ((raw->kind == RAW_CLOSE || raw->kind == RAW_RELEASE) && raw->remote_port);
}

static void decode_endpoints(const struct raw_event *raw, struct event *ev)
{
	decode_address(&ev->local, raw->local_addr, raw->family);
	ev->local.port = raw->local_port;
	ev->local.has_port = raw->local_port != 0;
	if (decode_has_remote(raw)) {
		decode_address(&ev->remote, raw->remote_addr, raw->family);
		ev->remote.port = raw->remote_port;
		ev->remote.has_port = true;
		decode_match_version(&ev->local, &ev->remote);
	}
}

static void decode_requested(const struct raw_event *raw, struct event *ev)
{
	decode_address(&ev->requested, raw->requested_addr, raw->requested_family);
	ev->requested.port = raw->requested_port;
	ev->requested.has_port = true;
	ev->has_requested = true;
	if (ev->remote.ip_version)
		decode_match_version(&ev->requested, &ev->remote);
}

/* A bind that failed has no address of its own: show the one that was asked for. */
static void decode_failed_bind(struct event *ev)
{
	if (ev->kind != EVENT_BIND || ev->outcome == OUTCOME_SUCCESS)
		return;
	if (!ev->has_requested) { /* too short to be read */
		ev->ip_version = ev->local.ip_version;
		ev->local = (struct endpoint){ 0 };
		return;
	}
	ev->local = ev->requested;
	ev->local.has_port = ev->requested.port != 0;
}

/* The errno of a failure to get a port means different things in different calls; of the kernel's own functions,
 * inet_csk_get_port() and udp_lib_get_port() say EADDRINUSE, inet_hash_connect() EADDRNOTAVAIL, inet_autobind()
 * EAGAIN. */
static enum event_cause decode_port_cause(const struct raw_event *raw)
{
	bool picked = raw->how != RAW_HOW_EXPLICIT && raw->how != RAW_HOW_NONE;
	bool connect = raw->kind == RAW_CONNECT;

	if (raw->error == EAGAIN && (raw->how == RAW_HOW_AUTOBIND || connect))
		return CAUSE_PORT_EXHAUSTED;
	if (raw->error == EADDRINUSE)
		return picked ? CAUSE_PORT_EXHAUSTED : CAUSE_IN_USE;
	if (raw->error != EADDRNOTAVAIL)
		return CAUSE_NONE;
	if (!connect)
		return CAUSE_NOT_LOCAL;
	if (!(raw->flags & RAW_F_SYN_SENT))
		return CAUSE_NO_ADDRESS;
	return picked ? CAUSE_PORT_EXHAUSTED : CAUSE_TUPLE_CLASH;
}

static enum event_cause decode_bind_denial(const struct raw_event *raw)
{
	bool privileged = raw->kind == RAW_BIND && raw->error == EACCES && (raw->flags & RAW_F_TRUTH) &&
			  raw->requested_port && raw->requested_port < raw->unprivileged_start;

	if (raw->flags & RAW_F_DENIED)
		return CAUSE_DENIED;
	if (privileged)
		return CAUSE_PRIVILEGED;
	return raw->kind == RAW_BIND || raw->error == EPERM ? CAUSE_DENIED : CAUSE_NONE;
}

static enum event_cause decode_error_cause(const struct raw_event *raw)
{
	switch (raw->error) {
	case EADDRINUSE:
	case EADDRNOTAVAIL:
	case EAGAIN:
		return decode_port_cause(raw);
	case EACCES:
	case EPERM:
		return decode_bind_denial(raw);
	case ECONNREFUSED:
		return raw->kind == RAW_CONNECT ? CAUSE_REFUSED : CAUSE_RESET;
	case ECONNRESET:
	case EPIPE:
		return CAUSE_RESET;
	case ETIMEDOUT:
		return CAUSE_TIMED_OUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
		return CAUSE_UNREACHABLE;
	default:
		return CAUSE_NONE;
	}
}

static enum event_cause decode_cause(const struct raw_event *raw)
{
	static const struct {
		uint32_t flag;
		enum event_cause cause;
	} flags[] = {
		{ RAW_F_ABORTED, CAUSE_GIVEN_UP },
		{ RAW_F_SHUT_DOWN, CAUSE_SHUT_DOWN },
		{ RAW_F_DISCONNECTED, CAUSE_DISCONNECTED },
		{ RAW_F_DENIED | RAW_F_SECCOMP, CAUSE_DENIED },
	};

	for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		if (raw->flags & flags[i].flag)
			return flags[i].cause;
	if ((raw->flags & RAW_F_NEVER_ACCEPTED) && !raw->error)
		return CAUSE_NEVER_ACCEPTED;
	return decode_error_cause(raw);
}

/* What a backend that cannot see the errno makes of a failure. */
static const char *decode_hint(const struct raw_event *raw)
{
	if (raw->flags & RAW_F_TIMEOUT_HINT)
		return "no answer: timed out, peer not reachable, or given up by the program";
	if (raw->flags & RAW_F_UNREACH_HINT)
		return "no answer: peer not reachable, or given up by the program";
	if (raw->flags & RAW_F_NO_ROUTE_HINT)
		return "nothing was sent: no route, no free local port, or denied";
	if ((raw->flags & RAW_F_UNKNOWN) && raw->kind == RAW_CLOSE)
		return "ended before: reset, timed out, or dropped by the program";
	if (raw->flags & RAW_F_UNKNOWN)
		return raw->kind == RAW_CONNECT ? "the result of a UDP connect is not visible to the cgroup backend" :
						  "no port yet: left to connect, or failed";
	return (raw->flags & RAW_F_FAILED) && !raw->error ? "errno not visible to the cgroup backend" : "";
}

static const char *decode_reason(const struct raw_event *raw, enum event_cause cause)
{
	static const char *const words[CAUSE_COUNT] = {
		[CAUSE_PORT_EXHAUSTED] = "no free port in the ephemeral range",
		[CAUSE_IN_USE] = "the port is in use",
		[CAUSE_PRIVILEGED] = "the port is privileged",
		[CAUSE_NOT_LOCAL] = "the address is not one of this machine",
		[CAUSE_NO_ADDRESS] = "no source address for this destination",
		[CAUSE_TUPLE_CLASH] = "the socket's port has a connection to this destination already",
		[CAUSE_DENIED] = "denied by a security module or a cgroup program",
		[CAUSE_REFUSED] = "refused: nobody listens there",
		[CAUSE_TIMED_OUT] = "no answer from the peer",
		[CAUSE_UNREACHABLE] = "the peer is not reachable",
		[CAUSE_GIVEN_UP] = "given up by the program",
		[CAUSE_RESET] = "reset by the peer",
		[CAUSE_NEVER_ACCEPTED] = "never accepted: its listener was closed",
		[CAUSE_SHUT_DOWN] = "stopped listening; the socket stays open",
		[CAUSE_DISCONNECTED] = "dropped by the program; the socket stays open",
	};

	if (raw->flags & RAW_F_SECCOMP)
		return "denied by a seccomp filter";
	if (cause == CAUSE_PORT_EXHAUSTED && raw->kind == RAW_CONNECT)
		return "no free local port for this destination";
	if (cause == CAUSE_RESET && (raw->flags & RAW_F_NEVER_ACCEPTED))
		return "reset by the peer before it was accepted";
	if (cause == CAUSE_DENIED && !(raw->flags & RAW_F_DENIED))
		return raw->error == EACCES ? "permission denied" : "not permitted";
	return cause ? words[cause] : decode_hint(raw);
}

/* Of these a record has at least one if there is something to be explained; or it has an error. */
#define DECODE_F_ODD                                                                                              \
	(RAW_F_ABORTED | RAW_F_SHUT_DOWN | RAW_F_DISCONNECTED | RAW_F_DENIED | RAW_F_SECCOMP | RAW_F_NEVER_ACCEPTED | \
	 RAW_F_TIMEOUT_HINT | RAW_F_UNREACH_HINT | RAW_F_NO_ROUTE_HINT | RAW_F_UNKNOWN | RAW_F_FAILED)
/* Mostly a record has none of these, and no error. */
#define DECODE_F_SELDOM                                                                                             \
	(DECODE_F_ODD | RAW_F_REQUESTED | RAW_F_LATE | RAW_F_BACKLOG | RAW_F_LOCAL_RESERVED | RAW_F_REMOTE_RESERVED | \
	 RAW_F_EXITING | RAW_F_KERNEL_THREAD)

/* The words are ours, and shorter than the field. */
static void decode_explain(const struct raw_event *raw, struct event *ev)
{
	const char *words;
	size_t size;

	if (!raw->error && !(raw->flags & DECODE_F_ODD))
		return;
	ev->cause = decode_cause(raw);
	words = decode_reason(raw, ev->cause);
	size = strlen(words) + 1;
	memcpy(ev->reason, words, size < sizeof(ev->reason) ? size : sizeof(ev->reason) - 1);
}

/* A connect: tcp_set_state() to CLOSE, from SYN_SENT. The cgroup backend is told of that change alone. */
static bool decode_gave_back(const struct raw_event *raw, enum event_backend backend)
{
	if (raw->kind != RAW_CONNECT || !(raw->error || (raw->flags & (RAW_F_FAILED | RAW_F_ABORTED))))
		return false;
	return backend == BACKEND_CGROUP ? !(raw->flags & RAW_F_NO_ROUTE_HINT) : raw->flags & RAW_F_SYN_SENT;
}

static enum event_outcome decode_outcome(const struct raw_event *raw)
{
	if (raw->flags & RAW_F_UNKNOWN)
		return OUTCOME_UNKNOWN;
	return (raw->error || (raw->flags & RAW_F_FAILED)) ? OUTCOME_FAILURE : OUTCOME_SUCCESS;
}

/* What DECODE_F_SELDOM and an error tell. */
static __attribute__((noinline)) void decode_seldom(const struct decode *dec, const struct raw_event *raw,
						    struct event *ev)
{
	ev->outcome = decode_outcome(raw);
	ev->late = raw->flags & RAW_F_LATE;
	ev->error = (int)raw->error;
	ev->aborted = raw->flags & RAW_F_ABORTED;
	ev->has_backlog = raw->flags & RAW_F_BACKLOG;
	ev->backlog = raw->backlog;
	ev->local_reserved = raw->flags & RAW_F_LOCAL_RESERVED;
	ev->remote_reserved = raw->flags & RAW_F_REMOTE_RESERVED;
	ev->exiting = raw->flags & RAW_F_EXITING;
	ev->exit_signal = raw->exit_signal;
	ev->never_accepted = raw->flags & RAW_F_NEVER_ACCEPTED;
	if (raw->flags & RAW_F_KERNEL_THREAD)
		ev->confidence = CONFIDENCE_KERNEL;
	else if (raw->kind == RAW_ACCEPT && (raw->flags & RAW_F_LATE))
		ev->confidence = CONFIDENCE_CLOSER;
	if (raw->flags & RAW_F_REQUESTED)
		decode_requested(raw, ev);
	decode_failed_bind(ev);
	ev->gave_back |= ev->proto == PROTO_TCP && decode_gave_back(raw, dec->backend);
	ev->nothing_sent = raw->flags & RAW_F_NO_ROUTE_HINT;
	decode_explain(raw, ev);
}

static void decode_task(const struct decode *dec, const struct raw_event *raw, struct event *ev)
{
	_Static_assert(DECODE_IS_RUN(pid, uid), "from pid to uid a record and an event are the same");
	memcpy(&ev->pid, &raw->pid, DECODE_RUN_SIZE(pid, uid));
	ev->has_uid = raw->pid != 0;
	ev->cgroup_id = raw->cgroup_id;
	if (raw->vpid == raw->pid)
		ev->vpid = 0;
	ev->process_start_ns = raw->process_start_ns;
	if (raw->process_start_ns)
		ev->process_start_real_ns = raw->process_start_ns + (uint64_t)dec->boot_offset_ns;
	memcpy(ev->name, raw->comm, sizeof(ev->name));
	ev->name[sizeof(ev->name) - 1] = '\0';
	ev->name_is_leader = raw->flags & RAW_F_LEADER_COMM;
}

static void decode_kernel_truth(const struct raw_event *raw, struct event *ev)
{
	ev->has_truth = raw->flags & RAW_F_TRUTH;
	ev->unprivileged_start = raw->unprivileged_start;
	_Static_assert(DECODE_IS_RUN(range_low, range_high) && DECODE_IS_RUN(sock_range_low, sock_range_high), "pairs");
	memcpy(&ev->range_low, &raw->range_low, DECODE_RUN_SIZE(range_low, range_high));
	memcpy(&ev->sock_range_low, &raw->sock_range_low, DECODE_RUN_SIZE(sock_range_low, sock_range_high));
}

static void decode_options(const struct raw_event *raw, struct event *ev)
{
	ev->fd = raw->fd;
	ev->has_fd = (raw->flags & RAW_F_FD) && raw->fd >= 0;
	ev->has_options = raw->flags & RAW_F_OPTIONS;
	_Static_assert(DECODE_IS_RUN(mark, bound_ifindex), "a pair");
	memcpy(&ev->mark, &raw->mark, DECODE_RUN_SIZE(mark, bound_ifindex));
	if (!raw->options)
		return;
	ev->reuseaddr = raw->options & RAW_OPT_REUSEADDR;
	ev->reuseport = raw->options & RAW_OPT_REUSEPORT;
	ev->v6only = raw->options & RAW_OPT_V6ONLY;
	ev->freebind = raw->options & RAW_OPT_FREEBIND;
	ev->transparent = raw->options & RAW_OPT_TRANSPARENT;
	ev->no_port = raw->options & RAW_OPT_NO_PORT;
}

static void decode_close(const struct raw_event *raw, struct event *ev)
{
	ev->closer = (enum event_closer)raw->closer;
	if (raw->kind != RAW_ACCEPT)
		ev->close_state = (enum close_state)raw->after;
	else
		ev->gave_back = ev->proto == PROTO_TCP && raw->after == RAW_AFTER_CLOSED;
	ev->has_bytes = raw->flags & RAW_F_BYTES;
	_Static_assert(DECODE_IS_RUN(bytes_sent, bytes_received), "a pair");
	if (ev->has_bytes)
		memcpy(&ev->bytes_sent, &raw->bytes_sent, DECODE_RUN_SIZE(bytes_sent, bytes_received));
	ev->port_free = raw->flags & RAW_F_PORT_FREE;
	ev->has_port_free = ev->port_free || (raw->flags & RAW_F_PORT_SHARED);
}

static void decode_search(const struct raw_event *raw, struct event *ev)
{
	bool picked = raw->how == RAW_HOW_BIND0 || raw->how == RAW_HOW_CONNECT || raw->how == RAW_HOW_AUTOBIND;

	ev->has_search = picked && !(raw->flags & RAW_F_BYTES);
	if (ev->has_search)
		ev->search_ns = raw->search_ns;
}

static void decode_socket(const struct raw_event *raw, struct event *ev)
{
	_Static_assert(DECODE_IS_RUN(socket_id, cookie), "a pair");
	memcpy(&ev->socket_id, &raw->socket_id, DECODE_RUN_SIZE(socket_id, cookie));
	ev->netns_cookie = raw->netns_cookie;
	ev->netns_inum = raw->netns_inum;
	ev->proto = raw->protocol == IPPROTO_UDP || raw->protocol == IPPROTO_UDPLITE ? PROTO_UDP : PROTO_TCP;
	ev->protocol = raw->protocol;
	ev->is_ipv6 = raw->family == AF_INET6;
	ev->mptcp = raw->protocol == 262; /* IPPROTO_MPTCP, linux/in.h since 5.6 */
	ev->role = raw->flags & RAW_F_INGRESS ? ROLE_INGRESS :
		   raw->flags & RAW_F_EGRESS ? ROLE_EGRESS :
						 ROLE_UNKNOWN;
}

int decode_event(const struct decode *dec, const void *record, size_t size, struct event *ret)
{
	const struct raw_event *raw = record;

	if (size < sizeof(*raw) || !decode_valid(raw))
		return -EBADMSG;
	memset(ret, 0, EVENT_FIRST_SIZE);
	ret->reason[0] = '\0';
	ret->kind = (enum event_kind)(raw->kind - RAW_BIND);
	ret->how = (enum event_how)raw->how;
	ret->backend = dec->backend;
	ret->time_ns = raw->time_ns + (uint64_t)dec->boot_offset_ns;
	ret->duration_ns = raw->duration_ns;
	decode_socket(raw, ret);
	decode_endpoints(raw, ret);
	decode_task(dec, raw, ret);
	decode_kernel_truth(raw, ret);
	decode_options(raw, ret);
	if (raw->closer | raw->after | (raw->flags & (RAW_F_BYTES | RAW_F_PORT_FREE | RAW_F_PORT_SHARED)))
		decode_close(raw, ret);
	if (raw->flags & RAW_F_SEARCH)
		decode_search(raw, ret);
	if (raw->error | (raw->flags & DECODE_F_SELDOM))
		decode_seldom(dec, raw, ret);
	if (!ret->ip_version)
		ret->ip_version = ret->remote.ip_version ? ret->remote.ip_version : ret->local.ip_version;
	return 0;
}

/* --- processes ------------------------------------------------------------------------------------------------ */

bool decode_is_process(const void *record, size_t size)
{
	const struct raw_process *raw = record;

	return size >= sizeof(*raw) && raw->magic == RAW_EVENT_MAGIC && raw->version == RAW_EVENT_VERSION &&
	       raw->kind == RAW_PROCESS;
}

/* "nginx\0sbin\0usr\0" -> "/usr/sbin/nginx". A path that was cut would be another one: then "". */
static void decode_path(const char *names, size_t size, char *ret, size_t ret_size)
{
	size_t end = size, len = 0;

	ret[0] = '\0';
	if (size == 0 || names[size - 1] != '\0')
		return;
	while (end > 0) {
		size_t start = end - 1;

		while (start > 0 && names[start - 1] != '\0')
			start--;
		if (len + (end - start) + 1 > ret_size) {
			ret[0] = '\0';
			return;
		}
		ret[len++] = '/';
		memcpy(ret + len, names + start, end - start); /* with its NUL */
		len += end - start - 1;
		end = start;
	}
}

int decode_process(const void *record, size_t size, struct process_facts *ret)
{
	const struct raw_process *raw = record;

	if (!decode_is_process(record, size) || raw->path_size > sizeof(raw->path) ||
	    raw->args_size > sizeof(raw->args))
		return -EBADMSG;
	ret->pid = raw->pid;
	ret->exec_id = raw->exec_id;
	ret->process_start_ns = raw->process_start_ns;
	decode_path(raw->path, raw->path_size, ret->executable, sizeof(ret->executable));
	proc_join_args(raw->args, raw->args_size, raw->args_total > raw->args_size, ret->command_line,
			 sizeof(ret->command_line));
	return 0;
}
