// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How many events the history takes, by hand:  build/tests/history-bench FILE [LIVES [MAX_MIB]]
 * Each life is three events (connect, close into TIME_WAIT, release), offered as fast as there is room. Prints how long
 * the file took, and what was dropped.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "history.h"

#define OPEN_AT_ONCE 4096

static double seconds(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void fill(struct event *ev, uint64_t life, int step)
{
	static const enum life_state states[] = { LIFE_CONNECTED, LIFE_TIME_WAIT, LIFE_OVER };
	static const enum event_kind kinds[] = { EVENT_CONNECT, EVENT_CLOSE, EVENT_RELEASE };
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	memset(ev, 0, sizeof(*ev));
	ev->kind = kinds[step];
	ev->life = life;
	ev->life_state = states[step];
	ev->time_ns = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	ev->life_begin_ns = step ? ev->time_ns - 1000000 : ev->time_ns;
	ev->cookie = 100000 + life;
	ev->netns_inum = 4026531840u;
	ev->role = ROLE_EGRESS;
	ev->how = HOW_CONNECT;
	ev->local = (struct endpoint){ { 10, 0, 0, 5 }, 4, true, (uint16_t)(32768 + life * 7919 % 28232) };
	ev->remote = (struct endpoint){ { 10, 0, (uint8_t)(life % 16), (uint8_t)(life % 250) }, 4, true, 443 };
	ev->pid = 1000 + (uint32_t)(life / 64 % 500);
	ev->process_start_ns = 5000000000u + ev->pid;
	strcpy(ev->name, "client");
	strcpy(ev->executable, "/usr/bin/client");
	ev->has_bytes = step == 1;
}

int main(int argc, char **argv)
{
	struct history_options opts = { .path = argc > 1 ? argv[1] : "/tmp/history-bench.db" };
	uint64_t lives = argc > 2 ? strtoull(argv[2], NULL, 10) : 1000000, offered = 0;
	struct history_stats stats;
	char err[HISTORY_ERR_SIZE];
	struct history *h;
	struct event ev;
	double start, cpu;

	opts.max_bytes = argc > 3 ? strtoull(argv[3], NULL, 10) << 20 : 0;
	if (history_open(&opts, &h, err) < 0) {
		fprintf(stderr, "%s\n", err);
		return 1;
	}
	start = seconds(CLOCK_MONOTONIC);
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
	for (uint64_t i = 1; i <= lives + 2 * OPEN_AT_ONCE; i++) {
		for (int step = 0; step < 3; step++) {
			uint64_t life = i - (uint64_t)step * OPEN_AT_ONCE;

			if (life < 1 || life > lives || life > i)
				continue;
			fill(&ev, life, step);
			history_add(h, &ev);
			if (++offered % 60000 == 0)
				history_sync(h);
		}
	}
	history_sync(h);
	start = seconds(CLOCK_MONOTONIC) - start;
	cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	history_read_stats(h, &stats);
	printf("%llu events in %.2f s: %.0f/s; %.2f s of CPU: %.0f/s of one core; %llu dropped, %llu lives evicted, "
	       "error %d\n", (unsigned long long)stats.written, start, (double)stats.written / start, cpu,
	       (double)stats.written / cpu, (unsigned long long)stats.dropped, (unsigned long long)stats.evicted,
	       stats.error);
	history_close(h);
	return 0;
}
