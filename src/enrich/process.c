// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Executable, arguments, parent and start of a process: told by the backend ahead of the process's
 * first event, or else read from /proc. Looked up once for a process: what was read while it lived
 * stays true after its end. A changed name means execve(), so then all is read again.
 *
 * The backend's start time tells two processes of the same pid apart. Where it is not known (cgroup
 * backend), an entry is checked again after a second, and trusted a few seconds longer if the
 * process has ended by then; in that time the kernel does not come round to the same number.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include "cache.h"
#include "cleanup.h"
#include "enrich.h"
#include "porttrace/config.h"
#include "proc.h"

#define ENRICH_PROCESS_ENTRIES CONFIG_MAX_PROCESSES
#define ENRICH_PROCESS_CHECK_NS NS_PER_SEC
#define ENRICH_PROCESS_GONE_NS (5 * NS_PER_SEC)

struct enrich_process_state {
	struct cache *processes; /* by pid and start time, of those read from /proc */
	struct cache *told; /* by pid and enrich_process_program(), of those that the backend told */
	const char *proc;
};

struct enrich_process {
	uint64_t checked_ns; /* cache_now_ns() at the last reading */
	uint64_t start_real_ns;
	uint32_t parent_pid;
	char name[EVENT_NAME_SIZE]; /* of the leader when the rest was read */
	char executable[EVENT_PATH_SIZE];
	char command_line[EVENT_PATH_SIZE];
};

static void enrich_process_close(void *state)
{
	struct enrich_process_state *st = state;

	if (!st)
		return;
	cache_free(st->processes);
	cache_free(st->told);
	free(st);
}

static int enrich_process_open(const struct enrich_options *opts, void **ret_state)
{
	struct enrich_process_state *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->proc = opts->proc_path ? opts->proc_path : "/proc";
	st->processes = cache_new(ENRICH_PROCESS_ENTRIES, sizeof(struct enrich_process));
	st->told = cache_new(ENRICH_PROCESS_ENTRIES, sizeof(struct process_facts));
	if (!st->processes || !st->told) {
		enrich_process_close(st);
		return -ENOMEM;
	}
	*ret_state = st;
	return 0;
}

/* Whether ev->name is the leader's, so that it can be compared. The leader's own tid is the pid. */
static bool enrich_process_has_name(const struct event *ev)
{
	return ev->name[0] && (ev->name_is_leader || ev->tid == ev->pid);
}

static bool enrich_process_agrees(const struct enrich_process *p, const struct event *ev)
{
	return !enrich_process_has_name(ev) || strncmp(p->name, ev->name, sizeof(p->name)) == 0;
}

static void enrich_process_read_exe(int dir_fd, struct enrich_process *p)
{
	static const char deleted[] = " (deleted)";
	ssize_t n = readlinkat(dir_fd, "exe", p->executable, sizeof(p->executable));
	struct stat st;

	/* A path that was cut would be another one. */
	if (n < 0 || (size_t)n >= sizeof(p->executable))
		n = 0;
	p->executable[n] = '\0';
	/* The kernel's remark is no part of the path, unless the file is there and really is named
	 * so. */
	n -= (ssize_t)sizeof(deleted) - 1;
	if (n > 0 && strcmp(p->executable + n, deleted) == 0 &&
	    fstatat(dir_fd, "exe", &st, 0) == 0 && st.st_nlink == 0)
		p->executable[n] = '\0';
}

static void enrich_process_read_args(int dir_fd, struct enrich_process *p)
{
	ssize_t n = proc_read(dir_fd, "cmdline", p->command_line, sizeof(p->command_line));
	bool cut = n == sizeof(p->command_line) - 1;

	proc_join_args(p->command_line, n < 0 ? 0 : (size_t)n, cut, p->command_line, sizeof(p->command_line));
}

static void enrich_process_read_name(int dir_fd, struct enrich_process *p)
{
	/* With a newline. What is longer is a kernel worker's: its name and more. */
	char text[EVENT_NAME_SIZE + 1];
	ssize_t n = proc_read(dir_fd, "comm", text, sizeof(text));

	if (n <= 0)
		return;
	if (text[n - 1] == '\n')
		n--;
	if (n >= EVENT_NAME_SIZE)
		n = EVENT_NAME_SIZE - 1;
	memcpy(p->name, text, (size_t)n);
	p->name[n] = '\0';
}

/* Fills `p` from a process that is the event's. */
static int enrich_process_read(int dir_fd, const struct event *ev, struct enrich_process *p)
{
	struct proc_stat stat;
	int err = proc_read_stat(dir_fd, &stat);

	if (err < 0)
		return err;
	memset(p, 0, sizeof(*p));
	p->parent_pid = stat.parent_pid;
	p->start_real_ns =
		proc_boot_offset_ns() +
		(ev->process_start_ns ? ev->process_start_ns : proc_ticks_to_ns(stat.start_ticks));
	enrich_process_read_exe(dir_fd, p);
	enrich_process_read_args(dir_fd, p);
	enrich_process_read_name(dir_fd, p);
	return 0;
}

