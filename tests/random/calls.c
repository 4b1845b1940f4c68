// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Socket calls that write down what they were given and what they gave. */
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/time.h>

#include "random.h"

#define STATE_ESTABLISHED 1 /* include/net/tcp_states.h */
#define STATE_SYN_SENT 2
#define STATE_CLOSE 7
#define STATE_LISTEN 10
#define RESULT_PATIENCE 200 /* ms; the listener may be another process's, whose queue is not seen */
#define CONNECT_PATIENCE 20 /* seconds; a connect that blocks longer is a fault of this program */

static void count(void)
{
	__atomic_fetch_add(&shared->calls, 1, __ATOMIC_RELAXED);
}

static const struct {
	int level, name;
} option_names[] = {
	[OPT_REUSEADDR] = { SOL_SOCKET, SO_REUSEADDR },
	[OPT_REUSEPORT] = { SOL_SOCKET, SO_REUSEPORT },
	[OPT_NO_PORT] = { IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT },
	[OPT_V6ONLY] = { IPPROTO_IPV6, IPV6_V6ONLY },
};

/* They are not only what the program has set: accepted sockets inherit, bind() to an address of IPv6 means v6only. */
static uint8_t options_of(const struct slot *s)
{
	uint8_t bits = 0;

	for (int i = OPT_REUSEADDR; i <= (s->family == AF_INET6 ? OPT_V6ONLY : OPT_NO_PORT); i++) {
		socklen_t len = sizeof(int);
		int value = 0;

		if (!getsockopt(s->fds[0], option_names[i].level, option_names[i].name, &value, &len) && value)
			bits |= (uint8_t)(1 << i);
	}
	return bits;
}

static bool has_options(const struct rec *r)
{
	return r->op == OP_BIND || r->op == OP_LISTEN || r->op == OP_CONNECT || r->op == OP_SEND;
}

/* What the socket is before the call. */
static struct rec *begin(enum op op, const struct slot *s)
{
	struct rec *r = record_new(op);

	count();
	r->fd = s->fds[0];
	r->cookie = s->cookie;
	r->family = s->family;
	r->type = s->type;
	r->netns = shared->netns[s->ns];
	r->state0 = (uint8_t)net_state(r->fd);
	r->local0 = net_local(r->fd);
	r->peer0 = net_peer(r->fd);
	if (has_options(r))
		r->options0 = options_of(s);
	return r;
}

static void result(struct rec *r, int ret)
{
	r->err = ret < 0 ? errno : 0;
	r->ret = ret;
}

/* What it is after the call. */
static void after(struct rec *r, const struct slot *s)
{
	r->state1 = (uint8_t)net_state(s->fds[0]);
	r->local = net_local(s->fds[0]);
	r->peer = net_peer(s->fds[0]);
	if (has_options(r))
		r->options = options_of(s);
}

struct slot *slot_free(void)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (!self->slots[i].used)
			return &self->slots[i];
	return NULL;
}

bool slot_listens(const struct slot *s)
{
	return s->used && s->type == SOCK_STREAM && net_state(s->fds[0]) == STATE_LISTEN;
}

bool slot_pending(const struct slot *s)
{
	return s->used && s->type == SOCK_STREAM && net_state(s->fds[0]) == STATE_SYN_SENT;
}

static struct slot *slot_new(int fd, const struct slot *like)
{
	struct slot *s = slot_free();

	if (!s)
		die("no slot is free");
	*s = *like;
	s->used = true;
	s->fds[0] = fd;
	s->nfds = 1;
	s->cookie = net_cookie(fd);
	self->borrowed[s - self->slots] = false;
	return s;
}

struct slot *call_socket(int family, int type, bool nonblock, bool cloexec)
{
	struct slot like = { .family = (uint8_t)family, .type = (uint8_t)type, .nonblock = nonblock,
			     .cloexec = cloexec, .ns = (uint8_t)self->ns };
	struct timeval patience = { .tv_sec = CONNECT_PATIENCE };
	struct rec *r = record_new(OP_SOCKET);
	struct slot *s;
	int fd;

	fd = socket(family, type | (nonblock ? SOCK_NONBLOCK : 0) | (cloexec ? SOCK_CLOEXEC : 0), 0);
	if (fd < 0)
		die("socket");
	if (type == SOCK_STREAM) {
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		/* what is sent arrives before the next call, and not when an acknowledgement comes */
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	}
	count();
	s = slot_new(fd, &like);
	r->ret = r->fd = fd;
	r->cookie = s->cookie;
	r->family = s->family;
	r->type = s->type;
	r->netns = shared->netns[s->ns];
	r->arg2 = cloexec;
	return s;
}

