// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * One JSON object a line: ECS names, plus one object `porttrace` of our own (schema 1). What is
 * unknown is absent. Written by hand, on the hot path: no printf, no allocation, no tree.
 */
#include "json_lines.h"

#include <netinet/in.h>
#include <string.h>

#include "json_out.h"
#include "json_stats.h"
#include "owners.h"
#include "pool_kind.h"
#include "sides.h"

/* What each further process of a socket may add to that. */
#define JSON_OWNER_MAX 144
#define JSON_SERVICE_MAX 64
/* Readers in JavaScript hold integers exactly only below this. */
#define JSON_INTEGER_END (UINT64_C(1) << 53)

/* What is given up, step by step, when escapes make a line too long. */
enum json_detail { JSON_IDENTITY_ONLY, JSON_NO_EXECUTABLE, JSON_NO_COMMAND_LINE, JSON_FULL };

/* ---- what is remembered of earlier lines ---- */

static uint64_t json_port_bits(const struct port_facts *facts)
{
	uint32_t bits;

	_Static_assert(offsetof(struct port_facts, privileged) == 3, "all but the service has a byte each");
	memcpy(&bits, facts, sizeof(bits));
	return bits;
}

/* All that decides the words of a line; texts by their addresses. */
static void json_facts(const struct event *ev, uint64_t facts[JSON_LINES_FACTS])
{
	uint64_t flags = (uint64_t)(ev->socket_state != NULL) << 10 | (uint64_t)(ev->verdict != NULL) << 9 |
			 (uint64_t)ev->remote.has_port << 8 | ev->remote.ip_version;

	_Static_assert(JSON_LINES_WORDS_SIZE == 32, "the words of an event have a byte each");
	memcpy(facts, ev, JSON_LINES_WORDS_SIZE);
	facts[4] = flags << 48 | (uint64_t)(uint8_t)ev->exit_signal << 32 | (uint32_t)ev->error;
	facts[5] = json_port_bits(&ev->local_facts) | json_port_bits(&ev->remote_facts) << 32;
	facts[6] = (uintptr_t)ev->local_facts.service;
	facts[7] = (uintptr_t)ev->remote_facts.service;
}

/* That of the event; or one of which nothing is written yet. */
static struct json_lines_shape *json_shape_of(struct json_lines *js, const struct event *ev)
{
	uint64_t facts[JSON_LINES_FACTS], hash = 0, other = 0;
	struct json_lines_shape *shape;

	json_facts(ev, facts);
	for (int i = 0; i < JSON_LINES_FACTS; i++)
		hash = (hash ^ facts[i]) * 0x9e3779b97f4a7c15ull;
	shape = &js->shapes[hash >> 56];
	for (int i = 0; i < JSON_LINES_FACTS; i++)
		other |= facts[i] ^ shape->facts[i];
	if (!other)
		return shape;
	memcpy(shape->facts, facts, sizeof(facts));
	for (int i = 0; i < JSON_PIECE_COUNT; i++)
		shape->pieces[i].len = 0;
	return shape;
}

/* Appends the piece if it was written before; else it has to be written, and given to json_keep. */
static inline bool json_recall(struct buf *b, const struct json_lines_piece *piece)
{
	char *to;

	if (!piece->len)
		return false;
	to = buf_room(b, piece->len);
	if (to)
		memcpy(to, piece->text, piece->len);
	return true;
}

static void json_keep(struct json_lines_piece *piece, const struct buf *b, size_t from)
{
	if (b->overflow || b->len - from > sizeof(piece->text))
		return;
	piece->len = (uint32_t)(b->len - from);
	memcpy(piece->text, b->data + from, piece->len);
}

/* ---- times ---- */

/* Days since 1970-01-01 to a date of the proleptic Gregorian calendar (years from March, eras of
 * 400). */
