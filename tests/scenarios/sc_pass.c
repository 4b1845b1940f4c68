// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Sockets that change hands: by fork() and exec() as systemd does it, by SCM_RIGHTS, from one
 * network namespace to another; 32-bit programs; and processes with a pid of their own.
 */
#define _GNU_SOURCE
#include <sys/wait.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "workload.h"

enum { PASSED_FD = 3 };

/* ---- exec ---- */

struct program {
	const char *file; /* beside the workload, NULL: itself */
	const char *inner, *scenario;
	int fd;           /* becomes number 3, -1: none */
	int go;           /* end of file: the parent is ready */
};

static int beside(char *path, size_t size, const char *file)
{
	ssize_t n = readlink("/proc/self/exe", path, size - 1);
	char *slash;

	if (n < 0)
		return -errno;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (file && slash)
		snprintf(slash + 1, size - (slash + 1 - path), "%s", file);
	return access(path, X_OK) ? -errno : 0;
}

static int exec_program(void *arg)
{
	const struct program *p = arg;
	char path[4096], byte;

	if (beside(path, sizeof(path), p->file))
		return SC_BAD;
	if (p->go >= 0 && read(p->go, &byte, 1) != 0)
		return SC_BAD;
	if (p->fd == PASSED_FD)
		fcntl(p->fd, F_SETFD, 0);
	else if (p->fd >= 0 && dup2(p->fd, PASSED_FD) < 0)
		return SC_BAD;
	execl(path, path, "--expect", rec_path(), "--only", p->scenario, "--inner", p->inner, NULL);
	_exit(SC_BAD);
}

/* Starts it; it goes on when the parent calls program_go(). */
static pid_t program_start(struct program *p, int *ret_go)
{
	int fd[2];
	pid_t pid;

	if (pipe2(fd, O_CLOEXEC))
		return -errno;
	p->go = fd[0];
	fcntl(fd[1], F_SETFD, FD_CLOEXEC);
	*ret_go = fd[1];
	pid = fork();
	if (pid == 0) {
		close(fd[1]);
		_exit(exec_program(p));
	}
	close(fd[0]);
	return pid;
}

/* The maker of a socket that was passed is the parent. */
static struct sock *passed(int type, int proto)
{
	struct sock *s = s_new(PASSED_FD, AF_INET, type, proto);
	char path[32];
	FILE *f;

	if (!s)
		return NULL;
	s->local = ep_local(s->fd);
	s->holds_port = s->local.port > 0;
	s->older = true; /* than this program knows */
	if (!s->holds_port)
		return s;
	s->explicit_port = s->made = true;
	s->maker = (struct who){ .pid = getppid() };
	snprintf(path, sizeof(path), "/proc/%d/comm", s->maker.pid);
	f = fopen(path, "re");
	if (f && fscanf(f, "%31s", s->maker.comm) != 1)
		s->maker.comm[0] = '\0';
	if (f)
		fclose(f);
	return s;
}

static int inner_accepts(void)
{
	struct sock *l = passed(SOCK_STREAM, 0), *a;

	WANT(l);
	l->listening = true;
	a = s_accept(l, true);
	WANT(a);
	WANT(s_recv(a, 10) == 4);
	WANT(s_close(a) == 0);
	s_drop(l);
	return 0;
}

static int inner_listens(void)
{
	struct sock *l = passed(SOCK_STREAM, 0);

	WANT(l && l->holds_port);
	WANT(s_listen(l, 5) == 0);
	return s_close(l);
}

/* Made by the parent, but without a port: who binds it here is its maker. */
static int inner_binds(void)
{
	struct sock *s = passed(SOCK_STREAM, 0);

	WANT(s && !s->holds_port);
	WANT(s_bind(s, "127.0.0.1", next_port()) == 0);
	return s_close(s);
}