int call_bind(struct slot *s, const struct addr *to, uint32_t len)
{
	struct rec *r = begin(OP_BIND, s);
	struct sockaddr_storage ss;

	net_fill(&ss, to);
	r->given = *to;
	r->len = len;
	result(r, bind(r->fd, (void *)&ss, len));
	after(r, s);
	return r->err;
}

int call_listen(struct slot *s, int backlog)
{
	struct rec *r = begin(OP_LISTEN, s);

	r->arg = backlog;
	result(r, listen(r->fd, backlog));
	after(r, s);
	return r->err;
}

/* The listeners of this process that a connection may have gone to, and how many wait there. */
static void queues(const struct slot *client, int port, unsigned int *lengths)
{
	unsigned int length, max;

	for (size_t i = 0; i < SLOTS; i++) {
		const struct slot *s = &self->slots[i];

		lengths[i] = 0;
		if (s->used && s->type == SOCK_STREAM && s->ns == client->ns && s != client &&
		    net_queue(s->fds[0], &length, &max) && net_local(s->fds[0]).port == port)
			lengths[i] = length + 1;
	}
}

static uint64_t queue_grown(const unsigned int *before, const unsigned int *now)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (now[i] > before[i])
			return self->slots[i].cookie;
	return 0;
}

int call_connect(struct slot *s, const struct addr *to, uint32_t len)
{
	unsigned int before[SLOTS], now[SLOTS];
	struct rec *r = begin(OP_CONNECT, s);
	struct sockaddr_storage ss;

	net_fill(&ss, to);
	r->given = *to;
	r->len = len;
	r->arg = s->nonblock;
	if (s->type == SOCK_STREAM)
		queues(s, to->port, before);
	result(r, connect(r->fd, (void *)&ss, len));
	if (s->type == SOCK_STREAM) {
		net_settle();
		queues(s, to->port, now);
		r->other = queue_grown(before, now);
	}
	after(r, s);
	if (r->state1 != STATE_SYN_SENT && r->state1 != STATE_CLOSE)
		s->connected = true;
	return r->err;
}

void call_disconnect(struct slot *s)
{
	struct rec *r = begin(OP_CONNECT, s);
	struct sockaddr_storage ss = { .ss_family = AF_UNSPEC };

	r->len = sizeof(struct sockaddr_in);
	r->arg = s->nonblock;
	result(r, connect(r->fd, (void *)&ss, r->len));
	if (s->type == SOCK_STREAM)
		net_settle();
	after(r, s);
	s->connected = false;
}

/* The listener of this process where a connection waits that has just been made; 0: none has one. */
static uint64_t queue_filled(const struct slot *client)
{
	unsigned int none[SLOTS], lengths[SLOTS];

	for (size_t i = 0; i < SLOTS; i++)
		none[i] = 1; /* no more than the listener itself */
	queues(client, net_peer(client->fds[0]).port, lengths);
	return queue_grown(none, lengths);
}

/* Is there a result within this time? */
bool call_answered(const struct slot *s, int timeout_ms)
{
	struct pollfd pfd = { .fd = s->fds[0], .events = POLLOUT };

	return poll(&pfd, 1, timeout_ms) == 1;
}

/*
 * The result of a connect() that takes its time. poll() may come a moment before the state; and the state, which the
 * timer of another CPU may have changed, before the listener has the acknowledgement: it would be lost, and the
 * connection be half open, if the listener were closed now.
 */
void call_result(struct slot *s, int timeout_ms)
{
	socklen_t len = sizeof(int);
	struct rec *r;
	int err = 0;

	if (!call_answered(s, timeout_ms))
		die("no result of a connect");
	while (slot_pending(s))
		usleep(1000);
	r = begin(OP_RESULT, s);
	getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &err, &len);
	r->err = err;
	r->ret = err ? -1 : 0;
	net_settle();
	for (int i = 0; !err && i < RESULT_PATIENCE && !(r->other = queue_filled(s)); i++)
		usleep(1000);
	after(r, s);
	if (r->state1 == STATE_ESTABLISHED)
		s->connected = true;
}

