/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the files of `porttrace who` share. */
#ifndef PORTTRACE_WHO_H
#define PORTTRACE_WHO_H

#include "history_report.h"
#include "who_options.h"

/* One run. */
struct who {
	struct who_options opts;
	struct service_table *names;
	struct history_reader *history; /* NULL = there is none */
	struct history_view view;
	struct report out;
	uint64_t found;
	bool header_done;
	bool no_udp; /* UDP was asked for, and this kernel does not list it */
};

void who_show(struct who *who, const struct history_row *row);
/* Whether the question is about this port and protocol. */
bool who_is_meant(const struct who *who, uint16_t port, enum event_proto proto);

/* The present: who_now.c. 0 or -errno. */
int who_now(struct who *who);

#endif
