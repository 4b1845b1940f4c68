/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The way of an event through user space, on one screen (pipeline.c):
 *
 *     capture -> decode -> sockets -> enrich -> filter -> sink
 */
#ifndef PORTTRACE_PIPELINE_H
#define PORTTRACE_PIPELINE_H

#include <signal.h>
#include <stddef.h>
#include <stdint.h>

#include "decode.h"
#include "enrich.h"
#include "filter.h"
#include "sink.h"
#include "sockets.h"

struct pipeline {
	struct decode decode;
	struct sockets *sockets; /* all pointers: not owned */
	struct enrich *enrich;
	const struct filter *filter;
	const struct sink_ops *sink;
	void *sink_state;
	const volatile sig_atomic_t *stop; /* not 0: give up on an output that takes nothing */
	uint64_t limit; /* stop after so many shown; 0 = no limit */

	/* every record ends as exactly one of: */
	uint64_t shown;
	uint64_t filtered;
	uint64_t damaged; /* not a record of ours */
	uint64_t unwritten; /* the run was ended while the output took nothing */
};

/* One record (a capture_fn; arg is a struct pipeline). 0, or -errno of the sink. */
int pipeline_record(void *arg, const void *record, size_t size);

#endif
