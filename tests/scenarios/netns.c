// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* An own network namespace, the few devices and routes in it, and its paths of MPTCP: by netlink. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/genetlink.h>
#include <linux/mptcp.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include "workload.h"

struct request {
	struct nlmsghdr h;
	union {
		struct ifinfomsg link;
		struct ifaddrmsg addr;
		struct rtmsg route;
		struct genlmsghdr genl;
	};
	char attrs[512];
};

static void request_init(struct request *r, int type, int flags, size_t body)
{
	memset(r, 0, sizeof(*r));
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	r->h.nlmsg_len = NLMSG_LENGTH(body);
}

static struct rtattr *put(struct request *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void nest_end(struct request *r, struct rtattr *a)
{
	a->rta_len = (char *)r + r->h.nlmsg_len - (char *)a;
}

struct answer {
	struct nlmsghdr h;
	union {
		struct nlmsgerr e;
		char rest[4096];
	};
};

static int request_ask(struct request *r, int protocol, struct answer *ret)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), rc = 0;

	if (fd < 0)
		return -errno;
	memset(ret, 0, sizeof(*ret));
	if (send(fd, r, r->h.nlmsg_len, 0) < 0 || recv(fd, ret, sizeof(*ret), 0) < 0)
		rc = -errno;
	else if (ret->h.nlmsg_type == NLMSG_ERROR)
		rc = ret->e.error;
	close(fd);
	return rc;
}

static int request_send(struct request *r)
{
	struct answer answer;

	return request_ask(r, NETLINK_ROUTE, &answer);
}

static int set_up(const char *ifname, bool up)
{
	struct request r;

	request_init(&r, RTM_NEWLINK, 0, sizeof(r.link));
	r.link.ifi_index = if_nametoindex(ifname);
	r.link.ifi_change = IFF_UP;
	r.link.ifi_flags = up ? IFF_UP : 0;
	return request_send(&r);
}

int netns_up(const char *ifname)
{
	return set_up(ifname, true);
}

int netns_down(const char *ifname)
{
	return set_up(ifname, false);
}

int netns_veth(const char *a, const char *b)
{
	struct ifinfomsg peer = { 0 };
	struct rtattr *info, *data, *end;
	struct request r;

	request_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.link));
	put(&r, IFLA_IFNAME, a, strlen(a) + 1);
	info = put(&r, IFLA_LINKINFO, NULL, 0);
	put(&r, IFLA_INFO_KIND, "veth", strlen("veth"));
	data = put(&r, IFLA_INFO_DATA, NULL, 0);
	end = put(&r, VETH_INFO_PEER, &peer, sizeof(peer));
	put(&r, IFLA_IFNAME, b, strlen(b) + 1);
	nest_end(&r, end);
	nest_end(&r, data);
	nest_end(&r, info);
	return request_send(&r);
}

/* table: of a VRF's routes, 0 for other kinds. */
int netns_link(const char *name, const char *kind, uint32_t table)
{
	struct rtattr *info, *data;
	struct request r;

	request_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.link));
	put(&r, IFLA_IFNAME, name, strlen(name) + 1);
	info = put(&r, IFLA_LINKINFO, NULL, 0);
	put(&r, IFLA_INFO_KIND, kind, strlen(kind));
	if (table) {
		data = put(&r, IFLA_INFO_DATA, NULL, 0);
		put(&r, IFLA_VRF_TABLE, &table, sizeof(table));
		nest_end(&r, data);
	}
	nest_end(&r, info);
	return request_send(&r);
}

int netns_enslave(const char *name, const char *master)
{
	uint32_t index = if_nametoindex(master);
	struct request r;

	request_init(&r, RTM_NEWLINK, 0, sizeof(r.link));
	r.link.ifi_index = if_nametoindex(name);
	put(&r, IFLA_MASTER, &index, sizeof(index));
	return request_send(&r);
}

int netns_addr6(const char *ifname, const char *ip, int plen, uint32_t flags)
{
	struct in6_addr in;
	struct request r;

	inet_pton(AF_INET6, ip, &in);
	request_init(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.addr));
	r.addr.ifa_family = AF_INET6;
	r.addr.ifa_prefixlen = plen;
	r.addr.ifa_index = if_nametoindex(ifname);
	put(&r, IFA_LOCAL, &in, sizeof(in));
	put(&r, IFA_ADDRESS, &in, sizeof(in));
	put(&r, IFA_FLAGS, &flags, sizeof(flags));
	return request_send(&r);
}

