// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * An event as a logRecord of OTLP, in its JSON form (opentelemetry-proto: int64 are strings, enumerations
 * numbers). Attributes have the names of OpenTelemetry's semantic conventions where those have one, else
 * porttrace.*; host and run are the resource's: otlp.c. By hand, on the hot path.
 */
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#include "../clock.h"
#include "../feed.h"
#include "../human.h"
#include "../json_out.h"
#include "../pool_kind.h"
#include "../visible.h"

#define OTLP_RECORD_MAX 8192
#define OTLP_BODY_MAX 768
#define OTLP_DETAIL_MAX 2048

enum otlp_severity { OTLP_INFO = 9, OTLP_WARN = 13 };

/* What is given up, step by step, when escapes make a record too long. */
enum otlp_detail { OTLP_IDENTITY_ONLY, OTLP_NO_EXECUTABLE, OTLP_NO_COMMAND_LINE, OTLP_FULL };

/* ---- attributes: those that are known ---- */

static void otlp_key(struct buf *b, bool *first, const char *name)
{
	json_comma(b, first);
	buf_lit(b, "{\"key\":\"");
	buf_str(b, name);
	buf_lit(b, "\",\"value\":{\"");
}

static void otlp_text(struct buf *b, bool *first, const char *name, const char *value, size_t max)
{
	if (!value || !value[0])
		return;
	otlp_key(b, first, name);
	buf_lit(b, "stringValue\":");
	json_text(b, value, max);
	buf_lit(b, "}}");
}

static void otlp_word(struct buf *b, bool *first, const char *name, const char *value)
{
	otlp_text(b, first, name, value, 256);
}

static void otlp_int(struct buf *b, bool *first, const char *name, uint64_t value)
{
	if (value > INT64_MAX)
		return;
	otlp_key(b, first, name);
	buf_lit(b, "intValue\":\"");
	buf_u64(b, value);
	buf_lit(b, "\"}}");
}

/* 0 = not known */
static void otlp_id(struct buf *b, bool *first, const char *name, uint64_t value)
{
	if (value)
		otlp_int(b, first, name, value);
}

static void otlp_bool(struct buf *b, bool *first, const char *name, bool value)
{
	otlp_key(b, first, name);
	buf_lit(b, "boolValue\":");
	buf_str(b, value ? "true}}" : "false}}");
}

static void otlp_true(struct buf *b, bool *first, const char *name, bool value)
{
	if (value)
		otlp_bool(b, first, name, true);
}

static void otlp_uid(struct buf *b, bool *first, const char *name, uint32_t uid)
{
	otlp_key(b, first, name);
	buf_lit(b, "stringValue\":\"");
	buf_u64(b, uid);
	buf_lit(b, "\"}}");
}

static void otlp_address(struct buf *b, bool *first, const char *name, const struct endpoint *ep)
{
	if (!ep->ip_version)
		return;
	otlp_key(b, first, name);
	buf_lit(b, "stringValue\":\"");
	buf_ip(b, ep->addr, ep->ip_version);
	buf_lit(b, "\"}}");
}

/* ---- who, where, what ---- */

/* A bind that got nothing shows what it wanted, as everywhere. */
static const struct endpoint *otlp_local(const struct event *ev)
{
	bool wanted = ev->kind == EVENT_BIND && ev->outcome != OUTCOME_SUCCESS && ev->has_requested;

	return wanted ? &ev->requested : &ev->local;
}

static enum event_role otlp_role(const struct event *ev)
{
	return ev->kind == EVENT_CONNECT ? ROLE_EGRESS : ev->kind == EVENT_ACCEPT ? ROLE_INGRESS : ev->role;
}

