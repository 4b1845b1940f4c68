// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include "cleanup.h"
#include "enrich.h"

#define ENRICHER_OF_PROCESS_COUNT 3
#define ENRICHER_COUNT 6

/* Those of the process first: they serve for the holder's too. */
static const struct enricher *const enrich_live[ENRICHER_COUNT] = {
	&enrich_process, &enrich_user, &enrich_container, &enrich_port, &enrich_service, &enrich_holder,
};
static const struct enricher *const enrich_replayed[] = { &enrich_recorded, &enrich_port };

struct enrich {
	const struct enricher *const *enrichers;
	size_t count;
	bool looks; /* what is not known is looked up */
	void *states[ENRICHER_COUNT];
};

static void enrich_cleanup(struct enrich **en)
{
	enrich_close(*en);
}

int enrich_open(const struct enrich_options *opts, struct enrich **ret)
{
	_cleanup_(enrich_cleanup) struct enrich *en = calloc(1, sizeof(*en));

	if (!en)
		return -ENOMEM;
	en->looks = !opts->recorded;
	en->enrichers = en->looks ? enrich_live : enrich_replayed;
	en->count = en->looks ? ENRICHER_COUNT : sizeof(enrich_replayed) / sizeof(enrich_replayed[0]);
	for (size_t i = 0; i < en->count; i++) {
		int err = en->enrichers[i]->open(opts, &en->states[i]);

		if (err < 0)
			return err;
	}
	*ret = TAKE_PTR(en);
	return 0;
}

/* Name, user and container of the holder: as those of an event of its process. */
static void enrich_describe_holder(struct enrich *en, struct holder *holder)
{
	struct event who = { .pid = holder->pid,
			     .process_start_ns = holder->process_start_ns,
			     .cgroup_id = holder->cgroup_id,
			     .has_uid = holder->has_uid,
			     .uid = holder->uid };

	who.name_is_leader = holder->name[0];
	memcpy(who.name, holder->name, sizeof(who.name));
	for (size_t i = 0; i < ENRICHER_OF_PROCESS_COUNT; i++)
		enrich_live[i]->fill(en->states[i], &who);
	memcpy(holder->name, who.name, sizeof(holder->name));
	memcpy(holder->user, who.user, sizeof(holder->user));
	memcpy(holder->container_id, who.container_id, sizeof(holder->container_id));
}

void enrich_event(struct enrich *en, struct event *ev)
{
	for (size_t i = 0; i < en->count; i++)
		en->enrichers[i]->fill(en->states[i], ev);
	if (ev->has_holder && en->looks)
		enrich_describe_holder(en, &ev->holder);
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
	free(en);
}
