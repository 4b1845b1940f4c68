// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The load of the bench: one kind of cycle, again and again, and what it did by its own count.
 *
 *   load KIND FAMILY CYCLES [PROCESSES]
 *
 * KIND: connect (connect, accept, both closed), listen (bind, listen, close), refused (connect to a port nobody has),
 * udp (socket, send, close), getppid (a system call that no tracer of sockets looks at). FAMILY: 4 or 6.
 * First a tenth of the cycles to warm up, and half a second in which a tracer writes down what it saw of them. More
 * than one process: all run at the same time, without the pause. Prints one line, "name=value ...": ns and cpu, of the
 * counted cycles alone, and the calls that succeeded (refused: failed as they should), of all cycles, warm-up and
 * preparation.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/clock.h"

struct count {
	uint64_t bind, listen, connect, accept, send, close, calls;
	uint64_t cycles; /* warm-up included */
	uint64_t errors;
	uint64_t ns;
	uint64_t cpu; /* ns that the process ran in them: what is done meanwhile for others is not in it */
};

struct load {
	int family;
	int peer; /* the listener, or the receiver of what is sent */
	struct sockaddr_storage to;
	socklen_t to_len;
	struct count *count;
};

/* The loopback address with port 0. */
static socklen_t load_loopback(int family, struct sockaddr_storage *a)
{
	struct sockaddr_in *in = (void *)a;
	struct sockaddr_in6 *in6 = (void *)a;

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)family;
	if (family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		return sizeof(*in);
	}
	in6->sin6_addr = in6addr_loopback;
	return sizeof(*in6);
}

/* One more call counted where it did what it should. */
static int load_did(struct load *l, uint64_t *counter, int result)
{
	if (result < 0)
		l->count->errors++;
	else
		(*counter)++;
	return result;
}

static void load_close(struct load *l, int fd)
{
	load_did(l, &l->count->close, close(fd));
}

/* With a reset, as TIME_WAIT would fill the range: then a cycle costs many times more. */
static void load_cycle_connect(struct load *l)
{
	struct linger reset = { .l_onoff = 1 };
	int fd, accepted;

	fd = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	load_did(l, &l->count->connect, connect(fd, (void *)&l->to, l->to_len));
	accepted = load_did(l, &l->count->accept, accept4(l->peer, NULL, NULL, SOCK_CLOEXEC));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	load_close(l, fd);
	load_close(l, accepted);
}

static void load_cycle_listen(struct load *l)
{
	struct sockaddr_storage a;
	socklen_t len = load_loopback(l->family, &a);
	int fd = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	load_did(l, &l->count->bind, bind(fd, (void *)&a, len));
	load_did(l, &l->count->listen, listen(fd, 8));
	load_close(l, fd);
}

static void load_cycle_refused(struct load *l)
{
	int fd = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int result = connect(fd, (void *)&l->to, l->to_len);

	load_did(l, &l->count->connect, result < 0 && errno == ECONNREFUSED ? 0 : -1);
	load_close(l, fd);
}

