// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* porttrace [OPTIONS] [-- COMMAND]: live events. */
#include "../cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../attach.h"
#include "../capture.h"
#include "../child.h"
#include "../clock.h"
#include "../cleanup.h"
#include "../follow.h"
#include "../json_lines.h"
#include "../pages.h"
#include "../pipeline.h"
#include "../prefilter.h"
#include "../rights.h"
#include "../version.h"
#include "daemon_rights.h"
#include "filter_resolve.h"
#include "help.h"
#include "trace.h"
#include "trace_cost.h"
#include "trace_count.h"
#include "trace_counted.h"
#include "trace_ledger.h"
#include "trace_metrics.h"
#include "trace_record.h"
#include "trace_service.h"
#include "trace_sinks.h"
#include "trace_verdict.h"

/* After a batch more is waited for; after none the next event is to wake us, and the rest has time. */
#define TRACE_POLL_BUSY_MS 20
#define TRACE_POLL_IDLE_MS 300
#define TRACE_WORDS_EVERY_NS (UINT64_C(10) * 1000000000) /* of the cause of a storm; its lines come each second */
#define TRACE_SETTLE_MS 250
#define TRACE_SINKS_PATIENCE_NS (UINT64_C(4) * 1000000000) /* after the end, for what the sinks still hold */
#define TRACE_CALM 256 /* records that a batch has at most if there is time for what can wait */
#define TRACE_RECORD_PATIENCE_NS UINT64_C(300000000)
#define TRACE_TABLE_BYTES (48 * 1024) /* what is as large has a mapping of its own; a DIR has 32 KiB */
#define TRACE_HEAP_STEP (16 * 1024)

/* Everything one run owns. */
struct trace {
	struct trace_options opts;
	struct filter filter;
	struct config_ports ports; /* the kernel's part of the filter */
	uint64_t *other_cgroups, *cgroups; /* owned: --container, --cgroup */
	struct follow *follow; /* owned; NULL = none, or the kernel does it */
	struct attach attach;
	struct capture *capture;
	struct pipeline pipeline;
	struct trace_ledger ledger;
	struct trace_verdict *verdict; /* NULL = nothing is shown */
	struct trace_metrics *metrics; /* NULL = none */
	struct trace_counted counted;
	struct trace_sinks sinks;
	struct trace_service service;
	struct history *history;
	struct trace_record record;
	struct trace_count count;
	struct trace_cost cost;
	struct child child;
	char hostname[HOST_NAME_MAX + 1];
	char id[JSON_LINES_RUN_SIZE]; /* tells this run from all others */
	char boot[HISTORY_BOOT_ID_SIZE];
	struct feed_run run; /* the three above */
	uint64_t end_ns; /* CLOCK_MONOTONIC; 0 = no limit */
	uint64_t settled_ns; /* CLOCK_MONOTONIC */
	uint64_t stopped_ns; /* CLOCK_MONOTONIC: the end of the run */
	int ring_error; /* -errno: no more can be read */
	bool rest_is_there; /* attach_finish does not wait */
	int rest_error; /* -errno: the rest of the programs does not come */
	uint64_t watch_ns; /* CLOCK_MONOTONIC: of the next look of whoever watches */
};

/* What signal handlers may touch. */
static volatile sig_atomic_t trace_stop; /* end the run */
static volatile sig_atomic_t trace_alarms; /* seconds since then: an output that takes nothing is not waited for */
static volatile sig_atomic_t trace_child_ended;
static volatile sig_atomic_t trace_spared; /* the next Ctrl-C is for the traced command alone */
static volatile sig_atomic_t trace_interrupted; /* it came */
static volatile sig_atomic_t trace_reopens; /* SIGHUP does not end the run: files are opened anew */
static volatile sig_atomic_t trace_hangup; /* it came */
static volatile sig_atomic_t trace_asked; /* SIGUSR1: how many so far? */
static volatile uint64_t trace_stop_ns; /* CLOCK_MONOTONIC: when trace_stop was set */

/* Ends the run; a second Ctrl-C ends it at once. timeout(1) sends its signal twice in a row, which is one. */
static void trace_on_stop(int signal_number)
{
	if (trace_stop && signal_number == SIGINT && clock_now_ns(CLOCK_MONOTONIC) - trace_stop_ns > 100000000) {
		signal(SIGINT, SIG_DFL);
		raise(SIGINT);
	}
	if (!trace_stop)
		trace_stop_ns = clock_now_ns(CLOCK_MONOTONIC);
	trace_stop = 1;
	alarm(1); /* again and again: interrupts writes that take nothing */
}

static void trace_on_signal(int signal_number)
{
	if (signal_number == SIGCHLD) {
		trace_child_ended = 1;
	} else if (signal_number == SIGINT && trace_spared) {
		trace_spared = 0;
		trace_interrupted = 1;
	} else if (signal_number == SIGUSR1) {
		trace_asked = 1;
	} else if (signal_number == SIGHUP && trace_reopens) {
		trace_hangup = 1;
	} else {
		trace_alarms += signal_number == SIGALRM;
		trace_on_stop(signal_number);
	}
}

