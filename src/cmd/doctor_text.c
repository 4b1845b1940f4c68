// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../rights.h"
#include "../visible.h"
#include "daemon_rights.h"
#include "doctor_report.h"

#define DOCTOR_STATUS_COLUMN 10
#define DOCTOR_WHAT_COLUMN 40
#define DOCTOR_HOOK_WIDTH 25
#define DOCTOR_EVENTS_WIDTH 54
#define DOCTOR_MODE_WIDTH 17
#define DOCTOR_RIGHT_WIDTH 23

static void doctor_verdict(struct buf *b, const struct kernel *k)
{
	if (k->chosen) {
		buf_lit(b, "porttrace works here, with the ");
		buf_str(b, doctor_backend_words(k->chosen));
		buf_lit(b, " (what --backend auto takes)\n");
	} else if (geteuid()) {
		buf_lit(b, "porttrace cannot trace as this user. As root more is possible, and "
			   "more can be checked: sudo porttrace doctor\n");
	} else {
		buf_lit(b, "porttrace cannot trace here: no backend can be attached\n");
	}
	if (k->chosen && k->chosen->blind_spots) {
		buf_lit(b, "It cannot see: ");
		buf_str(b, k->chosen->blind_spots);
		buf_char(b, '\n');
	}
}

/* One `sudo` is often all; it is not said under each thing that it mends. */
static bool doctor_is_mended(const struct kernel *k, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(k->findings[i].remedy, k->findings[index].remedy))
			return true;
	return !k->findings[index].remedy[0];
}

static void doctor_finding(struct buf *b, const struct kernel *k, size_t index)
{
	const struct kernel_finding *f = &k->findings[index];
	size_t from = b->len;

	buf_lit(b, "  ");
	buf_str(b, kernel_status_names[f->status]);
	buf_pad(b, from, DOCTOR_STATUS_COLUMN);
	buf_str(b, f->what);
	buf_pad(b, from, DOCTOR_WHAT_COLUMN);
	buf_char(b, ' ');
	visible_text(b, f->detail, sizeof(f->detail));
	buf_char(b, '\n');
	if (doctor_is_mended(k, index))
		return;
	buf_pad(b, b->len, DOCTOR_WHAT_COLUMN + 1);
	buf_lit(b, "> ");
	buf_str(b, f->remedy);
	buf_char(b, '\n');
}

/* libbpf's own words, for whoever has to find out why. Of a refusal they tell nothing new. */
static void doctor_logs(struct buf *b, const struct kernel *k)
{
	for (size_t i = 0; i < KERNEL_TRIAL_COUNT; i++) {
		int error = k->trials[i].error;

		if (!k->trials[i].log[0] || error == -EPERM || error == -EACCES)
			continue;
		buf_str(b, doctor_backend_words(&k->trials[i]));
		buf_lit(b, ": ");
		visible_text(b, k->trials[i].log, sizeof(k->trials[i].log));
		buf_char(b, '\n');
	}
}

/* The programs of one hook together: the worst word of those that this mode needs. */
static const char *doctor_target_word(const struct kernel_trial *trial, const char *target)
{
	const char *word = "";

	for (size_t i = 0; i < trial->program_count; i++) {
		const char *one = doctor_hook_word(trial, &trial->programs[i]);

		if (!strcmp(trial->programs[i].target, target) && one[0] &&
		    (!word[0] || strcmp(one, "ok")))
			word = one;
	}
	return word;
}

static bool doctor_is_told(const struct kernel_trial *trial, size_t index)
{
	for (size_t i = 0; i < index; i++)
		if (!strcmp(trial->programs[i].target, trial->programs[index].target))
			return true;
	return false;
}

/* Nothing was attached: the kernel refused the backend as a whole, as its line says. */
static bool doctor_has_hooks(const struct kernel_trial *trial)
{
	for (size_t i = 0; i < trial->program_count; i++)
		if (trial->programs[i].attached || trial->programs[i].error)
			return true;
	return false;
}