/* As inetd does it: the connection is descriptor 3. */
static int inner_serves(void)
{
	struct sock *a = passed(SOCK_STREAM, 0);

	WANT(a);
	a->role = ROLE_INGRESS;
	a->established = true;
	a->remote = ep_peer(a->fd);
	WANT(s_send(a, 5) == 5);
	return s_close(a);
}

static int run_program(struct program *p, struct sock *passes)
{
	int go = -1;
	pid_t pid;

	p->fd = passes ? passes->fd : -1;
	pid = program_start(p, &go);
	WANT(pid > 0);
	if (passes)
		s_drop(passes);
	close(go);
	return reap(pid);
}

static int pass_listener(const struct variant *v)
{
	struct program p = { .inner = "accepts", .scenario = "pass_listener" };
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM);
	int go = -1;
	pid_t pid;

	WANT(l && c);
	p.fd = l->fd;
	pid = program_start(&p, &go);
	WANT(pid > 0);
	close(go);
	WANT(s_connect(c, v->ip, l->local.port) == 0);
	c->accepted = true;
	WANT(s_send(c, 4) == 4);
	WANT(reap(pid) == 0);
	WANT(s_wait_end(c));
	return 0;
}

static int pass_bound(const struct variant *v)
{
	struct program p = { .inner = "listens", .scenario = "pass_bound" };
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s && s_bind(s, v->ip, next_port()) == 0);
	return run_program(&p, s);
}

static int pass_unbound(const struct variant *v)
{
	struct program p = { .inner = "binds", .scenario = "pass_unbound" };
	struct sock *s = s_open(v->family, SOCK_STREAM);

	WANT(s);
	return run_program(&p, s);
}

static int pass_connection(const struct variant *v)
{
	struct program p = { .inner = "serves", .scenario = "pass_connection" };
	struct sock *l = s_listener(v->family, v->ip, 5), *c, *a;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(run_program(&p, a) == 0);
	WANT(s_recv(c, 10) == 5);
	WANT(s_recv(c, 10) == 0);
	return 0;
}

/* ---- SCM_RIGHTS ---- */

union control {
	char room[CMSG_SPACE(sizeof(int))];
	struct cmsghdr align;
};

static int send_fd(int to, int fd)
{
	union control control = { 0 };
	struct iovec iov = { .iov_base = "x", .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(to, &msg, 0) == 1 ? 0 : -errno;
}

static int receive_fd(int from)
{
	union control control;
	char byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int fd = -1;

	if (recvmsg(from, &msg, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&msg))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(fd));
	return fd;
}

struct gift {
	int sock[2];
	struct sock *s;
};

/* It gets a socket that it did not inherit, as it was forked before there was one. */
static int child_receives(void *arg)
{
	struct gift *g = arg;
	struct sock copy;
	struct sock *s;

	if (read(g->sock[1], &copy, sizeof(copy)) != sizeof(copy))
		return SC_BAD;
	copy.fd = receive_fd(g->sock[1]);
	WANT(copy.fd >= 0);
	s = s_adopt(&copy);
	WANT(s);
	/* End of file: the sender has closed its own. */
	WANT(read(g->sock[1], &copy, 1) == 0);
	if (s->type == SOCK_STREAM && !s->listening && !s->established)
		WANT(s_listen(s, 3) == 0);
	return s_close(s);
}

static int gift_send(struct gift *g, struct sock *s)
{
	WANT(write(g->sock[0], s, sizeof(*s)) == sizeof(*s));
	WANT(send_fd(g->sock[0], s->fd) == 0);
	s_drop(s);
	shutdown(g->sock[0], SHUT_WR);
	return 0;
}

static int scm_rights(const struct variant *v)
{
	struct gift g = { 0 };
	struct sock *s;
	pid_t pid;

	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, g.sock) == 0);
	pid = spawn(child_receives, &g);
	s = s_open(v->family, v->type);
	WANT(s);
	WANT(s_bind(s, v->ip, next_port()) == 0);
	if (v->n && v->type == SOCK_STREAM)
		WANT(s_listen(s, 4) == 0);
	WANT(gift_send(&g, s) == 0);
	close(g.sock[0]);
	close(g.sock[1]);
	return reap(pid);
}

