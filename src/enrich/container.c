// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Container, pod and systemd unit, from the path of the control group.
 *
 * The kernel gives the path of a cgroup v2 id, also when the process has ended, to those who may
 * open by handle. Otherwise, and on hybrid hosts (where containers may live in v1 hierarchies,
 * which the id says nothing about), the process's own /proc/PID/cgroup is read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include "cache.h"
#include "cgroup.h"
#include "cleanup.h"
#include "enrich.h"
#include "proc.h"

#define ENRICH_CONTAINER_ENTRIES 1024
/* Processes move between groups (a login into its session), and pids are used again. */
#define ENRICH_CONTAINER_CHECK_NS NS_PER_SEC
#define ENRICH_CONTAINER_GONE_NS (5 * NS_PER_SEC)

#define ENRICH_CONTAINER_FILEID_KERNFS 0xfe /* FILEID_KERNFS, include/linux/exportfs.h, 5.5 */

struct enrich_container_state {
	struct cache *cgroups;	 /* struct cgroup_facts by cgroup v2 id; ids are never used again */
	struct cache *processes; /* struct enrich_container_process by pid and start time */
	const char *proc;
	int mount_fd; /* cgroup v2; -1 = not mounted here */
	bool hybrid;  /* v1 hierarchies exist too */
};

struct enrich_container_process {
	uint64_t checked_ns; /* cache_now_ns() at the reading */
	uint64_t cgroup_id;  /* of the event at that time */
	struct cgroup_facts facts;
};

static void enrich_container_close(void *state)
{
	struct enrich_container_state *st = state;

	if (!st)
		return;
	if (st->mount_fd >= 0)
		close(st->mount_fd);
	cache_free(st->cgroups);
	cache_free(st->processes);
	free(st);
}

/* Opens the mount point of cgroup v2 of this line of mountinfo; -1 if it is no such line. */
static int enrich_container_open_mount(char *line)
{
	char *dash = strstr(line, " - cgroup2 "), *rest = NULL, *path = NULL;

	if (!dash)
		return -1;
	/* proc_pid_mountinfo(5): id, parent, device, root, mount point. An escaped path is not
	 * worth reading. */
	path = strtok_r(line, " ", &rest);
	for (int i = 1; i < 5 && path; i++)
		path = strtok_r(NULL, " ", &rest);
	return path && path < dash ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
}

static int enrich_container_find_mount(const char *proc)
{
	_free_ char *path = NULL, *line = NULL;
	_fclose_ FILE *f = NULL;
	size_t room = 0;
	int fd = -1;

	if (asprintf(&path, "%s/self/mountinfo", proc) < 0) {
		path = NULL; /* undefined after a failure */
		return -1;
	}
	f = fopen(path, "re");
	while (f && fd < 0 && getline(&line, &room, f) >= 0)
		fd = enrich_container_open_mount(line);
	return fd;
}

/* Reads PROC/PID/cgroup of the event's process, or of ourselves if `ev` is NULL. */
static ssize_t enrich_container_read_file(const char *proc, const struct event *ev, char *text,
					  size_t size)
{
	_free_ char *path = NULL;
	_close_ int dir_fd = -1;

	if (ev)
		dir_fd = proc_open(proc, ev->pid, ev->process_start_ns);
	else if (asprintf(&path, "%s/self", proc) >= 0)
		dir_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	else
		path = NULL;
	return dir_fd < 0 ? -ESRCH : proc_read(dir_fd, "cgroup", text, size);
}

static int enrich_container_open(const struct enrich_options *opts, void **ret_state)
{
	struct enrich_container_state *st = calloc(1, sizeof(*st));
	char text[8192];

	if (!st)
		return -ENOMEM;
	st->proc = opts->proc_path ? opts->proc_path : "/proc";
	st->mount_fd = enrich_container_find_mount(st->proc);
	st->hybrid = enrich_container_read_file(st->proc, NULL, text, sizeof(text)) > 0 &&
		     cgroup_file_is_hybrid(text);
	st->cgroups = cache_new(ENRICH_CONTAINER_ENTRIES, sizeof(struct cgroup_facts));
	st->processes =
		cache_new(ENRICH_CONTAINER_ENTRIES, sizeof(struct enrich_container_process));
	if (!st->cgroups || !st->processes) {
		enrich_container_close(st);
		return -ENOMEM;
	}
	*ret_state = st;
	return 0;
}

