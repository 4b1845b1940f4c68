// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Does `porttrace free` tell the truth? Makes a namespace full of sockets by chance, asks, then opens connections (or
 * binds) until the kernel refuses, and counts.
 *
 *   free PORTTRACE [--seed N] [--mixes N] [--asks N] [--mix N] [--seen] [--inside]
 *
 * --mix N: only this one. --asks N: so many questions of each mix, 4 if not given. --seen: only sockets that sock_diag
 * tells all about, as without BPF. --inside: never ask from another namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "mix.h"

#define FREE_STEPS 40
#define FREE_LIMIT 1000

enum free_kind { FREE_CONNECT, FREE_BIND, FREE_UDP, FREE_UDP_BIND };

struct free_ask {
	enum free_kind kind;
	const char *source, *host; /* source NULL = the kernel's choice */
	int port;
	int low, high; /* IP_LOCAL_PORT_RANGE; 0 = not set */
};

struct free_told {
	unsigned int min, max;
	int status;
	char text[4096];
};

/* What a mix found, told by its exit status and this. */
struct free_sum {
	unsigned int mixes, asks, exact, wrong;
};

static const char *free_porttrace;
static int free_asks = 4;
static int free_home; /* the first namespace */

/* ---- asking ---- */

static void free_words(const struct free_ask *ask, char words[8][64], int *ret_count)
{
	int n = 0;

	if (ask->kind == FREE_BIND || ask->kind == FREE_UDP_BIND)
		snprintf(words[n++], 64, "--bind");
	if (ask->kind == FREE_UDP || ask->kind == FREE_UDP_BIND)
		snprintf(words[n++], 64, "--udp");
	if (ask->low)
		snprintf(words[n++], 64, "--range=%d-%d", ask->low, ask->high);
	if (ask->source)
		snprintf(words[n++], 64, "%s", ask->source);
	if (ask->host)
		snprintf(words[n++], 64, strchr(ask->host, ':') ? "[%s]:%d" : "%s:%d", ask->host, ask->port);
	*ret_count = n;
}

static void free_exec(const struct free_ask *ask, bool outside, int out, pid_t pid)
{
	char words[8][64];
	const char *argv[12] = { free_porttrace, "free", "--json" };
	int n;

	free_words(ask, words, &n);
	for (int i = 0; i < n; i++)
		argv[3 + i] = words[i];
	if (outside) {
		snprintf(words[n], 64, "--netns=%d", (int)pid);
		argv[3 + n] = words[n];
		if (setns(free_home, CLONE_NEWNET) < 0)
			_exit(99);
	}
	dup2(out, 1);
	dup2(out, 2);
	execv(free_porttrace, (char **)argv);
	_exit(98);
}

static bool free_read(int fd, struct free_told *told)
{
	size_t have = 0;
	const char *at;
	ssize_t n;

	while ((n = read(fd, told->text + have, sizeof(told->text) - 1 - have)) > 0)
		have += (size_t)n;
	told->text[have] = '\0';
	at = strstr(told->text, "\"free\":{\"min\":");
	return at && sscanf(at, "\"free\":{\"min\":%u,\"max\":%u}", &told->min, &told->max) == 2;
}

static bool free_told(const struct free_ask *ask, bool outside, struct free_told *told)
{
	int fds[2], status = -1;
	pid_t self = getpid(), pid;
	bool ok;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return false;
	pid = fork();
	if (pid == 0)
		free_exec(ask, outside, fds[1], self);
	close(fds[1]);
	ok = free_read(fds[0], told);
	close(fds[0]);
	waitpid(pid, &status, 0);
	told->status = WIFEXITED(status) ? WEXITSTATUS(status) : 255;
	return ok && (told->status == 2) == (told->max == 0);
}

/* ---- doing ---- */

/* One more. 0 or -errno. */
static int free_open(struct mix *m, const struct free_ask *ask)
{
	const char *first = ask->host ? ask->host : ask->source;
	int type = ask->kind == FREE_UDP || ask->kind == FREE_UDP_BIND ? SOCK_DGRAM : SOCK_STREAM;
	union mix_address from, to;
	socklen_t len = mix_address(&to, first, ask->port);
	int fd = mix_socket(&to, type), r = 0;

	if (ask->low)
		mix_option(fd, IPPROTO_IP, 51, ask->high << 16 | ask->low);
	if (ask->source) {
		if (ask->kind == FREE_CONNECT)
			mix_option(fd, IPPROTO_IP, 24, 1);
		len = mix_address(&from, ask->source, 0);
		r = bind(fd, &from.any, len) < 0 ? -errno : 0;
		len = mix_address(&to, first, ask->port);
	}
	if (r == 0 && ask->host)
		r = connect(fd, &to.any, len) < 0 ? -errno : 0;
	if (r == 0)
		mix_keep(m, fd);
	else
		close(fd);
	mix_accept(m);
	return r;
}

static unsigned int free_count(struct mix *m, const struct free_ask *ask, int *ret_error)
{
	unsigned int n = 0;

	while (n < FREE_LIMIT && (*ret_error = free_open(m, ask)) == 0)
		n++;
	return n;
}

static bool free_is_exhausted(enum free_kind kind, int error)
{
	if (kind == FREE_CONNECT)
		return error == -EADDRNOTAVAIL;
	return error == (kind == FREE_UDP ? -EAGAIN : -EADDRINUSE);
}

/* ---- a mix ---- */

