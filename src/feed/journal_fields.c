// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "journal_fields.h"

#include <netinet/in.h>
#include <string.h>

#include "../human.h"
#include "../pool_kind.h"
#include "../result.h"
#include "../sides.h"
#include "../visible.h"
#include "../when.h"

#define JOURNAL_MAX 16384 /* more than all fields at their longest */
#define JOURNAL_SERVICE_MAX 64
#define JOURNAL_INFO 6
#define JOURNAL_WARNING 4

const char *const journal_fields_ids[EVENT_KIND_COUNT + 1] = {
	[EVENT_BIND] = "0a18d775b8c04fdd96738fdba390ed29",
	[EVENT_LISTEN] = "ca533b7f2a0d4ec6b1b5b060f8f648a7",
	[EVENT_CONNECT] = "a849b97b042a418ba76d45c77d768c65",
	[EVENT_ACCEPT] = "0a30a145bacb40bea32e8bb33e9182b6",
	[EVENT_CLOSE] = "ecbf3584eee440f794390a9c110ef937",
	[EVENT_RELEASE] = "184c781064704335a1eb4aa9b9a833ea",
	[EVENT_KIND_COUNT] = "93a58aaba136482b9e6d8cd9684f91e4",
};

struct journal_state {
	char run[64]; /* agent.ephemeral_id; "" = none */
};

/* ---- fields ---- */

static void journal_length(struct buf *b, uint64_t n)
{
	for (int i = 0; i < 8; i++, n >>= 8)
		buf_char(b, (char)(n & 0xff));
}

/* Any bytes but NUL, at most `max`; nothing if there are none. A value with a newline is told by its length. */
static void journal_text(struct buf *b, const char *name, const char *value, size_t max)
{
	size_t n = strnlen(value, max);

	if (!n)
		return;
	buf_str(b, name);
	if (memchr(value, '\n', n)) {
		buf_char(b, '\n');
		journal_length(b, n);
	} else {
		buf_char(b, '=');
	}
	buf_bytes(b, value, n);
	buf_char(b, '\n');
}

static void journal_number(struct buf *b, const char *name, uint64_t value)
{
	buf_str(b, name);
	buf_char(b, '=');
	buf_u64(b, value);
	buf_char(b, '\n');
}

static void journal_known(struct buf *b, const char *name, uint64_t value)
{
	if (value)
		journal_number(b, name, value);
}

static void journal_true(struct buf *b, const char *name, bool value)
{
	if (value)
		journal_text(b, name, "true", 4);
}

static void journal_bool(struct buf *b, const char *name, bool value)
{
	journal_text(b, name, value ? "true" : "false", 8);
}

static void journal_time(struct buf *b, const char *name, uint64_t ns)
{
	buf_str(b, name);
	buf_char(b, '=');
	when_iso(b, ns);
	buf_char(b, '\n');
}

static void journal_address(struct buf *b, const char *name, const struct endpoint *ep)
{
	if (!ep->ip_version)
		return;
	buf_str(b, name);
	buf_char(b, '=');
	buf_ip(b, ep->addr, ep->ip_version);
	buf_char(b, '\n');
}

/* ---- the parts of an event ---- */

/* "api[4312] connect tcp 10.0.0.5:40871 -> 10.0.3.9:5432: ok 1.2ms" */
static void journal_message(struct buf *b, const struct event *ev, const struct sides *sides)
{
	static const struct port_facts plain = { 0 };

	buf_lit(b, "MESSAGE=");
	if (ev->pid || ev->name[0]) {
		human_process(b, ev->name, sizeof(ev->name), ev->pid, false);
		buf_char(b, ' ');
	}
	buf_str(b, event_kind_names[ev->kind]);
	buf_char(b, ' ');
	buf_str(b, event_proto_names[ev->proto]);
	buf_char(b, ' ');
	if (sides->source) {
		human_endpoint(b, sides->source, &plain);
		buf_lit(b, " -> ");
	}
	human_endpoint(b, sides->destination, &plain);
	buf_lit(b, ": ");
	result_text(b, ev, false);
	if (ev->verdict && ev->verdict->cause) {
		buf_lit(b, ": ");
		visible_text(b, ev->verdict->cause, 128);
	}
	buf_char(b, '\n');
}

