// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "prefilter.h"

#include <string.h>

#include "porttrace/raw_event.h"

_Static_assert(FILTER_MAX_PIDS <= CONFIG_MAX_PIDS && FILTER_MAX_UIDS <= CONFIG_MAX_UIDS &&
		       FILTER_MAX_COMMS <= CONFIG_MAX_COMMS && FILTER_MAX_CIDRS <= CONFIG_MAX_CIDRS,
	       "the kernel's part has room for all");

static void prefilter_kinds(const struct filter *f, struct bpf_config *config)
{
	for (int kind = 0; kind < EVENT_KIND_COUNT; kind++)
		if (f->kinds & (1u << kind))
			config->kinds |= 1u << (kind + RAW_BIND);
}

static void prefilter_pids(const struct filter *f, struct bpf_config *config)
{
	for (size_t i = 0; i < f->pid_count; i++)
		config->pids[config->pid_count++] = f->pids[i];
	config->follow = f->pid_count && f->follow_children;
}

static void prefilter_uids(const struct filter *f, struct bpf_config *config)
{
	for (size_t i = 0; i < f->uid_count; i++)
		config->uids[config->uid_count++] = f->uids[i];
}

static void prefilter_comms(const struct filter *f, struct bpf_config *config)
{
	for (size_t i = 0; i < f->comm_count; i++)
		strncpy((char *)config->comms[config->comm_count++], f->comms[i], sizeof(config->comms[0]) - 1);
}

/* An event may have two local ports: the one assigned, and 0, which was asked for. Only user space sees both. */
static void prefilter_ports(const struct port_set *set, enum config_side side, struct bpf_config *config,
			    struct config_ports *ports)
{
	if (set->any || port_set_has(set, 0))
		return;
	config->port_sides |= (uint8_t)(1u << side);
	for (uint32_t port = 1; port <= UINT16_MAX; port++)
		if (port_set_has(set, (uint16_t)port))
			ports->bits[side][port / 64] |= 1ull << (port % 64);
}

static void prefilter_cidr(const struct cidr *cidr, struct config_cidr *ret)
{
	unsigned int from = cidr->ip_version == 4 ? 12 : 0, bits = cidr->bits + 8 * from;
	uint8_t addr[16] = { 0 }, mask[16] = { 0 };

	if (from)
		addr[10] = addr[11] = 0xff;
	memcpy(addr + from, cidr->addr, sizeof(addr) - from);
	for (unsigned int i = 0; i < bits; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> (i % 8));
	memcpy(ret->addr, addr, sizeof(addr));
	memcpy(ret->mask, mask, sizeof(mask));
}

static void prefilter_cidrs(const struct address_set *set, enum config_side side, struct bpf_config *config)
{
	if (set->count)
		config->cidr_sides |= (uint8_t)(1u << side);
	for (size_t i = 0; i < set->count; i++)
		prefilter_cidr(&set->list[i], &config->cidrs[side][config->cidr_count[side]++]);
}

static void prefilter_ends(const struct filter *f, struct bpf_config *config, struct config_ports *ports)
{
	prefilter_ports(&f->either, CONFIG_EITHER, config, ports);
	prefilter_ports(&f->local, CONFIG_LOCAL, config, ports);
	prefilter_ports(&f->remote, CONFIG_REMOTE, config, ports);
	prefilter_cidrs(&f->addr, CONFIG_EITHER, config);
	prefilter_cidrs(&f->local_addr, CONFIG_LOCAL, config);
	prefilter_cidrs(&f->remote_addr, CONFIG_REMOTE, config);
	config->classes = (uint8_t)f->classes;
	config->want_ipv4 = f->ipv4;
	config->want_ipv6 = f->ipv6;
	config->selects_ends = config->port_sides || config->cidr_sides || config->classes || f->ipv4 || f->ipv6;
}

void prefilter_fill(const struct filter *f, const struct prefilter_needs *needs, struct bpf_config *config,
		    struct config_ports *ports)
{
	config->netns_inum = f->netns_inum;
	config->netns_cookie = f->netns_cookie;
	config->want_tcp = f->tcp;
	config->want_udp = f->udp;
	config->keeps_lives = needs->lives;
	prefilter_pids(f, config);
	if (!needs->all && !needs->lives)
		prefilter_kinds(f, config);
	if (needs->all)
		return;
	config->failed_only = f->failed_only;
	prefilter_uids(f, config);
	prefilter_comms(f, config);
	prefilter_ends(f, config, ports);
}
