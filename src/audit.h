/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Does the ledger equal the kernel's own tables? Pure, but for the clock that the caller reads. */
#ifndef PORTTRACE_AUDIT_H
#define PORTTRACE_AUDIT_H

#include <stddef.h>
#include <stdint.h>

#include "snapshot.h"
#include "sockets.h"

enum audit_fault {
	AUDIT_MISSING, /* the kernel has the socket, the ledger has not */
	AUDIT_STALE, /* the ledger has it, the kernel has not */
	AUDIT_STATE, /* both have it, but one listens, is connected, bound or in TIME_WAIT and the other not */
	AUDIT_DIFFERENCE_COUNT,
	/* what no event tells, and so is no difference */
	/* A connect under way; a UDP socket that was disconnected; TIME_WAIT that ended early; by_cookie: UDP ports. */
	AUDIT_UNSEEN = AUDIT_DIFFERENCE_COUNT,
	AUDIT_PASSED_ON, /* other processes have it open than the one that acted on it last: fork, SCM_RIGHTS */
	AUDIT_LOST, /* any difference while events are known to be lost: they were counted, this may be one of them */
	AUDIT_FAULT_COUNT,
};
extern const char *const audit_fault_names[AUDIT_FAULT_COUNT]; /* "missing", ... "unseen", "passed on", "lost" */

struct audit_difference {
	enum audit_fault fault;
	uint64_t cookie, netns; /* 0 = unknown */
	enum event_proto proto;
	struct endpoint local, remote;
	enum life_state kernel, ledger; /* LIFE_NONE = has it not */
	uint32_t kernel_pid, ledger_pid; /* 0 = unknown */
	uint64_t life; /* of the ledger's entry; 0 = none */
};

/* One comparison. */
struct audit {
	struct audit_difference *list; /* owned; audit_free */
	size_t count, room;
	size_t faults[AUDIT_FAULT_COUNT]; /* of the list */
	size_t compared; /* sockets that both have */
	size_t unaccepted; /* of the kernel: wait for accept(), or for their last FIN; no process has them */
	size_t outside; /* of the kernel: made in other cgroups than those that events are wanted of */
	size_t hidden; /* of the ledger: bound TCP sockets, where the kernel does not list them (before 6.8) */
};

struct audit_options {
	uint64_t now_ns; /* CLOCK_REALTIME of the snapshot */
	bool by_cookie; /* as in capture_snapshot */
	bool lists_bound; /* the kernel lists TCP sockets that are only bound (6.8) */
	const uint64_t *cgroups; /* sorted ids: only sockets made there can be in the ledger; NULL = all */
	size_t cgroup_count;
	bool lossy; /* events were lost, of any socket */
	/* audit_reconcile: gets each that the kernel has not any more, also one to be looked at again. NULL = nobody */
	void (*missed)(void *arg, const struct sockets_view *view);
	void *missed_arg;
};

/* 0 or -ENOMEM. The caller ends *ret with audit_free. */
int audit_compare(struct sockets *s, const struct snapshot *snap, const struct audit_options *opts, struct audit *ret);
/*
 * Forgets what the ledger has and the kernel has not any more, where events do not always tell: UDP sockets, TIME_WAIT
 * that ended early, and all if events were lost, or with the cgroup backend (by_cookie): no hook of it shows that a
 * connect which fails, or connect(AF_UNSPEC), gives a port back. The events of before the snapshot have to be read.
 * `gone` (NULL: none) gets each of them. Of the snapshot only the cookies matter. 0 or -ENOMEM.
 */
int audit_reconcile(struct sockets *s, const struct snapshot *snap, const struct audit_options *opts,
		    void (*gone)(void *arg, const struct sockets_view *view), void *arg);
/* Leaves in `now` only what `before` has too: what was under way at one look is not wrong. */
void audit_intersect(struct audit *now, const struct audit *before);
/* How many of the list are differences. */
size_t audit_differences(const struct audit *a);
void audit_free(struct audit *a);

#endif