/* Another name: it has run another program since the event, or before it, and of that one we know
 * nothing. */
static void enrich_process_forget_program(struct enrich_process *p, const struct event *ev)
{
	memcpy(p->name, ev->name, sizeof(p->name));
	p->executable[0] = '\0';
	p->command_line[0] = '\0';
}

/* The process has ended. What of the entry, which may be NULL, still holds? */
static struct enrich_process *enrich_process_gone(struct enrich_process_state *st,
						  const struct event *ev, struct enrich_process *p,
						  uint64_t now)
{
	if (!ev->process_start_ns) {
		bool recent = p && now - p->checked_ns < ENRICH_PROCESS_GONE_NS;

		return recent && enrich_process_agrees(p, ev) ? p : NULL;
	}
	if (!p) {
		/* It does not come back, so that nothing could be read is kept too. */
		p = cache_claim(st->processes, ev->pid, ev->process_start_ns);
		p->start_real_ns = ev->process_start_ns + proc_boot_offset_ns();
	}
	p->checked_ns = now;
	if (!enrich_process_agrees(p, ev))
		enrich_process_forget_program(p, ev);
	return p;
}

static struct enrich_process *enrich_process_look_up(struct enrich_process_state *st,
						     const struct event *ev,
						     struct enrich_process *p, uint64_t now)
{
	_close_ int dir_fd = proc_open(st->proc, ev->pid, ev->process_start_ns);
	struct enrich_process fresh;

	if (dir_fd < 0 || enrich_process_read(dir_fd, ev, &fresh) < 0)
		return enrich_process_gone(st, ev, p, now);
	if (!p)
		p = cache_claim(st->processes, ev->pid, ev->process_start_ns);
	/* One process, one start, though the two clocks drift against each other. */
	else if (ev->process_start_ns)
		fresh.start_real_ns = p->start_real_ns;
	*p = fresh;
	p->checked_ns = now;
	if (!enrich_process_agrees(p, ev))
		enrich_process_forget_program(p, ev);
	return p;
}

static struct enrich_process *enrich_process_find(struct enrich_process_state *st,
						  const struct event *ev)
{
	struct enrich_process *p = cache_find(st->processes, ev->pid, ev->process_start_ns);
	bool tell_tale = ev->process_start_ns && enrich_process_has_name(ev);
	uint64_t now = cache_now_ns();

	if (p && enrich_process_agrees(p, ev) &&
	    (tell_tale || now - p->checked_ns < ENRICH_PROCESS_CHECK_NS))
		return p;
	return enrich_process_look_up(st, ev, p, now);
}

/* One number for a process's start and how often it has called execve(). */
static uint64_t enrich_process_program(uint64_t start_ns, uint32_t exec_id)
{
	return start_ns + exec_id * 0x9E3779B97F4A7C15ull;
}

static void enrich_process_learn(void *state, const struct process_facts *facts)
{
	struct enrich_process_state *st = state;
	uint64_t program = enrich_process_program(facts->process_start_ns, facts->exec_id);
	struct process_facts *known = cache_find(st->told, facts->pid, program);

	if (!known)
		known = cache_claim(st->told, facts->pid, program);
	*known = *facts;
}

/* What the backend told is of the very program that called, and needs no look into /proc. */
static bool enrich_process_describe_told(struct enrich_process_state *st, const struct event *ev,
					 struct event_who *who)
{
	const struct process_facts *facts =
		cache_find(st->told, ev->pid, enrich_process_program(ev->process_start_ns, ev->exec_id));

	if (!facts || !facts->executable[0] || !ev->name_is_leader) /* "": too deep a path to be told */
		return false;
	memcpy(who->executable, facts->executable, sizeof(who->executable));
	memcpy(who->command_line, facts->command_line, sizeof(who->command_line));
	return true;
}

static bool enrich_process_describe(void *state, struct event *ev, struct event_who *who)
{
	struct enrich_process *p;

	if (ev->pid && ev->process_start_ns && enrich_process_describe_told(state, ev, who))
		return true;
	p = ev->pid ? enrich_process_find(state, ev) : NULL;

	if (enrich_process_has_name(ev))
		ev->name_is_leader = true;
	if (!p)
		return false;
	if (!ev->name_is_leader && p->name[0]) {
		memcpy(ev->name, p->name, sizeof(ev->name));
		ev->name_is_leader = true;
	}
	if (!ev->parent_pid)
		ev->parent_pid = p->parent_pid;
	ev->process_start_real_ns = p->start_real_ns;
	memcpy(who->executable, p->executable, sizeof(who->executable));
	memcpy(who->command_line, p->command_line, sizeof(who->command_line));
	return false;
}

const struct enricher enrich_process = {
	.name = "process",
	.open = enrich_process_open,
	.describe = enrich_process_describe,
	.learn = enrich_process_learn,
	.close = enrich_process_close,
};
