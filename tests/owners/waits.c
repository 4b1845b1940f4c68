// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Connections that wait in TIME_WAIT when their processes have exited:  owners-waits LOG PROCESSES CONNECTIONS
 * Each process has a name of its own, "waits-N", and closes each of its connections first. Lines of the log:
 * "PORT REMOTE_PORT PID NAME". Prints "END NS PID" when all of them have exited (CLOCK_REALTIME; its own pid) and stays
 * for a minute, so that the network namespace does.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LISTENERS 4
#define FIRST_PORT 19001

static int log_fd;

static void die(const char *what)
{
	fprintf(stderr, "owners-waits: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static int check(int r, const char *what)
{
	if (r < 0)
		die(what);
	return r;
}

static struct sockaddr_in loopback(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	return a;
}

static int start_listener(int port)
{
	struct sockaddr_in a = loopback(port);
	int fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");

	check(bind(fd, (struct sockaddr *)&a, sizeof(a)), "bind");
	check(listen(fd, 4096), "listen");
	return fd;
}

/* Closes each connection after its peer did. */
static void serve(int listener)
{
	for (;;) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);
		int fd = check(accept4(listener, (struct sockaddr *)&peer, &len, SOCK_CLOEXEC), "accept");
		char byte;

		check((int)read(fd, &byte, 1), "read");
		close(fd);
	}
}

static void visit(const char *name, int port)
{
	struct sockaddr_in a = loopback(port), local;
	socklen_t len = sizeof(local);
	int n, fd = check(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
	char line[64];

	check(connect(fd, (struct sockaddr *)&a, sizeof(a)), "connect");
	check(getsockname(fd, (struct sockaddr *)&local, &len), "getsockname");
	n = snprintf(line, sizeof(line), "%d %d %d %s\n", ntohs(local.sin_port), port, getpid(), name);
	if (write(log_fd, line, (size_t)n) != n)
		die("log");
	close(fd);
}

static void be_client(int number, int connections)
{
	char name[32];

	snprintf(name, sizeof(name), "waits-%d", number);
	prctl(PR_SET_NAME, name);
	for (int i = 0; i < connections; i++)
		visit(name, FIRST_PORT + i % LISTENERS);
	_exit(0);
}

/* All must end well. */
static void run_clients(int processes, int connections)
{
	pid_t *pids = calloc((size_t)processes, sizeof(*pids));
	int status;

	if (!pids)
		die("calloc");
	for (int i = 0; i < processes; i++) {
		pids[i] = check(fork(), "fork");
		if (!pids[i])
			be_client(i, connections);
	}
	for (int i = 0; i < processes; i++)
		if (waitpid(pids[i], &status, 0) < 0 || status)
			die("a client");
	free(pids);
}

int main(int argc, char **argv)
{
	struct timespec ts;

	if (argc != 4)
		return 2;
	log_fd = check(open(argv[1], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644), argv[1]);
	for (int i = 0; i < LISTENERS; i++) {
		int fd = start_listener(FIRST_PORT + i);

		if (!check(fork(), "fork")) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			serve(fd);
		}
		close(fd);
	}
	run_clients(atoi(argv[2]), atoi(argv[3]));
	clock_gettime(CLOCK_REALTIME, &ts);
	printf("END %lld%09ld %d\n", (long long)ts.tv_sec, ts.tv_nsec, getpid());
	fflush(stdout);
	sleep(60);
	return 0;
}