/* Port 0 of a peer is what a program really may have asked for; our own is "none yet". */
static void otlp_network(struct buf *b, bool *first, const struct event *ev)
{
	const struct endpoint *local = otlp_local(ev);
	bool alone = ev->kind == EVENT_BIND || ev->kind == EVENT_LISTEN;

	otlp_word(b, first, "network.transport", event_proto_names[ev->proto]);
	otlp_word(b, first, "network.type", ev->ip_version == 4 ? "ipv4" : ev->ip_version == 6 ? "ipv6" : "");
	if (ev->protocol == IPPROTO_UDPLITE)
		otlp_int(b, first, "porttrace.iana_number", ev->protocol);
	otlp_address(b, first, "network.local.address", local);
	if (local->has_port && local->port)
		otlp_int(b, first, "network.local.port", local->port);
	if (alone)
		return;
	otlp_address(b, first, "network.peer.address", &ev->remote);
	if (ev->remote.has_port)
		otlp_int(b, first, "network.peer.port", ev->remote.port);
	otlp_word(b, first, "porttrace.direction", event_role_names[otlp_role(ev)]);
}

static void otlp_process(struct buf *b, bool *first, const struct event *ev, enum otlp_detail detail)
{
	const struct event_who *who = event_who(ev);

	otlp_id(b, first, "process.pid", ev->pid);
	otlp_id(b, first, "process.vpid", ev->vpid);
	otlp_id(b, first, "process.parent_pid", ev->parent_pid);
	otlp_id(b, first, "thread.id", ev->tid);
	otlp_text(b, first, "process.executable.name", ev->name, sizeof(ev->name));
	if (detail > OTLP_NO_EXECUTABLE)
		otlp_text(b, first, "process.executable.path", who->executable, sizeof(who->executable));
	if (detail > OTLP_NO_COMMAND_LINE)
		otlp_text(b, first, "process.command_line", who->command_line, sizeof(who->command_line));
	otlp_id(b, first, "porttrace.process.start_unix_nano", ev->process_start_real_ns);
	if (ev->has_uid) {
		otlp_uid(b, first, "user.id", ev->uid);
		otlp_text(b, first, "user.name", who->user, sizeof(who->user));
	}
	if (detail == OTLP_IDENTITY_ONLY)
		return;
	otlp_text(b, first, "container.id", who->container_id, sizeof(who->container_id));
	if (who->container_id[0])
		otlp_text(b, first, "container.runtime.name", who->container_runtime, sizeof(who->container_runtime));
	otlp_text(b, first, "k8s.pod.uid", who->pod_uid, sizeof(who->pod_uid));
	otlp_text(b, first, "porttrace.unit", who->unit, sizeof(who->unit));
}

static const char *otlp_reason(const struct event *ev)
{
	return ev->reason[0] || !ev->aborted ? ev->reason : "given up by the program";
}

static void otlp_outcome(struct buf *b, bool *first, const struct event *ev, enum otlp_detail detail)
{
	bool failed = ev->outcome == OUTCOME_FAILURE && ev->error > 0;

	if (failed)
		otlp_word(b, first, "error.type", strerrorname_np(ev->error));
	if (failed)
		otlp_word(b, first, "error.message", strerrordesc_np(ev->error));
	otlp_int(b, first, "porttrace.sequence", ev->sequence);
	otlp_word(b, first, "porttrace.outcome", event_outcome_names[ev->outcome]);
	otlp_word(b, first, "porttrace.cause", event_cause_names[ev->cause]);
	if (detail > OTLP_IDENTITY_ONLY)
		otlp_text(b, first, "porttrace.reason", otlp_reason(ev), sizeof(ev->reason));
	otlp_id(b, first, "porttrace.duration", ev->duration_ns);
	otlp_word(b, first, "porttrace.backend", event_backend_names[ev->backend]);
	otlp_true(b, first, "porttrace.late", ev->late);
	if (ev->confidence != CONFIDENCE_SURE)
		otlp_word(b, first, "porttrace.confidence", event_confidence_names[ev->confidence]);
}

static void otlp_facts(struct buf *b, bool *first, const char *const names[5], const struct port_facts *facts)
{
	otlp_word(b, first, names[0], port_class_names[facts->class]);
	otlp_word(b, first, names[1], facts->service);
	otlp_true(b, first, names[2], facts->ephemeral);
	otlp_true(b, first, names[3], facts->reserved);
	otlp_true(b, first, names[4], facts->privileged);
}

