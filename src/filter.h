/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* 5. filter: decides which events are shown. Pure, but for `follow`. What the kernel decides too: prefilter.h. */
#ifndef PORTTRACE_FILTER_H
#define PORTTRACE_FILTER_H

#include <stddef.h>
#include "cidr.h"
#include "event.h"

/* A set of ports: one bit each. */
struct port_set {
	bool any; /* true: not given, every port matches (an unknown one too) */
	uint8_t bits[65536 / 8];
};

#define FILTER_MAX_PIDS 64
#define FILTER_MAX_COMMS 16
#define FILTER_MAX_UIDS 64
#define FILTER_MAX_CONTAINERS 16
#define FILTER_MAX_CIDRS 16

/* Ranges of addresses; none = all addresses, unknown ones too. */
struct address_set {
	struct cidr list[FILTER_MAX_CIDRS];
	size_t count;
};

struct follow;

/* What the user asked for. filter_init gives one that shows everything. */
struct filter {
	uint32_t kinds; /* bit (1 << enum event_kind); 0 = all */
	uint32_t classes; /* bit (1 << enum port_class), of the service side; 0 = all */
	bool tcp, udp; /* both false = both */
	bool ipv4, ipv6; /* both false = both; after un-mapping */
	bool failed_only; /* -x: outcome is not success */
	uint32_t pids[FILTER_MAX_PIDS];
	size_t pid_count;
	char comms[FILTER_MAX_COMMS][16]; /* -c: exact names of the process */
	size_t comm_count;
	uint32_t uids[FILTER_MAX_UIDS];
	size_t uid_count;
	char containers[FILTER_MAX_CONTAINERS][EVENT_ID_SIZE]; /* ids, or how they begin */
	size_t container_count;
	bool follow_children; /* --follow: descendants of pids[] too */
	bool follow_done; /* the kernel lets only events of pids[] and descendants through */
	struct follow *follow; /* else who descends from them; NULL = nobody. Not owned */
	const uint64_t *cgroups; /* sorted ids, see cgroup_tree.h; NULL = all. Not owned */
	size_t cgroup_count;
	uint32_t netns_inum; /* 0 = any */
	uint64_t netns_cookie; /* of the same namespace, for events that know no inode; 0 = unknown */
	struct port_set either, local, remote; /* -P (either side), -L, -D; a requested port counts as local */
	struct address_set addr, local_addr, remote_addr; /* --addr (either side), --laddr, --daddr */
};

void filter_init(struct filter *f);
bool filter_match(const struct filter *f, const struct event *ev);
/* Bits (1 << enum event_kind): all events of these kinds match, of others it has to be asked. */
uint32_t filter_whole_kinds(const struct filter *f);
/* Of --container: is it one of these? "" is none. */
bool filter_has_container(const struct filter *f, const char *id);
/* Can any close be shown, or what follows from one? */
static inline bool filter_wants_close(const struct filter *f)
{
	uint32_t ends = (1u << EVENT_CLOSE) | (1u << EVENT_RELEASE);

	return !f->failed_only && (!f->kinds || (f->kinds & ends));
}

/* "80,8000-8099,https" -> set; names by `find_port` (NULL = numbers only). 0, or -EINVAL with the bad item in *ret_bad
 * (pointing into `text`). Adds to the set; `set->any` becomes false. */
struct service_table;
int port_set_parse(struct port_set *set, const char *text, const struct service_table *names, const char **ret_bad);
bool port_set_has(const struct port_set *set, uint16_t port);

#endif
