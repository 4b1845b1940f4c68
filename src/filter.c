// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <string.h>
#include "cgroup_tree.h"
#include "filter.h"
#include "follow.h"
#include "service.h"

void filter_init(struct filter *f)
{
	memset(f, 0, sizeof(*f));
	f->either.any = f->local.any = f->remote.any = true;
}

bool port_set_has(const struct port_set *set, uint16_t port)
{
	return set->any || (set->bits[port / 8] >> (port % 8) & 1);
}

static bool filter_has_port(const struct port_set *set, const struct endpoint *end)
{
	return end->has_port && port_set_has(set, end->port);
}

static bool filter_match_local(const struct port_set *set, const struct event *ev)
{
	return filter_has_port(set, &ev->local) ||
	       (ev->has_requested && filter_has_port(set, &ev->requested));
}

static bool filter_match_ports(const struct filter *f, const struct event *ev)
{
	if (!f->local.any && !filter_match_local(&f->local, ev))
		return false;
	if (!f->remote.any && !filter_has_port(&f->remote, &ev->remote))
		return false;
	return f->either.any || filter_match_local(&f->either, ev) ||
	       filter_has_port(&f->either, &ev->remote);
}

static bool filter_has_address(const struct address_set *set, const struct endpoint *end)
{
	for (size_t i = 0; i < set->count; i++)
		if (cidr_has(&set->list[i], end))
			return true;
	return false;
}

static bool filter_match_addresses(const struct filter *f, const struct event *ev)
{
	if (!(f->local_addr.count | f->remote_addr.count | f->addr.count))
		return true;
	if (f->local_addr.count && !filter_has_address(&f->local_addr, &ev->local))
		return false;
	if (f->remote_addr.count && !filter_has_address(&f->remote_addr, &ev->remote))
		return false;
	return !f->addr.count || filter_has_address(&f->addr, &ev->local) || filter_has_address(&f->addr, &ev->remote);
}

/* The cgroup backend knows the cookie; the inode only if the process was still there to be looked at. */
static bool filter_match_netns(const struct filter *f, const struct event *ev)
{
	if (!f->netns_inum)
		return true;
	if (f->netns_cookie && ev->netns_cookie)
		return f->netns_cookie == ev->netns_cookie;
	return f->netns_inum == ev->netns_inum;
}

static bool filter_match_pid(const struct filter *f, const struct event *ev)
{
	if (!f->pid_count || f->follow_done)
		return true;
	for (size_t i = 0; i < f->pid_count; i++)
		if (f->pids[i] == ev->pid)
			return true;
	return f->follow && follow_has(f->follow, ev);
}

static bool filter_match_uid(const struct filter *f, const struct event *ev)
{
	for (size_t i = 0; i < f->uid_count; i++)
		if (ev->has_uid && f->uids[i] == ev->uid)
			return true;
	return f->uid_count == 0;
}

static bool filter_match_comm(const struct filter *f, const struct event *ev)
{
	for (size_t i = 0; i < f->comm_count; i++)
		if (strncmp(f->comms[i], ev->name, sizeof(ev->name)) == 0)
			return true;
	return f->comm_count == 0;
}

bool filter_has_container(const struct filter *f, const char *id)
{
	for (size_t i = 0; i < f->container_count; i++)
		if (strncmp(f->containers[i], id, strlen(f->containers[i])) == 0)
			return true;
	return f->container_count == 0;
}

static bool filter_match_cgroup(const struct filter *f, const struct event *ev)
{
	return !f->cgroups || cgroup_tree_has(f->cgroups, f->cgroup_count, ev->cgroup_id);
}

static bool filter_match_process(const struct filter *f, const struct event *ev)
{
	if (!(f->pid_count | f->uid_count | f->comm_count | f->container_count | f->netns_inum) && !f->cgroups)
		return true; /* mostly no process is asked for */
	return filter_match_pid(f, ev) && filter_match_uid(f, ev) && filter_match_comm(f, ev) &&
	       filter_has_container(f, event_who(ev)->container_id) && filter_match_cgroup(f, ev) &&
	       filter_match_netns(f, ev);
}

