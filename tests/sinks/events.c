// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Made-up events for sinks, so that a test knows every one, also what no kernel would tell in a minute.
 *
 *   sinks-events RUN QUEUE URI...      RUN is the run's id, QUEUE the records that may wait for a sink, with "!" behind
 *                                      them: and when it is full the events wait, too, so that none is lost
 *
 * reads commands from stdin and answers each with lines, of which the last is "done":
 *
 *   send N RATE     N events, RATE a second (0 = as fast as the sinks take them)
 *   count           a line a sink, in their order: NAME delivered lost_queue lost_sink waiting
 *   end SECONDS     no more: delivers until then; then as `count`, and it ends
 *
 * Every eighth event is a connect that failed with EADDRNOTAVAIL. Names and paths hold what a process may call itself.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../src/clock.h"
#include "../../src/fanout.h"

#define EVENTS_BATCH 32

struct events {
	struct fanout *fanout;
	uint64_t sequence;
	bool at_ease; /* send as the sinks take it */
};

static const char *const events_names[8] = {
	"api", "a\nb=c", "\x1b[31mred", "\"q\\", "\xff\xfe\x80", "\xe2\x80\xae", "=", "\n",
};

/* The event points to `who`. */
static struct event events_make(uint64_t sequence, struct event_who *who)
{
	static const enum event_kind kinds[8] = { EVENT_CONNECT, EVENT_BIND,   EVENT_LISTEN, EVENT_CONNECT,
						  EVENT_ACCEPT,  EVENT_CLOSE, EVENT_CLOSE,  EVENT_RELEASE };
	size_t i = sequence % 8;
	struct event ev = { .kind = kinds[i], .sequence = sequence, .time_ns = clock_now_ns(CLOCK_REALTIME),
			    .pid = (uint32_t)getpid(), .has_uid = true, .ip_version = 4, .netns_inum = 4026531840 };

	ev.local = (struct endpoint){ .ip_version = 4, .has_port = true, .port = (uint16_t)(32768 + sequence % 28000) };
	inet_pton(AF_INET, "10.0.0.5", ev.local.addr);
	ev.remote = (struct endpoint){ .ip_version = 4, .has_port = true, .port = 5432 };
	inet_pton(AF_INET, "10.0.3.9", ev.remote.addr);
	strcpy(ev.name, events_names[i]);
	*who = (struct event_who){ 0 };
	ev.who = who;
	memset(who->executable, "/\n\x1b\xff"[sequence / 8 % 4], sizeof(who->executable) - 1);
	snprintf(who->container_id, sizeof(who->container_id), "%s%s", events_names[i], events_names[(i + 1) % 8]);
	if (i == 0) {
		ev.outcome = OUTCOME_FAILURE;
		ev.error = EADDRNOTAVAIL;
		ev.cause = CAUSE_PORT_EXHAUSTED;
		ev.local.has_port = false;
		strcpy(ev.reason, "no free local port for this destination");
	}
	return ev;
}

/* The ring of a real run is never pressed when the sinks set the pace, and always when they are not waited for. */
static bool events_is_pressed(void *arg)
{
	return !((struct events *)arg)->at_ease;
}

static void events_send(struct events *e, uint64_t n, uint64_t rate)
{
	uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC);

	e->at_ease = !rate;
	for (uint64_t i = 0; i < n; i++) {
		struct event_who who;
		struct event ev = events_make(++e->sequence, &who);

		fanout_event(e->fanout, &ev);
		if (i % EVENTS_BATCH != EVENTS_BATCH - 1 && i + 1 < n)
			continue;
		fanout_flush(e->fanout);
		if (rate) {
			uint64_t due_ns = begin_ns + (i + 1) * UINT64_C(1000000000) / rate;
			struct timespec due = { (time_t)(due_ns / 1000000000), (long)(due_ns % 1000000000) };

			clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL);
		}
	}
}

static void events_count(struct events *e)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	size_t n = fanout_count(e->fanout, sinks);

	for (size_t i = 0; i < n; i++)
		printf("%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", sinks[i].name, sinks[i].delivered,
		       sinks[i].lost_queue, sinks[i].lost_sink, sinks[i].waiting);
}

int main(int argc, char **argv)
{
	static volatile sig_atomic_t alarms;
	struct events e = { 0 };
	struct fanout_options opts = { .uris = (const char *const *)argv + 3, .uri_count = (size_t)argc - 3,
				       .alarms = &alarms, .is_pressed = events_is_pressed, .pressed_arg = &e };
	char err[FEED_ERR_SIZE], line[64], *end;
	uint64_t n, rate;

	if (argc < 4)
		return 2;
	opts.run = (struct feed_run){ .hostname = "test-host", .id = argv[1], .boot = "" };
	opts.queue = strtoul(argv[2], &end, 10);
	opts.block = *end == '!';
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (fanout_open(&opts, &e.fanout, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "send %" SCNu64 " %" SCNu64, &n, &rate) == 2)
			events_send(&e, n, rate);
		else if (sscanf(line, "end %" SCNu64, &n) == 1)
			fanout_finish(e.fanout, clock_now_ns(CLOCK_MONOTONIC) + n * UINT64_C(1000000000));
		if (line[0] != 's')
			events_count(&e);
		puts("done");
		if (line[0] == 'e')
			break;
	}
	fanout_close(e.fanout);
	return 0;
}