static int scm_connection(const struct variant *v)
{
	struct gift g = { 0 };
	struct sock *l, *c, *a;
	pid_t pid;

	WANT(socketpair(AF_UNIX, SOCK_STREAM, 0, g.sock) == 0);
	pid = spawn(child_receives, &g);
	l = s_listener(v->family, v->ip, 4);
	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	WANT(s_transfer(c, a, 9) == 0);
	WANT(gift_send(&g, a) == 0);
	close(g.sock[0]);
	close(g.sock[1]);
	WANT(reap(pid) == 0);
	WANT(s_recv(c, 1) == 0);
	return 0;
}

/* ---- network namespaces ---- */

/* Made over there, used from here: the socket stays where it was made. */
static void *socket_elsewhere(void *arg)
{
	const struct variant *v = arg;
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	struct sock *s = NULL;

	if (home >= 0 && netns_enter() == 0)
		s = s_open(v->family, v->type);
	if (home >= 0 && setns(home, CLONE_NEWNET))
		s = NULL;
	close(home);
	return s;
}

static int foreign_netns(const struct variant *v)
{
	struct sock *s, *here = s_open(v->family, v->type);
	int port = next_port();
	pthread_t t;
	void *ret;

	WANT(pthread_create(&t, NULL, socket_elsewhere, (void *)v) == 0);
	pthread_join(t, &ret);
	s = ret;
	if (!s)
		return sc_skip("no own network namespace here");
	WANT(here);
	WANT(s_bind(s, v->ip, port) == 0);
	WANT(s_bind(here, v->ip, port) == 0); /* the same number, another namespace */
	if (v->type == SOCK_STREAM)
		WANT(s_listen(s, 3) == 0);
	return 0;
}

/* ---- pid namespaces ---- */

static int in_pidns(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3), *c, *a, *u;

	WANT(l);
	WANT(s_pair(l, v->ip, &c, &a) == 0);
	u = s_open(v->family, SOCK_DGRAM);
	WANT(u);
	WANT(s_sendto(u, v->ip, next_port()) == 0);
	return 0;
}

static int own_pidns(const struct variant *v)
{
	pid_t pid;

	fflush(stdout);
	pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (pid < 0)
		return sc_skip("no own pid namespace here");
	if (pid == 0) {
		int rc;

		rec_process();
		rc = getpid() == 1 ? in_pidns(v) : SC_BAD;
		s_close_all();
		_exit(rc);
	}
	return reap(pid);
}

/* ---- threads ---- */

static void *thread_connects(void *arg)
{
	struct sock *l = arg, *c, *a;

	pthread_setname_np(pthread_self(), "connector");
	return s_pair(l, "127.0.0.1", &c, &a) ? NULL : c;
}

static int thread_pair(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 3);
	pthread_t t;
	void *c;

	WANT(l);
	WANT(pthread_create(&t, NULL, thread_connects, l) == 0);
	pthread_join(t, &c);
	WANT(c);
	return s_close(c);
}

/* ---- 32-bit programs ---- */

static int narrow_tcp(void)
{
	struct sock *l = s_listener(AF_INET, "127.0.0.1", 3), *c, *a, *d;

	WANT(l);
	WANT(s_pair(l, "127.0.0.1", &c, &a) == 0);
	WANT(s_transfer(c, a, 12) == 0);
	WANT(s_close(c) == 0);
	WANT(s_recv(a, 1) == 0);
	d = s_open(AF_INET, SOCK_STREAM);
	WANT(d);
	WANT(s_connect(d, "127.0.0.1", next_port()) == -ECONNREFUSED);
	return 0;
}