static void otlp_ports(struct buf *b, bool *first, const struct event *ev)
{
	static const char *const local[] = { "porttrace.local.class", "porttrace.local.service",
					     "porttrace.local.ephemeral", "porttrace.local.reserved",
					     "porttrace.local.privileged" };
	static const char *const peer[] = { "porttrace.peer.class", "porttrace.peer.service",
					    "porttrace.peer.ephemeral", "porttrace.peer.reserved",
					    "porttrace.peer.privileged" };

	otlp_facts(b, first, local, &ev->local_facts);
	otlp_facts(b, first, peer, &ev->remote_facts);
	otlp_word(b, first, "porttrace.assignment.how", event_how_names[ev->how]);
	if (ev->has_requested) {
		otlp_address(b, first, "porttrace.assignment.requested.address", &ev->requested);
		if (ev->requested.has_port)
			otlp_int(b, first, "porttrace.assignment.requested.port", ev->requested.port);
	}
}

/* The members of JSON that a verdict has, as the text of one object. */
static void otlp_verdict_detail(struct buf *b, bool *first, const struct event_verdict *v)
{
	char text[OTLP_DETAIL_MAX + 1];
	struct buf out = { .data = text, .size = OTLP_DETAIL_MAX };

	if (v->json_len < 2)
		return;
	buf_char(&out, '{');
	buf_bytes(&out, v->json + 1, v->json_len - 1); /* they begin with a comma */
	buf_char(&out, '}');
	text[out.overflow ? 0 : out.len] = '\0';
	otlp_text(b, first, "porttrace.pool.detail", text, sizeof(text));
}

static void otlp_verdict(struct buf *b, bool *first, const struct event_verdict *v, enum otlp_detail detail)
{
	if (v->has_pool) {
		otlp_int(b, first, "porttrace.pool.used", v->used);
		otlp_int(b, first, "porttrace.pool.capacity", v->capacity);
		otlp_int(b, first, "porttrace.pool.reserved", v->reserved);
		otlp_int(b, first, "porttrace.pool.blocked", v->blocked);
	}
	if (v->has_pool && v->next_ms != UINT32_MAX)
		otlp_int(b, first, "porttrace.pool.next_free_ms", v->next_ms);
	otlp_word(b, first, "porttrace.pool.rule", v->rule);
	otlp_word(b, first, "porttrace.pool.why", v->cause);
	otlp_word(b, first, "porttrace.pool.also", v->also);
	otlp_id(b, first, "porttrace.pool.failed_before", v->more);
	if (detail > OTLP_IDENTITY_ONLY)
		otlp_verdict_detail(b, first, v);
}

/* As in JSON Lines, microseconds are rounded up; where a verdict knows the pool, its numbers are the ones. */
static void otlp_pool(struct buf *b, bool *first, const struct event *ev, enum otlp_detail detail)
{
	if (!ev->pool && !ev->verdict)
		return;
	otlp_word(b, first, "porttrace.pool.kind", event_pool_names[ev->pool]);
	otlp_word(b, first, "porttrace.pool.half", event_half_names[ev->half]);
	if (ev->has_search)
		otlp_int(b, first, "porttrace.pool.search_us", ev->search_ns / 1000 + (ev->search_ns % 1000 != 0));
	otlp_true(b, first, "porttrace.pool.wall", ev->wall);
	if (ev->pool_capacity && !(ev->verdict && ev->verdict->has_pool)) {
		otlp_int(b, first, "porttrace.pool.used", ev->pool_used);
		otlp_int(b, first, "porttrace.pool.capacity", ev->pool_capacity);
	}
	if (ev->verdict)
		otlp_verdict(b, first, ev->verdict, detail);
}

