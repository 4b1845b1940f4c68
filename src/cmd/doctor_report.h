/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `porttrace doctor` says, for people and for programs. */
#ifndef PORTTRACE_DOCTOR_REPORT_H
#define PORTTRACE_DOCTOR_REPORT_H

#include "../kernel.h"
#include "../report.h"
#include "doctor_ports.h"
#include "doctor_running.h"

/* `ports` NULL = not known. */
void doctor_report_text(struct report *out, const struct kernel *k, const struct doctor_ports *ports,
			const struct doctor_running *running);
/* One object and a newline. */
void doctor_report_json(struct report *out, const struct kernel *k, const struct doctor_ports *ports,
			const struct doctor_running *running);

/* The part about ports: lines, and members of the object. */
void doctor_ports_text(struct report *out, const struct doctor_ports *ports);
void doctor_ports_json(struct report *out, const struct doctor_ports *ports);
/* The command that reserves them, beside what is reserved already. */
void doctor_ports_remedy(struct report *out, const struct doctor_netns *netns);

/* How a program came out: "ok", "not there", "EPERM", "" (this mode does not need it). */
const char *doctor_hook_word(const struct kernel_trial *trial,
			     const struct attach_program *program);
/* "tracing backend, mode X"; `trial` NULL = "none". */
const char *doctor_backend_words(const struct kernel_trial *trial);
const char *doctor_mode_letter(const struct kernel_trial *trial); /* "F", "X"; "" = has no modes */

#endif