static int narrow_udp(void)
{
	struct sock *a = s_open(AF_INET6, SOCK_DGRAM), *b = s_open(AF_INET6, SOCK_DGRAM), *c;
	int port = next_port();

	WANT(a && b);
	WANT(s_bind(a, "::1", port) == 0);
	s_held(b, "bound", a);
	WANT(s_bind(b, "::1", port) == -EADDRINUSE);
	WANT(s_udp_connect(b, "::1", port) == 0);
	c = s_open(AF_INET, SOCK_DGRAM);
	WANT(c);
	WANT(s_sendto(c, "127.0.0.1", port) == 0);
	return 0;
}

static int narrow_tcp_old(void)
{
	via_socketcall = true;
	return narrow_tcp();
}

static int narrow_udp_old(void)
{
	via_socketcall = true;
	return narrow_udp();
}

/* A kernel without 32-bit programs refuses the file. */
static bool can_run(const char *path)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execl(path, path, "--list", NULL);
		_exit(126);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) != 126;
}

/* .ip: what it runs; the scenario has that name. */
static int narrow(const struct variant *v)
{
	struct program p = { .file = "workload32", .inner = v->ip, .scenario = v->ip };
	char path[4096];

	if (beside(path, sizeof(path), p.file))
		return sc_skip("there is no 32-bit program");
	if (!can_run(path))
		return sc_skip("the kernel runs no 32-bit programs");
	return run_program(&p, NULL) == 0 ? 0 : sc_bad(__FILE__, __LINE__, "the 32-bit program");
}

const struct inner inners[] = {
	{ "accepts", inner_accepts },	       { "listens", inner_listens },
	{ "binds", inner_binds },	       { "serves", inner_serves },
	{ "compat_tcp", narrow_tcp },	       { "compat_udp", narrow_udp },
	{ "compat_tcp_socketcall", narrow_tcp_old }, { "compat_udp_socketcall", narrow_udp_old },
	{ NULL, NULL },
};

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")
#define UDP4 AT(AF_INET, SOCK_DGRAM, "127.0.0.1")

const struct scenario pass_scenarios[] = {
	SC("pass_listener", pass_listener, 0, TCP4),
	{ .name = "pass_bound", .fn = pass_bound, .v = { TCP4 },
	  .cgroup_blind = "up to 6.11 the hook of listen() cannot ask which process calls" },
	SC("pass_unbound", pass_unbound, 0, TCP4),
	SC("pass_connection", pass_connection, 0, TCP4),
	{ .name = "scm_rights_bound", .fn = scm_rights, .v = { TCP4 },
	  .cgroup_blind = "up to 6.11 the hook of listen() cannot ask which process calls" },
	SC("scm_rights_listener", scm_rights, 0, TCP4, .n = 1),
	SC("scm_rights_udp", scm_rights, 0, UDP4),
	SC("scm_rights_connection", scm_connection, 0, TCP4),
	{ .name = "foreign_netns_tcp4", .fn = foreign_netns, .needs = NEED_ROOT, .v = { TCP4 },
	  .cgroup_blind = "up to 5.13 no cgroup hook tells the namespace of a socket" },
	{ .name = "foreign_netns_udp4", .fn = foreign_netns, .needs = NEED_ROOT, .v = { UDP4 },
	  .cgroup_blind = "up to 5.13 no cgroup hook tells the namespace of a socket" },
	SC("own_pidns", own_pidns, NEED_ROOT, TCP4),
	SC("own_pidns_tcp6", own_pidns, NEED_ROOT | NEED_IPV6, TCP6),
	SC("thread_pair", thread_pair, 0, TCP4),
	SC("compat_tcp", narrow, 0, AT(0, 0, "compat_tcp")),
	SC("compat_udp", narrow, NEED_IPV6, AT(0, 0, "compat_udp")),
	SC("compat_tcp_socketcall", narrow, 0, AT(0, 0, "compat_tcp_socketcall")),
	SC("compat_udp_socketcall", narrow, NEED_IPV6, AT(0, 0, "compat_udp_socketcall")),
	SC_END,
};