/* What there was to pick from, of a failure for want of a port. */
static void otlp_range(struct buf *b, bool *first, const struct event *ev)
{
	uint16_t low, high;

	if (ev->cause != CAUSE_PORT_EXHAUSTED)
		return;
	if (pool_kind_range(ev, &low, &high)) {
		otlp_key(b, first, "porttrace.ports.range");
		buf_lit(b, "arrayValue\":{\"values\":[{\"intValue\":\"");
		buf_u64(b, low);
		buf_lit(b, "\"},{\"intValue\":\"");
		buf_u64(b, high);
		buf_lit(b, "\"}]}}}");
	}
	if (ev->verdict && ev->verdict->has_pool)
		otlp_int(b, first, "porttrace.ports.in_use", ev->verdict->used);
}

static void otlp_socket(struct buf *b, bool *first, const struct event *ev)
{
	otlp_id(b, first, "porttrace.socket.cookie", ev->cookie);
	otlp_id(b, first, "porttrace.socket.netns", ev->netns_inum);
	if (ev->has_fd)
		otlp_int(b, first, "porttrace.socket.fd", (uint64_t)ev->fd);
	if (ev->kind == EVENT_LISTEN && ev->has_backlog)
		otlp_int(b, first, "porttrace.socket.backlog", ev->backlog);
	otlp_true(b, first, "porttrace.socket.mptcp", ev->mptcp);
	if (ev->has_options) {
		otlp_bool(b, first, "porttrace.socket.reuseaddr", ev->reuseaddr);
		otlp_bool(b, first, "porttrace.socket.reuseport", ev->reuseport);
		otlp_bool(b, first, "porttrace.socket.no_port", ev->no_port);
		otlp_bool(b, first, "porttrace.socket.freebind", ev->freebind);
		otlp_bool(b, first, "porttrace.socket.transparent", ev->transparent);
	}
	if (ev->has_options && ev->is_ipv6)
		otlp_bool(b, first, "porttrace.socket.v6only", ev->v6only);
	otlp_id(b, first, "porttrace.socket.device", ev->bound_ifindex);
	otlp_id(b, first, "porttrace.socket.mark", ev->mark);
}

static void otlp_close(struct buf *b, bool *first, const struct event *ev)
{
	const char *name = ev->exit_signal ? sigabbrev_np(ev->exit_signal) : NULL;
	char text[16] = "SIG";

	otlp_word(b, first, "porttrace.socket.closed_by", event_closer_names[ev->closer]);
	otlp_word(b, first, "porttrace.socket.state", close_state_names[ev->close_state]);
	if (ev->has_bytes) {
		otlp_int(b, first, "porttrace.bytes_sent", ev->bytes_sent);
		otlp_int(b, first, "porttrace.bytes_received", ev->bytes_received);
	}
	if (name)
		strncat(text, name, sizeof(text) - strlen(text) - 1);
	if (ev->exiting)
		otlp_word(b, first, "porttrace.exit", name ? text : ev->exit_signal ? "signal" : "exit");
	if (ev->has_port_free)
		otlp_bool(b, first, "porttrace.port.free", ev->port_free);
}

/* Who has the port that was asked for in vain, and who made the socket. */
static void otlp_others(struct buf *b, bool *first, const struct event *ev, enum otlp_detail detail)
{
	const struct holder *h = &ev->holder;

	if (ev->creator_pid) {
		otlp_int(b, first, "porttrace.creator.pid", ev->creator_pid);
		otlp_text(b, first, "porttrace.creator.name", ev->creator_name, sizeof(ev->creator_name));
	}
	if (!ev->has_holder)
		return;
	otlp_word(b, first, "porttrace.holder.kind", holder_kind_names[h->kind]);
	otlp_id(b, first, "porttrace.holder.process.pid", h->pid);
	otlp_text(b, first, "porttrace.holder.process.name", h->name, sizeof(h->name));
	if (h->has_uid)
		otlp_uid(b, first, "porttrace.holder.user.id", h->uid);
	if (detail > OTLP_IDENTITY_ONLY) {
		otlp_text(b, first, "porttrace.holder.user.name", h->has_uid ? h->user : "", sizeof(h->user));
		otlp_text(b, first, "porttrace.holder.container.id", h->container_id, sizeof(h->container_id));
	}
	otlp_true(b, first, "porttrace.holder.exited", h->exited);
	if (h->has_expires)
		otlp_int(b, first, "porttrace.holder.expires", h->expires_s);
	otlp_address(b, first, "porttrace.holder.address", &h->local);
}

