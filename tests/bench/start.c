// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * How long after its start a tool tells of events: start TOOL ARG...
 *
 * The tool writes to a terminal. Each millisecond this program binds, listens, connects, accepts and closes, and looks
 * which lines of the terminal name it. Prints "start first=N bind=N listen=N connect=N accept=N close=N" in
 * microseconds after the start: when the first line of it could be read, and when the first with each of these words;
 * what a tool never shows is left out.
 */
#include <ctype.h>
#include <err.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "../../src/clock.h"

#define START_NAME "startprobe"

enum { KINDS = 6, PATIENCE_US = 60000000, AFTER_FIRST_US = 3000000 };

static const char *const start_words[KINDS] = { START_NAME, "bind", "listen", "connect", "accept", "close" };

struct start {
	int terminal;
	int listener;
	struct sockaddr_in to;
	uint64_t begin;
	uint64_t seen[KINDS]; /* microseconds after the start, by start_words; 0: not yet */
	char line[4096];
	size_t len;
};

static uint64_t start_clock(void)
{
	return clock_now_ns(CLOCK_MONOTONIC) / 1000;
}

static int start_bound(struct sockaddr_in *a)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*a = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (fd < 0 || bind(fd, (void *)a, sizeof(*a)))
		err(1, "bind");
	return fd;
}

static void start_probe(struct start *s)
{
	struct linger reset = { .l_onoff = 1 };
	struct sockaddr_in a;
	int fd = start_bound(&a), accepted;

	if (listen(fd, 1))
		err(1, "listen");
	close(fd);
	fd = start_bound(&a);
	if (connect(fd, (void *)&s->to, sizeof(s->to)))
		err(1, "connect");
	accepted = accept(s->listener, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	close(accepted);
}

/* Whether it stands there as a word of its own: "bind0" and "connection" are others. */
static int start_has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = line; (at = strcasestr(at, word)); at++)
		if ((at == line || !isalnum((unsigned char)at[-1])) && !isalnum((unsigned char)at[len]))
			return 1;
	return 0;
}

static void start_look_at_line(struct start *s)
{
	if (!strstr(s->line, START_NAME))
		return;
	for (int i = 0; i < KINDS; i++)
		if (!s->seen[i] && start_has_word(s->line, start_words[i]))
			s->seen[i] = start_clock() - s->begin;
}

static void start_take(struct start *s, char c)
{
	if (c == '\n') {
		s->line[s->len] = 0;
		start_look_at_line(s);
		s->len = 0;
	} else if (s->len < sizeof(s->line) - 1) {
		s->line[s->len++] = c;
	}
}

static void start_read(struct start *s)
{
	char some[4096];
	ssize_t n;

	while ((n = read(s->terminal, some, sizeof(some))) > 0)
		for (ssize_t i = 0; i < n; i++)
			start_take(s, some[i]);
}

static pid_t start_tool(struct start *s, char **words)
{
	struct winsize size = { .ws_row = 50, .ws_col = 200 };
	char *name;
	pid_t pid;
	int slave;

	s->terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (s->terminal < 0 || grantpt(s->terminal) || unlockpt(s->terminal) || !(name = ptsname(s->terminal)))
		err(1, "terminal");
	ioctl(s->terminal, TIOCSWINSZ, &size);
	s->begin = start_clock();
	pid = fork();
	if (pid)
		return pid;
	setsid();
	slave = open(name, O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(slave, fd);
	execvp(words[0], words);
	_exit(127);
}

static int start_is_done(const struct start *s)
{
	uint64_t now = start_clock() - s->begin;

	if (now > PATIENCE_US || (s->seen[0] && now > s->seen[0] + AFTER_FIRST_US))
		return 1;
	for (int i = 0; i < KINDS; i++)
		if (!s->seen[i])
			return 0;
	return 1;
}

int main(int argc, char **argv)
{
	struct timespec pause = { .tv_nsec = 1000000 };
	struct start s = { 0 };
	socklen_t len = sizeof(s.to);
	pid_t pid;

	if (argc < 2)
		return 2;
	prctl(PR_SET_NAME, START_NAME);
	s.listener = start_bound(&s.to);
	if (listen(s.listener, 8) || getsockname(s.listener, (void *)&s.to, &len))
		err(1, "listen");
	pid = start_tool(&s, argv + 1);
	while (!start_is_done(&s)) {
		start_probe(&s);
		nanosleep(&pause, NULL);
		start_read(&s);
	}
	printf("start");
	for (int i = 0; i < KINDS; i++)
		if (s.seen[i])
			printf(" %s=%lu", i ? start_words[i] : "first", s.seen[i]);
	printf("\n");
	kill(pid, SIGINT);
	for (int i = 0; i < 5000 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
		start_read(&s);
		nanosleep(&pause, NULL);
	}
	kill(pid, SIGKILL);
	return 0;
}
