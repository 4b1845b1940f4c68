// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace pressure: how close each pool of ephemeral ports is to running out. */
#include "pressure.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../cli.h"
#include "../clock.h"
#include "../cmd.h"
#include "../human.h"
#include "../metrics.h"
#include "../metrics_file.h"
#include "help.h"
#include "replay.h"
#include "trace.h"

#define PRESSURE_EVERY_NS UINT64_C(1000000000)
#define PRESSURE_MOST 20
/* A look takes at most this part of the time: 2.2 %; with the search for owners that is 3 %. */
#define PRESSURE_SHARE 45

struct pressure_options {
	bool once, json, all, no_bpf, help;
	uint64_t most, every_ns, max_sockets;
	const char *netns, *history, *cgroup, *metrics;
	enum trace_backend backend;
	enum pressure_order order;
};

static int pressure_set_order(void *field, const char *text, char *why)
{
	int i = cli_word("order", pressure_order_names, PRESSURE_ORDER_COUNT, text, why);

	if (i >= 0)
		*(enum pressure_order *)field = (enum pressure_order)i;
	return i < 0 ? i : 0;
}

#define PRESSURE_AT(field) offsetof(struct pressure_options, field)

static const struct cli_option pressure_rows[] = {
	CLI_ARG("Which:", 0, "netns", "PID|PATH", cli_set_text, PRESSURE_AT(netns), "of this network namespace (all)",
		"a process id, or a path such as /run/netns/blue"),
	CLI_FLAG("Which:", 'a', "all", cli_set_true, PRESSURE_AT(all), "pools that are under no pressure, too"),
	CLI_ARG("Which:", 'n', "top", "N", cli_set_count, PRESSURE_AT(most), "at most so many of a namespace (20)",
		"a number of pools, 1 or more"),
	CLI_ARG("Show:", 0, "sort", "BY", pressure_set_order, PRESSURE_AT(order),
		"the largest first: severity (default), percent, used,\nopens, failures",
		"severity, percent, used, opens or failures"),
	CLI_FLAG("Show:", 0, "once", cli_set_true, PRESSURE_AT(once),
		 "two looks, a moment apart, and one answer (not on a terminal:\nalways)"),
	CLI_ARG("Show:", 0, "every", "TIME", cli_set_duration, PRESSURE_AT(every_ns), "time between looks (1 s)",
		"a time such as 1, 0.5s or 1m"),
	CLI_FLAG("Show:", 'j', "json", cli_set_true, PRESSURE_AT(json), "JSON Lines, one object a pool"),
	CLI_ARG("Show:", 0, "metrics-file", "PATH", cli_set_text, PRESSURE_AT(metrics),
		"metrics for Prometheus in this file, once and instead; -:\nto the output",
		"a file such as /var/lib/prometheus/node-exporter/porttrace.prom, or -"),
	CLI_ARG("Other:", 0, "history", "PATH", cli_set_text, PRESSURE_AT(history),
		"the history that tells who opened what is in TIME_WAIT\n(/var/lib/porttrace/history.db, if it is "
		"there)",
		"a file of porttrace --history"),
	CLI_ARG("Other:", 0, "backend", "NAME", trace_set_backend, PRESSURE_AT(backend),
		"auto (default), tracing, cgroup", "auto, tracing or cgroup"),
	CLI_ARG("Other:", 0, "cgroup", "PATH", cli_set_text, PRESSURE_AT(cgroup), "events of processes of this cgroup",
		"a cgroup v2 directory such as /sys/fs/cgroup/system.slice"),
	TRACE_LEDGER_ROW("Other:", PRESSURE_AT(max_sockets)),
	CLI_FLAG("Other:", 0, "no-bpf", cli_set_true, PRESSURE_AT(no_bpf),
		 "sock_diag and /proc alone; what bind() keeps from connect()\nis then a guess"),
	{ .group = "Other:",
	  .short_name = 'h',
	  .long_name = "help",
	  .set = cli_set_true,
	  .offset = PRESSURE_AT(help),
	  .help = "this text",
	  .final = true },
};

static const struct cli_command pressure_command = {
	.name = "porttrace pressure",
	.usage = "[OPTIONS]",
	.summary = "Shows how close each pool of ephemeral ports is to running out, who holds it, and when\n"
		   "that will be. A pool is what one more port can come from: for connect() the source\n"
		   "address, the destination and its port.",
	.options = pressure_rows,
	.option_count = sizeof(pressure_rows) / sizeof(pressure_rows[0]),
	.epilog = "Exit status of --once: 0 no pressure, 1 pressure, 2 a pool is exhausted.\n"
		  "porttrace why says what to do.\n",
};

