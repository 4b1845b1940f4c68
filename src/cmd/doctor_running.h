/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* `porttrace doctor`: what the porttraces cost that run meanwhile. */
#ifndef PORTTRACE_DOCTOR_RUNNING_H
#define PORTTRACE_DOCTOR_RUNNING_H

#include "../report.h"
#include "../running.h"

struct doctor_running {
	int error; /* -errno: why nothing is known */
	int stats_error; /* -errno: why the kernel does not measure programs */
	double seconds; /* between the two looks */
	int before_count, count;
	struct running before[RUNNING_MAX], now[RUNNING_MAX];
};

/* Looks twice, with a second in between in which the kernel measures programs; if none runs, once. */
void doctor_running_read(struct doctor_running *ret);
/* Lines, and a member of the object, behind another. */
void doctor_running_text(struct report *out, const struct doctor_running *running);
void doctor_running_json(struct report *out, const struct doctor_running *running);

#endif
