// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* accept(): by whom, since when, and when it fails. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/time.h>
#include <unistd.h>

#include "workload.h"

static int connected_pair(struct sock *l, const struct variant *v, bool want_addr)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(s_accept(l, want_addr));
	return 0;
}

/* A v4 client on a v6 listener: both ends print as IPv4. */
static int accept_dualstack(const struct variant *v)
{
	struct sock *l = s_listener(v->lfamily, v->lip, 5);

	WANT(l);
	return connected_pair(l, v, true);
}

static int accept_null_addr(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5);

	WANT(l);
	return connected_pair(l, v, false);
}

/* ---- in a thread ---- */

struct acceptor {
	struct sock *l;
	_Atomic pid_t tid;
	int rc;
};

static void *accept_and_close(void *arg)
{
	struct acceptor *a = arg;
	struct sock *s;

	/* process.name has to be the leader's all the same */
	pthread_setname_np(pthread_self(), "acceptor");
	a->tid = gettid();
	s = s_accept(a->l, true);
	a->rc = s ? s_close(s) : -errno;
	return NULL;
}

static void *accept_fails(void *arg)
{
	struct acceptor *a = arg;

	a->tid = gettid();
	a->rc = s_accept_error(a->l);
	return NULL;
}

static int thread_blocks(pthread_t *t, void *(*fn)(void *), struct acceptor *a)
{
	if (pthread_create(t, NULL, fn, a))
		return -EAGAIN;
	while (!a->tid)
		usleep(1000);
	return wait_asleep(getpid(), a->tid) ? 0 : -EAGAIN;
}

static int accept_thread(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM);
	static struct acceptor a; /* outlives a scenario that goes wrong */
	pthread_t t;

	WANT(l && c);
	a.l = l;
	WANT(thread_blocks(&t, accept_and_close, &a) == 0);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	pthread_join(t, NULL);
	WANT(a.rc == 0);
	c->accepted = true; /* the other thread may have looked for it before this one had its address */
	return 0;
}

/* shutdown() of a listener wakes who waits in accept() with EINVAL. */
static int accept_shutdown(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5);
	static struct acceptor a;
	pthread_t t;

	WANT(l);
	a.l = l;
	WANT(thread_blocks(&t, accept_fails, &a) == 0);
	WANT(s_shutdown_listener(l, SHUT_RDWR) == 0);
	pthread_join(t, NULL);
	WANT(a.rc == -EINVAL);
	return 0;
}

/* ---- in another process ---- */

static int child_accepts(void *arg)
{
	struct sock *s = s_accept(arg, true);

	WANT(s);
	s_close(s);
	s_drop_all();
	return 0;
}

/* The listener is the parent's; a child, blocked before anybody connects, accepts. */
static int accept_blocked(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c;
	pid_t pid;

	WANT(l);
	pid = spawn(child_accepts, l);
	WANT(wait_asleep(pid, pid));
	c = s_open(v->family, SOCK_STREAM);
	WANT(c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	c->accepted = true;
	WANT(reap(pid) == 0);
	return 0;
}

/* ---- since before porttrace started ---- */

static struct {
	pid_t pid;
	int port;
	struct sock *udp;
} early;

static int early_child(void *arg)
{
	const struct variant *v = ((void **)arg)[0];
	int *pipe_fd = ((void **)arg)[1];
	struct sock *l, *s;

	s_drop_all();
	l = s_listener(v->family, v->ip, 5);
	if (!l || write(pipe_fd[1], &l->local.port, sizeof(int)) != sizeof(int))
		return SC_BAD;
	/* It blocks in here; porttrace is there when it comes back. */
	rec_pause(false);
	s = s_accept(l, true);
	WANT(s);
	s_close(s);
	s_close(l);
	return 0;
}

static int accept_before_start(const struct variant *v)
{
	int pipe_fd[2];
	void *arg[2] = { (void *)v, pipe_fd };

	WANT(pipe(pipe_fd) == 0);
	early.pid = spawn(early_child, arg);
	WANT(read(pipe_fd[0], &early.port, sizeof(int)) == sizeof(int));
	WANT(wait_asleep(early.pid, early.pid));
	close(pipe_fd[0]);
	close(pipe_fd[1]);
	return 0;
}

static int accept_after_start(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	WANT(s_connect(c, v->ip, early.port) == 0);
	return reap(early.pid);
}

static int udp_before_start(const struct variant *v)
{
	early.udp = s_open(v->family, v->type);
	WANT(early.udp);
	early.udp->keep = true;
	WANT(s_bind(early.udp, v->ip, next_port()) == 0);
	return 0;
}

static int udp_after_start(const struct variant *v)
{
	(void)v;
	WANT(early.udp);
	WANT(s_close(early.udp) == 0);
	return 0;
}

/* ---- failures ---- */

static int accept_again(const struct variant *v)
{
	struct sock *l = s_open(v->family, SOCK_STREAM | SOCK_NONBLOCK);

	WANT(l);
	WANT(s_bind(l, v->ip, next_port()) == 0);
	WANT(s_listen(l, 5) == 0);
	WANT(s_accept_error(l) == -EAGAIN);
	WANT(s_accept_error(l) == -EAGAIN);
	return 0;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* A restart is no event, and neither is a timeout. */
static int accept_interrupted(const struct variant *v)
{
	struct itimerval in = { .it_value = { .tv_usec = 50000 } };
	struct timeval tv = { .tv_usec = 50000 };
	struct sigaction sa = { .sa_handler = on_alarm }, old;
	struct sock *l = s_listener(v->family, v->ip, 5);

	WANT(l);
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &in, NULL);
	WANT(s_accept_error(l) == -EINTR);
	sigaction(SIGALRM, &old, NULL);
	WANT(setsockopt(l->fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv)) == 0);
	WANT(s_accept_error(l) == -EAGAIN);
	return 0;
}

static int accept_not_listening(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(s_accept_error(s) == -EINVAL);
	return 0;
}

/* The listener is closed with a connection that nobody accepted: its end is told too. */
static int never_accepted(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM);

	WANT(l && c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	s_close(l);
	return 0;
}

static int many_accept(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 64);

	WANT(l);
	for (int i = 0; i < 60; i++)
		if (connected_pair(l, v, i & 1))
			return SC_BAD;
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")

const struct scenario accept_scenarios[] = {
	{ .name = "accept_blocked_since_before", .fn = accept_after_start, .v = { TCP4 },
	  .before = accept_before_start },
	{ .name = "udp4_bound_since_before", .fn = udp_after_start,
	  .v = { AT(AF_INET, SOCK_DGRAM, "127.0.0.1") },
	  .before = udp_before_start },
	SC("accept_blocked", accept_blocked, 0, TCP4),
	SC("accept_thread", accept_thread, 0, TCP4),
	SC("accept_null_addr", accept_null_addr, 0, TCP4),
	SC("accept_dualstack", accept_dualstack, NEED_IPV6, TCP4, .lfamily = AF_INET6, .lip = "::"),
	SC("accept_EAGAIN", accept_again, 0, TCP4),
	SC("accept_EINTR", accept_interrupted, 0, TCP4),
	SC("accept_EINVAL_notlisten", accept_not_listening, 0, TCP4),
	SC("accept_EINVAL_shutdown", accept_shutdown, 0, TCP4),
	SC("never_accepted", never_accepted, 0, TCP4),
	SC("many_accept", many_accept, 0, TCP4),
	SC_END,
};