static void load_cycle_udp(struct load *l)
{
	char byte = 0;
	int fd = socket(l->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	load_did(l, &l->count->send, (int)sendto(fd, &byte, 1, 0, (void *)&l->to, l->to_len));
	if (recv(l->peer, &byte, 1, MSG_DONTWAIT) != 1)
		l->count->errors++;
	load_close(l, fd);
}

static void load_cycle_getppid(struct load *l)
{
	l->count->calls += syscall(SYS_getppid) >= 0;
}

static const struct kind {
	const char *name;
	int type; /* of the other side's socket; 0: there is none */
	void (*cycle)(struct load *l);
} kinds[] = {
	{ "connect", SOCK_STREAM, load_cycle_connect },
	{ "listen", 0, load_cycle_listen },
	{ "refused", 0, load_cycle_refused },
	{ "udp", SOCK_DGRAM, load_cycle_udp },
	{ "getppid", 0, load_cycle_getppid },
};

/* Where the cycles connect or send to. Port 1 for refused: nobody has it. */
static void load_prepare(struct load *l, const struct kind *k)
{
	l->to_len = load_loopback(l->family, &l->to);
	if (!k->type) {
		((struct sockaddr_in *)&l->to)->sin_port = htons(1);
		return;
	}
	l->peer = socket(l->family, k->type | SOCK_CLOEXEC, 0);
	if (l->peer < 0 || load_did(l, &l->count->bind, bind(l->peer, (void *)&l->to, l->to_len)))
		err(1, "bind");
	if (k->type == SOCK_STREAM && load_did(l, &l->count->listen, listen(l->peer, 64)))
		err(1, "listen");
	if (getsockname(l->peer, (void *)&l->to, &l->to_len))
		err(1, "getsockname");
}

static void load_run(struct load *l, const struct kind *k, uint64_t cycles, int alone)
{
	uint64_t warm = alone ? cycles / 10 : 0, begin, cpu;

	for (uint64_t i = 0; i < warm; i++)
		k->cycle(l);
	if (alone)
		usleep(500000);
	cpu = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID);
	begin = clock_now_ns(CLOCK_MONOTONIC);
	for (uint64_t i = 0; i < cycles; i++)
		k->cycle(l);
	l->count->ns = clock_now_ns(CLOCK_MONOTONIC) - begin;
	l->count->cpu = clock_now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	l->count->cycles = warm + cycles;
	if (k->type)
		load_close(l, l->peer);
}

static void load_print(const struct count *c, int processes)
{
	struct count s = { 0 };

	for (int i = 0; i < processes; i++) {
		s.bind += c[i].bind, s.listen += c[i].listen, s.connect += c[i].connect;
		s.accept += c[i].accept, s.send += c[i].send, s.close += c[i].close, s.calls += c[i].calls;
		s.cycles += c[i].cycles, s.errors += c[i].errors;
		s.ns = c[i].ns > s.ns ? c[i].ns : s.ns;
		s.cpu += c[i].cpu;
	}
	printf("ns=%lu cpu=%lu all_cycles=%lu errors=%lu ", s.ns, s.cpu, s.cycles, s.errors);
	printf("bind=%lu listen=%lu ", s.bind, s.listen);
	printf("connect=%lu accept=%lu send=%lu close=%lu calls=%lu\n", s.connect, s.accept, s.send, s.close, s.calls);
}

static const struct kind *load_kind(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, name))
			return &kinds[i];
	fprintf(stderr, "load: no kind of cycle %s\n", name);
	exit(2);
}

/* All begin when the last is made: each reads the end of a pipe that the first closes. */
static void load_fork(struct load *l, const struct kind *k, uint64_t cycles, int processes)
{
	struct count *counts = l->count;
	int gate[2];
	char byte;

	if (pipe(gate))
		err(1, "pipe");
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid < 0)
			err(1, "fork");
		if (pid)
			continue;
		close(gate[1]);
		l->count = counts + i;
		load_prepare(l, k);
		if (read(gate[0], &byte, 1) != 0)
			err(1, "read");
		load_run(l, k, cycles, 0);
		_exit(0);
	}
	sleep(1);
	close(gate[1]);
	while (wait(NULL) > 0)
		;
}

int main(int argc, char **argv)
{
	int processes = argc > 4 ? atoi(argv[4]) : 1;
	const struct kind *k;
	struct load l = { 0 };
	cpu_set_t first;

	if (argc < 4 || processes < 1) {
		fprintf(stderr, "usage: load KIND 4|6 CYCLES [PROCESSES]\n");
		return 2;
	}
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof(first), &first);
	k = load_kind(argv[1]);
	l.family = atoi(argv[2]) == 6 ? AF_INET6 : AF_INET;
	l.count = mmap(NULL, sizeof(*l.count) * (size_t)processes, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l.count == MAP_FAILED)
		err(1, "mmap");
	if (processes > 1) {
		load_fork(&l, k, strtoull(argv[3], NULL, 10), processes);
	} else {
		load_prepare(&l, k);
		load_run(&l, k, strtoull(argv[3], NULL, 10), 1);
	}
	load_print(l.count, processes);
	return 0;
}