static void journal_head(struct buf *b, const struct journal_state *js, unsigned int kind, int priority)
{
	journal_text(b, "MESSAGE_ID", journal_fields_ids[kind], 32);
	journal_number(b, "PRIORITY", (uint64_t)priority);
	journal_text(b, "SYSLOG_IDENTIFIER", "porttrace", 16);
	journal_text(b, "AGENT_EPHEMERAL_ID", js->run, sizeof(js->run));
}

static void journal_event(struct buf *b, const struct event *ev)
{
	const char *reason = ev->reason[0] || !ev->aborted ? ev->reason : "given up by the program";
	const char *error = NULL, *words = NULL;

	journal_time(b, "TIMESTAMP", ev->time_ns);
	journal_text(b, "EVENT_KIND", "event", 8);
	journal_text(b, "EVENT_DATASET", "porttrace.socket", 32);
	journal_text(b, "EVENT_ACTION", event_kind_names[ev->kind], 16);
	journal_text(b, "EVENT_OUTCOME", event_outcome_names[ev->outcome], 16);
	journal_number(b, "EVENT_SEQUENCE", ev->sequence);
	journal_known(b, "EVENT_DURATION", ev->duration_ns);
	journal_text(b, "EVENT_REASON", reason, sizeof(ev->reason));
	if (ev->outcome != OUTCOME_FAILURE || ev->error <= 0)
		return;
	error = strerrorname_np(ev->error);
	words = strerrordesc_np(ev->error);
	journal_number(b, "ERROR_CODE", (uint64_t)ev->error);
	journal_text(b, "ERROR_TYPE", error ? error : "", 32);
	journal_text(b, "ERROR_MESSAGE", words ? words : "", 64);
}

static void journal_network(struct buf *b, const struct event *ev, const struct sides *sides)
{
	journal_text(b, "NETWORK_TRANSPORT", event_proto_names[ev->proto], 8);
	journal_text(b, "NETWORK_TYPE", ev->ip_version == 4 ? "ipv4" : ev->ip_version == 6 ? "ipv6" : "", 8);
	journal_text(b, "NETWORK_DIRECTION", sides->direction, 16);
	if (ev->protocol == IPPROTO_UDPLITE)
		journal_number(b, "NETWORK_IANA_NUMBER", IPPROTO_UDPLITE);
}

static void journal_source(struct buf *b, const struct event *ev, const struct sides *sides)
{
	const struct endpoint *src = sides->source;
	const struct port_facts *facts = sides->source_facts;

	if (sides_is_source_known(sides)) {
		uint64_t bytes = sides_bytes_from(ev, src);

		journal_address(b, "SOURCE_IP", src);
		if (src->has_port)
			journal_known(b, "SOURCE_PORT", src->port);
		if (bytes != UINT64_MAX)
			journal_number(b, "SOURCE_BYTES", bytes);
	}
	if (!facts)
		return;
	journal_text(b, "PORTTRACE_SOURCE_CLASS", port_class_names[facts->class], 16);
	journal_text(b, "PORTTRACE_SOURCE_SERVICE", facts->service ? facts->service : "", JOURNAL_SERVICE_MAX);
	journal_true(b, "PORTTRACE_SOURCE_EPHEMERAL", facts->ephemeral);
	journal_true(b, "PORTTRACE_SOURCE_RESERVED", facts->reserved);
	journal_true(b, "PORTTRACE_SOURCE_PRIVILEGED", facts->privileged);
}

