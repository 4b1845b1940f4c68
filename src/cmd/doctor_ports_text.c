// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../visible.h"
#include "doctor_report.h"

#define DOCTOR_PORTS_COLUMN 10
#define DOCTOR_PORTS_DETAIL 40
/* Lists longer than this are cut; --json has all. */
#define DOCTOR_PORTS_MAX 16
#define DOCTOR_OWNERS_MAX 3

__attribute__((format(printf, 2, 3))) static void doctor_put(struct buf *b, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	buf_str(b, text);
}

static void doctor_ports_label(struct buf *b, const char *status, const char *what)
{
	size_t from = b->len;

	doctor_put(b, "  %s", status);
	buf_pad(b, from, DOCTOR_PORTS_COLUMN);
	buf_str(b, what);
	buf_pad(b, from, DOCTOR_PORTS_DETAIL);
	buf_char(b, ' ');
}

static void doctor_ports_indent(struct buf *b)
{
	buf_pad(b, b->len, DOCTOR_PORTS_COLUMN);
}

/* " by nginx (812), nginx (813)"; nothing if it cannot be seen. */
static void doctor_port_owners(struct buf *b, const struct owners *all, uint32_t inode)
{
	const struct owner *owners;
	size_t count = inode ? owners_find(all, inode, &owners) : 0;

	for (size_t i = 0; i < count && i < DOCTOR_OWNERS_MAX; i++) {
		buf_str(b, i ? ", " : " by ");
		visible_text(b, owners[i].name, sizeof(owners[i].name));
		doctor_put(b, " (%u)", owners[i].pid);
	}
	if (count > DOCTOR_OWNERS_MAX)
		doctor_put(b, " and %zu more", count - DOCTOR_OWNERS_MAX);
}

static void doctor_port_line(struct buf *b, const struct doctor_ports *ports, const struct overlap_port *port)
{
	doctor_ports_indent(b);
	doctor_put(b, "%s %-5u  ", event_proto_names[port->proto], port->port);
	if (port->service)
		doctor_put(b, "%s: ", port->service);
	if (port->use == OVERLAP_NAMED)
		doctor_put(b, "in /etc/services, and %s is installed", port->unit);
	else
		buf_str(b, port->use == OVERLAP_LISTENER ? "listened on" : "bound");
	doctor_port_owners(b, &ports->owners, port->inode);
	buf_char(b, '\n');
}

static void doctor_port_lines(struct report *out, const struct doctor_ports *ports, const struct overlap *o)
{
	for (size_t i = 0; i < o->count && i < DOCTOR_PORTS_MAX; i++) {
		doctor_port_line(&out->b, ports, &o->ports[i]);
		report_flush(out);
	}
	if (o->count > DOCTOR_PORTS_MAX) {
		doctor_ports_indent(&out->b);
		doctor_put(&out->b, "and %zu more (--json has all)\n", o->count - DOCTOR_PORTS_MAX);
	}
}

