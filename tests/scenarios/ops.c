// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Socket calls which write down what porttrace has to show for them. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "workload.h"

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* Below the usual ephemeral range; each run begins elsewhere, so that two do not meet. */
#define FIRST_PORT (20001 + getpid() % 50 * 180)
#define LAST_PORT 29999

static struct sock pool[512];
static pthread_mutex_t pool_lock = PTHREAD_MUTEX_INITIALIZER;

/* ---- endpoints ---- */

struct ep ep_none(void)
{
	return (struct ep){ .port = -1 };
}

struct ep ep_port(int port)
{
	return (struct ep){ .port = port };
}

static void ep_of_v6(struct ep *ep, const struct sockaddr_in6 *in6)
{
	const struct in6_addr *a = &in6->sin6_addr;

	ep->any = IN6_IS_ADDR_UNSPECIFIED(a);
	ep->port = ntohs(in6->sin6_port);
	if (IN6_IS_ADDR_V4MAPPED(a))
		inet_ntop(AF_INET, a->s6_addr + 12, ep->ip, sizeof(ep->ip));
	else
		inet_ntop(AF_INET6, a, ep->ip, sizeof(ep->ip));
}

struct ep ep_of(const void *sa, socklen_t len)
{
	const struct sockaddr_in *in = sa;
	struct ep ep = ep_none();

	if (in->sin_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
		ep_of_v6(&ep, sa);
	} else if (in->sin_family == AF_INET && len >= sizeof(*in)) {
		ep.any = in->sin_addr.s_addr == htonl(INADDR_ANY);
		ep.port = ntohs(in->sin_port);
		inet_ntop(AF_INET, &in->sin_addr, ep.ip, sizeof(ep.ip));
	}
	return ep;
}

static struct ep ep_ask(int fd, int (*ask)(int, struct sockaddr *, socklen_t *))
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);

	if (ask(fd, (struct sockaddr *)&ss, &len))
		return ep_none();
	return ep_of(&ss, len);
}

struct ep ep_local(int fd)
{
	return ep_ask(fd, getsockname);
}

struct ep ep_peer(int fd)
{
	return ep_ask(fd, getpeername);
}

socklen_t sa_fill(struct sockaddr_storage *ss, int family, const char *ip, int port)
{
	struct sockaddr_in6 *in6 = (void *)ss;
	struct sockaddr_in *in = (void *)ss;

	memset(ss, 0, sizeof(*ss));
	ss->ss_family = family;
	if (family == AF_INET6) {
		in6->sin6_port = htons(port);
		inet_pton(AF_INET6, ip, &in6->sin6_addr);
		return sizeof(*in6);
	}
	in->sin_port = htons(port);
	inet_pton(AF_INET, ip, &in->sin_addr);
	return sizeof(*in);
}

/* ---- ports and small files ---- */

int read_number(const char *path, int fallback)
{
	FILE *f = fopen(path, "re");
	int n = fallback;

	if (!f)
		return fallback;
	if (fscanf(f, "%d", &n) != 1)
		n = fallback;
	fclose(f);
	return n;
}

int write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static bool port_listed(const char *path, int port)
{
	FILE *f = fopen(path, "re");
	unsigned int local;
	char line[512];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = sscanf(line, " %*u: %*32[0-9A-F]:%x", &local) == 1 && (int)local == port;
	if (f)
		fclose(f);
	return found;
}

/*
 * A port that nobody uses. Asking the kernel by bind() would be an event, so read the tables;
 * the counter is shared with the children.
 */