static struct free_ask free_choose(struct mix *m)
{
	static const char *const binds[] = { "127.0.0.1", "127.0.0.2", "127.0.0.9", "0.0.0.0", "::1", "::" };
	static const char *const hosts[] = { "127.0.0.1", "127.0.0.2", "::1" };
	struct free_ask ask = { .kind = FREE_CONNECT, .port = MIX_SERVER_PORT + (int)mix_random(m, MIX_SERVERS) };
	uint32_t which = mix_random(m, 16);

	if (which < 4) {
		ask.kind = which == 3 ? FREE_UDP_BIND : FREE_BIND;
		ask.source = binds[mix_random(m, 6)];
		return ask;
	}
	ask.host = hosts[mix_random(m, 3)];
	if (which == 4) {
		ask.kind = FREE_UDP;
		return ask;
	}
	if (which < 8 && ask.host[0] != ':')
		ask.source = binds[mix_random(m, 3)];
	if (which == 15 && m->has_range_option) {
		ask.low = MIX_LOW + 10;
		ask.high = MIX_LOW + 29 + (int)mix_random(m, 2);
	}
	return ask;
}

static void free_tell(const struct free_ask *ask, const struct free_told *told, unsigned int count, int error)
{
	char words[8][64];
	int n;

	free_words(ask, words, &n);
	printf("    free");
	for (int i = 0; i < n; i++)
		printf(" %s", words[i]);
	printf(": told %u to %u (status %d), really %u, then %s\n    %s", told->min, told->max, told->status, count,
	       strerror(-error), told->text);
}

static void free_ask(struct mix *m, struct free_sum *sum)
{
	struct free_ask ask = free_choose(m);
	struct free_told told = { 0 };
	unsigned int count;
	int error = 0;
	bool ok;

	/* a TIME_WAIT may be taken over when a second has passed */
	if (m->tw_reuse && m->time_waits && !m->only_seen)
		nanosleep(&(struct timespec){ 1, 150000000 }, NULL);
	m->time_waits = false;
	ok = free_told(&ask, mix_random(m, 4) == 0 && !m->inside, &told);
	count = free_count(m, &ask, &error);
	ok = ok && free_is_exhausted(ask.kind, error) && count >= told.min && count <= told.max;
	sum->asks++;
	sum->exact += told.min == told.max;
	sum->wrong += !ok;
	if (!ok || getenv("FREE_VERBOSE"))
		free_tell(&ask, &told, count, error);
}

static void free_mix(uint64_t seed, unsigned int number, const struct mix *how, int out)
{
	static struct mix m;
	struct free_sum sum = { .mixes = 1 };

	m = *how;
	m.random = seed * 1000003 + number;
	if (mix_begin(&m) < 0) {
		perror("free: cannot make a namespace");
		sum.wrong++;
	}
	for (uint32_t i = mix_random(&m, FREE_STEPS) + 1; i > 0 && !sum.wrong; i--)
		mix_step(&m);
	for (int i = 0; i < free_asks && !sum.wrong; i++) {
		free_ask(&m, &sum);
		for (uint32_t more = mix_random(&m, 12); more > 0; more--)
			mix_step(&m);
	}
	if (sum.wrong)
		printf("    that was --seed %llu --mix %u\n", (unsigned long long)seed, number);
	fflush(stdout);
	if (write(out, &sum, sizeof(sum)) != sizeof(sum))
		_exit(1);
	_exit(0);
}

/* In a process of its own: its namespace goes with it. */
static void free_run(uint64_t seed, unsigned int number, const struct mix *how, struct free_sum *total)
{
	struct free_sum sum = { 0 };
	int fds[2];
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return;
	fflush(stdout);
	pid = fork();
	if (pid == 0)
		free_mix(seed, number, how, fds[1]);
	close(fds[1]);
	if (read(fds[0], &sum, sizeof(sum)) != sizeof(sum))
		sum = (struct free_sum){ 1, 0, 0, 1 };
	close(fds[0]);
	waitpid(pid, NULL, 0);
	total->mixes += sum.mixes;
	total->asks += sum.asks;
	total->exact += sum.exact;
	total->wrong += sum.wrong;
}

int main(int argc, char **argv)
{
	struct free_sum sum = { 0 };
	unsigned int first = 0, mixes = 150;
	uint64_t seed = (uint64_t)time(NULL);
	static struct mix how;

	if (argc < 2)
		return 2;
	free_porttrace = argv[1];
	for (int i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "--seen")) {
			how.only_seen = true;
		} else if (!strcmp(argv[i], "--inside")) {
			how.inside = true;
		} else if (i + 1 < argc && !strcmp(argv[i], "--seed")) {
			seed = strtoull(argv[++i], NULL, 10);
		} else if (i + 1 < argc && !strcmp(argv[i], "--mixes")) {
			mixes = (unsigned int)atoi(argv[++i]);
		} else if (i + 1 < argc && !strcmp(argv[i], "--asks")) {
			free_asks = atoi(argv[++i]);
		} else if (i + 1 < argc && !strcmp(argv[i], "--mix")) {
			first = (unsigned int)atoi(argv[++i]);
			mixes = 1;
		}
	}
	free_home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	printf("seed %llu\n", (unsigned long long)seed);
	for (unsigned int i = first; i < first + mixes; i++)
		free_run(seed, i, &how, &sum);
	printf("%u mixes, %u questions, %u told exactly, %u mismatches\n", sum.mixes, sum.asks, sum.exact, sum.wrong);
	return sum.wrong != 0;
}