static void json_date(struct buf *b, uint64_t days)
{
	uint64_t z = days + 719468, era = z / 146097, day_of_era = z % 146097;
	uint64_t year =
		(day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	uint64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
	uint64_t march_month = (5 * day_of_year + 2) / 153;
	uint64_t month = march_month < 10 ? march_month + 3 : march_month - 9;

	buf_u64_padded(b, year + era * 400 + (month <= 2), 4);
	buf_char(b, '-');
	buf_u64_padded(b, month, 2);
	buf_char(b, '-');
	buf_u64_padded(b, day_of_year - (153 * march_month + 2) / 5 + 1, 2);
}

static void json_clock_set(struct json_lines_clock *clock, uint64_t second)
{
	struct buf b = { .data = clock->text, .size = sizeof(clock->text) };
	uint64_t in_day = second % 86400;

	clock->second = second;
	buf_char(&b, '"');
	json_date(&b, second / 86400);
	buf_char(&b, 'T');
	buf_u64_padded(&b, in_day / 3600, 2);
	buf_char(&b, ':');
	buf_u64_padded(&b, in_day / 60 % 60, 2);
	buf_char(&b, ':');
	buf_u64_padded(&b, in_day % 60, 2);
	buf_char(&b, '.');
}

static void json_time(struct buf *b, struct json_lines_clock *clock, uint64_t ns)
{
	uint64_t second = ns / 1000000000;
	char *to = buf_room(b, sizeof(clock->text) + 9 + 2);

	if (clock->second != second)
		json_clock_set(clock, second);
	if (!to)
		return;
	memcpy(to, clock->text, sizeof(clock->text));
	to = buf_put_nano(to + sizeof(clock->text), (uint32_t)(ns - second * 1000000000));
	memcpy(to, "Z\"", 2);
}

/* ---- the parts of a line, in their order ---- */

static void json_event_type(struct buf *b, const struct event *ev)
{
	bool ends = ev->kind == EVENT_CLOSE || ev->kind == EVENT_RELEASE;
	bool peer = ev->kind == EVENT_CONNECT || ev->kind == EVENT_ACCEPT || (ends && sides_has_peer(ev));

	buf_char(b, '[');
	if (peer)
		buf_lit(b, "\"connection\",");
	if (ends)
		buf_lit(b, "\"end\"]");
	else
		buf_lit(b, "\"start\"]");
}

#define JSON_ECS ",\"ecs\":{\"version\":\"9.4.0\"}"

/* A socket as it is, not something that happened. */
static void json_event_state(struct buf *b, const struct event *ev)
{
	buf_lit(b, JSON_ECS ",\"event\":{\"kind\":\"state\",\"module\":\"porttrace\",\"dataset\":\"porttrace.socket\","
		   "\"category\":[\"network\"],\"type\":[");
	if (ev->remote.has_port)
		buf_lit(b, "\"connection\",");
	buf_lit(b, "\"info\"],\"action\":\"list\",\"sequence\":");
	buf_u64(b, ev->sequence);
	if (ev->duration_ns) {
		buf_lit(b, ",\"duration\":");
		buf_u64(b, ev->duration_ns);
	}
	buf_char(b, '}');
}

static void json_event_head(struct buf *b, const struct event *ev, struct json_lines_piece *piece)
{
	size_t from = b->len;

	if (json_recall(b, piece))
		return;
	buf_lit(b, JSON_ECS ",\"event\":{\"kind\":\"event\",\"module\":\"porttrace\",\"dataset\":"
		   "\"porttrace.socket\","
		   "\"category\":[\"network\"],\"type\":");
	json_event_type(b, ev);
	buf_lit(b, ",\"action\":\"");
	buf_str(b, event_kind_names[ev->kind]);
	buf_lit(b, "\",\"outcome\":\"");
	buf_str(b, event_outcome_names[ev->outcome]);
	buf_lit(b, "\",\"sequence\":");
	json_keep(piece, b, from);
}

static void json_event(struct buf *b, const struct event *ev, struct json_lines_piece *piece, enum json_detail detail)
{
	const char *reason = ev->reason[0] || !ev->aborted ? ev->reason : "given up by the program";
	bool first = false;

	json_event_head(b, ev, piece);
	buf_u64(b, ev->sequence);
	if (ev->duration_ns)
		json_member_u64(b, &first, "duration", ev->duration_ns);
	if (detail > JSON_IDENTITY_ONLY)
		json_member_text(b, &first, "reason", reason, sizeof(ev->reason));
	buf_char(b, '}');
}

static void json_error(struct buf *b, const struct event *ev)
{
	const char *name, *words;
	bool first = false;

	if (ev->outcome != OUTCOME_FAILURE || ev->error <= 0)
		return;
	name = strerrorname_np(ev->error);
	words = strerrordesc_np(ev->error);
	buf_lit(b, ",\"error\":{\"code\":\"");
	buf_u64(b, (uint64_t)ev->error);
	buf_char(b, '"');
	if (name)
		json_member_text(b, &first, "type", name, 32);
	if (words)
		json_member_text(b, &first, "message", words, 64);
	buf_char(b, '}');
}

/* The error, if there is one, and the network. */
static void json_network(struct buf *b, const struct event *ev, const char *direction, struct json_lines_piece *piece)
{
	size_t from = b->len;

	if (json_recall(b, piece))
		return;
	json_error(b, ev);
	buf_lit(b, ",\"network\":{\"transport\":\"");
	buf_str(b, event_proto_names[ev->proto]);
	if (ev->ip_version == 4)
		buf_lit(b, "\",\"type\":\"ipv4");
	else if (ev->ip_version == 6)
		buf_lit(b, "\",\"type\":\"ipv6");
	if (ev->protocol == IPPROTO_UDPLITE)
		buf_lit(b, "\",\"iana_number\":\"136");
	if (direction[0]) {
		buf_lit(b, "\",\"direction\":\"");
		buf_str(b, direction);
	}
	buf_lit(b, "\"}");
	json_keep(piece, b, from);
}

static void json_endpoints(struct buf *b, const struct event *ev, const struct sides *sides)
{
	const struct endpoint *src = sides->source, *dst = sides->destination;

	if (sides_is_source_known(sides)) {
		buf_lit(b, ",\"source\":");
		json_endpoint(b, src, false, sides_bytes_from(ev, src));
	}
	if (sides_is_destination_known(ev, sides)) {
		buf_lit(b, ",\"destination\":");
		json_endpoint(b, dst, dst == &ev->remote, sides_bytes_from(ev, dst));
	}
}

static void json_process(struct buf *b, struct json_lines *js, const struct event *ev,
			 enum json_detail detail)
{
	const struct event_who *who = event_who(ev);
	bool first = true;

	if (!ev->pid && !ev->name[0])
		return;
	buf_lit(b, ",\"process\":{");
	if (ev->pid)
		json_member_u64(b, &first, "pid", ev->pid);
	if (ev->vpid)
		json_member_u64(b, &first, "vpid", ev->vpid);
	if (ev->tid) {
		json_member_u64(b, &first, "thread\":{\"id", ev->tid);
		buf_char(b, '}');
	}
	if (ev->parent_pid) {
		json_member_u64(b, &first, "parent\":{\"pid", ev->parent_pid);
		buf_char(b, '}');
	}
	json_member_text(b, &first, "name", ev->name, sizeof(ev->name));
	if (detail > JSON_NO_EXECUTABLE)
		json_member_text(b, &first, "executable", who->executable, sizeof(who->executable));
	if (detail > JSON_NO_COMMAND_LINE)
		json_member_text(b, &first, "command_line", who->command_line,
				 sizeof(who->command_line));
	if (ev->process_start_real_ns) {
		json_key(b, &first, "start");
		json_time(b, &js->start_clock, ev->process_start_real_ns);
	}
	buf_char(b, '}');
}

static void json_user(struct buf *b, const struct event *ev)
{
	bool first = false;

	if (!ev->has_uid)
		return;
	buf_lit(b, ",\"user\":{\"id\":\"");
	buf_u64(b, ev->uid);
	buf_char(b, '"');
	json_member_text(b, &first, "name", event_who(ev)->user, sizeof(event_who(ev)->user));
	buf_char(b, '}');
}

static void json_container(struct buf *b, const struct event *ev)
{
	const struct event_who *who = event_who(ev);
	bool first = true;

	if (who->container_id[0]) {
		buf_lit(b, ",\"container\":{");
		json_member_text(b, &first, "id", who->container_id, sizeof(who->container_id));
		json_member_text(b, &first, "runtime", who->container_runtime,
				 sizeof(who->container_runtime));
		buf_char(b, '}');
	}
	if (who->pod_uid[0]) {
		buf_lit(b, ",\"orchestrator\":{\"type\":\"kubernetes\",\"resource\":{\"type\":"
			   "\"pod\",\"id\":");
		json_text(b, who->pod_uid, sizeof(who->pod_uid));
		buf_lit(b, "}}");
	}
}

static void json_host(struct buf *b, const struct json_lines *js)
{
	if (!js->hostname[0])
		return;
	buf_lit(b, ",\"host\":{\"name\":");
	json_text(b, js->hostname, sizeof(js->hostname));
	buf_char(b, '}');
}

static void json_agent(struct buf *b, const struct json_lines *js)
{
	if (!js->run[0])
		return;
	buf_lit(b, ",\"agent\":{\"ephemeral_id\":\"");
	buf_str(b, js->run);
	buf_lit(b, "\"}");
}

static void json_write_who(struct buf *b, struct json_lines *js, const struct event *ev, enum json_detail detail)
{
	json_process(b, js, ev, detail);
	json_user(b, ev);
	json_host(b, js);
	json_agent(b, js);
	if (detail > JSON_IDENTITY_ONLY)
		json_container(b, ev);
}

/* Of the whole of it, remembered. */
static void json_whole_who(struct buf *b, struct json_lines *js, const struct event *ev)
{
	const char *fields = (const char *)ev + JSON_LINES_WHO_FIRST;
	struct json_lines_who *who = &js->who[(ev->pid * 0x9e3779b1u + ev->tid * 0x85ebca77u) >> 25];
	size_t before = b->len;

	if (who->len && !memcmp(who->fields, fields, sizeof(who->fields)) &&
	    event_is_same_who(&who->who, event_who(ev))) {
		buf_bytes(b, who->text, who->len);
		return;
	}
	json_write_who(b, js, ev, JSON_FULL);
	if (b->overflow || b->len - before > sizeof(who->text))
		return;
	who->len = b->len - before;
	memcpy(who->fields, fields, sizeof(who->fields));
	who->who = *event_who(ev);
	memcpy(who->text, b->data + before, who->len);
}

/* Up to the inside of it, if a port was asked for. */
static void json_assignment(struct buf *b, const struct event *ev)
{
	bool first = true;

	if (ev->how == HOW_NONE && !ev->has_requested)
		return;
	buf_lit(b, ",\"assignment\":{");
	json_member_word(b, &first, "how", event_how_names[ev->how]);
	if (ev->has_requested)
		json_key(b, &first, "requested");
	else
		buf_char(b, '}');
}

static void json_verdict(struct buf *b, bool *first, const struct event_verdict *v)
{
	if (v->has_pool) {
		json_member_u64(b, first, "used", v->used);
		json_member_u64(b, first, "capacity", v->capacity);
		json_member_u64(b, first, "reserved", v->reserved);
		json_member_u64(b, first, "blocked", v->blocked);
	}
	if (v->has_pool && v->next_ms != UINT32_MAX)
		json_member_u64(b, first, "next_free_ms", v->next_ms);
	if (v->rule)
		json_member_text(b, first, "rule", v->rule, 16);
	if (v->cause)
		json_member_text(b, first, "why", v->cause, 128);
	if (v->also)
		json_member_text(b, first, "also", v->also, 16);
	if (v->more)
		json_member_u64(b, first, "failed_before", v->more);
	buf_bytes(b, v->json, v->json_len);
}

/* Opens the pool's object, if there is one. */
static void json_pool_begin(struct buf *b, const struct event *ev)
{
	bool first = true;

	if (!ev->pool && !ev->verdict)
		return;
	buf_lit(b, ",\"pool\":{");
	json_member_word(b, &first, "kind", event_pool_names[ev->pool]);
	json_member_word(b, &first, "half", event_half_names[ev->half]);
}

/* Microseconds are rounded up: a search that was seen took some time. */
static void json_pool_end(struct buf *b, const struct event *ev)
{
	bool first = ev->pool == EVENT_POOL_NONE && ev->half == EVENT_HALF_UNKNOWN;

	if (!ev->pool && !ev->verdict)
		return;
	if (ev->has_search)
		json_member_u64(b, &first, "search_us", ev->search_ns / 1000 + (ev->search_ns % 1000 != 0));
	json_member_true(b, &first, "wall", ev->wall);
	if (ev->pool_capacity && !(ev->verdict && ev->verdict->has_pool)) {
		json_member_u64(b, &first, "used", ev->pool_used);
		json_member_u64(b, &first, "capacity", ev->pool_capacity);
	}
	if (ev->verdict)
		json_verdict(b, &first, ev->verdict);
	buf_char(b, '}');
}

/* What there was to pick from, of a failure for want of a port. */
static void json_choice(struct buf *b, const struct event *ev)
{
	bool has_use = ev->verdict && ev->verdict->has_pool, first = true, has_range;
	uint16_t low, high;

	if (ev->cause != CAUSE_PORT_EXHAUSTED)
		return;
	has_range = pool_kind_range(ev, &low, &high);
	if (!has_range && !has_use)
		return;
	buf_lit(b, ",\"ports\":{");
	if (has_range) {
		json_key(b, &first, "range");
		buf_char(b, '[');
		buf_u64(b, low);
		buf_char(b, ',');
		buf_u64(b, high);
		buf_char(b, ']');
	}
	if (has_use)
		json_member_u64(b, &first, "in_use", ev->verdict->used);
	buf_char(b, '}');
}

static void json_port(struct buf *b, const char *key, const struct port_facts *facts)
{
	bool first = true;

	if (!json_port_bits(facts) && !facts->service)
		return;
	buf_str(b, key);
	json_member_word(b, &first, "class", port_class_names[facts->class]);
	if (facts->service)
		json_member_text(b, &first, "service", facts->service, JSON_SERVICE_MAX);
	json_member_true(b, &first, "ephemeral", facts->ephemeral);
	json_member_true(b, &first, "reserved", facts->reserved);
	json_member_true(b, &first, "privileged", facts->privileged);
	buf_char(b, '}');
}

/* What the numbers of the ports mean. */
static void json_ports(struct buf *b, const struct sides *sides, struct json_lines_piece *piece)
{
	size_t from = b->len;

	if (json_recall(b, piece))
		return;
	if (sides->source_facts)
		json_port(b, ",\"source\":{", sides->source_facts);
	json_port(b, ",\"destination\":{", sides->destination_facts);
	json_keep(piece, b, from);
}

/* Of options that are known. */
static void json_options(struct buf *b, bool *first, const struct event *ev)
{
	if (ev->has_options) {
		json_member_bool(b, first, "reuseaddr", ev->reuseaddr);
		json_member_bool(b, first, "reuseport", ev->reuseport);
		json_member_bool(b, first, "no_port", ev->no_port);
		json_member_bool(b, first, "freebind", ev->freebind);
		json_member_bool(b, first, "transparent", ev->transparent);
		if (ev->is_ipv6)
			json_member_bool(b, first, "v6only", ev->v6only);
	}
	if (ev->bound_ifindex)
		json_member_u64(b, first, "device", ev->bound_ifindex);
	if (ev->mark)
		json_member_u64(b, first, "mark", ev->mark);
}

static void json_write_state(struct buf *b, bool *first, const struct event *ev)
{
	json_member_true(b, first, "mptcp", ev->mptcp);
	json_options(b, first, ev);
	json_member_word(b, first, "closed_by", event_closer_names[ev->closer]);
	json_member_word(b, first, "state", close_state_names[ev->close_state]);
}

/* Remembered, but with numbers among it, or without anything before it. */
static void json_state(struct buf *b, const struct event *ev, bool *first, struct json_lines_piece *piece)
{
	bool numbers = ev->bound_ifindex || ev->mark;
	size_t from = b->len;

	if (numbers || *first)
		json_write_state(b, first, ev);
	else if (!json_recall(b, piece)) {
		json_write_state(b, first, ev);
		json_keep(piece, b, from);
	}
}

static void json_netns_set(struct json_lines_netns *netns, uint32_t inum)
{
	memcpy(netns->text, ",\"netns\":", 9);
	netns->len = (size_t)(buf_put_u64(netns->text + 9, inum) - netns->text);
	netns->inum = inum;
}

/* The three that most have, in one go. False if there is not surely room, or one is not known. */
static bool json_socket_numbers(struct buf *b, struct json_lines_netns *netns, const struct event *ev)
{
	char *to = buf_ahead(b, 128);

	if (!to || !ev->cookie || ev->cookie >= JSON_INTEGER_END || !ev->netns_inum || !ev->has_fd)
		return false;
	if (netns->inum != ev->netns_inum)
		json_netns_set(netns, ev->netns_inum);
	memcpy(to, "\"cookie\":", 9);
	to = buf_put_u64(to + 9, ev->cookie);
	memcpy(to, netns->text, sizeof(netns->text));
	to += netns->len;
	memcpy(to, ",\"fd\":", 6);
	buf_took(b, buf_put_u64(to + 6, (uint64_t)ev->fd));
	return true;
}

static void json_socket_some(struct buf *b, bool *first, const struct event *ev)
{
	if (ev->cookie && ev->cookie < JSON_INTEGER_END)
		json_member_u64(b, first, "cookie", ev->cookie);
	if (ev->netns_inum)
		json_member_u64(b, first, "netns", ev->netns_inum);
	if (ev->has_fd)
		json_member_u64(b, first, "fd", (uint64_t)ev->fd);
}

/* The members that there are, or nothing. */
static void json_socket(struct buf *b, struct json_lines *js, const struct event *ev, struct json_lines_piece *state)
{
	size_t before = b->len, empty;
	bool first;

	buf_lit(b, ",\"socket\":{");
	empty = b->len;
	first = !json_socket_numbers(b, &js->netns, ev);
	if (first)
		json_socket_some(b, &first, ev);
	if (ev->kind == EVENT_LISTEN && ev->has_backlog)
		json_member_u64(b, &first, "backlog", ev->backlog);
	if (ev->has_queue)
		json_member_u64(b, &first, "queue", ev->queue);
	json_state(b, ev, &first, state);
	if (ev->socket_state)
		json_member_text(b, &first, "state", ev->socket_state, 16);
	if (ev->has_expires)
		json_member_u64(b, &first, "expires_ms", ev->expires_ms);
	if (b->len == empty)
		b->len = before;
	else
		buf_char(b, '}');
}

/* Everybody who has the socket open, if that is more than the process above. */
static void json_owners(struct buf *b, const struct event *ev)
{
	if (ev->owner_count < 2)
		return;
	for (size_t i = 0; i < ev->owner_count; i++) {
		bool first = false;

		buf_str(b, i ? "},{\"pid\":" : ",\"processes\":[{\"pid\":");
		buf_u64(b, ev->owners[i].pid);
		json_member_text(b, &first, "name", ev->owners[i].name, sizeof(ev->owners[i].name));
		json_member_u64(b, &first, "fd", (uint64_t)ev->owners[i].fd);
	}
	buf_lit(b, "}]");
}

/* How the process that closed it ended: "exit" or the signal's name. */
static void json_exit(struct buf *b, bool *first, const struct event *ev)
{
	const char *name = ev->exit_signal ? sigabbrev_np(ev->exit_signal) : NULL;
	char text[16] = "";
	struct buf out = { .data = text, .size = sizeof(text) };

	if (!ev->exiting)
		return;
	if (name)
		buf_lit(&out, "SIG");
	buf_str(&out, name ? name : ev->exit_signal ? "signal" : "exit");
	json_member_text(b, first, "exit", text, out.len);
}

static void json_creator(struct buf *b, const struct event *ev)
{
	bool first = false;

	if (!ev->creator_pid)
		return;
	buf_lit(b, ",\"creator\":{\"pid\":");
	buf_u64(b, ev->creator_pid);
	json_member_text(b, &first, "name", ev->creator_name, sizeof(ev->creator_name));
	buf_char(b, '}');
}

static void json_holder_process(struct buf *b, bool *first, const struct holder *holder)
{
	bool inner = true;

	if (!holder->pid && !holder->name[0])
		return;
	json_key(b, first, "process");
	buf_char(b, '{');
	if (holder->pid)
		json_member_u64(b, &inner, "pid", holder->pid);
	json_member_text(b, &inner, "name", holder->name, sizeof(holder->name));
	buf_char(b, '}');
}

static void json_holder_user(struct buf *b, bool *first, const struct holder *holder, enum json_detail detail)
{
	bool inner = false;

	if (!holder->has_uid)
		return;
	json_key(b, first, "user");
	buf_lit(b, "{\"id\":\"");
	buf_u64(b, holder->uid);
	buf_char(b, '"');
	if (detail > JSON_IDENTITY_ONLY)
		json_member_text(b, &inner, "name", holder->user, sizeof(holder->user));
	buf_char(b, '}');
}

/* Who has the port that was asked for in vain. */
static void json_holder(struct buf *b, const struct event *ev, enum json_detail detail)
{
	const struct holder *holder = &ev->holder;
	bool first = false;

	buf_lit(b, ",\"holder\":{\"kind\":\"");
	buf_str(b, holder_kind_names[holder->kind]);
	buf_char(b, '"');
	json_holder_process(b, &first, holder);
	json_holder_user(b, &first, holder, detail);
	if (holder->container_id[0] && detail > JSON_IDENTITY_ONLY) {
		json_member_text(b, &first, "container\":{\"id", holder->container_id, sizeof(holder->container_id));
		buf_char(b, '}');
	}
	json_member_true(b, &first, "exited", holder->exited);
	if (holder->has_expires)
		json_member_u64(b, &first, "expires", holder->expires_s);
	if (holder->local.ip_version) {
		json_key(b, &first, "ip");
		buf_char(b, '"');
		buf_ip(b, holder->local.addr, holder->local.ip_version);
		buf_char(b, '"');
	}
	buf_char(b, '}');
}

/* What the call came to, and how the port was assigned: up to the port that was asked for, or inside of the pool. */
static void json_write_outcome(struct buf *b, const struct event *ev)
{
	bool first = false;

	buf_lit(b, ",\"porttrace\":{\"schema\":1");
	if (!ev->socket_state)
		json_member_word(b, &first, "backend", event_backend_names[ev->backend]);
	json_member_true(b, &first, "late", ev->late);
	json_member_word(b, &first, "cause", event_cause_names[ev->cause]);
	json_exit(b, &first, ev);
	if (ev->confidence != CONFIDENCE_SURE) {
		buf_lit(b, ",\"process\":{\"confidence\":\"");
		buf_str(b, event_confidence_names[ev->confidence]);
		buf_lit(b, "\"}");
	}
	if (ev->owner_exited)
		buf_lit(b, ",\"process\":{\"exited\":true}");
	if (ev->has_port_free) {
		buf_lit(b, ",\"port\":{\"free\":");
		buf_str(b, ev->port_free ? "true}" : "false}");
	}
	json_assignment(b, ev);
	if (!ev->has_requested)
		json_pool_begin(b, ev);
}

static void json_outcome(struct buf *b, const struct event *ev, struct json_lines_piece *piece)
{
	size_t from = b->len;

	if (!json_recall(b, piece)) {
		json_write_outcome(b, ev);
		json_keep(piece, b, from);
	}
	if (!ev->has_requested)
		return;
	json_endpoint(b, &ev->requested, true, UINT64_MAX);
	buf_char(b, '}');
	json_pool_begin(b, ev);
}

/* But for its end. */
static void json_porttrace(struct buf *b, struct json_lines *js, const struct event *ev, const struct sides *sides,
			   struct json_lines_piece pieces[JSON_PIECE_COUNT], enum json_detail detail)
{
	bool first = false;

	json_outcome(b, ev, &pieces[JSON_PIECE_OUTCOME]);
	json_pool_end(b, ev);
	json_choice(b, ev);
	json_ports(b, sides, &pieces[JSON_PIECE_PORTS]);
	json_socket(b, js, ev, &pieces[JSON_PIECE_STATE]);
	json_owners(b, ev);
	json_creator(b, ev);
	if (ev->has_holder)
		json_holder(b, ev, detail);
	if (detail > JSON_IDENTITY_ONLY)
		json_member_text(b, &first, "unit", event_who(ev)->unit, sizeof(event_who(ev)->unit));
}

static void json_line(struct buf *b, struct json_lines *js, const struct event *ev,
		      enum json_detail detail)
{
	struct json_lines_piece *pieces = json_shape_of(js, ev)->pieces;
	struct sides sides = sides_of(ev);

	buf_lit(b, "{\"@timestamp\":");
	json_time(b, &js->clock, ev->time_ns);
	if (ev->socket_state)
		json_event_state(b, ev);
	else
		json_event(b, ev, &pieces[JSON_PIECE_EVENT], detail);
	json_network(b, ev, sides.direction, &pieces[JSON_PIECE_NETWORK]);
	json_endpoints(b, ev, &sides);
	if (detail == JSON_FULL)
		json_whole_who(b, js, ev);
	else
		json_write_who(b, js, ev, detail);
	json_porttrace(b, js, ev, &sides, pieces, detail);
	buf_lit(b, "}}\n");
}

/* ---- statistics of the run itself ---- */

static void json_stats_host(struct buf *b, const struct json_lines *js)
{
	bool first = true;

	if (!js->hostname[0] && !js->boot[0])
		return;
	buf_lit(b, ",\"host\":{");
	json_member_text(b, &first, "name", js->hostname, sizeof(js->hostname));
	if (js->boot[0]) {
		json_member_text(b, &first, "boot\":{\"id", js->boot, sizeof(js->boot));
		buf_char(b, '}');
	}
	buf_char(b, '}');
}

static void json_stats_sinks(struct buf *b, const struct stats *st)
{
	for (size_t i = 0; i < st->sink_count; i++) {
		const struct stats_sink *sink = &st->sinks[i];
		bool first = false;

		buf_str(b, i ? ",{\"name\":" : ",\"sinks\":[{\"name\":");
		json_text(b, sink->name, STATS_NAME_SIZE);
		json_member_u64(b, &first, "delivered", sink->delivered);
		json_member_u64(b, &first, "lost_queue", sink->lost_queue);
		json_member_u64(b, &first, "lost_sink", sink->lost_sink);
		json_member_u64(b, &first, "waiting", sink->waiting);
		buf_char(b, '}');
	}
	if (st->sink_count)
		buf_char(b, ']');
}

static void json_stats(struct buf *b, struct json_lines *js, const struct stats *st)
{
	bool first = true;

	buf_lit(b, ",\"porttrace\":{\"schema\":1,\"stats\":{");
	json_member_u64(b, &first, "seen", st->seen);
	json_member_u64(b, &first, "emitted", st->emitted);
	json_member_u64(b, &first, "filtered", st->filtered);
	json_member_u64(b, &first, "lost_kernel", st->lost_kernel);
	json_member_u64(b, &first, "lost_queue", st->lost_queue);
	json_member_u64(b, &first, "lost_sink", st->lost_sink);
	buf_lit(b, ",\"since\":");
	json_time(b, &js->start_clock, st->since_ns);
	if (st->evicted)
		json_member_u64(b, &first, "evicted", st->evicted);
	json_stats_lost_ring(b, st);
	json_stats_sinks(b, st);
	buf_lit(b, "}}");
}

/* ---- lines ---- */

static void json_lines_copy(char *to, const char *from, size_t size)
{
	memset(to, 0, size);
	if (from)
		memcpy(to, from, strnlen(from, size - 1));
}

void json_lines_init(struct json_lines *js, const struct json_lines_options *opts)
{
	json_clock_set(&js->clock, 0);
	json_clock_set(&js->start_clock, 0);
	json_lines_copy(js->hostname, opts->hostname, sizeof(js->hostname));
	json_lines_copy(js->run, opts->run, sizeof(js->run));
	json_lines_copy(js->boot, opts->boot, sizeof(js->boot));
}

size_t json_lines_max(const struct event *ev)
{
	return JSON_LINES_MAX + ev->owner_count * JSON_OWNER_MAX;
}

/* As much of it as there is room for. */
static bool json_lines_shorter(struct json_lines *js, const struct event *ev, size_t len, size_t size, struct buf *out)
{
	for (int detail = JSON_FULL - 1; out->overflow && detail >= JSON_IDENTITY_ONLY; detail--) {
		*out = (struct buf){ .data = out->data, .len = len, .size = size };
		json_line(out, js, ev, (enum json_detail)detail);
	}
	return !out->overflow;
}

bool json_lines_event(struct json_lines *js, const struct event *ev, struct buf *out)
{
	size_t len = out->len, size = out->size;

	json_line(out, js, ev, JSON_FULL);
	return !out->overflow || json_lines_shorter(js, ev, len, size, out);
}

static void json_stats_line(struct buf *out, struct json_lines *js, const struct stats *st)
{
	buf_lit(out, "{\"@timestamp\":");
	json_time(out, &js->clock, st->time_ns);
	buf_lit(out, ",\"ecs\":{\"version\":\"9.4.0\"},\"event\":{\"kind\":\"metric\",\"module\":\"porttrace\","
		     "\"dataset\":\"porttrace.stats\",\"sequence\":");
	buf_u64(out, st->sequence);
	buf_char(out, '}');
	json_stats_host(out, js);
	json_agent(out, js);
	json_stats(out, js, st);
	buf_lit(out, "}\n");
}

bool json_lines_stats(struct json_lines *js, const struct stats *st, struct buf *out)
{
	const struct buf before = *out;
	struct stats sum = *st;

	json_stats_line(out, js, st);
	if (!out->overflow)
		return true;
	*out = before; /* many sinks, with long names */
	sum.sink_count = 0;
	json_stats_line(out, js, &sum);
	return !out->overflow;
}