int next_port(void)
{
	static const char *const tables[] = { "/proc/self/net/tcp", "/proc/self/net/tcp6",
					      "/proc/self/net/udp", "/proc/self/net/udp6" };
	static int *counter;
	bool busy = true;

	if (!counter) {
		counter = mmap(NULL, sizeof(*counter), PROT_READ | PROT_WRITE,
			       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		*counter = FIRST_PORT;
	}
	while (busy && *counter < LAST_PORT) {
		(*counter)++;
		busy = false;
		for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
			busy |= port_listed(tables[i], *counter);
	}
	return *counter;
}

/* ---- the sockets of this process ---- */

struct sock *s_adopt(const struct sock *from)
{
	struct sock *s = NULL;

	pthread_mutex_lock(&pool_lock);
	for (size_t i = 0; i < ARRAY_SIZE(pool) && !s; i++)
		if (!pool[i].used)
			s = &pool[i];
	if (s) {
		*s = *from;
		s->used = true;
	}
	pthread_mutex_unlock(&pool_lock);
	return s;
}

void s_forget(struct sock *s)
{
	pthread_mutex_lock(&pool_lock);
	s->used = false;
	pthread_mutex_unlock(&pool_lock);
}

/* A copy which fork() gave to a child, or which somebody else has too: no last reference. */
void s_drop(struct sock *s)
{
	close(s->fd);
	s_forget(s);
}

void s_drop_all(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		if (pool[i].used)
			s_drop(&pool[i]);
}

struct sock *s_find(bool (*is)(const struct sock *s, const void *arg), const void *arg)
{
	for (size_t i = 0; i < ARRAY_SIZE(pool); i++)
		if (pool[i].used && is(&pool[i], arg))
			return &pool[i];
	return NULL;
}

void s_close_all(void)
{
	for (size_t i = ARRAY_SIZE(pool); i-- > 0;)
		if (pool[i].used && !pool[i].keep)
			s_close(&pool[i]);
}

/* Asking for the cookie makes the kernel give one, so ask before the first event. */
static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len);
	return cookie;
}

/* A 32-bit program's calls do not say their descriptor to whoever looks from outside. */
static const bool narrow = sizeof(void *) == 4;

struct sock *s_new(int fd, int family, int type, int proto)
{
	struct sock s = { .fd = fd, .family = family, .type = type, .proto = proto };
	struct stat st = { 0 };

	stat("/proc/thread-self/ns/net", &st);
	s.cookie = cookie_of(fd);
	s.netns = st.st_ino;
	s.born_ns = clock_ns(CLOCK_MONOTONIC);
	s.local = s.remote = ep_none();
	s.older = rec_paused();
	s.no_fd = narrow;
	return s_adopt(&s);
}

struct sock *s_open_proto(int family, int type, int proto)
{
	int fd = socket(family, type | SOCK_CLOEXEC, proto);

	if (fd < 0)
		return NULL;
	return s_new(fd, family, type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC), proto);
}

struct sock *s_open(int family, int type)
{
	return s_open_proto(family, type, 0);
}

bool s_is_mptcp(const struct sock *s)
{
	return s->proto == IPPROTO_MPTCP;
}

void s_made(struct sock *s)
{
	if (!s->made)
		rec_who(&s->maker);
	s->made = true;
}

/* The next bind() or listen() of s will find its port in the hands of another socket. */
void s_held(struct sock *s, const char *kind, const struct sock *by)
{
	s->held = (struct holder){ .kind = kind, .who = by->maker };
	snprintf(s->held.ip, sizeof(s->held.ip), "%s", by->local.ip);
}

int s_set(struct sock *s, int level, int name, int value)
{
	return setsockopt(s->fd, level, name, &value, sizeof(value)) ? -errno : 0;
}

struct expect expect_of(const struct sock *s, const char *action, int rc)
{
	return (struct expect){
		.action = action, .s = s, .failed = rc < 0, .err = rc < 0 ? -rc : 0,
		.local = ep_none(), .remote = ep_none(), .requested = ep_none(), .backlog = -1,
		.sent = -1, .port_free = -1,
	};
}

/* ---- bind, listen ---- */