/* Without SA_RESTART: a write to a reader that does not read must be interruptible. */
static void trace_catch_signals(bool command)
{
	struct sigaction act = { .sa_handler = trace_on_signal }, before;

	trace_spared = command;
	sigaction(SIGINT, &act, NULL);
	sigaction(SIGTERM, &act, NULL);
	sigaction(SIGALRM, &act, NULL);
	sigaction(SIGCHLD, &act, NULL);
	sigaction(SIGUSR1, &act, NULL);
	if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN) /* nohup */
		sigaction(SIGHUP, &act, NULL);
	signal(SIGPIPE, SIG_IGN);
}

/* The tracing programs see process ids of the first pid namespace; ours are others in a container. */
static bool trace_ids_are_local(void)
{
	struct stat st;

	return !stat("/proc/self/ns/pid", &st) && st.st_ino != 0xEFFFFFFCU; /* PROC_PID_INIT_INO, linux/proc_ns.h */
}

/* The ledger is looked at by itself: it has to be whole, whatever is shown. */
static bool trace_keeps(const struct trace *tr)
{
	return tr->opts.history || tr->opts.record || tr->opts.audit_every_ns || tr->opts.watch || tr->metrics;
}

/* Nobody reads events: the metrics count them, and look at the ledger. */
static bool trace_only_counts(const struct trace *tr)
{
	const struct trace_options *o = &tr->opts;

	return tr->metrics && o->no_output && !o->history && !o->record && !o->audit_every_ns && !o->watch &&
	       !o->sinks.count && !o->no_prefilter;
}

static bool trace_tracks(const struct trace *tr)
{
	return trace_keeps(tr) || tr->opts.no_prefilter || filter_wants_close(&tr->filter);
}

/* What the kernel can leave out. */
static void trace_kernel_filter(struct trace *tr, struct attach_options *opts)
{
	struct prefilter_needs needs = { .all = trace_keeps(tr), .lives = trace_tracks(tr) };
	struct bpf_config *config = &opts->config;

	if (trace_only_counts(tr))
		trace_counted_configure(config);
	config->want_release = (trace_keeps(tr) && !config->counts) || (tr->filter.kinds >> EVENT_RELEASE & 1);
	config->self_pid = (uint32_t)getpid();
	config->follow_pid = (uint32_t)tr->child.pid;
	opts->cgroup_is_place = tr->opts.no_prefilter;
	if (tr->opts.no_prefilter)
		return;
	prefilter_fill(&tr->filter, &needs, config, &tr->ports);
	opts->ports = &tr->ports;
	if (!needs.all)
		filter_other_cgroups(&tr->filter, CONFIG_MAX_OTHER_CGROUPS, &tr->other_cgroups,
				     &opts->other_cgroup_count);
	opts->other_cgroups = tr->other_cgroups;
}

/* And what user space has to find out instead. 0, or the exit status with a message told. */
static int trace_user_filter(struct trace *tr)
{
	bool tracing = tr->attach.ops->backend == BACKEND_TRACING;
	struct filter *f = &tr->filter;
	char err[CLI_ERR_SIZE];
	int r = 0;

	f->follow_done = f->follow_children && tracing && !tr->opts.no_prefilter;
	if (f->follow_children && !f->follow_done)
		r = follow_new(f->pids, f->pid_count, "/proc", &tr->follow);
	f->follow = tr->follow;
	if (r < 0)
		return EXIT_STATUS_FAILED;
	if (tracing && tr->opts.no_prefilter && tr->opts.cgroup &&
	    filter_resolve_cgroup(tr->opts.cgroup, f, &tr->cgroups, err) < 0) {
		fprintf(stderr, "porttrace: %s\n", err);
		return EXIT_STATUS_FAILED;
	}
	return EXIT_STATUS_OK;
}

static int trace_attach(struct trace *tr, char *err, size_t err_size)
{
	struct attach_options opts = {
		.any_backend = tr->opts.backend == TRACE_BACKEND_AUTO,
		.backend = tr->opts.backend == TRACE_BACKEND_CGROUP ? BACKEND_CGROUP : BACKEND_TRACING,
		.mode = tr->opts.attach_mode == TRACE_MODE_F ? ATTACH_MODE_F :
			tr->opts.attach_mode == TRACE_MODE_X ? ATTACH_MODE_X :
							       ATTACH_MODE_AUTO,
		.seccomp = tr->opts.seccomp,
		.cgroup_path = tr->opts.cgroup,
		.ring_bytes = tr->opts.ringbuf_bytes,
		.log = tr->opts.verbose ? stderr : NULL,
	};

	trace_kernel_filter(tr, &opts);
	opts.config.immediate = tr->opts.immediate;
	opts.early = !trace_keeps(tr) && !tr->child.pid && !tr->opts.service; /* those want all from the first on */
	return attach_open(&opts, &tr->attach, err, err_size);
}

/* Functions that a kernel has inlined or keeps in a module are not there to be traced. */
static void trace_tell_missing(const struct attach *at)
{
	for (size_t i = 0; i < at->program_count; i++)
		if (at->programs[i].error == -ENOENT && at->programs[i].carries)
			fprintf(stderr, "porttrace: not visible on this kernel: %s (no %s to trace)\n",
				at->programs[i].what, at->programs[i].target);
}