static void journal_destination(struct buf *b, const struct event *ev, const struct sides *sides)
{
	const struct endpoint *dst = sides->destination;
	const struct port_facts *facts = sides->destination_facts;

	if (sides_is_destination_known(ev, sides)) {
		uint64_t bytes = sides_bytes_from(ev, dst);

		journal_address(b, "DESTINATION_IP", dst);
		if (dst->has_port && (dst->port || dst == &ev->remote))
			journal_number(b, "DESTINATION_PORT", dst->port);
		if (bytes != UINT64_MAX)
			journal_number(b, "DESTINATION_BYTES", bytes);
	}
	journal_text(b, "PORTTRACE_DESTINATION_CLASS", port_class_names[facts->class], 16);
	journal_text(b, "PORTTRACE_DESTINATION_SERVICE", facts->service ? facts->service : "", JOURNAL_SERVICE_MAX);
	journal_true(b, "PORTTRACE_DESTINATION_EPHEMERAL", facts->ephemeral);
	journal_true(b, "PORTTRACE_DESTINATION_RESERVED", facts->reserved);
	journal_true(b, "PORTTRACE_DESTINATION_PRIVILEGED", facts->privileged);
}

/* OBJECT_PID: of a sender that may, journald believes it, and adds OBJECT_COMM, OBJECT_SYSTEMD_UNIT and more. */
static void journal_process(struct buf *b, const struct event *ev)
{
	const struct event_who *who = event_who(ev);

	journal_known(b, "OBJECT_PID", ev->pid);
	journal_known(b, "PROCESS_PID", ev->pid);
	journal_known(b, "PROCESS_VPID", ev->vpid);
	journal_known(b, "PROCESS_THREAD_ID", ev->tid);
	journal_known(b, "PROCESS_PARENT_PID", ev->parent_pid);
	journal_text(b, "PROCESS_NAME", ev->name, sizeof(ev->name));
	journal_text(b, "PROCESS_EXECUTABLE", who->executable, sizeof(who->executable));
	journal_text(b, "PROCESS_COMMAND_LINE", who->command_line, sizeof(who->command_line));
	if (ev->process_start_real_ns)
		journal_time(b, "PROCESS_START", ev->process_start_real_ns);
	if (ev->has_uid) {
		journal_number(b, "USER_ID", ev->uid);
		journal_text(b, "USER_NAME", who->user, sizeof(who->user));
	}
	if (who->container_id[0]) {
		journal_text(b, "CONTAINER_ID", who->container_id, sizeof(who->container_id));
		journal_text(b, "CONTAINER_RUNTIME", who->container_runtime, sizeof(who->container_runtime));
	}
	if (who->pod_uid[0]) {
		journal_text(b, "ORCHESTRATOR_TYPE", "kubernetes", 16);
		journal_text(b, "ORCHESTRATOR_RESOURCE_TYPE", "pod", 8);
		journal_text(b, "ORCHESTRATOR_RESOURCE_ID", who->pod_uid, sizeof(who->pod_uid));
	}
}

static void journal_exit(struct buf *b, const struct event *ev)
{
	const char *name = ev->exit_signal ? sigabbrev_np(ev->exit_signal) : NULL;

	if (!ev->exiting)
		return;
	buf_lit(b, "PORTTRACE_EXIT=");
	if (name)
		buf_lit(b, "SIG");
	buf_str(b, name ? name : ev->exit_signal ? "signal" : "exit");
	buf_char(b, '\n');
}

static void journal_assignment(struct buf *b, const struct event *ev)
{
	journal_text(b, "PORTTRACE_ASSIGNMENT_HOW", event_how_names[ev->how], 16);
	if (!ev->has_requested)
		return;
	journal_address(b, "PORTTRACE_ASSIGNMENT_REQUESTED_IP", &ev->requested);
	if (ev->requested.has_port)
		journal_number(b, "PORTTRACE_ASSIGNMENT_REQUESTED_PORT", ev->requested.port);
}

