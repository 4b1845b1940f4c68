// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "follow.h"

#include <errno.h>
#include <stdlib.h>

#include "cache.h"
#include "cleanup.h"
#include "proc.h"

#define FOLLOW_ENTRIES 65536
#define FOLLOW_MAX_DEPTH 64 /* as PREFILTER_MAX_DEPTH of the BPF programs */
#define FOLLOW_CHECK_NS NS_PER_SEC

struct follow {
	struct cache *known; /* struct follow_process by pid */
	const char *proc; /* NULL = is not read */
};

struct follow_process {
	uint64_t start_ns; /* since boot; 0 = not known */
	uint64_t checked_ns; /* of one that is no descendant; 0 = it is one */
};

static void follow_note(struct follow *fo, uint32_t pid, uint64_t start_ns, uint64_t checked_ns)
{
	struct follow_process *p = cache_find(fo->known, pid, 0);

	if (!p)
		p = cache_claim(fo->known, pid, 0);
	p->start_ns = start_ns;
	p->checked_ns = checked_ns;
}

int follow_new(const uint32_t *pids, size_t count, const char *proc, struct follow **ret)
{
	struct follow *fo = calloc(1, sizeof(*fo));

	if (!fo)
		return -ENOMEM;
	fo->proc = proc;
	fo->known = cache_new(FOLLOW_ENTRIES, sizeof(struct follow_process));
	if (!fo->known) {
		free(fo);
		return -ENOMEM;
	}
	for (size_t i = 0; i < count; i++)
		follow_note(fo, pids[i], 0, 0);
	*ret = fo;
	return 0;
}

void follow_free(struct follow *fo)
{
	if (!fo)
		return;
	cache_free(fo->known);
	free(fo);
}

static bool follow_is_known(const struct follow *fo, uint32_t pid)
{
	const struct follow_process *p = cache_find(fo->known, pid, 0);

	return p && !p->checked_ns;
}

static uint32_t follow_parent(const struct follow *fo, uint32_t pid)
{
	_close_ int dir_fd = fo->proc ? proc_open(fo->proc, pid, 0) : -1;
	struct proc_stat stat;

	return dir_fd < 0 || proc_read_stat(dir_fd, &stat) < 0 ? 0 : stat.parent_pid;
}

static bool follow_descends(const struct follow *fo, const struct event *ev)
{
	uint32_t pid = ev->parent_pid ? ev->parent_pid : follow_parent(fo, ev->pid);

	for (int i = 0; i < FOLLOW_MAX_DEPTH && pid; i++) {
		if (follow_is_known(fo, pid))
			return true;
		pid = follow_parent(fo, pid);
	}
	return false;
}

/* What was found before; -1 = nothing, or of an earlier process of that number, or long ago. */
static int follow_recall(struct follow *fo, const struct event *ev)
{
	const struct follow_process *p = cache_find(fo->known, ev->pid, 0);

	if (!p || (p->start_ns && ev->process_start_ns && p->start_ns != ev->process_start_ns))
		return -1;
	if (!p->checked_ns)
		return 1;
	return ev->process_start_ns || cache_now_ns() - p->checked_ns < FOLLOW_CHECK_NS ? 0 : -1;
}

bool follow_has(struct follow *fo, const struct event *ev)
{
	int known = ev->pid ? follow_recall(fo, ev) : 0;

	if (known < 0) {
		known = follow_descends(fo, ev);
		follow_note(fo, ev->pid, ev->process_start_ns, known ? 0 : cache_now_ns());
	}
	return known;
}
