// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include "cleanup.h"
#include "enrich.h"

static const struct enricher *const enrichers[] = {
	&enrich_process, &enrich_user, &enrich_container, &enrich_port, &enrich_service,
};
#define ENRICHER_COUNT (sizeof(enrichers) / sizeof(enrichers[0]))

struct enrich {
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
	for (size_t i = 0; i < ENRICHER_COUNT; i++) {
		int err = enrichers[i]->open(opts, &en->states[i]);

		if (err < 0)
			return err;
	}
	*ret = TAKE_PTR(en);
	return 0;
}

void enrich_event(struct enrich *en, struct event *ev)
{
	for (size_t i = 0; i < ENRICHER_COUNT; i++)
		enrichers[i]->fill(en->states[i], ev);
}

void enrich_learn(struct enrich *en, const struct process_facts *facts)
{
	for (size_t i = 0; i < ENRICHER_COUNT; i++)
		if (enrichers[i]->learn)
			enrichers[i]->learn(en->states[i], facts);
}

void enrich_close(struct enrich *en)
{
	if (!en)
		return;
	/* Those that were never opened have no state, which close accepts. */
	for (size_t i = ENRICHER_COUNT; i-- > 0;)
		enrichers[i]->close(en->states[i]);
	free(en);
}
