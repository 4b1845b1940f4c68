// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "counted.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "porttrace/raw_event.h"

#define COUNTED_PLACES (4 * COUNT_SETS) /* a power of two */

struct counted {
	struct counted_set {
		struct count_key key; /* kind 0: the place is free */
		struct count known;
	} sets[COUNTED_PLACES];
	size_t count;
};

int counted_new(struct counted **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

void counted_free(struct counted *c)
{
	free(c);
}

static size_t counted_hash(const struct count_key *key)
{
	uint64_t words[sizeof(*key) / sizeof(uint64_t)], hash = 0;

	memcpy(words, key, sizeof(words));
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash >> 32 & (COUNTED_PLACES - 1);
}

/* Made if it is not there; NULL if there is no room, which the kernel has for COUNT_SETS. */
static struct count *counted_known(struct counted *c, const struct count_key *key)
{
	size_t i = counted_hash(key);

	while (c->sets[i].key.kind && memcmp(&c->sets[i].key, key, sizeof(*key)))
		i = (i + 1) & (COUNTED_PLACES - 1);
	if (!c->sets[i].key.kind) {
		if (c->count >= COUNTED_PLACES / 2)
			return NULL;
		c->count++;
		c->sets[i].key = *key;
	}
	return &c->sets[i].known;
}

static struct raw_event counted_record(const struct count_key *key, uint32_t pid)
{
	struct raw_event raw = { .magic = RAW_EVENT_MAGIC, .version = RAW_EVENT_VERSION, .kind = key->kind,
				 .flags = RAW_F_LEADER_COMM, .cgroup_id = key->cgroup_id,
				 .netns_cookie = key->netns_cookie, .netns_inum = key->netns_inum,
				 .pid = pid, .tid = pid, .family = AF_INET, .protocol = key->protocol,
				 .local_port = 1, .how = key->how };

	memcpy(raw.comm, key->comm, sizeof(raw.comm));
	return raw;
}

bool counted_rise(struct counted *c, const struct decode *dec, const struct count_key *key, const struct count *sum,
		  struct event *ret, struct count *ret_rise)
{
	static const enum event_half halves[] = { [COUNT_HALF_UNKNOWN] = EVENT_HALF_UNKNOWN,
						  [COUNT_HALF_FIRST] = EVENT_HALF_FIRST,
						  [COUNT_HALF_SECOND] = EVENT_HALF_SECOND };
	struct raw_event raw = counted_record(key, sum->pid);
	struct count *known = counted_known(c, key);

	if (!known || known->events == sum->events || key->half > COUNT_HALF_SECOND ||
	    decode_event(dec, &raw, sizeof(raw), ret) < 0)
		return false;
	ret->half = halves[key->half];
	*ret_rise = *sum;
	ret_rise->events -= known->events;
	ret_rise->searches -= known->searches;
	ret_rise->search_ns -= known->search_ns;
	for (int i = 0; i < COUNT_BUCKETS; i++)
		ret_rise->buckets[i] -= known->buckets[i];
	*known = *sum;
	return true;
}
