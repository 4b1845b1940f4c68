// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace doctor: can it run here, what can it not see, and what mends that. */
#include "../cmd.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../cli.h"
#include "doctor_report.h"

struct doctor_options {
	bool json, help;
};

static const struct cli_option doctor_rows[] = {
	CLI_FLAG("Options:", 'j', "json", cli_set_true, offsetof(struct doctor_options, json),
		 "one JSON object instead of text"),
	{ .group = "Options:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = offsetof(struct doctor_options, help),
	  .help = "this text",
	  .final = true },
};

static const struct cli_command doctor_command = {
	.name = "porttrace doctor",
	.usage = "[OPTIONS]",
	.summary = "Tells whether porttrace can run here: what the kernel and this user's rights\n"
		   "allow, which backend would be used, what that cannot see, and what mends each\n"
		   "thing missing. Attaches every program for a moment, silently, and takes it\n"
		   "away again. Warns of ports of services that the kernel may give to clients.\n"
		   "Tells what running porttraces cost.",
	.operands = CLI_NO_OPERANDS,
	.options = doctor_rows,
	.option_count = sizeof(doctor_rows) / sizeof(doctor_rows[0]),
	.epilog = "Exit status:\n"
		  "  0  a backend works\n"
		  "  3  not permitted\n"
		  "  4  this kernel cannot\n",
};

const char *doctor_mode_letter(const struct kernel_trial *trial)
{
	if (trial->backend != BACKEND_TRACING)
		return "";
	return trial->mode == ATTACH_MODE_X ? "X" : "F";
}

const char *doctor_backend_words(const struct kernel_trial *trial)
{
	if (!trial)
		return "none";
	if (trial->backend != BACKEND_TRACING)
		return "cgroup backend";
	return trial->mode == ATTACH_MODE_X ? "tracing backend, mode X" : "tracing backend, mode F";
}

const char *doctor_hook_word(const struct kernel_trial *trial, const struct attach_program *program)
{
	if (program->attached)
		return "ok";
	if (program->error == -ENOENT && !trial->error)
		return "not there";
	if (program->error < 0)
		return strerrorname_np(-program->error);
	return trial->error && trial->backend == BACKEND_CGROUP ? "not tried" : "";
}

static int doctor_status(const struct kernel *k)
{
	if (k->chosen)
		return EXIT_STATUS_OK;
	for (size_t i = 0; i < KERNEL_TRIAL_COUNT; i++)
		if (k->trials[i].error == -EPERM || k->trials[i].error == -EACCES)
			return EXIT_STATUS_NOT_PERMITTED;
	return EXIT_STATUS_NO_KERNEL_SUPPORT;
}

static int doctor_end(struct report *out, int status)
{
	int r = report_end(out);

	if (r == 0 || r == -EPIPE)
		return status;
	fprintf(stderr, "porttrace: cannot write the output: %s\n", strerrordesc_np(-r));
	return EXIT_STATUS_FAILED;
}

static void doctor_report(struct report *out, const struct kernel *k, bool json)
{
	static struct doctor_running running; /* large */
	struct doctor_ports ports;
	bool known = doctor_ports_read(&ports) == 0;

	doctor_running_read(&running);
	if (json)
		doctor_report_json(out, k, known ? &ports : NULL, &running);
	else
		doctor_report_text(out, k, known ? &ports : NULL, &running);
	if (known)
		doctor_ports_free(&ports);
}

static int doctor_main(int argc, char **argv)
{
	static struct report out; /* both are large */
	static struct kernel kernel;
	struct doctor_options opts = { 0 };
	char err[CLI_ERR_SIZE];

	if (cli_parse(&doctor_command, &opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace doctor --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	signal(SIGPIPE, SIG_IGN);
	report_init(&out, STDOUT_FILENO);
	if (opts.help) {
		cli_help(&doctor_command, &out.b);
		return doctor_end(&out, EXIT_STATUS_OK);
	}
	kernel_check(&kernel);
	doctor_report(&out, &kernel, opts.json);
	return doctor_end(&out, doctor_status(&kernel));
}

const struct command cmd_doctor = { "doctor", "can it run here, and what mends what is missing",
				    doctor_main };
