// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * io_uring, by its system calls alone: calls that no system call of that name makes, in the
 * program's own task, in a worker of it (IOSQE_ASYNC) or in the polling thread (SQPOLL).
 */
#define _GNU_SOURCE
#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "workload.h"

/* linux/io_uring.h, since 6.11 */
#define OP_BIND 56
#define OP_LISTEN 57

static struct ring {
	int fd;
	bool polled, async;
	char *sq, *cq;
	struct io_uring_params p;
	struct io_uring_sqe *sqes;
} ring;

static void *ring_map(size_t size, off_t what)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
			what);

	return at == MAP_FAILED ? NULL : at;
}

static int ring_open(const struct variant *v)
{
	memset(&ring, 0, sizeof(ring));
	ring.polled = v->flags & V_SQPOLL;
	ring.async = v->flags & V_ASYNC;
	ring.p.flags = ring.polled ? IORING_SETUP_SQPOLL : 0;
	ring.p.sq_thread_idle = 2000;
	ring.fd = syscall(SYS_io_uring_setup, 8, &ring.p);
	if (ring.fd < 0)
		return sc_skip("the kernel has no io_uring, or forbids it");
	ring.sq = ring_map(ring.p.sq_off.array + ring.p.sq_entries * 4, IORING_OFF_SQ_RING);
	ring.cq = ring_map(ring.p.cq_off.cqes +
			   ring.p.cq_entries * sizeof(struct io_uring_cqe), IORING_OFF_CQ_RING);
	ring.sqes = ring_map(ring.p.sq_entries * sizeof(*ring.sqes), IORING_OFF_SQES);
	return ring.sq && ring.cq && ring.sqes ? 0 : SC_BAD;
}

/* The threads of the ring end with it, and must not be in the way of the next scenario. */
static int ring_done(int rc)
{
	close(ring.fd);
	return rc;
}

static unsigned int *at(char *base, unsigned int offset)
{
	return (unsigned int *)(base + offset);
}

static void submit(const struct io_uring_sqe *sqe)
{
	unsigned int *tail = at(ring.sq, ring.p.sq_off.tail);
	unsigned int mask = *at(ring.sq, ring.p.sq_off.ring_mask), index = *tail & mask;

	ring.sqes[index] = *sqe;
	at(ring.sq, ring.p.sq_off.array)[index] = index;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_SEQ_CST);
}

/* One request, and its result. */
static int ring_call(struct io_uring_sqe sqe)
{
	unsigned int *head = at(ring.cq, ring.p.cq_off.head);
	unsigned int mask = *at(ring.cq, ring.p.cq_off.ring_mask), flags = IORING_ENTER_GETEVENTS;
	struct io_uring_cqe *cqes = (void *)(ring.cq + ring.p.cq_off.cqes);
	int rc;

	if (ring.async)
		sqe.flags |= IOSQE_ASYNC;
	submit(&sqe);
	if (ring.polled && *at(ring.sq, ring.p.sq_off.flags) & IORING_SQ_NEED_WAKEUP)
		flags |= IORING_ENTER_SQ_WAKEUP;
	while (__atomic_load_n(at(ring.cq, ring.p.cq_off.tail), __ATOMIC_ACQUIRE) == *head) {
		if (syscall(SYS_io_uring_enter, ring.fd, 1, 1, flags, NULL, 0) < 0 && errno != EINTR)
			return -errno;
	}
	rc = cqes[*head & mask].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return rc;
}

static void by_ring(struct sock *s)
{
	s->no_fd = true;
	s->other_tid = ring.async || ring.polled;
}

static int u_connect(struct sock *s, const char *ip, int port)
{
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, s->family, ip, port);
	int rc;

	by_ring(s);
	connect_begins(s, &ss, len);
	rc = ring_call((struct io_uring_sqe){ .opcode = IORING_OP_CONNECT, .fd = s->fd,
					      .addr = (uintptr_t)&ss, .off = len });
	rec_connect(s, rc, false, 0);
	return rc;
}

static struct sock *u_accept(struct sock *l)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	struct sock *s;
	struct ep peer;
	int fd;

	fd = ring_call((struct io_uring_sqe){ .opcode = IORING_OP_ACCEPT, .fd = l->fd,
					      .addr = (uintptr_t)&ss, .off = (uintptr_t)&len,
					      .accept_flags = SOCK_CLOEXEC });
	s = fd < 0 ? NULL : s_new(fd, l->family, SOCK_STREAM, 0);
	if (!s)
		return NULL;
	by_ring(s);
	peer = ep_of(&ss, len);
	s_accepted(s, l, &peer);
	s->other_tid = ring.async || ring.polled;
	return s;
}