/* Programs that the kernel does not take. */
static void trace_tell_refused(const struct attach *at)
{
	for (size_t i = 0; i < at->program_count; i++)
		if (at->programs[i].error && at->programs[i].error != -ENOENT && at->programs[i].carries)
			fprintf(stderr, "porttrace: not visible: %s (%s: %s)\n", at->programs[i].what,
				at->programs[i].target, strerror(-at->programs[i].error));
}

static void trace_tell_backend(const struct trace *tr)
{
	const struct attach *at = &tr->attach;

	if (at->not_first[0] && !tr->opts.quiet)
		fprintf(stderr, "porttrace: using the %s backend (%s). Not visible: %s.\n",
			event_backend_names[at->ops->backend], at->not_first, at->ops->blind_spots);
	if (!tr->opts.quiet) {
		trace_tell_missing(at);
		trace_tell_refused(at);
	}
	if (tr->opts.seccomp && at->ops->backend != BACKEND_TRACING)
		fprintf(stderr, "porttrace: --seccomp: only the tracing backend sees what a seccomp filter refuses\n");
	if (!tr->opts.verbose)
		return;
	fprintf(stderr, "porttrace: %s backend", event_backend_names[at->ops->backend]);
	if (at->preemption)
		fprintf(stderr, ", %s mode (kernel preemption: %s)", attach_mode_name(at), at->preemption);
	fprintf(stderr, "\n");
	if (trace_only_counts(tr))
		fprintf(stderr,
			"porttrace: nobody reads events: the kernel counts them, but for failures, TIME_WAIT and "
			"ephemeral ports%s\n",
			at->ops->backend == BACKEND_TRACING ? " of bind and accept" : "");
}

static void trace_name_run(struct trace *tr)
{
	uint64_t id = 0;

	if (getrandom(&id, sizeof(id), 0) != sizeof(id))
		id = clock_now_ns(CLOCK_REALTIME);
	snprintf(tr->id, sizeof(tr->id), "%016llx", (unsigned long long)id);
	gethostname(tr->hostname, sizeof(tr->hostname) - 1);
	history_boot_id(tr->boot);
	tr->run = (struct feed_run){ .hostname = tr->hostname, .id = tr->id, .boot = tr->boot };
}

/* The reader waits for a sink: that is no reason to take it for dead. */
static bool trace_is_pressed(void *arg)
{
	struct trace *tr = arg;

	trace_service_mind(&tr->service, tr->sinks.fanout, clock_now_ns(CLOCK_MONOTONIC));
	return capture_is_pressed(tr->capture);
}

