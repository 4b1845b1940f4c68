// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * The end of sockets, and what leads there: payload, shutdown(), close(). Who ended a connection
 * first, what it carried and what is left of it afterwards, the program knows from its own calls,
 * from poll() and FIONREAD, and from the kernel's table of connections.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "workload.h"

bool with_release, via_socketcall;
int (*close_by)(int fd) = close;

/* Clients that were closed, or reset, while they waited for an accept(). */
static struct sock gone[64];
static size_t gone_count;

/* ---- the two ends of a connection, both in this process ---- */

static bool is_other_end(const struct sock *s, const void *arg)
{
	const struct sock *one = arg;

	return s != one && s->established && s->netns == one->netns &&
	       s->local.port == one->remote.port && s->remote.port == one->local.port;
}

static struct sock *other_end(const struct sock *s)
{
	return s->established ? s_find(is_other_end, s) : NULL;
}

static bool is_listener_of(const struct sock *s, const void *client)
{
	const struct sock *c = client;

	return s->listening && s->netns == c->netns &&
	       s->local.port == c->remote.port;
}

void s_found(const struct sock *s)
{
	struct sock *client = s_find(is_other_end, s);

	if (client)
		client->accepted = true;
	for (size_t i = 0; i < gone_count; i++)
		if (is_other_end(&gone[i], s))
			gone[i].accepted = true;
}

/* ---- payload ---- */

int64_t s_send(struct sock *s, int n)
{
	char *data = calloc(1, n);
	ssize_t done = data ? send(s->fd, data, n, MSG_NOSIGNAL | MSG_DONTWAIT) : -1;
	int err = errno;

	free(data);
	if (done < 0)
		return -err;
	s->sent += done;
	return done;
}

/* What there is, up to n bytes; 0: the peer's FIN. */
int64_t s_recv(struct sock *s, int n)
{
	char data[65536];
	ssize_t done = recv(s->fd, data, n < (int)sizeof(data) ? n : (int)sizeof(data), 0);

	if (done < 0) {
		int err = errno;

		if (err == ECONNRESET || err == EPIPE || err == ETIMEDOUT || err == EHOSTUNREACH)
			s->broken = err;
		return -err;
	}
	s->got += done;
	return done;
}

/* From one end to the other, more than the buffers between them take at once. */
int s_transfer(struct sock *from, struct sock *to, int n)
{
	for (int left = n, here = 0; left > 0 || here > 0;) {
		int64_t done = left > 0 ? s_send(from, left < 60000 ? left : 60000) : 0;

		if (done < 0 && done != -EAGAIN)
			return done;
		left -= done > 0 ? done : 0;
		here += done > 0 ? done : 0;
		done = here > 0 ? s_recv(to, here) : 0;
		if (done < 0)
			return done;
		here -= done;
	}
	return 0;
}

int s_error(struct sock *s)
{
	socklen_t len = sizeof(int);
	int err = 0;

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len))
		return -errno;
	if (s->established && err)
		s->broken = err;
	return -err;
}

int s_linger0(struct sock *s)
{
	struct linger hard = { .l_onoff = 1 };

	return setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)) ? -errno : 0;
}

/* ---- what has come from the peer ---- */

static void look(struct sock *s, int timeout_ms)
{
	struct pollfd pfd = { .fd = s->fd, .events = POLLRDHUP };

	poll(&pfd, 1, timeout_ms);
	if (pfd.revents & POLLERR && !s->broken)
		s->broken = s->peer_fin ? EPIPE : ECONNRESET;
	if (pfd.revents & (POLLERR | POLLRDHUP | POLLHUP) && !s->closer)
		s->closer = CLOSER_REMOTE;
	if (pfd.revents & POLLRDHUP && !(pfd.revents & POLLERR))
		s->peer_fin = true;
	if (ioctl(s->fd, FIONREAD, &s->unread))
		s->unread = 0;
}

void s_look(struct sock *s)
{
	look(s, 0);
}

