/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a user can ask of the trace command. */
#ifndef PORTTRACE_CMD_TRACE_OPTIONS_H
#define PORTTRACE_CMD_TRACE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include "../cli.h"
#include "../filter.h"

enum trace_backend { TRACE_BACKEND_AUTO, TRACE_BACKEND_TRACING, TRACE_BACKEND_CGROUP };
/* F: fentry/fexit and BTF tracepoints. X: kprobes, which lose nothing on preemptible kernels. */
enum trace_attach_mode { TRACE_MODE_AUTO, TRACE_MODE_F, TRACE_MODE_X };
enum trace_color { TRACE_COLOR_AUTO, TRACE_COLOR_ALWAYS, TRACE_COLOR_NEVER };

struct event;
struct sockets;

#define TRACE_SINKS_MAX 16

/* --sink URI, as often as given. */
struct trace_sink_list {
	const char *uris[TRACE_SINKS_MAX];
	size_t count;
};

/* Another command, whose view the events and the ledger feed. */
struct trace_watch {
	uint64_t every_ns; /* between two looks; the look itself may raise it */
	void (*event)(void *arg, const struct event *ev); /* each one, after the ledger */
	int (*look)(void *arg, const struct sockets *ledger, bool by_cookie); /* not 0: the run ends */
	void *arg;
};

struct trace_options {
	/* Complete but for the namespace: whoever opens files resolves `netns`. */
	struct filter filter;
	const char *cgroup; /* path; NULL = all */
	const char *netns;  /* PID or path; NULL = all */
	bool seccomp;	    /* also what a seccomp filter refuses */

	bool json, numeric, wide, utc;
	bool header;
	enum trace_color color;

	struct trace_sink_list sinks;
	uint64_t queue; /* records that may wait for a sink; 0 = the default */
	bool on_full_block; /* a full queue makes the reader of the ring wait; else its oldest records are lost */
	uint64_t stats_ns; /* between two records about the run; 0 = the default */
	bool fail_on_loss;

	const char *metrics_file; /* NULL = none */
	struct endpoint metrics_listen; /* port 0 = nowhere */
	uint64_t metrics_every_ns; /* between two files; 0 = the default */
	const char *history; /* path of the file to keep; NULL = none */
	const char *record; /* path of the recording to make; NULL = none */
	bool record_force; /* also over a file that is none */
	bool no_output; /* events are kept, not shown: porttrace daemon, audit */
	bool service; /* tells the manager that started it, and gives up rights: porttrace daemon */
	uint64_t audit_every_ns; /* compare the ledger with the kernel's tables; 0 = never */
	const struct trace_watch *watch; /* NULL = none. A start that fails is not told then: the exit status says it */

	uint64_t max_sockets; /* in the ledger; 0 = the default */
	uint64_t duration_ns; /* 0 = no limit */
	uint64_t count;	      /* events shown; 0 = no limit */
	char **command;	      /* NULL-terminated; NULL = trace everything */

	enum trace_backend backend;
	enum trace_attach_mode attach_mode;
	uint32_t ringbuf_bytes; /* a power of two; 0 = default */
	bool immediate; /* each event wakes the reader */
	bool cost; /* tell what porttrace itself costs */
	bool no_prefilter; /* the whole filter in user space */
	bool quiet, verbose, help, version;
};

extern const struct cli_command trace_command;

/*
 * Defaults, then argv[1..]. Port names in -P, -L, -D are looked up in /etc/services and the
 * built-in table, which is read only when there is a name. Texts and `command` point into argv. 0,
 * or -errno with a sentence in `err` (CLI_ERR_SIZE bytes). With --help or --version the rest is not
 * looked at.
 */
int trace_options_parse(struct trace_options *opts, int argc, char **argv, char *err);

/* Options that need another. 0, or -EINVAL with a sentence in `err`. */
int trace_options_check(const struct trace_options *opts, char *err);
/* The defaults: everything, as a table. */
void trace_options_init(struct trace_options *opts);
/* Cli setters: --backend, --attach-mode. */
int trace_set_backend(void *field, const char *text, char *why);
int trace_set_mode(void *field, const char *text, char *why);
/* Cli setter: "127.0.0.1:9184" or "[::1]:9184" to a struct endpoint. */
int trace_set_listen(void *field, const char *text, char *why);

/* The rows of metrics, for the commands that trace. */
#define TRACE_METRICS_ROWS(heading)										\
	CLI_ARG(heading, 0, "metrics-file", "PATH", cli_set_text, offsetof(struct trace_options, metrics_file),	\
		"also keep metrics in this file, for node_exporter's\ntextfile collector",			\
		"a file such as /var/lib/prometheus/node-exporter/porttrace.prom"),				\
	CLI_ARG(heading, 0, "metrics-every", "TIME", cli_set_duration,						\
		offsetof(struct trace_options, metrics_every_ns), "write that file so often (15 s)",		\
		"a time such as 15, 500ms or 1m"),								\
	CLI_ARG(heading, 0, "metrics-listen", "ADDR:PORT", trace_set_listen,					\
		offsetof(struct trace_options, metrics_listen),							\
		"also serve metrics at http://ADDR:PORT/metrics,\nfor Prometheus",				\
		"an address and a port such as 127.0.0.1:9184")

/* Cli setters: --sink, --on-full. */
int trace_add_sink(void *field, const char *text, char *why);
int trace_set_on_full(void *field, const char *text, char *why);

/* The rows of sinks, for the commands that trace. */
#define TRACE_SINK_ROWS(heading)										\
	CLI_ARG(heading, 0, "sink", "URI", trace_add_sink, offsetof(struct trace_options, sinks),		\
		"also send events there: stdout:, file:/path,\nunix:/path, journal:, syslog://host:port,\n"	\
		"otlp:http://host:4318, kafka:host/topic; may be\ngiven again",					\
		"a sink such as file:/var/log/porttrace.jsonl"),						\
	CLI_ARG(heading, 0, "queue", "N", cli_set_count, offsetof(struct trace_options, queue),			\
		"records that may wait for a sink (4096)", "a number of records, 1 or more"),			\
	CLI_ARG(heading, 0, "on-full", "WHAT", trace_set_on_full, offsetof(struct trace_options, on_full_block),\
		"what a full queue does: drop the oldest (default),\nor block", "drop or block"),		\
	CLI_ARG(heading, 0, "stats", "TIME", cli_set_duration, offsetof(struct trace_options, stats_ns),	\
		"a record about the run itself so often (60 s with\nsinks, else never)",			\
		"a time such as 60, 500ms or 1m"),\
	CLI_FLAG(heading, 0, "fail-on-loss", cli_set_true, offsetof(struct trace_options, fail_on_loss),	\
		 "exit status 5 if events were lost anywhere")

/* The row of the ledger, for the commands that keep one; `at`: a uint64_t, 0 = the default. */
#define TRACE_LEDGER_ROW(heading, at)										\
	CLI_ARG(heading, 0, "max-sockets", "N", cli_set_count, at,						\
		"remember at most so many sockets (1000000)", "a number of sockets, 1 or more")

/* Whether to colour what goes to `fd`: --color, else a terminal without NO_COLOR and TERM=dumb
 * (no-color.org). */
bool trace_options_color(const struct trace_options *opts, int fd);

#endif
