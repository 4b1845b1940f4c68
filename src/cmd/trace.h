/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One run, for the commands that are the live command with other options. */
#ifndef PORTTRACE_CMD_TRACE_H
#define PORTTRACE_CMD_TRACE_H

#include "trace_options.h"

/* From the first attached program to the last record. Tells its messages itself; the exit status. */
int trace_execute(const struct trace_options *opts);

#endif
