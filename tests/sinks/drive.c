// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sinks without a tracer: made-up events of all kinds, at a rate, to the sinks that are named.
 *
 *   drive [OPTION...] URI...
 *     -n EVENTS     so many (1000)
 *     -r RATE       a second (10000)
 *     -q RECORDS    the queue of each sink
 *     -f MS         time to finish (5000)
 *     -i RUN        the run's id
 *     -b            wait for a full queue
 *     -w            wait for a line on stdin before the end; without it until nothing is waiting any more. SIGTERM
 *                   or SIGINT end both
 *
 * A statistics record follows each 100 events. Prints JSON: "generated", and the account of each sink. "given"
 * is printed to stderr when all events are; trouble too, whenever it changes.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../src/clock.h"
#include "../../src/fanout.h"
#include "../unit/events.h"

struct drive {
	struct fanout_options fanout;
	uint64_t events, rate, finish_ms, sequence, lost;
	bool hold;
	char trouble[FANOUT_FEEDS_MAX][FEED_TROUBLE_SIZE];
};

static volatile sig_atomic_t drive_signalled, drive_alarms;

/* There is no ring that could run over. */
static bool drive_is_pressed(void *arg)
{
	(void)arg;
	return false;
}

static void drive_on_signal(int number)
{
	(void)number;
	drive_signalled = 1;
}

/* ---- events ---- */

static struct event drive_release(void)
{
	struct event ev = events_close();

	ev.kind = EVENT_RELEASE;
	ev.has_port_free = true;
	ev.port_free = true;
	return ev;
}

/* All that an event may have. */
static struct event drive_full(void)
{
	static const struct event_verdict verdict = {
		.has_pool = true, .used = 28232, .capacity = 28232, .reserved = 3, .blocked = 2, .next_ms = 1200,
		.rule = "P01", .cause = "a leak", .also = "P17", .more = 7,
		.json = ",\"states\":{\"time-wait\":28000}", .json_len = 29,
	};
	struct event ev = events_connect_failed();

	ev.cause = CAUSE_PORT_EXHAUSTED;
	ev.pool = EVENT_POOL_CONNECT;
	ev.half = EVENT_HALF_SECOND;
	ev.wall = ev.late = ev.has_search = ev.has_fd = ev.has_options = ev.mptcp = true;
	ev.search_ns = 81001;
	ev.has_truth = true;
	ev.range_low = 32768;
	ev.range_high = 60999;
	ev.fd = 0;
	ev.reuseaddr = ev.no_port = true;
	ev.mark = 4;
	ev.bound_ifindex = 2;
	ev.vpid = 7;
	ev.confidence = CONFIDENCE_CLOSER;
	ev.creator_pid = 99;
	ev.verdict = &verdict;
	strcpy(ev.creator_name, "parent");
	strcpy(ev.reason, "no free local port for this destination");
	strcpy(events_who(&ev)->command_line, "api --port=0 \"a b\"");
	strcpy(events_who(&ev)->container_id, "53225e24386f30ac68a58cd57c1689590875e4904f9449d0c19835f68da0c0b6");
	strcpy(events_who(&ev)->container_runtime, "containerd");
	strcpy(events_who(&ev)->pod_uid, "0f2c9a5e-7d0b-4a6e-9b5e-1d2f3a4b5c6d");
	strcpy(events_who(&ev)->unit, "api.service");
	return ev;
}

/* Names that try to break out of a string. */
static struct event drive_hostile(void)
{
	struct event ev = events_close();

	memcpy(ev.name, "\"}\\\n\x01\xff\xfe\x7f\xc3\xa9\x1b[0m", 15);
	strcpy(events_who(&ev)->executable, "/tmp/\xed\xa0\x80\",\"x\":\"y");
	memset(events_who(&ev)->command_line, 2, sizeof(events_who(&ev)->command_line) - 1);
	ev.ip_version = 6;
	ev.local = events_endpoint("2001:db8::1", 443);
	ev.remote = events_endpoint("2001:db8::2", 40000);
	ev.has_bytes = true;
	ev.bytes_sent = 812;
	ev.bytes_received = 104332;
	ev.closer = CLOSER_REMOTE;
	ev.close_state = CLOSE_STATE_TIME_WAIT;
	ev.exiting = true;
	ev.exit_signal = SIGKILL;
	ev.proto = PROTO_UDP;
	ev.protocol = IPPROTO_UDPLITE;
	return ev;
}

static struct event drive_event(uint64_t i)
{
	switch (i % 10) {
	case 0: return events_bind();
	case 1: return events_listen();
	case 2: return events_connect();
	case 3: return events_connect_failed();
	case 4: return events_accept();
	case 5: return events_close();
	case 6: return drive_release();
	case 7: return i % 20 == 7 ? events_bind_in_use() : events_bind_time_wait();
	case 8: return drive_full();
	default: return drive_hostile();
	}
}