/* The exit status. */
static int trace_open_feeds(struct trace *tr)
{
	struct fanout_options opts = {
		.uris = tr->opts.sinks.uris,
		.uri_count = tr->opts.sinks.count,
		.queue = tr->opts.queue,
		.block = tr->opts.on_full_block,
		.alarms = &trace_alarms,
		.is_pressed = trace_is_pressed,
		.pressed_arg = tr,
		.run = tr->run,
	};
	int r = trace_sinks_open(&tr->sinks, &opts, tr->opts.stats_ns);

	tr->pipeline.fanout = tr->sinks.fanout;
	tr->sinks.record = &tr->record;
	return r == -EINVAL ? EXIT_STATUS_USAGE : r < 0 ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

static int trace_open_sink(struct trace *tr)
{
	const struct trace_options *o = &tr->opts;
	struct sink_options opts = {
		.fd = STDOUT_FILENO,
		.wide = o->wide,
		.header = o->header,
		.utc = o->utc,
		.color = trace_options_color(o, STDOUT_FILENO),
		.hostname = tr->hostname,
		.run = tr->id,
		.boot = tr->boot,
	};

	tr->pipeline.sink = sink_find(o->no_output || trace_sinks_have_stdout(&o->sinks) ? "none" :
				      o->json						 ? "json" :
											   "table");
	return tr->pipeline.sink->open(&opts, &tr->pipeline.sink_state);
}

static void trace_explain(void *arg, struct event *ev)
{
	trace_verdict_fill(arg, ev);
}

static int trace_open_verdict(struct trace *tr)
{
	int r = trace_verdict_open(tr->pipeline.sockets, tr->ledger.by_cookie,
				   tr->opts.json || tr->opts.record ? 0 : TRACE_WORDS_EVERY_NS, &tr->verdict);

	tr->pipeline.explain = trace_explain;
	tr->pipeline.explain_arg = tr->verdict;
	return r;
}

static int trace_open_pipeline(struct trace *tr)
{
	struct pipeline *p = &tr->pipeline;
	struct enrich_options opts = { .numeric = tr->opts.numeric };
	bool only_records = tr->opts.record && tr->opts.no_output;
	int r = sockets_new(tr->opts.max_sockets ? tr->opts.max_sockets : SOCKETS_DEFAULT_LIMIT, &p->sockets);

	p->filter = &tr->filter;
	p->whole_kinds = filter_whole_kinds(p->filter); /* nothing is added to it any more */
	p->limit = tr->opts.count;
	p->alarms = &trace_alarms;
	p->track = trace_tracks(tr);
	p->history = tr->history;
	p->recorder = tr->record.recorder;
	p->watch = tr->opts.watch ? tr->opts.watch->event : tr->metrics ? trace_metrics_event : NULL;
	p->watch_arg = tr->opts.watch ? tr->opts.watch->arg : tr->metrics;
	p->decode.backend = tr->attach.ops->backend;
	opts.sockets = p->sockets;
	tr->ledger.pipeline = p;
	tr->ledger.attach = &tr->attach;
	tr->ledger.by_cookie = tr->attach.ops->backend == BACKEND_CGROUP;
	tr->ledger.audit_every_ns = tr->opts.audit_every_ns;
	tr->ledger.untold_ends = trace_only_counts(tr);
	tr->ledger.verbose = tr->opts.verbose;
	tr->ledger.cgroup = tr->opts.cgroup;
	if (r == 0)
		r = wall_new(WALL_MAX_POOLS, &p->wall);
	if (r == 0)
		r = enrich_open(&opts, &p->enrich);
	if (r == 0 && (!tr->opts.no_output || tr->opts.sinks.count || tr->opts.record))
		r = trace_open_verdict(tr);
	if (r == 0 && !tr->opts.json && !tr->opts.record) /* a line of a pipeline stands for one event */
		r = storm_new(&p->storm);
	if (r == 0 && tr->metrics)
		r = trace_metrics_begin(tr->metrics, p->sockets, tr->ledger.by_cookie);
	if (r == 0 && trace_only_counts(tr))
		r = trace_counted_open(&tr->attach, p, tr->metrics, &tr->counted);
	if (r == 0)
		r = capture_open_ring(tr->attach.ring_fd, pipeline_record, p, &tr->capture);
	tr->ledger.capture = tr->capture;
	tr->cost.wanted = tr->opts.cost;
	tr->count = (struct trace_count){ .attach = &tr->attach,
					  .pipeline = p,
					  .sinks = &tr->sinks,
					  .record = only_records ? &tr->record : NULL,
					  .verbose = tr->opts.verbose };
	return r;
}

static void trace_close(struct trace *tr)
{
	capture_close(tr->capture);
	if (tr->pipeline.sink_state)
		tr->pipeline.sink->close(tr->pipeline.sink_state);
	history_close(tr->history);
	trace_record_close(&tr->record);
	trace_ledger_close(&tr->ledger);
	trace_verdict_close(tr->verdict);
	trace_metrics_close(tr->metrics);
	trace_counted_close(&tr->counted);
	trace_sinks_close(&tr->sinks);
	enrich_close(tr->pipeline.enrich);
	wall_free(tr->pipeline.wall);
	storm_free(tr->pipeline.storm);
	sockets_free(tr->pipeline.sockets);
	attach_close(&tr->attach);
	trace_service_close(&tr->service);
	child_done(&tr->child);
	follow_free(tr->follow);
	free(tr->other_cgroups);
	free(tr->cgroups);
}

/* Is there a reason to end? */
static bool trace_is_over(struct trace *tr)
{
	if (trace_child_ended && tr->child.pid) {
		trace_child_ended = 0;
		child_reap(&tr->child);
	}
	if (trace_stop || tr->pipeline.output_error || tr->ring_error || tr->rest_error ||
	    trace_record_has_failed(&tr->record))
		return true;
	if (tr->child.pid && (tr->child.all_ended || (tr->child.ended && trace_interrupted)))
		return true;
	if (tr->opts.count && tr->pipeline.shown >= tr->opts.count)
		return true;
	return tr->end_ns && clock_now_ns(CLOCK_MONOTONIC) >= tr->end_ns;
}

static void trace_look(struct trace *tr, uint64_t now_ns)
{
	const struct trace_watch *watch = tr->opts.watch;

	if (watch->look(watch->arg, tr->pipeline.sockets, tr->ledger.by_cookie))
		trace_stop = 1;
	tr->watch_ns = now_ns + watch->every_ns;
}

/* Also by --cost, and by -v in short. */
static void trace_close_line(struct trace *tr)
{
	uint64_t size, most = capture_most(tr->capture, &size);

	trace_count_tell(&tr->count);
	if (tr->cost.wanted || tr->opts.verbose)
		trace_cost_tell(&tr->cost, &tr->attach, most, size);
}

/* now_ns 0: for the last time. */
static void trace_tell_metrics(struct trace *tr, uint64_t now_ns)
{
	struct stats_sink sinks[TRACE_SINKS_PLACES];
	struct stats st = { 0 };
	struct attach_loss loss;

	if (attach_read_loss(&tr->attach, &loss) < 0)
		return;
	trace_counted_read(&tr->counted);
	trace_sinks_stats(&tr->sinks, &st, sinks);
	trace_count_kinds(&loss, &st);
	if (now_ns)
		trace_metrics_tell(tr->metrics, trace_count_lost(&tr->count, &loss), &st, now_ns);
	else
		trace_metrics_end(tr->metrics, trace_count_lost(&tr->count, &loss) + loss.leftover, &st);
}

/* A record about the run itself. */
static void trace_tell_stats(struct trace *tr)
{
	struct stats_sink sinks[TRACE_SINKS_PLACES];
	struct stats st = { .time_ns = clock_now_ns(CLOCK_REALTIME) };

	if (trace_count_stats(&tr->count, &st) < 0)
		return;
	trace_sinks_stats(&tr->sinks, &st, sinks);
	pipeline_stats(&tr->pipeline, &st);
}

static void trace_tell_service(struct trace *tr)
{
	struct attach_loss loss;

	if (attach_read_loss(&tr->attach, &loss) == 0)
		trace_service_tell(&tr->service, tr->attach.ops->backend, attach_seen(&loss),
				   trace_count_lost(&tr->count, &loss), tr->sinks.fanout);
}

static void trace_mind_service(struct trace *tr, uint64_t now_ns)
{
	if (trace_hangup) {
		trace_hangup = 0;
		trace_service_reload(&tr->service, now_ns);
		if (tr->sinks.fanout)
			fanout_reopen(tr->sinks.fanout);
	}
	trace_service_mind(&tr->service, tr->sinks.fanout, now_ns);
	if (trace_service_is_due(&tr->service, now_ns))
		trace_tell_service(tr);
}

static void trace_mind_sinks(struct trace *tr, uint64_t now_ns)
{
	if (trace_sinks_is_due(&tr->sinks, now_ns))
		trace_tell_stats(tr);
	if (!tr->opts.quiet)
		trace_sinks_tell(&tr->sinks);
	if (trace_asked) {
		trace_asked = 0;
		trace_close_line(tr);
	}
}

/* Reads and writes out what there is. Number of records. */
static int trace_batch(struct trace *tr)
{
	uint64_t now = clock_now_ns(CLOCK_MONOTONIC), begin_ns = clock_now_ns(CLOCK_REALTIME);
	int n;

	decode_sync_clock(&tr->pipeline.decode);
	if (trace_record_batch(&tr->record, begin_ns, tr->pipeline.decode.boot_offset_ns))
		tr->ledger.untold = true;
	if (now - tr->settled_ns > TRACE_SETTLE_MS * 1000000ULL) {
		tr->settled_ns = now;
		attach_settle(&tr->attach);
	}
	n = capture_read(tr->capture);
	tr->ring_error = n < 0 && n != -ENOMEM ? n : 0; /* without memory for a moment it waits; losses are counted */
	if (tr->history)
		history_note_read(tr->history, begin_ns);
	pipeline_tell_storms(&tr->pipeline, begin_ns);
	pipeline_flush(&tr->pipeline);
	if (trace_tracks(tr) && trace_ledger_is_due(&tr->ledger, now))
		trace_ledger_look(&tr->ledger, now);
	if (tr->ledger.untold && n >= 0 && n < TRACE_CALM && now >= tr->ledger.told_ns)
		trace_ledger_tell(&tr->ledger, now);
	if (tr->opts.watch && now >= tr->watch_ns)
		trace_look(tr, now);
	if (trace_counted_has_new(&tr->counted))
		trace_counted_read(&tr->counted);
	if (tr->metrics && trace_metrics_is_due(tr->metrics, now))
		trace_tell_metrics(tr, now);
	trace_mind_service(tr, now);
	trace_mind_sinks(tr, now);
	return n;
}

static int trace_wait_ms(const struct trace *tr, bool idle)
{
	int ms = idle ? TRACE_POLL_IDLE_MS : TRACE_POLL_BUSY_MS;
	uint64_t now = clock_now_ns(CLOCK_MONOTONIC), due_ns = tr->end_ns;

	if (tr->opts.watch && (!due_ns || tr->watch_ns < due_ns))
		due_ns = tr->watch_ns;
	if (due_ns && due_ns < now + (uint64_t)ms * 1000000)
		ms = due_ns > now ? (int)((due_ns - now) / 1000000) + 1 : 0;
	return ms;
}

/* Nothing came: the next event is to wake us. If one has come meanwhile, it may not have. */
static bool trace_falls_asleep(struct trace *tr, int records)
{
	if (records > 0 || tr->opts.immediate)
		return tr->opts.immediate;
	attach_sleep(&tr->attach, true);
	return capture_is_empty(tr->capture);
}

static int trace_fail(const struct trace *tr, int error, const char *text)
{
	if (tr->opts.watch)
		return cmd_exit_status(error);
	if ((error == -EPERM || error == -EACCES) && geteuid() != 0 && !(rights_held() & RIGHTS_BIT(CAP_BPF)))
		fprintf(stderr, "porttrace: not permitted: tracing needs root (or CAP_BPF with CAP_PERFMON). "
				"Run: sudo porttrace ...\n");
	else
		fprintf(stderr, "porttrace: %s\nporttrace: 'porttrace doctor' tells what is missing, and what to do\n",
			text);
	return cmd_exit_status(error);
}

/* To whom lines are of use that tell how far the start has come. */
static bool trace_announces(const struct trace *tr)
{
	return !tr->opts.quiet && (tr->opts.verbose || isatty(STDERR_FILENO));
}

/* All is attached: from now on everything is seen. 0, or the exit status with a message told. */
static int trace_ready(struct trace *tr)
{
	int r = 0;

	pages_drop(); /* libraries of sinks are megabytes; and the look at all sockets has not begun */
	if (trace_tracks(tr)) /* without it nothing is known of what was there before: less, but not wrong */
		r = trace_ledger_start(&tr->ledger);
	if (r < 0 && tr->opts.verbose)
		fprintf(stderr, "porttrace: the sockets from before the start are not known: %s\n", strerror(-r));
	if (tr->opts.duration_ns)
		tr->end_ns = clock_now_ns(CLOCK_MONOTONIC) + tr->opts.duration_ns;
	if (tr->opts.verbose)
		fprintf(stderr, "porttrace: ready\n");
	trace_service_ready(&tr->service);
	r = tr->child.pid ? child_start(&tr->child) : 0;
	if (r < 0) {
		fprintf(stderr, "porttrace: cannot run %s: %s\n", tr->opts.command[0], strerror(-r));
		return tr->child.status;
	}
	return 0;
}

/* The rest of the programs has come. There is no command then, which alone could fail to start. */
static void trace_complete(struct trace *tr)
{
	char err[1024];

	tr->rest_is_there = false;
	tr->rest_error = attach_finish(&tr->attach, err, sizeof(err));
	if (tr->rest_error) { /* what it had attached went with the process: what is left would not be true alone */
		trace_fail(tr, tr->rest_error, err);
		return;
	}
	if (trace_announces(tr) && !tr->opts.verbose) /* which says that it is ready */
		fprintf(stderr, "porttrace: all kinds of events are seen now\n");
	if (!tr->opts.quiet)
		trace_tell_refused(&tr->attach);
	trace_ready(tr);
}

/* Waits for the ring, a signal, the time, or the reader of the output to go away. Who is behind only looks: while it
 * read, the ring may never have been below the mark, and the kernel wakes where that is crossed. */
static void trace_wait(struct trace *tr, int records, const sigset_t *unblocked)
{
	struct pollfd fds[] = {
		{ .fd = capture_fd(tr->capture), .events = POLLIN },
		{ .fd = STDOUT_FILENO, .events = 0 },
		{ .fd = tr->attach.rest_fd, .events = POLLIN },
	};
	bool behind = records > 0 && capture_is_behind(tr->capture);
	int ms = behind ? 0 : trace_wait_ms(tr, trace_falls_asleep(tr, records));
	struct timespec timeout = { ms / 1000, (ms % 1000) * 1000000L };

	if (ppoll(fds, 3, &timeout, unblocked) > 0) {
		if (fds[0].revents)
			capture_woken(tr->capture);
		if (fds[1].revents & POLLERR)
			tr->pipeline.output_error = -EPIPE;
		tr->rest_is_there = fds[2].revents;
	}
	attach_sleep(&tr->attach, false);
}

/* Signals are blocked between the test for them and the wait, but not while events are written. */
static void trace_loop(struct trace *tr)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGCHLD, SIGUSR1 };
	sigset_t blocked, unblocked;
	bool over = false;

	sigemptyset(&blocked);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&blocked, signals[i]);
	while (!over) {
		int records = trace_batch(tr);

		sigprocmask(SIG_BLOCK, &blocked, &unblocked);
		over = trace_is_over(tr);
		if (!over)
			trace_wait(tr, records, &unblocked);
		sigprocmask(SIG_SETMASK, &unblocked, NULL);
		if (tr->rest_is_there)
			trace_complete(tr);
	}
}

