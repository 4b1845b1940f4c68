// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "../cleanup.h"
#include "../visible.h"
#include "service_report.h"

#define SERVICE_LABEL_COLUMN 13
#define SERVICE_ENDPOINT_WIDTH 38
#define SERVICE_STATE_WIDTH 13
/* Lists longer than this are summed up; and of what is left, so many lines are shown. */
#define SERVICE_SINGLE_MAX 8
#define SERVICE_LINES_MAX 16
#define SERVICE_OWNERS_MAX 4

__attribute__((format(printf, 2, 3))) static void service_put(struct buf *b, const char *format,
							      ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_str(b, text);
}

static void service_label(struct buf *b, const char *label)
{
	size_t from = b->len;

	buf_lit(b, "  ");
	buf_str(b, label);
	buf_pad(b, from, SERVICE_LABEL_COLUMN);
}

/* At least two spaces, also behind what was too long for its column. */
static void service_column(struct buf *b, size_t from, size_t width)
{
	buf_pad(b, from, width - 2);
	buf_lit(b, "  ");
}

/* ---- what the number means ---- */

static void service_text_head(struct buf *b, uint16_t port)
{
	static const char *const ranges[CLASS_COUNT] = {
		[CLASS_WELL_KNOWN] = "0-1023",
		[CLASS_REGISTERED] = "1024-49151",
		[CLASS_DYNAMIC] = "49152-65535",
	};
	enum port_class class = port_class_of(port);

	service_put(b, "%u  %s (%s)\n", port, port_class_names[class], ranges[class]);
}

static void service_text_names(struct buf *b, const struct service_facts *facts, uint16_t port)
{
	const char *tcp = service_name(facts->names, port, PROTO_TCP);
	const char *udp = service_name(facts->names, port, PROTO_UDP);

	tcp = facts->query->protos & 1u << PROTO_TCP ? tcp : NULL;
	udp = facts->query->protos & 1u << PROTO_UDP ? udp : NULL;
	service_label(b, "service");
	if (tcp && udp && !strcmp(tcp, udp))
		service_put(b, "%s (tcp, udp)\n", tcp);
	else if (tcp && udp)
		service_put(b, "%s (tcp), %s (udp)\n", tcp, udp);
	else if (tcp || udp)
		service_put(b, "%s (%s)\n", tcp ? tcp : udp, tcp ? "tcp" : "udp");
	else
		buf_lit(b, "none by that number\n");
}

/* A name may stand for several ports. */
static void service_text_also(struct buf *b, const struct service_query *query)
{
	if (query->port_count < 2)
		return;
	service_label(b, "also");
	for (size_t i = 1; i < query->port_count; i++)
		service_put(b, "%s%u", i > 1 ? ", " : "", query->ports[i]);
	buf_lit(b, ": the name stands for ");
	buf_str(b, query->port_count > 2 ? "these too\n" : "this too\n");
}

static void service_text_kernel(struct buf *b, const struct service_facts *facts, uint16_t port)
{
	const struct netns_facts *ns = facts->netns;
	bool ephemeral;

	if (!ns) {
		service_label(b, "kernel");
		buf_lit(b, "unknown: the settings in /proc/sys/net/ipv4 cannot be read\n");
		return;
	}
	ephemeral = port >= ns->range_low && port <= ns->range_high;
	service_label(b, "ephemeral");
	service_put(b, "%s: this namespace hands out %u-%u\n", ephemeral ? "yes" : "no",
		    ns->range_low, ns->range_high);
	service_label(b, "reserved");
	buf_str(b, netns_is_reserved(ns, port)
			   ? "yes: never handed out (net.ipv4.ip_local_reserved_ports)\n"
			   : "no\n");
	service_label(b, "privileged");
	if (ns->unprivileged_start == 0)
		buf_lit(b, "no (no port is, in this namespace)\n");
	else
		service_put(b, "%s (below %u needs CAP_NET_BIND_SERVICE)\n",
			    port < ns->unprivileged_start ? "yes" : "no", ns->unprivileged_start);
}

