// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Service names of both ports. */
#include "enrich.h"
#include "service.h"

static int enrich_service_open(const struct enrich_options *opts, void **ret_state)
{
	struct service_table *table = NULL;
	int err = opts->numeric ? 0 : service_table_new(opts->services_path, &table);

	if (err == 0)
		*ret_state = table;
	return err;
}

static void enrich_service_fill(void *state, struct event *ev)
{
	uint16_t port;

	if (!state)
		return;
	if (event_local_port(ev, &port))
		ev->local_facts.service = service_name(state, port, ev->proto);
	if (ev->remote.has_port)
		ev->remote_facts.service = service_name(state, ev->remote.port, ev->proto);
}

static void enrich_service_close(void *state)
{
	service_table_free(state);
}

const struct enricher enrich_service = {
	.name = "service",
	.open = enrich_service_open,
	.fill = enrich_service_fill,
	.close = enrich_service_close,
};
