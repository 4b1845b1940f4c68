// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "daemon_rights.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../feed.h"
#include "../rights.h"

#define DAEMON_FIRST_PORT 1024

static const struct daemon_right daemon_rows[] = {
	{ CAP_SYS_PTRACE, "CAP_SYS_PTRACE", DAEMON_ALWAYS,
	  "program, container and sockets of other users' processes" },
	{ CAP_DAC_READ_SEARCH, "CAP_DAC_READ_SEARCH", DAEMON_ALWAYS,
	  "lists the descriptors of other users' processes" },
	{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", DAEMON_ALWAYS, "port settings and sockets of other network namespaces" },
	{ CAP_BPF, "CAP_BPF", DAEMON_COUNTERS, "reads the counters of the attached programs" },
	{ CAP_BPF, "CAP_BPF", DAEMON_BUCKETS, "loads the program that reads the bind buckets" },
	{ CAP_PERFMON, "CAP_PERFMON", DAEMON_BUCKETS, "lets that program read kernel memory" },
	{ CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE", DAEMON_ELSEWHERE, "opens them again" },
	{ CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE", DAEMON_LOW_PORT, "listens there" },
};

const char *const daemon_when_words[DAEMON_WHEN_COUNT] = {
	[DAEMON_ALWAYS] = "",
	[DAEMON_COUNTERS] = "where the kernel asks for it (before 5.19)",
	[DAEMON_BUCKETS] = "with metrics and the tracing backend",
	[DAEMON_ELSEWHERE] = "with files in directories of other users",
	[DAEMON_LOW_PORT] = "with --metrics-listen at a port below 1024",
};

const struct daemon_right *daemon_right(size_t i)
{
	return i < sizeof(daemon_rows) / sizeof(daemon_rows[0]) ? &daemon_rows[i] : NULL;
}

static uint64_t daemon_caps(const bool applies[DAEMON_WHEN_COUNT])
{
	const struct daemon_right *right;
	uint64_t caps = 0;

	for (size_t i = 0; (right = daemon_right(i)); i++)
		caps |= applies[right->when] ? RIGHTS_BIT(right->cap) : 0;
	return caps;
}

/* ---- by trying ---- */

/* -EACCES if it may neither be written nor made. What else is wrong with it is told by whoever opens it. */
static int daemon_try_file(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (!faccessat(AT_FDCWD, path, W_OK, AT_EACCESS))
		return 0;
	if (errno != ENOENT || snprintf(dir, sizeof(dir), "%s", path) >= (int)sizeof(dir))
		return errno == EACCES ? -EACCES : 0;
	slash = strrchr(dir, '/');
	if (!slash)
		return 0;
	slash[slash == dir] = '\0';
	return faccessat(AT_FDCWD, dir, W_OK | X_OK, AT_EACCESS) && errno == EACCES ? -EACCES : 0;
}

/* A file may be there and its directory not ours: then it cannot be made anew when it was renamed. */
static int daemon_try_path(const char *path)
{
	char beside[PATH_MAX];
	int r = daemon_try_file(path);

	if (r == 0 && snprintf(beside, sizeof(beside), "%s.new", path) < (int)sizeof(beside))
		r = daemon_try_file(beside);
	return r;
}

static int daemon_try_sink(const char *text)
{
	char err[FEED_ERR_SIZE];
	struct feed_uri uri = { 0 };

	if (feed_uri_parse(&uri, text, err) < 0)
		return 0;
	if (!strcmp(uri.scheme, "file"))
		return daemon_try_path(uri.target);
	return !strcmp(uri.scheme, "unix") ? daemon_try_file(uri.target) : 0;
}

static int daemon_try_files(void *arg)
{
	const struct trace_options *opts = arg;
	int r = opts->history ? daemon_try_path(opts->history) : 0;

	if (r == 0 && opts->metrics_file)
		r = daemon_try_path(opts->metrics_file);
	for (size_t i = 0; r == 0 && i < opts->sinks.count; i++)
		r = daemon_try_sink(opts->sinks.uris[i]);
	return r;
}

static int daemon_try_counters(void *arg)
{
	struct attach_loss loss;

	return attach_read_loss(arg, &loss);
}

/* ---- keeping ---- */

/* `at` NULL = not yet attached. */
static uint64_t daemon_kept(const struct trace_options *opts, struct attach *at, bool applies[DAEMON_WHEN_COUNT])
{
	bool metrics = opts->metrics_file || opts->metrics_listen.port;

	memset(applies, 0, DAEMON_WHEN_COUNT * sizeof(*applies));
	applies[DAEMON_ALWAYS] = true;
	applies[DAEMON_LOW_PORT] = opts->metrics_listen.port && opts->metrics_listen.port < DAEMON_FIRST_PORT;
	applies[DAEMON_ELSEWHERE] = rights_run(daemon_caps(applies), daemon_try_files, (void *)opts) == -EACCES;
	if (!at)
		return daemon_caps(applies);
	applies[DAEMON_BUCKETS] = metrics && at->ops->backend == BACKEND_TRACING;
	applies[DAEMON_COUNTERS] = rights_run(daemon_caps(applies), daemon_try_counters, at) < 0;
	return daemon_caps(applies);
}

int daemon_rights_run(const struct trace_options *opts, int (*fn)(void *arg), void *arg)
{
	bool applies[DAEMON_WHEN_COUNT];

	return rights_run(daemon_kept(opts, NULL, applies), fn, arg);
}

static void daemon_tell(const bool applies[DAEMON_WHEN_COUNT])
{
	uint64_t held = rights_held();
	const struct daemon_right *right;

	for (size_t i = 0; (right = daemon_right(i)); i++)
		if (applies[right->when])
			fprintf(stderr, "porttrace: %s %s: %s\n",
				held & RIGHTS_BIT(right->cap) ? "keeps" : "does without", right->name, right->effect);
}

void daemon_rights_drop(const struct trace_options *opts, struct attach *at)
{
	bool applies[DAEMON_WHEN_COUNT];
	int r = rights_keep(daemon_kept(opts, at, applies));

	if (r < 0)
		fprintf(stderr, "porttrace: cannot give up the rights that are no longer needed: %s\n", strerror(-r));
	if (opts->verbose)
		daemon_tell(applies);
}
