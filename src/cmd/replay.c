// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace replay FILE [COMMAND]: a recording, as if it happened now. */
#include "replay.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../cleanup.h"
#include "../cli.h"
#include "../clock.h"
#include "../cmd.h"
#include "../follow.h"
#include "../history.h"
#include "filter_resolve.h"
#include "help.h"
#include "trace_count.h"
#include "trace_rows.h"
#include "trace_sinks.h"

/* Fields of the live command's rows come first. */
struct replay_options {
	struct trace_options trace;
	bool realtime;
};

static const char *const replay_names[] = {
	"pid",	"follow", "comm", "uid", "addr", "laddr", "daddr", "container", "cgroup", "netns",
	"port",  "lport",   "dport", "event",	    "ipv4", "ipv6",  "tcp",   "udp",	 "failed",
	"class", "json", "numeric", "wide", "no-header", "utc",	    "color", "count", "quiet", "verbose", "help",
	"sink",	"queue",  "on-full", "max-sockets",
};
#define REPLAY_NAME_COUNT (sizeof(replay_names) / sizeof(replay_names[0]))

static const struct cli_option replay_own[] = {
	CLI_FLAG("Options:", 0, "realtime", cli_set_true, offsetof(struct replay_options, realtime),
		 "as slowly as it happened (else as fast as can be)"),
	CLI_FLAG("Options:", 'h', "help", cli_set_true, offsetof(struct replay_options, trace.help), "this text"),
};
#define REPLAY_OWN_COUNT (sizeof(replay_own) / sizeof(replay_own[0]))

static const struct {
	const char *name;
	int (*run)(const char *path, int argc, char **argv);
} replay_commands[] = {
	{ "pressure", pressure_replay },
	{ "why", why_replay },
	{ "who", replay_who },
	{ "history", replay_history },
};
#define REPLAY_COMMAND_COUNT (sizeof(replay_commands) / sizeof(replay_commands[0]))

static const struct cli_command replay_help = {
	.name = "porttrace replay",
	.usage = "[OPTIONS] FILE\nFILE pressure|why|who|history [ARG...]",
	.summary = "Shows what porttrace record has kept, as the live command would have shown it: on any\n"
		   "machine, by anybody. With a command: what that would have said at the end.",
	.operands = CLI_OPERANDS,
	.options = replay_own,
	.option_count = REPLAY_OWN_COUNT,
	.epilog = "And of the options of porttrace (porttrace --help) those that select and show: -p --follow\n"
		  "-c -u -P -L -D -a --laddr --daddr -e -4 -6 --tcp --udp -x --class --container, -j -n -w -H\n"
		  "--utc --color, --count -q -v, --sink --queue --on-full --max-sockets. On the machine that\n"
		  "recorded, until it boots again: --cgroup, --netns.\n\n"
		  "Examples:\n"
		  "  porttrace replay web.ptr -x          what failed, and why\n"
		  "  porttrace replay web.ptr --json      all events, as JSON Lines\n"
		  "  porttrace replay web.ptr why         why ports ran out\n"
		  "  porttrace replay web.ptr who 8080    who had the port when it ended\n"
		  "Exit status: 1 if the file is cut off or damaged; what stands before is shown.\n",
};

/* ---- signals: as in a live run, a write that takes nothing is given up ---- */

static volatile sig_atomic_t replay_stop, replay_alarms;

static void replay_on_signal(int signal_number)
{
	replay_alarms += signal_number == SIGALRM;
	replay_stop = 1;
	alarm(1);
}

