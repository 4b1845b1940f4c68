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

void human_endpoint(struct buf *b, const struct endpoint *ep, const struct port_facts *facts)
{
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

void human_duration(struct buf *b, uint64_t ns)
{
	static const struct {
		uint64_t end_ns, unit_ns, rest_ns;
		const char *unit, *rest;
		int rest_digits;
	} steps[] = {
		{ 1000, 1, 0, "ns", "", 0 },
		{ 1000000, 1000, 0, "us", "", 0 },
		{ 1000000000, 1000000, 100000, ".", "ms", 1 },
		{ 60000000000, 1000000000, 100000000, ".", "s", 1 },
		{ 3600000000000, 60000000000, 1000000000, "m", "s", 2 },
		{ 86400000000000, 3600000000000, 60000000000, "h", "m", 2 },
		{ UINT64_MAX, 86400000000000, 3600000000000, "d", "h", 2 },
	};
	size_t i = 0;

	while (i + 1 < sizeof(steps) / sizeof(steps[0]) && ns >= steps[i].end_ns)
		i++;
	buf_u64(b, ns / steps[i].unit_ns);
	buf_str(b, steps[i].unit);
	if (steps[i].rest_ns)
		buf_u64_padded(b, ns % steps[i].unit_ns / steps[i].rest_ns, steps[i].rest_digits);
	buf_str(b, steps[i].rest);
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
	buf_char(b, '.');
	buf_u64(b, bytes % 1000 / 100);
	buf_char(b, units[i]);
}

void human_process(struct buf *b, const char *name, size_t size, uint32_t pid, bool exited)
{
	visible_text(b, name, size);
	buf_char(b, '[');
	buf_u64(b, pid);
	buf_str(b, exited ? "] (exited)" : "]");
}