/* One run. */
struct pressure_cmd {
	struct pressure_options opts;
	struct pressure_session session;
	struct report out;
	struct trace_watch watch;
	bool looked; /* at least once, by a run with events */
	int error;   /* -errno that ended it */
};

static int pressure_fail(int error, const char *what)
{
	if (error != -EIO)
		fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return EXIT_STATUS_FAILED;
}

static int pressure_worst(const struct pressure_view *view)
{
	int worst = 0;

	for (size_t i = 0; i < view->count; i++)
		for (size_t k = 0; k < view->netns[i].count; k++) {
			const struct pressure_pool *pool = &view->netns[i].pools[k];
			int status = !pool->measure.free.max ? 2 : pool->severity > PRESSURE_OK;

			worst = status > worst ? status : worst;
		}
	return worst;
}

static void pressure_show(struct pressure_cmd *cmd, const struct pressure_view *view)
{
	for (size_t i = 0; i < view->count; i++)
		pressure_sort_by(&view->netns[i], cmd->opts.order);
	if (cmd->opts.json)
		pressure_json(&cmd->out, view, cmd->opts.most, cmd->opts.all);
	else
		pressure_text(&cmd->out, view, cmd->opts.most, cmd->opts.all, report_columns(STDOUT_FILENO));
}

static int pressure_write_metrics(const char *path, const struct pressure_view *view)
{
	struct metrics *m;
	struct buf text = { 0 };
	int r = metrics_new(&m);

	if (r == 0)
		r = metrics_look(m, view->netns, view->counters, view->count);
	if (r == 0) {
		metrics_update(m, NULL);
		r = metrics_text(m, METRICS_PROMETHEUS, &text);
	}
	if (r == 0)
		r = strcmp(path, "-") ? metrics_file_write(path, &text) : metrics_file_put(STDOUT_FILENO, &text);
	free(text.data);
	metrics_free(m);
	return r;
}

/* Writes what has been said so far. 0 or -errno. */
static int pressure_write(struct pressure_cmd *cmd)
{
	int r = report_end(&cmd->out);

	return r < 0 ? r : 0;
}

static int pressure_put_once(struct pressure_cmd *cmd, const struct pressure_view *view)
{
	if (cmd->opts.metrics)
		return pressure_write_metrics(cmd->opts.metrics, view);
	pressure_show(cmd, view);
	return pressure_write(cmd);
}

/* Two looks, so that rates are known; of a recording there is one. */
static int pressure_look_once(struct pressure_cmd *cmd, struct pressure_view *view)
{
	int r;

	pressure_session_begin();
	r = pressure_session_look(&cmd->session, view);
	if (r < 0 || cmd->session.take)
		return r;
	pressure_view_free(view);
	r = pressure_session_wait(cmd->opts.every_ns);
	return r < 0 ? r : pressure_session_look(&cmd->session, view);
}

/* The exit status. */
static int pressure_once(struct pressure_cmd *cmd)
{
	struct pressure_view view;
	int status, r = pressure_look_once(cmd, &view);

	if (r < 0)
		return r == -EINTR ? EXIT_STATUS_OK : pressure_fail(r, "cannot read the sockets");
	status = pressure_worst(&view);
	r = pressure_put_once(cmd, &view);
	pressure_view_free(&view);
	return r == 0 || r == -EPIPE ? status : pressure_fail(r, cmd->opts.metrics ? "cannot write the metrics" :
										     "cannot write the output");
}

/* How long until the next look: such that looks take a small part of the time. */
static uint64_t pressure_pause_ns(const struct pressure_cmd *cmd)
{
	uint64_t least_ns = cmd->session.took_ns * PRESSURE_SHARE;

	return cmd->opts.every_ns < least_ns ? least_ns : cmd->opts.every_ns;
}

/* A view that is slower than was asked for says so. */
static void pressure_tell_pause(struct pressure_cmd *cmd)
{
	struct buf *b = &cmd->out.b;

	if (cmd->opts.json || pressure_pause_ns(cmd) <= cmd->opts.every_ns)
		return;
	buf_lit(b, "Every ");
	human_duration(b, pressure_pause_ns(cmd));
	buf_lit(b, ": a look takes ");
	human_duration(b, cmd->session.took_ns);
	buf_lit(b, " of CPU, and may have 3 % of the time.\n");
}

static int pressure_round(struct pressure_cmd *cmd)
{
	struct pressure_view view;
	int r = pressure_session_look(&cmd->session, &view);

	if (r < 0)
		return r;
	if (!cmd->opts.json)
		report_screen(&cmd->out);
	pressure_show(cmd, &view);
	pressure_tell_pause(cmd);
	pressure_view_free(&view);
	return pressure_write(cmd);
}