/* What lies in a ring that cannot be read any more is lost. */
static void trace_count_unread(struct trace *tr)
{
	struct attach_loss loss;
	uint64_t records = pipeline_records(&tr->pipeline);

	if (tr->ring_error && attach_read_loss(&tr->attach, &loss) == 0 && loss.counters.submitted > records)
		tr->pipeline.damaged += loss.counters.submitted - records;
}

/* The rest of the ring, after the last hook has gone silent: then the counters and the ring tell of the same events.
 * An output that takes nothing gets a second: then a signal interrupts the write. */
static void trace_drain(struct trace *tr)
{
	struct attach_loss loss;
	char err[1024];

	tr->stopped_ns = trace_stop ? trace_stop_ns : clock_now_ns(CLOCK_MONOTONIC);
	trace_service_stopping(&tr->service);
	attach_cut_short(&tr->attach);
	(void)attach_finish(&tr->attach, err, sizeof(err)); /* what they have missed is counted by the programs */
	attach_disarm(&tr->attach);
	alarm(1);
	for (int i = 0; i < 100; i++) { /* a hook that was under way has counted its event before it is in the ring */
		trace_batch(tr);
		if (attach_read_loss(&tr->attach, &loss) < 0 ||
		    pipeline_records(&tr->pipeline) >= loss.counters.submitted)
			break;
		usleep(1000);
	}
	trace_count_unread(tr);
	pipeline_tell_storms(&tr->pipeline, UINT64_MAX);
	if (tr->sinks.every_ns)
		trace_tell_stats(tr);
	pipeline_flush(&tr->pipeline);
	alarm(0);
	pipeline_settle(&tr->pipeline);
	if (tr->sinks.fanout)
		fanout_finish(tr->sinks.fanout, tr->stopped_ns + TRACE_SINKS_PATIENCE_NS);
}

