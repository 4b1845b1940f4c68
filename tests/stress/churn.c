// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Sockets that come and go in every way that could leave something behind in a table of porttrace. */
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "stress.h"

#define CYCLE_SOCKETS 6
#define BATCH 20
#define ABORT_BATCH 250

/* ---- churn ---- */

static void udp_bound_and_connected(void)
{
	struct sockaddr_in any = loopback(0), to = loopback(9);
	int fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK(bind(fd, (void *)&any, sizeof(any)));
	CHECK(connect(fd, (void *)&to, sizeof(to)));
	CHECK(close(fd));
}

static void udp_sends(void)
{
	struct sockaddr_in to = loopback(9);
	int fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));

	CHECK(sendto(fd, "x", 1, 0, (void *)&to, sizeof(to)));
	CHECK(close(fd));
}

static void refused(void)
{
	struct sockaddr_in to = loopback(1);
	int fd = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	if (connect(fd, (void *)&to, sizeof(to)) == 0 || errno != ECONNREFUSED)
		die("connect to a closed port");
	CHECK(close(fd));
}

void run_churn(int socket_count, int unused)
{
	struct sockaddr_in at;
	int listener = listening(&at, 16);

	(void)unused;
	for (int i = 0; i < socket_count / CYCLE_SOCKETS; i++) {
		cycle(listener, &at);
		udp_bound_and_connected();
		udp_sends();
		refused();
		closed(bound());
	}
	closed(listener);
}

/* ---- processes that are killed in the middle of a call ---- */

static struct sockaddr_in full_at, open_at;
static int open_listener;

static void connects_for_ever(void)
{
	int fd = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	connect(fd, (void *)&full_at, sizeof(full_at));
}

static void accepts_for_ever(void)
{
	for (;;)
		CHECK(accept(open_listener, NULL, NULL)); /* the end of the process closes them */
}

static void connects_again_and_again(void)
{
	while (!counts->stop)
		closed(connected(&open_at));
}

static void (*const victims[])(void) = {
	connects_for_ever, accepts_for_ever, connects_again_and_again, bind_until_stopped,
};

#define VICTIMS (sizeof(victims) / sizeof(victims[0]))

static void kill_batch(int n)
{
	int pids[BATCH];

	for (int i = 0; i < n; i++)
		pids[i] = spawn(victims[(size_t)i % VICTIMS]);
	usleep(100000);
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGKILL);
	wait_all();
}

void run_kill(int processes, int unused)
{
	int full = listening(&full_at, 0), fill[FULL_QUEUE];

	(void)unused;
	open_listener = listening(&open_at, 64);
	fill_queue(&full_at, fill);
	for (int done = 0; done < processes; done += BATCH)
		kill_batch(processes - done < BATCH ? processes - done : BATCH);
	for (int i = 0; i < FULL_QUEUE; i++)
		close(fill[i]);
	close(full);
	close(open_listener);
}

/* ---- connects that nobody answers, given up by the program ---- */

/* In a network namespace of its own; what is lost there disturbs nobody. */
static void own_network(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd;

	CHECK(unshare(CLONE_NEWNET));
	fd = CHECK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK(ioctl(fd, SIOCSIFFLAGS, &lo));
	close(fd);
}

static int pending(const struct sockaddr_in *at)
{
	int fd = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));

	if (connect(fd, (const void *)at, sizeof(*at)) == 0 || errno != EINPROGRESS)
		die("connect did not wait");
	return fd;
}

/* By close() alone, or by disconnecting first. */
static void give_up(int fd, bool disconnect)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };

	if (disconnect)
		CHECK(connect(fd, &none, sizeof(none)));
	CHECK(close(fd));
	add(&counts->connect_failed);
}

void run_abort(int connects, int unused)
{
	struct sockaddr_in at;
	int listener, fill[FULL_QUEUE], fds[ABORT_BATCH];

	(void)unused;
	own_network();
	listener = listening(&at, 0);
	fill_queue(&at, fill);
	for (int done = 0; done < connects; done += ABORT_BATCH) {
		for (int i = 0; i < ABORT_BATCH; i++)
			fds[i] = pending(&at);
		for (int i = 0; i < ABORT_BATCH; i++)
			give_up(fds[i], i & 1);
	}
	for (int i = 0; i < FULL_QUEUE; i++)
		close(fill[i]);
	close(listener);
}
