// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace history: what was kept, by time, port, process, address. */
#include "../cmd.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../when.h"
#include "history_options.h"
#include "history_report.h"

#define HISTORY_TIME_MAX 64

/* Everything one run owns. */
struct history_run {
	struct history_command_options opts;
	struct service_table *names;
	struct history_reader *reader;
	struct history_view view;
	struct report out;
	uint64_t found;
};

static int history_fail(int error, const char *what)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return EXIT_STATUS_FAILED;
}

static int history_end(struct history_run *run, int r)
{
	int written = report_end(&run->out);

	if (written == -EPIPE || r == -EPIPE)
		return EXIT_STATUS_OK;
	if (written < 0)
		return history_fail(written, "cannot write the output");
	if (r < 0)
		return history_fail(r, r == -EBADMSG ? "the history is damaged" : "cannot read the history");
	return EXIT_STATUS_OK;
}

static int history_show(void *arg, const struct history_life *life)
{
	struct history_run *run = arg;
	struct history_row row = { .life = life };

	run->found++;
	history_report_row(&run->out, &row, &run->view);
	return run->out.error;
}

/* Those whose own port it is not, once more: a connection of a port with itself is shown once. */
static int history_show_remote(void *arg, const struct history_life *life)
{
	struct history_run *run = arg;

	return life->local.port == run->opts.either_port ? 0 : history_show(arg, life);
}

static int history_list(struct history_run *run)
{
	struct history_query query = run->opts.query;
	int r;

	if (!run->opts.no_header && !run->opts.json)
		history_report_header(&run->out);
	query.port = run->opts.either_port;
	r = history_find(run->reader, &query, history_show, run);
	if (!r && run->opts.either_port >= 0 && run->found < run->opts.query.limit) {
		query.port = -1;
		query.remote_port = run->opts.either_port;
		query.limit -= run->found;
		r = history_find(run->reader, &query, history_show_remote, run);
	}
	if (!r && run->found >= run->opts.query.limit) {
		report_end(&run->out);
		fprintf(stderr, "porttrace: the newest %" PRIu64 " only: --limit shows more\n", run->found);
	}
	return r;
}

static void history_put_time(struct history_run *run, const char *label, uint64_t ns)
{
	buf_str(&run->out.b, label);
	if (!ns)
		buf_lit(&run->out.b, "nothing");
	else if (run->opts.json)
		when_iso(&run->out.b, ns);
	else
		when_text(&run->out.b, ns, 0, run->opts.utc);
}

static void history_put_number(struct history_run *run, const char *label, uint64_t n)
{
	buf_str(&run->out.b, label);
	buf_u64(&run->out.b, n);
}

static int history_stat(struct history_run *run)
{
	bool json = run->opts.json;
	struct history_summary sum = { 0 };
	int r = history_summarise(run->reader, &sum);

	if (r < 0)
		return r;
	history_put_number(run, json ? "{\"schema\":1,\"sockets\":" : "sockets    ", sum.lives);
	history_put_number(run, json ? ",\"open\":" : "\nopen       ", sum.open);
	history_put_number(run, json ? ",\"processes\":" : "\nprocesses  ", sum.processes);
	history_put_number(run, json ? ",\"runs\":" : "\nruns       ", sum.runs);
	history_put_number(run, json ? ",\"bytes\":" : "\nbytes      ", sum.bytes);
	if (sum.first_ns || !json)
		history_put_time(run, json ? ",\"begin\":\"" : "\nfrom       ", sum.first_ns);
	if (sum.first_ns || !json)
		history_put_time(run, json ? "\",\"end\":\"" : "\nto         ", sum.last_ns);
	buf_str(&run->out.b, json ? sum.first_ns ? "\"}\n" : "}\n" : "\n");
	return 0;
}

static int history_run(struct history_run *run)
{
	char err[HISTORY_ERR_SIZE];
	int r = history_reader_open(run->opts.path ? run->opts.path : HISTORY_DEFAULT_PATH, &run->reader, err);

	if (r < 0) {
		fprintf(stderr, "porttrace: %s\n", err);
		return r == -EACCES ? EXIT_STATUS_NOT_PERMITTED : EXIT_STATUS_FAILED;
	}
	run->view.names = run->opts.numeric ? NULL : run->names;
	run->view.utc = run->opts.utc;
	run->view.json = run->opts.json;
	return history_end(run, run->opts.stat ? history_stat(run) : history_list(run));
}

static int history_main(int argc, char **argv)
{
	static struct history_run run; /* large: the buffer */
	char err[CLI_ERR_SIZE];
	int status, r = service_table_new(NULL, &run.names);

	if (r < 0)
		return history_fail(r, "cannot read the service names");
	signal(SIGPIPE, SIG_IGN);
	report_init(&run.out, STDOUT_FILENO);
	run.view.now_ns = when_now();
	if (history_options_parse(&run.opts, argc, argv, run.names, run.view.now_ns, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace history --help'.\n", err);
		status = EXIT_STATUS_USAGE;
	} else if (run.opts.help) {
		cli_help(&history_command, &run.out.b);
		status = history_end(&run, 0);
	} else {
		status = history_run(&run);
	}
	history_reader_close(run.reader);
	service_table_free(run.names);
	return status;
}

const struct command cmd_history = { "history", "what was kept: who had which port", history_main };
