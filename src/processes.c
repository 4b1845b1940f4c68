// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "processes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROCESSES_FIRST_SIZE 64

static uint32_t *processes_chain(const struct processes *p, const struct process_name *who)
{
	uint64_t x = (uint64_t)who->pid << 32 ^ who->start_ns ^ who->cgroup_id << 20;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x ^= x >> 31;
	return &p->chains[x & (p->size - 1)];
}

static void processes_link(struct processes *p, uint32_t i)
{
	uint32_t *chain = processes_chain(p, &p->entries[i].who);

	p->entries[i].next = *chain;
	*chain = i;
}

static int processes_resize(struct processes *p, size_t size)
{
	struct process_entry *entries = reallocarray(p->entries, size, sizeof(*entries));
	uint32_t *chains = calloc(size, sizeof(*chains));

	if (entries)
		p->entries = entries;
	if (!entries || !chains) {
		free(chains);
		return -ENOMEM;
	}
	free(p->chains);
	p->chains = chains;
	p->size = size;
	for (uint32_t i = 1; i < p->used; i++)
		if (entries[i].uses)
			processes_link(p, i);
	return 0;
}

int processes_init(struct processes *p)
{
	int r;

	*p = (struct processes){ .used = 1 };
	r = processes_resize(p, PROCESSES_FIRST_SIZE);
	if (r == 0)
		p->entries[0] = (struct process_entry){ 0 };
	return r;
}

void processes_free(struct processes *p)
{
	free(p->entries);
	free(p->chains);
	*p = (struct processes){ 0 };
}

void processes_clear(struct processes *p)
{
	memset(p->chains, 0, p->size * sizeof(*p->chains));
	p->used = 1;
	p->unused = p->last = 0;
}

static uint32_t processes_find(const struct processes *p, const struct process_name *who)
{
	uint32_t i = p->last;

	if (i && processes_is(&p->entries[i].who, who))
		return i;
	i = *processes_chain(p, who);
	while (i && !processes_is(&p->entries[i].who, who))
		i = p->entries[i].next;
	return i;
}

static uint32_t processes_add(struct processes *p, const struct process_name *who)
{
	uint32_t i = p->unused;

	if (i) {
		p->unused = p->entries[i].next;
	} else {
		if (p->used >= p->size && processes_resize(p, p->size * 2) < 0)
			return 0;
		i = p->used++;
	}
	p->entries[i] = (struct process_entry){ .who = *who };
	processes_link(p, i);
	return i;
}

uint32_t processes_use(struct processes *p, const struct process_name *who)
{
	uint32_t i = who->pid ? processes_find(p, who) : 0;

	if (!i && who->pid)
		i = processes_add(p, who);
	p->last = i;
	processes_share(p, i);
	return i;
}

void processes_forget(struct processes *p, uint32_t i)
{
	uint32_t *at = processes_chain(p, &p->entries[i].who);

	while (*at != i)
		at = &p->entries[*at].next;
	*at = p->entries[i].next;
	if (p->last == i)
		p->last = 0;
	p->entries[i].next = p->unused;
	p->unused = i;
}
