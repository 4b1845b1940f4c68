// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include "sockdiag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"

/* What the kernel fills at most in one go (NLMSG_GOODSIZE rounded up, sk->max_recvmsg_len). */
#define SOCKDIAG_BUFFER (64 * 1024)

/* idiag_timer of a socket in TIME_WAIT, or in FIN_WAIT2 after its close (inet_twsk_diag_fill()) */
#define SOCKDIAG_TIMER_WAIT 3

const char *sockdiag_state_name(enum event_proto proto, enum sockdiag_state state)
{
	static const char *const names[SOCKDIAG_STATE_COUNT] = {
		[SOCKDIAG_ESTABLISHED] = "established",
		[SOCKDIAG_SYN_SENT] = "syn-sent",
		[SOCKDIAG_SYN_RECV] = "syn-recv",
		[SOCKDIAG_FIN_WAIT1] = "fin-wait-1",
		[SOCKDIAG_FIN_WAIT2] = "fin-wait-2",
		[SOCKDIAG_TIME_WAIT] = "time-wait",
		[SOCKDIAG_CLOSE] = "bound", /* how a socket that only has a port is told */
		[SOCKDIAG_CLOSE_WAIT] = "close-wait",
		[SOCKDIAG_LAST_ACK] = "last-ack",
		[SOCKDIAG_LISTEN] = "listen",
		[SOCKDIAG_CLOSING] = "closing",
		[SOCKDIAG_NEW_SYN_RECV] = "syn-recv",
		[SOCKDIAG_BOUND] = "bound",
	};

	if (proto == PROTO_UDP)
		return state == SOCKDIAG_ESTABLISHED ? "connected" : "bound";
	return state < SOCKDIAG_STATE_COUNT && names[state] ? names[state] : "unknown";
}

static void sockdiag_endpoint(struct endpoint *ep, uint8_t family, const uint32_t addr[4],
			      uint16_t port)
{
	const struct in6_addr *ipv6 = (const struct in6_addr *)addr;

	ep->has_port = true;
	ep->port = ntohs(port);
	ep->ip_version = family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(ipv6) ? 6 : 4;
	if (ep->ip_version == 6)
		memcpy(ep->addr, addr, 16);
	else
		memcpy(ep->addr, family == AF_INET6 ? &addr[3] : &addr[0], 4);
}

/* Copies an attribute's value if it is as long as wanted. */
static bool sockdiag_value(const uint8_t *value, size_t len, void *ret, size_t size)
{
	if (len < size)
		return false;
	memcpy(ret, value, size);
	return true;
}

/* What a kernel does not tell yet stays zero: its tcp_info is shorter. */
static void sockdiag_tcp_info(const uint8_t *value, size_t len, struct sockdiag_socket *sock)
{
	struct tcp_info info = { 0 };

	if (sock->proto != PROTO_TCP || sock->state == SOCKDIAG_LISTEN || sock->state == SOCKDIAG_CLOSE ||
	    len < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(info.tcpi_bytes_retrans))
		return;
	memcpy(&info, value, len < sizeof(info) ? len : sizeof(info));
	sock->has_bytes = true;
	sock->bytes_sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans + info.tcpi_notsent_bytes;
	sock->bytes_received = info.tcpi_bytes_received;
}

static void sockdiag_attribute(uint16_t type, const uint8_t *value, size_t len, struct sockdiag_socket *sock);

static void sockdiag_attributes(const uint8_t *at, size_t size, bool nested, struct sockdiag_socket *sock)
{
	struct nlattr attr;
	size_t step;

	while (size >= sizeof(attr)) {
		memcpy(&attr, at, sizeof(attr));
		if (attr.nla_len < sizeof(attr) || attr.nla_len > size)
			return;
		if (nested && attr.nla_type == INET_ULP_INFO_NAME)
			sock->mptcp = attr.nla_len >= sizeof(attr) + 5 && !memcmp(at + sizeof(attr), "mptcp", 5);
		else if (!nested)
			sockdiag_attribute(attr.nla_type & NLA_TYPE_MASK, at + sizeof(attr),
					   attr.nla_len - sizeof(attr), sock);
		step = (size_t)NLA_ALIGN(attr.nla_len);
		if (step >= size)
			return;
		at += step;
		size -= step;
	}
}

/* One attribute behind the fixed part. */
static void sockdiag_attribute(uint16_t type, const uint8_t *value, size_t len, struct sockdiag_socket *sock)
{
	switch (type) {
	case INET_DIAG_SKV6ONLY:
		sock->takes_ipv4 = len && !value[0];
		sock->v6only = len && value[0];
		break;
	case INET_DIAG_INFO:
		sockdiag_tcp_info(value, len, sock);
		break;
	case INET_DIAG_MARK:
		sockdiag_value(value, len, &sock->mark, sizeof(sock->mark));
		break;
	case INET_DIAG_CGROUP_ID:
		sockdiag_value(value, len, &sock->cgroup_id, sizeof(sock->cgroup_id));
		break;
	case INET_DIAG_ULP_INFO:
		sockdiag_attributes(value, len, true, sock);
		break;
	}
}

int sockdiag_parse(enum event_proto proto, const void *message, size_t size,
		   struct sockdiag_socket *ret)
{
	static const uint8_t any[16];
	struct sockdiag_socket sock = { .proto = proto };
	struct inet_diag_msg msg;