bool s_wait_end(struct sock *s)
{
	look(s, 2000);
	return s->closer == CLOSER_REMOTE;
}

/* Something was sent that the other end, if it is ours, has to see before it goes on. */
static void peer_sees(const struct sock *s)
{
	struct sock *other = other_end(s);

	if (other)
		look(other, 1000);
}

/* ---- the kernel's table ---- */

/* The state of the connection's row in one table; 0: none. */
static unsigned int row_state(const char *path, const struct sock *s)
{
	unsigned int local, remote, state, found = 0;
	FILE *f = fopen(path, "re");
	char line[512];

	while (f && !found && fgets(line, sizeof(line), f))
		if (sscanf(line, " %*u: %*32[0-9A-F]:%x %*32[0-9A-F]:%x %x", &local, &remote,
			   &state) == 3 &&
		    (int)local == s->local.port && (int)remote == s->remote.port)
			found = state;
	if (f)
		fclose(f);
	return found;
}

enum { ROW_TIME_WAIT = 6 };

static const char *state_of(const struct sock *s)
{
	unsigned int state = 0;

	if (s->established && s->type == SOCK_STREAM)
		state = row_state("/proc/thread-self/net/tcp", s);
	if (s->established && s->type == SOCK_STREAM && !state && s->family == AF_INET6)
		state = row_state("/proc/thread-self/net/tcp6", s);
	return !state ? "closed" : state == ROW_TIME_WAIT ? "time-wait" : "closing";
}

/* ---- connections that nobody accepted ---- */

/* The kernel's own end of a client's connection, in the listener's queue. */
void rec_unaccepted(const struct sock *ls, const struct sock *client, int err,
		    const struct who *who)
{
	struct expect e = expect_of(ls, "close", -err);

	e.failed = true;
	e.cause = err ? "reset" : "never_accepted";
	e.who = who;
	e.role = ROLE_INGRESS;
	e.local = client->remote;
	e.remote = client->local;
	e.sent = 0;
	e.got = client->sent;
	e.closer = client->peer_fin || client->closer ? CLOSER_REMOTE : CLOSER_LOCAL;
	e.state = "closed";
	e.free = F_COOKIE | F_CREATOR;
	rec_event(&e);
}

/* The listener ends: each connection that waits ends with it, and its client is told by a RST. */
static void end_of_queue(const struct sock *ls, const struct who *who)
{
	for (size_t i = 0; i < gone_count; i++)
		if (!gone[i].accepted && is_listener_of(ls, &gone[i]))
			rec_unaccepted(ls, &gone[i], gone[i].broken, who);
}

static bool waits_for(const struct sock *s, const void *listener)
{
	const struct sock *ls = listener;

	return s->established && s->role == ROLE_EGRESS && !s->accepted && is_listener_of(ls, s);
}

static size_t waiting(const struct sock *ls, struct sock **list, size_t most)
{
	size_t count = 0;

	for (struct sock *s; count < most && (s = s_find(waits_for, ls)); s->accepted = true)
		list[count++] = s;
	return count;
}

/* ---- close ---- */

static void close_endpoints(const struct sock *s, const struct who *who, struct expect *e)
{
	bool udp = s->type == SOCK_DGRAM;

	e->role = s->role;
	e->remote = s->role == ROLE_NONE ? ep_none() : s->remote;
	e->local = s->established || who ? s->local : ep_local(s->fd);
	if (udp && s->autobound_by_connect)
		e->note = "udp_autobound_by_connect";
	if (udp && s->udp_failed)
		e->note = "udp_connect_failed";
}

static bool is_connection(const struct sock *s)
{
	return s->established && s->type == SOCK_STREAM;
}

static void connection_end(const struct sock *s, struct expect *e)
{
	e->err = s->broken;
	e->failed = s->broken != 0;
	e->closer = s->closer;
	e->sent = s->sent;
	e->got = s->got + s->unread;
}