void rec_bind(struct sock *s, int rc, const struct ep *asked, unsigned int free)
{
	struct expect e = expect_of(s, "bind", rc);

	if (rc == 0)
		s_made(s);
	e.free = free;
	e.requested = *asked;
	e.how = asked->port > 0 ? "explicit" : "bind0";
	e.local = *asked;
	if (rc == 0) {
		e.local = s->local = ep_local(s->fd);
		s->holds_port = s->local.port > 0;
		s->explicit_port = asked->port > 0;
		if (!s->holds_port) {
			e.how = NULL;
			e.note = "bind_without_port";
		}
	}
	rec_event(&e);
}

int s_bind_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free)
{
	const struct sockaddr_in *in = sa;
	struct ep asked = ep_of(sa, len);
	int rc = call_bind(s->fd, sa, len) ? -errno : 0;

	if (asked.port < 0)
		asked.port = ntohs(in->sin_port);
	rec_bind(s, rc, &asked, free);
	return rc;
}

int s_bind(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);

	return s_bind_sa(s, &ss, len, 0);
}

/* What the kernel makes of listen()'s argument. */
static int effective_backlog(int backlog)
{
	unsigned int most = read_number("/proc/sys/net/core/somaxconn", 4096);

	return (unsigned int)backlog > most ? most : (unsigned int)backlog;
}

void rec_listen(struct sock *s, int rc, int backlog)
{
	bool had_port = s->holds_port;
	struct expect e = expect_of(s, "listen", rc);

	if (rc == 0)
		s_made(s);

	e.local = ep_local(s->fd);
	if (!had_port) {
		e.how = "autobind";
		e.requested = ep_port(0);
		e.free = F_REQ_IP;
	}
	if (rc == 0) {
		s->listening = s->holds_port = true;
		s->local = e.local;
		e.backlog = effective_backlog(backlog);
	} else {
		e.free |= F_BACKLOG | (had_port ? 0 : F_LOCAL_IP);
	}
	rec_event(&e);
}

int s_listen(struct sock *s, int backlog)
{
	int rc = call_listen(s->fd, backlog) ? -errno : 0;

	if (!s->listening || rc)
		rec_listen(s, rc, backlog);
	return rc;
}

struct sock *s_listener(int family, const char *ip, int backlog)
{
	struct sock *s = s_open(family, SOCK_STREAM);

	if (!s || s_bind(s, ip, next_port()) || s_listen(s, backlog))
		return NULL;
	return s;
}

/* ---- TCP connect ---- */

/*
 * Of a connect() that failed, the local address is known when the program bound it, and the
 * local port when the kernel still tells it.
 */
static void failed_local(const struct sock *s, struct expect *e)
{
	if (e->local.port <= 0)
		e->local = s->local;
	if (!e->local.ip[0] || e->local.any) {
		e->local.ip[0] = '\0';
		e->free |= F_LOCAL_IP;
	}
}

/* These reach SYN_SENT and come from the network: the port was taken, and is given back. */
static bool async_error(int rc)
{
	return rc == -ECONNREFUSED || rc == -ETIMEDOUT || rc == -EHOSTUNREACH;
}

static void connect_failed(struct sock *s, struct expect *e, int rc, bool sync)
{
	e->sync = sync;
	failed_local(s, e);
	if (!sync && e->local.port <= 0)
		e->free |= F_LOCAL_PORT;
	if (!sync && !s->explicit_port && rc != 0) {
		s->holds_port = false;
		s->local = ep_none();
	}
}

void rec_connect(struct sock *s, int rc, bool sync, unsigned int free)
{
	struct expect e = expect_of(s, "connect", rc);

	e.role = ROLE_EGRESS;
	e.free = free;
	e.remote = s->remote;
	e.took_ns = clock_ns(CLOCK_MONOTONIC) - s->connect_ns;
	if (s->connect_picks) {
		e.how = "connect";
		e.requested = ep_port(0);
		e.free |= F_REQ_IP;
	}
	/* The kernel did not come to pick a port for what was denied. */
	if (rc && s->cause && !strcmp(s->cause, "denied"))
		e.free |= F_HOW | F_REQ_PORT;
	e.local = ep_local(s->fd);
	if (rc == 0) {
		s->role = ROLE_EGRESS;
		s->established = s->holds_port = true;
		s->local = e.local;
		e.remote = s->remote = ep_peer(s->fd);
	} else {
		connect_failed(s, &e, rc, sync);
	}
	s->connecting = false;
	rec_event(&e);
	/* The kernel takes the port back first, and wakes the program then. */
	if (with_release && async_error(rc) && s->connect_picks)
		rec_release(s, e.remote, clock_ns(CLOCK_MONOTONIC) - 1000000000);
}

