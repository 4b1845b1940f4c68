// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * What loads cost while a tool runs, or while none does. For one processor whose clock counts instructions.
 *
 *   measure [-o OUT] [-e ERR] [-b PROGRAMS] [TOOL ARG...] -- LOAD [-- LOAD...]
 *   measure -w [-o OUT] [-e ERR] TOOL ARG... -- LOAD        the tool starts the load: TOOL ARG... LOAD
 *
 * LOAD is one word list of tests/bench/load.c. The tool's output goes to OUT and ERR (default: nowhere). It is waited
 * for until the machine stands still; then each load runs, and it is waited again until all that the tool still has to
 * do is done. -b: what the kernel counted for each BPF program, by bpftool, is written to the file PROGRAMS.
 * Prints for each load what the load printed and: tail, the machine's running time (ns) after the load, without what
 * it does when nothing happens; idle, that in ns a second; lines, which the tool has written by then; rss, hwm,
 * pss and maps (KiB). At the end "exit=STATUS lines=N", N after the tool has ended by SIGINT.
 */
#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../src/clock.h"

enum {
	WINDOW_MS = 500,
	STILL_WINDOWS = 5, /* in a row: attaching sleeps for up to a quarter of a second */
	STILL_NS = 3000000, /* less than this in a window: only timers */
	WINDOWS_MAX = 600,
};

struct tool {
	pid_t pid; /* 0: none */
	const char *out, *err, *programs;
	char **args; /* up to the first "--" */
	int wraps;
};

/* The first number that a line of the file holds where the format has it. */
static int measure_read(const char *path, const char *format, uint64_t *ret)
{
	FILE *f = fopen(path, "r");
	char line[512];
	unsigned long n = 0;
	int found = 0;

	if (!f)
		err(1, "%s", path);
	while (!found && fgets(line, sizeof(line), f))
		found = sscanf(line, format, &n) == 1;
	fclose(f);
	*ret = n;
	return found;
}

/*
 * How long the processor has not been idle, in ns since some time: tasks, and what the kernel does beside them. A load
 * leaves much of that behind: the sockets it has closed are freed half a tick to some ticks later, many at once, from
 * idle too. Idle is what the kernel counts, to the ns, for its first processor, which is the one that asks. Kernels
 * since 7.0 do not: of them, how long tasks have run, without what the kernel does while it is idle.
 */
static uint64_t measure_ran(void)
{
	uint64_t ns;

	if (measure_read("/proc/timer_list", " .idle_sleeptime : %lu", &ns))
		return clock_now_ns(CLOCK_MONOTONIC) - ns;
	if (!measure_read("/proc/schedstat", "cpu0 %*s %*s %*s %*s %*s %*s %lu", &ns))
		errx(1, "/proc/schedstat does not say how long tasks have run");
	return ns;
}

static void measure_window(void)
{
	struct timespec t = { .tv_nsec = WINDOW_MS * 1000000L };

	nanosleep(&t, NULL);
}

/* Waits until nothing is done but by timers. False: it never is, or the tool has ended. */
static int measure_stand_still(const struct tool *t)
{
	uint64_t before = measure_ran();
	int still = 0;

	for (int i = 0; i < WINDOWS_MAX && still < STILL_WINDOWS; i++) {
		uint64_t now;

		measure_window();
		now = measure_ran();
		still = now - before < STILL_NS ? still + 1 : 0;
		before = now;
		if (t->pid && waitpid(t->pid, NULL, WNOHANG) == t->pid)
			return 0;
	}
	return still == STILL_WINDOWS;
}

/* ns of running in a second in which nothing happens, this program's windows included: the least of some, as a tool may
 * still do something. */
static uint64_t measure_idle(void)
{
	uint64_t least = UINT64_MAX;

	for (int i = 0; i < 6; i++) {
		uint64_t ran = measure_ran();

		measure_window();
		ran = measure_ran() - ran;
		least = ran < least ? ran : least;
	}
	return least * 1000 / WINDOW_MS;
}

static uint64_t measure_count(const char *text, size_t size)
{
	const char *end = text + size;
	uint64_t n = 0;

	for (; (text = memchr(text, '\n', (size_t)(end - text))); text++)
		n++;
	return n;
}

static uint64_t measure_lines(const char *path)
{
	char some[1 << 16];
	FILE *f = path ? fopen(path, "r") : NULL;
	uint64_t n = 0;
	size_t size;

	if (!f)
		return 0;
	while ((size = fread(some, 1, sizeof(some), f)))
		n += measure_count(some, size);
	fclose(f);
	return n;
}

/* The number that a file of /proc tells behind FIELD, in the first line that begins with it; 0: none. */
static unsigned long measure_field(const char *path, const char *field)
{
	FILE *f = fopen(path, "r");
	char line[256];
	unsigned long n = 0;

	while (f && !n && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			n = strtoul(line + strlen(field), NULL, 10);
	if (f)
		fclose(f);
	return n;
}

static unsigned long measure_memory(pid_t pid, const char *field)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	return pid ? measure_field(path, field) : 0;
}

/* Pss of the tool, in KiB: with what it has mapped of a ring or of perf's buffers, which are not resident memory. */
static unsigned long measure_pss(pid_t pid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
	return pid ? measure_field(path, "Pss:") : 0;
}

