// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* A recording, for porttrace pressure and porttrace why: the picture at its end. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "replay.h"

static void replay_on_event(void *arg, const struct event *ev)
{
	struct pressure_session *session = arg;

	session->recorded_ns = ev->time_ns;
	pressure_session_event(session, ev);
}

static int replay_take(void *arg, struct snapshot *ret)
{
	return replay_snapshot(arg, ret);
}

/* "2026-11-27 03:12:43", local time. */
static const char *replay_time(uint64_t ns, char text[32])
{
	time_t second = (time_t)(ns / 1000000000);
	struct tm tm;

	if (!localtime_r(&second, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm))
		text[0] = '\0';
	return text;
}

void replay_tell(const struct replay *rp, const char *path)
{
	const struct recording_header *header = recording_header(rp->reader);
	uint64_t end_ns = rp->end.time_ns ? rp->end.time_ns : rp->time_ns;
	char from[32], to[32];

	fprintf(stderr, "porttrace: %s: recorded on %s from %s to %s\n", path,
		header->hostname[0] ? header->hostname : "an unknown host", replay_time(header->start_ns, from),
		replay_time(end_ns ? end_ns : header->start_ns, to));
	if (rp->gaps)
		fprintf(stderr, "porttrace: %s: %llu events are not in it, left out between %s and %s: the disk did "
				"not keep up\n",
			path, (unsigned long long)rp->left_out, replay_time(rp->gaps_from_ns, from),
			replay_time(rp->gap.to_ns, to));
}

void replay_tell_damage(const struct replay *rp, const char *path)
{
	if (rp->error == -EBADMSG)
		fprintf(stderr, "porttrace: %s %s: what stands before that has been read\n", path,
			recording_damage(rp->reader));
	else if (rp->error < 0)
		fprintf(stderr, "porttrace: cannot read %s: %s\n", path, strerrordesc_np(-rp->error));
}

int replay_into_session(struct replay *rp, const char *path, struct pressure_session *session)
{
	static const volatile sig_atomic_t no_alarms;
	static struct filter filter; /* large: port sets */
	char err[RECORDING_ERR_SIZE] = "";
	int r = replay_open(rp, path, false, err);

	if (r < 0) {
		fprintf(stderr, "porttrace: %s\n", err);
		return r;
	}
	filter_init(&filter);
	filter.kinds = 1u << EVENT_KIND_COUNT; /* nothing is shown */
	rp->pipeline.filter = &filter;
	rp->pipeline.alarms = &no_alarms;
	rp->watch = replay_on_event;
	rp->watch_arg = session;
	session->take = replay_take; /* from here on its clock is the recording's */
	session->take_arg = rp;
	while (replay_step(rp))
		;
	replay_tell(rp, path);
	replay_tell_damage(rp, path);
	session->ledger = rp->pipeline.sockets;
	session->by_cookie = recording_header(rp->reader)->by_cookie;
	session->recorded_ns = rp->end.time_ns ? rp->end.time_ns : rp->time_ns;
	session->no_bpf = true;
	return 0;
}
