// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Reads what the programs have counted. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>

#include "attach.h"
#include "cleanup.h"

static void count_add(struct count *sum, const struct count *each)
{
	sum->events += each->events;
	sum->searches += each->searches;
	sum->search_ns += each->search_ns;
	for (int i = 0; i < COUNT_BUCKETS; i++)
		sum->buckets[i] += each->buckets[i];
	if (each->pid)
		sum->pid = each->pid;
}

int attach_each_count(const struct attach *at, attach_count_fn fn, void *arg)
{
	int cpus = libbpf_num_possible_cpus();
	_free_ struct count *each = cpus > 0 ? calloc((size_t)cpus, sizeof(*each)) : NULL;
	struct count_key key, *before = NULL;

	if (!each)
		return cpus < 0 ? cpus : -ENOMEM;
	for (; !bpf_map_get_next_key(at->counts_fd, before, &key); before = &key) {
		struct count sum = { 0 };

		if (bpf_map_lookup_elem(at->counts_fd, &key, each))
			continue;
		for (int i = 0; i < cpus; i++)
			count_add(&sum, &each[i]);
		fn(arg, &key, &sum);
	}
	return 0;
}