/* The program gave up an attempt whose result it never saw. */
void rec_given_up(struct sock *s, int64_t at_ns)
{
	struct expect e = expect_of(s, "connect", 0);

	e.failed = true;
	e.reason = "given up by the program";
	e.note = s->unsent ? "unsent" : NULL;
	e.role = ROLE_EGRESS;
	e.local = s->local;
	e.remote = s->remote;
	e.at_ns = at_ns;
	if (s->connect_picks) {
		e.how = "connect";
		e.requested = ep_port(0);
		e.free = F_REQ_IP;
	}
	s->connecting = false;
	rec_event(&e);
}

static bool no_result_yet(int rc)
{
	return rc == -EINPROGRESS || rc == -EINTR || rc == -EALREADY;
}

void connect_begins(struct sock *s, const void *sa, socklen_t len)
{
	s->connect_ns = clock_ns(CLOCK_MONOTONIC);
	s->connect_picks = !s->holds_port;
	if (s->connect_picks)
		s_made(s);
	s->remote = ep_of(sa, len);
}

static int connect_ends(struct sock *s, int rc, unsigned int free)
{
	bool sync = !async_error(rc) || (fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	struct ep local;

	if (!no_result_yet(rc)) {
		rec_connect(s, rc, rc != 0 && sync, free);
		return rc;
	}
	s->connecting = s->holds_port = true;
	local = ep_local(s->fd);
	if (local.port > 0)
		s->local = local;
	return rc;
}

int s_connect_sa(struct sock *s, const void *sa, socklen_t len, unsigned int free)
{
	int rc;

	/* Once more on the same attempt, or on a connection: no event. */
	if (s->connecting || s->established)
		return call_connect(s->fd, sa, len) ? -errno : 0;
	connect_begins(s, sa, len);
	rc = call_connect(s->fd, sa, len) ? -errno : 0;
	return connect_ends(s, rc, free);
}

int s_connect(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);

	return s_connect_sa(s, &ss, len, 0);
}

int s_fastopen(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);
	ssize_t n;

	connect_begins(s, &ss, len);
	n = sendto(s->fd, "x", 1, MSG_FASTOPEN, (void *)&ss, len);
	s->sent += n > 0 ? n : 0;
	return connect_ends(s, n < 0 ? -errno : 0, 0);
}

/* TCP_FASTOPEN_CONNECT: connect() says 0 and sends nothing; s_connect_write() sends the SYN. */
int s_connect_deferred(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);
	int rc;

	connect_begins(s, &ss, len);
	rc = call_connect(s->fd, &ss, len) ? -errno : 0;
	s->unsent = rc == 0;
	connect_ends(s, rc ? rc : -EINPROGRESS, 0);
	return rc;
}

/* The result is that of the connect(), unless the socket does not block: then it is to come. */
int s_connect_write(struct sock *s)
{
	bool blocks = !(fcntl(s->fd, F_GETFL) & O_NONBLOCK);
	ssize_t n = send(s->fd, "x", 1, MSG_NOSIGNAL);
	int rc = n < 0 ? -errno : 0;

	s->unsent = false;
	s->sent += n > 0 ? n : 0;
	if (rc == 0 && !blocks)
		return -EINPROGRESS;
	if (!no_result_yet(rc))
		rec_connect(s, rc, false, 0);
	return rc;
}