/* KiB of the maps that the tool has open, as the kernel counts them: before 6.3 rings are not in it. */
static unsigned long measure_maps(pid_t pid)
{
	char path[64], file[400];
	unsigned long bytes = 0;
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fdinfo", pid);
	d = pid ? opendir(path) : NULL;
	while (d && (e = readdir(d))) {
		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		if (measure_field(file, "map_type:"))
			bytes += measure_field(file, "memlock:");
	}
	if (d)
		closedir(d);
	return bytes / 1024;
}

static void measure_redirect(const char *path, int fd)
{
	int to = open(path ? path : "/dev/null", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	if (to < 0 || dup2(to, fd) < 0)
		_exit(127);
}

static pid_t measure_start(const struct tool *t)
{
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (pid)
		return pid;
	measure_redirect(t->out, 1);
	measure_redirect(t->err, 2);
	execvp(t->args[0], t->args);
	_exit(127);
}

static uint64_t measure_tail(uint64_t idle)
{
	uint64_t begin = clock_now_ns(CLOCK_MONOTONIC), first = measure_ran(), before = first, now;
	int quiet = 0;

	for (int i = 0; i < WINDOWS_MAX && quiet < 3; i++) {
		measure_window();
		now = measure_ran();
		quiet = (now - before) * 1000 / WINDOW_MS < idle + idle / 2 + 400000 ? quiet + 1 : 0;
		before = now;
	}
	now = (before - first) * 1000;
	begin = (clock_now_ns(CLOCK_MONOTONIC) - begin) / 1000 * idle / 1000;
	return now > begin ? (now - begin) / 1000 : 0;
}

/* Starts a load, and reads its line: then its cycles are over. */
static pid_t measure_load(const struct tool *t, char **words, char *line, size_t size)
{
	int to_us[2];
	pid_t pid;
	FILE *f;

	if (pipe2(to_us, O_CLOEXEC))
		err(1, "pipe");
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		dup2(to_us[1], 1);
		if (t->wraps)
			measure_redirect(t->err, 2);
		execvp(words[0], words);
		_exit(127);
	}
	close(to_us[1]);
	f = fdopen(to_us[0], "r");
	if (!f || !fgets(line, (int)size, f))
		snprintf(line, size, "failed\n");
	line[strcspn(line, "\n")] = 0;
	fclose(f);
	return pid;
}

static void measure_one(const struct tool *t, char **words, uint64_t idle)
{
	char line[512];
	pid_t pid = measure_load(t, words, line, sizeof(line));
	uint64_t tail = measure_tail(idle);

	waitpid(pid, NULL, 0);
	printf("%s tail=%lu idle=%lu lines=%lu rss=%lu hwm=%lu ", line, tail, idle, measure_lines(t->out),
	       measure_memory(t->pid, "VmRSS:"), measure_memory(t->pid, "VmHWM:"));
	printf("pss=%lu maps=%lu\n", measure_pss(t->pid), measure_maps(t->pid));
	fflush(stdout);
}

/* Cuts the words at "--": returns those after it, or NULL. */
static char **measure_cut(char **words)
{
	for (; *words; words++)
		if (!strcmp(*words, "--")) {
			*words = NULL;
			return words + 1;
		}
	return NULL;
}

/* By SIGINT; one that does not listen is killed. */
static void measure_stop(const struct tool *t)
{
	int status = 0, ended = 0;

	kill(t->pid, SIGINT);
	for (int i = 0; i < 60 && !ended; i++) {
		measure_window();
		ended = waitpid(t->pid, &status, WNOHANG) == t->pid;
	}
	if (!ended) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, &status, 0);
	}
	printf("exit=%d lines=%lu\n", WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status),
	       measure_lines(t->out));
}

static void measure_programs(const struct tool *t)
{
	char command[256];

	snprintf(command, sizeof(command), "bpftool -j prog show >'%s'", t->programs);
	if (system(command))
		fprintf(stderr, "measure: bpftool failed\n");
}

int main(int argc, char **argv)
{
	struct tool t = { 0 };
	char **loads;
	int o;

	while ((o = getopt(argc, argv, "+o:e:b:w")) != -1) {
		switch (o) {
		case 'o': t.out = optarg; break;
		case 'e': t.err = optarg; break;
		case 'b': t.programs = optarg; break;
		case 'w': t.wraps = 1; break;
		default: return 2;
		}
	}
	/* getopt() takes the "--" away that stands where a tool would */
	t.args = argv + optind - (optind > 1 && !strcmp(argv[optind - 1], "--"));
	if (t.wraps) {
		measure_one(&t, t.args, measure_idle());
		printf("exit=0 lines=%lu\n", measure_lines(t.out));
		return 0;
	}
	loads = measure_cut(t.args);
	if (*t.args)
		t.pid = measure_start(&t);
	if (!measure_stand_still(&t)) {
		printf("failed: the tool has ended, or never stands still\n");
		return 1;
	}
	for (uint64_t idle = measure_idle(); loads;) {
		char **next = measure_cut(loads);

		measure_one(&t, loads, idle);
		loads = next;
	}
	if (t.programs)
		measure_programs(&t);
	if (t.pid)
		measure_stop(&t);
	return 0;
}
