// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace free, for programs: one object with all numbers. */
#include "../json_out.h"
#include "free.h"

static void free_json_ip(struct buf *b, const struct endpoint *ep)
{
	buf_lit(b, "{\"ip\":\"");
	buf_ip(b, ep->addr, ep->ip_version);
	buf_char(b, '"');
	if (ep->port) {
		buf_lit(b, ",\"port\":");
		buf_u64(b, ep->port);
	}
	buf_char(b, '}');
}

static void free_json_bounds(struct buf *b, struct pool_bounds bounds)
{
	buf_lit(b, "{\"min\":");
	buf_u64(b, bounds.min);
	buf_lit(b, ",\"max\":");
	buf_u64(b, bounds.max);
	buf_char(b, '}');
}

static void free_json_ports(struct buf *b, const uint32_t ports[POOL_PORT_COUNT])
{
	bool first = true;

	buf_char(b, '{');
	for (enum pool_port p = 0; p < POOL_PORT_COUNT; p++) {
		json_comma(b, &first);
		buf_char(b, '"');
		buf_str(b, pool_port_names[p]);
		buf_lit(b, "\":");
		buf_u64(b, ports[p]);
	}
	buf_char(b, '}');
}

static void free_json_half(struct buf *b, bool *first, const struct pool_measure *m)
{
	if (!m->has_half)
		return;
	json_key(b, first, "first_half");
	buf_lit(b, "{\"free\":");
	free_json_bounds(b, m->half_free);
	buf_lit(b, ",\"used\":");
	buf_u64(b, m->half_used);
	buf_lit(b, ",\"capacity\":");
	free_json_bounds(b, m->half_capacity);
	buf_lit(b, ",\"ports\":");
	free_json_ports(b, m->half);
	buf_char(b, '}');
}

static void free_json_range(struct buf *b, bool *first, const struct pool_measure *m)
{
	bool inner = true;

	json_key(b, first, "range");
	buf_char(b, '{');
	json_member_u64(b, &inner, "low", m->low);
	json_member_u64(b, &inner, "high", m->high);
	json_member_u64(b, &inner, "size", m->size);
	buf_char(b, '}');
}

static void free_json_pool(struct buf *b, const struct free_facts *facts)
{
	const struct pool_measure *m = facts->measure;
	bool first = true;

	buf_char(b, '{');
	json_member_text(b, &first, "kind", pool_kind_names[facts->key->kind], 16);
	json_member_bool(b, &first, "exact", m->free.min == m->free.max);
	json_key(b, &first, "free");
	free_json_bounds(b, m->free);
	json_member_u64(b, &first, "used", m->used);
	json_key(b, &first, "capacity");
	free_json_bounds(b, m->capacity);
	json_member_u64(b, &first, "blocked", m->blocked);
	free_json_range(b, &first, m);
	free_json_half(b, &first, m);
	json_key(b, &first, "ports");
	free_json_ports(b, m->ports);
	json_member_bool(b, &first, "bind_buckets", !facts->bucket_error);
	buf_char(b, '}');
}

static void free_json_netns(struct buf *b, const struct pool_state *s)
{
	bool first = true;

	buf_char(b, '{');
	json_member_u64(b, &first, "inode", s->netns_inum);
	json_member_u64(b, &first, "tcp_tw_reuse", (uint64_t)s->tw_reuse);
	json_member_bool(b, &first, "tcp_timestamps", s->timestamps);
	if (s->tw_reuse_delay_ms)
		json_member_u64(b, &first, "tcp_tw_reuse_delay", s->tw_reuse_delay_ms);
	buf_char(b, '}');
}

void free_json(struct buf *b, const struct free_facts *facts)
{
	const struct pool_key *key = facts->key;

	buf_lit(b, "{\"source\":");
	free_json_ip(b, &key->source);
	if (key->kind == POOL_CONNECT) {
		buf_lit(b, ",\"destination\":");
		free_json_ip(b, &key->destination);
	}
	buf_str(b, key->kind == POOL_UDP ? ",\"network\":{\"transport\":\"udp\"" :
					   ",\"network\":{\"transport\":\"tcp\"");
	buf_str(b, key->source.ip_version == 6 ? ",\"type\":\"ipv6\"}" : ",\"type\":\"ipv4\"}");
	buf_lit(b, ",\"porttrace\":{\"pool\":");
	free_json_pool(b, facts);
	buf_lit(b, ",\"netns\":");
	free_json_netns(b, facts->state);
	buf_lit(b, "}}\n");
}