/* Ended by a packet of neither side: by the lack of one, or by an ICMP. */
static bool died_alone(const struct sock *s)
{
	return s->broken && s->broken != ECONNRESET && s->broken != EPIPE;
}

static struct expect close_begins(struct sock *s, const struct who *who)
{
	struct expect e = expect_of(s, "close", 0);

	close_endpoints(s, who, &e);
	e.at_ns = clock_ns(CLOCK_MONOTONIC);
	e.who = who;
	/* A child of accept() is older than its file, so no bound is known for it. */
	if (s->role != ROLE_INGRESS && !s->older)
		e.took_ns = e.at_ns - s->born_ns;
	if (!is_connection(s))
		return e;
	if (!who && !died_alone(s))
		look(s, 0);
	if (!s->closer && !died_alone(s))
		s->closer = CLOSER_LOCAL;
	connection_end(s, &e);
	return e;
}

/* who: the task that really ends the socket, when it is not the caller (exit, kill). */
void rec_close(struct sock *s, const struct who *who)
{
	struct expect e;

	if (!s->established && !s->holds_port)
		return;
	e = close_begins(s, who);
	e.state = state_of(s);
	rec_event(&e);
}

/* Closed before an answer: the attempt fails and the socket, which held a port, is closed. */
static int close_connecting(struct sock *s)
{
	struct expect e = expect_of(s, "close", 0);
	int rc;

	e.at_ns = clock_ns(CLOCK_MONOTONIC);
	e.role = ROLE_EGRESS;
	e.local = s->local;
	e.remote = s->remote;
	e.took_ns = e.at_ns - s->born_ns;
	e.note = s->unsent ? "unsent" : NULL;
	rec_given_up(s, e.at_ns);
	rc = close(s->fd) ? -errno : 0;
	e.state = "closed";
	rec_event(&e);
	s_forget(s);
	return rc;
}

/* A client that closes with its connection still in the queue. */
static void remember_gone(const struct sock *s, bool reset)
{
	if (s->role != ROLE_EGRESS || s->accepted || !is_connection(s) ||
	    !s_find(is_listener_of, s) || gone_count == ARRAY_SIZE(gone))
		return;
	gone[gone_count] = *s;
	gone[gone_count].closer = CLOSER_LOCAL;
	/* After a FIN a RST is a broken pipe. */
	gone[gone_count++].broken = !reset ? 0 : s->fin_sent ? EPIPE : ECONNRESET;
}

static bool lingers_not(const struct sock *s)
{
	struct linger l = { 0 };
	socklen_t len = sizeof(l);

	return !getsockopt(s->fd, SOL_SOCKET, SO_LINGER, &l, &len) && l.l_onoff && !l.l_linger;
}

static void listener_ends(struct sock *s, struct sock **list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		rec_unaccepted(s, list[i], 0, NULL);
	end_of_queue(s, NULL);
	for (size_t i = 0; i < count; i++)
		look(list[i], 1000);
}

static bool shares_port(const struct sock *s, const void *arg)
{
	const struct sock *one = arg;

	return s != one && s->type == one->type && s->netns == one->netns && s->holds_port &&
	       s->local.port == one->local.port;
}

/* The kernel has taken back the port; perhaps it is not the only socket's. */
static struct expect release_of(const struct sock *s)
{
	struct expect e = expect_of(s, "release", 0);

	e.role = s->role;
	e.local = s->local;
	e.remote = s->role == ROLE_NONE ? ep_none() : s->remote;
	e.port_free = !s_find(shares_port, s);
	/* Of UDP no table that can be read in passing says it. */
	e.free = s->type == SOCK_DGRAM ? F_PORT_FREE : 0;
	return e;
}

/* Of a connect() that failed, whose port the program was never told. */
void rec_release(const struct sock *s, struct ep remote, int64_t at_ns)
{
	struct expect e = release_of(s);

	e.role = ROLE_EGRESS;
	e.remote = remote;
	e.at_ns = at_ns;
	e.free |= F_LOCAL_IP | F_LOCAL_PORT;
	rec_event(&e);
}