/* What is still remembered; after the last close of all traced sockets, nothing. */
static void trace_tell_tables(const struct trace *tr)
{
	struct attach_table tables[ATTACH_MAX_TABLES];
	size_t n = tr->attach.ops->tables ? tr->attach.ops->tables(&tr->attach, tables) : 0;

	fprintf(stderr, "porttrace: tables at the end: sockets %zu", sockets_count(tr->pipeline.sockets));
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, ", %s %llu", tables[i].name, (unsigned long long)tables[i].count);
	fprintf(stderr, "\n");
}

static int trace_fail_output(int error)
{
	fprintf(stderr, "porttrace: cannot write the output: %s\n", strerror(-error));
	return EXIT_STATUS_FAILED;
}

static int trace_fail_ring(int error)
{
	fprintf(stderr, "porttrace: cannot read the ring buffer: %s\n",
		error == -EBUSY	    ? "somebody else reads it, too" :
		error == -EBADMSG ? "it holds what is no record" :
				      strerror(-error));
	return EXIT_STATUS_FAILED;
}

/* Lets the programs speak. 0, or the exit status with a message told. */
static int trace_start(struct trace *tr)
{
	int r = attach_arm(&tr->attach);

	if (r < 0)
		return trace_fail(tr, r, "cannot read the programs' counters");
	trace_cost_begin(&tr->cost, &tr->attach);
	if (tr->attach.rest_fd < 0)
		return trace_ready(tr);
	if (trace_announces(tr))
		fprintf(stderr, "porttrace: %s backend: not all kinds of events are seen yet\n",
			event_backend_names[tr->attach.ops->backend]);
	return 0;
}

