// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Who closes: threads, children, the kernel at exit; and an own network namespace. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "workload.h"

/* What a child hands to its parent: its sockets and who it is. */
struct estate {
	struct who who;
	int count;
	struct sock socks[4];
};

struct heir {
	const struct variant *v;
	struct sock *l; /* the parent's */
	int fd[2];
};

static int heir_init(struct heir *h, const struct variant *v)
{
	h->v = v;
	return pipe(h->fd) ? -errno : 0;
}

static int bequeath(struct heir *h, struct sock *const *socks, int count)
{
	struct estate e = { .count = count };

	rec_who(&e.who);
	for (int i = 0; i < count; i++) {
		s_look(socks[i]);
		e.socks[i] = *socks[i];
	}
	return write(h->fd[1], &e, sizeof(e)) == sizeof(e) ? 0 : -EIO;
}

static int inherit(struct heir *h, struct estate *e)
{
	ssize_t n = read(h->fd[0], e, sizeof(*e));

	close(h->fd[0]);
	close(h->fd[1]);
	return n == sizeof(*e) ? 0 : -EIO;
}

/* how: what ended the heir's ancestor. */
static void rec_estate(struct estate *e, const char *how)
{
	snprintf(e->who.ended, sizeof(e->who.ended), "%s", how);
	for (int i = 0; i < e->count; i++)
		rec_close(&e->socks[i], &e->who);
}

/* A listener, a connection to the parent, a UDP socket. */
static int hold_three(struct heir *h)
{
	const struct variant *v = h->v;
	struct sock *s[3];

	prctl(PR_SET_NAME, "wl-holder");
	s[0] = s_listener(v->family, v->ip, 5);
	s[1] = s_open(v->family, SOCK_STREAM);
	s[2] = s_open(v->family, SOCK_DGRAM);
	WANT(s[0] && s[1] && s[2]);
	WANT(s_connect(s[1], v->ip, h->l->local.port) == 0);
	WANT(s_send(s[1], 10) == 10);
	WANT(s_bind(s[2], v->ip, 0) == 0);
	return bequeath(h, s, 3);
}

static int holds_and_waits(void *arg)
{
	if (hold_three(arg))
		return SC_BAD;
	for (;;)
		pause();
}

static int holds_and_exits(void *arg)
{
	if (hold_three(arg))
		return SC_BAD;
	_exit(0);
}

/* The parent has the other end of the connection, and sees it end. */
static int ends_holding(const struct variant *v, int (*child)(void *arg), int sig,
			const char *how)
{
	struct sock *a;
	struct estate e;
	struct heir h;
	pid_t pid;

	h.l = s_listener(v->family, v->ip, 5);
	WANT(h.l && heir_init(&h, v) == 0);
	pid = spawn(child, &h);
	a = s_accept(h.l, true);
	WANT(a && inherit(&h, &e) == 0);
	if (sig)
		kill(pid, sig);
	WANT(reap(pid) == -sig);
	rec_estate(&e, how);
	WANT(s_recv(a, 100) == 10);
	WANT(s_recv(a, 100) == 0);
	return 0;
}

static int killed_holding(const struct variant *v)
{
	static const char *const names[] = { [SIGKILL] = "SIGKILL", [SIGTERM] = "SIGTERM",
					     [SIGSEGV] = "SIGSEGV" };

	return ends_holding(v, holds_and_waits, v->n, names[v->n]);
}

static int exit_holding(const struct variant *v)
{
	return ends_holding(v, holds_and_exits, 0, "exit");
}

/* ---- shared by fork() ---- */

static int closes_last(void *arg)
{
	struct heir *h = arg;
	char byte;

	close(h->fd[1]);
	/* End of file: the parent has closed its copy of the socket. */
	return read(h->fd[0], &byte, 1) == 0 ? 0 : SC_BAD;
}

/* The child's s_close_all() is the last close; the parent's before is no event. */
static int fork_shared_close(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	struct heir h;
	pid_t pid;

	WANT(s && heir_init(&h, v) == 0);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	pid = spawn(closes_last, &h);
	close(s->fd);
	s_forget(s);
	close(h.fd[0]);
	close(h.fd[1]);
	return reap(pid);
}

struct errand {
	struct heir h;
	struct sock *c;
	int port;
};

static int connects_for_parent(void *arg)
{
	struct errand *e = arg;

	prctl(PR_SET_NAME, "wl-errand");
	WANT(s_connect(e->c, e->h.v->ip, e->port) == 0);
	WANT(bequeath(&e->h, &e->c, 1) == 0);
	s_drop_all();
	return 0;
}

/* socket() by the parent, connect() by the child, close by the parent. */
static int fork_before_connect(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM);
	struct errand e = { .c = c };
	struct estate back;
	pid_t pid;

	WANT(l && c && heir_init(&e.h, v) == 0);
	e.port = l->local.port;
	pid = spawn(connects_for_parent, &e);
	WANT(inherit(&e.h, &back) == 0);
	WANT(reap(pid) == 0);
	*c = back.socks[0];
	WANT(s_accept(l, true));
	return 0;
}

/* ---- within the process ---- */

static int dup_close(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	int copy;

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	copy = dup(s->fd);
	WANT(copy >= 0);
	close(copy);
	return 0;
}

static void *thread_closes(void *arg)
{
	pthread_setname_np(pthread_self(), "closer");
	s_close(arg);
	return NULL;
}

static int thread_close(const struct variant *v)
{
	struct sock *s = s_open(v->family, v->type);
	pthread_t t;

	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	WANT(pthread_create(&t, NULL, thread_closes, s) == 0);
	pthread_join(t, NULL);
	return 0;
}

/* A socket that never had a port leaves without a word. */
static int unbound_close(const struct variant *v)
{
	WANT(s_open(v->family, SOCK_STREAM));
	WANT(s_open(v->family, SOCK_DGRAM));
	return 0;
}

/* ---- an own namespace ---- */

static int in_netns(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM), *u;

	WANT(l && c);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	WANT(s_accept(l, true));
	u = s_open(v->family, SOCK_DGRAM);
	WANT(u);
	WANT(s_bind(u, v->ip, 0) == 0);
	return 0;
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")

const struct scenario life_scenarios[] = {
	SC("netns", in_netns, OWN_NETNS, TCP4),
	SC("netns6", in_netns, OWN_NETNS | NEED_IPV6, TCP6),
	SC("kill9_holding", killed_holding, 0, TCP4, .n = SIGKILL),
	SC("sigterm_holding", killed_holding, 0, TCP4, .n = SIGTERM),
	SC("sigsegv_holding", killed_holding, 0, TCP4, .n = SIGSEGV),
	SC("exit_holding", exit_holding, 0, TCP4),
	SC("fork_shared_close", fork_shared_close, 0, TCP4),
	SC("fork_shared_close_udp", fork_shared_close, 0, UDP4),
	SC("fork_before_connect", fork_before_connect, 0, TCP4),
	SC("dup_close", dup_close, 0, TCP4),
	SC("thread_close", thread_close, 0, UDP4),
	SC("unbound_close", unbound_close, 0, TCP4),
	SC_END,
};
