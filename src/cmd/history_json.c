// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A life as one object a line: the names of src/json_lines.c, and event.start and event.end. */
#include <netinet/in.h>

#include "../json_lines.h"
#include "../json_out.h"
#include "../when.h"
#include "history_report.h"

#define HISTORY_TEXT_MAX 256
/* Readers in JavaScript hold integers exactly only below this. */
#define HISTORY_INTEGER_END (UINT64_C(1) << 53)

/* What is given up, step by step, when escapes make a line too long. */
enum history_json_detail { HISTORY_JSON_NO_EXECUTABLE, HISTORY_JSON_NO_COMMAND_LINE, HISTORY_JSON_FULL };

static void history_json_time(struct buf *b, bool *first, const char *key, uint64_t ns)
{
	if (!ns)
		return;
	json_comma(b, first);
	buf_char(b, '"');
	buf_str(b, key);
	buf_lit(b, "\":\"");
	when_iso(b, ns);
	buf_char(b, '"');
}

static void history_json_event(struct buf *b, const struct history_life *life)
{
	bool first = false;

	buf_lit(b, ",\"event\":{\"kind\":\"state\",\"module\":\"porttrace\",\"dataset\":\"porttrace.life\","
		   "\"category\":[\"network\"]");
	history_json_time(b, &first, "start", life->begin_ns);
	history_json_time(b, &first, "end", life->end_ns);
	if (life->begin_ns && life->end_ns > life->begin_ns)
		json_member_u64(b, &first, "duration", life->end_ns - life->begin_ns);
	buf_char(b, '}');
}

static void history_json_network(struct buf *b, const struct history_life *life)
{
	uint8_t version = life->local.ip_version ? life->local.ip_version : life->remote.ip_version;
	bool first = false;

	buf_lit(b, ",\"network\":{\"transport\":\"");
	buf_str(b, event_proto_names[life->proto]);
	buf_char(b, '"');
	if (version)
		json_member_text(b, &first, "type", version == 4 ? "ipv4" : "ipv6", 4);
	if (life->protocol == IPPROTO_UDPLITE)
		json_member_text(b, &first, "iana_number", "136", 3);
	json_member_text(b, &first, "direction", event_role_names[life->role], 16);
	buf_char(b, '}');
}

/* source = who opened the connection; what is no connection has only a destination. */
static void history_json_endpoints(struct buf *b, const struct history_life *life)
{
	uint64_t sent = life->has_bytes ? life->bytes_sent : UINT64_MAX;
	uint64_t received = life->has_bytes ? life->bytes_received : UINT64_MAX;
	bool peer = life->remote.ip_version || (life->remote.has_port && life->remote.port);

	if (!peer) {
		buf_lit(b, ",\"destination\":");
		json_endpoint(b, &life->local, true, UINT64_MAX);
	} else if (life->role == ROLE_INGRESS) {
		buf_lit(b, ",\"source\":");
		json_endpoint(b, &life->remote, true, received);
		buf_lit(b, ",\"destination\":");
		json_endpoint(b, &life->local, true, sent);
	} else {
		buf_lit(b, ",\"source\":");
		json_endpoint(b, &life->local, true, sent);
		buf_lit(b, ",\"destination\":");
		json_endpoint(b, &life->remote, true, received);
	}
}

static void history_json_process(struct buf *b, const struct history_life *life, enum history_json_detail detail)
{
	bool first = true;

	if (!life->pid && !life->name[0])
		return;
	buf_lit(b, ",\"process\":{");
	if (life->pid)
		json_member_u64(b, &first, "pid", life->pid);
	json_member_text(b, &first, "name", life->name, HISTORY_TEXT_MAX);
	if (detail > HISTORY_JSON_NO_EXECUTABLE)
		json_member_text(b, &first, "executable", life->executable, HISTORY_TEXT_MAX);
	if (detail > HISTORY_JSON_NO_COMMAND_LINE)
		json_member_text(b, &first, "command_line", life->command_line, HISTORY_TEXT_MAX);
	buf_char(b, '}');
}

static void history_json_user(struct buf *b, const struct history_life *life, const struct history_view *view)
{
	bool first = false;

	if (life->has_uid) {
		buf_lit(b, ",\"user\":{\"id\":\"");
		buf_u64(b, life->uid);
		buf_char(b, '"');
		if (view->names)
			json_member_text(b, &first, "name", life->user, HISTORY_TEXT_MAX);
		buf_char(b, '}');
	}
	if (life->container_id[0]) {
		buf_lit(b, ",\"container\":{\"id\":");
		json_text(b, life->container_id, HISTORY_TEXT_MAX);
		buf_char(b, '}');
	}
}

