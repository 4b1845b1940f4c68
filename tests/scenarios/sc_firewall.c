// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* What a firewall and the network do to connections; nf_tables by netlink alone. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include "workload.h"

/* ---- one rule: TCP to this port is rejected, or dropped, on its way in ---- */

enum verdict { DROP, RESET, ICMP };

struct batch {
	char data[4096];
	size_t len;
	struct nlmsghdr *msg;
};

static void message(struct batch *b, int type, int flags, int family, int res)
{
	struct nfgenmsg *nfg;

	b->msg = (void *)(b->data + b->len);
	memset(b->msg, 0, sizeof(*b->msg) + sizeof(*nfg));
	b->msg->nlmsg_type = type;
	b->msg->nlmsg_flags = NLM_F_REQUEST | flags;
	b->msg->nlmsg_len = NLMSG_LENGTH(sizeof(*nfg));
	nfg = NLMSG_DATA(b->msg);
	nfg->nfgen_family = family;
	nfg->res_id = htons(res);
	b->len += NLMSG_ALIGN(b->msg->nlmsg_len);
}

static void table_message(struct batch *b, int type, int flags)
{
	message(b, NFNL_SUBSYS_NFTABLES << 8 | type, flags, NFPROTO_IPV4, 0);
}

static struct nlattr *attr(struct batch *b, int type, const void *data, size_t len)
{
	struct nlattr *a = (void *)(b->data + b->len);

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	if (len)
		memcpy((char *)a + NLA_HDRLEN, data, len);
	b->len += NLA_ALIGN(a->nla_len);
	b->msg->nlmsg_len = b->data + b->len - (char *)b->msg;
	return a;
}

static void attr_string(struct batch *b, int type, const char *text)
{
	attr(b, type, text, strlen(text) + 1);
}

static void attr_be32(struct batch *b, int type, uint32_t value)
{
	value = htonl(value);
	attr(b, type, &value, sizeof(value));
}

static struct nlattr *nest(struct batch *b, int type)
{
	return attr(b, type | NLA_F_NESTED, NULL, 0);
}

static void nest_end(struct batch *b, struct nlattr *a)
{
	a->nla_len = b->data + b->len - (char *)a;
}

static struct nlattr *expression(struct batch *b, const char *name, struct nlattr **ret_data)
{
	struct nlattr *e = nest(b, NFTA_LIST_ELEM);

	attr_string(b, NFTA_EXPR_NAME, name);
	*ret_data = nest(b, NFTA_EXPR_DATA);
	return e;
}

static void expression_end(struct batch *b, struct nlattr *e, struct nlattr *data)
{
	nest_end(b, data);
	nest_end(b, e);
}

/* The port stands in the third and fourth byte of the header. */
static void match_port(struct batch *b, int port)
{
	struct nlattr *e, *data, *value;
	uint16_t be = htons(port);

	e = expression(b, "payload", &data);
	attr_be32(b, NFTA_PAYLOAD_DREG, NFT_REG_1);
	attr_be32(b, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_TRANSPORT_HEADER);
	attr_be32(b, NFTA_PAYLOAD_OFFSET, 2);
	attr_be32(b, NFTA_PAYLOAD_LEN, 2);
	expression_end(b, e, data);
	e = expression(b, "cmp", &data);
	attr_be32(b, NFTA_CMP_SREG, NFT_REG_1);
	attr_be32(b, NFTA_CMP_OP, NFT_CMP_EQ);
	value = nest(b, NFTA_CMP_DATA);
	attr(b, NFTA_DATA_VALUE, &be, sizeof(be));
	nest_end(b, value);
	expression_end(b, e, data);
}

