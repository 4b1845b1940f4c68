// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Load for the loss tests. Prints as JSON how many events it made, by its own count:
 *
 *   stress preempt PROCESSES CYCLES   each cycle: connect, accept, close of both ends
 *   stress irq CONNECTS PROCESSES     connects that time out in a timer softirq, while processes bind and close
 *   stress accept THREADS SOCKETS     threads that wait in accept() (accept.c)
 *   stress churn SOCKETS 0            sockets of all kinds come and go (churn.c); not counted
 *   stress kill PROCESSES 0           processes are killed in the middle of a call; not counted
 *   stress abort CONNECTS 0           connects are given up; not counted
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <netinet/tcp.h>

#include "stress.h"

struct counts *counts;

void die(const char *what)
{
	perror(what);
	exit(1);
}

void add(unsigned long *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

struct sockaddr_in loopback(int port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return sin;
}

int bound(void)
{
	struct sockaddr_in sin = loopback(0);
	int fd = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));

	CHECK(bind(fd, (void *)&sin, sizeof(sin)));
	add(&counts->bind_ok);
	return fd;
}

int listening(struct sockaddr_in *at, int backlog)
{
	socklen_t len = sizeof(*at);
	int fd = bound();

	CHECK(listen(fd, backlog));
	add(&counts->listen_ok);
	CHECK(getsockname(fd, (void *)at, &len));
	return fd;
}

void closed(int fd)
{
	CHECK(close(fd));
	add(&counts->close_ok);
}

int connected(const struct sockaddr_in *at)
{
	struct linger reset = { 1, 0 };
	int fd = CHECK(socket(AF_INET, SOCK_STREAM, 0));

	CHECK(connect(fd, (const void *)at, sizeof(*at)));
	add(&counts->connect_ok);
	CHECK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)));
	return fd;
}

void cycle(int listener, const struct sockaddr_in *at)
{
	int client = connected(at), server = CHECK(accept(listener, NULL, NULL));

	add(&counts->accept_ok);
	closed(client);
	closed(server);
}

static void preempt_one(int cycles)
{
	struct sockaddr_in at;
	int listener = listening(&at, 16);

	for (int i = 0; i < cycles; i++)
		cycle(listener, &at);
	closed(listener);
}

void bind_until_stopped(void)
{
	while (!counts->stop)
		closed(bound());
}

void fill_queue(const struct sockaddr_in *at, int fds[FULL_QUEUE])
{
	for (int i = 0; i < FULL_QUEUE; i++) {
		fds[i] = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		connect(fds[i], (const void *)at, sizeof(*at));
	}
	usleep(300000);
}

/* A listener whose queue is full answers no SYN: with TCP_SYNCNT 1 the attempt ends after about 3 s. */
static void irq_connects(int connects)
{
	struct sockaddr_in at;
	int listener = listening(&at, 0), one = 1, fds[connects], fill[FULL_QUEUE];

	fill_queue(&at, fill);
	for (int i = 0; i < connects; i++) {
		fds[i] = CHECK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
		CHECK(setsockopt(fds[i], IPPROTO_TCP, TCP_SYNCNT, &one, sizeof(one)));
		if (connect(fds[i], (void *)&at, sizeof(at)) == 0 || errno != EINPROGRESS)
			die("connect did not wait");
	}
	for (int i = 0; i < connects; i++) {
		struct pollfd p = { fds[i], POLLOUT, 0 };
		int error = 0;
		socklen_t len = sizeof(error);

		CHECK(poll(&p, 1, 120000));
		CHECK(getsockopt(fds[i], SOL_SOCKET, SO_ERROR, &error, &len));
		if (error != ETIMEDOUT)
			fprintf(stderr, "connect %d ended with %s\n", i, strerror(error));
		else
			add(&counts->connect_failed);
	}
	counts->stop = 1;
	for (int i = 0; i < FULL_QUEUE; i++)
		close(fill[i]);
	close(listener);
	for (int i = 0; i < connects; i++)
		close(fds[i]);
}

int spawn(void (*run)(void))
{
	pid_t pid = fork();

	if (pid < 0)
		die("fork");
	if (pid == 0) {
		run();
		_exit(0);
	}
	return pid;
}

static int cycles_each;

static void preempt_child(void)
{
	preempt_one(cycles_each);
}

int wait_all(void)
{
	int status, failed = 0;

	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}

static void print_counts(void)
{
	printf("{\"bind\":%lu,\"listen\":%lu,\"connect\":%lu,\"connect_failed\":%lu,\"accept\":%lu,\"close\":%lu}\n",
	       counts->bind_ok, counts->listen_ok, counts->connect_ok, counts->connect_failed, counts->accept_ok,
	       counts->close_ok);
}

static void run_preempt(int processes, int cycles)
{
	cycles_each = cycles;
	for (int i = 0; i < processes; i++)
		spawn(preempt_child);
}

static void run_irq(int connects, int processes)
{
	for (int i = 0; i < processes; i++)
		spawn(bind_until_stopped);
	irq_connects(connects);
}

static const struct load {
	const char *name;
	void (*run)(int first, int second);
} loads[] = {
	{ "preempt", run_preempt }, { "irq", run_irq },	  { "accept", run_accept },
	{ "churn", run_churn },	    { "kill", run_kill }, { "abort", run_abort },
};

static const struct load *find_load(const char *name)
{
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++)
		if (!strcmp(loads[i].name, name))
			return &loads[i];
	return NULL;
}

int main(int argc, char **argv)
{
	int first = argc > 3 ? atoi(argv[2]) : 0, second = argc > 3 ? atoi(argv[3]) : 0;
	const struct load *load = argc > 3 ? find_load(argv[1]) : NULL;
	int failed;

	counts = mmap(NULL, sizeof(*counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (counts == MAP_FAILED || !load || first < 1 || second < 0) {
		fprintf(stderr, "usage: stress preempt|irq|accept|churn|kill|abort NUMBER NUMBER (see stress.c)\n");
		return 2;
	}
	load->run(first, second);
	failed = wait_all();
	print_counts();
	return failed;
}