static bool connect_is_over(const struct sock *s)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };

	if (poll(&pfd, 1, 10) == 1 && (pfd.revents & POLLHUP || ep_peer(s->fd).port > 0))
		return true;
	usleep(1000);
	return false;
}

int s_connect_result(struct sock *s, int timeout_ms)
{
	int64_t until = clock_ns(CLOCK_MONOTONIC) + timeout_ms * 1000000LL;
	int rc = 0;

	/* SO_ERROR would also take an error that is none yet (sk_err_soft), so wait for the end. */
	while (!connect_is_over(s))
		if (clock_ns(CLOCK_MONOTONIC) > until)
			return -EINPROGRESS;
	/*
	 * After an ICMP error poll() has been seen to return a moment before SO_ERROR tells:
	 * neither connected nor an error is no result yet.
	 */
	for (int i = 0; i < 1000 && rc == 0; i++) {
		rc = s_error(s);
		if (rc || ep_peer(s->fd).port > 0)
			break;
		usleep(1000);
	}
	rec_connect(s, rc, false, 0);
	return rc;
}

/*
 * SO_ERROR as soon as there is one. After an ICMP that the kernel does not take for final, that
 * is while it still tries: the program is told an error, and has a socket that connects.
 */
int s_connect_early(struct sock *s, int timeout_ms)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLOUT };
	struct ep local = s->local;
	int rc;

	if (poll(&pfd, 1, timeout_ms) != 1)
		return -EINPROGRESS;
	rc = s_error(s);
	rec_connect(s, rc, false, 0);
	s->local = local;
	s->holds_port = ep_local(s->fd).port > 0;
	if (s->holds_port)
		s->role = ROLE_EGRESS;
	return rc;
}

int s_disconnect(struct sock *s)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };
	int rc = connect(s->fd, &sa, sizeof(sa)) ? -errno : 0;

	if (rc)
		return rc;
	if (s->connecting)
		rec_given_up(s, 0);
	s->role = ROLE_NONE;
	s->remote = ep_none();
	s->holds_port = s->explicit_port;
	if (with_release && s->type == SOCK_DGRAM && !s->holds_port)
		rec_disconnected_release(s);
	return 0;
}

/* ---- UDP ---- */

/* The bind that sendto() or connect() makes by itself on a socket without a port. */
static void rec_autobind(struct sock *s, int rc, const char *by, const struct ep *before)
{
	struct expect e = expect_of(s, "bind", rc);

	if (rc == 0)
		s_made(s);
	e.how = "autobind";
	e.requested = ep_port(0);
	e.free = F_REQ_IP;
	e.by = by;
	e.local = *before;
	if (rc == 0) {
		e.local.port = ep_local(s->fd).port;
		s->holds_port = true;
	} else {
		e.free |= F_LOCAL_IP;
		e.local.ip[0] = '\0';
	}
	rec_event(&e);
}

int s_udp_connect(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);
	struct ep before = ep_local(s->fd);
	int rc = connect(s->fd, (void *)&ss, len) ? -errno : 0;
	struct expect e = expect_of(s, "connect", rc);

	if (!s->holds_port) {
		s->autobound_by_connect = true;
		rec_autobind(s, rc == -EAGAIN ? rc : 0, "connect", &before);
	}
	e.role = ROLE_EGRESS;
	e.local = ep_local(s->fd);
	e.remote = ep_of(&ss, len);
	s->udp_failed = rc != 0;
	if (rc) {
		failed_local(s, &e);
	} else {
		s->role = ROLE_EGRESS;
		s->local = e.local;
		s->remote = e.remote;
	}
	rec_event(&e);
	return rc;
}

static int sent_by(struct sock *s, ssize_t n, const char *by, const struct ep *before)
{
	int rc = n < 0 ? -errno : 0;

	if (!s->holds_port)
		rec_autobind(s, rc == -EAGAIN ? rc : 0, by, before);
	return rc;
}

int s_sendto(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);
	struct ep before = ep_local(s->fd);

	return sent_by(s, sendto(s->fd, "x", 1, 0, (void *)&ss, len), "sendto", &before);
}