/* NULL if there is none. A blocking call with nothing to wait for is not made. */
struct slot *call_accept(struct slot *s, bool nonblock, bool cloexec)
{
	struct slot like = { .family = s->family, .type = SOCK_STREAM, .nonblock = nonblock, .cloexec = cloexec,
			     .ns = s->ns, .connected = true };
	unsigned int length, max;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct slot *child = NULL;
	struct rec *r;

	if (!s->nonblock && net_queue(s->fds[0], &length, &max) && length == 0)
		return NULL;
	r = begin(OP_ACCEPT, s);
	result(r, accept4(r->fd, (void *)&ss, &len, (nonblock ? SOCK_NONBLOCK : 0) | (cloexec ? SOCK_CLOEXEC : 0)));
	if (r->ret >= 0) {
		child = slot_new(r->ret, &like);
		r->other = child->cookie;
		after(r, child);
		r->peer = net_of(&ss, len);
		child->speaks4 = net_is_mapped(&r->peer);
	}
	r->arg2 = cloexec;
	return child;
}

static void forget_fd(struct slot *s, int which)
{
	s->fds[which] = s->fds[--s->nfds];
	if (s->nfds == 0)
		memset(s, 0, sizeof(*s));
}

void call_close(struct slot *s, int which)
{
	struct rec *r = begin(OP_CLOSE, s);
	bool tcp = s->type == SOCK_STREAM;

	r->fd = s->fds[which];
	result(r, close(r->fd));
	forget_fd(s, which);
	if (tcp)
		net_settle();
}

void call_close_all(struct slot *s)
{
	while (s->used)
		call_close(s, s->nfds - 1);
}

int call_send(struct slot *s, const struct addr *to, int bytes)
{
	static const char zeros[256];
	struct rec *r = begin(OP_SEND, s);
	struct sockaddr_storage ss;
	socklen_t len = 0;

	if (to) {
		len = net_fill(&ss, to);
		r->given = *to;
		r->len = len;
	}
	r->arg = bytes;
	result(r, (int)sendto(r->fd, zeros, (size_t)bytes, MSG_NOSIGNAL | MSG_DONTWAIT, to ? (void *)&ss : NULL, len));
	net_settle();
	after(r, s);
	return r->err;
}

void call_recv(struct slot *s)
{
	char buf[4096];
	struct rec *r = begin(OP_RECV, s);

	result(r, (int)recv(r->fd, buf, sizeof(buf), MSG_DONTWAIT));
	after(r, s);
}

void call_shutdown(struct slot *s, int how)
{
	struct rec *r = begin(OP_SHUTDOWN, s);

	r->arg = how;
	result(r, shutdown(r->fd, how));
	if (s->type == SOCK_STREAM)
		net_settle();
	after(r, s);
}

void call_dup(struct slot *s)
{
	struct rec *r;

	if (s->nfds == SLOT_FDS)
		return;
	r = begin(OP_DUP, s);
	result(r, s->cloexec ? fcntl(r->fd, F_DUPFD_CLOEXEC, 0) : dup(r->fd));
	r->arg2 = s->cloexec;
	if (r->ret >= 0)
		s->fds[s->nfds++] = r->ret;
}

static int set_nonblock(int fd, int value)
{
	int flags = fcntl(fd, F_GETFL);

	return fcntl(fd, F_SETFL, value ? flags | O_NONBLOCK : flags & ~O_NONBLOCK);
}

void call_option(struct slot *s, enum socket_option option, int value)
{
	struct linger linger = { value, 0 };
	struct rec *r = begin(OP_OPTION, s);

	r->arg = option;
	r->arg2 = value;
	if (option == OPT_NONBLOCK)
		result(r, set_nonblock(r->fd, value));
	else if (option == OPT_LINGER0)
		result(r, setsockopt(r->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)));
	else
		result(r, setsockopt(r->fd, option_names[option].level, option_names[option].name, &value,
				     sizeof(value)));
	if (r->err)
		return;
	s->nonblock = option == OPT_NONBLOCK ? value : s->nonblock;
	s->v6only = option == OPT_V6ONLY ? value : s->v6only;
	s->linger0 = option == OPT_LINGER0 ? value : s->linger0;
	s->reuseport = option == OPT_REUSEPORT ? value : s->reuseport;
}

void call_error(struct slot *s)
{
	struct rec *r = begin(OP_ERROR, s);
	socklen_t len = sizeof(r->arg);

	result(r, getsockopt(r->fd, SOL_SOCKET, SO_ERROR, &r->arg, &len));
	after(r, s);
}
