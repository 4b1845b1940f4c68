// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include "cache.h"
#include "cleanup.h"
#include "enrich.h"

#define ENRICHER_COUNT 6
#define ENRICH_MEMORY_ENTRIES 1024
#define ENRICH_MEMORY_NS NS_PER_SEC

static const struct enricher *const enrich_live[ENRICHER_COUNT] = {
	&enrich_process, &enrich_user, &enrich_container, &enrich_port, &enrich_service, &enrich_holder,
};
static const struct enricher *const enrich_replayed[] = { &enrich_recorded, &enrich_port };

/* What the describers told of a process. */
struct enrich_memory {
	bool told;
	uint64_t told_ns; /* time of the event that it was told for */
	uint64_t process_start_ns, cgroup_id;
	uint32_t pid, uid, exec_id;
	struct event_who who;
};

struct enrich {
	const struct enricher *const *enrichers;
	size_t count;
	bool looks; /* what is not known is looked up */
	void *states[ENRICHER_COUNT];
	size_t fills[ENRICHER_COUNT], fill_count; /* places of those that have one */
	struct cache *memories; /* struct enrich_memory by pid, uid and the rest */
	struct enrich_memory *last; /* of them; NULL = none yet */
	uint64_t who_count; /* numbers given away */
	struct event_who who; /* of an event whose process is not kept in mind */
};

static void enrich_cleanup(struct enrich **en)
{
	enrich_close(*en);
}

int enrich_open(const struct enrich_options *opts, struct enrich **ret)
{
	_cleanup_(enrich_cleanup) struct enrich *en = calloc(1, sizeof(*en));
	int err;

	if (!en)
		return -ENOMEM;
	en->looks = !opts->recorded;
	en->enrichers = en->looks ? enrich_live : enrich_replayed;
	en->count = en->looks ? ENRICHER_COUNT : sizeof(enrich_replayed) / sizeof(enrich_replayed[0]);
	en->memories = cache_new(ENRICH_MEMORY_ENTRIES, sizeof(struct enrich_memory));
	err = en->memories ? 0 : -ENOMEM;
	for (size_t i = 0; i < en->count && err == 0; i++) {
		err = en->enrichers[i]->open(opts, &en->states[i]);
		if (en->enrichers[i]->fill)
			en->fills[en->fill_count++] = i;
	}
	if (err == 0)
		*ret = TAKE_PTR(en);
	return err;
}

/* ---- the process ---- */

/* `who` has what is known already. True if all the describers would say the same of the next such event. */
static bool enrich_ask(struct enrich *en, struct event *ev, struct event_who *who)
{
	bool lasts = true;

	for (size_t i = 0; i < en->count; i++)
		if (en->enrichers[i]->describe)
			lasts &= en->enrichers[i]->describe(en->states[i], ev, who);
	return lasts;
}

static bool enrich_is_of(const struct enrich_memory *memory, const struct event *ev)
{
	return memory->pid == ev->pid && memory->uid == ev->uid && memory->exec_id == ev->exec_id &&
	       memory->process_start_ns == ev->process_start_ns && memory->cgroup_id == ev->cgroup_id;
}

/* The memory of the event's process, which may be old, or of none. Mostly it is that of the event before. */
static struct enrich_memory *enrich_recall(struct enrich *en, const struct event *ev)
{
	struct enrich_memory *memory = en->last;
	uint64_t key1, key2;

	if (memory && enrich_is_of(memory, ev))
		return memory;
	key1 = (uint64_t)ev->pid << 32 | ev->uid;
	key2 = ev->process_start_ns ^ ev->exec_id * 0x9e3779b97f4a7c15ull ^ ev->cgroup_id * 0xbf58476d1ce4e5b9ull;
	memory = cache_find(en->memories, key1, key2);
	if (!memory)
		memory = cache_claim(en->memories, key1, key2);
	else if (!enrich_is_of(memory, ev))
		memset(memory, 0, sizeof(*memory));
	return en->last = memory;
}

static void enrich_remember(struct enrich *en, const struct event *ev, struct enrich_memory *memory)
{
	bool same = memory->told && event_is_same_who(&memory->who, &en->who);

	if (!same) {
		memory->who = en->who;
		memory->who.id = ++en->who_count;
	}
	memory->told = true;
	memory->told_ns = ev->time_ns;
	memory->process_start_ns = ev->process_start_ns;
	memory->pid = ev->pid;
	memory->uid = ev->uid;
	memory->exec_id = ev->exec_id;
	memory->cgroup_id = ev->cgroup_id;
}

/* By the time of the events, which come nearly in order: no clock is read for each. */
static bool enrich_is_recent(const struct enrich_memory *memory, const struct event *ev)
{
	return memory->told && ev->time_ns + ENRICH_MEMORY_NS - memory->told_ns < 2 * ENRICH_MEMORY_NS;
}

/* A process that tells its start and its leader's name, and of which nothing is known already, may be kept in mind. */
static void enrich_who(struct enrich *en, struct event *ev)
{
	bool tells = ev->process_start_ns && ev->name_is_leader && ev->has_uid && !ev->who;
	struct enrich_memory *memory = tells ? enrich_recall(en, ev) : NULL;

	if (!memory || !enrich_is_recent(memory, ev)) {
		en->who = *event_who(ev);
		en->who.id = 0;
		ev->who = &en->who;
		if (!enrich_ask(en, ev, &en->who) || !memory)
			return;
		enrich_remember(en, ev, memory);
	}
	ev->who = &memory->who;
}

/* Name, user and container of the holder: as those of an event of its process. */
static void enrich_describe_holder(struct enrich *en, struct holder *holder)
{
	struct event_who who = { 0 };
	struct event ev = { .pid = holder->pid,
			    .process_start_ns = holder->process_start_ns,
			    .cgroup_id = holder->cgroup_id,
			    .has_uid = holder->has_uid,
			    .uid = holder->uid };

	ev.name_is_leader = holder->name[0];
	memcpy(ev.name, holder->name, sizeof(ev.name));
	enrich_ask(en, &ev, &who);
	memcpy(holder->name, ev.name, sizeof(holder->name));
	memcpy(holder->user, who.user, sizeof(holder->user));
	memcpy(holder->container_id, who.container_id, sizeof(holder->container_id));
}

/* ---- events ---- */

void enrich_event(struct enrich *en, struct event *ev)
{
	if (en->looks)
		enrich_who(en, ev);
	for (size_t k = 0; k < en->fill_count; k++) {
		size_t i = en->fills[k];

		en->enrichers[i]->fill(en->states[i], ev);
	}
	if (ev->has_holder && en->looks)
		enrich_describe_holder(en, &ev->holder);
}

void enrich_counted(struct enrich *en, struct event *ev)
{
	en->who = (struct event_who){ 0 };
	ev->who = &en->who;
	for (size_t i = 0; i < en->count; i++) {
		if (en->enrichers[i] == &enrich_container)
			en->enrichers[i]->describe(en->states[i], ev, &en->who);
		if (en->enrichers[i] == &enrich_port)
			en->enrichers[i]->fill(en->states[i], ev);
	}
}

void enrich_learn(struct enrich *en, const struct process_facts *facts)
{
	for (size_t i = 0; i < en->count; i++)
		if (en->enrichers[i]->learn)
			en->enrichers[i]->learn(en->states[i], facts);
}

void enrich_close(struct enrich *en)
{
	if (!en)
		return;
	/* Those that were never opened have no state, which close accepts. */
	for (size_t i = en->count; i-- > 0;)
		en->enrichers[i]->close(en->states[i]);
	cache_free(en->memories);
	free(en);
}