static void doctor_cell(struct buf *b, const char *text, size_t width)
{
	size_t from = b->len;

	buf_str(b, text);
	buf_pad(b, from, width - 1);
	buf_char(b, ' ');
}

static void doctor_end_line(struct buf *b)
{
	while (b->len && b->data[b->len - 1] == ' ')
		b->len--;
	buf_char(b, '\n');
}

static void doctor_mode_heading(struct buf *b, const struct kernel_trial *trial)
{
	bool refused = trial->error && !doctor_has_hooks(trial);

	if (trial->backend == BACKEND_TRACING) {
		doctor_cell(b, trial->mode == ATTACH_MODE_X ? "mode X" : "mode F", 7);
		doctor_cell(b, refused ? "refused" : "", DOCTOR_MODE_WIDTH - 7);
	}
}

/* "-": this mode does without. */
static void doctor_mode_cell(struct buf *b, const struct kernel_trial *trial, const char *target)
{
	const char *word = doctor_target_word(trial, target);

	doctor_cell(b, word[0] || !doctor_has_hooks(trial) ? word : "-", DOCTOR_MODE_WIDTH);
}

/* One line a hook, one column for each of the trials, which are of one backend. */
static void doctor_hooks(struct report *out, const struct kernel_trial *trials, size_t count,
			 const char *heading)
{
	struct buf *b = &out->b;
	bool any = false;

	for (size_t i = 0; i < count; i++)
		any = any || doctor_has_hooks(&trials[i]);
	if (!any)
		return;
	buf_char(b, '\n');
	doctor_cell(b, heading, DOCTOR_HOOK_WIDTH + 2);
	doctor_cell(b, "brings", DOCTOR_EVENTS_WIDTH);
	for (size_t i = 0; i < count; i++)
		doctor_mode_heading(b, &trials[i]);
	doctor_end_line(b);
	for (size_t row = 0; row < trials->program_count; row++) {
		const struct attach_program *program = &trials->programs[row];

		if (doctor_is_told(trials, row))
			continue;
		buf_lit(b, "  ");
		doctor_cell(b, program->target, DOCTOR_HOOK_WIDTH);
		doctor_cell(b, program->what, DOCTOR_EVENTS_WIDTH);
		for (size_t i = 0; i < count; i++)
			doctor_mode_cell(b, &trials[i], program->target);
		doctor_end_line(b);
		report_flush(out);
	}
}

/* What porttrace daemon, started with the rights that we have, has after attaching. */
static void doctor_daemon(struct buf *b)
{
	const struct daemon_right *right;

	buf_lit(b, "\nporttrace daemon keeps, when its programs are attached\n");
	for (size_t i = 0; (right = daemon_right(i)); i++) {
		const char *when = daemon_when_words[right->when];

		buf_lit(b, "  ");
		doctor_cell(b, right->name, DOCTOR_RIGHT_WIDTH);
		buf_str(b, when);
		buf_str(b, *when ? ": " : "");
		buf_str(b, right->effect);
		if (!(rights_held() & RIGHTS_BIT(right->cap)))
			buf_lit(b, " (not held)");
		buf_char(b, '\n');
	}
}

void doctor_report_text(struct report *out, const struct kernel *k, const struct doctor_ports *ports,
			const struct doctor_running *running)
{
	doctor_verdict(&out->b, k);
	buf_char(&out->b, '\n');
	for (size_t i = 0; i < k->finding_count; i++)
		doctor_finding(&out->b, k, i);
	report_flush(out);
	if (ports)
		doctor_ports_text(out, ports);
	doctor_running_text(out, running);
	doctor_daemon(&out->b);
	report_flush(out);
	doctor_logs(&out->b, k);
	doctor_hooks(out, &k->trials[KERNEL_TRIAL_F], 2, "Tracing backend");
	doctor_hooks(out, &k->trials[KERNEL_TRIAL_CGROUP], 1, "Cgroup backend");
}
