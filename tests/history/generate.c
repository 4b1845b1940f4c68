// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets that nobody has, told to a history, with a log of its own:  history-make FILE LOG MS
 * Lines of the log: "b PORT NS NAME" a socket has the port, "f PORT NS NAME" the port is free again. They are written
 * when it happens, before the history is told. Can be killed at any time.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "history.h"

#define MS UINT64_C(1000000)
#define PORTS 300

struct port {
	struct event ev;
	uint64_t close_ns, free_ns; /* when that is to happen; 0 = has */
};

static struct port ports[PORTS];
static int log_fd;

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void tell(struct history *h, struct port *p, enum event_kind kind, enum life_state state, char mark)
{
	char line[128];
	int n;

	p->ev.kind = kind;
	p->ev.life_state = state;
	p->ev.time_ns = now_ns();
	if (mark == 'b')
		p->ev.life_begin_ns = p->ev.time_ns;
	n = snprintf(line, sizeof(line), "%c %u %llu %s\n", mark, p->ev.local.port, (unsigned long long)p->ev.time_ns,
		     p->ev.name);
	if (mark && write(log_fd, line, (size_t)n) != n)
		_exit(2);
	history_add(h, &p->ev);
}

/* Connections with or without TIME_WAIT, listeners, and some that stay open. */
static void begin(struct history *h, struct port *p, uint64_t life)
{
	bool listens = life % 5 == 0, stays = life % 97 == 0;

	memset(p, 0, sizeof(*p));
	p->ev.life = life;
	p->ev.cookie = (uint64_t)getpid() << 32 | life; /* no kernel gives one twice: a run after a kill has others */
	p->ev.pid = 1000 + (uint32_t)(life % 64);
	p->ev.netns_inum = 4026531840u;
	p->ev.how = listens ? HOW_EXPLICIT : HOW_CONNECT;
	p->ev.role = listens ? ROLE_UNKNOWN : ROLE_EGRESS;
	p->ev.local = (struct endpoint){ { 127, 0, 0, 1 }, 4, true, (uint16_t)(50000 + (p - ports)) };
	if (!listens)
		p->ev.remote = (struct endpoint){ { 10, 0, 3, 9 }, 4, true, 443 };
	snprintf(p->ev.name, sizeof(p->ev.name), "x%u", (unsigned int)life);
	tell(h, p, listens ? EVENT_LISTEN : EVENT_CONNECT, listens ? LIFE_LISTENING : LIFE_CONNECTED, 'b');
	p->close_ns = stays ? UINT64_MAX : p->ev.time_ns + (uint64_t)(rand() % 300) * MS;
	p->free_ns = listens || life % 3 ? p->close_ns : p->close_ns + (uint64_t)(rand() % 200) * MS;
}

static void step(struct history *h, struct port *p, uint64_t *life)
{
	uint64_t now = now_ns();

	if (!p->ev.life || (!p->free_ns && rand() % 20 == 0))
		begin(h, p, ++*life);
	else if (p->close_ns && p->close_ns == p->free_ns && now >= p->close_ns) {
		tell(h, p, EVENT_CLOSE, LIFE_OVER, 'f');
		p->close_ns = p->free_ns = 0;
	} else if (p->close_ns && now >= p->close_ns) {
		tell(h, p, EVENT_CLOSE, LIFE_TIME_WAIT, 0);
		p->close_ns = 0;
	} else if (!p->close_ns && p->free_ns && now >= p->free_ns) {
		tell(h, p, EVENT_RELEASE, LIFE_OVER, 'f');
		p->free_ns = 0;
	}
}

int main(int argc, char **argv)
{
	struct history_options opts = { .path = argc > 1 ? argv[1] : "" };
	char err[HISTORY_ERR_SIZE];
	struct history *h = NULL;
	uint64_t life = 0, end;

	if (argc != 4)
		return 2;
	log_fd = open(argv[2], O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (log_fd < 0 || history_open(&opts, &h, err) < 0) {
		fprintf(stderr, "%s\n", log_fd < 0 ? "no log" : err);
		return 1;
	}
	srand((unsigned int)getpid());
	for (end = now_ns() + strtoull(argv[3], NULL, 10) * MS; now_ns() < end; usleep(2000))
		for (size_t i = 0; i < PORTS; i++)
			step(h, &ports[i], &life);
	history_close(h);
	return 0;
}