static void journal_verdict(struct buf *b, const struct event_verdict *v)
{
	if (v->has_pool) {
		journal_number(b, "PORTTRACE_POOL_USED", v->used);
		journal_number(b, "PORTTRACE_POOL_CAPACITY", v->capacity);
		journal_number(b, "PORTTRACE_POOL_RESERVED", v->reserved);
		journal_number(b, "PORTTRACE_POOL_BLOCKED", v->blocked);
	}
	if (v->has_pool && v->next_ms != UINT32_MAX)
		journal_number(b, "PORTTRACE_POOL_NEXT_FREE_MS", v->next_ms);
	journal_text(b, "PORTTRACE_POOL_RULE", v->rule ? v->rule : "", 16);
	journal_text(b, "PORTTRACE_POOL_WHY", v->cause ? v->cause : "", 128);
	journal_text(b, "PORTTRACE_POOL_ALSO", v->also ? v->also : "", 16);
	journal_known(b, "PORTTRACE_POOL_FAILED_BEFORE", v->more);
}

static void journal_pool(struct buf *b, const struct event *ev)
{
	journal_text(b, "PORTTRACE_POOL_KIND", event_pool_names[ev->pool], 16);
	journal_text(b, "PORTTRACE_POOL_HALF", event_half_names[ev->half], 16);
	if (ev->pool && ev->has_search)
		journal_number(b, "PORTTRACE_POOL_SEARCH_US", ev->search_ns / 1000 + (ev->search_ns % 1000 != 0));
	journal_true(b, "PORTTRACE_POOL_WALL", ev->wall);
	if (ev->pool && ev->pool_capacity && !(ev->verdict && ev->verdict->has_pool)) {
		journal_number(b, "PORTTRACE_POOL_USED", ev->pool_used);
		journal_number(b, "PORTTRACE_POOL_CAPACITY", ev->pool_capacity);
	}
	if (ev->verdict)
		journal_verdict(b, ev->verdict);
}

/* What there was to pick from, of a failure for want of a port; a range is two values of one field. */
static void journal_ports(struct buf *b, const struct event *ev)
{
	uint16_t low, high;

	if (ev->cause != CAUSE_PORT_EXHAUSTED)
		return;
	if (pool_kind_range(ev, &low, &high)) {
		journal_number(b, "PORTTRACE_PORTS_RANGE", low);
		journal_number(b, "PORTTRACE_PORTS_RANGE", high);
	}
	if (ev->verdict && ev->verdict->has_pool)
		journal_number(b, "PORTTRACE_PORTS_IN_USE", ev->verdict->used);
}

static void journal_options(struct buf *b, const struct event *ev)
{
	if (ev->has_options) {
		journal_bool(b, "PORTTRACE_SOCKET_REUSEADDR", ev->reuseaddr);
		journal_bool(b, "PORTTRACE_SOCKET_REUSEPORT", ev->reuseport);
		journal_bool(b, "PORTTRACE_SOCKET_NO_PORT", ev->no_port);
		journal_bool(b, "PORTTRACE_SOCKET_FREEBIND", ev->freebind);
		journal_bool(b, "PORTTRACE_SOCKET_TRANSPARENT", ev->transparent);
	}
	if (ev->has_options && ev->is_ipv6)
		journal_bool(b, "PORTTRACE_SOCKET_V6ONLY", ev->v6only);
	journal_known(b, "PORTTRACE_SOCKET_DEVICE", ev->bound_ifindex);
	journal_known(b, "PORTTRACE_SOCKET_MARK", ev->mark);
}

