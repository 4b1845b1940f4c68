// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "../cleanup.h"
#include "../json_out.h"
#include "service_report.h"

#define SERVICE_NAME_MAX 64

static void service_json_bool(struct buf *b, bool value)
{
	buf_str(b, value ? "true" : "false");
}

static void service_json_names(struct buf *b, const struct service_facts *facts, uint16_t port)
{
	bool first = true, any = false;

	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		const char *name = facts->query->protos & 1u << proto
					   ? service_name(facts->names, port, proto)
					   : NULL;

		if (!name)
			continue;
		if (!any)
			buf_lit(b, ",\"service\":{");
		any = true;
		json_comma(b, &first);
		buf_char(b, '"');
		buf_str(b, event_proto_names[proto]);
		buf_lit(b, "\":");
		json_text(b, name, SERVICE_NAME_MAX);
	}
	if (any)
		buf_char(b, '}');
}

static void service_json_also(struct buf *b, const struct service_query *query)
{
	if (query->port_count < 2)
		return;
	buf_lit(b, ",\"also\":");
	for (size_t i = 1; i < query->port_count; i++) {
		buf_char(b, i > 1 ? ',' : '[');
		buf_u64(b, query->ports[i]);
	}
	buf_char(b, ']');
}

static void service_json_kernel(struct buf *b, const struct netns_facts *ns, uint16_t port)
{
	if (!ns)
		return;
	buf_lit(b, ",\"ephemeral\":");
	service_json_bool(b, port >= ns->range_low && port <= ns->range_high);
	buf_lit(b, ",\"reserved\":");
	service_json_bool(b, netns_is_reserved(ns, port));
	buf_lit(b, ",\"privileged\":");
	service_json_bool(b, port < ns->unprivileged_start);
	buf_lit(b, ",\"netns\":{");
	if (ns->inum) {
		buf_lit(b, "\"inode\":");
		buf_u64(b, ns->inum);
		buf_char(b, ',');
	}
	buf_lit(b, "\"range\":{\"low\":");
	buf_u64(b, ns->range_low);
	buf_lit(b, ",\"high\":");
	buf_u64(b, ns->range_high);
	buf_lit(b, "},\"unprivileged_start\":");
	buf_u64(b, ns->unprivileged_start);
	buf_char(b, '}');
}

static void service_json_owners(struct report *out, const struct usage_socket *us)
{
	struct buf *b = &out->b;

	if (!us->owner_count)
		return;
	buf_lit(b, ",\"processes\":");
	for (size_t i = 0; i < us->owner_count; i++) {
		bool first = false;

		buf_char(b, i ? ',' : '[');
		buf_lit(b, "{\"pid\":");
		buf_u64(b, us->owners[i].pid);
		json_member_text(b, &first, "name", us->owners[i].name, EVENT_NAME_SIZE);
		buf_char(b, '}');
		report_flush(out);
	}
	buf_char(b, ']');
}

static void service_json_state(struct buf *b, const struct sockdiag_socket *sock)
{
	buf_lit(b, "{\"transport\":\"");
	buf_str(b, event_proto_names[sock->proto]);
	buf_lit(b, "\",\"state\":\"");
	buf_str(b, sockdiag_state_name(sock->proto, sock->state));
	buf_char(b, '"');
}

static void service_json_socket(struct report *out, const struct usage_socket *us)
{
	const struct sockdiag_socket *sock = &us->sock;
	struct buf *b = &out->b;
	bool first = false;

	service_json_state(b, sock);
	buf_lit(b, ",\"type\":\"");
	buf_str(b, sock->local.ip_version == 6 ? "ipv6\"" : "ipv4\"");
	json_member_true(b, &first, "takes_ipv4", sock->takes_ipv4);
	buf_lit(b, ",\"local\":");
	json_endpoint(b, &sock->local, true, UINT64_MAX);
	if (sock->remote.port) {
		buf_lit(b, ",\"remote\":");
		json_endpoint(b, &sock->remote, true, UINT64_MAX);
	}
	if (sock->state == SOCKDIAG_LISTEN) {
		json_member_u64(b, &first, "backlog", sock->backlog);
		json_member_u64(b, &first, "waiting", sock->queue);
	}
	json_member_u64(b, &first, "uid", sock->uid);
	json_member_u64(b, &first, "cookie", sock->cookie);
	service_json_owners(out, us);
	buf_char(b, '}');
	report_flush(out);
}

/* Each socket that has the port on its own side; of those in TIME_WAIT just the number. */
static void service_json_sockets(struct report *out, const struct service_facts *facts,
				 uint16_t port)
{
	struct buf *b = &out->b;
	size_t time_wait = 0;
	bool first = true;

	buf_lit(b, ",\"sockets\":[");
	for (size_t i = 0; i < facts->usage->count; i++) {
		const struct usage_socket *us = &facts->usage->sockets[i];

		if (us->sock.local.port != port || !(facts->query->protos & 1u << us->sock.proto))
			continue;
		if (us->sock.state == SOCKDIAG_TIME_WAIT) {
			time_wait++;
			continue;
		}
		json_comma(b, &first);
		service_json_socket(out, us);
	}
	buf_lit(b, "],\"time_wait\":");
	buf_u64(b, time_wait);
}

/* Connections to that port, counted by state and process. */
static void service_json_remote(struct report *out, const struct service_facts *facts,
				uint16_t port)
{
	_free_ struct usage_group *groups = NULL;
	struct buf *b = &out->b;
	size_t count = 0;

	if (usage_groups(facts->usage, port, false, facts->query->protos, 0, &groups, &count) < 0)
		return;
	buf_lit(b, ",\"as_remote\":[");
	for (size_t i = 0; i < count; i++) {
		bool first = false;

		if (i)
			buf_char(b, ',');
		service_json_state(b, &groups[i].first->sock);
		json_member_u64(b, &first, "count", groups[i].count);
		if (groups[i].first->sock.state != SOCKDIAG_TIME_WAIT)
			service_json_owners(out, groups[i].first);
		buf_char(b, '}');
		report_flush(out);
	}
	buf_char(b, ']');
}

/* What could not be seen is said, so that an empty list can be trusted. */
static void service_json_unseen(struct buf *b, const struct service_facts *facts)
{
	bool first = true;

	buf_lit(b, ",\"unreadable\":[");
	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		if (!facts->usage->error[proto] || !(facts->query->protos & 1u << proto))
			continue;
		json_comma(b, &first);
		json_text(b, event_proto_names[proto], SERVICE_NAME_MAX);
	}
	buf_lit(b, "],\"hidden_processes\":");
	buf_u64(b, facts->usage->owners.hidden);
}

void service_report_json(struct report *out, const struct service_facts *facts)
{
	uint16_t port = facts->query->ports[0];
	struct buf *b = &out->b;

	buf_lit(b, "{\"schema\":1,\"query\":");
	json_text(b, facts->query->text, 2 * SERVICE_NAME_MAX);
	buf_lit(b, ",\"port\":");
	buf_u64(b, port);
	buf_lit(b, ",\"class\":\"");
	buf_str(b, port_class_names[port_class_of(port)]);
	buf_char(b, '"');
	service_json_names(b, facts, port);
	service_json_also(b, facts->query);
	service_json_kernel(b, facts->netns, port);
	if (port) {
		service_json_sockets(out, facts, port);
		service_json_remote(out, facts, port);
		service_json_unseen(b, facts);
	}
	buf_lit(b, "}\n");
	report_flush(out);
}
