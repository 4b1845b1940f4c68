/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace service` says about one port, for people and for programs. */
#ifndef PORTTRACE_SERVICE_REPORT_H
#define PORTTRACE_SERVICE_REPORT_H

#include "../netns.h"
#include "../report.h"
#include "../usage.h"
#include "service_options.h"

struct service_facts {
	const struct service_query *query;
	const struct service_table *names;
	const struct netns_facts *netns; /* NULL = not readable */
	const struct usage *usage;
};

/* The first port of the query in full, the others by number. */
void service_report_text(struct report *out, const struct service_facts *facts);
/* One object and a newline. */
void service_report_json(struct report *out, const struct service_facts *facts);

#endif