static int u_close_fd(int fd)
{
	return ring_call((struct io_uring_sqe){ .opcode = IORING_OP_CLOSE, .fd = fd });
}

static int u_close(struct sock *s)
{
	int rc;

	by_ring(s);
	close_by = u_close_fd;
	rc = s_close(s);
	close_by = close;
	return rc;
}

/* accept() of l will be made by the ring. */
static int connections(const struct variant *v)
{
	struct sock *l = s_listener(v->family, v->ip, 5), *c = s_open(v->family, SOCK_STREAM), *a;

	WANT(l && c);
	WANT(u_connect(c, v->ip, l->local.port) == 0);
	l->other_tid = ring.async || ring.polled;
	a = u_accept(l);
	l->other_tid = ring.polled; /* the poller may let go of it last */
	WANT(a);
	WANT(s_transfer(c, a, 30) == 0);
	WANT(u_close(c) == 0);
	WANT(s_recv(a, 1) == 0);
	WANT(u_close(a) == 0);
	return 0;
}

static int uring_connections(const struct variant *v)
{
	int rc = ring_open(v);

	return rc ? rc : ring_done(connections(v));
}

static int refused(const struct variant *v)
{
	struct sock *c = s_open(v->family, SOCK_STREAM);

	WANT(c);
	WANT(u_connect(c, v->ip, next_port()) == -ECONNREFUSED);
	return 0;
}

static int uring_refused(const struct variant *v)
{
	int rc = ring_open(v);

	return rc ? rc : ring_done(refused(v));
}

static int bind_and_listen(const struct variant *v)
{
	struct sock *s = s_open(v->family, SOCK_STREAM), *t = s_open(v->family, SOCK_STREAM);
	struct sockaddr_storage ss;
	socklen_t len = sa_fill(&ss, v->family, v->ip, next_port());
	struct ep asked = ep_of(&ss, len);
	int rc;

	WANT(s && t);
	by_ring(s);
	by_ring(t);
	rc = ring_call((struct io_uring_sqe){ .opcode = OP_BIND, .fd = s->fd,
					      .addr = (uintptr_t)&ss, .off = len });
	if (rc == -EINVAL)
		return sc_skip("the kernel's io_uring has no bind");
	rec_bind(s, rc, &asked, 0);
	WANT(rc == 0);
	s_held(t, "bound", s);
	rc = ring_call((struct io_uring_sqe){ .opcode = OP_BIND, .fd = t->fd,
					      .addr = (uintptr_t)&ss, .off = len });
	rec_bind(t, rc, &asked, 0);
	WANT(rc == -EADDRINUSE);
	rc = ring_call((struct io_uring_sqe){ .opcode = OP_LISTEN, .fd = s->fd, .len = 6 });
	rec_listen(s, rc, 6);
	WANT(rc == 0);
	s->other_tid = ring.polled; /* closed by hand, but the poller may let go of it last */
	return 0;
}

static int uring_bind(const struct variant *v)
{
	int rc = ring_open(v);

	return rc ? rc : ring_done(bind_and_listen(v));
}

#define TCP4 AT(AF_INET, SOCK_STREAM, "127.0.0.1")
#define TCP6 AT(AF_INET6, SOCK_STREAM, "::1")

const struct scenario uring_scenarios[] = {
	SC("uring_conn", uring_connections, 0, TCP4),
	SC("uring_conn_tcp6", uring_connections, NEED_IPV6, TCP6),
	SC("uring_conn_async", uring_connections, 0, TCP4, .flags = V_ASYNC),
	SC("uring_conn_sqpoll", uring_connections, 0, TCP4, .flags = V_SQPOLL),
	SC("uring_refused", uring_refused, 0, TCP4),
	SC("uring_refused_async", uring_refused, 0, TCP4, .flags = V_ASYNC),
	SC("uring_refused_sqpoll", uring_refused, 0, TCP4, .flags = V_SQPOLL),
	SC("uring_bind", uring_bind, 0, TCP4),
	SC("uring_bind_async", uring_bind, 0, TCP4, .flags = V_ASYNC),
	SC("uring_bind_sqpoll", uring_bind, 0, TCP4, .flags = V_SQPOLL),
	SC_END,
};