static bool service_has_listener(const struct usage *usage, uint16_t port)
{
	for (size_t i = 0; i < usage->count; i++)
		if (usage->sockets[i].sock.local.port == port &&
		    usage->sockets[i].sock.state == SOCKDIAG_LISTEN)
			return true;
	return false;
}

/* The trap that is seldom seen before it bites: a server's port that is also anybody's. */
static void service_text_trap(struct buf *b, const struct service_facts *facts, uint16_t port)
{
	const struct netns_facts *ns = facts->netns;
	bool named = service_name(facts->names, port, PROTO_TCP) ||
		     service_name(facts->names, port, PROTO_UDP);

	if (!ns || port < ns->range_low || port > ns->range_high || netns_is_reserved(ns, port) ||
	    !(named || service_has_listener(facts->usage, port)))
		return;
	service_label(b, "note");
	buf_lit(b, "any connection may get this port before its server starts. To keep it free, "
		   "add it to\n");
	buf_pad(b, b->len, SERVICE_LABEL_COLUMN);
	service_put(b,
		    "the list: sysctl net.ipv4.ip_local_reserved_ports (add %u to what it has)\n",
		    port);
}

/* ---- who uses it ---- */

static void service_text_endpoint(struct buf *b, const struct endpoint *ep)
{
	if (ep->ip_version == 6)
		buf_char(b, '[');
	buf_ip(b, ep->addr, ep->ip_version);
	if (ep->ip_version == 6)
		buf_char(b, ']');
	buf_char(b, ':');
	buf_u64(b, ep->port);
}

static bool service_is_connection(const struct sockdiag_socket *sock)
{
	return sock->remote.port != 0;
}

static void service_text_ends(struct buf *b, const struct usage_group *group)
{
	const struct sockdiag_socket *sock = &group->first->sock;

	if (group->count > 1 && service_is_connection(sock)) {
		service_put(b, "%zu connections", group->count);
		return;
	}
	service_text_endpoint(b, &sock->local);
	if (service_is_connection(sock)) {
		buf_lit(b, " with ");
		service_text_endpoint(b, &sock->remote);
	} else if (group->count > 1) {
		service_put(b, ", %zu sockets", group->count);
	}
}

static void service_text_details(struct buf *b, const struct usage_group *group)
{
	const struct sockdiag_socket *sock = &group->first->sock;

	if (sock->takes_ipv4)
		buf_lit(b, ", IPv4 too");
	if (sock->state == SOCKDIAG_LISTEN && group->count == 1 && sock->queue)
		service_put(b, ", %u of %u waiting for accept()", sock->queue, sock->backlog);
}

/* Nobody has it open, or nobody that we may look at. */
static void service_text_no_owner(struct buf *b, const struct sockdiag_socket *sock,
				  const struct usage *usage)
{
	const struct passwd *user;

	if (sock->state == SOCKDIAG_TIME_WAIT)
		buf_lit(b, "no process: free within a minute");
	else if (!sock->inode)
		buf_str(b, sock->state == SOCKDIAG_ESTABLISHED || sock->state == SOCKDIAG_CLOSE_WAIT
				   ? "no process yet: waiting to be accepted"
				   : "no process any more");
	else if (!usage->owners.hidden)
		buf_lit(b, "no process here: the kernel, or another PID namespace");
	else {
		user = getpwuid(sock->uid);
		buf_lit(b, "a process of ");
		if (user)
			visible_text(b, user->pw_name, 64);
		else
			service_put(b, "uid %u", sock->uid);
	}
}

static void service_text_owners(struct buf *b, const struct usage_group *group,
				const struct usage *usage)
{
	const struct usage_socket *us = group->first;

	if (!us->owner_count)
		service_text_no_owner(b, &us->sock, usage);
	for (size_t i = 0; i < us->owner_count && i < SERVICE_OWNERS_MAX; i++) {
		if (i)
			buf_lit(b, ", ");
		visible_text(b, us->owners[i].name, sizeof(us->owners[i].name));
		service_put(b, " (%u)", us->owners[i].pid);
	}
	if (us->owner_count > SERVICE_OWNERS_MAX)
		service_put(b, " and %zu more", us->owner_count - SERVICE_OWNERS_MAX);
}

