// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* The parts of a recording that are told as they are: each is packed and unpacked in the same order. */
#include "format.h"

#include <stdio.h>

static void facts_put_field(struct buf *b, const char *text, size_t size)
{
	format_put_text(b, text, strnlen(text, size - 1));
}

/* ---- processes ---- */

#define FACTS_TEXT(field) { offsetof(struct event_who, field), sizeof(((struct event_who *)0)->field) }

/* In their order in the file. */
static const struct {
	size_t at, size;
} facts_texts[] = {
	FACTS_TEXT(executable),	      FACTS_TEXT(command_line), FACTS_TEXT(user), FACTS_TEXT(container_id),
	FACTS_TEXT(container_runtime), FACTS_TEXT(pod_uid),	 FACTS_TEXT(unit),
};
#define FACTS_TEXT_COUNT (sizeof(facts_texts) / sizeof(facts_texts[0]))

void facts_put_process(struct buf *b, const struct facts_process *p)
{
	format_put_u64(b, p->start_real_ns);
	format_put_u64(b, p->parent_pid);
	format_put_u64(b, p->name_is_leader);
	facts_put_field(b, p->name, sizeof(p->name));
	for (size_t i = 0; i < FACTS_TEXT_COUNT; i++)
		facts_put_field(b, (const char *)&p->who + facts_texts[i].at, facts_texts[i].size);
}

void facts_get_process(struct format_in *in, struct facts_process *ret)
{
	ret->start_real_ns = format_get_u64(in);
	ret->parent_pid = (uint32_t)format_get_u64(in);
	ret->name_is_leader = format_get_u64(in) != 0;
	format_get_text(in, ret->name, sizeof(ret->name));
	for (size_t i = 0; i < FACTS_TEXT_COUNT; i++)
		format_get_text(in, (char *)&ret->who + facts_texts[i].at, facts_texts[i].size);
}

/* ---- namespaces ---- */

void facts_put_truth(struct buf *b, const struct facts_truth *truth)
{
	format_put_u64(b, truth->netns_inum);
	format_put_u64(b, truth->range_low);
	format_put_u64(b, truth->range_high);
	format_put_u64(b, truth->unprivileged_start);
}

void facts_get_truth(struct format_in *in, struct facts_truth *ret)
{
	ret->netns_inum = (uint32_t)format_get_u64(in);
	ret->range_low = (uint16_t)format_get_u64(in);
	ret->range_high = (uint16_t)format_get_u64(in);
	ret->unprivileged_start = (uint16_t)format_get_u64(in);
}

/* Most often there are none. */
static void facts_put_reserved(struct buf *b, const struct netns_facts *facts)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(facts->reserved); i++)
		any |= facts->reserved[i] != 0;
	format_put_u64(b, any);
	if (any)
		buf_bytes(b, (const char *)facts->reserved, sizeof(facts->reserved));
}

void facts_put_netns(struct buf *b, const char *name, const struct netns_facts *facts)
{
	format_put_text(b, name, strlen(name));
	format_put_u64(b, facts->inum);
	format_put_u64(b, facts->is_own);
	format_put_u64(b, facts->cookie);
	format_put_u64(b, facts->range_low);
	format_put_u64(b, facts->range_high);
	format_put_u64(b, facts->unprivileged_start);
	format_put_s64(b, facts->tw_reuse);
	format_put_u64(b, facts->timestamps);
	format_put_u64(b, facts->no_ipv6);
	format_put_u64(b, facts->tw_reuse_delay_ms);
	facts_put_reserved(b, facts);
}

void facts_get_netns(struct format_in *in, char *name, size_t size, struct netns_facts *ret)
{
	*ret = (struct netns_facts){ 0 };
	format_get_text(in, name, size);
	ret->inum = (uint32_t)format_get_u64(in);
	ret->is_own = format_get_u64(in) != 0;
	ret->cookie = format_get_u64(in);
	ret->range_low = (uint16_t)format_get_u64(in);
	ret->range_high = (uint16_t)format_get_u64(in);
	ret->unprivileged_start = (uint16_t)format_get_u64(in);
	ret->tw_reuse = (int)(int8_t)format_get_s64(in);
	ret->timestamps = format_get_u64(in) != 0;
	ret->no_ipv6 = format_get_u64(in) != 0;
	ret->tw_reuse_delay_ms = (uint32_t)format_get_u64(in);
	if (format_get_below(in, 2))
		format_get_bytes(in, ret->reserved, sizeof(ret->reserved));
}

/* ---- endpoints ---- */

static void facts_put_endpoint(struct buf *b, const struct endpoint *end)
{
	format_put_u64(b, (uint64_t)end->ip_version << 1 | end->has_port);
	format_put_u64(b, end->port);
	if (end->ip_version)
		buf_bytes(b, (const char *)end->addr, end->ip_version == 4 ? 4 : 16);
}