int s_sendmsg(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = { .msg_name = &ss, .msg_iov = &iov, .msg_iovlen = 1 };
	struct ep before = ep_local(s->fd);

	msg.msg_namelen = sa_fill(&ss, s->family, ip, port);
	return sent_by(s, sendmsg(s->fd, &msg, 0), "sendmsg", &before);
}

/* ---- accept ---- */

/* The process of the new socket is who accepts; that the listener is another's is said too. */
void rec_accept(const struct sock *s, const struct sock *ls)
{
	struct expect e = expect_of(s, "accept", 0);

	e.maker = &ls->maker;
	e.role = ROLE_INGRESS;
	e.how = "inherited";
	e.local = s->local;
	e.remote = s->remote;
	e.cookie_maybe = true;
	rec_event(&e);
}

/* A listener of MPTCP gives a socket of TCP to a client that knows only that. */
static int protocol_of(int fd)
{
	socklen_t len = sizeof(int);
	int proto = 0;

	getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &proto, &len);
	return proto == IPPROTO_TCP ? 0 : proto;
}

void s_accepted(struct sock *s, const struct sock *ls, const struct ep *peer)
{
	s->role = ROLE_INGRESS;
	s->established = s->holds_port = true;
	s->no_fd |= ls->no_fd;
	s->other_tid = ls->other_tid;
	s->local = ep_local(s->fd);
	s->remote = *peer;
	s_found(s);
	s_made(s);
	rec_accept(s, ls);
}

struct sock *s_accept(struct sock *ls, bool want_addr)
{
	struct ep peer;
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sock *s;
	int fd;

	fd = call_accept4(ls->fd, want_addr ? (void *)&ss : NULL, want_addr ? &len : NULL,
			  SOCK_CLOEXEC);
	if (fd < 0)
		return NULL;
	s = s_new(fd, ls->family, SOCK_STREAM, s_is_mptcp(ls) ? protocol_of(fd) : 0);
	if (!s)
		return NULL;
	peer = want_addr ? ep_of(&ss, len) : ep_peer(fd);
	s_accepted(s, ls, &peer);
	return s;
}

/* An accept() that must not give a connection. */
int s_accept_error(struct sock *ls)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	int fd = accept(ls->fd, (void *)&ss, &len), rc = fd < 0 ? -errno : 0;
	struct expect e = expect_of(ls, "accept", rc);

	if (rc == 0) {
		close(fd);
		return 0;
	}
	if (rc == -EAGAIN || rc == -EINTR)
		return rc;
	e.role = ROLE_INGRESS;
	e.local = ep_local(ls->fd);
	rec_event(&e);
	return rc;
}

/* ---- processes ---- */

/* A client of l and what accept() gives for it. */
int s_pair(struct sock *l, const char *ip, struct sock **c, struct sock **a)
{
	*c = s_open(l->family, SOCK_STREAM);
	if (!*c || s_connect(*c, ip, l->local.port))
		return -EIO;
	*a = s_accept(l, true);
	return *a ? 0 : -EIO;
}

pid_t spawn(int (*fn)(void *arg), void *arg)
{
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		int rc;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rec_process();
		rc = fn(arg);
		s_close_all();
		_exit(rc);
	}
	return pid;
}

int reap(pid_t pid)
{
	int status;

	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static char task_state(pid_t pid, pid_t tid)
{
	char path[64], state = '?';
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, tid);
	f = fopen(path, "re");
	if (!f)
		return '?';
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = '?';
	fclose(f);
	return state;
}

/* The task sleeps, and still does 20 ms later: it is blocked in its call. */
bool wait_asleep(pid_t pid, pid_t tid)
{
	for (int seen = 0, i = 0; i < 500; i++) {
		seen = task_state(pid, tid) == 'S' ? seen + 1 : 0;
		if (seen >= 5)
			return true;
		usleep(5000);
	}
	return false;
}