/* Again and again, in place: by sock_diag and /proc alone. */
static int pressure_watch(struct pressure_cmd *cmd)
{
	int r;

	pressure_session_begin();
	do {
		r = pressure_round(cmd);
		if (r == 0)
			r = pressure_session_wait(pressure_pause_ns(cmd));
	} while (r == 0);
	return r == -EINTR || r == -EPIPE ? EXIT_STATUS_OK : pressure_fail(r, "cannot go on");
}

static void pressure_on_event(void *arg, const struct event *ev)
{
	struct pressure_cmd *cmd = arg;

	pressure_session_event(&cmd->session, ev);
}

static int pressure_on_look(void *arg, const struct sockets *ledger, bool by_cookie)
{
	struct pressure_cmd *cmd = arg;

	cmd->session.ledger = ledger;
	cmd->session.by_cookie = by_cookie;
	cmd->error = pressure_round(cmd);
	cmd->session.ledger = NULL;
	cmd->watch.every_ns = pressure_pause_ns(cmd);
	cmd->looked = true;
	return cmd->error;
}

/* The same with a ledger that events feed: owners of TIME_WAIT, and what failed. It takes the right to trace. */
static int pressure_live(struct pressure_cmd *cmd)
{
	static struct trace_options opts; /* large: port sets */
	int status;

	trace_options_init(&opts);
	opts.no_output = opts.quiet = true;
	opts.backend = cmd->opts.backend;
	opts.cgroup = cmd->opts.cgroup;
	opts.max_sockets = cmd->opts.max_sockets;
	cmd->watch = (struct trace_watch){ cmd->opts.every_ns, pressure_on_event, pressure_on_look, cmd };
	opts.watch = &cmd->watch;
	status = trace_execute(&opts);
	if (!cmd->looked && status != EXIT_STATUS_OK)
		return pressure_watch(cmd);
	return cmd->error && cmd->error != -EPIPE ? pressure_fail(cmd->error, "cannot go on") : EXIT_STATUS_OK;
}

static int pressure_run(struct pressure_cmd *cmd)
{
	char path[PATH_MAX];
	int r = cmd->opts.netns ? netns_resolve(cmd->opts.netns, &cmd->session.netns_inum, path, sizeof(path)) : 0;

	if (r < 0) {
		fprintf(stderr, "porttrace: option '--netns': %.200s: %s\n", cmd->opts.netns,
			r == -EINVAL ? "this is no network namespace" : strerrordesc_np(-r));
		return EXIT_STATUS_USAGE;
	}
	cmd->session.no_bpf = cmd->opts.no_bpf;
	cmd->session.patient = !cmd->opts.once && isatty(STDOUT_FILENO);
	cmd->session.history_path = cmd->opts.history;
	if (cmd->opts.once || cmd->opts.metrics || !isatty(STDOUT_FILENO))
		return pressure_once(cmd);
	return cmd->opts.no_bpf ? pressure_watch(cmd) : pressure_live(cmd);
}

/* 0, or the exit status after a message or the help. */
static int pressure_parse(struct pressure_cmd *cmd, int argc, char **argv, bool *ret_done)
{
	char err[CLI_ERR_SIZE];

	*ret_done = true;
	signal(SIGPIPE, SIG_IGN);
	report_init(&cmd->out, STDOUT_FILENO);
	cmd->opts.most = PRESSURE_MOST;
	cmd->opts.every_ns = PRESSURE_EVERY_NS;
	if (cli_parse(&pressure_command, &cmd->opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace pressure --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (cmd->opts.help)
		return help_print(&pressure_command);
	*ret_done = false;
	return 0;
}

static int pressure_main(int argc, char **argv)
{
	_free_ struct pressure_cmd *cmd = calloc(1, sizeof(*cmd));
	bool done;
	int status;

	if (!cmd)
		return pressure_fail(-ENOMEM, "cannot start");
	status = pressure_parse(cmd, argc, argv, &done);
	if (done)
		return status;
	status = pressure_run(cmd);
	pressure_session_close(&cmd->session);
	return status;
}

int pressure_replay(const char *path, int argc, char **argv)
{
	_free_ struct pressure_cmd *cmd = calloc(1, sizeof(*cmd));
	struct replay rp = { 0 };
	bool done;
	int status;

	if (!cmd)
		return pressure_fail(-ENOMEM, "cannot start");
	status = pressure_parse(cmd, argc, argv, &done);
	if (done)
		return status;
	status = EXIT_STATUS_FAILED;
	rp.max_sockets = cmd->opts.max_sockets;
	if (replay_into_session(&rp, path, &cmd->session) == 0)
		status = pressure_once(cmd);
	pressure_session_close(&cmd->session);
	replay_close(&rp);
	return status;
}

const struct command cmd_pressure = { "pressure", "how close each pool of ports is to running out", pressure_main };
