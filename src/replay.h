/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of a recorded event: recording -> the pipeline of a live run, with recorded facts in place of looks. No
 * clock, no privileges, no BPF.
 */
#ifndef PORTTRACE_REPLAY_H
#define PORTTRACE_REPLAY_H

#include "pipeline.h"
#include "snapshot.h"

/* A cleared one; whoever opens it owns the filter, the sink and what watches, and sets them in `pipeline`. */
struct replay {
	uint64_t max_sockets; /* in the ledger, set before it is opened; 0 = the default, as a live run has */
	struct recording_reader *reader;
	struct pipeline pipeline;
	struct snapshot_netns *netns; /* as they were when the recording began, and what events told since; owned */
	size_t netns_count, netns_last; /* the last one that was asked for */
	uint64_t first_ns, time_ns; /* CLOCK_REALTIME: of the first batch, and of the last one read */
	struct recording_end end; /* time_ns 0 = it has none */
	uint64_t gaps, left_out; /* so far; events that are missing in these */
	struct recording_gap gap; /* the last of them */
	uint64_t gaps_from_ns; /* CLOCK_REALTIME: of the first */
	int error; /* -errno that ended it: -EBADMSG for damage */

	void (*watch)(void *arg, const struct event *ev); /* sees each event after the ledger; NULL = nobody */
	void *watch_arg;
};

/* Ledger and enrichers. 0 or -errno; a sentence in err[RECORDING_ERR_SIZE]. In all cases ended with replay_close. */
int replay_open(struct replay *rp, const char *path, bool numeric, char *err);
/* The same of a recording that is open, which is taken over. 0 or -errno. */
int replay_open_reader(struct replay *rp, struct recording_reader *reader, bool numeric);
/* The next thing in the recording. True while there may be more. A batch begins when time_ns changes. */
bool replay_step(struct replay *rp);
/* The ledger as a snapshot of now (time_ns), to look for pools in. 0 or -ENOMEM; ended with snapshot_free. */
int replay_snapshot(struct replay *rp, struct snapshot *ret);
void replay_close(struct replay *rp);

#endif
