// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "trace_counted.h"

#include <fcntl.h>
#include <stdlib.h>

#include "../cgroup.h"
#include "../cleanup.h"
#include "../netns.h"
#include "../proc.h"

/* Of a new network namespace (ipv4_sysctl_init_net(), net/ipv4/sysctl_net_ipv4.c). */
#define TRACE_COUNTED_LOW 32768
#define TRACE_COUNTED_HIGH 60999

void trace_counted_configure(struct bpf_config *config)
{
	_free_ struct netns_facts *own = calloc(1, sizeof(*own));
	char groups[8192];

	config->counts = true;
	config->counts_pids = proc_read(AT_FDCWD, "/proc/self/cgroup", groups, sizeof(groups)) <= 0 ||
			      cgroup_file_is_hybrid(groups);
	config->counts_low = TRACE_COUNTED_LOW;
	config->counts_high = TRACE_COUNTED_HIGH;
	if (!own || netns_read_sysctls("/proc", 0, own) < 0)
		return;
	config->counts_low = own->range_low < config->counts_low ? own->range_low : config->counts_low;
	config->counts_high = own->range_high > config->counts_high ? own->range_high : config->counts_high;
}

int trace_counted_open(const struct attach *at, struct pipeline *p, struct trace_metrics *tm,
		       struct trace_counted *ret)
{
	*ret = (struct trace_counted){ .attach = at, .pipeline = p, .metrics = tm };
	return counted_new(&ret->counted);
}

bool trace_counted_has_new(const struct trace_counted *tc)
{
	return tc->counted && *tc->attach->count_sets != tc->sets;
}

static void trace_counted_add(void *arg, const struct count_key *key, const struct count *sum)
{
	struct trace_counted *tc = arg;
	struct count rise;
	struct event ev;

	if (!counted_rise(tc->counted, &tc->pipeline->decode, key, sum, &ev, &rise))
		return;
	enrich_counted(tc->pipeline->enrich, &ev);
	trace_metrics_counted(tc->metrics, &ev, &rise);
}

void trace_counted_read(struct trace_counted *tc)
{
	if (!tc->counted)
		return;
	tc->sets = *tc->attach->count_sets;
	attach_each_count(tc->attach, trace_counted_add, tc);
}

void trace_counted_close(struct trace_counted *tc)
{
	counted_free(tc->counted);
	tc->counted = NULL;
}