int netns_route6(const char *ip, int plen, const char *ifname)
{
	uint32_t index = if_nametoindex(ifname);
	struct in6_addr in;
	struct request r;

	inet_pton(AF_INET6, ip, &in);
	request_init(&r, RTM_NEWROUTE, NLM_F_CREATE, sizeof(r.route));
	r.route.rtm_family = AF_INET6;
	r.route.rtm_dst_len = plen;
	r.route.rtm_table = RT_TABLE_MAIN;
	r.route.rtm_protocol = RTPROT_STATIC;
	r.route.rtm_scope = RT_SCOPE_UNIVERSE;
	r.route.rtm_type = RTN_UNICAST;
	put(&r, RTA_DST, &in, sizeof(in));
	put(&r, RTA_OIF, &index, sizeof(index));
	return request_send(&r);
}

int netns_addr4(const char *ifname, const char *ip, int plen)
{
	struct in_addr in;
	struct request r;

	inet_pton(AF_INET, ip, &in);
	request_init(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, sizeof(r.addr));
	r.addr.ifa_family = AF_INET;
	r.addr.ifa_prefixlen = plen;
	r.addr.ifa_index = if_nametoindex(ifname);
	put(&r, IFA_LOCAL, &in, sizeof(in));
	put(&r, IFA_ADDRESS, &in, sizeof(in));
	return request_send(&r);
}

int netns_unreachable4(const char *ip, int plen)
{
	struct in_addr in;
	struct request r;

	inet_pton(AF_INET, ip, &in);
	request_init(&r, RTM_NEWROUTE, NLM_F_CREATE, sizeof(r.route));
	r.route.rtm_family = AF_INET;
	r.route.rtm_dst_len = plen;
	r.route.rtm_table = RT_TABLE_MAIN;
	r.route.rtm_protocol = RTPROT_STATIC;
	r.route.rtm_scope = RT_SCOPE_UNIVERSE;
	r.route.rtm_type = RTN_UNREACHABLE;
	put(&r, RTA_DST, &in, sizeof(in));
	return request_send(&r);
}

/* ---- MPTCP ---- */

static void genl_init(struct request *r, int family, int command, int version)
{
	request_init(r, family, 0, sizeof(r->genl));
	r->genl.cmd = command;
	r->genl.version = version;
}

/* The number of a family of generic netlink, which is told among other things. */
static int genl_family(const char *name)
{
	struct answer answer;
	struct request r;
	struct rtattr *a;
	int rc, left;

	genl_init(&r, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 1);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	put(&r, CTRL_ATTR_FAMILY_NAME, name, strlen(name) + 1);
	rc = request_ask(&r, NETLINK_GENERIC, &answer);
	if (rc)
		return rc;
	a = (void *)(answer.rest + GENL_HDRLEN);
	left = answer.h.nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == CTRL_ATTR_FAMILY_ID)
			return *(uint16_t *)RTA_DATA(a);
	return -ENOENT;
}

static int mptcp_limits(int family, uint32_t most)
{
	struct answer answer;
	struct request r;

	genl_init(&r, family, MPTCP_PM_CMD_SET_LIMITS, MPTCP_PM_VER);
	put(&r, MPTCP_PM_ATTR_RCV_ADD_ADDRS, &most, sizeof(most));
	put(&r, MPTCP_PM_ATTR_SUBFLOWS, &most, sizeof(most));
	return request_ask(&r, NETLINK_GENERIC, &answer);
}

/* Connections may use this address for another path. flags: MPTCP_PM_ADDR_FLAG_* */
int netns_mptcp_endpoint4(const char *ip, uint32_t flags)
{
	int family = genl_family(MPTCP_PM_NAME), rc;
	uint16_t ipv4 = AF_INET;
	struct answer answer;
	struct rtattr *addr;
	struct in_addr in;
	struct request r;

	rc = family < 0 ? family : mptcp_limits(family, 2);
	if (rc)
		return rc;
	inet_pton(AF_INET, ip, &in);
	genl_init(&r, family, MPTCP_PM_CMD_ADD_ADDR, MPTCP_PM_VER);
	addr = put(&r, MPTCP_PM_ATTR_ADDR | NLA_F_NESTED, NULL, 0);
	put(&r, MPTCP_PM_ADDR_ATTR_FAMILY, &ipv4, sizeof(ipv4));
	put(&r, MPTCP_PM_ADDR_ATTR_ADDR4, &in, sizeof(in));
	put(&r, MPTCP_PM_ADDR_ATTR_FLAGS, &flags, sizeof(flags));
	nest_end(&r, addr);
	return request_ask(&r, NETLINK_GENERIC, &answer);
}

int netns_enter(void)
{
	if (unshare(CLONE_NEWNET))
		return -errno;
	return netns_up("lo");
}
