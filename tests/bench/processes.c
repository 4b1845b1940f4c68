// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Short-lived processes, as many a second as the machine can: processes PARENTS COUNT [bare]
 *
 * Each parent makes COUNT children, one after the other; each child gives itself a name of its own, binds a UDP port
 * of loopback and ends (bare: it only ends, which is the machine's own limit). By vfork(): a fork() copies the page
 * tables, and where memory is virtual twice over that takes 5 ms, a hundred times what the rest does.
 * Prints "ns=... made=... errors=...", then for each child "PID NAME", to be compared with what a tracer has seen.
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../src/clock.h"

enum { NAME_SIZE = 16 };

struct child {
	pid_t pid;
	char name[NAME_SIZE];
	uint8_t failed;
};

/* In the child, which has its parent's memory until it ends: it writes to nothing but its own stack. */
static _Noreturn void processes_child(const struct child *c, int bare)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd;

	if (bare)
		_exit(0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	_exit(prctl(PR_SET_NAME, c->name) || bind(fd, (void *)&a, sizeof(a)));
}

static void processes_make(struct child *c, int bare)
{
	int status = -1;
	pid_t pid = vfork();

	if (!pid)
		processes_child(c, bare);
	if (pid > 0)
		waitpid(pid, &status, 0);
	c->pid = pid;
	c->failed = status != 0;
}

/* All parents begin when the last is made: each reads the end of a pipe that the first closes. */
static uint64_t processes_run(struct child *children, int parents, int count, int bare)
{
	uint64_t begin;
	int gate[2];
	char byte;

	if (pipe(gate))
		err(1, "pipe");
	for (int p = 0; p < parents; p++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid)
			continue;
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 0)
			err(1, "read");
		for (int i = 0; i < count; i++)
			processes_make(children + p * count + i, bare);
		_exit(0);
	}
	begin = clock_now_ns(CLOCK_MONOTONIC);
	close(gate[1]);
	while (wait(NULL) > 0)
		;
	return clock_now_ns(CLOCK_MONOTONIC) - begin;
}

int main(int argc, char **argv)
{
	int parents = argc > 2 ? atoi(argv[1]) : 0, count = argc > 2 ? atoi(argv[2]) : 0, errors = 0;
	struct child *children;
	uint64_t ns;

	if (parents < 1 || parents > 64 || count < 1 || count > 1000000) {
		fprintf(stderr, "usage: processes PARENTS COUNT [bare]\n");
		return 2;
	}
	children = mmap(NULL, sizeof(*children) * (size_t)(parents * count), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (children == MAP_FAILED)
		err(1, "mmap");
	for (int i = 0; i < parents * count; i++)
		snprintf(children[i].name, NAME_SIZE, "short-%d", i);
	ns = processes_run(children, parents, count, argc > 3 && !strcmp(argv[3], "bare"));
	for (int i = 0; i < parents * count; i++)
		errors += children[i].failed || children[i].pid <= 0;
	printf("ns=%lu made=%d errors=%d\n", ns, parents * count, errors);
	for (int i = 0; i < parents * count; i++)
		printf("%d %s\n", children[i].pid, children[i].name);
	return errors != 0;
}