static void service_text_group(struct buf *b, const struct usage_group *group,
			       const struct usage *usage)
{
	size_t from;

	buf_str(b, event_proto_names[group->first->sock.proto]);
	buf_lit(b, "  ");
	from = b->len;
	service_text_ends(b, group);
	service_column(b, from, SERVICE_ENDPOINT_WIDTH);
	from = b->len;
	buf_str(b, sockdiag_state_name(group->first->sock.proto, group->first->sock.state));
	service_column(b, from, SERVICE_STATE_WIDTH);
	service_text_owners(b, group, usage);
	service_text_details(b, group);
	buf_char(b, '\n');
}

/* The lines of one side of the port. False if there are none. */
static bool service_text_side(struct report *out, const struct service_facts *facts, uint16_t port,
			      bool local)
{
	_free_ struct usage_group *groups = NULL;
	size_t count = 0, left = 0;

	/* Without memory there is nothing to show, and no way to say it. */
	if (usage_groups(facts->usage, port, local, facts->query->protos,
			 local ? SERVICE_SINGLE_MAX : 0, &groups, &count) < 0 ||
	    !count)
		return false;
	for (size_t i = 0; i < count; i++) {
		if (i >= SERVICE_LINES_MAX) {
			left += groups[i].count;
			continue;
		}
		service_label(&out->b, i ? "" : local ? "in use" : "as remote");
		service_text_group(&out->b, &groups[i], facts->usage);
		report_flush(out);
	}
	if (left) {
		service_label(&out->b, "");
		service_put(&out->b, "and %zu more sockets (--json has all)\n", left);
	}
	return true;
}

static void service_text_unseen(struct buf *b, const struct service_facts *facts)
{
	for (enum event_proto proto = 0; proto < PROTO_COUNT; proto++) {
		int error = facts->usage->error[proto];

		if (!error || !(facts->query->protos & 1u << proto))
			continue;
		service_label(b, "unknown");
		service_put(b, "%s sockets: %s%s\n", event_proto_names[proto],
			    strerrordesc_np(-error),
			    error == -ENOENT ? " (the kernel has no module for it)" : "");
	}
}

static bool service_has_hidden(const struct service_facts *facts, uint16_t port)
{
	for (size_t i = 0; i < facts->usage->count; i++) {
		const struct usage_socket *us = &facts->usage->sockets[i];

		if ((us->sock.local.port == port || us->sock.remote.port == port) &&
		    us->sock.inode && !us->owner_count)
			return facts->usage->owners.hidden > 0;
	}
	return false;
}

static void service_text_use(struct report *out, const struct service_facts *facts, uint16_t port)
{
	bool used = service_text_side(out, facts, port, true);

	if (!used) {
		service_label(&out->b, "in use");
		buf_lit(&out->b, "no\n");
	}
	service_text_side(out, facts, port, false);
	service_text_unseen(&out->b, facts);
	if (service_has_hidden(facts, port)) {
		service_label(&out->b, "not shown");
		service_put(&out->b,
			    "processes of other users (not permitted): sudo porttrace service %u\n",
			    port);
	}
	service_label(&out->b, "looked at");
	buf_lit(&out->b, "this network namespace only");
	if (facts->netns && facts->netns->inum)
		service_put(&out->b, " (net:[%u])", facts->netns->inum);
	buf_char(&out->b, '\n');
}

void service_report_text(struct report *out, const struct service_facts *facts)
{
	uint16_t port = facts->query->ports[0];

	service_text_head(&out->b, port);
	if (port == 0) {
		service_label(&out->b, "meaning");
		buf_lit(&out->b,
			"no port: a program that asks for 0 leaves the choice to the kernel\n");
		if (facts->netns) {
			service_label(&out->b, "ephemeral");
			service_put(&out->b, "this namespace hands out %u-%u\n",
				    facts->netns->range_low, facts->netns->range_high);
		}
		return;
	}
	service_text_names(&out->b, facts, port);
	service_text_also(&out->b, facts->query);
	service_text_kernel(&out->b, facts, port);
	service_text_use(out, facts, port);
	service_text_trap(&out->b, facts, port);
}
