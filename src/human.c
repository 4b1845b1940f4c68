// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "human.h"

#include "visible.h"

void human_ip(struct buf *b, const struct endpoint *ep)
{
	if (ep->ip_version == 6)
		buf_char(b, '[');
	buf_ip(b, ep->addr, ep->ip_version);
	if (ep->ip_version == 6)
		buf_char(b, ']');
}

char *human_put_endpoint(char *to, const struct endpoint *ep, const struct port_facts *facts)
{
	if (ep->ip_version == 6)
		*to++ = '[';
	to = buf_put_ip(to, ep->addr, ep->ip_version);
	if (ep->ip_version == 6)
		*to++ = ']';
	*to++ = ':';
	to = buf_put_u64(to, ep->port);
	memcpy(to, " e", 2);
	return facts->ephemeral ? to + 2 : to;
}

void human_endpoint(struct buf *b, const struct endpoint *ep, const struct port_facts *facts)
{
	char *to = buf_ahead(b, HUMAN_ENDPOINT_MAX);

	if (ep->ip_version && ep->has_port && to) {
		buf_took(b, human_put_endpoint(to, ep, facts));
		return;
	}
	if (!ep->ip_version && !ep->has_port) {
		buf_char(b, '-');
		return;
	}
	if (ep->ip_version)
		human_ip(b, ep);
	else
		buf_char(b, '?');
	buf_char(b, ':');
	if (!ep->has_port) {
		buf_char(b, '-');
		return;
	}
	buf_u64(b, ep->port);
	if (facts->ephemeral)
		buf_lit(b, " e");
}

#define HUMAN_SECOND_NS UINT64_C(1000000000)
#define HUMAN_MINUTE_NS (60 * HUMAN_SECOND_NS)
#define HUMAN_HOUR_NS (60 * HUMAN_MINUTE_NS)
#define HUMAN_DAY_NS (24 * HUMAN_HOUR_NS)

static void human_whole(struct buf *b, uint64_t whole, const char *unit)
{
	buf_u64(b, whole);
	buf_str(b, unit);
}

static void human_parts(struct buf *b, uint64_t whole, const char *unit, uint64_t rest, int digits,
			const char *rest_unit)
{
	human_whole(b, whole, unit);
	buf_u64_padded(b, rest, digits);
	buf_str(b, rest_unit);
}

void human_duration(struct buf *b, uint64_t ns)
{
	if (ns < 1000)
		human_whole(b, ns, "ns");
	else if (ns < 1000000)
		human_whole(b, ns / 1000, "us");
	else if (ns < HUMAN_SECOND_NS)
		human_parts(b, ns / 1000000, ".", ns % 1000000 / 100000, 1, "ms");
	else if (ns < HUMAN_MINUTE_NS)
		human_parts(b, ns / HUMAN_SECOND_NS, ".", ns % HUMAN_SECOND_NS / 100000000, 1, "s");
	else if (ns < HUMAN_HOUR_NS)
		human_parts(b, ns / HUMAN_MINUTE_NS, "m", ns % HUMAN_MINUTE_NS / HUMAN_SECOND_NS, 2, "s");
	else if (ns < HUMAN_DAY_NS)
		human_parts(b, ns / HUMAN_HOUR_NS, "h", ns % HUMAN_HOUR_NS / HUMAN_MINUTE_NS, 2, "m");
	else
		human_parts(b, ns / HUMAN_DAY_NS, "d", ns % HUMAN_DAY_NS / HUMAN_HOUR_NS, 2, "h");
}

void human_bytes(struct buf *b, uint64_t bytes)
{
	static const char units[] = "kMGTPE";
	size_t i = 0;

	if (bytes < 1000) {
		buf_u64(b, bytes);
		return;
	}
	for (; bytes >= 1000000; i++)
		bytes /= 1000;
	buf_u64(b, bytes / 1000);
	buf_bytes(b, (char[]){ '.', (char)('0' + bytes % 1000 / 100), units[i] }, 3);
}

void human_process(struct buf *b, const char *name, size_t size, uint32_t pid, bool exited)
{
	visible_text(b, name, size);
	buf_char(b, '[');
	buf_u64(b, pid);
	buf_str(b, exited ? "] (exited)" : "]");
}
