/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a run does with the kernel's own tables: the snapshot at the start, and looks at them later. */
#ifndef PORTTRACE_CMD_TRACE_LEDGER_H
#define PORTTRACE_CMD_TRACE_LEDGER_H

#include "../attach.h"
#include "../audit.h"
#include "../capture.h"
#include "../pipeline.h"

struct trace_ledger {
	struct pipeline *pipeline; /* not owned */
	struct capture *capture; /* the same */
	struct attach *attach; /* the same */
	bool by_cookie; /* the backend tells namespaces by cookie (cgroup) */
	bool lists_bound; /* the kernel lists TCP sockets that are only bound */
	bool untold_ends; /* the kernel counts most closes (config.counts): what the snapshot told of stays */
	uint64_t audit_every_ns; /* 0 = no audit */
	const char *cgroup; /* audit: events are of this cgroup only; NULL = all */
	bool verbose; /* audit: tell what no event tells, too */

	uint64_t next_ns; /* CLOCK_MONOTONIC: of the next look */
	struct audit first; /* the differences of a first look; owned */
	bool second; /* the next look is a second one */
	uint64_t lost; /* events until the last look */
	int doubts; /* looks that are left at which every socket is in doubt, because events were lost */
	uint64_t rounds, differences, after_loss; /* of the audit; the last: that a lost event explains */
	bool untold; /* a recording goes on behind a gap, and is to be told what is there */
	uint64_t told_ns; /* CLOCK_MONOTONIC: not before */
	int error; /* the last -errno of a look; 0 = none */
};

/* The sockets that are there now, after the hooks have been let speak. 0 or -errno. */
int trace_ledger_start(struct trace_ledger *tl);
/* Whether it is time for trace_ledger_look. */
bool trace_ledger_is_due(const struct trace_ledger *tl, uint64_t now_ns);
/* One look at the kernel's tables, in the middle of reading: after it the ring has to be read before the next. */
void trace_ledger_look(struct trace_ledger *tl, uint64_t now_ns);
/* Behind a gap of the recording: the sockets that are there now, with the owners that the ledger knows. */
void trace_ledger_tell(struct trace_ledger *tl, uint64_t now_ns);
void trace_ledger_close(struct trace_ledger *tl);

#endif