static void journal_socket(struct buf *b, const struct event *ev)
{
	journal_known(b, "PORTTRACE_SOCKET_COOKIE", ev->cookie);
	journal_known(b, "PORTTRACE_SOCKET_NETNS", ev->netns_inum);
	if (ev->has_fd)
		journal_number(b, "PORTTRACE_SOCKET_FD", (uint64_t)ev->fd);
	if (ev->kind == EVENT_LISTEN && ev->has_backlog)
		journal_number(b, "PORTTRACE_SOCKET_BACKLOG", ev->backlog);
	journal_true(b, "PORTTRACE_SOCKET_MPTCP", ev->mptcp);
	journal_options(b, ev);
	journal_text(b, "PORTTRACE_SOCKET_CLOSED_BY", event_closer_names[ev->closer], 16);
	journal_text(b, "PORTTRACE_SOCKET_STATE", close_state_names[ev->close_state], 16);
}

static void journal_holder(struct buf *b, const struct event *ev)
{
	const struct holder *holder = &ev->holder;

	if (ev->creator_pid) {
		journal_number(b, "PORTTRACE_CREATOR_PID", ev->creator_pid);
		journal_text(b, "PORTTRACE_CREATOR_NAME", ev->creator_name, sizeof(ev->creator_name));
	}
	if (!ev->has_holder)
		return;
	journal_text(b, "PORTTRACE_HOLDER_KIND", holder_kind_names[holder->kind], 16);
	journal_known(b, "PORTTRACE_HOLDER_PROCESS_PID", holder->pid);
	journal_text(b, "PORTTRACE_HOLDER_PROCESS_NAME", holder->name, sizeof(holder->name));
	if (holder->has_uid) {
		journal_number(b, "PORTTRACE_HOLDER_USER_ID", holder->uid);
		journal_text(b, "PORTTRACE_HOLDER_USER_NAME", holder->user, sizeof(holder->user));
	}
	journal_text(b, "PORTTRACE_HOLDER_CONTAINER_ID", holder->container_id, sizeof(holder->container_id));
	journal_true(b, "PORTTRACE_HOLDER_EXITED", holder->exited);
	if (holder->has_expires)
		journal_number(b, "PORTTRACE_HOLDER_EXPIRES", holder->expires_s);
	journal_address(b, "PORTTRACE_HOLDER_IP", &holder->local);
}

static void journal_porttrace(struct buf *b, const struct event *ev)
{
	journal_text(b, "PORTTRACE_BACKEND", event_backend_names[ev->backend], 16);
	journal_true(b, "PORTTRACE_LATE", ev->late);
	journal_text(b, "PORTTRACE_CAUSE", event_cause_names[ev->cause], 32);
	journal_exit(b, ev);
	journal_text(b, "PORTTRACE_PROCESS_CONFIDENCE", event_confidence_names[ev->confidence], 16);
	if (ev->has_port_free)
		journal_bool(b, "PORTTRACE_PORT_FREE", ev->port_free);
	journal_assignment(b, ev);
	journal_pool(b, ev);
	journal_ports(b, ev);
	journal_socket(b, ev);
	journal_holder(b, ev);
	journal_text(b, "PORTTRACE_UNIT", event_who(ev)->unit, sizeof(event_who(ev)->unit));
}

/* ---- statistics of the run itself ---- */

/* "porttrace: 10007 seen, 10000 given out, 0 filtered, 7 lost" */
static void journal_stats_message(struct buf *b, const struct stats *st)
{
	buf_lit(b, "MESSAGE=porttrace: ");
	buf_u64(b, st->seen);
	buf_lit(b, " seen, ");
	buf_u64(b, st->emitted);
	buf_lit(b, " given out, ");
	buf_u64(b, st->filtered);
	buf_lit(b, " filtered, ");
	buf_u64(b, st->lost_kernel + st->lost_queue + st->lost_sink);
	buf_lit(b, " lost\n");
}

