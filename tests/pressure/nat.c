// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* One rule of nftables by netlink: no program of this machine is needed for it. */
#include "net.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <unistd.h>

/* Messages, one after the other; attributes may hold others. */
static struct nat_batch {
	_Alignas(4) char data[4096];
	size_t len;
	struct nlmsghdr *message;
} nat_batch;

static void *nat_room(size_t size)
{
	void *at = nat_batch.data + nat_batch.len;

	memset(at, 0, NLMSG_ALIGN(size));
	nat_batch.len += NLMSG_ALIGN(size);
	return at;
}

static void nat_begin(uint16_t type, uint16_t flags, uint8_t family, uint16_t id)
{
	struct nfgenmsg *head;

	nat_batch.message = nat_room(sizeof(*nat_batch.message));
	nat_batch.message->nlmsg_type = type;
	nat_batch.message->nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags);
	head = nat_room(sizeof(*head));
	head->nfgen_family = family;
	head->res_id = htons(id);
}

static void nat_end(void)
{
	nat_batch.message->nlmsg_len = (uint32_t)(nat_batch.data + nat_batch.len - (char *)nat_batch.message);
}

static struct nlattr *nat_attr(uint16_t type, const void *data, size_t size)
{
	struct nlattr *attr = nat_room(sizeof(*attr) + size);

	attr->nla_type = type;
	attr->nla_len = (uint16_t)(sizeof(*attr) + size);
	if (size)
		memcpy(attr + 1, data, size);
	return attr;
}

static void nat_text(uint16_t type, const char *text)
{
	nat_attr(type, text, strlen(text) + 1);
}

static void nat_number(uint16_t type, uint32_t value)
{
	value = htonl(value);
	nat_attr(type, &value, sizeof(value));
}

static struct nlattr *nat_open(uint16_t type)
{
	return nat_attr(type | NLA_F_NESTED, NULL, 0);
}

static void nat_close(struct nlattr *attr)
{
	attr->nla_len = (uint16_t)(nat_batch.data + nat_batch.len - (char *)attr);
}

static void nat_message(uint16_t type, uint16_t flags)
{
	nat_begin((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags | NLM_F_CREATE, NFPROTO_IPV4, 0);
}

static void nat_chain(void)
{
	struct nlattr *hook;

	nat_message(NFT_MSG_NEWTABLE, 0);
	nat_text(NFTA_TABLE_NAME, "nat");
	nat_end();
	nat_message(NFT_MSG_NEWCHAIN, 0);
	nat_text(NFTA_CHAIN_TABLE, "nat");
	nat_text(NFTA_CHAIN_NAME, "out");
	hook = nat_open(NFTA_CHAIN_HOOK);
	nat_number(NFTA_HOOK_HOOKNUM, NF_INET_POST_ROUTING);
	nat_number(NFTA_HOOK_PRIORITY, 100);
	nat_close(hook);
	nat_text(NFTA_CHAIN_TYPE, "nat");
	nat_end();
}

static void nat_load(uint32_t reg, const void *value, size_t size)
{
	struct nlattr *element = nat_open(NFTA_LIST_ELEM), *data, *inner;

	nat_text(NFTA_EXPR_NAME, "immediate");
	data = nat_open(NFTA_EXPR_DATA);
	nat_number(NFTA_IMMEDIATE_DREG, reg);
	inner = nat_open(NFTA_IMMEDIATE_DATA);
	nat_attr(NFTA_DATA_VALUE, value, size);
	nat_close(inner);
	nat_close(data);
	nat_close(element);
}

static void nat_translate(void)
{
	struct nlattr *element = nat_open(NFTA_LIST_ELEM), *data;

	nat_text(NFTA_EXPR_NAME, "nat");
	data = nat_open(NFTA_EXPR_DATA);
	nat_number(NFTA_NAT_TYPE, NFT_NAT_SNAT);
	nat_number(NFTA_NAT_FAMILY, NFPROTO_IPV4);
	nat_number(NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	nat_number(NFTA_NAT_REG_PROTO_MIN, NFT_REG_2);
	nat_number(NFTA_NAT_REG_PROTO_MAX, NFT_REG_3);
	nat_number(NFTA_NAT_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
	nat_close(data);
	nat_close(element);
}

static void nat_rule(const char *address, int low, int high)
{
	uint16_t ports[] = { htons((uint16_t)low), htons((uint16_t)high) };
	struct nlattr *list;
	struct in_addr addr;

	inet_pton(AF_INET, address, &addr);
	nat_message(NFT_MSG_NEWRULE, NLM_F_APPEND | NLM_F_ACK);
	nat_text(NFTA_RULE_TABLE, "nat");
	nat_text(NFTA_RULE_CHAIN, "out");
	list = nat_open(NFTA_RULE_EXPRESSIONS);
	nat_load(NFT_REG_1, &addr, sizeof(addr));
	nat_load(NFT_REG_2, &ports[0], sizeof(ports[0]));
	nat_load(NFT_REG_3, &ports[1], sizeof(ports[1]));
	nat_translate();
	nat_close(list);
	nat_end();
}

/* The first error that the kernel tells, or 0 with the acknowledgement of the rule. */
static int nat_answer(int fd)
{
	_Alignas(4) char answer[4096];
	ssize_t n = recv(fd, answer, sizeof(answer), 0);
	const struct nlmsghdr *head = (const void *)answer;
	const struct nlmsgerr *error = NLMSG_DATA(head);

	return n < (ssize_t)NLMSG_LENGTH(sizeof(*error)) || head->nlmsg_type != NLMSG_ERROR ? -1 : error->error;
}

bool net_snat(const char *address, int low, int high)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	bool ok;

	nat_begin(NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	nat_end();
	nat_chain();
	nat_rule(address, low, high);
	nat_begin(NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	nat_end();
	ok = sendto(fd, nat_batch.data, nat_batch.len, 0, (const void *)&kernel, sizeof(kernel)) > 0 &&
	     nat_answer(fd) == 0;
	close(fd);
	return ok;
}