static void drive_give(struct drive *d, struct fanout *f, uint64_t i)
{
	struct event ev = drive_event(i);

	ev.sequence = ++d->sequence;
	ev.time_ns = clock_now_ns(CLOCK_REALTIME);
	fanout_event(f, &ev);
}

static void drive_stats(struct drive *d, struct fanout *f, uint64_t i)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	struct stats st = { .time_ns = clock_now_ns(CLOCK_REALTIME),
			    .since_ns = EVENTS_TIME_NS,
			    .sequence = ++d->sequence,
			    .seen = i + 7,
			    .emitted = i,
			    .filtered = 4,
			    .lost_kernel = 3,
			    .evicted = 9,
			    .sinks = sinks };

	st.sink_count = fanout_count(f, sinks);
	fanout_stats(f, &st);
}

/* ---- the run ---- */

static void drive_look(struct drive *d, struct fanout *f)
{
	char text[FEED_TROUBLE_SIZE];

	for (size_t i = 0; i < d->fanout.uri_count; i++) {
		fanout_trouble(f, i, text);
		if (strcmp(text, d->trouble[i]))
			fprintf(stderr, "%s: %s\n", d->fanout.uris[i], text[0] ? text : "works");
		memcpy(d->trouble[i], text, sizeof(text));
	}
}

static bool drive_is_waiting(struct drive *d, struct fanout *f)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	uint64_t waiting = 0;

	for (size_t i = 0, n = fanout_count(f, sinks); i < n; i++)
		waiting += sinks[i].waiting;
	drive_look(d, f);
	return waiting;
}

/* Steps of 10 ms. */
static void drive_run(struct drive *d, struct fanout *f)
{
	uint64_t begin_ns = clock_now_ns(CLOCK_MONOTONIC), i = 0;

	while (i < d->events && !drive_signalled) {
		uint64_t due = (clock_now_ns(CLOCK_MONOTONIC) - begin_ns) / 1000 * d->rate / 1000000 + 1;

		for (; i < d->events && i < due && !drive_signalled; i++) {
			drive_give(d, f, i);
			if (i % 100 == 99)
				drive_stats(d, f, i + 1);
		}
		fanout_flush(f);
		drive_look(d, f);
		usleep(10000);
	}
	fprintf(stderr, "given\n");
}

static void drive_wait(struct drive *d, struct fanout *f)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };

	while (!drive_signalled && (d->hold || drive_is_waiting(d, f))) {
		if (d->hold && poll(&p, 1, 50) > 0)
			return;
		if (!d->hold)
			usleep(50000);
		drive_look(d, f);
	}
}

static void drive_account(struct drive *d, struct fanout *f)
{
	struct stats_sink sinks[FANOUT_FEEDS_MAX];
	size_t n = fanout_count(f, sinks);

	printf("{\"generated\":%llu,\"sinks\":[", (unsigned long long)d->sequence);
	for (size_t i = 0; i < n; i++)
		printf("%s{\"delivered\":%llu,\"lost_queue\":%llu,\"lost_sink\":%llu,\"waiting\":%llu}", i ? "," : "",
		       (unsigned long long)sinks[i].delivered, (unsigned long long)sinks[i].lost_queue,
		       (unsigned long long)sinks[i].lost_sink, (unsigned long long)sinks[i].waiting);
	printf("]}\n");
}

static void drive_options(struct drive *d, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "n:r:q:f:i:bw")) != -1)
		switch (c) {
		case 'n': d->events = strtoull(optarg, NULL, 10); break;
		case 'r': d->rate = strtoull(optarg, NULL, 10); break;
		case 'q': d->fanout.queue = strtoull(optarg, NULL, 10); break;
		case 'f': d->finish_ms = strtoull(optarg, NULL, 10); break;
		case 'i': d->fanout.run.id = optarg; break;
		case 'b': d->fanout.block = true; break;
		case 'w': d->hold = true; break;
		default: exit(2);
		}
	d->fanout.uris = (const char *const *)argv + optind;
	d->fanout.uri_count = (size_t)(argc - optind);
}

int main(int argc, char **argv)
{
	struct drive d = { .events = 1000, .rate = 10000, .finish_ms = 5000 };
	char err[FEED_ERR_SIZE] = "";
	struct fanout *f;

	d.fanout.alarms = &drive_alarms;
	d.fanout.is_pressed = drive_is_pressed;
	d.fanout.run = (struct feed_run){ "web-1", "0123456789abcdef0123456789abcdef",
					  "c41f7eae-2e5f-42ce-963a-3c9cd9623606" };
	drive_options(&d, argc, argv);
	signal(SIGTERM, drive_on_signal);
	signal(SIGINT, drive_on_signal);
	signal(SIGPIPE, SIG_IGN);
	if (fanout_open(&d.fanout, &f, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	drive_run(&d, f);
	drive_wait(&d, f);
	fanout_finish(f, clock_now_ns(CLOCK_MONOTONIC) + d.finish_ms * 1000000);
	drive_look(&d, f);
	drive_account(&d, f);
	fanout_close(f);
	return 0;
}