static void drop_it(struct batch *b)
{
	struct nlattr *e, *data, *value, *verdict;

	e = expression(b, "immediate", &data);
	attr_be32(b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	value = nest(b, NFTA_IMMEDIATE_DATA);
	verdict = nest(b, NFTA_DATA_VERDICT);
	attr_be32(b, NFTA_VERDICT_CODE, NF_DROP);
	nest_end(b, verdict);
	nest_end(b, value);
	expression_end(b, e, data);
}

static void reject_it(struct batch *b, enum verdict verdict, uint8_t code)
{
	struct nlattr *e, *data;

	e = expression(b, "reject", &data);
	attr_be32(b, NFTA_REJECT_TYPE,
		  verdict == RESET ? NFT_REJECT_TCP_RST : NFT_REJECT_ICMP_UNREACH);
	if (verdict == ICMP)
		attr(b, NFTA_REJECT_ICMP_CODE, &code, 1);
	expression_end(b, e, data);
}

static void put_chain(struct batch *b)
{
	struct nlattr *hook;

	table_message(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	attr_string(b, NFTA_TABLE_NAME, "t");
	table_message(b, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	attr_string(b, NFTA_CHAIN_TABLE, "t");
	attr_string(b, NFTA_CHAIN_NAME, "c");
	hook = nest(b, NFTA_CHAIN_HOOK);
	attr_be32(b, NFTA_HOOK_HOOKNUM, NF_INET_LOCAL_IN);
	attr_be32(b, NFTA_HOOK_PRIORITY, 0);
	nest_end(b, hook);
	attr_string(b, NFTA_CHAIN_TYPE, "filter");
}

static void put_rule(struct batch *b, int port, enum verdict verdict, uint8_t code)
{
	struct nlattr *list;

	table_message(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ACK);
	attr_string(b, NFTA_RULE_TABLE, "t");
	attr_string(b, NFTA_RULE_CHAIN, "c");
	list = nest(b, NFTA_RULE_EXPRESSIONS);
	match_port(b, port);
	if (verdict == DROP)
		drop_it(b);
	else
		reject_it(b, verdict, code);
	nest_end(b, list);
}

static int send_batch(const struct batch *b)
{
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char rest[4096];
	} ack = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER), rc = 0;

	if (fd < 0)
		return -errno;
	if (send(fd, b->data, b->len, 0) < 0 || recv(fd, &ack, sizeof(ack), 0) < 0)
		rc = -errno;
	else if (ack.h.nlmsg_type == NLMSG_ERROR)
		rc = ack.e.error;
	close(fd);
	return rc;
}

static int firewall(int port, enum verdict verdict, uint8_t code)
{
	struct batch b = { .len = 0 };

	message(&b, NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES);
	put_chain(&b);
	put_rule(&b, port, verdict, code);
	message(&b, NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES);
	return send_batch(&b) ? sc_skip("the kernel has no nf_tables") : 0;
}

/* ---- connect() ---- */

/* .n: the code of the ICMP message, -1: a RST. A listener is there, and does not matter. */
static int rejected(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3);
	struct sock *c = s_open(v->family, SOCK_STREAM | (v->flags & V_NONBLOCK ? SOCK_NONBLOCK : 0));
	int rc;

	WANT(l && c);
	rc = firewall(l->local.port, v->n < 0 ? RESET : ICMP, v->n < 0 ? 0 : v->n);
	if (rc)
		return rc;
	rc = s_connect(c, v->ip, l->local.port);
	if (rc == -EINPROGRESS)
		rc = s_connect_result(c, 15000);
	WANT(rc == -v->err);
	return 0;
}

static int dropped(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);
	int rc;

	WANT(l && c);
	rc = firewall(l->local.port, DROP, 0);
	if (rc)
		return rc;
	WANT(s_set(c, IPPROTO_TCP, TCP_SYNCNT, 1) == 0);
	WANT(s_connect(c, v->ip, l->local.port) == -ETIMEDOUT);
	return 0;
}

/* TCP_USER_TIMEOUT counts for connect() too. */
static int dropped_user_timeout(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c = s_open(v->family, SOCK_STREAM);
	int rc;

	WANT(l && c);
	rc = firewall(l->local.port, DROP, 0);
	if (rc)
		return rc;
	WANT(s_set(c, IPPROTO_TCP, TCP_USER_TIMEOUT, 500) == 0);
	WANT(s_connect(c, v->ip, l->local.port) == -ETIMEDOUT);
	return 0;
}