/* ---- a record ---- */

/* "connect tcp 10.0.0.5:- -> 10.0.3.9:5432 by api[4312]: failure EADDRNOTAVAIL" */
static void otlp_body(struct buf *b, const struct event *ev)
{
	static const struct port_facts none = { 0 };
	char text[OTLP_BODY_MAX + 1];
	struct buf out = { .data = text, .size = OTLP_BODY_MAX };
	const char *error = ev->outcome == OUTCOME_FAILURE && ev->error > 0 ? strerrorname_np(ev->error) : NULL;
	bool ingress = otlp_role(ev) == ROLE_INGRESS;

	buf_str(&out, event_kind_names[ev->kind]);
	buf_char(&out, ' ');
	buf_str(&out, event_proto_names[ev->proto]);
	buf_char(&out, ' ');
	human_endpoint(&out, otlp_local(ev), &none);
	if (ev->kind != EVENT_BIND && ev->kind != EVENT_LISTEN && ev->remote.ip_version) {
		buf_str(&out, ingress ? " <- " : " -> ");
		human_endpoint(&out, &ev->remote, &none);
	}
	if (ev->pid || ev->name[0]) {
		buf_lit(&out, " by ");
		human_process(&out, ev->name, sizeof(ev->name), ev->pid, false);
	}
	buf_lit(&out, ": ");
	buf_str(&out, event_outcome_names[ev->outcome]);
	if (error) {
		buf_char(&out, ' ');
		buf_str(&out, error);
	}
	text[out.len] = '\0';
	json_text(b, text, sizeof(text));
}

static void otlp_begin(struct buf *b, uint64_t time_ns, uint64_t observed_ns, enum otlp_severity severity,
		       const char *name, const char *kind)
{
	buf_lit(b, "{\"timeUnixNano\":\"");
	buf_u64(b, time_ns);
	buf_lit(b, "\",\"observedTimeUnixNano\":\"");
	buf_u64(b, observed_ns ? observed_ns : clock_now_ns(CLOCK_REALTIME));
	buf_str(b, severity == OTLP_WARN ? "\",\"severityNumber\":13,\"severityText\":\"WARN\",\"eventName\":\"" :
					   "\",\"severityNumber\":9,\"severityText\":\"INFO\",\"eventName\":\"");
	buf_str(b, name);
	buf_str(b, kind);
	buf_lit(b, "\",\"body\":{\"stringValue\":");
}

static void otlp_record(struct buf *b, const struct event *ev, enum otlp_detail detail)
{
	bool first = true;

	otlp_begin(b, ev->time_ns, ev->observed_ns, ev->outcome == OUTCOME_FAILURE ? OTLP_WARN : OTLP_INFO,
		   "porttrace.socket.", event_kind_names[ev->kind]);
	otlp_body(b, ev);
	buf_lit(b, "},\"attributes\":[");
	otlp_network(b, &first, ev);
	otlp_process(b, &first, ev, detail);
	otlp_outcome(b, &first, ev, detail);
	otlp_ports(b, &first, ev);
	otlp_pool(b, &first, ev, detail);
	otlp_range(b, &first, ev);
	otlp_socket(b, &first, ev);
	otlp_close(b, &first, ev);
	otlp_others(b, &first, ev, detail);
	buf_lit(b, "]}");
}

/* ---- the run itself ---- */

static void otlp_sink(struct buf *b, const struct stats_sink *sink)
{
	bool first = true;

	buf_lit(b, "{\"kvlistValue\":{\"values\":[");
	otlp_text(b, &first, "name", sink->name, sizeof(sink->name));
	otlp_int(b, &first, "delivered", sink->delivered);
	otlp_int(b, &first, "lost_queue", sink->lost_queue);
	otlp_int(b, &first, "lost_sink", sink->lost_sink);
	otlp_int(b, &first, "waiting", sink->waiting);
	buf_lit(b, "]}}");
}