/* Of a UDP socket that lost its port with its peer. Which address it had is gone by then on some kernels. */
void rec_disconnected_release(const struct sock *s)
{
	struct expect e = release_of(s);

	e.free |= F_LOCAL_IP;
	rec_event(&e);
}

/* What was left of a closed socket, in TIME_WAIT or FIN_WAIT2, is gone. */
void rec_port_back(const struct sock *was)
{
	struct expect e = release_of(was);

	rec_event(&e);
}

/* Until the kernel's table has nothing of a closed connection any more. */
bool s_wait_gone(const struct sock *was, int timeout_ms)
{
	for (int i = 0; i < timeout_ms / 10; i++) {
		if (!strcmp(state_of(was), "closed"))
			return true;
		usleep(10000);
	}
	return false;
}

int s_close(struct sock *s)
{
	bool told = s->established || s->holds_port, listens = s->listening;
	bool reset;
	size_t count;
	struct sock *list[64];
	struct expect e;
	int rc;

	if (s->connecting)
		return close_connecting(s);
	/* The endpoints can only be asked for while the socket is there. */
	e = close_begins(s, NULL);
	count = listens ? waiting(s, list, ARRAY_SIZE(list)) : 0;
	reset = is_connection(s) && !e.err && (lingers_not(s) || s->unread > 0);
	rc = close_by(s->fd) ? -errno : 0;
	e.state = state_of(s);
	if (told)
		rec_event(&e);
	if (listens)
		listener_ends(s, list, count);
	if (is_connection(s) && !died_alone(s))
		peer_sees(s);
	/* After a reset the port has gone before, when the reset came. */
	if (with_release && told && !s->broken && !strcmp(e.state, "closed")) {
		e = release_of(s);
		rec_event(&e);
	}
	remember_gone(s, reset);
	s_forget(s);
	return rc;
}

/* ---- ends without a close ---- */

/* SHUT_WR or SHUT_RDWR of a connection. */
int s_shutdown(struct sock *s, int how)
{
	look(s, 0);
	if (shutdown(s->fd, how))
		return -errno;
	s->fin_sent = true;
	if (!s->closer)
		s->closer = CLOSER_LOCAL;
	peer_sees(s);
	return 0;
}

static void rec_stopped(struct sock *s, int64_t at_ns)
{
	struct expect e = expect_of(s, "close", 0);

	e.at_ns = at_ns;
	e.cause = "shut_down";
	e.local = s->local;
	/* A port that was not asked for by number goes now; the words do not say how that is told. */
	e.free = s->explicit_port ? 0 : F_STATE;
	rec_event(&e);
	s->listening = false;
	s->holds_port = s->explicit_port;
}

/* how < 0: by connect(AF_UNSPEC). */
int s_shutdown_listener(struct sock *s, int how)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };
	struct sock *list[64];
	size_t count = waiting(s, list, ARRAY_SIZE(list));
	int64_t at_ns = clock_ns(CLOCK_MONOTONIC);

	if (how < 0 ? connect(s->fd, &sa, sizeof(sa)) : shutdown(s->fd, how))
		return -errno;
	listener_ends(s, list, count);
	rec_stopped(s, at_ns);
	return 0;
}

int s_drop_connection(struct sock *s)
{
	struct sockaddr sa = { .sa_family = AF_UNSPEC };
	struct expect e = close_begins(s, NULL);

	if (connect(s->fd, &sa, sizeof(sa)))
		return -errno;
	e.cause = "disconnected";
	e.free = F_STATE;
	e.took_ns = 0;
	rec_event(&e);
	peer_sees(s);
	s->established = false;
	s->role = ROLE_NONE;
	s->remote = ep_none();
	s->sent = s->got = s->unread = 0;
	s->closer = CLOSER_NONE;
	s->holds_port = s->explicit_port;
	if (s->holds_port)
		s->local = ep_local(s->fd);
	return 0;
}