/* One field a sink: "12 delivered, 0 lost_queue, 0 lost_sink, 0 waiting: file:/var/log/porttrace.jsonl" */
static void journal_stats_sink(struct buf *b, const struct stats_sink *sink)
{
	buf_lit(b, "PORTTRACE_STATS_SINKS=");
	buf_u64(b, sink->delivered);
	buf_lit(b, " delivered, ");
	buf_u64(b, sink->lost_queue);
	buf_lit(b, " lost_queue, ");
	buf_u64(b, sink->lost_sink);
	buf_lit(b, " lost_sink, ");
	buf_u64(b, sink->waiting);
	buf_lit(b, " waiting: ");
	visible_text(b, sink->name, sizeof(sink->name));
	buf_char(b, '\n');
}

/* One field a kind: "80 close, 2 failed" */
static void journal_stats_lost_ring(struct buf *b, const struct stats *st)
{
	for (size_t i = 0; i < STATS_LOSSES; i += 2) {
		if (!st->lost_ring[i] && !st->lost_ring[i + 1])
			continue;
		buf_lit(b, "PORTTRACE_STATS_LOST_RING=");
		buf_u64(b, st->lost_ring[i] + st->lost_ring[i + 1]);
		buf_char(b, ' ');
		buf_str(b, event_kind_names[i / 2]);
		buf_lit(b, ", ");
		buf_u64(b, st->lost_ring[i + 1]);
		buf_lit(b, " failed\n");
	}
}

static void journal_stats_fields(struct buf *b, const struct stats *st)
{
	journal_time(b, "TIMESTAMP", st->time_ns);
	journal_text(b, "EVENT_KIND", "metric", 8);
	journal_text(b, "EVENT_DATASET", "porttrace.stats", 32);
	journal_number(b, "EVENT_SEQUENCE", st->sequence);
	journal_number(b, "PORTTRACE_STATS_SEEN", st->seen);
	journal_number(b, "PORTTRACE_STATS_EMITTED", st->emitted);
	journal_number(b, "PORTTRACE_STATS_FILTERED", st->filtered);
	journal_number(b, "PORTTRACE_STATS_LOST_KERNEL", st->lost_kernel);
	journal_number(b, "PORTTRACE_STATS_LOST_QUEUE", st->lost_queue);
	journal_number(b, "PORTTRACE_STATS_LOST_SINK", st->lost_sink);
	if (st->evicted)
		journal_number(b, "PORTTRACE_STATS_EVICTED", st->evicted);
	journal_stats_lost_ring(b, st);
	journal_time(b, "PORTTRACE_STATS_SINCE", st->since_ns);
	for (size_t i = 0; i < st->sink_count; i++)
		journal_stats_sink(b, &st->sinks[i]);
}

/* ---- the format ---- */

static void journal_fields_init(void *state, const struct feed_run *run)
{
	struct journal_state *js = state;
	size_t n = strnlen(run->id, sizeof(js->run) - 1);

	memcpy(js->run, run->id, n);
	js->run[n] = '\0';
}

static bool journal_fields_event(void *state, const struct event *ev, struct buf *out)
{
	struct sides sides = sides_of(ev);

	journal_message(out, ev, &sides);
	journal_head(out, state, ev->kind, ev->outcome == OUTCOME_FAILURE ? JOURNAL_WARNING : JOURNAL_INFO);
	journal_event(out, ev);
	journal_network(out, ev, &sides);
	journal_source(out, ev, &sides);
	journal_destination(out, ev, &sides);
	journal_process(out, ev);
	journal_porttrace(out, ev);
	return !out->overflow;
}

static bool journal_fields_stats(void *state, const struct stats *st, struct buf *out)
{
	journal_stats_message(out, st);
	journal_head(out, state, EVENT_KIND_COUNT, JOURNAL_INFO);
	journal_stats_fields(out, st);
	return !out->overflow;
}

const struct feed_format journal_fields = {
	.state_size = sizeof(struct journal_state),
	.max = JOURNAL_MAX,
	.init = journal_fields_init,
	.event = journal_fields_event,
	.stats = journal_fields_stats,
};
