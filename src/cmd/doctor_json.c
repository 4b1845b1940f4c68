// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>

#include "../json_out.h"
#include "../rights.h"
#include "../version.h"
#include "daemon_rights.h"
#include "doctor_report.h"

#define DOCTOR_TEXT_MAX 1024

static void doctor_json_checks(struct report *out, const struct kernel *k)
{
	struct buf *b = &out->b;

	buf_lit(b, ",\"checks\":[");
	for (size_t i = 0; i < k->finding_count; i++) {
		const struct kernel_finding *f = &k->findings[i];
		bool first = true;

		buf_str(b, i ? ",{" : "{");
		json_member_text(b, &first, "id", f->id, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "what", f->what, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "status", kernel_status_names[f->status],
				 DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "detail", f->detail, sizeof(f->detail));
		json_member_text(b, &first, "remedy", f->remedy, sizeof(f->remedy));
		buf_char(b, '}');
		report_flush(out);
	}
	buf_char(b, ']');
}

static void doctor_json_error(struct buf *b, int error, bool *first)
{
	const char *name = strerrorname_np(-error);

	if (error < 0 && name)
		json_member_text(b, first, "error", name, DOCTOR_TEXT_MAX);
}

static void doctor_json_hooks(struct report *out, const struct kernel_trial *trial)
{
	bool first_hook = true;
	struct buf *b = &out->b;

	buf_lit(b, ",\"hooks\":[");
	for (size_t i = 0; i < trial->program_count; i++) {
		const struct attach_program *program = &trial->programs[i];
		bool first = true;

		if (!doctor_hook_word(trial, program)[0])
			continue;
		json_comma(b, &first_hook);
		buf_char(b, '{');
		json_member_text(b, &first, "program", program->name, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "hook", program->target, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "brings", program->what, DOCTOR_TEXT_MAX);
		json_key(b, &first, "attached");
		buf_str(b, program->attached ? "true" : "false");
		doctor_json_error(b, program->error, &first);
		buf_char(b, '}');
		report_flush(out);
	}
	buf_char(b, ']');
}

static void doctor_json_backends(struct report *out, const struct kernel *k)
{
	struct buf *b = &out->b;

	buf_lit(b, ",\"backends\":[");
	for (size_t i = 0; i < KERNEL_TRIAL_COUNT; i++) {
		const struct kernel_trial *trial = &k->trials[i];
		bool first = true;

		buf_str(b, i ? ",{" : "{");
		json_member_text(b, &first, "name", event_backend_names[trial->backend],
				 DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "mode", doctor_mode_letter(trial), DOCTOR_TEXT_MAX);
		json_key(b, &first, "works");
		buf_str(b, trial->error ? "false" : "true");
		doctor_json_error(b, trial->error, &first);
		json_member_text(b, &first, "message", trial->why, sizeof(trial->why));
		json_member_text(b, &first, "log", trial->log, sizeof(trial->log));
		if (trial->blind_spots)
			json_member_text(b, &first, "cannot_see", trial->blind_spots,
					 DOCTOR_TEXT_MAX);
		doctor_json_hooks(out, trial);
		buf_char(b, '}');
	}
	buf_char(b, ']');
}

static void doctor_json_daemon(struct buf *b)
{
	const struct daemon_right *right;

	buf_lit(b, ",\"daemon\":{\"keeps\":[");
	for (size_t i = 0; (right = daemon_right(i)); i++) {
		bool first = true;

		buf_str(b, i ? ",{" : "{");
		json_member_text(b, &first, "capability", right->name, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "effect", right->effect, DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "condition", daemon_when_words[right->when], DOCTOR_TEXT_MAX);
		json_member_bool(b, &first, "held", rights_held() >> right->cap & 1);
		buf_char(b, '}');
	}
	buf_lit(b, "]}");
}

void doctor_report_json(struct report *out, const struct kernel *k, const struct doctor_ports *ports,
			const struct doctor_running *running)
{
	struct buf *b = &out->b;
	bool first = false;

	buf_lit(b, "{\"schema\":1");
	json_member_text(b, &first, "version", PORTTRACE_VERSION, DOCTOR_TEXT_MAX);
	json_key(b, &first, "works");
	buf_str(b, k->chosen ? "true" : "false");
	if (k->chosen) {
		json_member_text(b, &first, "backend", event_backend_names[k->chosen->backend],
				 DOCTOR_TEXT_MAX);
		json_member_text(b, &first, "mode", doctor_mode_letter(k->chosen), DOCTOR_TEXT_MAX);
	}
	buf_lit(b, ",\"kernel\":{");
	first = true;
	json_member_text(b, &first, "release", k->uts.release, sizeof(k->uts.release));
	json_member_text(b, &first, "version", k->uts.version, sizeof(k->uts.version));
	json_member_text(b, &first, "architecture", k->uts.machine, sizeof(k->uts.machine));
	json_member_text(b, &first, "preemption", k->preemption, DOCTOR_TEXT_MAX);
	buf_char(b, '}');
	doctor_json_checks(out, k);
	if (ports)
		doctor_ports_json(out, ports);
	doctor_running_json(out, running);
	doctor_json_daemon(b);
	report_flush(out);
	doctor_json_backends(out, k);
	buf_lit(b, "}\n");
}