static void history_json_owners(struct buf *b, bool *first, const struct history_row *row)
{
	if (!row->owner_count)
		return;
	json_key(b, first, "also");
	for (size_t i = 0; i < row->owner_count && i < 64; i++) {
		bool inner = false;

		buf_str(b, i ? "," : "[");
		buf_lit(b, "{\"pid\":");
		buf_u64(b, row->owners[i].pid);
		json_member_text(b, &inner, "name", row->owners[i].name, EVENT_NAME_SIZE);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

static void history_json_port(struct buf *b, const struct history_life *life, const struct history_view *view)
{
	const char *service = view->names ? service_name(view->names, life->local.port, life->proto) : NULL;
	bool first = true;

	if (!life->local.has_port)
		return;
	buf_lit(b, ",\"port\":{");
	json_member_text(b, &first, "class", port_class_names[port_class_of(life->local.port)], 16);
	if (service)
		json_member_text(b, &first, "service", service, HISTORY_TEXT_MAX);
	json_member_true(b, &first, "squatter", history_squatted(life, view) != NULL);
	buf_char(b, '}');
}

static void history_json_socket(struct buf *b, const struct history_life *life)
{
	bool first = true;

	if ((!life->cookie || life->cookie >= HISTORY_INTEGER_END) && !life->netns_inum)
		return;
	buf_lit(b, ",\"socket\":{");
	if (life->cookie && life->cookie < HISTORY_INTEGER_END)
		json_member_u64(b, &first, "cookie", life->cookie);
	if (life->netns_inum)
		json_member_u64(b, &first, "netns", life->netns_inum);
	buf_char(b, '}');
}

/* What the ledger knows of it. */
static void history_json_life(struct buf *b, const struct history_row *row, const struct history_view *view)
{
	const struct history_life *life = row->life;
	bool first = true;

	buf_lit(b, ",\"life\":{");
	json_member_text(b, &first, "state", life_state_names[history_state_at(life, view)], 16);
	history_json_time(b, &first, "first_seen", life->begin_ns ? 0 : life->since_ns);
	history_json_time(b, &first, "free", life->free_ns);
	history_json_time(b, &first, "last_seen", life->free_ns ? 0 : life->seen_ns);
	if (row->has_expires)
		json_member_u64(b, &first, "expires", row->expires_s);
	history_json_owners(b, &first, row);
	json_member_text(b, &first, "boot", life->boot_id, 64);
	buf_char(b, '}');
}

static void history_json_porttrace(struct buf *b, const struct history_row *row, const struct history_view *view)
{
	const struct history_life *life = row->life;
	bool first = false;

	buf_lit(b, ",\"porttrace\":{\"schema\":1");
	json_member_text(b, &first, "cause", event_cause_names[life->cause], 32);
	history_json_life(b, row, view);
	if (life->how != HOW_NONE) {
		buf_lit(b, ",\"assignment\":{\"how\":\"");
		buf_str(b, event_how_names[life->how]);
		buf_lit(b, "\"}");
	}
	history_json_port(b, life, view);
	history_json_socket(b, life);
	json_member_text(b, &first, "unit", life->unit, HISTORY_TEXT_MAX);
	buf_char(b, '}');
}

static void history_json_line(struct buf *b, const struct history_row *row, const struct history_view *view,
			      enum history_json_detail detail)
{
	buf_lit(b, "{\"@timestamp\":\"");
	when_iso(b, view->at_ns ? view->at_ns : view->now_ns);
	buf_lit(b, "\",\"ecs\":{\"version\":\"9.4.0\"}");
	history_json_event(b, row->life);
	history_json_network(b, row->life);
	history_json_endpoints(b, row->life);
	history_json_process(b, row->life, detail);
	history_json_user(b, row->life, view);
	history_json_porttrace(b, row, view);
	buf_lit(b, "}\n");
}

void history_report_json(struct report *out, const struct history_row *row, const struct history_view *view)
{
	struct buf *b = &out->b;
	size_t before = b->len;

	history_json_line(b, row, view, HISTORY_JSON_FULL);
	for (int detail = HISTORY_JSON_NO_COMMAND_LINE;
	     detail >= HISTORY_JSON_NO_EXECUTABLE && b->len - before > JSON_LINES_MAX; detail--) {
		b->len = before;
		history_json_line(b, row, view, (enum history_json_detail)detail);
	}
	report_flush(out);
}