	if (size < sizeof(msg))
		return -EBADMSG;
	memcpy(&msg, message, sizeof(msg));
	if (msg.idiag_family != AF_INET && msg.idiag_family != AF_INET6)
		return -EBADMSG;
	sock.state = msg.idiag_state;
	sockdiag_endpoint(&sock.local, msg.idiag_family, msg.id.idiag_src, msg.id.idiag_sport);
	sockdiag_endpoint(&sock.remote, msg.idiag_family, msg.id.idiag_dst, msg.id.idiag_dport);
	sock.inode = msg.idiag_inode;
	sock.uid = msg.idiag_uid;
	sock.queue = msg.idiag_rqueue;
	sock.backlog = sock.state == SOCKDIAG_LISTEN ? msg.idiag_wqueue : 0;
	sock.waits = msg.idiag_timer == SOCKDIAG_TIMER_WAIT;
	if (sock.waits)
		sock.expires_ms = msg.idiag_expires;
	sock.cookie = (uint64_t)msg.id.idiag_cookie[1] << 32 | msg.id.idiag_cookie[0];
	sock.is_ipv6 = msg.idiag_family == AF_INET6;
	sock.ifindex = msg.id.idiag_if;
	sockdiag_attributes((const uint8_t *)message + sizeof(msg), size - sizeof(msg), false, &sock);
	sock.takes_ipv4 = sock.takes_ipv4 && sock.local.ip_version == 6 &&
			  !memcmp(sock.local.addr, any, sizeof(any));
	*ret = sock;
	return 0;
}

/* The older form of the request, which knows no family: the kernel walks its table of connections once, not twice. */
static int sockdiag_ask_both(int fd, const struct sockdiag_query *query)
{
	struct {
		struct nlmsghdr head;
		struct inet_diag_req body;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = TCPDIAG_GETSOCK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .idiag_family = AF_INET,
			  .idiag_ext = query->detail ? 1u << (INET_DIAG_INFO - 1) : 0,
			  .idiag_states = UINT32_MAX,
			  .id.idiag_sport = htons(query->local_port) },
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

static int sockdiag_ask(int fd, const struct sockdiag_query *query)
{
	uint16_t usual = query->proto == PROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	struct {
		struct nlmsghdr head;
		struct inet_diag_req_v2 body;
	} request = {
		.head = { .nlmsg_len = sizeof(request),
			  .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.body = { .sdiag_family = query->ip_version == 6 ? AF_INET6 : AF_INET,
			  .sdiag_protocol = (uint8_t)(query->protocol ? query->protocol : usual),
			  .idiag_ext = query->detail ? 1u << (INET_DIAG_INFO - 1) : 0,
			  .idiag_states = UINT32_MAX,
			  .id.idiag_sport = htons(query->local_port) },
	};

	return send(fd, &request, sizeof(request), 0) < 0 ? -errno : 0;
}

/* What a dump is in the middle of. */
struct sockdiag_walk {
	const struct sockdiag_query *query;
	sockdiag_fn fn;
	void *arg;
	bool done, torn; /* torn: the kernel says that the list changed under it */
};

/* The end of a dump carries its result. */
static int sockdiag_end(struct sockdiag_walk *walk, const struct nlmsghdr *head)
{
	int32_t result = 0;

	walk->done = true;
	if (head->nlmsg_len >= NLMSG_LENGTH(sizeof(result)))
		memcpy(&result, NLMSG_DATA(head), sizeof(result));
	return result;
}

static int sockdiag_message(struct sockdiag_walk *walk, const struct nlmsghdr *head)
{
	struct sockdiag_socket sock;
	int r;

	if (head->nlmsg_flags & NLM_F_DUMP_INTR)
		walk->torn = true;
	if (head->nlmsg_type == NLMSG_DONE || head->nlmsg_type == NLMSG_ERROR)
		return sockdiag_end(walk, head);
	if (head->nlmsg_type != SOCK_DIAG_BY_FAMILY && head->nlmsg_type != TCPDIAG_GETSOCK)
		return 0;
	r = sockdiag_parse(walk->query->proto, NLMSG_DATA(head), NLMSG_PAYLOAD(head, 0), &sock);
	sock.protocol = walk->query->protocol;
	return r < 0 ? r : walk->fn(walk->arg, &sock);
}

static int sockdiag_read(int fd, struct sockdiag_walk *walk)
{
	_free_ char *buffer = malloc(SOCKDIAG_BUFFER);
	int r = 0;

	if (!buffer)
		return -ENOMEM;
	while (!r && !walk->done) {
		ssize_t n = recv(fd, buffer, SOCKDIAG_BUFFER, MSG_TRUNC);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0 || n > SOCKDIAG_BUFFER)
			return -EBADMSG;
		for (struct nlmsghdr *head = (void *)buffer; !r && !walk->done && NLMSG_OK(head, n);
		     head = NLMSG_NEXT(head, n))
			r = sockdiag_message(walk, head);
	}
	return r ? r : walk->torn ? -EINTR : 0;
}

int sockdiag_dump_some(const struct sockdiag_query *query, sockdiag_fn fn, void *arg)
{
	struct sockdiag_walk walk = { .query = query, .fn = fn, .arg = arg };
	_close_ int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r;

	if (fd < 0)
		return -errno;
	r = query->ip_version ? sockdiag_ask(fd, query) : sockdiag_ask_both(fd, query);
	return r < 0 ? r : sockdiag_read(fd, &walk);
}

int sockdiag_dump(enum event_proto proto, uint8_t ip_version, sockdiag_fn fn, void *arg)
{
	struct sockdiag_query query = { .proto = proto, .ip_version = ip_version };

	return sockdiag_dump_some(&query, fn, arg);
}