static void facts_get_endpoint(struct format_in *in, struct endpoint *ret)
{
	uint64_t head = format_get_below(in, 14);

	*ret = (struct endpoint){ .has_port = head & 1, .port = (uint16_t)format_get_u64(in) };
	ret->ip_version = (uint8_t)(head >> 1);
	if (ret->ip_version != 0 && ret->ip_version != 4 && ret->ip_version != 6) {
		in->bad = true;
		ret->ip_version = 0;
	}
	if (ret->ip_version)
		format_get_bytes(in, ret->addr, ret->ip_version == 4 ? 4 : 16);
}

/* ---- who is in the way ---- */

void facts_put_holder(struct buf *b, const struct holder *holder)
{
	format_put_u64(b, holder->kind);
	format_put_u64(b, holder->how);
	facts_put_endpoint(b, &holder->local);
	format_put_u64(b, holder->pid);
	format_put_u64(b, holder->process_start_ns);
	format_put_u64(b, holder->cgroup_id);
	facts_put_field(b, holder->name, sizeof(holder->name));
	format_put_u64(b, holder->has_uid);
	format_put_u64(b, holder->uid);
	facts_put_field(b, holder->user, sizeof(holder->user));
	facts_put_field(b, holder->container_id, sizeof(holder->container_id));
	format_put_u64(b, holder->exited);
	format_put_u64(b, holder->has_expires);
	format_put_u64(b, holder->expires_s);
}

void facts_get_holder(struct format_in *in, struct holder *ret)
{
	*ret = (struct holder){ .kind = (enum holder_kind)format_get_below(in, HOLDER_KIND_COUNT) };
	ret->how = (enum event_how)format_get_below(in, HOW_COUNT);
	facts_get_endpoint(in, &ret->local);
	ret->pid = (uint32_t)format_get_u64(in);
	ret->process_start_ns = format_get_u64(in);
	ret->cgroup_id = format_get_u64(in);
	format_get_text(in, ret->name, sizeof(ret->name));
	ret->has_uid = format_get_u64(in) != 0;
	ret->uid = (uint32_t)format_get_u64(in);
	format_get_text(in, ret->user, sizeof(ret->user));
	format_get_text(in, ret->container_id, sizeof(ret->container_id));
	ret->exited = format_get_u64(in) != 0;
	ret->has_expires = format_get_u64(in) != 0;
	ret->expires_s = (uint32_t)format_get_u64(in);
}

/* ---- sockets of a snapshot: what capture_snapshot() fills in ---- */

void facts_put_socket(struct buf *b, const struct event *ev, uint64_t until_ns)
{
	format_put_u64(b, ev->kind);
	format_put_u64(b, ev->proto);
	format_put_u64(b, ev->role);
	format_put_u64(b, ev->how);
	format_put_u64(b, (uint64_t)ev->has_options | (uint64_t)ev->v6only << 1 | (uint64_t)ev->is_ipv6 << 2 |
				  (uint64_t)ev->name_is_leader << 3 | (uint64_t)ev->has_uid << 4);
	format_put_u64(b, ev->protocol);
	format_put_u64(b, ev->time_ns);
	format_put_u64(b, until_ns);
	format_put_u64(b, ev->cookie);
	format_put_u64(b, ev->netns_inum);
	format_put_u64(b, ev->netns_cookie);
	format_put_u64(b, ev->pid);
	format_put_u64(b, ev->uid);
	format_put_u64(b, ev->process_start_ns);
	facts_put_endpoint(b, &ev->local);
	facts_put_endpoint(b, &ev->remote);
	facts_put_field(b, ev->name, sizeof(ev->name));
}

uint64_t facts_get_socket(struct format_in *in, struct event *ret)
{
	uint64_t bits, until_ns;

	*ret = (struct event){ .outcome = OUTCOME_SUCCESS, .snapshot = true };
	ret->kind = (enum event_kind)format_get_below(in, EVENT_CLOSE);
	ret->proto = (enum event_proto)format_get_below(in, PROTO_COUNT);
	ret->role = (enum event_role)format_get_below(in, ROLE_COUNT);
	ret->how = (enum event_how)format_get_below(in, HOW_COUNT);
	bits = format_get_below(in, 32);
	ret->has_options = bits & 1;
	ret->v6only = bits >> 1 & 1;
	ret->is_ipv6 = bits >> 2 & 1;
	ret->name_is_leader = bits >> 3 & 1;
	ret->has_uid = bits >> 4 & 1;
	ret->protocol = (uint16_t)format_get_u64(in);
	ret->time_ns = format_get_u64(in);
	until_ns = format_get_u64(in);
	ret->cookie = format_get_u64(in);
	ret->netns_inum = (uint32_t)format_get_u64(in);
	ret->netns_cookie = format_get_u64(in);
	ret->pid = (uint32_t)format_get_u64(in);
	ret->uid = (uint32_t)format_get_u64(in);
	ret->process_start_ns = format_get_u64(in);
	facts_get_endpoint(in, &ret->local);
	facts_get_endpoint(in, &ret->remote);
	ret->ip_version = ret->local.ip_version;
	format_get_text(in, ret->name, sizeof(ret->name));
	return until_ns;
}
