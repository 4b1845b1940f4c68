/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What porttrace itself costs: --cost, and in short the closing line of -v. On stderr, as that. Programs are told
 * of with -v too where the kernel measures them in any case (kernel.bpf_stats_enabled). */
#ifndef PORTTRACE_CMD_TRACE_COST_H
#define PORTTRACE_CMD_TRACE_COST_H

#include "../attach.h"

struct trace_cost {
	bool wanted; /* --cost: also what each program takes, which the kernel measures meanwhile */
	int error; /* -errno: why the kernel does not */
	bool measured; /* it does */
	uint64_t begin_ns; /* CLOCK_MONOTONIC */
	uint64_t begin_user_us, begin_system_us; /* of this process, until then */
};

/* When the events begin: switches the kernel's measuring on, if wanted. It ends with attach_close. */
void trace_cost_begin(struct trace_cost *cost, struct attach *at);
/* ring_most: bytes of the ring's ring_size that waited at the most. */
void trace_cost_tell(const struct trace_cost *cost, struct attach *at, uint64_t ring_most, uint64_t ring_size);

#endif
