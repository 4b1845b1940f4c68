// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <time.h>

#include "../json_out.h"
#include "doctor_report.h"

#define DOCTOR_NAME_MAX 64

static void doctor_json_owners(struct buf *b, const struct owners *all, uint32_t inode)
{
	const struct owner *owners;
	size_t count = inode ? owners_find(all, inode, &owners) : 0;

	for (size_t i = 0; i < count; i++) {
		bool first = false;

		buf_str(b, i ? ",{" : ",\"processes\":[{");
		buf_lit(b, "\"pid\":");
		buf_u64(b, owners[i].pid);
		json_member_text(b, &first, "name", owners[i].name, EVENT_NAME_SIZE);
		buf_char(b, '}');
	}
	if (count)
		buf_char(b, ']');
}

static void doctor_json_port(struct buf *b, const struct doctor_ports *ports, const struct overlap_port *port)
{
	bool first = true;

	buf_char(b, '{');
	json_member_text(b, &first, "protocol", event_proto_names[port->proto], DOCTOR_NAME_MAX);
	json_member_u64(b, &first, "port", port->port);
	json_member_text(b, &first, "use", overlap_use_names[port->use], DOCTOR_NAME_MAX);
	if (port->service)
		json_member_text(b, &first, "service", port->service, DOCTOR_NAME_MAX);
	json_member_text(b, &first, "unit", port->unit, OVERLAP_UNIT_SIZE);
	doctor_json_owners(b, &ports->owners, port->inode);
	buf_char(b, '}');
}

static void doctor_json_taker(struct buf *b, const struct doctor_taker *taker)
{
	time_t seconds = (time_t)(taker->begin_ns / 1000000000u);
	char time[32] = "";
	bool first = true;
	struct tm tm;

	if (taker->begin_ns && gmtime_r(&seconds, &tm))
		strftime(time, sizeof(time), "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_char(b, '{');
	json_member_text(b, &first, "how", event_how_names[taker->how], DOCTOR_NAME_MAX);
	if (taker->pid)
		json_member_u64(b, &first, "pid", taker->pid);
	json_member_text(b, &first, "name", taker->name, EVENT_NAME_SIZE);
	json_member_text(b, &first, "time", time, sizeof(time));
	buf_char(b, '}');
}

static void doctor_json_stolen(struct buf *b, const struct doctor_stolen *stolen)
{
	bool first = true;

	buf_char(b, '{');
	json_member_text(b, &first, "protocol", event_proto_names[stolen->proto], DOCTOR_NAME_MAX);
	json_member_u64(b, &first, "port", stolen->port);
	json_member_u64(b, &first, "times", stolen->times);
	buf_lit(b, ",\"last\":[");
	for (size_t i = 0; i < stolen->taker_count; i++) {
		buf_str(b, i ? "," : "");
		doctor_json_taker(b, &stolen->takers[i]);
	}
	buf_lit(b, "]}");
}

static void doctor_json_netns(struct buf *b, const struct doctor_netns *netns)
{
	const struct netns_facts *facts = &netns->overlap.facts;
	bool first = true;

	buf_lit(b, "{\"netns\":{");
	if (facts->inum)
		json_member_u64(b, &first, "inode", facts->inum);
	if (netns->pid)
		json_member_u64(b, &first, "pid", netns->pid);
	buf_lit(b, "},\"range\":{\"low\":");
	buf_u64(b, facts->range_low);
	buf_lit(b, ",\"high\":");
	buf_u64(b, facts->range_high);
	buf_char(b, '}');
}

static void doctor_json_lists(struct report *out, const struct doctor_ports *ports, const struct doctor_netns *netns)
{
	struct buf *b = &out->b;

	buf_lit(b, ",\"at_risk\":[");
	for (size_t i = 0; i < netns->overlap.count; i++) {
		buf_str(b, i ? "," : "");
		doctor_json_port(b, ports, &netns->overlap.ports[i]);
		report_flush(out);
	}
	buf_lit(b, "],\"taken\":[");
	for (size_t i = 0; i < netns->stolen_count; i++) {
		buf_str(b, i ? "," : "");
		doctor_json_stolen(b, &netns->stolen[i]);
		report_flush(out);
	}
	buf_char(b, ']');
}

void doctor_ports_json(struct report *out, const struct doctor_ports *ports)
{
	struct buf *b = &out->b;

	buf_lit(b, ",\"ports\":[");
	for (size_t i = 0; i < ports->count; i++) {
		const struct doctor_netns *netns = ports->list[i];

		buf_str(b, i ? "," : "");
		doctor_json_netns(b, netns);
		doctor_json_lists(out, ports, netns);
		if (netns->overlap.count) {
			buf_lit(b, ",\"remedy\":\"");
			doctor_ports_remedy(out, netns);
			buf_char(b, '"');
		}
		buf_char(b, '}');
	}
	buf_lit(b, "],\"ports_complete\":");
	buf_str(b, ports->hidden || (ports->count && ports->list[0]->error) ? "false" : "true");
}