static void doctor_taker_words(struct buf *b, const struct doctor_taker *taker)
{
	time_t seconds = (time_t)(taker->begin_ns / 1000000000u);
	char text[32] = "before porttrace looked";
	struct tm tm;

	if (taker->begin_ns && localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S", &tm);
	if (taker->name[0])
		visible_text(b, taker->name, sizeof(taker->name));
	else
		buf_lit(b, "an unknown process");
	if (taker->pid)
		doctor_put(b, " (%u)", taker->pid);
	doctor_put(b, ", %s, %s", event_how_names[taker->how], text);
}

static void doctor_stolen_lines(struct report *out, const struct doctor_netns *netns)
{
	struct buf *b = &out->b;

	for (size_t i = 0; i < netns->stolen_count && i < DOCTOR_PORTS_MAX; i++) {
		const struct doctor_stolen *stolen = &netns->stolen[i];

		doctor_ports_indent(b);
		doctor_put(b, "%s %-5u  was given to ", event_proto_names[stolen->proto], stolen->port);
		for (size_t j = 0; j < stolen->taker_count; j++) {
			buf_str(b, j ? "; " : "");
			doctor_taker_words(b, &stolen->takers[j]);
		}
		if (stolen->times > stolen->taker_count)
			doctor_put(b, "; and %llu more before",
				   (unsigned long long)(stolen->times - stolen->taker_count));
		buf_char(b, '\n');
		report_flush(out);
	}
	if (netns->stolen_count > DOCTOR_PORTS_MAX) {
		doctor_ports_indent(b);
		doctor_put(b, "and %zu more ports were given to others\n", netns->stolen_count - DOCTOR_PORTS_MAX);
	}
}

static void doctor_netns_where(struct buf *b, const struct doctor_netns *netns)
{
	if (netns->pid)
		doctor_put(b, " of network namespace %u", netns->overlap.facts.inum);
}

static void doctor_netns_text(struct report *out, const struct doctor_ports *ports, const struct doctor_netns *netns)
{
	const struct overlap *o = &netns->overlap;
	struct buf *b = &out->b;

	doctor_ports_label(b, "warning", "ports of services");
	doctor_put(b, "%zu in the ephemeral range %u-%u", o->count, o->facts.range_low, o->facts.range_high);
	doctor_netns_where(b, netns);
	buf_lit(b, " and not reserved: clients may get them\n");
	buf_pad(b, b->len, DOCTOR_PORTS_DETAIL + 1);
	buf_lit(b, "> ");
	doctor_ports_remedy(out, netns);
	buf_char(b, '\n');
	doctor_port_lines(out, ports, o);
	doctor_stolen_lines(out, netns);
}

static void doctor_ports_fine(struct buf *b, const struct doctor_netns *own)
{
	const struct netns_facts *facts = &own->overlap.facts;

	doctor_ports_label(b, own->error ? "limited" : "ok", "ports of services");
	if (own->error && !facts->range_high)
		doctor_put(b, "the port range cannot be read: %s\n", strerrordesc_np(-own->error));
	else if (own->error)
		doctor_put(b, "none is seen in %u-%u, but not all sockets can be listed: %s\n", facts->range_low,
			   facts->range_high, strerrordesc_np(-own->error));
	else
		doctor_put(b, "none is seen in the ephemeral range %u-%u that is not reserved\n",
			   facts->range_low, facts->range_high);
}

static bool doctor_has_listener(const struct doctor_ports *ports)
{
	for (size_t i = 0; i < ports->count; i++)
		for (size_t j = 0; j < ports->list[i]->overlap.count; j++)
			if (ports->list[i]->overlap.ports[j].use == OVERLAP_LISTENER)
				return true;
	return false;
}

static void doctor_ports_notes(struct buf *b, const struct doctor_ports *ports)
{
	doctor_ports_indent(b);
	buf_lit(b, "A client that has such a port keeps its service from starting. Reserved ports are not chosen by\n");
	doctor_ports_indent(b);
	buf_lit(b, "the kernel any more; whoever asks for one by number still gets it. To keep that over a reboot,\n");
	doctor_ports_indent(b);
	buf_lit(b, "put what stands behind -w into a file of /etc/sysctl.d.\n");
	if (doctor_has_listener(ports)) {
		doctor_ports_indent(b);
		buf_lit(b, "A listener whose port the kernel chose (bind() to port 0) looks the same: leave it out.\n");
	}
}

void doctor_ports_text(struct report *out, const struct doctor_ports *ports)
{
	bool any = false;

	for (size_t i = 0; i < ports->count; i++) {
		if (ports->list[i]->overlap.count)
			doctor_netns_text(out, ports, ports->list[i]);
		else
			doctor_ports_fine(&out->b, ports->list[i]);
		any = any || ports->list[i]->overlap.count;
		report_flush(out);
	}
	if (any)
		doctor_ports_notes(&out->b, ports);
	if (ports->hidden) {
		doctor_ports_indent(&out->b);
		buf_lit(&out->b, "Processes whose network namespace may not be seen were left out");
		buf_str(&out->b, geteuid() ? ": root sees more\n" : "\n");
	}
}

void doctor_ports_remedy(struct report *out, const struct doctor_netns *netns)
{
	uint8_t bits[65536 / 8];
	uint32_t at = 0;

	overlap_reserve(&netns->overlap, bits);
	overlap_command(&out->b, netns->pid);
	while (overlap_next_words(bits, &at, &out->b))
		report_flush(out);
}