static bool filter_match_class(const struct filter *f, const struct event *ev)
{
	const struct port_facts *facts;

	if (!f->classes)
		return true;
	facts = event_service_is_remote(ev) ? &ev->remote_facts : &ev->local_facts;
	return f->classes >> facts->class & 1;
}

static bool filter_match_socket(const struct filter *f, const struct event *ev)
{
	bool all_protos = f->tcp == f->udp, all_versions = f->ipv4 == f->ipv6;

	return (all_protos || (ev->proto == PROTO_TCP ? f->tcp : f->udp)) &&
	       (all_versions || (ev->ip_version == 4 ? f->ipv4 : f->ipv6));
}

bool filter_match(const struct filter *f, const struct event *ev)
{
	if (f->kinds && !(f->kinds >> ev->kind & 1))
		return false;
	if (f->failed_only && ev->outcome == OUTCOME_SUCCESS)
		return false;
	return filter_match_socket(f, ev) && filter_match_process(f, ev) &&
	       filter_match_ports(f, ev) && filter_match_addresses(f, ev) && filter_match_class(f, ev);
}

uint32_t filter_whole_kinds(const struct filter *f)
{
	bool asks_socket = f->failed_only || f->tcp != f->udp || f->ipv4 != f->ipv6 || f->netns_inum || f->classes;
	bool asks_process = f->pid_count || f->uid_count || f->comm_count || f->container_count || f->cgroups;
	bool asks_end = !f->either.any || !f->local.any || !f->remote.any || f->addr.count || f->local_addr.count ||
			f->remote_addr.count;

	if (asks_socket || asks_process || asks_end)
		return 0;
	return f->kinds ? f->kinds : UINT32_MAX;
}

static void port_set_add(struct port_set *set, uint16_t low, uint16_t high)
{
	for (uint32_t port = low; port <= high; port++)
		set->bits[port / 8] |= (uint8_t)(1u << (port % 8));
}

/* Reads a port at *text and moves behind it. */
static bool port_set_read_number(const char **text, uint16_t *ret)
{
	uint32_t port = 0;
	size_t n = 0;

	for (; (*text)[n] >= '0' && (*text)[n] <= '9'; n++) {
		port = port * 10 + (uint32_t)((*text)[n] - '0');
		if (port > UINT16_MAX)
			return false;
	}
	if (n == 0)
		return false;
	*text += n;
	*ret = (uint16_t)port;
	return true;
}

/* "80" or "8000-8099" */
static bool port_set_add_numbers(struct port_set *set, const char *item)
{
	uint16_t low, high;

	if (!port_set_read_number(&item, &low))
		return false;
	high = low;
	if (*item == '-') {
		item++;
		if (!port_set_read_number(&item, &high))
			return false;
	}
	if (*item || high < low)
		return false;
	port_set_add(set, low, high);
	return true;
}

/* All that the output shows by that name: some have several ports, or one for each protocol. */
static bool port_set_add_name(struct port_set *set, const char *item,
			      const struct service_table *names)
{
	uint16_t ports[16];
	size_t count, total = 0;

	for (enum event_proto proto = 0; names && proto < PROTO_COUNT; proto++) {
		count = service_ports(names, item, proto, ports, sizeof(ports) / sizeof(ports[0]));
		for (size_t i = 0; i < count; i++)
			port_set_add(set, ports[i], ports[i]);
		total += count;
	}
	return total > 0;
}

int port_set_parse(struct port_set *set, const char *text, const struct service_table *names,
		   const char **ret_bad)
{
	struct port_set result = *set;
	char item[64];

	for (;; text++) {
		size_t len = strcspn(text, ",");

		if (len == 0 || len >= sizeof(item))
			break;
		memcpy(item, text, len);
		item[len] = '\0';
		/* Numbers first: some names begin with digits, none is a number or a range. */
		if (!port_set_add_numbers(&result, item) &&
		    !port_set_add_name(&result, item, names))
			break;
		text += len;
		if (!*text) {
			result.any = false;
			*set = result;
			return 0;
		}
	}
	*ret_bad = text;
	return -EINVAL;
}
