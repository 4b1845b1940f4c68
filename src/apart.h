/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Opens a backend in a process of its own. The memory that loading takes (the kernel's types, the programs' file: some
 * 15 MB) goes with it; the programs, links and maps come here as descriptors.
 */
#ifndef PORTTRACE_APART_H
#define PORTTRACE_APART_H

#include "attach.h"

/* As the backend's own `open`, which has to have `give` and `take`. -ECHILD, and nothing done, if there can be no such
 * process, or if it has ended without a word: to be opened in place. */
int apart_open(const struct attach_ops *ops, const struct attach_options *opts, struct attach *at, char *err,
	       size_t err_size);

/* What attach_finish does. */
int apart_finish(struct attach *at, char *err, size_t err_size);
/* What attach_cut_short does. */
void apart_cut_short(struct attach *at);
/* Nothing more is wanted of the rest: ends the process that attaches it. */
void apart_give_up(struct attach *at);

#endif
