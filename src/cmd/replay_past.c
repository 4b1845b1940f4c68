// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A recording, for porttrace who and porttrace history: by a history that is made of it, asked, and taken away. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../cmd.h"
#include "replay.h"

#define REPLAY_PAST_ARGS 64
#define REPLAY_PAST_BURST 16384 /* events that the history takes without being waited for */

struct replay_past {
	char folder[64], path[80];
	struct replay replay;
};

static int replay_past_fail(const char *what, int error)
{
	fprintf(stderr, "porttrace: %s: %s\n", what, strerrordesc_np(-error));
	return error;
}

/* 0, or -errno with a message told. */
static int replay_past_open(struct replay_past *past, uint64_t begin_ns)
{
	struct history_options opts = { .path = past->path, .recorded_ns = begin_ns };
	char err[HISTORY_ERR_SIZE] = "";
	int r = history_open(&opts, &past->replay.pipeline.history, err);

	if (r < 0)
		fprintf(stderr, "porttrace: %s\n", err);
	return r;
}

/* Of a gap nobody can tell: as if porttrace had ended there, and had been started again. */
static int replay_past_skip(struct replay_past *past)
{
	history_close(past->replay.pipeline.history);
	past->replay.pipeline.history = NULL;
	return replay_past_open(past, past->replay.gap.to_ns);
}

/* All events of the recording into the history. 0, or -errno with a message told. */
static int replay_past_pour(struct replay_past *past)
{
	static const volatile sig_atomic_t no_alarms;
	static struct filter filter; /* large: port sets */
	struct replay *rp = &past->replay;
	uint64_t poured = 0, gaps = 0;

	filter_init(&filter);
	filter.kinds = 1u << EVENT_KIND_COUNT; /* nothing is shown */
	rp->pipeline.filter = &filter;
	rp->pipeline.alarms = &no_alarms;
	while (replay_step(rp)) {
		if (rp->gaps != gaps && replay_past_skip(past) < 0)
			return -EIO;
		gaps = rp->gaps;
		if (++poured % REPLAY_PAST_BURST == 0)
			history_sync(rp->pipeline.history);
		if (rp->time_ns)
			history_note_read(rp->pipeline.history, rp->time_ns);
	}
	history_note_read(rp->pipeline.history, rp->end.time_ns ? rp->end.time_ns : rp->time_ns);
	history_sync(rp->pipeline.history);
	return 0;
}

/* 0, or -errno with a message told. */
static int replay_past_make(struct replay_past *past, const char *recording)
{
	char err[RECORDING_ERR_SIZE] = "";
	int r = replay_open(&past->replay, recording, false, err);

	if (r < 0)
		fprintf(stderr, "porttrace: %s\n", err);
	else
		r = replay_past_open(past, recording_header(past->replay.reader)->start_ns);
	if (r < 0)
		return r;
	r = replay_past_pour(past);
	history_close(past->replay.pipeline.history);
	replay_tell(&past->replay, recording);
	replay_tell_damage(&past->replay, recording);
	return r;
}

static void replay_past_remove(const struct replay_past *past)
{
	static const char *const ends[] = { "", "-wal", "-shm", "-journal", ".lock" };
	char path[96];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", past->path, ends[i]);
		unlink(path);
	}
	rmdir(past->folder);
}

static bool replay_past_has(int argc, char **argv, const char *option)
{
	for (int i = 1; i < argc; i++)
		if (!strncmp(argv[i], option, strlen(option)))
			return true;
	return false;
}

/* The command with its own words, and where the past is. who: without --at, when the recording ended. */
static int replay_past_ask(struct replay_past *past, const struct command *cmd, int argc, char **argv)
{
	uint64_t end_ns = past->replay.end.time_ns ? past->replay.end.time_ns : past->replay.time_ns;
	char history[] = "--history", at[] = "--at", when[40];
	char *words[REPLAY_PAST_ARGS + 5];
	int n = 0;

	snprintf(when, sizeof(when), "@%llu.%09llu", (unsigned long long)(end_ns / 1000000000),
		 (unsigned long long)(end_ns % 1000000000));
	while (n < argc && n < REPLAY_PAST_ARGS) {
		words[n] = argv[n];
		n++;
	}
	words[n++] = history;
	words[n++] = past->path;
	if (cmd == &cmd_who && !replay_past_has(argc, argv, at)) {
		words[n++] = at;
		words[n++] = when;
	}
	words[n] = NULL;
	return cmd->run(n, words);
}

static int replay_past_run(const struct command *cmd, const char *recording, int argc, char **argv)
{
	struct replay_past past = { .folder = "/tmp/porttrace-replay.XXXXXX" };
	int status = EXIT_STATUS_FAILED;

	if (!mkdtemp(past.folder)) {
		replay_past_fail("cannot make a folder in /tmp", -errno);
		return status;
	}
	snprintf(past.path, sizeof(past.path), "%s/history.db", past.folder);
	if (replay_past_make(&past, recording) == 0)
		status = replay_past_ask(&past, cmd, argc, argv);
	replay_past_remove(&past);
	replay_close(&past.replay);
	return status;
}

int replay_who(const char *path, int argc, char **argv)
{
	return replay_past_run(&cmd_who, path, argc, argv);
}

int replay_history(const char *path, int argc, char **argv)
{
	return replay_past_run(&cmd_history, path, argc, argv);
}