/* ---- established ---- */

static int wait_error(struct sock *s, const struct variant *v)
{
	struct pollfd pfd = { .fd = s->fd };

	WANT(poll(&pfd, 1, 15000) == 1);
	if (v->flags & V_READ_ERROR)
		WANT(s_error(s) == -v->err);
	s->broken = v->err;
	return 0;
}

/* The firewall answers for the server, which knows nothing and ends with its process. */
static int cut_by_reset(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a;
	int rc;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(s_transfer(c, a, 5) == 0);
	rc = firewall(l->local.port, RESET, 0);
	if (rc)
		return rc;
	WANT(s_send(c, 7) == 7);
	WANT(wait_error(c, v) == 0);
	return s_close(c);
}

/* Nothing is answered any more: what was sent counts as sent, and did not arrive. */
static int cut_by_silence(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a;
	int rc;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(s_transfer(c, a, 5) == 0);
	rc = firewall(l->local.port, DROP, 0);
	if (rc)
		return rc;
	WANT(s_set(c, IPPROTO_TCP, TCP_USER_TIMEOUT, 400) == 0);
	WANT(s_send(c, 7) == 7);
	WANT(wait_error(c, v) == 0);
	return s_close(c);
}

/* Keepalive finds out, without a byte of the program's. */
static int cut_idle(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a;
	int rc;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	rc = firewall(l->local.port, DROP, 0);
	if (rc)
		return rc;
	WANT(s_set(c, IPPROTO_TCP, TCP_KEEPIDLE, 1) == 0);
	WANT(s_set(c, IPPROTO_TCP, TCP_KEEPINTVL, 1) == 0);
	WANT(s_set(c, IPPROTO_TCP, TCP_KEEPCNT, 1) == 0);
	WANT(s_set(c, SOL_SOCKET, SO_KEEPALIVE, 1) == 0);
	WANT(wait_error(c, v) == 0);
	return s_close(c);
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
enum { NET = 0, HOST = 1, PORT = 3, PROHIBITED = 13 };

const struct scenario firewall_scenarios[] = {
	SC("firewall_reset", rejected, OWN_NETNS, TCP4, .n = -1, .err = ECONNREFUSED),
	SC("firewall_reset_nb", rejected, OWN_NETNS, TCP4, .n = -1, .err = ECONNREFUSED,
	   .flags = V_NONBLOCK),
	{ .name = "firewall_icmp_port", .fn = rejected, .needs = OWN_NETNS,
	  .v = { TCP4, .n = PORT, .err = ECONNREFUSED },
	  .cgroup_blind = "what an ICMP message ended looks like given up" },
	SC("firewall_icmp_host", rejected, OWN_NETNS, TCP4, .n = HOST, .err = EHOSTUNREACH),
	SC("firewall_icmp_prohibited", rejected, OWN_NETNS, TCP4, .n = PROHIBITED,
	   .err = EHOSTUNREACH),
	SC("firewall_drop", dropped, OWN_NETNS, TCP4),
	SC("firewall_drop_user_timeout", dropped_user_timeout, OWN_NETNS, TCP4),
	SC("cut_by_reset", cut_by_reset, OWN_NETNS, TCP4, .err = ECONNRESET),
	SC("cut_by_reset_read", cut_by_reset, OWN_NETNS, TCP4, .err = ECONNRESET,
	   .flags = V_READ_ERROR),
	SC("cut_by_silence", cut_by_silence, OWN_NETNS, TCP4, .err = ETIMEDOUT),
	SC("cut_by_silence_read", cut_by_silence, OWN_NETNS, TCP4, .err = ETIMEDOUT,
	   .flags = V_READ_ERROR),
	SC("cut_idle_keepalive", cut_idle, OWN_NETNS, TCP4, .err = ETIMEDOUT),
	SC_END,
};
