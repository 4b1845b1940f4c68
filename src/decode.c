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

static const enum event_kind decode_kinds[RAW_KIND_COUNT] = {
	[RAW_BIND] = EVENT_BIND,     [RAW_LISTEN] = EVENT_LISTEN, [RAW_CONNECT] = EVENT_CONNECT,
	[RAW_ACCEPT] = EVENT_ACCEPT, [RAW_CLOSE] = EVENT_CLOSE,
};
static const enum event_how decode_hows[RAW_HOW_COUNT] = {
	[RAW_HOW_NONE] = HOW_NONE,	 [RAW_HOW_EXPLICIT] = HOW_EXPLICIT, [RAW_HOW_BIND0] = HOW_BIND0,
	[RAW_HOW_CONNECT] = HOW_CONNECT, [RAW_HOW_AUTOBIND] = HOW_AUTOBIND, [RAW_HOW_INHERITED] = HOW_INHERITED,
};

void decode_sync_clock(struct decode *dec)
{
	dec->boot_offset_ns = (int64_t)proc_boot_offset_ns();
}

static bool decode_valid(const struct raw_event *raw)
{
	return raw->magic == RAW_EVENT_MAGIC && raw->version == RAW_EVENT_VERSION && raw->kind >= RAW_BIND &&
	       raw->kind < RAW_KIND_COUNT && raw->how < RAW_HOW_COUNT &&
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

static void decode_address(struct endpoint *to, const uint8_t addr[16], unsigned int family)
{
	memset(to->addr, 0, sizeof(to->addr));
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
	return raw->kind == RAW_CONNECT || (raw->kind == RAW_ACCEPT && !raw->error) ||
	       (raw->kind == RAW_CLOSE && raw->remote_port);
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
	if (raw->flags & RAW_F_REQUESTED) {
		decode_address(&ev->requested, raw->requested_addr, raw->requested_family);
		ev->requested.port = raw->requested_port;
		ev->requested.has_port = true;
		ev->has_requested = true;
		if (ev->remote.ip_version)
			decode_match_version(&ev->requested, &ev->remote);
	}
}

/* A bind that failed has no address of its own: show the one that was asked for. */
static void decode_failed_bind(struct event *ev)
{
	if (ev->kind != EVENT_BIND || ev->outcome == OUTCOME_SUCCESS || !ev->has_requested)
		return;
	ev->local = ev->requested;
	ev->local.has_port = ev->requested.port != 0;
}

static void decode_reason(const struct raw_event *raw, struct event *ev)
{
	const char *reason = "";

	if (raw->flags & RAW_F_ABORTED)
		reason = "given up by the program";
	else if (raw->flags & RAW_F_DENIED)
		reason = "denied by a security module or a cgroup program";
	else if (raw->flags & RAW_F_TIMEOUT_HINT)
		reason = "no answer from the peer";
	else if (raw->flags & RAW_F_UNREACH_HINT)
		reason = "no answer: peer not reachable, or given up by the program";
	else if (raw->flags & RAW_F_NO_ROUTE_HINT)
		reason = "nothing was sent: no route, no free local port, or denied";
	else if (raw->error == EADDRNOTAVAIL && raw->kind == RAW_CONNECT && raw->how == RAW_HOW_CONNECT)
		reason = "no free local port for this destination";
	else if (raw->how == RAW_HOW_BIND0 && raw->error == EADDRINUSE)
		reason = "no free port in the ephemeral range";
	else if (raw->how == RAW_HOW_AUTOBIND && (raw->error == EAGAIN || raw->error == EADDRINUSE))
		reason = "no free port in the ephemeral range";
	else if (raw->flags & RAW_F_UNKNOWN)
		reason = raw->kind == RAW_CONNECT ? "the result of a UDP connect is not visible to the cgroup backend" :
						    "no port yet: left to connect, or failed";
	else if ((raw->flags & RAW_F_FAILED) && !raw->error)
		reason = "errno not visible to the cgroup backend";
	snprintf(ev->reason, sizeof(ev->reason), "%s", reason);
}

static void decode_process(const struct decode *dec, const struct raw_event *raw, struct event *ev)
{
	ev->pid = raw->pid;
	ev->tid = raw->tid;
	ev->parent_pid = raw->parent_pid;
	ev->has_uid = raw->pid != 0;
	ev->uid = raw->uid;
	ev->cgroup_id = raw->cgroup_id;
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
	ev->range_low = raw->range_low;
	ev->range_high = raw->range_high;
	ev->sock_range_low = raw->sock_range_low;
	ev->sock_range_high = raw->sock_range_high;
	ev->unprivileged_start = raw->unprivileged_start;
	ev->local_reserved = raw->flags & RAW_F_LOCAL_RESERVED;
	ev->remote_reserved = raw->flags & RAW_F_REMOTE_RESERVED;
}

static enum event_outcome decode_outcome(const struct raw_event *raw)
{
	if (raw->flags & RAW_F_UNKNOWN)
		return OUTCOME_UNKNOWN;
	return (raw->error || (raw->flags & RAW_F_FAILED)) ? OUTCOME_FAILURE : OUTCOME_SUCCESS;
}

static void decode_socket(const struct raw_event *raw, struct event *ev)
{
	ev->socket_id = raw->socket_id;
	ev->cookie = raw->cookie;
	ev->netns_cookie = raw->netns_cookie;
	ev->netns_inum = raw->netns_inum;
	ev->has_backlog = raw->flags & RAW_F_BACKLOG;
	ev->backlog = raw->backlog;
	ev->proto = raw->protocol == IPPROTO_UDP || raw->protocol == IPPROTO_UDPLITE ? PROTO_UDP : PROTO_TCP;
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
	memset(ret, 0, sizeof(*ret));
	ret->kind = decode_kinds[raw->kind];
	ret->how = decode_hows[raw->how];
	ret->outcome = decode_outcome(raw);
	ret->backend = dec->backend;
	ret->time_ns = raw->time_ns + (uint64_t)dec->boot_offset_ns;
	ret->duration_ns = raw->duration_ns;
	ret->late = raw->flags & RAW_F_LATE;
	ret->error = (int)raw->error;
	ret->aborted = raw->flags & RAW_F_ABORTED;
	decode_socket(raw, ret);
	decode_endpoints(raw, ret);
	decode_failed_bind(ret);
	ret->ip_version = ret->remote.ip_version ? ret->remote.ip_version : ret->local.ip_version;
	decode_process(dec, raw, ret);
	decode_kernel_truth(raw, ret);
	decode_reason(raw, ret);
	return 0;
}