/* The path of a cgroup v2 id, as seen from here. False if the group is gone or we may not ask. */
static bool enrich_container_read_path(int mount_fd, uint64_t cgroup_id, char *path, size_t size)
{
	static const char deleted[] = " (deleted)";
	union {
		struct file_handle handle;
		char room[sizeof(struct file_handle) + sizeof(cgroup_id)];
	} u = { .room = { 0 } };
	char link[64];
	_close_ int fd = -1;
	ssize_t n;

	u.handle.handle_bytes = sizeof(cgroup_id);
	u.handle.handle_type = ENRICH_CONTAINER_FILEID_KERNFS;
	memcpy(u.room + offsetof(struct file_handle, f_handle), &cgroup_id, sizeof(cgroup_id));
	fd = open_by_handle_at(mount_fd, &u.handle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, size);
	if (n <= 0 || (size_t)n >= size)
		return false;
	path[n] = '\0';
	n -= (ssize_t)sizeof(deleted) - 1;
	if (n > 0 && strcmp(path + n, deleted) == 0)
		path[n] = '\0';
	return true;
}

static const struct cgroup_facts *enrich_container_by_id(struct enrich_container_state *st,
							 uint64_t cgroup_id)
{
	struct cgroup_facts *facts = cache_find(st->cgroups, cgroup_id, 0);
	char path[4096];

	if (facts || st->mount_fd < 0 ||
	    !enrich_container_read_path(st->mount_fd, cgroup_id, path, sizeof(path)))
		return facts;
	facts = cache_claim(st->cgroups, cgroup_id, 0);
	cgroup_parse_path(path, facts);
	return facts;
}

/* Whether the process is still in the event's group; true if that cannot be found out. */
static bool enrich_container_is_in(const struct enrich_container_state *st, const char *text,
				   uint64_t cgroup_id)
{
	const char *path = strncmp(text, "0::/", 4) == 0 ? text + 4 : NULL;
	char relative[4096];
	struct stat st_buf;

	if (!path || st->hybrid || st->mount_fd < 0 || !cgroup_id)
		return true;
	snprintf(relative, sizeof(relative), "./%.*s", (int)strcspn(path, "\n"), path);
	return fstatat(st->mount_fd, relative, &st_buf, 0) == 0 && st_buf.st_ino == cgroup_id;
}

static const struct cgroup_facts *enrich_container_by_process(struct enrich_container_state *st,
							      const struct event *ev)
{
	struct enrich_container_process *p =
		cache_find(st->processes, ev->pid, ev->process_start_ns);
	bool same = p && p->cgroup_id == ev->cgroup_id;
	uint64_t now = cache_now_ns();
	char text[8192];
	ssize_t n;

	if (same && now - p->checked_ns < ENRICH_CONTAINER_CHECK_NS)
		return &p->facts;
	n = enrich_container_read_file(st->proc, ev, text, sizeof(text));
	/* Ended: what is known of it holds, as far as it certainly is the same process. */
	if (n <= 0)
		return same && (ev->process_start_ns ||
				now - p->checked_ns < ENRICH_CONTAINER_GONE_NS)
			       ? &p->facts
			       : NULL;
	if (!enrich_container_is_in(st, text, ev->cgroup_id))
		return NULL;
	if (!p)
		p = cache_claim(st->processes, ev->pid, ev->process_start_ns);
	p->checked_ns = now;
	p->cgroup_id = ev->cgroup_id;
	cgroup_parse_file(text, &p->facts);
	return &p->facts;
}

static bool enrich_container_describe(void *state, struct event *ev, struct event_who *who)
{
	struct enrich_container_state *st = state;
	const struct cgroup_facts *facts = NULL;

	if (!st->hybrid && ev->cgroup_id)
		facts = enrich_container_by_id(st, ev->cgroup_id);
	if (!facts && ev->pid)
		facts = enrich_container_by_process(st, ev);
	if (!facts)
		return true;
	memcpy(who->container_id, facts->container_id, sizeof(who->container_id));
	memcpy(who->container_runtime, facts->container_runtime, sizeof(who->container_runtime));
	memcpy(who->pod_uid, facts->pod_uid, sizeof(who->pod_uid));
	memcpy(who->unit, facts->unit, sizeof(who->unit));
	return true;
}

const struct enricher enrich_container = {
	.name = "container",
	.open = enrich_container_open,
	.describe = enrich_container_describe,
	.close = enrich_container_close,
};
