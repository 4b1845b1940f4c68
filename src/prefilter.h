/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The part of a filter that the kernel decides, so that what nobody asked for costs no record. Whatever filter.c would
 * show has to pass; filter.c judges again what has passed. Pure.
 */
#ifndef PORTTRACE_PREFILTER_H
#define PORTTRACE_PREFILTER_H

#include "filter.h"
#include "porttrace/config.h"

/* What else depends on the events. */
struct prefilter_needs {
	bool all; /* they are kept, too: only the selections that --help of record names are made */
	bool lives; /* a close may be shown, which needs what came before on its socket */
};

/* Adds to *config, and to *ports, which is zero. */
void prefilter_fill(const struct filter *f, const struct prefilter_needs *needs, struct bpf_config *config,
		    struct config_ports *ports);

#endif