static void replay_catch_signals(void)
{
	struct sigaction act = { .sa_handler = replay_on_signal };

	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* ---- a run ---- */

static int replay_open_sink(struct replay *rp, const struct trace_options *o)
{
	struct pipeline *p = &rp->pipeline;
	struct sink_options opts = {
		.fd = STDOUT_FILENO,
		.wide = o->wide,
		.header = o->header,
		.utc = o->utc,
		.color = trace_options_color(o, STDOUT_FILENO),
		.hostname = recording_header(rp->reader)->hostname,
		.run = recording_header(rp->reader)->run,
	};
	int r = o->json ? 0 : storm_new(&p->storm);

	p->filter = &o->filter;
	p->whole_kinds = filter_whole_kinds(p->filter);
	p->limit = o->count;
	p->alarms = &replay_alarms;
	p->sink = sink_find(trace_sinks_have_stdout(&o->sinks) ? "none" : o->json ? "json" : "table");
	return r < 0 ? r : p->sink->open(&opts, &p->sink_state);
}

/* A recording can wait. */
static bool replay_is_pressed(void *arg)
{
	(void)arg;
	return false;
}

/* 0, or the exit status with a message told. */
static int replay_open_feeds(struct replay *rp, const struct trace_options *o, struct trace_sinks *sinks)
{
	const struct recording_header *header = recording_header(rp->reader);
	struct fanout_options opts = {
		.uris = o->sinks.uris,
		.uri_count = o->sinks.count,
		.queue = o->queue,
		.block = o->on_full_block,
		.alarms = &replay_alarms,
		.is_pressed = replay_is_pressed,
		.run = { .hostname = header->hostname, .id = header->run, .boot = header->boot_id },
	};
	int r = trace_sinks_open(sinks, &opts, 0);

	sinks->every_ns = 0; /* what is recorded holds no statistics */
	rp->pipeline.fanout = sinks->fanout;
	return r == -EINVAL ? EXIT_STATUS_USAGE : r < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

/* Waits until as much time has gone by as between the recording's first batch and this one. */
static void replay_wait(struct replay *rp, uint64_t began_ns)
{
	uint64_t due_ns = began_ns + (rp->time_ns - rp->first_ns);
	struct timespec due = { (time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000) };

	if (rp->time_ns < rp->first_ns) /* the clock was set back */
		return;
	pipeline_flush(&rp->pipeline);
	while (!replay_stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
		;
}

/* Behind a gap the lines tell of it, where they would have told of what the kernel had lost. */
static void replay_tell_gap(struct replay *rp)
{
	struct pipeline *p = &rp->pipeline;
	struct stats st = { .time_ns = rp->gap.to_ns,
			    .since_ns = recording_header(rp->reader)->start_ns,
			    .seen = pipeline_records(p) + rp->left_out,
			    .emitted = p->emitted,
			    .filtered = p->filtered,
			    .lost_kernel = rp->left_out + p->damaged,
			    .evicted = sockets_evicted_sum(p->sockets) };

	pipeline_stats(p, &st);
}

static void replay_loop(struct replay *rp, const struct replay_options *opts)
{
	uint64_t began_ns = clock_now_ns(CLOCK_MONOTONIC), before_ns = 0, gaps = 0;

	while (!replay_stop && !rp->pipeline.output_error && replay_step(rp)) {
		if (rp->gaps != gaps)
			replay_tell_gap(rp);
		gaps = rp->gaps;
		if (opts->realtime && rp->time_ns != before_ns) {
			before_ns = rp->time_ns;
			replay_wait(rp, began_ns);
		}
		if (rp->pipeline.limit && rp->pipeline.shown >= rp->pipeline.limit)
			break;
	}
	pipeline_tell_storms(&rp->pipeline, UINT64_MAX);
	pipeline_flush(&rp->pipeline);
	pipeline_settle(&rp->pipeline);
	if (rp->pipeline.fanout)
		fanout_finish(rp->pipeline.fanout,
			      clock_now_ns(CLOCK_MONOTONIC) + (replay_stop ? 4 : 60) * UINT64_C(1000000000));
}

static void replay_close_line(const struct replay *rp, bool verbose)
{
	const struct pipeline *p = &rp->pipeline;

	fprintf(stderr, "%llu events shown, %llu in the recording", (unsigned long long)p->shown,
		(unsigned long long)pipeline_records(p));
	if (rp->end.time_ns)
		fprintf(stderr, "; when it was made: %llu seen, %llu lost", (unsigned long long)rp->end.seen,
			(unsigned long long)rp->end.lost);
	if (rp->gaps)
		fprintf(stderr, "; left out of it: %llu, in %llu gap%s", (unsigned long long)rp->left_out,
			(unsigned long long)rp->gaps, rp->gaps == 1 ? "" : "s");
	if (verbose)
		fprintf(stderr, "; %llu filtered, %llu damaged, %llu unwritten", (unsigned long long)p->filtered,
			(unsigned long long)p->damaged, (unsigned long long)p->unwritten);
	fprintf(stderr, "\n");
}

static int replay_finish(const struct replay *rp, const struct replay_options *opts, const char *path)
{
	int error = rp->pipeline.output_error;

	replay_tell_damage(rp, path);
	if (!opts->trace.quiet && (error != -EPIPE || opts->trace.verbose)) {
		replay_tell(rp, path);
		replay_close_line(rp, opts->trace.verbose);
		trace_count_tell_evicted(rp->pipeline.sockets);
	}
	if (error && error != -EPIPE && error != -EINTR) {
		fprintf(stderr, "porttrace: cannot write the output: %s\n", strerrordesc_np(-error));
		return EXIT_STATUS_FAILED;
	}
	return rp->error ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

/* Ids of cgroups and namespaces mean something while the machine runs on. 0, or -errno with a sentence. */
static int replay_select_here(const struct replay *rp, struct trace_options *o, uint64_t **ret_cgroups, char *err)
{
	char boot[HISTORY_BOOT_ID_SIZE];
	int r = 0;

	if (!o->cgroup && !o->netns)
		return 0;
	history_boot_id(boot);
	if (strcmp(boot, recording_header(rp->reader)->boot_id) != 0) {
		snprintf(err, RECORDING_ERR_SIZE,
			 "option '--%s': can only be found on the machine that recorded, until it boots again",
			 o->cgroup ? "cgroup" : "netns");
		return -ENOENT;
	}
	if (o->cgroup)
		r = filter_resolve_cgroup(o->cgroup, &o->filter, ret_cgroups, err);
	return r < 0 || !o->netns ? r : filter_resolve_netns(o->netns, &o->filter, err);
}

/* 0, or -errno with a sentence. */
static int replay_select(const struct replay *rp, struct trace_options *o, uint64_t **ret_cgroups, char *err)
{
	int r = 0;

	if (o->filter.follow_children)
		r = follow_new(o->filter.pids, o->filter.pid_count, NULL, &o->filter.follow);
	if (r < 0)
		snprintf(err, RECORDING_ERR_SIZE, "cannot start: %s", strerrordesc_np(-r));
	return r < 0 ? r : replay_select_here(rp, o, ret_cgroups, err);
}

static int replay_run(struct replay_options *opts, const char *path)
{
	_free_ uint64_t *cgroups = NULL;
	struct replay rp = { .max_sockets = opts->trace.max_sockets };
	struct trace_sinks sinks = { 0 };
	char err[RECORDING_ERR_SIZE] = "";
	int r = replay_open(&rp, path, opts->trace.numeric, err), status = EXIT_STATUS_FAILED;

	if (r == 0)
		r = replay_select(&rp, &opts->trace, &cgroups, err);
	if (r < 0)
		fprintf(stderr, "porttrace: %s\n", err);
	else
		status = replay_open_feeds(&rp, &opts->trace, &sinks);
	if (r == 0 && status == EXIT_STATUS_OK) {
		replay_catch_signals();
		r = replay_open_sink(&rp, &opts->trace);
		if (r == 0)
			replay_loop(&rp, opts);
		else
			rp.pipeline.output_error = r;
		status = replay_finish(&rp, opts, path);
		if (!opts->trace.quiet)
			trace_sinks_count(&sinks);
	}
	trace_sinks_close(&sinks);
	if (rp.pipeline.sink_state)
		rp.pipeline.sink->close(rp.pipeline.sink_state);
	storm_free(rp.pipeline.storm);
	replay_close(&rp);
	follow_free(opts->trace.filter.follow);
	return status;
}

/* ---- the command line ---- */

static int replay_unknown(const char *word)
{
	const char *names[REPLAY_COMMAND_COUNT], *nearest;

	for (size_t i = 0; i < REPLAY_COMMAND_COUNT; i++)
		names[i] = replay_commands[i].name;
	nearest = cli_nearest(word, names, REPLAY_COMMAND_COUNT);
	fprintf(stderr, "porttrace: '%.60s' is no command for a recording%s%s%s\nTry 'porttrace replay --help'.\n",
		word, nearest ? ": did you mean '" : ": pressure, why, who, history", nearest ? nearest : "",
		nearest ? "'?" : "");
	return EXIT_STATUS_USAGE;
}

static int replay_main(int argc, char **argv)
{
	static struct replay_options opts; /* large: port sets */
	struct cli_option rows[TRACE_ROWS_MAX];
	struct cli_command cmd = replay_help;
	char err[CLI_ERR_SIZE];
	int n;

	for (size_t i = 0; argc > 2 && argv[1][0] != '-' && i < REPLAY_COMMAND_COUNT; i++)
		if (!strcmp(argv[2], replay_commands[i].name))
			return replay_commands[i].run(argv[1], argc - 2, argv + 2);
	trace_options_init(&opts.trace);
	cmd.options = rows;
	cmd.option_count = trace_rows_choose(rows, replay_names, REPLAY_NAME_COUNT, replay_own, 1);
	n = cli_parse(&cmd, &opts, argc, argv, err);
	if (n == 0 && !opts.trace.help)
		snprintf(err, sizeof(err), "which recording?");
	if (n < 0 || (n == 0 && !opts.trace.help)) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace replay --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (opts.trace.help)
		return help_print(&replay_help);
	if (n > 1)
		return replay_unknown(argv[2]);
	if (trace_options_check(&opts.trace, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace replay --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (!opts.trace.filter.kinds)
		opts.trace.filter.kinds = (1u << EVENT_RELEASE) - 1; /* as in a live run */
	return replay_run(&opts, argv[1]);
}

const struct command cmd_replay = { "replay", "show a recording, on any machine", replay_main };
