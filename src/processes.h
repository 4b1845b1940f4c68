/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processes that sockets belong to, each kept once however many sockets it has. Pure: no I/O, no clock.
 */
#ifndef PORTTRACE_PROCESSES_H
#define PORTTRACE_PROCESSES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "event.h"

struct process_name {
	uint64_t start_ns, cgroup_id; /* as in struct event */
	uint32_t pid, uid; /* pid 0: nothing is known */
	char name[EVENT_NAME_SIZE];
};

/* Entry 0 is nobody: pid 0. */
struct processes {
	struct process_entry {
		struct process_name who;
		uint32_t uses; /* 0: unused */
		uint32_t next; /* of the chain; unused: the next unused */
	} *entries;
	uint32_t *chains; /* `size` of them */
	size_t size; /* power of two; of entries too */
	uint32_t used, unused, last; /* entries that were ever taken; the first given back; that was asked for last */
};

/* 0 or -ENOMEM. Ended with processes_free, also after an error. */
int processes_init(struct processes *p);
void processes_free(struct processes *p);
/* Forgets all, whoever uses them. */
void processes_clear(struct processes *p);
/* One that has no use any more. */
void processes_forget(struct processes *p, uint32_t i);
/* The number of a process, with one more use; 0 if its pid is 0, or if there is no memory. */
uint32_t processes_use(struct processes *p, const struct process_name *who);
/* One use more of one that is used, and one less. Both do nothing for 0. */
static inline void processes_share(struct processes *p, uint32_t i)
{
	p->entries[i].uses += i != 0;
}

static inline void processes_drop(struct processes *p, uint32_t i)
{
	if (i && !--p->entries[i].uses)
		processes_forget(p, i);
}

static inline bool processes_is(const struct process_name *a, const struct process_name *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns && a->cgroup_id == b->cgroup_id && a->uid == b->uid &&
	       !memcmp(a->name, b->name, sizeof(a->name));
}

/* Until the next processes_use. */
static inline const struct process_name *processes_at(const struct processes *p, uint32_t i)
{
	return &p->entries[i].who;
}

#endif