static int trace_end_audit(const struct trace *tr)
{
	const struct trace_ledger *tl = &tr->ledger;

	if (tl->error)
		fprintf(stderr, "porttrace: cannot read the kernel's tables: %s\n", strerror(-tl->error));
	fprintf(stderr, "%llu looks, %llu differences; %llu after lost events; %llu sockets forgotten for want of "
			"room\n",
		(unsigned long long)tl->rounds, (unsigned long long)tl->differences, (unsigned long long)tl->after_loss,
		(unsigned long long)sockets_evicted_sum(tr->pipeline.sockets));
	return tl->differences || tl->error || !tl->rounds ? EXIT_STATUS_FAILED : EXIT_STATUS_OK;
}

/* What is not in the file although it happened. */
static void trace_tell_history(struct trace *tr)
{
	struct history_stats stats;
	int r = history_sync(tr->history);

	history_read_stats(tr->history, &stats);
	if (r < 0 || stats.dropped)
		fprintf(stderr, "porttrace: history: %llu events kept, %llu lost%s%s\n",
			(unsigned long long)stats.written, (unsigned long long)stats.dropped,
			stats.error ? ": " : "", stats.error ? strerror(-stats.error) : "");
}

/* What the sinks have left of the time is the recording's: a moment at least. */
static void trace_end_record(struct trace *tr)
{
	uint64_t deadline_ns = tr->stopped_ns + TRACE_SINKS_PATIENCE_NS;
	uint64_t least_ns = clock_now_ns(CLOCK_MONOTONIC) + TRACE_RECORD_PATIENCE_NS;
	struct recording_end end = { 0 };
	struct attach_loss loss;

	if (tr->record.recorder && attach_read_loss(&tr->attach, &loss) == 0) {
		end.lost = attach_lost(&loss) + loss.leftover + tr->pipeline.damaged + trace_record_lost(&tr->record);
		end.seen = attach_seen(&loss);
	}
	trace_record_end(&tr->record, &end, deadline_ns > least_ns ? deadline_ns : least_ns,
			 !tr->opts.quiet && !tr->opts.no_output);
}

static int trace_finish(struct trace *tr)
{
	int error = tr->pipeline.output_error;

	if (tr->history)
		trace_tell_history(tr);
	trace_end_record(tr);
	if (tr->metrics)
		trace_tell_metrics(tr, 0);
	if (!tr->opts.quiet && (error != -EPIPE || tr->opts.verbose))
		trace_close_line(tr);
	if (tr->opts.verbose)
		trace_tell_tables(tr);
	if (tr->ring_error)
		return trace_fail_ring(tr->ring_error);
	if (tr->rest_error)
		return EXIT_STATUS_FAILED;
	if (error && error != -EPIPE && error != -EINTR)
		return trace_fail_output(error);
	if (trace_record_has_failed(&tr->record))
		return EXIT_STATUS_FAILED;
	if (tr->opts.audit_every_ns)
		return trace_end_audit(tr);
	if (tr->opts.fail_on_loss && trace_count_has_lost(&tr->count))
		return EXIT_STATUS_LOSS;
	return tr->child.ended ? tr->child.status : EXIT_STATUS_OK;
}