static void otlp_sinks(struct buf *b, bool *first, const struct stats *st, size_t count)
{
	bool first_sink = true;

	if (!count)
		return;
	otlp_key(b, first, "porttrace.stats.sinks");
	buf_lit(b, "arrayValue\":{\"values\":[");
	for (size_t i = 0; i < count; i++) {
		json_comma(b, &first_sink);
		otlp_sink(b, &st->sinks[i]);
	}
	buf_lit(b, "]}}}");
}

static void otlp_lost_ring(struct buf *b, bool *first, const struct stats *st)
{
	bool any = false, inner;

	for (size_t i = 0; i < STATS_LOSSES; i += 2) {
		if (!st->lost_ring[i] && !st->lost_ring[i + 1])
			continue;
		if (any)
			buf_char(b, ',');
		else
			otlp_key(b, first, "porttrace.stats.lost_ring");
		buf_str(b, any ? "" : "arrayValue\":{\"values\":[");
		buf_lit(b, "{\"kvlistValue\":{\"values\":[");
		inner = any = true;
		otlp_text(b, &inner, "action", event_kind_names[i / 2], 16);
		otlp_int(b, &inner, "success", st->lost_ring[i]);
		otlp_int(b, &inner, "failure", st->lost_ring[i + 1]);
		buf_lit(b, "]}}");
	}
	if (any)
		buf_lit(b, "]}}}");
}

static void otlp_stats(struct buf *b, const struct stats *st, size_t sinks)
{
	bool first = true;

	otlp_begin(b, st->time_ns, st->time_ns, OTLP_INFO, "porttrace.stats", "");
	buf_char(b, '"');
	buf_u64(b, st->emitted);
	buf_lit(b, " events shown, ");
	buf_u64(b, st->seen);
	buf_lit(b, " seen, ");
	buf_u64(b, st->lost_kernel + st->lost_queue + st->lost_sink);
	buf_lit(b, " lost\"},\"attributes\":[");
	otlp_int(b, &first, "porttrace.sequence", st->sequence);
	otlp_int(b, &first, "porttrace.stats.seen", st->seen);
	otlp_int(b, &first, "porttrace.stats.emitted", st->emitted);
	otlp_int(b, &first, "porttrace.stats.filtered", st->filtered);
	otlp_int(b, &first, "porttrace.stats.lost_kernel", st->lost_kernel);
	otlp_int(b, &first, "porttrace.stats.lost_queue", st->lost_queue);
	otlp_int(b, &first, "porttrace.stats.lost_sink", st->lost_sink);
	otlp_int(b, &first, "porttrace.stats.since_unix_nano", st->since_ns);
	if (st->evicted)
		otlp_int(b, &first, "porttrace.stats.evicted", st->evicted);
	otlp_lost_ring(b, &first, st);
	otlp_sinks(b, &first, st, sinks);
	buf_lit(b, "]}");
}

/* ---- the format ---- */

static void otlp_format_init(void *state, const struct feed_run *run)
{
	(void)state;
	(void)run;
}

static bool otlp_format_event(void *state, const struct event *ev, struct buf *out)
{
	const struct buf before = *out;
	bool fits = false;

	(void)state;
	for (int detail = OTLP_FULL; !fits && detail >= OTLP_IDENTITY_ONLY; detail--) {
		*out = before;
		otlp_record(out, ev, (enum otlp_detail)detail);
		fits = !out->overflow;
	}
	return fits;
}

static bool otlp_format_stats(void *state, const struct stats *st, struct buf *out)
{
	const struct buf before = *out;

	(void)state;
	otlp_stats(out, st, st->sink_count);
	if (!out->overflow)
		return true;
	*out = before; /* many sinks, with long names */
	otlp_stats(out, st, 0);
	return !out->overflow;
}

const struct feed_format feed_otlp_records = {
	.state_size = 1,
	.max = OTLP_RECORD_MAX,
	.init = otlp_format_init,
	.event = otlp_format_event,
	.stats = otlp_format_stats,
};