/* From the first attached program to the last record. Returns the exit status. */
static int trace_run(struct trace *tr)
{
	char err[1024] = "";
	int r = trace_attach(tr, err, sizeof(err));

	if (r < 0)
		return trace_fail(tr, r, err);
	trace_tell_backend(tr);
	if (tr->attach.ops->backend == BACKEND_TRACING && (tr->child.pid || tr->filter.pid_count) &&
	    trace_ids_are_local()) {
		fprintf(stderr, "porttrace: in a pid namespace of its own, processes cannot be chosen by id, nor a "
				"command be followed: run porttrace on the host, or with --cgroup\n");
		return EXIT_STATUS_NO_KERNEL_SUPPORT;
	}
	r = trace_user_filter(tr);
	if (r != EXIT_STATUS_OK)
		return r;
	r = trace_open_pipeline(tr);
	if (r < 0)
		return trace_fail(tr, r, strerror(-r));
	if (trace_record_begin(&tr->record, tr->attach.ops->backend, &tr->run) < 0)
		return EXIT_STATUS_FAILED;
	if (tr->opts.service)
		daemon_rights_drop(&tr->opts, &tr->attach);
	trace_reopens = tr->opts.sinks.count || tr->opts.service;
	trace_catch_signals(tr->child.pid != 0);
	r = trace_open_sink(tr);
	if (r == -EPIPE && !tr->child.pid)
		return EXIT_STATUS_OK;
	if (r < 0)
		return trace_fail_output(r);
	r = trace_start(tr);
	if (r != 0)
		return r;
	trace_loop(tr);
	trace_drain(tr);
	return trace_finish(tr);
}

/* Releases are events that the ledger needs; they are shown to whoever asked for them. */
static void trace_set_filter(struct trace *tr)
{
	tr->filter = tr->opts.filter;
	if (trace_keeps(tr) && !tr->filter.kinds)
		tr->filter.kinds = (1u << EVENT_RELEASE) - 1;
}

static int trace_open_history(struct trace *tr)
{
	struct history_options opts = { .path = tr->opts.history };
	char err[HISTORY_ERR_SIZE] = "";
	int r = opts.path ? history_open(&opts, &tr->history, err) : 0;

	if (r < 0)
		fprintf(stderr, "porttrace: %s\n", err);
	return r;
}

/* What events go to beside the table; the threads that write are started here. The exit status. */
static int trace_open_outputs(void *arg)
{
	struct trace *tr = arg;

	if (trace_open_history(tr) < 0 || trace_metrics_open(&tr->opts, &tr->metrics) < 0 ||
	    trace_record_open(tr->opts.record, tr->opts.record_force, &tr->record) < 0)
		return EXIT_STATUS_FAILED;
	return trace_open_feeds(tr);
}

static int trace_open_outputs_of_service(struct trace *tr)
{
	int r = daemon_rights_run(&tr->opts, trace_open_outputs, tr);

	trace_service_open(&tr->service);
	if (r >= 0)
		return r;
	fprintf(stderr, "porttrace: cannot give up rights: %s\n", strerror(-r));
	return EXIT_STATUS_FAILED;
}

/*
 * The tables are large and mostly empty: a few bytes would fill a huge page each, and calloc() clears a table that it
 * puts into the heap, page by page. In a mapping of its own only what is used is there, and what a look at all sockets
 * took goes back to the kernel. The command has forked.
 */
static void trace_spare_memory(void)
{
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	mallopt(M_MMAP_THRESHOLD, TRACE_TABLE_BYTES);
	mallopt(M_TOP_PAD, TRACE_HEAP_STEP);
}

int trace_execute(const struct trace_options *opts)
{
	static struct trace tr; /* large: port sets */
	char err[CLI_ERR_SIZE];
	int status;

	tr.opts = *opts;
	if (fcntl(STDOUT_FILENO, F_GETFD) < 0) /* before a map or a link gets its number */
		return trace_fail_output(-errno);
	trace_set_filter(&tr);
	if ((tr.opts.netns && filter_resolve_netns(tr.opts.netns, &tr.filter, err) < 0) ||
	    (tr.opts.cgroup && filter_check_cgroup(tr.opts.cgroup, err) < 0)) {
		fprintf(stderr, "porttrace: %s\n", err);
		return EXIT_STATUS_FAILED;
	}
	if (tr.opts.command && child_prepare(&tr.child, tr.opts.command) < 0) {
		fprintf(stderr, "porttrace: cannot start %s: %s\n", tr.opts.command[0], strerror(errno));
		return EXIT_STATUS_FAILED;
	}
	trace_spare_memory();
	trace_name_run(&tr);
	status = tr.opts.service ? trace_open_outputs_of_service(&tr) : trace_open_outputs(&tr);
	if (status == EXIT_STATUS_OK)
		status = trace_run(&tr);
	if (isatty(STDERR_FILENO) && tr.attach.state)
		child_leave_files_behind();
	trace_close(&tr);
	return status;
}

static int trace_main(int argc, char **argv)
{
	static struct trace_options opts; /* large: port sets */
	char err[CLI_ERR_SIZE];

	if (trace_options_parse(&opts, argc, argv, err) < 0) {
		fprintf(stderr, "porttrace: %s\nTry 'porttrace --help'.\n", err);
		return EXIT_STATUS_USAGE;
	}
	if (opts.help)
		return help_print(&trace_command);
	if (opts.version) {
		version_print(stdout);
		return fflush(stdout) ? trace_fail_output(-errno) : EXIT_STATUS_OK;
	}
	return trace_execute(&opts);
}

const struct command cmd_trace = { NULL, "live events (the default command)", trace_main };
